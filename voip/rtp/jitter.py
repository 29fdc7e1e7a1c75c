"""Interarrival jitter (RFC 3550 section A.8)."""

from __future__ import annotations

from voip.rtp.packet import unwrap

GAIN = 16.0
"""RFC 3550 A.8: each packet counts for a sixteenth."""
TIMESTAMP_STEP = 1.0
"""Seconds: a larger change of transit time is a new media clock or a sender that stood still, not jitter."""


class Jitter:
    """The jitter of one stream, in seconds: its `value` as of the last packet, its `maximum` and `mean`."""

    __slots__ = ("_arrival", "_count", "_sum", "_timestamp", "maximum", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.maximum = 0.0
        self._sum, self._count = 0.0, 0
        self._timestamp = 0
        self._arrival: float | None = None

    @property
    def mean(self) -> float:
        """The mean of the values after each packet but the first; 0 without one."""
        return self._sum / self._count if self._count else 0.0

    def restart(self) -> None:
        """The next packet is of another stream, with another time line: it cannot be compared with the last one."""
        self._arrival = None

    def measure(self, timestamp: int, arrival: float, clock_rate: int) -> None:
        """A packet with this timestamp, which counts at `clock_rate` Hz, came at `arrival` (seconds)."""
        if self._arrival is not None:
            change = abs(arrival - self._arrival - unwrap(timestamp - self._timestamp, 0, 32) / clock_rate)
            if change < TIMESTAMP_STEP:
                self.value += (change - self.value) / GAIN
                self.maximum = max(self.maximum, self.value)
                self._sum += self.value
                self._count += 1
        self._timestamp, self._arrival = timestamp, arrival
