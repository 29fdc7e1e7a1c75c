"""FlexFEC with flexible masks: header, encoder and decoder (RFC 8627 sections 4.2.2.1, 6.2; R=0, F=0).

A repair packet is an RTP packet of its own SSRC whose one CSRC is the SSRC that it protects. Its payload is

    R F P X CC | M PT | length recovery | TS recovery | SN base | mask | parity of what follows the fixed headers

where mask bit i (most significant first) stands for the packet SN base + i. The first mask block has a k bit and
15 mask bits, the second a k bit and 31, the third 64: k = 1 says that another block follows.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from voip.errors import ProtocolError
from voip.fec.decoder import ParityDecoder
from voip.fec.encoder import ParityEncoder, Protected, combined
from voip.fec.memory import SEQUENCE_MASK
from voip.fec.pattern import MASK_REACH, Pattern
from voip.fec.xor import (
    FIXED_HEADER,
    MAX_PACKET,
    PARITY_HEADER,
    RepairHeader,
    parity_from_bytes,
    parity_to_bytes,
)
from voip.rtp import RtpPacket

_RETRANSMISSION_OR_FIXED = 0xC0  # the R and F bits
_BASE = struct.Struct("!H")
_MASK_START = PARITY_HEADER + _BASE.size
_SHORT_BITS, _MIDDLE_BITS, _LONG_BITS = 15, 31, 64
_SHORT_REACH = _SHORT_BITS
_MIDDLE_REACH = _SHORT_BITS + _MIDDLE_BITS
_K_SHORT, _K_MIDDLE = 0x8000, 0x80000000
_SHORT = struct.Struct("!H")
_MIDDLE = struct.Struct("!HI")
_LONG = struct.Struct("!HIQ")


@lru_cache(maxsize=256)
def mask_bytes(positions: tuple[int, ...]) -> bytes:
    """The shortest mask for these positions behind SN base, each 0 to 109."""
    bits = 0
    for position in positions:
        bits |= 1 << (MASK_REACH - 1 - position)
    short = bits >> (_MIDDLE_BITS + _LONG_BITS)
    middle = bits >> _LONG_BITS & (_K_MIDDLE - 1)
    last = max(positions)
    if last < _SHORT_REACH:
        return _SHORT.pack(short)
    if last < _MIDDLE_REACH:
        return _MIDDLE.pack(_K_SHORT | short, middle)
    return _LONG.pack(_K_SHORT | short, _K_MIDDLE | middle, bits & ((1 << _LONG_BITS) - 1))


@lru_cache(maxsize=256)
def mask_positions(mask: bytes) -> tuple[int, ...]:
    """The positions that a whole mask names, ascending; it may be empty."""
    if len(mask) == _SHORT.size:
        bits = _SHORT.unpack(mask)[0] << (_MIDDLE_BITS + _LONG_BITS)
    elif len(mask) == _MIDDLE.size:
        short, middle = _MIDDLE.unpack(mask)
        bits = (short & ~_K_SHORT) << (_MIDDLE_BITS + _LONG_BITS) | middle << _LONG_BITS
    else:
        short, middle, long = _LONG.unpack(mask)
        bits = (short & ~_K_SHORT) << (_MIDDLE_BITS + _LONG_BITS) | (middle & ~_K_MIDDLE) << _LONG_BITS | long
    return tuple(i for i in range(MASK_REACH) if bits >> (MASK_REACH - 1 - i) & 1)


def parse_repair(payload: bytes) -> RepairHeader:
    """Read the payload of a repair packet that protects one SSRC; ProtocolError, and nothing else, if it is not one."""
    if len(payload) < _MASK_START + _SHORT.size:
        raise ProtocolError(f"repair payload of {len(payload)} bytes: shorter than its header")
    if payload[0] & _RETRANSMISSION_OR_FIXED:
        raise ProtocolError("repair packet without a flexible mask")
    size = _SHORT.size
    if payload[_MASK_START] & 0x80:
        size = _MIDDLE.size
        if len(payload) > _MASK_START + _SHORT.size and payload[_MASK_START + _SHORT.size] & 0x80:
            size = _LONG.size
    start = _MASK_START + size
    body = len(payload) - start
    if body < 0:
        raise ProtocolError("repair payload ends inside its mask")
    if body > MAX_PACKET - FIXED_HEADER:
        raise ProtocolError(f"repair packet over {body} bytes")
    positions = mask_positions(payload[_MASK_START:start])
    if not positions:
        raise ProtocolError("repair packet that covers nothing")
    parity = parity_from_bytes(payload[:PARITY_HEADER] + payload[start:])
    return RepairHeader(_BASE.unpack_from(payload, PARITY_HEADER)[0], positions, parity, body)


class FlexFecEncoder(ParityEncoder):
    """Repair packets of an SSRC, and with sequence numbers, of their own."""

    def __init__(
        self, pattern: Pattern | None, *, payload_type: int, ssrc: int, media_ssrc: int, sequence_number: int
    ) -> None:
        super().__init__(pattern, payload_type=payload_type)
        self.ssrc = ssrc
        self.media_ssrc = media_ssrc
        self.sequence_number = sequence_number & SEQUENCE_MASK

    def _repair_over(self, members: list[Protected]) -> RtpPacket:
        parity, body = combined(members)
        first = members[-1].sequence_number
        base = _BASE.pack(first)
        mask = mask_bytes(tuple([(member.sequence_number - first) & SEQUENCE_MASK for member in members]))
        data = parity_to_bytes(parity, body)
        payload = b"%b%b%b%b" % (data[:PARITY_HEADER], base, mask, data[PARITY_HEADER:])
        number = self.sequence_number
        self.sequence_number = (number + 1) & SEQUENCE_MASK
        return RtpPacket(self.payload_type, number, members[0].timestamp, self.ssrc, payload, csrcs=(self.media_ssrc,))


class FlexFecDecoder(ParityDecoder):
    """Repair packets that name the SSRC that they protect in their CSRC list."""

    def parse(self, payload: bytes) -> RepairHeader:
        return parse_repair(payload)

    def protected_ssrc(self, packet: RtpPacket) -> int | None:
        return packet.csrcs[0] if len(packet.csrcs) == 1 else None
