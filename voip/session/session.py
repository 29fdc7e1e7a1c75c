"""One media port's receive path, and its RTCP: the order of the checks (RFC 3550, RFC 4961, RFC 5761).

The order of the checks is the order of their cost and of trust: length, source address, RTP or RTCP, version and
payload type, SSRC, sequence number. What fails one is counted and touches no later state.
"""

from __future__ import annotations

import random
from dataclasses import replace

from voip.errors import ProtocolError
from voip.media import FLEXFEC, MAX_PAYLOAD_TYPE, NegotiatedMedia
from voip.rtcp import ReportSources, RtcpParameters, RtcpSession
from voip.rtp import ReceptionStats, RtpPacket, is_rtcp
from voip.session.latch import Address, SourceLatch
from voip.session.run import ReceivedPacket
from voip.session.validation import StreamValidator
from voip.stats import SessionStats

SHORTEST_DATAGRAM = 8
"""Bytes of the shortest datagram with a meaning here: an empty RTCP receiver report (RFC 3550 section 6.4.2)."""
LONGEST_DATAGRAM = 8192
"""Bytes of the longest RTP packet believed: 20 ms of L16 at 96 kHz in stereo are 7680. Bounds what anything stores."""


class RtpSession:
    """Receives one media port, on the network thread. Never raises for what a peer sent: counts and drops.

    `malformed`, `foreign` (another address), `unknown_payload_type`, `stray` (another SSRC, or a jump that nothing
    confirmed) and `rtcp` count datagrams; `bytes_received` and `ip_bytes` those that were handed out. `rtcp_session`
    is None unless a CNAME was given: no RTCP is sent.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        cname: str | None = None,
        ntp_offset: float = 0.0,
        rng: random.Random | None = None,
        reports: ReportSources | None = None,
    ) -> None:
        """`ntp_offset` makes monotonic seconds such since 1900; `rng` spreads reports over time; `reports` says where
        the figures of our reports come from, and where the peer's go."""
        rng = rng or random.Random()
        self.media = media
        self.rtcp_session: RtcpSession | None = None
        self.last_heard: float | None = None  # the last well-formed RTP or RTCP packet of the peer
        self.malformed = 0
        self.foreign = 0
        self.unknown_payload_type = 0
        self.rtcp = 0
        self.rtcp_ip_bytes = 0
        self.bytes_received = 0
        self.ip_bytes = 0
        self.reception = ReceptionStats(media.clock_rate)
        self.repair_reception = ReceptionStats(media.clock_rate)
        both = (self.reception, self.repair_reception)
        self._latch = SourceLatch(media)
        if cname is None:
            self._validator = StreamValidator(media, *both)
        else:
            sources, parameters = reports or ReportSources(), _rtcp_parameters(media)
            rtcp = RtcpSession(parameters, cname, *both, sources=sources, ntp_offset=ntp_offset, rng=rng)
            self._validator = StreamValidator(
                media, *both, on_media=rtcp.note_media, on_repair_source=rtcp.note_repair_source
            )
            self.rtcp_session = rtcp
        self._keep_alive_ssrc = rng.getrandbits(32)  # of no stream: no receiver misses packets of it
        self._kept_alive = 0

    @property
    def remote(self) -> Address:
        """Where the peer's media comes from: the latched address, else the one its SDP gave. Any thread may ask."""
        return self._latch.remote

    @property
    def latched(self) -> bool:
        """Whether media has been accepted from `remote`."""
        return self._latch.source is not None

    @property
    def ssrc(self) -> int | None:
        """The SSRC of the peer's media, once known."""
        return self._validator.ssrc

    @property
    def stray(self) -> int:
        """Packets of another SSRC, or of a jump that no second packet confirmed."""
        return self._validator.stray

    @property
    def peer_left(self) -> bool:
        """Whether the peer has said BYE by RTCP; that alone ends nothing."""
        return self.rtcp_session is not None and self.rtcp_session.peer_left

    @property
    def stats(self) -> SessionStats:
        """The counters as a snapshot; `icmp_errors` and `overruns` are counted elsewhere, and 0 here."""
        exchange = self.rtcp_session
        told = SessionStats() if exchange is None else exchange.stats(self._latch.ip_header)
        return replace(
            told,
            malformed=self.malformed,
            foreign=self.foreign,
            unknown_payload_type=self.unknown_payload_type,
            stray=self.stray,
            rtcp=self.rtcp,
            bytes=self.bytes_received,
            ip_bytes=self.ip_bytes,
            rtcp_ip_bytes=self.rtcp_ip_bytes,
        )

    def update(self, media: NegotiatedMedia) -> None:
        """Go on with what a re-INVITE agreed; the latch stays unless the peer signalled another address (no hold)."""
        self._latch.update(media)
        self._validator.update(media)
        self.media = media
        if self.rtcp_session is not None:
            self.rtcp_session.update(_rtcp_parameters(media))

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: float) -> list[RtpPacket]:
        """The packets that this datagram makes available, media and repair, in order: mostly one, or none."""
        if not SHORTEST_DATAGRAM <= len(data) <= LONGEST_DATAGRAM:
            self.malformed += 1
            return []
        if is_rtcp(data):
            self._receive_rtcp(data, source, now)
            return []
        latch = self._latch
        if source != latch.source and not latch.is_peer(source):
            return self._receive_foreign(data, source, now)
        packet = self._parse(data)
        if packet is None:
            return []
        self.last_heard = now
        latch.note_alive(now)
        if latch.unsignalled:
            packet = self._validator.with_expected_type(packet)
        if not self._validator.is_expected(packet):
            self.unknown_payload_type += 1
            return []
        if source != latch.source:
            latch.latch(source)
        return self._validate(ReceivedPacket(packet, now, len(data)))

    def _receive_foreign(self, data: bytes, source: Address, now: float) -> list[RtpPacket]:
        """Another address than the peer's: nothing of it passes until it has shown a whole run."""
        self.foreign += 1
        latch, validator = self._latch, self._validator
        if not latch.may_move(now):
            return []
        packet = self._parse(data)
        if packet is None or not validator.is_expected(packet):
            return []
        received = ReceivedPacket(packet, now, len(data))
        run = latch.consider(received, source, validator.position, is_audio=validator.is_audio(packet))
        if run is None:
            return []
        self.last_heard = now
        latch.note_alive(now)
        latch.latch(source)
        self.foreign -= len(run.held)
        return [packet for received in run.held for packet in self._validate(received)]

    def _validate(self, received: ReceivedPacket) -> list[RtpPacket]:
        """What the stream gains by a packet of the peer, counted."""
        accepted = self._validator.validate(received)
        for each in accepted:
            self.bytes_received += each.size
            self.ip_bytes += each.size + self._latch.ip_header
        return [each.packet for each in accepted]

    def _parse(self, data: bytes) -> RtpPacket | None:
        try:
            return RtpPacket.parse(data)
        except ProtocolError:
            self.malformed += 1
            return None

    def _receive_rtcp(self, data: bytes, source: Address, now: float) -> None:
        """RTCP of the peer: a sign of life, and its reports."""
        latch = self._latch
        if not latch.is_rtcp_peer(source):
            self.foreign += 1
            return
        self.rtcp += 1
        self.rtcp_ip_bytes += len(data) + latch.ip_header
        if self.rtcp_session is not None and not self.rtcp_session.receive(data, now):
            self.malformed += 1
            return
        self.last_heard = now
        if latch.is_peer(source):  # from a port of its own it says nothing of where the peer's media comes from
            latch.note_alive(now)

    # -- sending ------------------------------------------------------------------------------------------------------

    def keep_alive(self) -> bytes | None:
        """A packet that opens the way for what comes to us, and keeps it open (RFC 6263 section 4.6): empty, and of a
        payload type that was not agreed on, so that the peer drops it. None on hold."""
        if self._latch.media_destination is None:
            return None
        media = self.media
        taken = (
            media.payload_type,
            media.arriving_payload_type,
            media.fec_payload_type,
            media.arriving_fec_payload_type,
        )
        payload_type = next(number for number in range(MAX_PAYLOAD_TYPE, 0, -1) if number not in taken)
        self._kept_alive += 1
        return RtpPacket(payload_type, self._kept_alive & 0xFFFF, 0, self._keep_alive_ssrc).serialize()

    @property
    def rtcp_destination(self) -> Address | None:
        """Where our RTCP goes: to the peer's RTP port if shared, else to the one its SDP named; None on hold."""
        return self._latch.rtcp_destination

    def start_reports(self, now: float) -> None:
        """Our media flows; without that reports begin with the peer's first packet."""
        if self.rtcp_session is not None:
            self.rtcp_session.start(now)

    def rtcp_to_send(self, now: float) -> list[bytes]:
        """RTCP that is due, for `rtcp_destination`."""
        if self.rtcp_session is None or self.rtcp_destination is None:
            return []
        return self.rtcp_session.datagrams_to_send(now, self.ip_bytes)

    def final_report(self, now: float) -> list[bytes]:
        """The last RTCP of the call, once."""
        if self.rtcp_session is None or self.rtcp_destination is None:
            return []
        return self.rtcp_session.final_report(now)

    def next_timer(self) -> float | None:
        """When `rtcp_to_send` may have something."""
        if self.rtcp_session is None or self.rtcp_destination is None:
            return None
        return self.rtcp_session.next_timer()


def _rtcp_parameters(media: NegotiatedMedia) -> RtcpParameters:
    return RtcpParameters(
        ssrc=media.ssrc,
        repair_ssrc=media.fec_ssrc if media.fec == FLEXFEC and media.direction.sends else None,
        clock_rate=media.clock_rate,
        ptime=media.packet_time,
        reduced_size=media.rtcp_rsize,
        extended=media.rtcp_xr,
    )
