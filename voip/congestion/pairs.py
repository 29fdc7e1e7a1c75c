"""What a narrow line carries, by packets sent together that arrive apart (RFC 3611 section 4.3: packet receipt times).

A line transmits one packet after the other. The second of two that came to it together arrives later than the first by
the time that its own transmission takes, however empty the line is: its size over that time is what the line carries
(packet pairs). A media packet and its repair packet are one.
"""

from __future__ import annotations

import statistics
from collections import deque
from itertools import pairwise

from voip.congestion.sent import SentPackets
from voip.stats import PathReport

TOGETHER = 0.001
"""Seconds from one to the next of two packets that are sent together."""
APART = 0.005
"""Seconds from one to the next of two that arrive apart: a packet of 130 bytes on 208 kbit/s; a faster line is not
narrow, and what schedules the receiver makes gaps of this size."""
MOST_TOGETHER = 0.1
"""Share of the pairs that may arrive together on a narrow line: it lets no two out at once."""
MIN_PAIRS = 3
"""Pairs that tell something."""
SPREAD = 1.5
"""Times by which the upper quartile of what they tell exceeds the lower one at most: jitter moves each on its own."""
REMEMBERED, MEMORY_SECONDS = 24, 20.0
"""Pairs that count, and for how many seconds."""
KEPT_SECONDS = 300.0
"""Seconds for which what they told is taken to hold where no more pairs are sent: to try more in vain fills the queue,
and costs more than a line that has become wider gives."""
_WIDE = float("inf")


class NarrowLine:
    """Reports in; `capacity` out: bit/s of a line that is known to be narrow; what a wide one `carries` at least."""

    def __init__(self, packets: SentPackets) -> None:
        """`packets` that were sent."""
        self._packets = packets
        self._pairs: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # when, bit/s
        self._capacity: float | None = None
        self._told_at = 0.0
        self._wide = False
        self._largest = 0  # bytes of a packet that arrived together with the one before, since the line is wide
        self._queued: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # the same of packets that had to wait

    def report(self, report: PathReport) -> None:
        """A report has come."""
        for known in (self._pairs, self._queued):
            while known and known[0][0] < report.at - MEMORY_SECONDS:
                known.popleft()
        pairs: list[tuple[float, float]] = []
        queued: list[tuple[float, float]] = []
        for (first, came), (second, went) in pairwise(self._packets.of(report.receipts, report.repair_receipts)):
            sent, gap = second.at - first.at, went - came
            if sent > APART and gap < TOGETHER:  # something held them back: a receiver that stood still, for one
                pairs, queued = [], []
                break
            if not second.follows(first):
                continue
            if sent <= TOGETHER:
                together = gap < APART
                self._largest = max(self._largest, second.size * together)
                pairs.append((report.at, _WIDE if together else 8 * second.size / gap))
            elif gap >= sent + APART:
                queued.append((report.at, 8 * second.size / gap))
        self._pairs += pairs
        self._queued += queued
        self._judge(report.at)
        if not self._wide:
            self._largest = 0

    @property
    def capacity(self) -> float | None:
        """Bit/s with all headers; None if the line is not narrow, or that is not known."""
        return self._capacity

    @property
    def wide(self) -> bool:
        """Whether most pairs arrive together: what is sent here does not fill such a line."""
        return self._wide

    @property
    def carries(self) -> float | None:
        """Bit/s that a wide line carries at least; None if it is not known to be wide."""
        return 8 * self._largest / APART if self._wide else None

    def confirm(self, rate: float, now: float) -> None:
        """So many bit/s came through a queue that grew."""
        if self._capacity is not None and self._capacity / SPREAD <= rate <= self._capacity:
            self._told_at = now

    def _judge(self, now: float) -> None:
        known = [rate for _, rate in self._pairs]
        if len(known) < MIN_PAIRS:
            if (self._capacity is not None or self._wide) and now - self._told_at < KEPT_SECONDS:
                return
            if not known or max(known) == _WIDE:
                self._capacity, self._wide = None, False
                return
            known += [rate for _, rate in self._queued]  # the first report comes soon, with few pairs
        self._capacity, self._told_at = _narrow(known), now
        self._wide = 2 * known.count(_WIDE) > len(known)


def _narrow(known: list[float]) -> float | None:
    """What so many pairs tell together: bit/s of a narrow line; None: it is none, or it is not clear."""
    narrow = [rate for rate in known if rate < _WIDE]
    if len(narrow) < max(MIN_PAIRS, (1.0 - MOST_TOGETHER) * len(known)):
        return None
    least, middle, most = statistics.quantiles(narrow, n=4)
    return middle if most <= SPREAD * least else None
