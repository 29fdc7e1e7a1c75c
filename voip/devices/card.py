"""A microphone and a speaker that may go away and come back: the call goes on, with silence in their place.

Two one-way blocking streams, each with the thread that reads or writes it as its only user; `close` is that thread's,
too, after its loop: closing a stream that another thread is reading aborts the process. A device that fails is opened
again every second. A device that stalls without an error is not waited for where it can be asked beforehand.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from voip.devices.device import faults_in_words
from voip.devices.paced import BLOCK_SECONDS, Clock, Pacer, Sleep, block_samples
from voip.dsp import Pcm
from voip.errors import DeviceError
from voip.printable import one_line

QUICK_BLOCK_SECONDS = 0.005
"""What a sound card is asked for first: the half of BLOCK_SECONDS takes 10 to 20 ms off the way from mouth to ear."""
MAX_SLIPS = 3
"""Overruns or underruns within SLIP_MEMORY after which such short blocks do not pay: the device is opened again with
BLOCK_SECONDS. One or two may be a moment of a busy machine."""
SLIP_MEMORY = 30.0
"""Seconds."""
REOPEN_SECONDS = 1.0
STALL_SECONDS = 0.25
"""Without a block for so long, a device counts as stalled."""
POLL_SECONDS = 0.001
SLEPT_SHARE = 0.95
"""Share of a block's time that is slept through before it is asked for every POLL_SECONDS seconds."""
LATEST = 1.15
"""Blocks from one to the next, at most, by which the next is expected: if one comes later than that, it was the reader
that was late. What SLEPT_SHARE is short of a block is gained by three blocks until one has not come yet."""
MAX_BACKLOG_BLOCKS = 3000
"""Blocks of old sound thrown away at once after a stall, at most: half a minute."""
TAIL_SECONDS = 0.1
"""What the device and the sound server still hold when the last block is written; it is played before closing."""
CLOSE_SECONDS = 0.5
"""How long closing may take: a sound server that hangs must not keep the program from ending."""

T = TypeVar("T")


class CardStream(Protocol):
    """A back-end's stream to or from a sound card, one way, of 16-bit samples: one thread uses it, from start to close.

    OSError from any of them but `close` says that the device has failed. A microphone's has the first two of the four,
    a speaker's the others. How many samples could be exchanged at once is -1 or less if the device is in trouble: the
    exchange itself then raises the error.
    """

    def start(self) -> None:
        """Let the device run."""

    def read(self, samples: int) -> bytes:
        """So many samples (of all channels), waited for; samples lost before do not count as an error."""

    def readable(self) -> int:
        """Samples that `read` would give without waiting."""

    def write(self, data: bytes) -> None:
        """Play these samples; waits for room."""

    def writable(self) -> int:
        """Samples that `write` would take without waiting."""

    def close(self) -> None:
        """Stop, and give the device back. Raises nothing."""


@dataclass(frozen=True)
class Opened:
    """A device that was opened, not yet started: its stream, and what it was opened as (Hz, seconds, seconds a block).

    askable: whether `readable` and `writable` can be relied on. If not, reading and writing wait for the device, also
    for one that stalls.
    """

    stream: CardStream
    name: str
    rate: int
    channels: int
    latency: float
    askable: bool = True
    block: float = BLOCK_SECONDS


Opener = Callable[["Opened | None"], Opened]
"""Opens a device or raises DeviceError; given the lost one, the same again with the same rate, channels and block."""


class SlipMeter:
    """Counts how often a device lost its place against the clock: samples lost, or played dry.

    PyAudio does not tell of an overflow without ending the stream. But the smallest lag of the samples behind the
    clock within half a second never moves by more than the clocks' drift, unless samples are missing.
    """

    WINDOW = 0.5
    """Seconds whose smallest lag is compared with that of those before."""

    def __init__(self, rate: int, block: float = BLOCK_SECONDS) -> None:
        """`block`: seconds; half of one has to be missing."""
        self.slips = 0
        self._rate, self._tolerance, self._window = rate, block / 2, round(self.WINDOW / block)
        self.restart()

    def restart(self) -> None:
        """The device was started anew."""
        self._origin: float | None = None
        self._samples = self._blocks = 0
        self._lowest, self._before = float("inf"), float("inf")

    def count(self, samples: int, now: float) -> None:
        """A block was handed over."""
        if self._origin is None:
            self._origin = now
        self._samples += samples
        self._lowest = min(self._lowest, now - self._origin - self._samples / self._rate)
        self._blocks += 1
        if self._blocks == self._window:
            self.slips += self._lowest - self._before > self._tolerance
            self._before, self._lowest, self._blocks = self._lowest, float("inf"), 0


