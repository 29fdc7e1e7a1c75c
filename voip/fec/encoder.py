"""What every parity encoder does: remember the packets sent, and say which of them a repair packet covers, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple, Protocol

from voip.fec.memory import SEQUENCE_MASK
from voip.fec.pattern import MASK_REACH, Pattern
from voip.fec.xor import FIXED_HEADER, parity_of
from voip.rtp import RtpPacket

MAX_TAIL_REPAIRS = 4
"""Repair packets that continue the pattern at the stream's end at most; one more covers what they leave open."""
_HISTORY_BITS = (1 << MASK_REACH) - 1


class FecEncoder(Protocol):
    """What a stream that is sent asks of a scheme, packet by packet, in order."""

    blocks: int
    """Copies of packets sent within others so far."""

    @property
    def pattern(self) -> Pattern | None:
        """Which packets are protected; None: none, for now."""

    def set_pattern(self, pattern: Pattern | None) -> None:
        """Protect others from now on. May be called between any two packets."""

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """A media packet as it goes on the wire. `copy`: what to repeat in later ones instead of its payload."""

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """The repair packets to send right after this media packet (as it was before `carry`): often none.

        `time` is the RTP time at which it is sent, where that is not its timestamp: that of an event is its beginning.
        """

    def flush(self) -> list[RtpPacket]:
        """The repair packets at the stream's end."""


class NoFec:
    """Protects nothing, for want of an agreed scheme; keeps the pattern for the time when there is one."""

    blocks = 0

    def __init__(self, pattern: Pattern | None) -> None:
        self.pattern = pattern

    def set_pattern(self, pattern: Pattern | None) -> None:
        """Keep another pattern."""
        self.pattern = pattern

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """The packet itself."""
        return packet

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """No repair packets."""
        return []

    def flush(self) -> list[RtpPacket]:
        """No repair packets."""
        return []


class Protected(NamedTuple):
    """A media packet that has been sent, and at which RTP time: what protects it needs no more of it."""

    sequence_number: int
    timestamp: int
    parity: int
    body: int


class ParityEncoder(ABC):
    """Repair packets for one media stream that we send, in order.

    No pattern (None): no repair packets until there is one. A subclass writes the repair packets of one scheme.
    """

    def __init__(self, pattern: Pattern | None, *, payload_type: int) -> None:
        self.payload_type = payload_type
        self.blocks = 0
        self._pattern = pattern
        self._history: deque[Protected] = deque(maxlen=MASK_REACH)  # newest first: an offset is an index
        self._covered = 0  # bit o: a repair packet covers the packet at offset o
        self._since = 0  # media packets since repair packets were due
        self._due: list[list[Protected]] = []  # to be covered by a repair packet each, after the next media packet

    @property
    def pattern(self) -> Pattern | None:
        """Which packets are covered."""
        return self._pattern

    def set_pattern(self, pattern: Pattern | None) -> None:
        """Cover others from now on; what the old pattern has left open is covered before."""
        if pattern == self._pattern:
            return
        if self._pattern is not None and (left := self._uncovered(self._pattern)):
            self._due.append(self._cover(left))
        self._pattern = pattern
        self._since = 0

    def carry(self, packet: RtpPacket, copy: bytes | None = None) -> RtpPacket:
        """A media packet as it goes on the wire: parity leaves it alone."""
        return packet

    def protect(self, packet: RtpPacket, time: int | None = None) -> list[RtpPacket]:
        """The repair packets to send right after this media packet: often none."""
        history = self._history
        if history and packet.sequence_number != self._next_number():
            self._restart()
        datagram = packet.serialize()
        body = len(datagram) - FIXED_HEADER
        time = packet.timestamp if time is None else time
        history.appendleft(Protected(packet.sequence_number, time, parity_of(datagram), body))
        self._covered = self._covered << 1 & _HISTORY_BITS
        repairs = self._repairs_due()
        if self._pattern is None:
            return repairs
        self._since += 1
        if self._since >= self._pattern.every:
            self._since = 0
            repairs += [self._repair(offsets) for offsets in self._existing(self._pattern.sets)]
        return repairs

    def flush(self) -> list[RtpPacket]:
        """At the end of the stream: cover what no repair packet covers yet, as if the stream went on."""
        repairs = self._repairs_due()
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
        return self._repair_over(self._cover(offsets))

    def _cover(self, offsets: tuple[int, ...]) -> list[Protected]:
        """These packets, which count as covered from now on."""
        for offset in offsets:
            self._covered |= 1 << offset
        return [self._history[offset] for offset in offsets]

    def _repairs_due(self) -> list[RtpPacket]:
        """What an earlier pattern has left open, written now, as it is sent now."""
        due, self._due = self._due, []
        return [self._repair_over(members) for members in due]

    def _next_number(self) -> int:
        """The sequence number of a media packet that follows the newest one without a gap."""
        return (self._history[0].sequence_number + 1) & SEQUENCE_MASK

    @abstractmethod
    def _repair_over(self, members: list[Protected]) -> RtpPacket:
        """A repair packet over these packets, newest first."""


def combined(members: list[Protected]) -> tuple[int, int]:
    """The parity over packets, and the length of its body: that of the longest."""
    parity = body = 0
    for member in members:
        parity ^= member.parity
        if member.body > body:
            body = member.body
    return parity, body
