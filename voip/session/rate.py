"""How much of what a peer sends is worked on: the rest is counted and dropped, so that no flood takes all our time."""

from __future__ import annotations

RTCP_RATE, RTCP_BURST = 10.0, 20.0
"""RTCP datagrams of a peer that are read in a second, and at once. Five percent of the bandwidth of G.711 (RFC 3550
section 6.2) are four a second."""
REPAIR_RATE, REPAIR_BURST = 4.0, 500.0
"""Repair packets for each media packet that are used: the strongest pattern sends two. And at once, after a process was
stopped for seconds: the whole of a burst."""


class Allowance:
    """So many a second, and `burst` at once. `refused` counts the others."""

    def __init__(self, rate: float, burst: float) -> None:
        self.refused = 0
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, float("-inf")

    def set_rate(self, rate: float) -> None:
        """Allow so many a second from now on."""
        self._rate = rate

    def take(self, now: float) -> bool:
        """Whether there is room for one more."""
        self._left = min(self._burst, self._left + self._rate * max(0.0, now - self._at))
        self._at = now
        if self._left < 1.0:
            self.refused += 1
            return False
        self._left -= 1.0
        return True
