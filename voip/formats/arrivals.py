"""Numbers and media times for datagrams that have none: by the order in which they come, and by when.

A datagram follows the one before it. Where one was lost, all that come after it are late by its length from then on,
and no jitter makes all of them late. So what is late for good tells how many were lost, and they get numbers: the hole
is filled as it would be in RTP, and the stream lasts as long as it was sent. After a pause of the sender media time
goes on by as much, without numbers. What is late and catches up (a network or a program that stood still) lost nothing.

On a quiet network the first datagram that is late waits for the next one, which tells, so that the hole is where the
loss was. Where there is jitter more of them must agree, and the hole is filled later than it came up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

WINDOW = 2.0
"""Seconds of which the earliest datagram says when the others are late: clocks that drift by 200 ppm move 0.4 ms."""
MISSING = 0.8
"""Datagrams' length by which one must be late for one before it to be missing."""
CATCHING_UP = 0.5
"""Datagrams' length by which the later half of them must not be less late than the earlier one: it would catch up."""
SURE = 2
"""Datagrams that must agree where there is no jitter."""
LONG = 0.2
"""Seconds of sound from which on a datagram does not wait for the next one: that would be too late for it."""
CERTAINTY = 120.0
"""Datagrams that must agree, for each length of one by which they come too soon after one another, on average: jitter
makes them do so, loss does not. At 30 ms of it that makes 45 datagrams, of which one in three has nothing to wait for.
"""
MOST_AGREED = 96
"""Datagrams that must agree at most."""
GAIN = 1.0 / 32.0
"""What each datagram counts for in that average."""
PAUSE = 1.0
"""Seconds without datagrams from which on the sender is taken to have paused ..."""
SOON = 4
"""... if they are the time of more than so many."""
Item = TypeVar("Item")


class Place(NamedTuple):
    """Where a datagram belongs in its stream: extended number and timestamp of its first packet."""

    sequence: int
    timestamp: int


@dataclass(frozen=True)
class Arrived(Generic[Item]):
    """A datagram: samples of each channel, packets that it becomes, when it came (seconds), and what is in it."""

    samples: int
    packets: int
    time: float
    item: Item


class ArrivalClock(Generic[Item]):
    """Places the datagrams of one source. Media time is counted in samples at `rate` Hz."""

    def __init__(self, rate: int, first: int) -> None:
        """`first`: the number of the first packet."""
        self._rate = rate
        self._sequence, self._timestamp = first, 0
        self._longest = 1  # samples of a datagram: the last of a sound may be short, those that are missing are not
        self._transits: deque[tuple[float, float]] = deque()  # arrival and transit of the earliest in the window
        self._late: deque[float] = deque(maxlen=MOST_AGREED)  # of the last datagrams, in seconds
        self._jitter = 0.0  # in datagrams' lengths
        self._waiting: Arrived[Item] | None = None

    def place(self, arrived: Arrived[Item]) -> list[tuple[Place, Item]]:
        """The datagrams whose places are known with this one, in order: mostly this one."""
        self._longest = max(self._longest, arrived.samples)
        waiting, self._waiting = self._waiting, None
        found = []
        if waiting is not None:
            late = self._lateness(waiting), self._lateness(arrived, behind=waiting.samples)
            found.append(self._place(waiting, self._missing(late)))
        if self._length <= LONG and self._agree <= SURE and self._lateness(arrived) > MISSING * self._length:
            self._waiting = arrived
            return found
        last = (*self._late, self._lateness(arrived))[-self._agree :]
        found.append(self._place(arrived, self._missing(last) if len(last) == self._agree else 0))
        return found

    @property
    def _length(self) -> float:
        return self._longest / self._rate

    @property
    def _agree(self) -> int:
        """Datagrams that must be late for some to be missing: one of a length that nothing else delays them by."""
        least = SURE if self._length <= LONG else 1
        return min(max(least, int(CERTAINTY * self._jitter)), MOST_AGREED)

    def _lateness(self, arrived: Arrived[Item], behind: int = 0) -> float:
        """Seconds later than the earliest, if nothing is missing; `behind`: samples that are still before it."""
        transit = self._transit(arrived, behind)
        return transit - min((value for _, value in self._transits), default=transit)

    def _transit(self, arrived: Arrived[Item], behind: int = 0) -> float:
        """From the moment at which it was full, and was sent, to its arrival, but for a constant."""
        return arrived.time - (self._timestamp + behind + arrived.samples) / self._rate

    def _missing(self, late: Sequence[float]) -> int:
        """How many datagrams were lost, or would have come in a pause, if these are late so much, one after another."""
        half = len(late) // 2
        if sum(late[-half:]) < sum(late[:half]) - half * CATCHING_UP * self._length:
            return 0
        return max(0, round(min(late) / self._length + 0.5 - MISSING))

    def _place(self, arrived: Arrived[Item], missing: int) -> tuple[Place, Item]:
        """The next place, behind so many that are missing."""
        if missing:
            self._leave_out(missing, arrived.packets)
        late = self._lateness(arrived)
        sooner = self._late[-1] - late if self._late else 0.0
        self._jitter += (min(max(sooner / self._length, 0.0), 1.0) - self._jitter) * GAIN
        self._late.append(late)
        if late <= MISSING * self._length:  # else it is not known yet what it says
            self._remember(arrived.time, self._transit(arrived))
        place = Place(self._sequence, self._timestamp)
        self._sequence += arrived.packets
        self._timestamp += arrived.samples
        return place, arrived.item

    def _leave_out(self, missing: int, packets: int) -> None:
        samples = missing * self._longest
        self._timestamp += samples
        if samples <= max(PAUSE * self._rate, SOON * self._longest):
            self._sequence += missing * packets
        self._late = deque((late - samples / self._rate for late in self._late), self._late.maxlen)

    def _remember(self, arrival: float, transit: float) -> None:
        transits = self._transits
        while transits and transits[-1][1] >= transit:  # the earliest alone counts
            transits.pop()
        transits.append((arrival, transit))
        while transits[0][0] < arrival - WINDOW:
            transits.popleft()