class Rhythm:
    """When a device will be ready for the next block: a block after the last one that was not found waiting.

    Whoever sleeps until then, and not for a fixed time from its last turn, is woken once for most blocks, and is in
    time again right after having been late.
    """

    def __init__(self) -> None:
        self._last = float("-inf")  # when the last block could be exchanged

    def note(self, now: float, block: float) -> None:
        """A block of so many seconds has been exchanged."""
        expected = self._last + LATEST * block
        self._last = expected if now - block < expected < now else now

    def nap(self, now: float, block: float) -> float:
        """Seconds to sleep before the device is asked for a block of so many seconds."""
        return max(POLL_SECONDS, self._last + SLEPT_SHARE * block - now)


class Card(ABC):
    """What both directions share. `failures` counts how often the device was lost or stalled."""

    def __init__(
        self,
        open_device: Opener,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        """DeviceError if there is no such device or it cannot be opened."""
        self._open, self._clock, self._sleep = open_device, clock, sleep
        opened = open_device(None)
        self.sample_rate, self.channels, self.latency = opened.rate, opened.channels, opened.latency
        self.block = block_samples(opened.rate, opened.block)
        self.description = f"{one_line(opened.name)}, {opened.rate} Hz"
        self.failures = 0
        self._last = opened  # what to open again
        self._opened: Opened | None = opened  # None: lost, or closed
        self._started = self._absent = False
        self._last_block = self._retry = 0.0
        self._meter, self._rhythm = SlipMeter(opened.rate, opened.block), Rhythm()
        self._xruns = 0  # with shorter blocks, before
        self._slips: deque[float] = deque(maxlen=MAX_SLIPS)  # when
        self._pacer = Pacer(opened.rate, clock=clock, sleep=sleep)

    @property
    def available(self) -> bool:
        """Whether the device is there and working."""
        return not self._absent

    @property
    def xruns(self) -> int:
        """How often samples were lost because they were not fetched in time, or missing because they came late."""
        return self._xruns + self._meter.slips

    def faults(self) -> str:
        """What went wrong so far, in words."""
        return faults_in_words(
            (self.failures, "interruption", "interruptions"),
            (self.xruns, "overrun or underrun of the sound card", "overruns or underruns of the sound card"),
            (int(self._xruns > 0), "change to longer blocks", "changes to longer blocks"),
        )

    def start(self) -> None:
        """Let the device run. A device that fails to is lost, as later."""
        self._started = True
        self._last_block = self._clock()
        self._meter.restart()
        if self._opened is not None:
            try:
                self._opened.stream.start()
            except OSError:
                self._lose()

    def close(self) -> None:
        """Give the device back; only after the last read or write, from the thread that made it. May be repeated."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        # A daemon, the only one: with a hanging sound server this call never returns, and the process has to end.
        closing = threading.Thread(target=opened.stream.close, name="closing a sound device", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _turn(self, move: Callable[[CardStream], T], samples: int) -> T | None:
        """Exchange so many samples with the device; None, in real time, while it is not there."""
        if not self._started:
            self.start()
        try:
            if self._opened is not None and self._ready(self._opened.stream, samples):
                result = move(self._opened.stream)
                self._last_block = self._clock()
                self._rhythm.note(self._last_block, samples / self.sample_rate)
                self._count(samples, self._last_block)
                self._absent = False
                return result
        except OSError:
            self._lose()
        self._stand_in(samples)
        return None

    def _count(self, samples: int, now: float) -> None:
        """So many have been exchanged: is the device too slow for such short blocks?"""
        before = self._meter.slips
        self._meter.count(samples, now)
        if self._meter.slips == before or self._last.block >= BLOCK_SECONDS:
            return
        self._slips.append(now)
        if len(self._slips) == MAX_SLIPS and now - self._slips[0] <= SLIP_MEMORY:
            self._lengthen()

    def _lengthen(self) -> None:
        """Open the device again, with blocks of the usual length."""
        opened, self._opened = self._opened, None
        assert opened is not None
        opened.stream.close()
        self._last = replace(self._last, block=BLOCK_SECONDS)
        self.block, self._xruns = block_samples(self.sample_rate), self._meter.slips
        self._meter = SlipMeter(self.sample_rate)
        self._reopen()

    @abstractmethod
    def _waiting(self, stream: CardStream) -> int:
        """Samples that can be exchanged at once; negative: an error, which the exchange itself will raise."""

    def _ready(self, stream: CardStream, samples: int) -> bool:
        """Whether so many samples can be exchanged: waits for that, but not for a device that stalls."""
        if not self._last.askable:
            return True
        now = self._clock()
        # A process that was frozen itself finds the limit passed: the device gets the time of a block nevertheless.
        limit = now if self._absent else max(self._last_block + STALL_SECONDS, now + 2 * BLOCK_SECONDS)
        while 0 <= self._waiting(stream) < samples:
            now = self._clock()
            if now >= limit:
                return False
            self._sleep(self._rhythm.nap(now, samples / self.sample_rate))
        return True

    def _lose(self) -> None:
        """The device has failed: let go of it, the library forgets what it knew of the sound server."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.stream.close()
        self._retry = self._clock() + REOPEN_SECONDS

    def _stand_in(self, samples: int) -> None:
        """Let the time of so many samples pass in the device's place, and try to get it back."""
        if not self._absent:
            self._absent = True
            self.failures += 1
            self._pacer.start(self._last_block)
        self._pacer.wait(samples)
        if self._opened is None and self._clock() >= self._retry:
            self._reopen()

    def _reopen(self) -> None:
        """Try to get the device back, as it was; after REOPEN_SECONDS again."""
        self._retry = self._clock() + REOPEN_SECONDS
        try:
            self._opened = self._open(self._last)
        except DeviceError:
            return
        self._last, self.latency = self._opened, self._opened.latency
        self.start()


class Microphone(Card):
    """A sound device as a Source. It never raises: lost samples are counted in `xruns`, a lost device is silent."""

    live = True

    def read(self) -> Pcm | None:
        """The next block, as soon as it is there."""
        data = self._turn(self._take, self.block)
        if data is None:
            return np.zeros((self.block, self.channels), np.int16)
        return np.frombuffer(data, np.int16).reshape(-1, self.channels)

    def _waiting(self, stream: CardStream) -> int:
        return stream.readable()

    def _take(self, stream: CardStream) -> bytes:
        data = stream.read(self.block)
        if self._clock() - self._last_block > STALL_SECONDS:
            # After a stall, of the device or of this process, old sound waits: skip to the present.
            self._meter.restart()
            for _ in range(MAX_BACKLOG_BLOCKS):
                before = self._clock()
                data = stream.read(self.block)
                if self._clock() - before > self._last.block / 2:
                    break
        return data


class Speaker(Card):
    """A sound device as a Sink. It keeps its own format, and is silent while no call is up."""

    lateness = 0.0

    def configure(self, rate: int, channels: int) -> None:
        """Nothing: streams are converted to the device's format."""

    def write(self, pcm: Pcm) -> None:
        """Play a block of any length, as soon as there is room for it."""
        data = pcm.astype(np.int16, copy=False).tobytes()
        self._turn(lambda stream: stream.write(data), len(pcm))

    def idle(self) -> None:
        """Play a block of silence."""
        self.write(np.zeros((self.block, self.channels), np.int16))

    def close(self) -> None:
        """Play what was written, then give the device back; from the thread that wrote, after its last write."""
        if self._started and self._opened is not None and not self._absent:
            self._sleep(TAIL_SECONDS)
        super().close()

    def _waiting(self, stream: CardStream) -> int:
        return stream.writable()
