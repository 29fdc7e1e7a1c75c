"""The RTCP of one call: when we report to the peer, and what comes of its reports (RFC 3550 section 6, RFC 3611).

One object per call, on the network thread. It never raises for what a peer sent: `receive` says whether it was well
formed. Blocks about streams that are not ours are read over; a peer's BYE is noted and ends nothing.
"""

from __future__ import annotations

import random

from voip.errors import ProtocolError
from voip.ip import IP_UDP_HEADER
from voip.rtcp import packets
from voip.rtcp.compound import CompoundWriter
from voip.rtcp.incoming import Incoming
from voip.rtcp.packets import Goodbye
from voip.rtcp.parameters import ReportSources, Terms
from voip.rtcp.peer import PeerReports
from voip.rtcp.roundtrip import RoundTrip
from voip.rtcp.timing import ReportTimer
from voip.rtp import ReceptionStats
from voip.stats import SessionStats

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


class RtcpExchange:
    """Reports both ways. `media` and `repair` are what has been received of the peer's two streams.

    `next_timer` and `datagrams_to_send` are the sending half, `receive` the other; `farewell` ends it. Times are
    monotonic seconds; `ntp_offset` makes them seconds since 1900. `sent` and `sent_bytes` count our compounds.
    """

    def __init__(
        self,
        terms: Terms,
        cname: str,
        media: ReceptionStats,
        repair: ReceptionStats,
        *,
        sources: ReportSources,
        ntp_offset: float,
        rng: random.Random,
    ) -> None:
        self.terms = terms
        self.media, self.repair = Incoming(media), Incoming(repair)
        self.sent = self.sent_bytes = 0
        self._sources = sources
        self._timer = ReportTimer(rng)
        self._peer = PeerReports(terms, sources, ntp_offset=ntp_offset)
        streams = (self.media, self.repair)
        self._writer = CompoundWriter(terms, cname, streams, self._peer, sources, ntp_offset=ntp_offset)
        self._last_data = b""
        self._measured: tuple[float, int] | None = None  # when, and bytes of media both ways until then
        self._began: float | None = None
        self._loss_at = float("-inf")
        self._lost = 0
        self._ended = False

    @property
    def round_trip(self) -> RoundTrip:
        """The time to the peer and back."""
        return self._peer.round_trip

    @property
    def peer_left(self) -> bool:
        """Whether the peer has sent BYE."""
        return self._peer.left

    def stats(self, ip_header: int) -> SessionStats:
        """The figures that are known here; `ip_header`: bytes of IP and UDP headers of what is sent."""
        return SessionStats(
            rtcp_sent=self.sent,
            rtcp_sent_ip_bytes=self.sent_bytes + self.sent * ip_header,
            rtt=self.round_trip.steady,
            rtt_min=self.round_trip.least,
            path=self._peer.path,
            path_packets=self._peer.packets_sent,
        )

    def update(self, terms: Terms) -> None:
        """Go on with what was negotiated anew."""
        self.terms = terms
        self._peer.update(terms)
        self._writer.update(terms)

    # -- what came of the peer's media --------------------------------------------------------------------------------

    def heard(self, ssrc: int, now: float) -> None:
        """A media packet of the peer was counted: if it shows that loss begins, the report is early."""
        self.media.ssrc = ssrc
        lost = self.media.reception.lost
        if lost != self._lost:
            if lost > self._lost:
                if now - self._loss_at > NEWS_AFTER:
                    self._timer.hurry(now)
                self._loss_at = now
                self._timer.busy = True
            self._lost = lost
        if self._began is None:
            self.start(now)

    def heard_repair_source(self, ssrc: int) -> None:
        """The peer's repair packets have this SSRC from here on."""
        self.repair.ssrc = ssrc

    # -- sending ------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Media flows, one way or the other."""
        if self._began is None:
            self._began = now
            self._timer.busy = True
            self._timer.start(now)

    def next_timer(self) -> float | None:
        """When `datagrams_to_send` may have something."""
        return None if self._ended else self._timer.next

    def datagrams_to_send(self, now: float, media_bytes: int = 0) -> list[bytes]:
        """The compound that is due, or nothing. `media_bytes`: received so far, for the session's bandwidth."""
        if self._ended or not self._timer.is_due(now):
            return []
        self._measure_bandwidth(now, media_bytes)
        jitter = self.media.reception.jitter
        since_start = now - (self._began or 0.0)
        self._timer.busy = since_start < BUSY_AT_FIRST or now - self._loss_at < BUSY_AFTER_LOSS or jitter > BUSY_JITTER
        compound = self._writer.compound(now, full=self.sent % FULL_EVERY == 0)
        return [self._count(packets.serialize(compound), now)]

    def farewell(self, now: float) -> list[bytes]:
        """The last compound, once, with the last figures; nothing where media never flowed.

        Without any packet or report sent there is no BYE (RFC 3550 section 6.3.7).
        """
        if self._ended or self._began is None:
            self._ended = True
            return []
        sent, compound = self._sources.sender_stats(), self._writer.compound(now, full=True)
        if self.sent or (sent is not None and sent.packets):
            ours = (self.terms.ssrc, self.terms.repair_ssrc)
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
            self._timer.session_bandwidth = 8 * (total - self._measured[1]) / (now - self._measured[0])
        self._measured = (now, total)

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
        self._timer.received(len(data) + IP_UDP_HEADER[4])
        had_left = self.peer_left
        self._peer.receive(compound, now)
        if self.peer_left and not had_left:
            self._timer.at_once(now)  # the peer still hears what became of its last packets
        return True
