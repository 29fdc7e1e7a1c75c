"""Packets that were sent, until the peer reports them (RFC 3611 section 4.3: by their sequence numbers)."""

from __future__ import annotations

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


class SentPackets:
    """The newest packets of a stream and of its repair stream."""

    def __init__(self) -> None:
        self._media: list[Sent | None] = [None] * RING_PACKETS
        self._repair: list[Sent | None] = [None] * RING_PACKETS
        self._total = 0

    def add(self, number: int, size: int, now: float, *, repair: bool) -> None:
        """A packet goes out."""
        self._total += size
        ring = self._repair if repair else self._media
        ring[number & _INDEX] = Sent(number, size, now, self._total)

    def get(self, number: int, *, repair: bool) -> Sent | None:
        """The packet of that number, if it is remembered."""
        sent = (self._repair if repair else self._media)[number & _INDEX]
        return sent if sent is not None and sent.number == number else None

    def of(
        self, receipts: Iterable[tuple[int, float]], repair_receipts: Iterable[tuple[int, float]] = ()
    ) -> list[tuple[Sent, float]]:
        """The packets that came, and when, in the order in which they were sent."""
        found = [(self.get(number, repair=False), arrival) for number, arrival in receipts]
        found += [(self.get(number, repair=True), arrival) for number, arrival in repair_receipts]
        return sorted(((sent, arrival) for sent, arrival in found if sent is not None), key=lambda each: each[0].total)
