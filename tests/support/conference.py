"""A conference in virtual time: what callers say is mixed, and each is sent the others, packet by packet."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import numpy as np

from tests.support.call import Link
from tests.support.room import Caller, Room
from voip.audio import AudioSender, MixMinus, Mixture
from voip.dsp import Pcm
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket


@dataclass
class Sent:
    """What one party was sent: a packet's sound, and how many blocks of the mix had been taken by then."""

    packets: list[tuple[int, Pcm]] = field(default_factory=list)

    @property
    def sound(self) -> Pcm:
        return np.concatenate([pcm for _, pcm in self.packets])


class ConferenceRoom:
    """A `Room` whose mixture goes back to the callers."""

    def __init__(self, agreed: NegotiatedMedia) -> None:
        self.room, self.media = Room(agreed), agreed
        self.minus = MixMinus(self.room.rate)
        self.sent: dict[str, Sent] = {}
        self.mixtures: list[Mixture] = []

    def join(self, key: str, link: Link | None = None, *, seed: int = 3) -> Caller:
        """Another party, who is sent what the others say."""
        codec, sent = self.media.audio.codec, self.sent.setdefault(key, Sent())
        rng = random.Random(seed)
        sender = AudioSender(self.media, sample_rate=self.room.rate, channels=self.room.channels, rng=rng)
        decoder = codec.decoder()

        def send(datagram: bytes) -> None:
            sent.packets.append((len(self.mixtures), decoder.decode(RtpPacket.parse(datagram).payload)))

        self.minus.add(key, sender, send)
        return self.room.join(key, link, seed=seed)

    def leave(self, key: str) -> None:
        """A party hangs up."""
        self.room.leave(key)
        self.minus.remove(key)

    def turn(self, sounds: dict[str, Pcm], host: Pcm | None = None) -> None:
        """A block of each, and of the host."""
        mixture = self.room.turn(sounds)
        if mixture is None:
            return
        if host is not None:
            mixture = replace(mixture, parts={**mixture.parts, "host": host})
        self.mixtures.append(mixture)
        for send, datagram in self.minus.write(mixture, self.room.now):
            send(datagram)

    def talk(self, sounds: dict[str, Pcm], host: Pcm | None = None) -> None:
        """All of these, of equal length, at the same time."""
        block = self.room.block
        for start in range(0, max(map(len, sounds.values())), block):
            pieces = {key: sound[start : start + block] for key, sound in sounds.items()}
            self.turn(pieces, None if host is None else host[start : start + block])
