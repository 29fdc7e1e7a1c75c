"""RTCP packets: sender and receiver reports, source descriptions, BYE, compounds (RFC 3550 sections 6.4 to 6.6, A.2).

Parsers return a value or raise ProtocolError. Packets of other types are checked for their length and ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from voip.errors import ProtocolError
from voip.rtcp.xr import ExtendedReport

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE, EXTENDED_REPORT = 200, 201, 202, 203, 207
"""Packet types (RFC 3550 section 12.1, RFC 3611 section 2)."""
MAX_BLOCKS = 31
"""Report blocks, chunks or sources that the count of one packet can name."""
MIN_LOST, MAX_LOST = -(1 << 23), (1 << 23) - 1
"""Range of the cumulative number of packets lost, which saturates (RFC 3550 section 6.4.1)."""

_VERSION_MASK, _VERSION_BITS, _PADDING_BIT, _COUNT_MASK = 0xC0, 0x80, 0x20, 0x1F
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_SENDER_INFO = struct.Struct("!QIII")
_SSRC = struct.Struct("!I")
_WORD = 4
_MASK_32 = 0xFFFFFFFF
_CNAME = 1
_MAX_TEXT = 255


@dataclass(frozen=True)
class ReportBlock:
    """Reception quality of one source (RFC 3550 section 6.4.1), as on the wire.

    `fraction_lost` is in 1/256, `jitter` in ticks of the media clock, `lsr` the middle 32 bits of an NTP time (0: no
    sender report was heard), `dlsr` in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest: int
    jitter: int
    lsr: int = 0
    dlsr: int = 0

    def serialize(self) -> bytes:
        """24 bytes; the number of lost packets saturates."""
        lost = max(MIN_LOST, min(self.cumulative_lost, MAX_LOST)) & 0xFFFFFF
        first = self.fraction_lost << 24 | lost
        return _BLOCK.pack(self.ssrc, first, self.highest & _MASK_32, self.jitter & _MASK_32, self.lsr, self.dlsr)


@dataclass(frozen=True)
class SenderReport:
    """What a source has sent: `ntp` (64 bits, 32 of them fraction) and RTP `timestamp` denote the same moment."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """The packet; counts wrap at 32 bits."""
        info = _SENDER_INFO.pack(self.ntp, self.timestamp, self.packets & _MASK_32, self.octets & _MASK_32)
        body = _SSRC.pack(self.ssrc) + info + b"".join(block.serialize() for block in self.blocks)
        return packet(SENDER_REPORT, len(self.blocks), body)


@dataclass(frozen=True)
class ReceiverReport:
    """The report of a participant that has not sent media lately."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """The packet."""
        body = _SSRC.pack(self.ssrc) + b"".join(block.serialize() for block in self.blocks)
        return packet(RECEIVER_REPORT, len(self.blocks), body)


@dataclass(frozen=True)
class SourceDescription:
    """Canonical names of sources: (SSRC, CNAME). Other items are ignored (RFC 3550 section 6.5)."""

    cnames: tuple[tuple[int, str], ...]

    def serialize(self) -> bytes:
        """The packet; ValueError if a name is longer than 255 bytes."""
        body = b""
        for ssrc, cname in self.cnames:
            text = cname.encode()
            if len(text) > _MAX_TEXT:
                raise ValueError(f"CNAME of {len(text)} bytes")
            chunk = _SSRC.pack(ssrc) + bytes((_CNAME, len(text))) + text
            body += chunk + bytes(_WORD - len(chunk) % _WORD)  # at least one zero ends the list
        return packet(SOURCE_DESCRIPTION, len(self.cnames), body)


@dataclass(frozen=True)
class Goodbye:
    """These sources leave (RFC 3550 section 6.6)."""

    ssrcs: tuple[int, ...]

    def serialize(self) -> bytes:
        """The packet."""
        return packet(GOODBYE, len(self.ssrcs), b"".join(_SSRC.pack(ssrc) for ssrc in self.ssrcs))


class NotCompound(ProtocolError):
    """Well-formed packets without a report before them: some phones keep their port open or say BYE that way."""


Packet = SenderReport | ReceiverReport | SourceDescription | Goodbye | ExtendedReport


def packet(packet_type: int, count: int, body: bytes) -> bytes:
    """A packet with its header around a body of whole words; ValueError if the count does not fit."""
    if not 0 <= count <= MAX_BLOCKS:
        raise ValueError(f"RTCP packet with a count of {count}")
    return _HEADER.pack(_VERSION_BITS | count, packet_type, len(body) // _WORD) + body


def serialize(packets: list[Packet]) -> bytes:
    """The datagram of a compound."""
    return b"".join(
        packet(EXTENDED_REPORT, 0, part.body()) if isinstance(part, ExtendedReport) else part.serialize()
        for part in packets
    )


def parse(data: bytes, *, reduced_size: bool = False) -> list[Packet]:
    """The packets of a datagram that are known here; ProtocolError if it breaks a rule of RFC 3550 A.2.

    `reduced_size`: it need not begin with a report (RFC 5506); else that is NotCompound.
    """
    packets: list[Packet] = []
    for index, (packet_type, count, body) in enumerate(list(_split(data))):
        if index == 0 and not reduced_size and packet_type not in (SENDER_REPORT, RECEIVER_REPORT):
            raise NotCompound(f"RTCP compound that begins with type {packet_type}")
        if packet_type == SENDER_REPORT:
            packets.append(_parse_sender_report(count, body))
        elif packet_type == RECEIVER_REPORT:
            packets.append(ReceiverReport(_ssrc(body), _parse_blocks(count, body, _SSRC.size)))
        elif packet_type == SOURCE_DESCRIPTION:
            packets.append(_parse_source_description(count, body))
        elif packet_type == GOODBYE:
            packets.append(_parse_goodbye(count, body))
        elif packet_type == EXTENDED_REPORT:
            packets.append(ExtendedReport.parse(body))
    return packets


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, count and body of each packet of a compound, without padding."""
    if not data or len(data) % _WORD:
        raise ProtocolError(f"RTCP of {len(data)} bytes: not whole words")
    start = 0
    while start < len(data):
        first, packet_type, words = _HEADER.unpack_from(data, start)
        end = start + (words + 1) * _WORD
        if first & _VERSION_MASK != _VERSION_BITS:
            raise ProtocolError(f"RTCP version {first >> 6}")
        if end > len(data):
            raise ProtocolError("RTCP packet is longer than its datagram")
        body = data[start + _WORD : end]
        if first & _PADDING_BIT:
            if end != len(data):
                raise ProtocolError("RTCP padding before the last packet")
            body = _without_padding(body)
        yield packet_type, first & _COUNT_MASK, body
        start = end


