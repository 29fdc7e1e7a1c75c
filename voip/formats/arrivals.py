"""Numbers and media times for datagrams that have none: by the order in which they come, and by when.

A datagram follows the one before it. Where one was lost, all that come after it are late by its length from then on,
and no jitter makes all of them late. So what is late for good tells how many were lost, and they get numbers: the hole
is filled as it would be in RTP, and the stream lasts as long as it was sent. After a pause of the sender media time
goes on by as much, without numbers. What is late and catches up (a network or a program that stood still) lost nothing.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW = 2.0
"""Seconds of which the earliest datagram says when the others are late: clocks that drift by 200 ppm move 0.4 ms."""
MISSING = 0.75
"""Datagrams' length by which one must be late for one before it to be missing."""
CATCHING_UP = 0.5
"""Datagrams' length by which the later half of them must not be less late than the earlier one: it would catch up."""
SOON = 4
"""Datagrams that may be missing where a single one tells: more is a run of losses, or something that stood still."""
CERTAINTY = 120.0
"""Datagrams that must agree, for each length of one by which they come too soon after one another, on average: jitter
makes them do so, loss does not. At 30 ms of it that makes 45 datagrams, of which one in three has nothing to wait for.
"""
MOST_AGREED = 96
"""Datagrams that must agree at most."""
GAIN = 1.0 / 32.0
"""What each datagram counts for in that average."""
PAUSE = 1.0
"""Seconds without datagrams from which on the sender is taken to have paused."""


class Place(NamedTuple):
    """Where a datagram belongs in its stream: extended number and timestamp of its first packet."""

    sequence: int
    timestamp: int


class ArrivalClock:
    """Places the datagrams of one source. Media time is counted in samples at `rate` Hz."""

    def __init__(self, rate: int, first: int) -> None:
        """`first`: the number of the first packet."""
        self._rate = rate
        self._sequence, self._timestamp = first, 0
        self._longest = 1  # samples of a datagram: the last of a sound may be short, those that are missing are not
        self._transits: deque[tuple[float, float]] = deque()  # arrival and transit of the earliest in the window
        self._late: deque[float] = deque(maxlen=MOST_AGREED)  # of the last datagrams, in seconds
        self._jitter = 0.0  # in datagrams' lengths

    def place(self, samples: int, packets: int, arrival: float) -> Place:
        """A datagram of so many samples (per channel), which becomes so many packets, came at `arrival` (seconds)."""
        self._longest = max(self._longest, samples)
        length = self._longest / self._rate
        transit = arrival - (self._timestamp + samples) / self._rate  # it was sent when it was full
        late = transit - min((value for _, value in self._transits), default=transit)
        sooner = self._late[-1] - late if self._late else 0.0
        self._jitter += (min(max(sooner / length, 0.0), 1.0) - self._jitter) * GAIN
        self._late.append(late)
        missing = self._missing(length)
        if missing:
            self._leave_out(missing, packets)
            transit -= missing * length
            late -= missing * length
        if late <= MISSING * length:  # else it is not known yet what it says
            self._remember(arrival, transit)
        place = Place(self._sequence, self._timestamp)
        self._sequence += packets
        self._timestamp += samples
        return place

    def _missing(self, length: float) -> int:
        """How many datagrams were lost, or would have come in a pause, before this one."""
        agree = min(max(1, int(CERTAINTY * self._jitter)), MOST_AGREED)
        if self._late[-1] > SOON * length:
            agree = max(agree, 2)
        if len(self._late) < agree:
            return 0
        last = [self._late[-number] for number in range(agree, 0, -1)]
        half = agree // 2
        if half and sum(last[-half:]) < sum(last[:half]) - half * CATCHING_UP * length:
            return 0
        return max(0, round(min(last) / length + 0.5 - MISSING))

    def _leave_out(self, missing: int, packets: int) -> None:
        samples = missing * self._longest
        self._timestamp += samples
        if missing <= SOON or samples <= PAUSE * self._rate:
            self._sequence += missing * packets
        self._late = deque((late - samples / self._rate for late in self._late), self._late.maxlen)

    def _remember(self, arrival: float, transit: float) -> None:
        transits = self._transits
        while transits and transits[-1][1] >= transit:  # the earliest alone counts
            transits.pop()
        transits.append((arrival, transit))
        while transits[0][0] < arrival - WINDOW:
            transits.popleft()
