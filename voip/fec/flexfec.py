"""FlexFEC with flexible masks: header and encoder (RFC 8627 sections 4.2.2.1, 6.2; R=0, F=0).

A repair packet is an RTP packet of its own SSRC whose one CSRC is the SSRC that it protects. Its payload is

    R F P X CC | M PT | length recovery | TS recovery | SN base | mask | parity of what follows the fixed headers

where mask bit i (most significant first) stands for the packet SN base + i. The first mask block has a k bit and
15 mask bits, the second a k bit and 31, the third 64: k = 1 says that another block follows.
"""

from __future__ import annotations

import struct
from collections import deque
from functools import lru_cache
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.fec.pattern import MASK_REACH, Pattern
from voip.fec.xor import FIXED_HEADER, PARITY_HEADER, parity_from_bytes, parity_of, parity_to_bytes
from voip.rtp import RtpPacket

SEQUENCE_MASK = 0xFFFF
MAX_TAIL_REPAIRS = 4
"""Repair packets that continue the pattern at the stream's end at most; one more covers what they leave open."""
MAX_PACKET = 1500
"""No RTP packet that we repair is larger, IP and UDP headers apart."""

_HISTORY_BITS = (1 << MASK_REACH) - 1
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


class RepairHeader(NamedTuple):
    """A parsed repair payload: the packets it covers, the parity over them and the length of its body."""

    base: int
    positions: tuple[int, ...]
    parity: int
    body: int


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


class _Protected(NamedTuple):
    sequence_number: int
    timestamp: int
    parity: int
    body: int


class FlexFecEncoder:
    """Repair packets for one media stream that we send, in order. `pattern` may be replaced between any two packets.

    No pattern (None): no repair packets until there is one.
    """

    def __init__(
        self, pattern: Pattern | None, *, payload_type: int, ssrc: int, media_ssrc: int, sequence_number: int
    ) -> None:
        self.payload_type = payload_type
        self.ssrc = ssrc
        self.media_ssrc = media_ssrc
        self.sequence_number = sequence_number & SEQUENCE_MASK
        self._pattern = pattern
        self._history: deque[_Protected] = deque(maxlen=MASK_REACH)  # newest first: an offset is an index
        self._covered = 0  # bit o: a repair packet covers the packet at offset o
        self._since = 0  # media packets since repair packets were due
        self._due: list[RtpPacket] = []

    @property
    def pattern(self) -> Pattern | None:
        """Which packets are covered; what the old pattern has left open is covered before the new one begins."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: Pattern | None) -> None:
        if pattern == self._pattern:
            return
        if self._pattern is not None and (left := self._uncovered(self._pattern)):
            self._due.append(self._repair(left))
        self._pattern = pattern
        self._since = 0

    def protect(self, packet: RtpPacket) -> list[RtpPacket]:
        """The repair packets to send right after this media packet: often none."""
        history = self._history
        if history and packet.sequence_number != (history[0].sequence_number + 1) & SEQUENCE_MASK:
            self._restart()
        datagram = packet.serialize()
        body = len(datagram) - FIXED_HEADER
        history.appendleft(_Protected(packet.sequence_number, packet.timestamp, parity_of(datagram), body))
        self._covered = self._covered << 1 & _HISTORY_BITS
        repairs, self._due = self._due, []
        if self._pattern is None:
            return repairs
        self._since += 1
        if self._since >= self._pattern.every:
            self._since = 0
            repairs += [self._repair(offsets) for offsets in self._existing(self._pattern.sets)]
        return repairs

    def flush(self) -> list[RtpPacket]:
        """At the end of the stream: cover what no repair packet covers yet, as if the stream went on."""
        repairs, self._due = self._due, []
        if self._pattern is not None:
            tail = [] if self._pattern.is_block else self._continuation(self._pattern)
            repairs += [self._repair(offsets) for offsets in tail]
            if left := self._uncovered(self._pattern):
                repairs.append(self._repair(left))
        self._restart()
        return repairs

    def _restart(self) -> None:
        """Forget the packets so far: offsets count packets, so they must not reach across a gap in the numbers."""
        self._history.clear()
        self._covered = self._since = 0

    def _uncovered(self, pattern: Pattern) -> tuple[int, ...]:
        """Offsets within the pattern's reach that no repair packet covers."""
        count = min(len(self._history), pattern.reach + 1)
        return tuple(offset for offset in range(count) if not self._covered >> offset & 1)

    def _existing(self, sets: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """The sets without the packets before the stream's start, and no two alike."""
        count = len(self._history)
        if all(offsets[-1] < count for offsets in sets):
            return sets
        cut = (tuple(offset for offset in offsets if offset < count) for offsets in sets)
        return tuple(dict.fromkeys(offsets for offsets in cut if offsets))

    def _continuation(self, pattern: Pattern) -> list[tuple[int, ...]]:
        """The sets that would follow if the stream went on, seen from its newest packet: the first few."""
        chosen: dict[tuple[int, ...], None] = {}
        for ahead in range(pattern.every - self._since, pattern.reach + 1, pattern.every):
            shifted = (tuple(offset - ahead for offset in offsets if offset >= ahead) for offsets in pattern.sets)
            chosen |= dict.fromkeys(self._existing(tuple(offsets for offsets in shifted if offsets)))
        return list(chosen)[:MAX_TAIL_REPAIRS]

    def _repair(self, offsets: tuple[int, ...]) -> RtpPacket:
        """A repair packet over these packets back from the newest, ascending offsets."""
        parity = body = 0
        for offset in offsets:
            member = self._history[offset]
            parity ^= member.parity
            if member.body > body:
                body = member.body
            self._covered |= 1 << offset
        oldest = offsets[-1]
        base = _BASE.pack(self._history[oldest].sequence_number)
        mask = mask_bytes(tuple(oldest - offset for offset in offsets))
        data = parity_to_bytes(parity, body)
        payload = b"%b%b%b%b" % (data[:PARITY_HEADER], base, mask, data[PARITY_HEADER:])
        timestamp = self._history[offsets[0]].timestamp
        number = self.sequence_number
        self.sequence_number = (number + 1) & SEQUENCE_MASK
        return RtpPacket(self.payload_type, number, timestamp, self.ssrc, payload, csrcs=(self.media_ssrc,))
