"""Our compounds: what we have sent, what arrived of the peer's streams, and the extended reports that it asked for."""

from __future__ import annotations

import math
from collections import deque

from voip.rtcp import xr
from voip.rtcp.packets import Packet, ReceiverReport, ReportBlock, SenderReport, SourceDescription
from voip.rtcp.parameters import LOSS_RLE, METRICS, RECEIPTS, ROUND_TRIP, SUMMARY, ReportSources, RtcpParameters
from voip.rtcp.peer import PeerReports
from voip.rtcp.reported import ReportedStream
from voip.rtcp.roundtrip import ntp_time, short_duration
from voip.stats import Levels, ReceiverStats

DBM0 = 6.15
"""dBm0 of an RMS of 0 dBFS: a full-scale sine, 3.01 dB below that, is 3.14 dBm0 (ITU-T G.711 section 5)."""
MIN_LEVEL, MAX_LEVEL = -128, 126
"""dBm0 that the VoIP metrics can tell; 127 means unknown (RFC 3611 section 4.7.4)."""


class CompoundWriter:
    """Writes the compounds of one call; `media` and `repair` are the peer's two streams."""

    def __init__(
        self,
        parameters: RtcpParameters,
        cname: str,
        streams: tuple[ReportedStream, ReportedStream],
        peer: PeerReports,
        sources: ReportSources,
        *,
        ntp_offset: float,
    ) -> None:
        """`ntp_offset`, added to monotonic seconds, gives seconds since 1900."""
        self._terms, self._cname = parameters, cname
        self._media, self._repair = streams
        self._peer, self._sources = peer, sources
        self._ntp_offset = ntp_offset
        self._packets_before: deque[int] = deque([0], maxlen=2)  # sent at the last reports
        self._repairs_before: deque[int] = deque([0], maxlen=2)  # and repair packets, at the last full ones

    def update(self, parameters: RtcpParameters) -> None:
        """Continue with renegotiated parameters."""
        self._terms = parameters

    def empty(self) -> list[Packet]:
        """A compound before anything is to be told."""
        parameters = self._terms
        return [ReceiverReport(parameters.ssrc, ()), SourceDescription(((parameters.ssrc, self._cname),))]

    def compound(self, now: float, *, full: bool = False, last: bool = False) -> list[Packet]:
        """The compound to send now; a `full` one reports for the SSRC of our repair packets, too.

        It has blocks about the peer's streams that were heard since the one before, the `last` one about all.
        """
        parameters, ntp = self._terms, ntp_time(now + self._ntp_offset)
        both = (self._block(self._media, now, always=last), self._block(self._repair, now, always=last))
        blocks = tuple(block for block in both if block)
        sender_report = self._sender_report(blocks, ntp, now)
        compound: list[Packet] = [sender_report or ReceiverReport(parameters.ssrc, blocks)]
        names = [(parameters.ssrc, self._cname)]
        if full and parameters.repair_ssrc is not None:
            repair_report = self._repair_report(parameters.repair_ssrc, ntp, now)
            if repair_report is not None:
                compound.append(repair_report)
            names.append((parameters.repair_ssrc, self._cname))
        compound.append(SourceDescription(tuple(names)))
        extended = self._extended(ntp, now, sends=sender_report is not None)
        if extended:
            compound.append(xr.ExtendedReport(parameters.ssrc, tuple(extended)))
        return compound

    def _sender_report(self, blocks: tuple[ReportBlock, ...], ntp: int, now: float) -> SenderReport | None:
        """Our sender report if we have sent since the report before the last (RFC 3550 section 6.3.8), else None."""
        sent = self._sources.sender_stats()
        if sent is None or sent.timestamp is None or sent.timestamp_at is None:
            return None
        before = self._packets_before[0]
        packets, payload_bytes = self._terms.media_totals(sent)
        self._packets_before.append(packets)
        if packets <= before:
            return None
        ticks = round((now - sent.timestamp_at) * self._terms.clock_rate)
        self._peer.round_trip.mark(ntp)
        timestamp = (sent.timestamp + ticks) & 0xFFFFFFFF
        return SenderReport(self._terms.ssrc, ntp, timestamp, packets, payload_bytes, blocks)

    def _repair_report(self, ssrc: int, ntp: int, now: float) -> SenderReport | None:
        """The sender report of our repair packets, if some were sent since the full compound before the last."""
        sent = self._sources.sender_stats()
        if sent is None or sent.fec_timestamp is None or sent.fec_timestamp_at is None:
            return None
        before = self._repairs_before[0]
        self._repairs_before.append(sent.fec_packets)
        if sent.fec_packets <= before:
            return None
        rate = self._terms.repair_clock_rate or self._terms.clock_rate
        timestamp = (sent.fec_timestamp + round((now - sent.fec_timestamp_at) * rate)) & 0xFFFFFFFF
        return SenderReport(ssrc, ntp, timestamp, sent.fec_packets, sent.fec_payload_bytes, ())

    def _block(self, stream: ReportedStream, now: float, *, always: bool) -> ReportBlock | None:
        last, age = self._peer.last_sender_report(stream.ssrc, now)
        block = stream.report(now, self._media.reception.jitter, last, short_duration(age))
        if stream.ssrc in (self._terms.ssrc, self._terms.repair_ssrc):
            return None  # our own packets, sent back: a report would be about us, and come back as the peer's
        return block if always or stream.heard else None

    def _extended(self, ntp: int, now: float, *, sends: bool) -> list[xr.Block]:
        """The extended report blocks that the peer asked for; whether we send media."""
        wanted, blocks = self._terms.extended, list[xr.Block | None]()
        if ROUND_TRIP in wanted:
            blocks.append(xr.ReferenceTime(ntp))
            self._peer.round_trip.mark(ntp)
            blocks.append(self._echo(now, sends=sends))
        if LOSS_RLE in wanted:
            blocks += [stream.loss_rle(self._terms.loss_rle_bytes) for stream in (self._media, self._repair)]
        if RECEIPTS in wanted:
            blocks += self._media.receipts(self._terms.receipt_bytes)
            blocks += self._repair.receipts(self._terms.receipt_bytes, thinned=False)
        if SUMMARY in wanted:
            blocks.append(self._media.summary(self._terms.summary_fields))
        if METRICS in wanted:
            blocks.append(self._metrics())
        return [block for block in blocks if block is not None]

    def _echo(self, now: float, *, sends: bool) -> xr.ReferenceEcho | None:
        """The echo of the peer's newest reference time, if the peer wants that of us and it is short enough."""
        terms = self._terms
        if self._peer.reference is None or (terms.echoes == "sender" and not sends):
            return None
        ssrc, last, came = self._peer.reference
        echo = xr.ReferenceEcho(((ssrc, last, short_duration(now - came)),))
        return echo if terms.echo_bytes is None or len(echo.serialize()) <= terms.echo_bytes else None

    def _metrics(self) -> xr.VoipMetrics | None:
        """VoIP metrics: zeros before the first packet, and nothing while the peer's SSRC is unknown."""
        heard, ssrc = self._sources.receiver_stats(), self._media.ssrc
        ssrc = self._terms.remote_ssrc if ssrc is None else ssrc
        if heard is None or ssrc is None:
            return None
        figures, ptime, expected = heard.bursts, self._terms.ptime, max(1, heard.expected)
        nominal = heard.playout.delay if heard.playout.target is None else heard.playout.target
        waits = heard.playout.delay_max if heard.playout.wait_max is None else heard.playout.wait_max
        reached = heard.playout.delay_max if self._sources.buffer_limit is None else self._sources.buffer_limit
        return xr.VoipMetrics(
            ssrc,
            loss_rate=_share(heard.lost_after_fec / expected),
            discard_rate=_share(heard.playout.discarded / expected),
            burst_density=_share(figures.burst_density),
            gap_density=_share(figures.gap_density),
            burst_duration=_milliseconds(figures.burst_length * ptime),
            gap_duration=_milliseconds(figures.gap_length * ptime),
            round_trip=_milliseconds(self._peer.round_trip.steady),
            end_system_delay=_milliseconds(None if heard.playout.delay is None else ptime + heard.playout.delay),
            buffer_nominal=_milliseconds(nominal),
            buffer_maximum=_milliseconds(waits),
            buffer_absolute=_milliseconds(reached),
            signal_level=_signal_level(heard.levels),
            **self._rating(heard),
        )

    def _rating(self, heard: ReceiverStats) -> dict[str, int]:
        """R factor and MOS of what was heard; what is not known is left out."""
        delay = self._terms.ptime + (heard.playout.delay or 0.0) + (self._peer.round_trip.steady or 0.0) / 2
        rating = self._sources.rating(heard, delay)
        if rating is None:
            return {}
        tenths = (round(10 * rating.mos_lq), round(10 * rating.mos_cq))
        return {"r_factor": round(rating.r_of_100), "mos_lq": tenths[0], "mos_cq": tenths[1]}


def _signal_level(levels: Levels) -> int:
    """dBm0 of what was heard apart from digital silence, in two's complement (RFC 3611 section 4.7.4)."""
    loud = levels.samples - levels.silent
    if loud <= 0 or levels.energy <= 0.0:
        return xr.UNKNOWN
    level = round(10.0 * math.log10(levels.energy / loud) + DBM0)
    return max(MIN_LEVEL, min(MAX_LEVEL, level)) & 0xFF


def _share(share: float) -> int:
    """A share (0 to 1) in 1/256; one is 255."""
    return max(0, min(255, int(share * 256)))


def _milliseconds(seconds: float | None) -> int:
    """Whole milliseconds in 16 bits; 0 if unknown."""
    return 0 if seconds is None else max(0, min(0xFFFF, round(seconds * 1e3)))
