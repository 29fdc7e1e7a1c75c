"""The RTCP of one call: when reports are sent, and what the peer reports (RFC 3550 section 6, RFC 3611).

One object per call, on the network thread. It never raises because of received data: `receive` returns whether it was
well formed. Blocks about other streams than ours are ignored; the peer's BYE is noted but ends nothing.
"""

from __future__ import annotations

import random

from voip.errors import ProtocolError
from voip.ip import IP_UDP_HEADER
from voip.rtcp import packets
from voip.rtcp.compound import CompoundWriter
from voip.rtcp.packets import Goodbye
from voip.rtcp.parameters import ReportSources, RtcpParameters
from voip.rtcp.peer import PeerReports
from voip.rtcp.reported import ReportedStream
from voip.rtcp.roundtrip import RoundTrip
from voip.rtcp.timing import ReportTimer
from voip.rtp import ReceptionStats
from voip.stats import SessionStats

EARLY_REPORT_AFTER = 2.0
"""Seconds without loss after which new loss is reported early."""
FULL_REPORT_EVERY = 10
"""One in this many compounds also reports for the SSRC of our repair packets: each 7.5 s."""
STOOD_STILL = 0.25
"""Seconds that a report may be overdue: a busy machine makes it later than that hardly ever."""


class RtcpSession:
    """Reports in both directions. `media` and `repair` are the peer's two streams as received.

    `next_timer` and `datagrams_to_send` are the sending half, `receive` the receiving one; `final_report` ends it.
    Times are monotonic seconds; `ntp_offset` is added to get seconds since 1900. `sent` and `sent_bytes` count our
    compounds.
    """

    def __init__(
        self,
        parameters: RtcpParameters,
        cname: str,
        media: ReceptionStats,
        repair: ReceptionStats,
        *,
        sources: ReportSources,
        ntp_offset: float,
        rng: random.Random,
    ) -> None:
        self.parameters = parameters
        self.media, self.repair = ReportedStream(media), ReportedStream(repair)
        self.sent = self.sent_bytes = 0
        self._sources = sources
        self._timer = ReportTimer(rng)
        self._peer = PeerReports(parameters, sources, ntp_offset=ntp_offset)
        streams = (self.media, self.repair)
        self._writer = CompoundWriter(parameters, cname, streams, self._peer, sources, ntp_offset=ntp_offset)
        self._last_data = b""
        self._measured: tuple[float, int] | None = None  # when, and bytes of media both ways until then
        self._began: float | None = None
        self._heard = False  # media of the peer
        self._loss_at = float("-inf")
        self._lost = 0
        self._ended = False
        self._regular = 0  # compounds without keep-alives

    @property
    def round_trip(self) -> RoundTrip:
        """The measured round-trip time."""
        return self._peer.round_trip

    @property
    def peer_left(self) -> bool:
        """Whether the peer has sent BYE."""
        return self._peer.left

    def stats(self, ip_header: int) -> SessionStats:
        """The RTCP figures; `ip_header`: bytes of the IP and UDP headers, and of SRTCP, of each datagram sent."""
        return SessionStats(
            rtcp_sent=self.sent,
            rtcp_sent_ip_bytes=self.sent_bytes + self.sent * ip_header,
            rtt=self.round_trip.steady,
            rtt_min=self.round_trip.minimum,
            path=self._peer.path,
            path_packets=self._peer.packets_sent,
            empty_reports=self._peer.empty_reports,
        )

    def update(self, parameters: RtcpParameters) -> None:
        """Continue with renegotiated parameters."""
        self.parameters = parameters
        self._peer.update(parameters)
        self._writer.update(parameters)

    # -- the peer's media ---------------------------------------------------------------------------------------------

    def note_media(self, ssrc: int, now: float) -> None:
        """A media packet of the peer was counted: the first one is reported soon; if it reveals new loss, the next
        report is early."""
        self.media.note_source(ssrc)
        if not self._heard:
            self._heard = True
            self._timer.begin_anew(now)
        lost = self.media.reception.lost
        if lost != self._lost:
            if lost > self._lost:
                if now - self._loss_at > EARLY_REPORT_AFTER:
                    self._timer.hurry(now)
                self._loss_at = now
            self._lost = lost
        if self._began is None:
            self.start(now)

    def note_repair_source(self, ssrc: int) -> None:
        """The peer's repair packets have this SSRC from now on."""
        self.repair.note_source(ssrc)

    # -- sending ------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Media has begun to flow in either direction: start reporting."""
        if self._began is None:
            self._began = now
            self._timer.start(now)

    def keep_alive(self) -> bytes | None:
        """A report of nothing, which opens NAT bindings before the first real one; None once reports are sent."""
        if self._ended or self._timer.next is not None:
            return None
        datagram = packets.serialize(self._writer.empty())
        self.sent += 1
        self.sent_bytes += len(datagram)
        return datagram

    def next_timer(self) -> float | None:
        """When `datagrams_to_send` may have something."""
        return None if self._ended else self._timer.next

    def datagrams_to_send(self, now: float, media_bytes: int = 0) -> list[bytes]:
        """The compound that is due, if any. `media_bytes`: received so far, for the session bandwidth."""
        if self._ended or not self._timer.is_due(now):
            return []
        self._measure_bandwidth(now, media_bytes)
        compound = self._writer.compound(now, full=self._regular % FULL_REPORT_EVERY == 0)
        self._regular += 1
        return [self._count(packets.serialize(compound), now)]

    @property
    def ended(self) -> bool:
        """Whether the last report has been made: the peer may be silent from now on."""
        return self._ended

    def final_report(self, now: float) -> list[bytes]:
        """The last compound, once, with the final figures; nothing if media never flowed.

        It has a BYE only if a packet or report was sent before (RFC 3550 section 6.3.7).
        """
        if self._ended or self._began is None:
            self._ended = True
            return []
        sent, compound = self._sources.sender_stats(), self._writer.compound(now, full=True, last=True)
        if self.sent or (sent is not None and sent.packets):
            ours = (self.parameters.ssrc, self.parameters.repair_ssrc)
            compound.append(Goodbye(tuple(ssrc for ssrc in ours if ssrc is not None)))
        self._ended = True
        return [self._count(packets.serialize(compound), now)]

    def _count(self, datagram: bytes, now: float) -> bytes:
        self.sent += 1
        self.sent_bytes += len(datagram)
        self._timer.sent(len(datagram) + IP_UDP_HEADER[4], now)
        return datagram

    def _measure_bandwidth(self, now: float, media_bytes: int) -> None:
        sent = self._sources.sender_stats()
        total = media_bytes + (sent.ip_bytes if sent is not None else 0)
        if self._measured is not None and now > self._measured[0]:
            seconds = now - self._measured[0]
            self._timer.set_session_bandwidth(8 * (total - self._measured[1]) / seconds)
        self._measured = (now, total)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> bool:
        """Take a datagram of the peer; False if it is malformed. A copy of the last one is ignored."""
        try:
            compound = packets.parse(data)
        except packets.NotCompound:
            return True  # ignored: it may not be RTCP at all
        except ProtocolError:
            return False
        if data == self._last_data:
            return True
        self._last_data = data
        self._timer.received(len(data) + IP_UDP_HEADER[4])
        had_left = self.peer_left
        self._peer.receive(compound, now, timed=not self._stood_still(now))
        if self.peer_left and not had_left:
            self._timer.at_once(now)  # so that the peer learns what happened to its last packets
        return True

    def _stood_still(self, now: float) -> bool:
        """Whether a report of ours is long overdue: the process, or its thread, stood still meanwhile, and what is read
        now came at a time that is not known."""
        due = self.next_timer()
        return due is not None and now - due > STOOD_STILL
