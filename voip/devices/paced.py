"""Real time for sound that has no clock of its own: files, pipes and generators, by absolute deadlines.

Block n is due at start + n * block, whatever the blocks before it took: errors of single sleeps never add up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from voip.dsp import Pcm

Clock = Callable[[], float]
Sleep = Callable[[float], None]
Fill = Callable[[int], Pcm]
"""Gives the next n samples of a sound: fewer at its end, none after it."""

BLOCK_SECONDS = 0.010
"""What is read or written at a time: half of the usual packet, and what sound servers work in."""
FROZEN_SECONDS = 1.0
"""Seconds behind after which the process must have been stopped or the machine asleep: what was missed is not made
up for: a burst of old audio is of no use."""


def block_samples(rate: int, seconds: float = BLOCK_SECONDS) -> int:
    """Samples of one block at this rate."""
    return max(1, round(rate * seconds))


class Pacer:
    """Lets samples through at their rate; starts with the first wait, or at `start`."""

    def __init__(self, rate: int, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._origin: float | None = None
        self._samples = 0

    @property
    def due(self) -> float:
        """The time at which everything let through so far is over; now, if nothing was."""
        return self._clock() if self._origin is None else self._origin + self._samples / self._rate

    def lateness(self, samples: int) -> float:
        """Seconds since the last `wait` for so many samples should have returned; 0.0 if it was never called, or so
        long ago that what was missed is not made up for."""
        if self._origin is None:
            return 0.0
        late = self._clock() - (self.due - samples / self._rate)
        return late if 0.0 < late <= FROZEN_SECONDS else 0.0

    def start(self, at: float | None = None) -> None:
        """Count from now on, or from another time."""
        self._origin, self._samples = self._clock() if at is None else at, 0

    def change_rate(self, rate: int) -> None:
        """Go on with samples of another length."""
        if self._origin is not None:
            self._origin, self._samples = self.due, 0
        self._rate = rate

    def wait(self, samples: int) -> None:
        """Return when everything let through before is over, then let these samples through."""
        due = self.due
        if self._origin is None or self._clock() - due > FROZEN_SECONDS:
            self.start()
        while (left := due - self._clock()) > 0:
            self._sleep(left)
        self._samples += samples


class PacedSource:
    """A sound computed or stored, in real time: a Source. `sound` makes it anew, from its beginning."""

    available, live, xruns = True, False, 0

    def __init__(
        self,
        sound: Callable[[], Fill],
        *,
        rate: int,
        channels: int,
        description: str,
        endless: bool = False,
        on_close: Callable[[], object] = lambda: None,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.sample_rate, self.channels, self.block = rate, channels, block_samples(rate)
        self.description = description
        self._sound, self._endless, self._on_close = sound, endless, on_close
        self._fill = sound()
        self._begun = False
        self._pacer = Pacer(rate, clock=clock, sleep=sleep)

    def start(self) -> None:
        """The first block is due now."""
        if self._begun:
            self._fill = self._sound()
        self._pacer.start()

    def read(self) -> Pcm | None:
        """The next block when it is due; the last one may be short; None once that is over, too."""
        self._begun = True
        pcm = self._fill(self.block)
        if self._endless and len(pcm) < self.block:
            pcm = np.concatenate([pcm, np.zeros((self.block - len(pcm), self.channels), np.int16)])
        self._pacer.wait(len(pcm))
        return pcm if len(pcm) else None

    def faults(self) -> str:
        """Nothing can go wrong here."""
        return ""

    def close(self) -> None:
        self._on_close()


class NullSink:
    """Discards sound in real time, in the format of the first stream: a Sink, and the base of WAV and raw ones."""

    available, xruns = True, 0

    def __init__(
        self,
        *,
        rate: int,
        channels: int,
        description: str,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.sample_rate, self.channels, self.block = rate, channels, block_samples(rate)
        self.description = description
        self._pacer = Pacer(rate, clock=clock, sleep=sleep)
        self._configured = False

    def configure(self, rate: int, channels: int) -> None:
        """The first call decides the format, later ones change nothing."""
        if self._configured:
            return
        self._configured = True
        self.sample_rate, self.channels, self.block = rate, channels, block_samples(rate)
        self._pacer.change_rate(rate)

    @property
    def lateness(self) -> float:
        """A thread that comes late catches up: the block that it makes then is heard as if it had been in time."""
        return self._pacer.lateness(self.block)

    def write(self, pcm: Pcm) -> None:
        """Return when this block is due."""
        self._pacer.wait(len(pcm))

    def idle(self) -> None:
        """Let the time of one block pass."""
        self._pacer.wait(self.block)

    def faults(self) -> str:
        """Nothing can go wrong here."""
        return ""

    def close(self) -> None:
        """Nothing to give back."""
