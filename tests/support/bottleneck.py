"""A link of few bits per second with a drop-tail queue: when each packet has left it, and what the queue was like.

    line = DropTail([(0.0, Bottleneck.lasting(256e3, 1.0)), (30.0, Bottleneck.lasting(64e3, 1.0))], beside=[Cubic()])
    path = Path(Impairment(), line=line)            # one call; a second Path with the same line shares it
    path.queue.percentile(0.95, since=5.0)          # seconds that 95 % of its packets waited, at most

No I/O and no clock: the time is an argument and never goes back. Bytes are those of IP packets, headers included.
`beside` is what shares the link and is no call (`tests.support.tcp_model`): before a packet of a call enters, it sends
what it has to send until then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_ROUNDING = 1e-6  # bytes: sums of times are not exact
EMPTY = 0.1
"""Seconds: a queue that is shorter leaves a conversation alone (150 ms one way are its limit, ITU-T G.114)."""
HOLD = 5.0
"""Seconds for which a queue must stay short before it counts as short again."""


@dataclass(frozen=True)
class Bottleneck:
    """A link of `rate` bits per second. Packets that do not fit into a queue of `queue` bytes are dropped.

    The packet that is being transmitted counts with the bytes that are not yet out; an idle link takes any packet.
    """

    rate: float
    queue: float

    @classmethod
    def lasting(cls, rate: float, seconds: float) -> Bottleneck:
        """A queue given by the longest time that a packet may spend in it."""
        return cls(rate, rate * seconds / 8)


Schedule = Sequence[tuple[float, Bottleneck | None]]
"""Which bottleneck there is from so many seconds after the start on; None: none, everything passes at once."""


class Arrival(NamedTuple):
    """A packet that came to the bottleneck: when, its bytes, seconds until those before it were out, its fate."""

    at: float
    size: int
    wait: float
    dropped: bool


class QueueRecord:
    """What one flow met at a bottleneck. Times in its questions are seconds after its first packet."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    @property
    def dropped(self) -> int:
        """Packets that found the queue full."""
        return sum(arrival.dropped for arrival in self.arrivals)

    def between(self, since: float = 0.0, until: float = math.inf) -> Iterator[Arrival]:
        """What came between two times, the second one excluded."""
        begin = self.arrivals[0].at if self.arrivals else 0.0
        return (arrival for arrival in self.arrivals if since <= arrival.at - begin < until)

    def percentile(self, share: float, since: float = 0.0, until: float = math.inf) -> float | None:
        """The wait in seconds that `share` (0 to 1) of the packets did not exceed, or would not have, if dropped."""
        waits = sorted(arrival.wait for arrival in self.between(since, until))
        return waits[max(0, math.ceil(share * len(waits)) - 1)] if waits else None

    def drop_share(self, since: float = 0.0, until: float = math.inf) -> float:
        """The share of the packets that found the queue full, 0 to 1."""
        fates = [arrival.dropped for arrival in self.between(since, until)]
        return sum(fates) / len(fates) if fates else 0.0

    def kbps(self, since: float, until: float) -> float:
        """Kilobits per second that were offered between two times."""
        return 8e-3 * sum(arrival.size for arrival in self.between(since, until)) / (until - since)

    def below_after(
        self, since: float = 0.0, until: float = math.inf, *, limit: float = EMPTY, hold: float = HOLD
    ) -> float | None:
        """Seconds from `since` until all packets of at least `hold` seconds waited less than `limit` seconds each.

        0: none waited longer from the beginning. None: that was not so until the end, or `until`.
        """
        begin = self.arrivals[0].at if self.arrivals else 0.0
        short_from = latest = since
        for arrival in self.between(since, until):
            latest = arrival.at - begin
            if arrival.wait >= limit:
                if latest - short_from >= hold:
                    break
                short_from = latest
        return short_from - since if latest - short_from >= hold else None


class CrossTraffic(Protocol):
    """Something else that uses the link."""

    @property
    def due(self) -> float:
        """When it does something next."""

    def begin(self, now: float) -> None:
        """The link is used at `now`, perhaps for the first time."""

    def act(self, offer: Callable[[float, int], float | None]) -> None:
        """Do what is due.

        `offer` takes the time and the bytes of a packet and gives the time at which its last bit is out; None: dropped.
        """


class DropTail:
    """The link itself. Several paths may share it; each has its own record."""

    def __init__(self, schedule: Schedule, *, beside: Sequence[CrossTraffic] = ()) -> None:
        """`schedule`: the times count from `start`; until then, and at least from then on, the first entry holds."""
        self._schedule = sorted(schedule, key=lambda entry: entry[0])
        self._beside = beside
        self._begin: float | None = None
        self._busy_until = -math.inf

    def start(self, now: float) -> None:
        """The schedule counts from `now` on; the first call decides."""
        if self._begin is None:
            self._begin = now

    def transmit(self, now: float, size: int, record: QueueRecord) -> float | None:
        """When the last bit of a packet that comes at `now` is out; None: the queue was full."""
        self.advance(now)
        wait = self.wait(now)
        out = self._offer(now, size)
        record.arrivals.append(Arrival(now, size, wait, out is None))
        return out

    def advance(self, now: float) -> None:
        """What is beside the calls sends until `now`."""
        for flow in self._beside:
            flow.begin(now)
        while self._beside and (flow := min(self._beside, key=lambda flow: flow.due)).due <= now:
            flow.act(self._offer)

    def wait(self, now: float) -> float:
        """Seconds until all is out that is in the queue at `now`."""
        return max(0.0, self._busy_until - now)

    def backlog(self, now: float) -> float:
        """Bytes that are in the queue at `now`, those of the packet that is being transmitted included."""
        total = 0.0
        for begin, end, bottleneck in self._spans(now):
            if begin >= self._busy_until:
                break
            assert bottleneck is not None, "nothing waits where there is no bottleneck"
            total += (min(end, self._busy_until) - begin) * bottleneck.rate / 8
        return total

    def _offer(self, now: float, size: int) -> float | None:
        _, _, bottleneck = next(self._spans(now))
        if bottleneck is None:
            return now
        backlog = self.backlog(now)
        if backlog > 0.0 and backlog + size > bottleneck.queue + _ROUNDING:
            return None
        self._busy_until = self._end(max(now, self._busy_until), size)
        return self._busy_until

    def _end(self, since: float, size: float) -> float:
        """When `size` bytes are out whose transmission begins at `since`."""
        for begin, end, bottleneck in self._spans(since):
            if bottleneck is None:
                return begin
            room = (end - begin) * bottleneck.rate / 8
            if size <= room:
                return begin + 8 * size / bottleneck.rate
            size -= room
        return math.inf

    def _spans(self, since: float) -> Iterator[tuple[float, float, Bottleneck | None]]:
        """From `since` on: from when until when there is which bottleneck."""
        changes = [] if self._begin is None else [self._begin + at for at, _ in self._schedule[1:]]
        begins, ends = [-math.inf, *changes], [*changes, math.inf]
        for begin, end, (_, bottleneck) in zip(begins, ends, self._schedule, strict=False):
            if end > since:
                yield max(begin, since), end, bottleneck
