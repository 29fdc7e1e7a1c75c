"""Which repair packets from the peer belong to its stream (RFC 8627 section 4.2.1), and how many of them."""

from __future__ import annotations

from voip.media import NegotiatedMedia
from voip.rtcp import RtcpSession
from voip.rtp import ReceptionStats, RtpPacket
from voip.session.rate import REPAIR_BURST, REPAIR_RATE, Allowance
from voip.session.run import ReceivedPacket


class RepairStream:
    """The repair stream beside a media stream: its SSRC, its `reception` before repair, and its rate.

    `excess` counts packets beyond what any pattern sends.
    """

    def __init__(self, media: NegotiatedMedia, reception: ReceptionStats, rtcp: RtcpSession | None) -> None:
        self.reception = reception
        self._rtcp = rtcp
        self.ssrc = media.remote_fec_ssrc
        """None: not known yet."""
        self._counted_ssrc: int | None = None
        self._jump: int | None = None  # a number far from the others
        self._allowance = Allowance(REPAIR_RATE / media.packet_time, REPAIR_BURST)
        self._use(media)

    @property
    def excess(self) -> int:
        """Packets that were too many to be worked on."""
        return self._allowance.refused

    def update(self, media: NegotiatedMedia) -> None:
        """Continue with renegotiated media."""
        if media.remote_fec_ssrc is not None:
            self.ssrc = media.remote_fec_ssrc
        self.reception.set_clock_rate(media.repair_clock_rate)
        self.reception.keep_receipts(media.rtcp_xr.receipts)
        self._use(media)
        self._allowance.set_rate(REPAIR_RATE / media.packet_time)

    def _use(self, media: NegotiatedMedia) -> None:
        self._media = media
        self._types = frozenset({media.arriving_fec_payload_type, media.arriving_red_payload_type} - {None})

    def is_excess(self, received: ReceivedPacket) -> bool:
        """Whether this is a repair packet too many: each costs the work of all the packets that it covers."""
        return received.packet.payload_type in self._types and not self._allowance.take(received.time)

    def begin_anew(self, ssrc: int) -> None:
        """Another media stream begins: the announced repair stream goes only with the announced media."""
        as_announced = self._media.remote_ssrc in (None, ssrc)
        self.ssrc = self._media.remote_fec_ssrc if as_announced else None

    def accept(self, received: ReceivedPacket, media_ssrc: int | None) -> bool:
        """Count a packet that belongs to the stream; False if it does not. `media_ssrc`: of the stream it repairs."""
        packet = received.packet
        if packet.ssrc != self.ssrc:
            if not self._may_begin(packet, media_ssrc):
                return False
            self.ssrc = packet.ssrc
        self._count(received)
        return True

    def _may_begin(self, packet: RtpPacket, media_ssrc: int | None) -> bool:
        """Whether a new SSRC may be the repair stream's."""
        announced = self._media.remote_ssrc
        protected = media_ssrc if media_ssrc is not None else announced
        if self._media.remote_fec_ssrc is not None and announced in (None, protected):
            return packet.ssrc == self._media.remote_fec_ssrc
        if protected is None or packet.ssrc == protected:
            return False
        return protected in packet.csrcs if packet.csrcs else self.ssrc is None

    def _count(self, received: ReceivedPacket) -> None:
        """Count a repair packet for the reports; it is passed on whatever its number."""
        packet, reception = received.packet, self.reception
        if self._counted_ssrc != packet.ssrc:
            self._counted_ssrc = packet.ssrc
            if self._rtcp is not None:
                self._rtcp.note_repair_source(packet.ssrc)
            reception.restart(packet)
        elif not reception.in_window(packet.sequence_number):
            previous, self._jump = self._jump, packet.sequence_number
            if previous is None or packet.sequence_number != (previous + 1) & 0xFFFF:
                return
            reception.restart(packet)
        self._jump = None
        reception.count(packet, received.time)
