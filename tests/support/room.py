"""Several callers, each over a network of its own, and the one who mixes them, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.support.call import BLOCK, SENDER, Link, Wrapping
from voip.audio import AudioReceiver, AudioSender, Mixer, Mixture
from voip.dsp import Pcm
from voip.fec import parse_pattern
from voip.media import NegotiatedMedia
from voip.session import RtpSession
from voip.stats import ReceiverStats


@dataclass
class Caller:
    """One of them: what it sends with, by which network, and who checks what comes."""

    sender: AudioSender
    link: Link
    session: RtpSession
    final: list[ReceiverStats] = field(default_factory=list)


class Room:
    """Callers speak block by block; `mixed` is what was heard of all, `taken` what it was made of."""

    def __init__(self, agreed: NegotiatedMedia, *, fec: str = "off", latency: float | None = 0.06) -> None:
        self.media, self.fec, self.latency = agreed, fec, latency
        self.rate = agreed.audio.codec.sample_rate
        self.channels = agreed.audio.codec.channels
        self.block = round(BLOCK * self.rate)
        self.now = 1000.0
        self.mixer = Mixer()
        self.callers: dict[str, Caller] = {}
        self._left: dict[str, Caller] = {}
        self.taken: list[Mixture] = []
        self._heard: list[Pcm] = []

    def join(self, key: str, link: Link | None = None, *, seed: int = 3) -> Caller:
        """Another caller."""
        rate, channels = self.rate, self.channels
        pattern = parse_pattern(self.fec)
        sender = AudioSender(self.media, sample_rate=rate, channels=channels, rng=Wrapping(seed), pattern=pattern)
        caller = Caller(sender, link or Link(), RtpSession(self.media))
        receiver = AudioReceiver(self.media, sample_rate=rate, channels=channels, latency=self.latency, latency_max=0.5)
        self.mixer.add(key, receiver)
        self.callers[key] = caller
        return caller

    def leave(self, key: str) -> None:
        """A caller hangs up: what it has said, and is on its way, is played to its end."""
        caller = self._left[key] = self.callers.pop(key)
        for datagram in caller.sender.finish():
            caller.link.send(datagram, self.now)
        self.mixer.finish(key, caller.final.append)

    def turn(self, sounds: dict[str, Pcm]) -> Mixture | None:
        """Each caller says a block (who is not named says nothing), and a block of all is heard."""
        for key, caller in self.callers.items():
            if key in sounds:
                for datagram in caller.sender.write(sounds[key], self.now):
                    caller.link.send(datagram, self.now)
        self.now += BLOCK
        for key, caller in (self.callers | self._left).items():
            self._receive(key, caller)
        if self.mixer.idle:
            return None
        mixture = self.mixer.take(self.block, self.now)
        self.taken.append(mixture)
        self._heard.append(self.mixer.limit(mixture))
        return mixture

    def talk(self, sounds: dict[str, Pcm]) -> None:
        """All of these, of equal length, at the same time."""
        length = max(map(len, sounds.values()))
        for start in range(0, length, self.block):
            self.turn({key: sound[start : start + self.block] for key, sound in sounds.items()})

    def wait(self, seconds: float) -> None:
        """Nothing is said."""
        for _ in range(round(seconds / BLOCK)):
            self.turn({})

    @property
    def mixed(self) -> Pcm:
        """All that was heard."""
        return np.concatenate(self._heard)

    def _receive(self, key: str, caller: Caller) -> None:
        for datagram, arrival in caller.link.deliver(self.now):
            for packet in caller.session.receive_datagram(datagram, SENDER, arrival):
                self.mixer.put(key, packet, arrival)