def _without_padding(body: bytes) -> bytes:
    count = body[-1] if body else 0
    if not 0 < count <= len(body) or count % _WORD:
        raise ProtocolError(f"RTCP padding of {count} octets in {len(body)}")
    return body[:-count]


def _ssrc(body: bytes, start: int = 0) -> int:
    if len(body) < start + _SSRC.size:
        raise ProtocolError("RTCP packet ends before its SSRC")
    ssrc: int = _SSRC.unpack_from(body, start)[0]
    return ssrc


def _parse_sender_report(count: int, body: bytes) -> SenderReport:
    ssrc, start = _ssrc(body), _SSRC.size
    if len(body) < start + _SENDER_INFO.size:
        raise ProtocolError("RTCP sender report ends inside its sender information")
    ntp, timestamp, packets, octets = _SENDER_INFO.unpack_from(body, start)
    return SenderReport(ssrc, ntp, timestamp, packets, octets, _parse_blocks(count, body, start + _SENDER_INFO.size))


def _parse_blocks(count: int, body: bytes, start: int) -> tuple[ReportBlock, ...]:
    """Report blocks; what follows them is a profile-specific extension and ignored."""
    if len(body) < start + count * _BLOCK.size:
        raise ProtocolError(f"RTCP report ends inside its {count} blocks")
    blocks = []
    for index in range(count):
        ssrc, losses, *rest = _BLOCK.unpack_from(body, start + index * _BLOCK.size)
        lost = losses & 0xFFFFFF
        blocks.append(ReportBlock(ssrc, losses >> 24, lost - (1 << 24) if lost > MAX_LOST else lost, *rest))
    return tuple(blocks)


def _parse_source_description(count: int, body: bytes) -> SourceDescription:
    cnames, start = [], 0
    for _ in range(count):
        ssrc = _ssrc(body, start)
        cname, start = _parse_items(body, start + _SSRC.size)
        if cname is not None:
            cnames.append((ssrc, cname))
    return SourceDescription(tuple(cnames))


def _parse_items(body: bytes, start: int) -> tuple[str | None, int]:
    """The CNAME of a chunk whose items begin here, and where the next chunk begins."""
    cname = None
    while start < len(body) and body[start]:
        if start + 2 > len(body) or start + 2 + body[start + 1] > len(body):
            raise ProtocolError("RTCP source description ends inside an item")
        end = start + 2 + body[start + 1]
        if body[start] == _CNAME and cname is None:
            cname = body[start + 2 : end].decode("utf-8", "replace")
        start = end
    if start >= len(body):
        raise ProtocolError("RTCP source description whose list of items has no end")
    return cname, start - start % _WORD + _WORD


def _parse_goodbye(count: int, body: bytes) -> Goodbye:
    """The sources; a reason for leaving is ignored."""
    if len(body) < count * _SSRC.size:
        raise ProtocolError(f"RTCP BYE ends inside its {count} sources")
    return Goodbye(struct.unpack_from(f"!{count}I", body))
