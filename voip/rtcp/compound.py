"""Our compounds: what we have sent, what arrived of the peer's streams, and the extended reports that it asked for."""

from __future__ import annotations

from collections import deque

from voip.rtcp import xr
from voip.rtcp.packets import Packet, ReceiverReport, ReportBlock, SenderReport, SourceDescription
from voip.rtcp.parameters import LOSS_RLE, METRICS, ROUND_TRIP, SUMMARY, ReportSources, RtcpParameters
from voip.rtcp.peer import PeerReports
from voip.rtcp.reported import ReportedStream
from voip.rtcp.roundtrip import ntp_time, short_duration


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

    def update(self, parameters: RtcpParameters) -> None:
        """Continue with renegotiated parameters."""
        self._terms = parameters

    def compound(self, now: float, *, full: bool = False) -> list[Packet]:
        """The compound to send now; a `full` one names all our sources and is never of reduced size."""
        parameters, ntp = self._terms, ntp_time(now + self._ntp_offset)
        blocks = tuple(block for block in (self._block(self._media, now), self._block(self._repair, now)) if block)
        sender_report = self._sender_report(blocks, ntp, now)
        compound: list[Packet] = [sender_report or ReceiverReport(parameters.ssrc, blocks)]
        if full or not parameters.reduced_size:
            names = [(parameters.ssrc, self._cname)]
            if full and parameters.repair_ssrc is not None:
                names.append((parameters.repair_ssrc, self._cname))
            compound.append(SourceDescription(tuple(names)))
        extended = self._extended(ntp, now)
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

    def _block(self, stream: ReportedStream, now: float) -> ReportBlock | None:
        last, age = self._peer.last_sender_report(stream.ssrc, now)
        return stream.report(now, self._media.reception.jitter, last, short_duration(age))

    def _extended(self, ntp: int, now: float) -> list[xr.Block]:
        """The extended report blocks that the peer asked for."""
        wanted, blocks = self._terms.extended, list[xr.Block | None]()
        if ROUND_TRIP in wanted:
            blocks.append(xr.ReferenceTime(ntp))
            self._peer.round_trip.mark(ntp)
            if self._peer.reference is not None:
                ssrc, last, came = self._peer.reference
                blocks.append(xr.ReferenceEcho(((ssrc, last, short_duration(now - came)),)))
        if LOSS_RLE in wanted:
            blocks += [self._media.loss_rle(), self._repair.loss_rle()]
        if SUMMARY in wanted:
            blocks.append(self._media.summary())
        if METRICS in wanted:
            blocks.append(self._metrics())
        return [block for block in blocks if block is not None]

    def _metrics(self) -> xr.VoipMetrics | None:
        """VoIP metrics: zeros before the first packet, and nothing while the peer's SSRC is unknown."""
        heard, ssrc = self._sources.receiver_stats(), self._media.ssrc
        ssrc = self._terms.remote_ssrc if ssrc is None else ssrc
        if heard is None or ssrc is None:
            return None
        figures, ptime, expected = heard.bursts, self._terms.ptime, max(1, heard.expected)
        nominal = heard.playout.delay if heard.playout.target is None else heard.playout.target
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
            end_system_delay=_milliseconds(heard.playout.delay),
            buffer_nominal=_milliseconds(nominal),
            buffer_maximum=_milliseconds(heard.playout.delay_max),
            buffer_absolute=_milliseconds(reached),
        )


def _share(share: float) -> int:
    """A share (0 to 1) in 1/256; one is 255."""
    return max(0, min(255, int(share * 256)))


def _milliseconds(seconds: float | None) -> int:
    """Whole milliseconds in 16 bits; 0 if unknown."""
    return 0 if seconds is None else max(0, min(0xFFFF, round(seconds * 1e3)))
