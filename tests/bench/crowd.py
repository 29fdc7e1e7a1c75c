"""Many callers of one receiver, each a real call with a real stream, sent by one thread of this process."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.waves import RATE, Wave, at_rate
from tests.support.processes import LOOPBACK
from tests.support.raw_peer import Address, Dialog, RawPeer
from voip import codecs
from voip.dsp import Pcm

PTIME = 0.02
"""Seconds of sound in a packet."""
SOUND = 10.0
"""Seconds of speech before a stream repeats itself."""
RESTED = 0.0005
"""Seconds for which the sending thread sleeps at least: what is due by then leaves together."""
LATE = 0.005
"""Seconds by which a packet may leave late before that counts against the load."""
_HEADER = struct.Struct("!BBHII")
_VERSION = 2 << 6


@dataclass(frozen=True)
class Load:
    """What each caller sends: one payload after the other, over and over."""

    payload_type: int
    rtpmap: str
    ticks: int
    payloads: Sequence[bytes]


def make_load(codec_name: str, speech: Wave) -> Load:
    """This speech in packets of the named codec, mono."""
    codec = codecs.offerable([codec_name], 48000, 1)[0]
    encoder = codec.encoder()
    samples = round(PTIME * encoder.sample_rate)
    sound = at_rate(speech, RATE, encoder.sample_rate)[: round(SOUND * encoder.sample_rate)]
    blocks: Pcm = np.rint(sound * 32767).astype(np.int16)[: len(sound) // samples * samples].reshape(-1, samples, 1)
    payload_type = 96 if codec.payload_type is None else codec.payload_type
    payloads = [encoder.encode(np.repeat(block, codec.channels, axis=1)) for block in blocks]
    return Load(payload_type, str(codec), round(PTIME * codec.clock_rate), payloads)


@dataclass
class Caller:
    """One call that is up, and its stream: it begins at another place of the sound than its neighbours'."""

    peer: RawPeer
    dialog: Dialog
    load: Load
    number: int
    sent: int = 0

    def send(self) -> None:
        """The next packet."""
        load, n = self.load, self.sent
        header = _HEADER.pack(_VERSION, load.payload_type, (65000 + n) & 0xFFFF, n * load.ticks, self.number)
        self.peer.rtp.send(header + load.payloads[(n + 31 * self.number) % len(load.payloads)])
        self.sent += 1


class Crowd:
    """Callers that come and go while a thread sends what they say, their packets spread evenly over PTIME."""

    def __init__(self, load: Load, target: Address, most: int) -> None:
        self._load, self._target, self._most = load, target, most
        self._callers: list[Caller] = []
        self._stopped = False
        self.sent = 0
        self.late = 0
        """Packets that left more than LATE after their time: this process, or the machine, was too slow."""

    @property
    def up(self) -> int:
        """How many are in a call."""
        return len(self._callers)

    def join(self, host: str = LOOPBACK) -> None:
        """One more caller calls, from this address, and sends from its 200 on. AssertionError if it is not let in."""
        peer, load = RawPeer(host), self._load
        lines = (f"a=rtpmap:{load.payload_type} {load.rtpmap}", "a=ptime:20", "a=rtcp-mux", "a=sendonly")
        port: int = peer.rtp.getsockname()[1]
        dialog = peer.call(self._target, peer.text.description(port, [load.payload_type], *lines))
        peer.rtp.connect(dialog.media)
        self._callers.append(Caller(peer, dialog, load, 1 + len(self._callers)))

    def leave(self) -> bool:
        """The newest caller hangs up; whether the receiver says so, too."""
        caller = self._callers[-1]
        ended = caller.dialog.bye() == 200
        self._callers.pop()
        caller.peer.close()
        return ended

    def run(self) -> None:
        """The thread: packet n of all is due n steps after the first, whatever became of those before."""
        step, begin, n = PTIME / self._most, time.monotonic(), 0
        while not self._stopped:
            late = time.monotonic() - begin - n * step
            if late < 0:
                time.sleep(max(-late, RESTED))
                continue
            callers, turn = self._callers, n % self._most
            n += 1
            if turn < len(callers):
                with contextlib.suppress(OSError):  # a port that its call's end has just closed
                    callers[turn].send()
                self.sent += 1
                self.late += late > LATE

    def stop(self) -> None:
        self._stopped = True


@contextlib.contextmanager
def crowd(load: Load, target: Address, most: int) -> Iterator[Crowd]:
    """Up to so many callers; those that are left when the block ends are gone without a word."""
    callers = Crowd(load, target, most)
    thread = threading.Thread(target=callers.run, name="load", daemon=True)
    thread.start()
    try:
        yield callers
    finally:
        callers.stop()
        thread.join()
