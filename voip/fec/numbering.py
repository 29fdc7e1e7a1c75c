"""Numbers of media packets alone, for a stream in which repair packets take sequence numbers, too (see ulpfec).

A number that is missing there was a media packet or a repair packet. The timestamps tell: between two media packets
there are as many as packet times have passed, and never more than there are numbers that no repair packet has taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from voip.rtp import MAX_DROPOUT, MAX_MISORDER, RtpPacket, unwrap

RING_PACKETS = 512
"""Packets that are remembered, for those that come late."""
SEARCH_REACH = 128
"""Numbers on either side of one that are searched."""
JUMP_NUMBERS = 1 << 15
"""Numbers left out where the old ones jump, or another stream begins: nothing was lost there."""
_INDEX = RING_PACKETS - 1


class _Placed(NamedTuple):
    wire: int  # extended sequence number as it came
    number: int | None  # extended number among the media; None: a repair packet
    timestamp: int


class MediaNumbers:
    """Gives media packets consecutive numbers: a gap in them is a missing media packet.

    `step`: ticks that a packet is expected to last, until two packets in a row say better twice.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._heard_step: int | None = None
        self._ssrc: int | None = None
        self._next = 1 << 16  # for the first packet of the next stream
        self._first: _Placed | None = None  # since the last jump
        self._newest: _Placed | None = None
        self._ring: list[_Placed | None] = [None] * RING_PACKETS

    def repair(self, packet: RtpPacket) -> None:
        """A repair packet has this number, if it is one of the media's stream."""
        newest = self._newest
        if packet.ssrc == self._ssrc and newest is not None:
            wire = unwrap(packet.sequence_number, newest.wire)
            if abs(wire - newest.wire) <= SEARCH_REACH and self._at(wire) is None:
                self._ring[wire & _INDEX] = _Placed(wire, None, packet.timestamp)

    def place(self, packet: RtpPacket) -> RtpPacket:
        """The packet with its number among the media."""
        newest = self._newest
        if newest is None or packet.ssrc != self._ssrc:
            return self._begin(packet)
        wire = unwrap(packet.sequence_number, newest.wire)
        if not -MAX_MISORDER < wire - newest.wire < MAX_DROPOUT:
            return self._begin(packet)
        placed = self._at(wire)
        if placed is not None and placed.number is not None:
            return replace(packet, sequence_number=placed.number & 0xFFFF)
        number = self._after(newest, wire, packet) if wire > newest.wire else self._between(wire, packet.timestamp)
        placed = self._ring[wire & _INDEX] = _Placed(wire, number, packet.timestamp)
        if wire > newest.wire:
            self._newest = placed
        elif self._first is not None and wire < self._first.wire:
            self._first = placed
        return replace(packet, sequence_number=number & 0xFFFF)

    def named(self, names: tuple[int, ...]) -> list[int]:
        """The numbers among the media of packets that parity names (ascending), where no other packet tells them.

        Those are packets ahead of all that have come, and before the first: named, so they are media.
        """
        first, newest = self._first, self._newest
        if first is None or newest is None or first.number is None or newest.number is None:
            return []
        wires = [unwrap(name, newest.wire) for name in names]
        ahead = sum(newest.wire < wire <= newest.wire + SEARCH_REACH for wire in wires)
        before = sum(first.wire - SEARCH_REACH <= wire < first.wire for wire in wires)
        numbers = [first.number - 1 - i for i in range(before)] + [newest.number + 1 + i for i in range(ahead)]
        return [number & 0xFFFF for number in numbers]

    def _begin(self, packet: RtpPacket) -> RtpPacket:
        if self._newest is not None and self._newest.number is not None:
            self._next = self._newest.number + JUMP_NUMBERS
        self._ssrc = packet.ssrc
        self._ring = [None] * RING_PACKETS
        self._first = self._newest = _Placed(packet.sequence_number + (1 << 16), self._next, packet.timestamp)
        self._ring[self._newest.wire & _INDEX] = self._newest
        return replace(packet, sequence_number=self._next & 0xFFFF)

    def _at(self, wire: int) -> _Placed | None:
        placed = self._ring[wire & _INDEX]
        return placed if placed is not None and placed.wire == wire else None

    def _after(self, newest: _Placed, wire: int, packet: RtpPacket) -> int:
        """The number of a packet that is ahead of all others."""
        assert newest.number is not None
        between = range(newest.wire + 1, min(wire, newest.wire + SEARCH_REACH))
        most = wire - newest.wire - sum(self._at(other) is not None for other in between)
        ticks = unwrap(packet.timestamp - newest.timestamp, 0, 32)
        if most == 1 and ticks > 0:
            self._learn(ticks)
        return newest.number + max(1, min(most, self._steps(ticks)))

    def _between(self, wire: int, timestamp: int) -> int:
        """The number of a packet that others were faster than, or that was rebuilt."""
        before, after = self._neighbour(wire, -1), self._neighbour(wire, +1)
        if before is not None and before.number is not None:
            number = before.number + max(1, self._steps(unwrap(timestamp - before.timestamp, 0, 32)))
            if after is not None and after.number is not None:
                number = min(number, after.number - 1)
            return number
        assert after is not None  # there is always the newest
        assert after.number is not None
        return after.number - max(1, min(after.wire - wire, self._steps(unwrap(after.timestamp - timestamp, 0, 32))))

    def _neighbour(self, wire: int, direction: int) -> _Placed | None:
        """The nearest media packet on one side; ahead that is the newest at the latest."""
        for other in range(wire + direction, wire + direction * (SEARCH_REACH + 1), direction):
            placed = self._at(other)
            if placed is not None and placed.number is not None:
                return placed
        return None if direction < 0 else self._newest

    def _steps(self, ticks: int) -> int:
        """Packets that so many ticks are."""
        return round(ticks / self._step)

    def _learn(self, ticks: int) -> None:
        """Two packets in a row are so far apart: a packet lasts as long, if that is so again."""
        if ticks == self._heard_step:
            self._step = ticks
        self._heard_step = ticks
