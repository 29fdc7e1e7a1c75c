"""What is remembered of each packet of the last seconds, in as few bytes as it takes: a call has thousands of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable

NEVER = -(1 << 62)
"""No extended sequence number."""


class TransitHistory:
    """Transits in the order in which packets became known, and sorted: 25 bytes for each, a tenth of what objects take;
    33 while packets are rebuilt.

    `ordered` has all of them, `arrived` those of packets that came by themselves, both from the smallest on.
    """

    __slots__ = ("_arrived", "_rebuilt", "_times", "_transits", "ordered")

    def __init__(self) -> None:
        self._times, self._transits, self._rebuilt = array("d"), array("d"), bytearray()
        self.ordered = array("d")
        self._arrived: array[float] | None = None  # None: none of them was rebuilt

    @property
    def arrived(self) -> array[float]:
        """Not to be changed."""
        return self.ordered if self._arrived is None else self._arrived

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at: float, transit: float, *, rebuilt: bool) -> None:
        """A packet became known at `at`."""
        self._times.append(at)
        self._transits.append(transit)
        self._rebuilt.append(rebuilt)
        if rebuilt and self._arrived is None:
            self._arrived = self.ordered[:]
        insort(self.ordered, transit)
        if self._arrived is not None and not rebuilt:
            insort(self._arrived, transit)

    def trim(self, oldest: float, most: int) -> None:
        """Forget what is older than `oldest`, and the oldest of more than `most`; the newest stays."""
        times = self._times
        while times[0] < oldest or len(times) > most:
            transit, rebuilt = self._transits[0], self._rebuilt[0]
            del times[0], self._transits[0], self._rebuilt[0]
            del self.ordered[bisect_left(self.ordered, transit)]
            if self._arrived is None:
                continue
            if not rebuilt:
                del self._arrived[bisect_left(self._arrived, transit)]
            elif 1 not in self._rebuilt:
                self._arrived = None

    def keep(self, wanted: Callable[[float, bool], bool]) -> None:
        """Forget the others; `wanted` is asked by the time, and whether the packet was rebuilt."""
        kept = [
            entry
            for entry in zip(self._times, self._transits, self._rebuilt, strict=True)
            if wanted(entry[0], bool(entry[2]))
        ]
        self._times, self._transits = (
            array("d", [at for at, _, _ in kept]),
            array("d", [transit for _, transit, _ in kept]),
        )
        self._rebuilt = bytearray(rebuilt for _, _, rebuilt in kept)
        self.ordered = array("d", sorted(self._transits))
        self._arrived = None
        if any(self._rebuilt):
            self._arrived = array("d", sorted(transit for _, transit, rebuilt in kept if not rebuilt))

    def clear(self) -> None:
        """Forget all."""
        self.keep(lambda at, rebuilt: False)


class SeenNumbers:
    """Which extended sequence numbers have come, and with which timestamp: those of the last `capacity` numbers."""

    __slots__ = ("_capacity", "_numbers", "_timestamps")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.clear()

    def add(self, sequence: int, timestamp: int) -> bool:
        """Whether this is a new one."""
        place = sequence % self._capacity
        if self._numbers[place] == sequence and self._timestamps[place] == timestamp:
            return False
        self._numbers[place], self._timestamps[place] = sequence, timestamp
        return True

    def clear(self) -> None:
        """Forget all."""
        self._numbers, self._timestamps = array("q", [NEVER]) * self._capacity, array("q", [0]) * self._capacity
