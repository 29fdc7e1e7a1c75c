"""RED: several blocks of one stream in one packet (RFC 2198 section 3), and the repetition of packets before.

A block's header is F PT | timestamp offset (14 bits) | block length (10 bits), F = 1; that of the last block, the
packet's own, is F PT alone, F = 0. With one block RED merely carries something, as WebRTC carries ULPFEC.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.fec.memory import SEQUENCE_MASK, PacketMemory
from voip.fec.pattern import MAX_SETS, Pattern, parse_pattern
from voip.rtp import MAX_DATAGRAM, RtpPacket

MAX_OFFSET = (1 << 14) - 1
"""Ticks that a block may be older than its packet."""
MAX_BLOCK = (1 << 10) - 1
"""Bytes of a block other than the last."""
MAX_BLOCKS = 16
"""Blocks before the last that are read: older packets would come too late to be played."""
HEADERS = 32
"""Bytes left for what is not payload: the RTP header, and some that a relay may add."""
_FOLLOWED = 0x80  # F
_TYPE_MASK = 0x7F
_BLOCK_HEADER = struct.Struct("!I")


class Block(NamedTuple):
    """A payload that was first sent `offset` ticks before the packet that carries it."""

    payload_type: int
    offset: int
    payload: bytes


def parse(payload: bytes) -> tuple[list[Block], Block]:
    """The blocks before the last, and the last, of a RED payload; ProtocolError, and nothing else, if it is not one."""
    headers: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise ProtocolError("RED packet ends inside its headers")
        if not payload[position] & _FOLLOWED:
            break
        if position + _BLOCK_HEADER.size > len(payload):
            raise ProtocolError("RED packet ends inside its headers")
        if len(headers) == MAX_BLOCKS:
            raise ProtocolError(f"RED packet of more than {MAX_BLOCKS} blocks")
        bits = _BLOCK_HEADER.unpack_from(payload, position)[0]
        headers.append((bits >> 24 & _TYPE_MASK, bits >> 10 & MAX_OFFSET, bits & MAX_BLOCK))
        position += _BLOCK_HEADER.size
    last = payload[position] & _TYPE_MASK
    position += 1
    blocks = []
    for payload_type, offset, length in headers:
        blocks.append(Block(payload_type, offset, payload[position : position + length]))
        position += length
    if position > len(payload):
        raise ProtocolError("RED packet ends inside its blocks")
    return blocks, Block(last, 0, payload[position:])


def serialize(blocks: list[Block], last: Block) -> bytes:
    """A RED payload; ValueError if a block does not fit."""
    parts = []
    for block in blocks:
        if block.offset > MAX_OFFSET or len(block.payload) > MAX_BLOCK:
            raise ValueError(f"RED block of {len(block.payload)} bytes, {block.offset} ticks old")
        bits = (_FOLLOWED | block.payload_type) << 24 | block.offset << 10 | len(block.payload)
        parts.append(_BLOCK_HEADER.pack(bits))
    parts.append(bytes([last.payload_type]))
    parts += [block.payload for block in blocks]
    parts.append(last.payload)
    return b"".join(parts)


def wrap(packet: RtpPacket, payload_type: int) -> RtpPacket:
    """The packet, carried by RED of this payload type."""
    payload = bytes([packet.payload_type]) + packet.payload
    return replace(packet, payload_type=payload_type, payload=payload)


def unwrap(packet: RtpPacket) -> tuple[RtpPacket, list[Block]]:
    """The packet that RED carries, and older blocks with it; ProtocolError if it is no RED packet."""
    blocks, last = parse(packet.payload)
    return replace(packet, payload_type=last.payload_type, payload=last.payload), blocks


def payload_limit(copies: int, datagram: int = MAX_DATAGRAM) -> int:
    """Bytes of payload with which a packet and so many copies of others fit into a datagram."""
    return min(MAX_BLOCK, (datagram - HEADERS - 1) // (copies + 1) - _BLOCK_HEADER.size)


def copies_of(pattern: Pattern) -> tuple[int, ...]:
    """How far back the packets are that each packet repeats: what a pattern says in single packets.

    Of a pattern of sets, which RED cannot send, its overhead is kept: so many of the last packets.
    """
    if pattern.every == 1 and all(len(offsets) == 1 and offsets[0] for offsets in pattern.sets):
        return tuple(sorted(offsets[0] for offsets in pattern.sets))
    return tuple(range(1, min(MAX_SETS, max(1, round(pattern.overhead))) + 1))


def repetition(copies: int) -> Pattern:
    """Each packet repeats so many before it; ValueError if that is none, or too many."""
    if not 1 <= copies <= MAX_SETS:
        raise ValueError(f"{copies} repeated packets: 1 to {MAX_SETS} are possible")
    return Pattern(tuple((offset,) for offset in range(1, copies + 1)))


def copies(text: str) -> Pattern:
    """What `copies:4,8@12k` says; ValueError if RED cannot send it."""
    pattern = parse_pattern(text)
    if pattern is None or pattern.copy_bitrate is None:
        raise ValueError(f"{text!r}: write copies:4,8 or copies:4,8@12k")
    if pattern.reach > MAX_BLOCKS:
        raise ValueError(f"a copy of {pattern.reach} packets before: 1 to {MAX_BLOCKS} are possible")
    return pattern


class _Sent(NamedTuple):
    """A packet, and what is repeated of it where that is to have fewer bits."""

    packet: RtpPacket
    reduced: bytes


class RedEncoder:
    """Makes each media packet repeat earlier ones, as the `pattern` says; without one packets stay as they are."""

    def __init__(self, pattern: Pattern | None, *, payload_type: int) -> None:
        self.payload_type = payload_type
        self.blocks = 0
        """Packets repeated so far."""
        self._pattern = pattern
        self._sent: deque[_Sent] = deque(maxlen=MAX_BLOCKS)  # newest first

    @property
    def pattern(self) -> Pattern | None:
        """Which packets each one repeats."""
        return self._pattern

    def set_pattern(self, pattern: Pattern | None) -> None:
        """Repeat others from now on; None: none."""
        self._pattern = pattern

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """The packet as it is to be sent; the oldest copies are left out where they do not fit.

        `copy`: what is repeated of it, where that is not its payload.
        """
        sent = self._sent
        if sent and packet.sequence_number != (sent[0].packet.sequence_number + 1) & SEQUENCE_MASK:
            sent.clear()
        now = _Sent(packet, packet.payload if copy is None else copy)
        if self._pattern is None:
            sent.appendleft(now)
            return packet
        blocks: list[Block] = []
        room = MAX_DATAGRAM - HEADERS - 1 - len(packet.payload)
        for index, back in enumerate(self._distances(packet)):
            block = self._copy(packet, back, room, whole=index < self._pattern.exact)
            if block is not None:
                room -= _BLOCK_HEADER.size + len(block.payload)
                blocks.append(block)
        sent.appendleft(now)
        self.blocks += len(blocks)
        payload = serialize(blocks[::-1], Block(packet.payload_type, 0, packet.payload))
        return replace(packet, payload_type=self.payload_type, payload=payload)

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """There are no repair packets."""
        return []

    def flush(self) -> list[RtpPacket]:
        """The last packets are not repeated: nothing follows them."""
        self._sent.clear()
        return []

    def _distances(self, packet: RtpPacket) -> Iterable[int]:
        """How far back the packets are that this one repeats: no farther than RED can name, for copies."""
        assert self._pattern is not None
        wanted = copies_of(self._pattern)
        if self._pattern.copy_bitrate is None or not self._sent:
            return wanted
        step = (packet.timestamp - self._sent[0].packet.timestamp) & 0xFFFFFFFF
        farthest = max(1, MAX_OFFSET // step) if step else wanted[-1]
        return dict.fromkeys(min(distance, farthest) for distance in wanted)

    def _copy(self, packet: RtpPacket, back: int, room: int, *, whole: bool) -> Block | None:
        if back > len(self._sent):
            return None
        copied, reduced = self._sent[back - 1]
        payload = copied.payload if whole else reduced
        offset = (packet.timestamp - copied.timestamp) & 0xFFFFFFFF
        if offset > MAX_OFFSET or not 0 < len(payload) <= min(MAX_BLOCK, room - _BLOCK_HEADER.size):
            return None
        return Block(copied.payload_type, offset, payload)


class RedDecoder(PacketMemory):
    """Packets of one stream with the older blocks that came with them in; those of them that are new out.

    Blocks have no sequence number: it follows from the timestamp and what a packet lasts. `rejected` counts blocks that
    do not fit the stream, `blocks` all that were looked at.
    """

    def __init__(self, *, media_ssrc: int | None, media_payload_types: frozenset[int], step: int) -> None:
        """`step`: ticks that a packet is expected to last."""
        super().__init__(media_ssrc, step=step)
        self.media_payload_types = media_payload_types
        self.blocks = 0
        self.recovered = 0
        self.rejected = 0
        self.reach = 0
        """How many packets before its own the oldest block of the last packet was."""

    def receive(self, packet: RtpPacket, blocks: list[Block]) -> list[RtpPacket]:
        """A packet is here, with these blocks: the packets that they rebuild, oldest first."""
        number = self._place(packet)
        if number is None:
            return []
        known = self._known(number)
        if known is None or not known.received:
            self._store(number, packet.timestamp, 0, received=not packet.recovered)
        if not blocks:
            return []
        rebuilt = []
        self.reach = 0
        for block in sorted(blocks, key=_age, reverse=True):
            found = self._rebuild(packet, number, block)
            if found is not None:
                rebuilt.append(found)
        return rebuilt

    def _rebuild(self, packet: RtpPacket, number: int, block: Block) -> RtpPacket | None:
        """The packet that a block was, if it is missing and fits the stream."""
        self.blocks += 1
        timestamp = (packet.timestamp - block.offset) & 0xFFFFFFFF
        back = self._place_of(number, timestamp)
        if back is not None:
            self.reach = max(self.reach, back)
            return None
        back, rest = divmod(block.offset, self._step) if self._step else (0, 1)
        older = number - back
        media = block.payload_type in self.media_payload_types and block.payload
        if not media or rest or not back or self._known(older) is not None or not self._fits(older, timestamp):
            self.rejected += 1
            return None
        self.reach = max(self.reach, back)
        self._store(older, timestamp, 0, received=False)
        self.recovered += 1
        return RtpPacket(
            block.payload_type,
            older & SEQUENCE_MASK,
            timestamp,
            packet.ssrc,
            block.payload,
            csrcs=packet.csrcs,
            recovered=True,
        )

    def _place_of(self, number: int, timestamp: int) -> int | None:
        """How many packets before this one a packet that is here already was; None if it is not."""
        for back in range(1, MAX_BLOCKS + 1):
            known = self._known(number - back)
            if known is not None and known.timestamp == timestamp:
                return back
        return None


def _age(block: Block) -> int:
    return block.offset
