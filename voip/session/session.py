"""The receive path of one media port, and its RTCP (RFC 3550, RFC 4961, RFC 5761).

The order of the checks is the order of their cost and of trust: length, RTP or RTCP, source address, authenticity
(SRTP, RFC 3711), version and payload type, SSRC, sequence number. A datagram that fails a check is counted and changes
no later state.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from voip.errors import ProtocolError
from voip.media import FLEXFEC, MAX_PAYLOAD_TYPE, NegotiatedMedia
from voip.rtcp import ReportSources, RtcpParameters, RtcpSession
from voip.rtp import ReceptionStats, RtpPacket, is_rtcp
from voip.session.addresses import Address
from voip.session.latch import NOWHERE, SourceLatch
from voip.session.proof import AddressProof
from voip.session.protection import Protection
from voip.session.rate import RTCP_BURST, RTCP_RATE, Allowance
from voip.session.run import ReceivedPacket
from voip.session.validation import StreamValidator
from voip.stats import SessionStats

MIN_RECEIVED_BYTES = 8
"""Size of the shortest datagram that is accepted: an empty RTCP receiver report (RFC 3550 section 6.4.2)."""
MAX_RECEIVED_BYTES = 8192
"""Size of the longest RTP packet that is accepted: 20 ms of L16 at 96 kHz in stereo are 7680. Bounds all memory."""
SRTCP_INDEX = 4
"""Bytes by which SRTCP is longer than RTCP, besides the tag (RFC 3711 section 3.4)."""


class RtpSession:
    """One media port, on the network thread. Never raises because of received data: counts and drops it.

    `malformed`, `foreign` (another address), `unknown_payload_type`, `stray` (another SSRC, or an unconfirmed jump)
    and `rtcp` count datagrams; `bytes_received` and `ip_bytes` those that were passed on. `rtcp_session` is None unless
    a CNAME was given: no RTCP is sent.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        cname: str | None = None,
        ntp_offset: float = 0.0,
        rng: random.Random | None = None,
        reports: ReportSources | None = None,
        invited: bool = True,
        signalling_host: str | None = None,
    ) -> None:
        """`ntp_offset`, added to monotonic seconds, gives seconds since 1900. `rng` spreads reports over time.
        `reports` is where the figures of our reports come from and where the peer's reports go. `invited`: we chose the
        peer; False: it called, and gets nothing at an address that has not proved itself. `signalling_host`: where its
        SIP comes from."""
        rng = rng or random.Random()
        self.media = media
        self.protection = Protection(media.security)
        """What is to be sent goes through it; the session opens what comes."""
        self.last_heard: float | None = None  # the last well-formed RTP or RTCP packet of the peer
        self.malformed = 0
        self.foreign = 0
        self.unknown_payload_type = 0
        self.rtcp = 0
        self.rtcp_ip_bytes = 0
        self.bytes_received = 0
        self.ip_bytes = 0
        self.reception = ReceptionStats(media.clock_rate, receipts=media.rtcp_xr.receipts)
        self.repair_reception = ReceptionStats(media.repair_clock_rate, receipts=media.rtcp_xr.receipts)
        both = (self.reception, self.repair_reception)
        self.proof = AddressProof(needed=not invited)
        self._latch = SourceLatch(media, signalling_host)
        self.rtcp_session: RtcpSession | None = None
        if cname is not None:
            sources, parameters = reports or ReportSources(), _rtcp_parameters(media)
            self.rtcp_session = RtcpSession(parameters, cname, *both, sources=sources, ntp_offset=ntp_offset, rng=rng)
        self._validator = StreamValidator(media, *both, self.rtcp_session)
        self._rtcp_allowance = Allowance(RTCP_RATE, RTCP_BURST)
        self._keep_alive_ssrc = _unused_ssrc(rng, media)
        self._kept_alive = 0

    @property
    def remote(self) -> Address:
        """Where the peer's media comes from: the latched address, else the one its SDP gave. Any thread may ask."""
        return self._latch.remote

    @property
    def may_send(self) -> bool:
        """Whether media may go to `remote`. Any thread may ask."""
        remote = self._latch.remote
        return remote != NOWHERE and self.proof.allows(remote)

    def select(self, address: Address | None, now: float) -> None:
        """ICE has selected this address, by a check that has come from there; None: the peer no longer consents."""
        self._latch.select(address)
        if address is not None:
            self.proof.add(address[0])
            self.last_heard = now

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
        """Packets of another SSRC, or after a jump that no second packet confirmed."""
        return self._validator.stray

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that the peer's datagrams are expected from; none while anyone may be the peer."""
        return self._latch.hosts

    @property
    def ssrcs(self) -> frozenset[int]:
        """The SSRCs by which the peer's datagrams are known so far."""
        found = {*self._validator.ssrcs, self.media.remote_ssrc, self.media.remote_fec_ssrc}
        return frozenset(ssrc for ssrc in found if ssrc is not None)

    def note_filtered(self, count: int, *, as_peer: bool = False) -> None:
        """So many datagrams of other addresses did not even get here, or of the peer's with other SSRCs."""
        if as_peer:
            self._validator.note_stray(count)
        else:
            self.foreign += count

    @property
    def peer_left(self) -> bool:
        """Whether the peer has sent an RTCP BYE, which ends nothing by itself."""
        return self.rtcp_session is not None and self.rtcp_session.peer_left

    @property
    def stats(self) -> SessionStats:
        """A snapshot of the counters; `icmp_errors` and `overruns` are counted elsewhere and 0 here."""
        rtcp, tag = self.rtcp_session, self.media.tag_length
        around = self._latch.ip_header + (tag + SRTCP_INDEX if tag else 0)
        return replace(
            SessionStats() if rtcp is None else rtcp.stats(around),
            malformed=self.malformed,
            foreign=self.foreign,
            unknown_payload_type=self.unknown_payload_type,
            stray=self.stray,
            looped=self._validator.looped,
            unauthenticated=self.protection.unauthenticated,
            replayed=self.protection.replayed,
            rtcp=self.rtcp,
            excess=self._rtcp_allowance.refused + self._validator.repair.excess,
            bytes=self.bytes_received,
            ip_bytes=self.ip_bytes,
            rtcp_ip_bytes=self.rtcp_ip_bytes,
            comfort_noise=self._validator.in_comfort_noise,
        )

    def update(self, media: NegotiatedMedia) -> None:
        """Continue with renegotiated media; unless the peer signalled another address (not hold), the latch stays."""
        self._latch.update(media)
        self._validator.update(media)
        self.protection.update(media.security)
        self.media = media
        if self.rtcp_session is not None:
            self.rtcp_session.update(_rtcp_parameters(media))

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive_datagram(
        self, data: bytes, source: Address, now: float, on_rtcp: Callable[[bytes, Address], None] | None = None
    ) -> list[RtpPacket]:
        """The packets that this datagram makes available, media and repair, in order: usually one or none.

        `on_rtcp` is shown RTCP, opened if it is the peer's.
        """
        if not MIN_RECEIVED_BYTES <= len(data) <= MAX_RECEIVED_BYTES:
            self.malformed += 1
            return []
        if is_rtcp(data):
            self._receive_rtcp(data, source, now, on_rtcp)
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
            return self._receive_unknown(ReceivedPacket(packet, now, len(data)))
        if source != latch.source:
            self._latch_to(source, packet.ssrc)
        return self._validate(ReceivedPacket(packet, now, len(data)))

    def _receive_unknown(self, received: ReceivedPacket) -> list[RtpPacket]:
        """A packet of the peer of a type that was not negotiated: none of its sound, but perhaps one of its numbers."""
        self.unknown_payload_type += 1
        if not self._validator.counts_unknown(received):
            return []
        self.bytes_received += received.size
        self.ip_bytes += received.size + self._latch.ip_header
        return [received.packet]

    def _receive_foreign(self, data: bytes, source: Address, now: float) -> list[RtpPacket]:
        """A datagram from another address: none passes until that address has sent a convincing run."""
        self.foreign += 1
        latch, validator = self._latch, self._validator
        if not latch.may_move(source, now):
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
        self._latch_to(source, packet.ssrc)
        self.foreign -= len(run.held)
        return [packet for received in run.held for packet in self._validate(received)]

    def _latch_to(self, source: Address, ssrc: int) -> None:
        """Media is accepted from this address; a stream that came from elsewhere has nothing to say about it."""
        if self.latched and ssrc != self._validator.ssrc:
            self._validator.forget()
        self._latch.latch(source)
        self.proof.add(source[0])

    def _validate(self, received: ReceivedPacket) -> list[RtpPacket]:
        """The packets that the stream gains by one of the peer's, counted."""
        accepted = self._validator.validate(received)
        for each in accepted:
            size = each.size + self.media.header_change
            self.bytes_received += size
            self.ip_bytes += size + self._latch.ip_header
        return [each.packet for each in accepted]

    def _parse(self, data: bytes) -> RtpPacket | None:
        opened = self.protection.open_rtp(data)
        if opened is None:
            return None
        try:
            return RtpPacket.parse(opened)
        except ProtocolError:
            self.malformed += 1
            return None

    def _receive_rtcp(
        self, data: bytes, source: Address, now: float, on_rtcp: Callable[[bytes, Address], None] | None
    ) -> None:
        """RTCP of the peer: a sign of life, and its reports."""
        latch = self._latch
        from_peer = latch.is_rtcp_peer(source)
        opened = self.protection.open_rtcp(data) if from_peer else data
        if opened is not None and on_rtcp is not None:
            on_rtcp(opened, source)
        if not from_peer:
            self.foreign += 1
        if not from_peer or opened is None:
            return
        self.rtcp += 1
        self.rtcp_ip_bytes += len(data) + latch.ip_header
        if not self._rtcp_allowance.take(now):
            return
        if self.rtcp_session is not None and not self.rtcp_session.receive(opened, now):
            self.malformed += 1
            return
        self.last_heard = now
        self.proof.add(source[0])
        if latch.is_peer(source):  # RTCP from a port of its own says nothing about the source of media
            latch.note_alive(now)

    # -- sending ------------------------------------------------------------------------------------------------------

    def keep_alive(self) -> bytes | None:
        """A packet that opens NAT bindings for incoming media and keeps them open; None on hold.

        Where RTCP has the same port, it does that (RFC 6263 section 5): its reports, or an empty one before them.
        Elsewhere the packet is empty, and of a payload type that was not negotiated, so that the peer drops it (section
        4.6).
        """
        destination, media = self._latch.media_destination, self.media
        if destination is None or not self.proof.take_keep_alive(destination):
            return None
        reports = None if self.protection.waits_for_keys else self.rtcp_session
        if media.rtcp_mux and reports is not None and self.proof.allows(destination):
            return reports.keep_alive()
        taken = (
            media.payload_type,
            *media.arriving_formats,
            media.fec_payload_type,
            media.arriving_fec_payload_type,
        )
        payload_type = next(number for number in range(MAX_PAYLOAD_TYPE, 0, -1) if number not in taken)
        self._kept_alive += 1
        return RtpPacket(payload_type, self._kept_alive & 0xFFFF, 0, self._keep_alive_ssrc).serialize()

    @property
    def rtcp_destination(self) -> Address | None:
        """Where our RTCP goes: to the peer's RTP port if shared, else to the one its SDP named; None on hold, where
        the peer wants none (RFC 3556), and to an address that has not proved itself."""
        destination = None if self.media.rtcp_off else self._latch.rtcp_destination
        return destination if destination is not None and self.proof.allows(destination) else None

    def start_reports(self, now: float) -> None:
        """The call is up: who takes part reports, also that nothing arrives (RFC 3550 section 6.4)."""
        if self.rtcp_session is not None:
            self.rtcp_session.start(now)

    def rtcp_to_send(self, now: float) -> list[bytes]:
        """The RTCP that is due, for `rtcp_destination`."""
        if self.rtcp_session is None or self.rtcp_destination is None or self.protection.waits_for_keys:
            return []
        return self.rtcp_session.datagrams_to_send(now, self.ip_bytes)

    def final_report(self, now: float) -> list[bytes]:
        """The last RTCP of the call, once."""
        if self.rtcp_session is None or self.rtcp_destination is None or self.protection.waits_for_keys:
            return []
        return self.rtcp_session.final_report(now)

    def next_timer(self) -> float | None:
        """When `rtcp_to_send` may have something."""
        if self.rtcp_session is None or self.rtcp_destination is None or self.protection.waits_for_keys:
            return None
        return self.rtcp_session.next_timer()


def _unused_ssrc(rng: random.Random, media: NegotiatedMedia) -> int:
    """One of no stream, so that none has a gap, and no key stream repeats."""
    ssrc = rng.getrandbits(32)
    while ssrc in (media.ssrc, media.fec_ssrc):
        ssrc = ssrc + 1 & 0xFFFFFFFF
    return ssrc


def _rtcp_parameters(media: NegotiatedMedia) -> RtcpParameters:
    reports = media.rtcp_xr
    return RtcpParameters(
        ssrc=media.ssrc,
        repair_ssrc=media.fec_ssrc if media.fec == FLEXFEC and media.direction.sends else None,
        clock_rate=media.clock_rate,
        ptime=media.packet_time,
        extended=reports,
        echoes=reports.round_trip or "all",
        loss_rle_bytes=reports.loss_rle_bytes,
        receipt_bytes=reports.receipt_bytes,
        echo_bytes=reports.round_trip_bytes,
        summary_fields=frozenset() if reports.summary is None else reports.summary,
        remote_ssrc=media.remote_ssrc,
        repair_clock_rate=media.repair_clock_rate,
    )
