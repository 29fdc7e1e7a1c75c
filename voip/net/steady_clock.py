"""Time stamps of packets: those of the wall clock, in order even if that is set meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from voip.net.arrivals import LONGEST_WAIT

CLOCK_SET = 0.01
"""Seconds by which the wall clock jumps when it is set; a measurement of ours errs by less."""
MEASUREMENT = 50e-6
"""Seconds within which two clocks can be read one after the other, unless another thread comes in between."""
TRIES = 10
"""Measurements until one is quick."""

Clock = Callable[[], float]


class SteadyClock:
    """The wall clock as it was at the start, which goes on steadily whatever is done to it.

    `stamped` is for what the kernel says by the wall clock of that moment. Any thread, but `look` is of one.
    """

    def __init__(self, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._monotonic, self._wall = monotonic, wall
        _, self._ahead = self._measure()
        self._current = self._ahead

    def now(self) -> float:
        """Seconds since 1970."""
        return self._monotonic() + self._ahead

    def of_monotonic(self, moment: float) -> float:
        """The same of a moment of the monotonic clock."""
        return moment + self._ahead

    def stamped(self, stamp: float) -> float:
        """The same of a moment of the wall clock, which is over; now, if it cannot be."""
        now, at = self.now(), stamp - self._current + self._ahead
        return at if now - LONGEST_WAIT < at < now else now

    def look(self) -> None:
        """Notice whether the wall clock was set: both clocks are slewed alike, so that they differ by that alone."""
        took, found = self._measure()
        if took < MEASUREMENT and abs(found - self._current) > CLOCK_SET:
            self._current = found

    def _measure(self) -> tuple[float, float]:
        """How long the quickest of a few measurements took, and how far the wall clock is ahead by it."""
        found = []
        for _ in range(TRIES):
            before, wall = self._monotonic(), self._wall()
            took = self._monotonic() - before
            found.append((took, wall - before - took / 2))
            if took < MEASUREMENT:
                break
        return min(found)
