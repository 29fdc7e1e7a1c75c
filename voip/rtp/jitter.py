"""Interarrival jitter (RFC 3550 section A.8)."""

from __future__ import annotations

from collections import deque

from voip.rtp.packet import unwrap

GAIN = 16.0
"""RFC 3550 A.8: each packet counts for a sixteenth."""
TIMESTAMP_STEP = 1.0
"""Seconds: a larger change of transit time is a new media clock or a sender that stood still, not jitter."""
MAX_CHANGES = 1024
"""Changes of transit that are kept for a summary: those of ten seconds of packets of 10 ms."""


class Jitter:
    """The jitter of one stream, in seconds: its `value` as of the last packet, its `maximum` and `mean`."""

    __slots__ = ("_arrival", "_changes", "_count", "_sum", "_timestamp", "maximum", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.maximum = 0.0
        self._sum, self._count = 0.0, 0
        self._timestamp = 0
        self._arrival: float | None = None
        self._changes: deque[float] | None = None

    @property
    def mean(self) -> float:
        """The mean of the values after each packet but the first; 0 without one."""
        return self._sum / self._count if self._count else 0.0

    def restart(self) -> None:
        """The next packet is of another stream, with another time line: it cannot be compared with the last one."""
        self._arrival = None

    def take_changes(self) -> list[float]:
        """The changes of transit since the last call; kept from the first call on, the newest MAX_CHANGES of them."""
        changes, self._changes = self._changes, deque(maxlen=MAX_CHANGES)
        return list(changes or ())

    def measure(self, timestamp: int, arrival: float, clock_rate: int) -> None:
        """A packet with this timestamp, which counts at `clock_rate` Hz, came at `arrival` (seconds)."""
        if self._arrival is not None:
            change = abs(arrival - self._arrival - unwrap(timestamp - self._timestamp, 0, 32) / clock_rate)
            if change < TIMESTAMP_STEP:
                self.value += (change - self.value) / GAIN
                self.maximum = max(self.maximum, self.value)
                self._sum += self.value
                self._count += 1
                if self._changes is not None:
                    self._changes.append(change)
        self._timestamp, self._arrival = timestamp, arrival
