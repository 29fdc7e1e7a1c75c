"""The circuit breaker for congestion (RFC 8083 section 4.3): what TCP would send on this path, times ten, is the most.

X = s / (Tr * sqrt(2 p / 3))        bytes/s of a TCP connection: packets of s bytes, round trip Tr, share p lost
"""

from __future__ import annotations

import math
from collections import deque

FACTOR = 10.0
"""Times the rate of TCP that is the line: an order of magnitude (RFC 8083 section 4.3)."""
MIN_REPORTS = 3
"""Reports over which loss is averaged at least; CB_INTERVAL of RFC 8083 is 3 for packets of voice."""
MIN_SECONDS = 3.0
"""Seconds that these reports have to be about. CB_INTERVAL counts reports of about 1 s at least; ours come faster, and
what a burst does to one of them is not persistent congestion."""
PERSISTENT_SECONDS = 10.0
"""Seconds at the least rate after which the line, still crossed, ends the stream: RFC 8083 asks for CB_INTERVAL more
reports; a path that loses all for some seconds may come back."""


def allowed_rate(size: float, round_trip: float, lost: float) -> float:
    """Bit/s: the line, for packets of `size` bytes with all headers, a round trip in seconds, and a share lost."""
    if lost <= 0.0 or round_trip <= 0.0:
        return math.inf
    return FACTOR * 8 * size / (round_trip * math.sqrt(2 * lost / 3))


class CircuitBreaker:
    """Reports of one stream in; the line out, and whether it was crossed for so long that the stream has to end."""

    def __init__(self) -> None:
        self.line = math.inf
        """Bit/s of the stream that are allowed, by the reports of the last seconds."""
        self._reports: deque[tuple[float, float]] = deque()  # moment, share lost since the report before
        self._crossed_since: float | None = None

    def report(self, now: float, lost: float, round_trip: float, size: float) -> None:
        """A report has come: share lost since the one before, round trip in seconds, mean size of our packets."""
        self._reports.append((now, lost))
        while len(self._reports) > MIN_REPORTS + 1 and now - self._reports[1][0] >= MIN_SECONDS:
            self._reports.popleft()
        seconds = now - self._reports[0][0]
        if len(self._reports) <= MIN_REPORTS or seconds < MIN_SECONDS:
            return
        shares = zip(self._reports, list(self._reports)[1:], strict=False)
        mean = sum((at - before) * share for (before, _), (at, share) in shares) / seconds
        self.line = allowed_rate(size, round_trip, mean)

    def trips(self, now: float, rate: float) -> bool:
        """Whether a stream at its least rate, in bit/s, has been beyond the line for PERSISTENT_SECONDS."""
        if rate <= self.line:
            self._crossed_since = None
            return False
        if self._crossed_since is None:
            self._crossed_since = now
        return now - self._crossed_since >= PERSISTENT_SECONDS
