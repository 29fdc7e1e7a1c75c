"""Numbering of the packets of one stream that is sent (RFC 3550 section 5.1)."""

from __future__ import annotations

from voip.rtp.packet import RtpPacket


class Packetizer:
    """Sequence numbers and timestamps of one SSRC that we send; the caller chooses random first ones (section 5.1)."""

    def __init__(self, ssrc: int, payload_type: int, sequence_number: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.sequence_number = sequence_number & 0xFFFF
        self.timestamp = timestamp & 0xFFFFFFFF

    def renegotiate(self, ssrc: int, payload_type: int) -> None:
        """The packets to come have this SSRC and payload type; numbers and timestamps go on."""
        self.ssrc, self.payload_type = ssrc, payload_type

    def packetize(self, payloads: list[bytes], duration: int, *, marker: bool = False) -> list[RtpPacket]:
        """The packets of one frame that lasts `duration` ticks: they share its timestamp, the last has the marker."""
        packets = [
            RtpPacket(self.payload_type, self.take_number(), self.timestamp, self.ssrc, payload) for payload in payloads
        ]
        if packets:
            packets[-1].marker = marker
        self.skip(duration)
        return packets

    def take_number(self) -> int:
        """The next sequence number, for a packet that is not media but counts among it."""
        number = self.sequence_number
        self.sequence_number = (number + 1) & 0xFFFF
        return number

    def event_packet(self, payload_type: int, payload: bytes, timestamp: int, *, marker: bool = False) -> RtpPacket:
        """A packet of another format in the same sequence, which takes no media time (RFC 4733 section 2.2)."""
        packet = RtpPacket(payload_type, self.sequence_number, timestamp, self.ssrc, payload, marker)
        self.sequence_number = (self.sequence_number + 1) & 0xFFFF
        return packet

    def skip(self, duration: int) -> None:
        """Media time passes (`duration` ticks) without packets."""
        self.timestamp = (self.timestamp + duration) & 0xFFFFFFFF
