"""A media port in virtual time, for its tests: the packets of a call, and a wire that feeds a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.negotiated import changed, negotiated
from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.rtp import RtpPacket
from voip.session import Address, RtpSession

PEER = ("192.0.2.10", 5004)
NAT = ("198.51.100.7", 40000)  # where packets of a peer behind a NAT come from
STRANGER = ("203.0.113.66", 6666)
PTIME = 0.02
STEP = 160
SSRC, REPAIR_SSRC = 0xCAFE0001, 0xFEC00001
MEDIA_TYPE, REPAIR_TYPE = 0, 97
FIRST_NUMBER, FIRST_TIMESTAMP = 65530, 0x100000000 - 5 * STEP  # everything wraps early
SENDER_REPORT = bytes.fromhex("80c80006cafe0001") + bytes(20)


def media(**changes: Any) -> NegotiatedMedia:  # noqa: ANN401 - the fields of NegotiatedMedia
    plain = negotiated(
        codec=codecs.find("PCMU", 8000, 1),
        payload_type=MEDIA_TYPE,
        remote=PEER,
        ptime=PTIME,
        direction=Direction.RECVONLY,
        fec="flexfec",
        fec_payload_type=REPAIR_TYPE,
    )
    return changed(plain, **changes)


def packet(index: int, *, ssrc: int = SSRC, ahead: int = 0) -> RtpPacket:
    """Packet `index` of the peer's stream; `ahead` shifts its sequence number alone."""
    number = (FIRST_NUMBER + index + ahead) & 0xFFFF
    return RtpPacket(
        MEDIA_TYPE, number, (FIRST_TIMESTAMP + index * STEP) & 0xFFFFFFFF, ssrc, bytes([index & 0xFF]) * 160
    )


def repair(*, ssrc: int = REPAIR_SSRC, csrcs: tuple[int, ...] = (SSRC,)) -> RtpPacket:
    return RtpPacket(REPAIR_TYPE, 7, FIRST_TIMESTAMP, ssrc, b"parity", csrcs=csrcs)


class Wire:
    """Feeds a session in virtual time, one packet time per packet, and remembers what it let through."""

    def __init__(self, session: RtpSession, now: float = 100.0) -> None:
        self.session = session
        self.now = now
        self.passed: list[RtpPacket] = []

    def send(self, item: RtpPacket | bytes, source: Address = PEER, *, after: float = PTIME) -> list[RtpPacket]:
        self.now += after
        data = item if isinstance(item, bytes) else item.serialize()
        packets = self.session.receive_datagram(data, source, self.now)
        self.passed += packets
        return packets

    def stream(self, indices: Iterable[int], source: Address = PEER, *, ssrc: int = SSRC, ahead: int = 0) -> list[int]:
        """Send these packets of the stream; the indices (mod 256) of those that passed."""
        passed: list[RtpPacket] = []
        for index in indices:
            passed += self.send(packet(index, ssrc=ssrc, ahead=ahead), source)
        return [p.payload[0] for p in passed]


def wire(**changes: Any) -> Wire:  # noqa: ANN401 - the fields of NegotiatedMedia
    return Wire(RtpSession(media(**changes)))
