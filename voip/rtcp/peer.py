"""The peer's reports: about our media, for the round trip, and what must be echoed (RFC 3550 6.4, RFC 3611 4)."""

from __future__ import annotations

from collections.abc import Sequence

from voip.rtcp import xr
from voip.rtcp.packets import Goodbye, Packet, ReceiverReport, ReportBlock, SenderReport
from voip.rtcp.parameters import ReportSources, RtcpParameters
from voip.rtcp.roundtrip import RoundTrip, middle, ntp_time
from voip.rtp import MAX_DROPOUT, unwrap
from voip.stats import Arrivals, PathReport

SOURCES_REMEMBERED = 4
"""Sources of the peer whose last sender report is remembered."""
MAX_JITTER = 10.0
"""Seconds; a larger reported jitter is cut to this."""


class PeerReports:
    """The peer's compounds, in order. `path` is the newest report about our media, `left` whether the peer said BYE.

    `packets_sent` is how many packets of our media's SSRC had been sent when `path` came.
    """

    def __init__(self, parameters: RtcpParameters, sources: ReportSources, *, ntp_offset: float) -> None:
        self.round_trip = RoundTrip()
        self.path: PathReport | None = None
        self.packets_sent = 0
        self.empty_reports = 0
        """Reports in a row, the newest among them, that tell of no source at all: the peer hears nothing."""
        self.left = False
        self.reference: tuple[int, int, float] | None = None
        """The newest receiver reference time: SSRC, middle of its NTP time, when it came."""
        self._terms, self._sources, self._ntp_offset = parameters, sources, ntp_offset
        self._receipt_ticks: int | None = None  # the newest of the peer's clock, extended
        self._sender_reports: dict[int, tuple[int, float]] = {}  # by SSRC: middle of its NTP time, when it came

    def update(self, parameters: RtcpParameters) -> None:
        """Continue with renegotiated parameters."""
        self._terms = parameters

    def last_sender_report(self, ssrc: int | None, now: float) -> tuple[int, float]:
        """The middle of the NTP time of this source's last sender report, and its age in seconds; zeros if none."""
        last, came = self._sender_reports.get(ssrc or 0, (0, now))
        return last, now - came

    def receive(self, compound: Sequence[Packet], now: float, *, timed: bool = True) -> None:
        """Take a parsed compound. Unless `timed`, it came at some time before `now`: it measures no round trip, neither
        ours nor, by its echo, the peer's."""
        about_us: ReportBlock | None = None
        extended: list[xr.Block] = []
        for part in compound:
            if isinstance(part, (SenderReport, ReceiverReport)):
                self.empty_reports = 0 if part.blocks else self.empty_reports + 1
                found = next((block for block in part.blocks if block.ssrc == self._terms.ssrc), None)
                about_us = about_us or found
            elif isinstance(part, xr.ExtendedReport):
                extended += part.blocks
            self._note(part, now, timed=timed)
        if timed:
            self._measure_round_trip(about_us, extended, now)
        if about_us is not None:
            self._report(about_us, extended, now)

    def _note(self, part: Packet, now: float, *, timed: bool) -> None:
        """Remember what must be echoed, and that the peer has left."""
        if isinstance(part, SenderReport):
            self._sender_reports.pop(part.ssrc, None)
            if timed:
                self._sender_reports[part.ssrc] = (middle(part.ntp), now)
            if len(self._sender_reports) > SOURCES_REMEMBERED:
                del self._sender_reports[next(iter(self._sender_reports))]
        elif isinstance(part, Goodbye):
            self.left = True
        elif isinstance(part, xr.ExtendedReport):
            for block in part.blocks:
                if isinstance(block, xr.ReferenceTime):
                    self.reference = (part.ssrc, middle(block.ntp), now) if timed else None

    def _measure_round_trip(self, about_us: ReportBlock | None, extended: list[xr.Block], now: float) -> None:
        """One measurement per compound: by our sender report's echo, else by that of our reference time."""
        ntp = ntp_time(now + self._ntp_offset)
        if about_us is not None and about_us.lsr and self.round_trip.echo(about_us.lsr, about_us.dlsr, ntp) is not None:
            return
        for block in extended:
            for ssrc, last, delay in block.echoes if isinstance(block, xr.ReferenceEcho) else ():
                if ssrc == self._terms.ssrc and self.round_trip.echo(last, delay, ntp) is not None:
                    return

    def _report(self, about_us: ReportBlock, extended: list[xr.Block], now: float) -> None:
        """Make the path report of this compound, unless a newer one has overtaken it."""
        if self.path is not None and -MAX_DROPOUT < unwrap(about_us.highest - self.path.highest, 0, 32) < 0:
            return
        metrics = next((block for block in extended if isinstance(block, xr.VoipMetrics)), None)
        if metrics is not None and metrics.ssrc != self._terms.ssrc:
            metrics = None
        self.path = PathReport(
            at=now,
            fraction_lost=about_us.fraction_lost / 256,
            cumulative_lost=about_us.cumulative_lost,
            highest=about_us.highest,
            jitter=min(MAX_JITTER, about_us.jitter / self._terms.clock_rate),
            rtt=self.round_trip.last,
            media=_arrivals(extended, self._terms.ssrc),
            repair=_arrivals(extended, self._terms.repair_ssrc),
            receipts=self._receipts(extended, self._terms.ssrc),
            repair_receipts=self._receipts(extended, self._comparable),
            delay=metrics.buffer_nominal / 1e3 if metrics and metrics.buffer_nominal else None,
            delay_max=metrics.buffer_absolute / 1e3 if metrics and metrics.buffer_absolute else None,
            wait_max=metrics.buffer_maximum / 1e3 if metrics and metrics.buffer_maximum else None,
            r=_within(metrics.r_factor, xr.R_RANGE) if metrics else None,
            mos_lq=_tenths(metrics.mos_lq) if metrics else None,
            mos_cq=_tenths(metrics.mos_cq) if metrics else None,
            discarded=metrics.discard_rate / 256 if metrics else None,
        )
        sent = self._sources.sender_stats()
        self.packets_sent = self._terms.media_totals(sent)[0] if sent is not None else 0
        self._sources.on_report(self.path)

    @property
    def _comparable(self) -> int | None:
        """The SSRC of our repair packets, if their receipt times are of the same clock as those of the media."""
        same = self._terms.repair_clock_rate in (None, self._terms.clock_rate)
        return self._terms.repair_ssrc if same else None

    def _receipts(self, extended: list[xr.Block], ssrc: int | None) -> tuple[tuple[int, float], ...]:
        """When our packets of this SSRC came, in seconds by a clock of the peer's that does not wrap."""
        found = []
        for block in extended:
            if not isinstance(block, xr.ReceiptTimes) or block.ssrc != ssrc:
                continue
            for number, ticks in block.receipts():
                last = ticks if self._receipt_ticks is None else self._receipt_ticks
                self._receipt_ticks = unwrap(ticks, last, 32)
                found.append((number, self._receipt_ticks / self._terms.clock_rate))
        return tuple(found)


def _arrivals(extended: list[xr.Block], ssrc: int | None) -> Arrivals | None:
    """The contents of the first loss RLE block about this SSRC."""
    for block in extended:
        if isinstance(block, xr.LossRle) and block.ssrc == ssrc:
            return block.arrivals()
    return None


def _within(value: int, valid: range) -> float | None:
    """What the VoIP metrics tell; None for unknown, and for what is out of range (RFC 3611 section 4.7.5)."""
    return float(value) if value in valid else None


def _tenths(value: int) -> float | None:
    """A MOS of the VoIP metrics."""
    known = _within(value, xr.MOS_RANGE)
    return None if known is None else known / 10
