"""The RTCP of one call: what we report to the peer, and what its reports tell us (RFC 3550 section 6, RFC 3611).

One object per call, on the network thread. It never raises for what a peer sent: `receive` says whether it was well
formed. Blocks about streams that are not ours are read over; a peer's BYE is noted and ends nothing.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from voip.errors import ProtocolError
from voip.ip import IP_UDP_HEADER
from voip.rtcp import packets, xr
from voip.rtcp.incoming import Incoming
from voip.rtcp.packets import Goodbye, Packet, ReceiverReport, ReportBlock, SenderReport, SourceDescription
from voip.rtcp.roundtrip import RoundTrip, middle, ntp_time, short_duration
from voip.rtcp.timing import ReportTimer
from voip.rtp import MAX_DROPOUT, ReceptionStats, unwrap
from voip.stats import Arrivals, PathReport, ReceiverStats, SenderStats, SessionStats

BUSY_AT_FIRST = 10.0
"""Seconds from the beginning during which reports are frequent: the peer has its repair to adjust."""
BUSY_AFTER_LOSS = 5.0
"""Seconds after the last loss during which they are."""
BUSY_JITTER = 0.010
"""Seconds of jitter from which on they are."""
NEWS_AFTER = 2.0
"""Seconds without loss after which loss is news, told early."""
FULL_EVERY = 5
"""Compounds of which one names all our sources, and is never of reduced size."""
SOURCES_REMEMBERED = 4
"""Sources of the peer whose last sender report is kept."""
MOST_JITTER = 10.0
"""Seconds; what a peer says beyond is cut."""

LOSS_RLE, ROUND_TRIP, SUMMARY, METRICS = "pkt-loss-rle", "rcvr-rtt", "stat-summary", "voip-metrics"
"""What a=rtcp-xr calls the blocks of extended reports (RFC 3611 section 5.1)."""


@dataclass(frozen=True)
class Terms:
    """What was agreed on: our SSRCs, the clock of the media, and what the peer wants to hear.

    `extended` holds names of a=rtcp-xr; `ptime` is the packet time in seconds.
    """

    ssrc: int
    repair_ssrc: int | None
    clock_rate: int
    ptime: float = 0.02
    reduced_size: bool = False
    extended: frozenset[str] = frozenset()


class RtcpExchange:
    """Reports both ways. `media` and `repair` are what has been received of the peer's two streams.

    `next_timer` and `datagrams_to_send` are the sending half, `receive` the other; `farewell` ends it. The newest
    report about our media goes to `on_report`. Times are monotonic seconds; `ntp_offset` makes them seconds since 1900.
    """

    def __init__(
        self,
        terms: Terms,
        cname: str,
        media: ReceptionStats,
        repair: ReceptionStats,
        *,
        ntp_offset: float,
        rng: random.Random,
    ) -> None:
        self.terms = terms
        self.media, self.repair = Incoming(media), Incoming(repair)
        self.round_trip = RoundTrip()
        self.timer = ReportTimer(rng)
        self.on_report: Callable[[PathReport], None] = lambda report: None
        self.sender_stats: Callable[[], SenderStats | None] = lambda: None
        self.receiver_stats: Callable[[], ReceiverStats | None] = lambda: None
        self.buffer_limit: float | None = None
        """Seconds that our jitter buffer may delay at most, if known."""
        self.path: PathReport | None = None
        """The newest report about our media."""
        self.sent_at_report = 0
        """Packets of that SSRC that we had sent when it came."""
        self.sent = self.sent_bytes = 0
        self.peer_cname: str | None = None
        self.peer_left = False
        self._cname, self._ntp_offset = cname, ntp_offset
        self._sender_reports: dict[int, tuple[int, float]] = {}  # by SSRC: middle of its NTP time, when it came
        self._reference: tuple[int, int, float] | None = None  # the peer's newest: SSRC, middle of its NTP time, when
        self._last_data = b""
        self._packets_before: deque[int] = deque([0], maxlen=2)  # sent at the last reports
        self._measured: tuple[float, int] | None = None  # when, and bytes of media both ways until then
        self._began: float | None = None
        self._loss_at = float("-inf")
        self._lost = 0
        self._ended = False

    def stats(self, ip_header: int) -> SessionStats:
        """The figures that are known here; `ip_header`: bytes of IP and UDP headers of what is sent."""
        return SessionStats(
            rtcp_sent=self.sent,
            rtcp_sent_ip_bytes=self.sent_bytes + self.sent * ip_header,
            rtt=self.round_trip.steady,
            rtt_min=self.round_trip.least,
            path=self.path,
            path_packets=self.sent_at_report,
        )

    # -- sending ------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Media flows, one way or the other."""
        if self._began is None:
            self._began = now
            self.timer.busy = True
            self.timer.start(now)

    def heard(self, now: float) -> None:
        """A media packet of the peer was counted: if it shows that loss begins, the report is early."""
        lost = self.media.reception.lost
        if lost != self._lost:
            if lost > self._lost:
                if now - self._loss_at > NEWS_AFTER:
                    self.timer.hurry(now)
                self._loss_at = now
                self.timer.busy = True
            self._lost = lost
        if self._began is None:
            self.start(now)

    def next_timer(self) -> float | None:
        """When `datagrams_to_send` may have something."""
        return None if self._ended else self.timer.next

    def datagrams_to_send(self, now: float, media_bytes: int = 0) -> list[bytes]:
        """The compound that is due, or nothing. `media_bytes`: received so far, for the session's bandwidth."""
        if self._ended or not self.timer.is_due(now):
            return []
        self._measure_bandwidth(now, media_bytes)
        jitter = self.media.reception.jitter
        since_start = now - (self._began or 0.0)
        self.timer.busy = since_start < BUSY_AT_FIRST or now - self._loss_at < BUSY_AFTER_LOSS or jitter > BUSY_JITTER
        return [self._count(packets.serialize(self._compound(now)), now)]

    def farewell(self, now: float) -> list[bytes]:
        """The last compound, once, with the last figures; nothing where media never flowed.

        Who has sent nothing at all must not say BYE (RFC 3550 section 6.3.7).
        """
        if self._ended or self._began is None:
            self._ended = True
            return []
        sent, compound = self.sender_stats(), self._compound(now, full=True)
        if self.sent or (sent is not None and sent.packets):
            ours = (self.terms.ssrc, self.terms.repair_ssrc)
            compound.append(Goodbye(tuple(ssrc for ssrc in ours if ssrc is not None)))
        self._ended = True
        return [self._count(packets.serialize(compound), now)]

    def _count(self, datagram: bytes, now: float) -> bytes:
        self.sent += 1
        self.sent_bytes += len(datagram)
        self.timer.sent(len(datagram) + IP_UDP_HEADER[4], now)
        return datagram

    def _measure_bandwidth(self, now: float, media_bytes: int) -> None:
        sent = self.sender_stats()
        total = media_bytes + (sent.ip_bytes if sent is not None else 0)
        if self._measured is not None and now > self._measured[0]:
            self.timer.session_bandwidth = 8 * (total - self._measured[1]) / (now - self._measured[0])
        self._measured = (now, total)

    def _compound(self, now: float, *, full: bool = False) -> list[Packet]:
        terms, ntp = self.terms, ntp_time(now + self._ntp_offset)
        full = full or self.sent % FULL_EVERY == 0
        blocks = tuple(block for block in (self._block(self.media, now), self._block(self.repair, now)) if block)
        sender_report = self._sender_report(blocks, ntp, now)
        compound: list[Packet] = [sender_report or ReceiverReport(terms.ssrc, blocks)]
        if full or not terms.reduced_size:
            names = [(terms.ssrc, self._cname)]
            if full and terms.repair_ssrc is not None:
                names.append((terms.repair_ssrc, self._cname))
            compound.append(SourceDescription(tuple(names)))
        extended = self._extended(ntp, now)
        if extended:
            compound.append(xr.ExtendedReport(terms.ssrc, tuple(extended)))
        return compound

    def _sender_report(self, blocks: tuple[ReportBlock, ...], ntp: int, now: float) -> SenderReport | None:
        """The report of one who has sent since its report before the last (RFC 3550 section 6.3.8), else None."""
        sent = self.sender_stats()
        if sent is None or sent.timestamp is None or sent.timestamp_at is None:
            return None
        before = self._packets_before[0]
        packets, payload_bytes = self._sent(sent)
        self._packets_before.append(packets)
        if packets <= before:
            return None
        ticks = round((now - sent.timestamp_at) * self.terms.clock_rate)
        self.round_trip.mark(ntp)
        timestamp = (sent.timestamp + ticks) & 0xFFFFFFFF
        return SenderReport(self.terms.ssrc, ntp, timestamp, packets, payload_bytes, blocks)

    def _sent(self, sent: SenderStats) -> tuple[int, int]:
        """Packets and bytes of payload sent with the media's SSRC: all, where repair packets have none of their own."""
        if self.terms.repair_ssrc is not None:
            return sent.packets, sent.payload_bytes
        return sent.packets + sent.fec_packets, sent.payload_bytes + sent.fec_payload_bytes

    def _block(self, incoming: Incoming, now: float) -> ReportBlock | None:
        last, came = self._sender_reports.get(incoming.ssrc or 0, (0, now))
        lateness = self.media.reception.jitter
        return incoming.report(now, lateness, last, short_duration(now - came))

    def _extended(self, ntp: int, now: float) -> list[xr.Block]:
        """The blocks that the peer wants."""
        wanted, blocks = self.terms.extended, list[xr.Block | None]()
        if ROUND_TRIP in wanted:
            blocks.append(xr.ReferenceTime(ntp))
            self.round_trip.mark(ntp)
            if self._reference is not None:
                ssrc, last, came = self._reference
                blocks.append(xr.ReferenceEcho(((ssrc, last, short_duration(now - came)),)))
        if LOSS_RLE in wanted:
            blocks += [self.media.loss_rle(), self.repair.loss_rle()]
        if SUMMARY in wanted:
            blocks.append(self.media.summary())
        if METRICS in wanted:
            blocks.append(self._metrics())
        return [block for block in blocks if block is not None]

    def _metrics(self) -> xr.VoipMetrics | None:
        heard, ssrc = self.receiver_stats(), self.media.ssrc
        if heard is None or ssrc is None or not heard.expected:
            return None
        figures = self.media.bursts.figures()
        nominal = heard.playout.delay if heard.playout.target is None else heard.playout.target
        reached = heard.playout.delay_max if self.buffer_limit is None else self.buffer_limit
        return xr.VoipMetrics(
            ssrc,
            loss_rate=_share(heard.lost / heard.expected),
            discard_rate=_share(heard.playout.late / heard.expected),
            burst_density=_share(figures.burst_density),
            gap_density=_share(figures.gap_density),
            burst_duration=_milliseconds(figures.burst_length * self.terms.ptime),
            gap_duration=_milliseconds(figures.gap_length * self.terms.ptime),
            round_trip=_milliseconds(self.round_trip.steady),
            end_system_delay=_milliseconds(heard.playout.delay),
            buffer_nominal=_milliseconds(nominal),
            buffer_maximum=_milliseconds(heard.playout.delay_max),
            buffer_absolute=_milliseconds(reached),
        )

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> bool:
        """A datagram of the peer; False if it is malformed. A copy of the last one says nothing new."""
        try:
            compound = packets.parse(data, reduced_size=self.terms.reduced_size)
        except packets.NotCompound:
            return True  # read over: whether it is RTCP at all is not certain enough to act on it
        except ProtocolError:
            return False
        if data == self._last_data:
            return True
        self._last_data = data
        self.timer.received(len(data) + IP_UDP_HEADER[4])
        about_us: ReportBlock | None = None
        extended: list[xr.Block] = []
        for part in compound:
            if isinstance(part, (SenderReport, ReceiverReport)):
                found = next((block for block in part.blocks if block.ssrc == self.terms.ssrc), None)
                about_us = about_us or found
            elif isinstance(part, xr.ExtendedReport):
                extended += part.blocks
            self._note(part, now)
        self._measure_round_trip(about_us, extended, now)
        if about_us is not None:
            self._tell(about_us, extended, now)
        return True

    def _note(self, part: Packet, now: float) -> None:
        """Remember what is to be echoed, the peer's name, and that it leaves."""
        if isinstance(part, SenderReport):
            self._sender_reports.pop(part.ssrc, None)
            self._sender_reports[part.ssrc] = (middle(part.ntp), now)
            if len(self._sender_reports) > SOURCES_REMEMBERED:
                del self._sender_reports[next(iter(self._sender_reports))]
        elif isinstance(part, SourceDescription):
            self.peer_cname = part.cnames[0][1] if part.cnames else self.peer_cname
        elif isinstance(part, Goodbye) and not self.peer_left:
            self.peer_left = True
            self.timer.at_once(now)  # the peer still hears what became of its last packets
        elif isinstance(part, xr.ExtendedReport):
            for block in part.blocks:
                if isinstance(block, xr.ReferenceTime):
                    self._reference = (part.ssrc, middle(block.ntp), now)

    def _measure_round_trip(self, about_us: ReportBlock | None, extended: list[xr.Block], now: float) -> None:
        """One measurement per compound: by our sender report's echo, else by that of our reference time."""
        ntp = ntp_time(now + self._ntp_offset)
        if about_us is not None and about_us.lsr and self.round_trip.echo(about_us.lsr, about_us.dlsr, ntp) is not None:
            return
        for block in extended:
            for ssrc, last, delay in block.echoes if isinstance(block, xr.ReferenceEcho) else ():
                if ssrc == self.terms.ssrc and self.round_trip.echo(last, delay, ntp) is not None:
                    return

    def _tell(self, about_us: ReportBlock, extended: list[xr.Block], now: float) -> None:
        """Make the path report of this compound, unless it was overtaken by a newer one."""
        if self.path is not None and -MAX_DROPOUT < unwrap(about_us.highest - self.path.highest, 0, 32) < 0:
            return
        metrics = next((block for block in extended if isinstance(block, xr.VoipMetrics)), None)
        if metrics is not None and metrics.ssrc != self.terms.ssrc:
            metrics = None
        self.path = PathReport(
            at=now,
            fraction_lost=about_us.fraction_lost / 256,
            cumulative_lost=about_us.cumulative_lost,
            highest=about_us.highest,
            jitter=min(MOST_JITTER, about_us.jitter / self.terms.clock_rate),
            rtt=self.round_trip.last,
            media=_arrivals(extended, self.terms.ssrc),
            repair=_arrivals(extended, self.terms.repair_ssrc),
            discarded=metrics.discard_rate / 256 if metrics else None,
            delay=metrics.buffer_nominal / 1e3 if metrics and metrics.buffer_nominal else None,
            delay_max=metrics.buffer_absolute / 1e3 if metrics and metrics.buffer_absolute else None,
        )
        sent = self.sender_stats()
        self.sent_at_report = self._sent(sent)[0] if sent is not None else 0
        self.on_report(self.path)


def _arrivals(extended: list[xr.Block], ssrc: int | None) -> Arrivals | None:
    """What the first loss RLE block about this SSRC says."""
    for block in extended:
        if isinstance(block, xr.LossRle) and block.ssrc == ssrc:
            return block.arrivals()
    return None


def _share(share: float) -> int:
    """A share (0 to 1) in 1/256; one is 255."""
    return max(0, min(255, int(share * 256)))


def _milliseconds(seconds: float | None) -> int:
    """Whole milliseconds in 16 bits; 0 for what is not known."""
    return 0 if seconds is None else max(0, min(0xFFFF, round(seconds * 1e3)))
