"""Packets that were sent, until the peer reports them (RFC 3611 section 4.3: by their sequence numbers)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

RING_PACKETS = 2048
"""Packets of either stream whose sending is remembered."""
_INDEX = RING_PACKETS - 1


class Sent(NamedTuple):
    """A packet: its number, bytes with all headers, when it was sent, and bytes of all that were sent until then, this
    one included."""

    number: int
    size: int
    at: float
    total: int

    def follows(self, other: Sent) -> bool:
        """Whether it was sent right after the other one."""
        return self.total - self.size == other.total


class _Ring:
    """The newest packets of one stream: numbers, not objects, which the garbage collector would look at."""

    __slots__ = ("_moments", "_numbers", "_sizes", "_totals")

    def __init__(self) -> None:
        nothing = bytes(8 * RING_PACKETS)
        self._numbers = array("q", [-1]) * RING_PACKETS
        self._sizes, self._moments, self._totals = array("q", nothing), array("d", nothing), array("q", nothing)

    def add(self, number: int, size: int, now: float, total: int) -> None:
        place = number & _INDEX
        self._numbers[place] = number
        self._sizes[place] = size
        self._moments[place] = now
        self._totals[place] = total

    def get(self, number: int) -> Sent | None:
        place = number & _INDEX
        if self._numbers[place] != number:
            return None
        return Sent(number, self._sizes[place], self._moments[place], self._totals[place])


class SentPackets:
    """The newest packets of a stream and of its repair stream."""

    def __init__(self) -> None:
        self._media, self._repair = _Ring(), _Ring()
        self._total = 0

    def add(self, number: int, size: int, now: float, *, repair: bool) -> None:
        """A packet goes out."""
        self._total += size
        (self._repair if repair else self._media).add(number, size, now, self._total)

    def get(self, number: int, *, repair: bool) -> Sent | None:
        """The packet of that number, if it is remembered."""
        return (self._repair if repair else self._media).get(number)

    def of(
        self, receipts: Iterable[tuple[int, float]], repair_receipts: Iterable[tuple[int, float]] = ()
    ) -> list[tuple[Sent, float]]:
        """The packets that came, and when, in the order in which they were sent."""
        found = [(self._media.get(number), arrival) for number, arrival in receipts]
        found += [(self._repair.get(number), arrival) for number, arrival in repair_receipts]
        return sorted(((sent, arrival) for sent, arrival in found if sent is not None), key=lambda each: each[0].total)
