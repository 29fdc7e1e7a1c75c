"""FlexFEC: header, encoder and decoder (RFC 8627 sections 4.2, 6.2, 6.3).

A repair packet is an RTP packet of its own SSRC whose CSRCs are the SSRCs that it protects. Its payload is

    R F P X CC | M PT | length recovery | TS recovery | a block per CSRC | parity of what follows the fixed headers

R=0, F=0: a block is SN base and a flexible mask, whose bit i (most significant first) stands for the packet SN base + i
(section 4.2.2.1). The first part of a mask has a k bit and 15 mask bits, the second a k bit and 31, the third 64: k = 1
says that another part follows. We send these alone.

R=0, F=1: a block is SN base, L and D (section 4.2.2.2): L packets in a row where D is 0 or 1, else D packets each L
after the one before. R=1, F=0: the payload is a source packet once more, as it was but for its version (section
4.2.2.3): parity over one packet, as L=1, D=0 is.

There is one source here. So a repair packet over several is of use only where all blocks but one name no packet: the
others would have to be known to undo their parity.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from voip.errors import ProtocolError
from voip.fec.decoder import ParityDecoder
from voip.fec.encoder import ParityEncoder, Protected, combined
from voip.fec.memory import HALF_RING, SEQUENCE_MASK
from voip.fec.pattern import MASK_REACH, Pattern
from voip.fec.xor import (
    FIXED_HEADER,
    MAX_PACKET,
    PARITY_HEADER,
    RepairHeader,
    parity_from_bytes,
    parity_of,
    parity_to_bytes,
)
from voip.rtp import RtpPacket, unwrap

_RETRANSMISSION_BIT, _FIXED_BIT = 0x80, 0x40  # R and F
_ReadBlock = Callable[[bytes, int], tuple[int, tuple[int, ...], int]]
"""Reads the block at a place of a payload: SN base, positions, where the next one begins."""
_BASE = struct.Struct("!H")
_FIXED = struct.Struct("!HBB")  # SN base, L, D
_RETRANSMITTED = struct.Struct("!BBHII")  # the fixed header of the source packet
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


@lru_cache(maxsize=256)
def fixed_positions(columns: int, rows: int) -> tuple[int, ...]:
    """The positions behind SN base that L and D name; none for the values that are reserved.

    ProtocolError if they reach further than packets are remembered.
    """
    step, count = (1, columns) if rows <= 1 else (columns, rows)
    if not columns:
        return ()
    if step * (count - 1) >= HALF_RING:
        raise ProtocolError(f"repair packet over {count} packets, {step} apart: beyond any repair window here")
    return tuple(range(0, step * count, step))


def parse_repair(payload: bytes, sources: tuple[int, ...] = (0,)) -> RepairHeader:
    """Read the payload of a repair packet that protects these sources; ProtocolError, and nothing else, if it is none.

    It is none either if it protects packets of more than one of them.
    """
    kind = payload[0] if payload else 0
    if kind & _RETRANSMISSION_BIT:
        return _parse_retransmission(payload)
    block = _fixed_block if kind & _FIXED_BIT else _mask_block
    if len(sources) == 1:
        source = sources[0]
        base, positions, start = block(payload, PARITY_HEADER)
    else:
        source, base, positions, start = _one_of(sources, payload, block)
    if not positions:
        raise ProtocolError("repair packet that covers nothing")
    body = len(payload) - start
    if body > MAX_PACKET - FIXED_HEADER:
        raise ProtocolError(f"repair packet over {body} bytes")
    parity = parity_from_bytes(payload[:PARITY_HEADER] + payload[start:])
    return RepairHeader(base, positions, parity, body, source)


def _one_of(sources: tuple[int, ...], payload: bytes, block: _ReadBlock) -> tuple[int, int, tuple[int, ...], int]:
    """The one of several sources of which packets are named; SN base, positions, where the blocks end."""
    if len(set(sources)) != len(sources):
        raise ProtocolError("repair packet of sources that are not distinct")
    found, start = list[tuple[int, int, tuple[int, ...]]](), PARITY_HEADER
    for source in sources:
        base, positions, start = block(payload, start)
        if positions:
            found.append((source, base, positions))
        elif block is _fixed_block:
            raise ProtocolError("repair packet of reserved L and D")
    if len(found) != 1:
        raise ProtocolError(f"repair packet that covers packets of {len(found)} sources")
    return *found[0], start


def _parse_retransmission(payload: bytes) -> RepairHeader:
    """A source packet with R=1, F=0 in place of its version."""
    if payload[0] & _FIXED_BIT:
        raise ProtocolError("repair packet of R=1, F=1: reserved")
    if not FIXED_HEADER <= len(payload) <= MAX_PACKET:
        raise ProtocolError(f"retransmission of {len(payload)} bytes")
    _, _, number, _, ssrc = _RETRANSMITTED.unpack_from(payload)
    return RepairHeader(number, (0,), parity_of(payload), len(payload) - FIXED_HEADER, ssrc)


def _fixed_block(payload: bytes, start: int) -> tuple[int, tuple[int, ...], int]:
    """SN base, positions, and where the next block begins."""
    end = start + _FIXED.size
    if end > len(payload):
        raise ProtocolError(f"repair payload of {len(payload)} bytes: shorter than its header")
    base, columns, rows = _FIXED.unpack_from(payload, start)
    return base, fixed_positions(columns, rows), end


def _mask_block(payload: bytes, start: int) -> tuple[int, tuple[int, ...], int]:
    """SN base, positions, and where the next block begins."""
    mask = start + _BASE.size
    if mask + _SHORT.size > len(payload):
        raise ProtocolError(f"repair payload of {len(payload)} bytes: shorter than its header")
    size = _SHORT.size
    if payload[mask] & 0x80:
        size = _MIDDLE.size
        if len(payload) > mask + _SHORT.size and payload[mask + _SHORT.size] & 0x80:
            size = _LONG.size
    end = mask + size
    if end > len(payload):
        raise ProtocolError("repair payload ends inside its mask")
    return _BASE.unpack_from(payload, start)[0], mask_positions(payload[mask:end]), end


class FlexFecEncoder(ParityEncoder):
    """Repair packets of an SSRC, and with sequence numbers, of their own.

    Their timestamps are of the time when they are sent (section 4.2.1): that of the newest media packet, on a clock of
    `clock_rate` Hz where the media's has `media_clock_rate`; None: on the same clock.
    """

    def __init__(
        self,
        pattern: Pattern | None,
        *,
        payload_type: int,
        ssrc: int,
        media_ssrc: int,
        sequence_number: int,
        clock_rate: int | None = None,
        media_clock_rate: int | None = None,
    ) -> None:
        super().__init__(pattern, payload_type=payload_type)
        self.ssrc = ssrc
        self.media_ssrc = media_ssrc
        self.sequence_number = sequence_number & SEQUENCE_MASK
        self._rates = (clock_rate or 1, media_clock_rate or 1)
        self._began: int | None = None  # the first timestamp, from which both clocks run
        self._media_time = 0  # the newest one, extended

    def _stamp(self) -> int:
        """The time of sending, on the clock of the repair packets."""
        newest = self._history[0].timestamp
        rate, media_rate = self._rates
        if rate == media_rate:
            return newest
        if self._began is None:
            self._began = self._media_time = newest
        self._media_time = unwrap(newest, self._media_time, 32)
        return (self._began + (self._media_time - self._began) * rate // media_rate) & 0xFFFFFFFF

    def _repair_over(self, members: list[Protected]) -> RtpPacket:
        parity, body = combined(members)
        first = members[-1].sequence_number
        base = _BASE.pack(first)
        mask = mask_bytes(tuple([(member.sequence_number - first) & SEQUENCE_MASK for member in members]))
        data = parity_to_bytes(parity, body)
        payload = b"%b%b%b%b" % (data[:PARITY_HEADER], base, mask, data[PARITY_HEADER:])
        number = self.sequence_number
        self.sequence_number = (number + 1) & SEQUENCE_MASK
        return RtpPacket(self.payload_type, number, self._stamp(), self.ssrc, payload, csrcs=(self.media_ssrc,))


class FlexFecDecoder(ParityDecoder):
    """Repair packets that name the SSRC that they protect."""

    def parse(self, packet: RtpPacket) -> RepairHeader:
        return parse_repair(packet.payload, packet.csrcs)

    def protected_ssrc(self, packet: RtpPacket, header: RepairHeader) -> int | None:
        return header.ssrc
