"""ULPFEC: header, encoder and decoder (RFC 5109 sections 7.3, 7.4, 8, 9), as libwebrtc and GStreamer speak it.

The payload of a repair packet is

    E L P X CC | M PT | SN base | TS recovery | length recovery | protection length | mask | parity | other levels

where mask bit i (most significant first) stands for the packet SN base + i; L = 1 says that masks have 48 bits rather
than 16. A level protects so many bytes behind the fixed headers of the packets in its mask, the next one those behind
them. We send level 0 alone, over all of each packet.

RFC 5109 has repair packets count in a sequence of their own. libwebrtc and GStreamer send them within the media stream:
the same SSRC, and numbers that the media then lacks. So do we, and either is understood.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache

from voip.errors import ProtocolError
from voip.fec.decoder import ParityDecoder
from voip.fec.encoder import ParityEncoder, Protected, combined
from voip.fec.memory import SEQUENCE_MASK
from voip.fec.pattern import Pattern
from voip.fec.red import wrap
from voip.fec.xor import FIXED_HEADER, MAX_PACKET, RepairHeader, parity_from_bytes, parity_to_bytes
from voip.rtp import Packetizer, RtpPacket

ULP_REACH = 48
"""Packets from SN base on that a mask can name (section 7.4)."""
MAX_LEVELS = 8
"""Levels of one repair packet that are read; no known sender uses more than two."""
_SHORT_BITS = 16
_LONG_MASK_BIT = 0x40  # L
_HEADER = struct.Struct("!BBHIH")
_PARITY_HEADER = struct.Struct("!BBHI")
_LENGTH = struct.Struct("!H")
_SHORT = struct.Struct("!H")
_LONG = struct.Struct("!HI")


@lru_cache(maxsize=256)
def mask_bytes(positions: tuple[int, ...]) -> bytes:
    """The shortest mask for these positions behind SN base, each 0 to 47."""
    bits = sum(1 << (ULP_REACH - 1 - position) for position in positions)
    if max(positions) < _SHORT_BITS:
        return _SHORT.pack(bits >> 32)
    return _LONG.pack(bits >> 32, bits & 0xFFFFFFFF)


@lru_cache(maxsize=256)
def mask_positions(mask: bytes) -> tuple[int, ...]:
    """The positions that a mask of 2 or 6 bytes names, ascending; it may be empty."""
    bits, width = int.from_bytes(mask, "big"), 8 * len(mask)
    return tuple(i for i in range(width) if bits >> (width - 1 - i) & 1)


def parse_repair(payload: bytes) -> RepairHeader:
    """Read the payload of a repair packet; ProtocolError, and nothing else, if it is not one.

    Levels of the same mask are one. What levels of other masks protect is left out: a packet longer than what comes
    before cannot be rebuilt by this repair packet.
    """
    if len(payload) < _HEADER.size:
        raise ProtocolError(f"repair payload of {len(payload)} bytes: shorter than its header")
    flags, payload_type, base, timestamp, length = _HEADER.unpack_from(payload)
    levels = _levels(payload, _LONG.size if flags & _LONG_MASK_BIT else _SHORT.size)
    mask = levels[0][0]
    parts = []
    for other, protected in levels:
        if other != mask:
            break
        parts.append(protected)
    positions = mask_positions(mask)
    if not positions:
        raise ProtocolError("repair packet that covers nothing")
    body = b"".join(parts)
    if len(body) > MAX_PACKET - FIXED_HEADER:
        raise ProtocolError(f"repair packet over {len(body)} bytes")
    header = _PARITY_HEADER.pack(flags, payload_type, length, timestamp)
    return RepairHeader(base, positions, parity_from_bytes(header + body), len(body))


def fitting(pattern: Pattern | None) -> Pattern | None:
    """The pattern; ValueError if it asks for copies, or if it and the numbers of repair packets exceed a mask."""
    if pattern is not None:
        if pattern.copy_bitrate is not None:
            raise ValueError(f"{pattern}: ULPFEC carries parity, not copies")
        between = 0 if pattern.is_block else math.ceil(pattern.reach * pattern.overhead)
        if pattern.reach + between >= ULP_REACH:
            raise ValueError(f"{pattern}: a mask of ULPFEC names {ULP_REACH} numbers, repair packets between included")
    return pattern


def _levels(payload: bytes, mask_size: int) -> list[tuple[bytes, bytes]]:
    """Mask and parity of each level."""
    levels: list[tuple[bytes, bytes]] = []
    start = _HEADER.size
    while start < len(payload) or not levels:
        body = start + _LENGTH.size + mask_size
        if body > len(payload):
            raise ProtocolError("repair payload ends inside the header of a level")
        end = body + _LENGTH.unpack_from(payload, start)[0]
        if end > len(payload):
            raise ProtocolError("repair payload ends inside a level")
        if len(levels) == MAX_LEVELS:
            raise ProtocolError(f"repair packet of more than {MAX_LEVELS} levels")
        levels.append((payload[start + _LENGTH.size : body], payload[body:end]))
        start = end
    return levels


class UlpFecEncoder(ParityEncoder):
    """Repair packets within the media stream: `numbers` is what gives its packets their sequence numbers.

    With a `red_payload_type` RED carries both, as WebRTC has it.
    """

    def __init__(
        self, pattern: Pattern | None, *, payload_type: int, numbers: Packetizer, red_payload_type: int | None = None
    ) -> None:
        super().__init__(pattern, payload_type=payload_type)
        self.red_payload_type = red_payload_type
        self._numbers = numbers
        self._next: int | None = None

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """A media packet, or one of ours, as it goes on the wire."""
        return packet if self.red_payload_type is None else wrap(packet, self.red_payload_type)

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """The repair packets to send right after this media packet: often none."""
        repairs = super().protect(packet, time)
        self._next = self._numbers.sequence_number
        return repairs

    def _next_number(self) -> int:
        return super()._next_number() if self._next is None else self._next

    def _repair_over(self, members: list[Protected]) -> RtpPacket:
        newest = members[0].sequence_number
        members = [member for member in members if (newest - member.sequence_number) & SEQUENCE_MASK < ULP_REACH]
        first = members[-1].sequence_number
        parity, body = combined(members)
        data = parity_to_bytes(parity, body)
        flags, payload_type, length, timestamp = _PARITY_HEADER.unpack_from(data)
        mask = mask_bytes(tuple([(member.sequence_number - first) & SEQUENCE_MASK for member in members]))
        if len(mask) == _LONG.size:
            flags |= _LONG_MASK_BIT
        header = _HEADER.pack(flags, payload_type, first, timestamp, length)
        payload = b"%b%b%b%b" % (header, _LENGTH.pack(body), mask, data[_PARITY_HEADER.size :])
        number = self._numbers.take_number()
        self._next = self._numbers.sequence_number
        repair = RtpPacket(self.payload_type, number, self._history[0].timestamp, self._numbers.ssrc, payload)
        return self.carry(repair)


class UlpFecDecoder(ParityDecoder):
    """Repair packets whose mask counts from the SN base in the media stream, whatever SSRC they have themselves."""

    def parse(self, packet: RtpPacket) -> RepairHeader:
        return parse_repair(packet.payload)

    def protected_ssrc(self, packet: RtpPacket, header: RepairHeader) -> int | None:
        """RFC 5109 has one media stream in a session; without one yet it is that of the repair packet."""
        return packet.ssrc if self.media_ssrc is None else self.media_ssrc

    def protected_part(self, parity: int, body: int) -> int:
        """A level may protect less than all of each packet."""
        return parity & (1 << 8 * (_PARITY_HEADER.size + body)) - 1
