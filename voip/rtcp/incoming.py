"""What we tell the peer of one of its streams: report block and loss run lengths (RFC 3550 A.3, RFC 3611 4.1)."""

from __future__ import annotations

import math
from collections import deque

from voip.rtcp.bursts import Bursts
from voip.rtcp.packets import ReportBlock
from voip.rtcp.xr import LossRle, StatisticsSummary
from voip.rtp import ReceptionStats
from voip.stats import Arrivals

LONGEST_SPAN = 800
"""Packets that one loss RLE block of ours speaks of: the newest, within what `ReceptionStats` remembers."""
REPORTED_TWICE = 2
"""Each packet is in the blocks of so many compounds: one of them may be lost, and it may have come late."""
REORDERED = 2
"""Packets behind the highest that are never spoken of yet."""
LATE = 4.0
"""Times the interarrival jitter that a packet may still be under way."""
MOST_LATE = 64
"""Packets behind the highest that are spoken of in any case."""


class Incoming:
    """One stream of the peer, its `ssrc` and `reception`. `report` once per compound, then the blocks."""

    def __init__(self, reception: ReceptionStats) -> None:
        self.ssrc: int | None = None
        self.reception = reception
        self.bursts = Bursts()
        self._epoch = 0
        self._prior = (0, 0)  # packets expected and received at the last report
        self._prior_duplicate = 0
        self._reported = (0.0, 0)  # when that was, and the highest number then
        self._ends: deque[int] = deque(maxlen=REPORTED_TWICE)
        self._span: tuple[int, int] | None = None  # of the extended numbers to speak of
        self._new = 0  # where of them those begin that no compound has spoken of
        self._duplicate = 0
        self._settled: int | None = None  # where `bursts` goes on

    def report(self, now: float, lateness: float, lsr: int, dlsr: int) -> ReportBlock | None:
        """The block since the last one; None if nothing of the stream has come. `lateness`: jitter in seconds."""
        reception = self.reception
        if self.ssrc is None or reception.highest is None:
            self._span = None
            return None
        if reception.epoch != self._epoch:
            self._begin()
        received, lost = reception.epoch_received, reception.epoch_lost
        expected_since = received + lost - self._prior[0]
        lost_since = expected_since - (received - self._prior[1])
        self._prior = (received + lost, received)
        fraction = min(255, (lost_since << 8) // expected_since) if expected_since > 0 < lost_since else 0
        self._duplicate = max(0, reception.duplicate - self._prior_duplicate)
        self._prior_duplicate = reception.duplicate
        self._advance(now, lateness, reception.highest)
        jitter = round(reception.jitter * reception.clock_rate)
        return ReportBlock(self.ssrc, fraction, lost, reception.epoch_highest, jitter, lsr, dlsr)

    def loss_rle(self) -> LossRle | None:
        """Which packets arrived, those of the last compound's block included; None if there are none to speak of."""
        if self.ssrc is None or self._span is None:
            return None
        first, end = self._span
        return LossRle.of(self.ssrc, Arrivals(first & 0xFFFF, self.reception.arrivals(first, end)))

    def summary(self) -> StatisticsSummary | None:
        """Lost packets and further copies since the last compound; None if there is nothing to speak of."""
        if self.ssrc is None or self._span is None:
            return None
        first, end = self._new, self._span[1]
        lost = self.reception.arrivals(first, end).count(False)
        return StatisticsSummary(self.ssrc, first & 0xFFFF, end & 0xFFFF, lost, self._duplicate)

    def _begin(self) -> None:
        """Another SSRC, or its numbers jumped: it is counted anew."""
        self._epoch = self.reception.epoch
        self._prior = (0, 0)
        self._ends.clear()
        self._settled = None
        self._reported = (0.0, 0)

    def _advance(self, now: float, lateness: float, highest: int) -> None:
        """Choose what to speak of: up to what may still be under way, from where the report before the last ended."""
        reported, before = self._reported
        rate = (highest - before) / (now - reported) if now > reported > 0.0 else 0.0  # packets per second
        self._reported = (now, highest)
        end = highest + 1 - min(MOST_LATE, REORDERED + math.ceil(LATE * lateness * rate))
        floor = self.reception.floor
        first = max(self._ends[0] if self._ends else floor, floor, end - LONGEST_SPAN)
        self._span = (first, end) if first < end else None
        if self._span is None:
            return
        self._new = max(first, min(end, self._ends[-1])) if self._ends else first
        self._ends.append(end)
        settled = first if self._settled is None else max(first, self._settled)
        self.bursts.feed(self.reception.arrivals(settled, end))
        self._settled = max(settled, end)
