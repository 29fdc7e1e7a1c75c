"""Report blocks about one stream of the peer: reception report, loss run lengths, receipt times (RFC 3550 A.3, RFC 3611
4.1 and 4.3)."""

from __future__ import annotations

import math
import statistics
from collections import deque

from voip.rtcp.packets import ReportBlock
from voip.rtcp.parameters import ALL_FIELDS, DUPLICATES, JITTER, LOSS
from voip.rtcp.xr import LossRle, ReceiptTimes, StatisticsSummary
from voip.rtp import RECEIPT_THINNING, ReceptionStats
from voip.stats import Arrivals

MAX_REPORTED_SPAN = 800
"""Packets covered by one of our loss RLE blocks: the newest, within what `ReceptionStats` remembers."""
REPORTS_PER_PACKET = 2
"""Compounds that cover each packet: one of them may be lost, and the packet may have been late for the first."""
REORDER_PACKETS = 2
"""Packets behind the highest that are not reported yet: they may have been reordered."""
LATE_JITTERS = 4.0
"""Multiple of the interarrival jitter for which a packet may still be under way."""
MAX_UNREPORTED = 64
"""Packets behind the highest beyond which all are reported, whatever the jitter."""
MAX_RECEIPT_BLOCKS = 3
"""Blocks of thinned receipt times in a compound, and as many of all times, each with 12 bytes before its times: a lossy
path makes gaps in them."""


class ReportedStream:
    """One stream of the peer, its `ssrc` and `reception`. `report` once per compound, then the blocks."""

    def __init__(self, reception: ReceptionStats) -> None:
        self.ssrc: int | None = None
        self.reception = reception
        self.heard = False
        """Whether a packet has come between the last two reports (RFC 3550 section 6.4)."""
        self._came = (0, 0, 0)  # packets until the last report: distinct ones, copies, those out of order
        self._epoch = 0
        self._prior = (0, 0)  # packets expected and received at the last report
        self._prior_duplicate = 0
        self._reported = (0.0, 0)  # when the last report was, and the highest number then
        self._ends: deque[int] = deque(maxlen=REPORTS_PER_PACKET)
        self._span: tuple[int, int] | None = None  # of the extended numbers to report
        self._new = 0  # where those of them begin that no compound has reported
        self._duplicate = 0

    def note_source(self, ssrc: int) -> None:
        """The stream's packets have this SSRC from now on."""
        self.ssrc = ssrc

    def report(self, now: float, lateness: float, lsr: int, dlsr: int) -> ReportBlock | None:
        """The block since the last one; None if nothing of the stream has arrived. `lateness`: jitter in seconds."""
        reception = self.reception
        came = (reception.received, reception.duplicate, reception.reordered)
        self.heard, self._came = came != self._came, came
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

    def loss_rle(self, limit: int | None = None) -> LossRle | None:
        """Which packets arrived, those of the last compound's block included; None if there are none to report.

        A block of at most `limit` bytes is about the newest packets that fit.
        """
        if self.ssrc is None or self._span is None:
            return None
        first, end = self._span
        flags = self.reception.arrivals(first, end)
        while flags:
            block = LossRle.of(self.ssrc, Arrivals((end - len(flags)) & 0xFFFF, flags))
            if limit is None or len(block.serialize()) <= limit:
                return block
            flags = flags[max(1, len(flags) // 4) :]
        return None

    def receipts(self, limit: int | None = None, *, thinned: bool = True) -> tuple[ReceiptTimes, ...]:
        """When packets came since the last call: the newest blocks, each of at most `limit` bytes; none if it is too
        large, or there is nothing to tell. Unless `thinned`, only of packets of which each was kept."""
        receipts = self.reception.take_receipts()
        if self.ssrc is None:
            return ()
        kept = {number for number, _ in receipts}
        ticks = [(number, round(arrival * self.reception.clock_rate)) for number, arrival in receipts]
        dense = [(number, time) for number, time in ticks if number - 1 in kept or number + 1 in kept]
        rest = sorted(set(ticks) - set(dense)) if thinned else []
        rest = [(number, time) for number, time in rest if not number & (1 << RECEIPT_THINNING) - 1]
        blocks = [
            *ReceiptTimes.of(self.ssrc, rest, RECEIPT_THINNING)[-MAX_RECEIPT_BLOCKS:],
            *ReceiptTimes.of(self.ssrc, dense, 0)[-MAX_RECEIPT_BLOCKS:],
        ]
        return tuple(block for block in blocks if limit is None or len(block.serialize()) <= limit)

    def summary(self, wanted: frozenset[str] = ALL_FIELDS) -> StatisticsSummary | None:
        """The fields that are `wanted`, since the last compound; None if there are none to report."""
        changes = self.reception.take_changes() if JITTER in wanted else []
        if self.ssrc is None or self._span is None or not wanted & ALL_FIELDS:
            return None
        first, end = self._new, self._span[1]
        lost = self.reception.arrivals(first, end).count(False) if LOSS in wanted else None
        duplicate = self._duplicate if DUPLICATES in wanted else None
        jitter = _spread(changes, self.reception.clock_rate)
        return StatisticsSummary(self.ssrc, first & 0xFFFF, end & 0xFFFF, lost, duplicate, jitter)

    def _begin(self) -> None:
        """Another SSRC, or a jump in its numbers: count anew."""
        self._epoch = self.reception.epoch
        self._prior = (0, 0)
        self._ends.clear()
        self._reported = (0.0, 0)

    def _advance(self, now: float, lateness: float, highest: int) -> None:
        """Choose what to report: from where the report before the last ended up to what may still be under way."""
        reported, before = self._reported
        rate = (highest - before) / (now - reported) if now > reported > 0.0 else 0.0  # packets per second
        self._reported = (now, highest)
        end = highest + 1 - min(MAX_UNREPORTED, REORDER_PACKETS + math.ceil(LATE_JITTERS * lateness * rate))
        floor = self.reception.floor
        first = max(self._ends[0] if self._ends else floor, floor, end - MAX_REPORTED_SPAN)
        self._span = (first, end) if first < end else None
        if self._span is None:
            return
        self._new = max(first, min(end, self._ends[-1])) if self._ends else first
        self._ends.append(end)


def _spread(changes: list[float], clock_rate: int) -> tuple[int, int, int, int] | None:
    """Least, greatest, mean and standard deviation of changes of transit in seconds, in ticks; None of none."""
    if not changes:
        return None
    figures = (min(changes), max(changes), statistics.fmean(changes), statistics.pstdev(changes))
    least, greatest, mean, deviation = (round(figure * clock_rate) for figure in figures)
    return least, greatest, mean, deviation
