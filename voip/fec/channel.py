"""What the path does to our packets, by the peer's reports: loss, how long it lasts at a time, and jitter.

Media and repair packets share the path, so their loss is looked at in the order in which they were sent.
The statistics are those of a two-state chain (Gilbert): how much is lost, and how much more likely a loss is where the
frame before has been hit.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from voip.rtp import unwrap
from voip.stats import Arrivals, PathReport

RING_PACKETS = 2048
"""Packets of each stream that a report can cover."""
MAX_FRAMES = 1024
"""Media packets, with their repair packets, that wait for a report: 20 s of 20 ms packets."""
MAX_PACKETS = 63
"""Packets of one frame that are told apart."""
MEMORY_SECONDS = 20.0
"""How long a report counts."""
RECENT_SECONDS = 3.0
"""The newest reports, by which a sudden change of the path is seen."""
SETTLING_JITTERS = 6.0
"""A packet younger than so many times the jitter may still be under way, and is not judged."""
DOUBT_ERRORS = 1.5
"""Standard errors by which a short look at the path may be wrong; one in fifteen is further off on either side."""
CERTAIN_JUMP = 1.5
"""Times the loss so far: what was seen before a rise like this says nothing of the path as it is now."""
CHANCE_ERRORS = 1.5
"""Standard errors by which losses have to be correlated before they are believed to be."""
MIN_MEMORY = 0.05
"""Less correlation than this from one frame to the next is none."""
SHORT_OUTAGE = 0.5
"""Outage in frames that hits several packets of one frame, and seldom those of the next."""
SHORT_CORRELATION = 0.3
"""Correlation within frames from which losses are outages, if short ones."""
QUIET = 0.25
"""Jitter in packet times that does not count: less than that is in the programs' own timing."""
_INDEX = RING_PACKETS - 1


class Channel(NamedTuple):
    """A path: share of packets lost, mean outage in frames (0: each packet has its own fate), jitter in frames.

    `burst` is the mean run of lost packets on the wire, for people.
    """

    loss: float
    outage: float = 0.0
    jitter: float = 0.0
    burst: float = 1.0

    def worse(self, factor: float) -> Channel:
        """A path of so many times the loss and the jitter."""
        return self._replace(loss=min(1.0, self.loss * factor), jitter=self.jitter * factor)


class _Ring:
    """Where the newest packets of one stream are: frame, and bit of the frame. Numbers, not objects, which the garbage
    collector would look at."""

    __slots__ = ("bits", "frames", "numbers")

    def __init__(self) -> None:
        nothing = bytes(8 * RING_PACKETS)
        self.numbers = array("q", [-1]) * RING_PACKETS
        self.frames, self.bits = array("q", nothing), array("Q", nothing)

    def add(self, number: int, frame: int, bit: int) -> None:
        place = number & _INDEX
        self.numbers[place], self.frames[place], self.bits[place] = number, frame, bit


class _Frames:
    """The newest media packets with their repair packets: how many packets each has, in wire order the bits 1, 2, 4 and
    so on, and of which of them reports have said that they arrived or did not."""

    __slots__ = ("_arrived", "_counts", "_first", "_known", "_newest")

    def __init__(self) -> None:
        nothing = bytes(8 * MAX_FRAMES)
        self._counts, self._known, self._arrived = array("q", nothing), array("Q", nothing), array("Q", nothing)
        self._first, self._newest = 1, 0  # those that are kept; none at first

    @property
    def newest(self) -> int:
        """The number of the newest, counted from 1."""
        return self._newest

    def begin(self) -> int:
        """A media packet goes out: its bit."""
        self._newest += 1
        if self._newest - self._first >= MAX_FRAMES:
            self._first += 1
        place = self._newest % MAX_FRAMES
        self._counts[place] = 1
        self._known[place] = self._arrived[place] = 0
        return 1

    def add(self) -> int:
        """A repair packet of the newest: its bit; 0 if there is no frame, or it has too many packets."""
        place = self._newest % MAX_FRAMES
        count = self._counts[place]
        if self._newest < self._first or count == MAX_PACKETS:
            return 0
        self._counts[place] = count + 1
        return 1 << count

    def mark(self, ring: _Ring, arrivals: Arrivals | None) -> int:
        """Note which packets of a stream have arrived; the newest frame among them, 0 if there is none."""
        if arrivals is None:
            return 0
        numbers, frames, bits, known, arrived = ring.numbers, ring.frames, ring.bits, self._known, self._arrived
        first, newest = self._first, 0
        for number, came in enumerate(arrivals.flags, arrivals.first):
            place = number & _INDEX
            if numbers[place] != number & 0xFFFF:
                continue
            frame, bit = frames[place], bits[place]
            if frame > newest:
                newest = frame
            if frame >= first:
                at = frame % MAX_FRAMES
                known[at] |= bit
                arrived[at] = arrived[at] | bit if came else arrived[at] & ~bit
        return newest

    def take(self, until: int) -> Iterator[tuple[int, int]]:
        """Those up to this one that have not been taken yet: bits of what is known, and of what has arrived."""
        last = min(until, self._newest)
        for frame in range(self._first, last + 1):
            place = frame % MAX_FRAMES
            yield self._known[place], self._arrived[place]
        self._first = max(self._first, last + 1)

    def clear(self) -> None:
        """What was sent so far is not looked at any more."""
        self._first = self._newest + 1


@dataclass
class Losses:
    """Counts over some of the packets sent, in wire order; they add up."""

    sent: int = 0
    lost: int = 0
    runs: int = 0
    hit: float = 0.0  # shares of frames that were lost, where the next frame is known
    hit_again: float = 0.0  # those times the share of the next frame
    pairs: int = 0  # packets lost that have a packet behind them in their frame
    pairs_lost: int = 0  # which was lost, too

    def __iadd__(self, other: Losses) -> Losses:
        self.sent += other.sent
        self.lost += other.lost
        self.runs += other.runs
        self.hit += other.hit
        self.hit_again += other.hit_again
        self.pairs += other.pairs
        self.pairs_lost += other.pairs_lost
        return self

    @property
    def rate(self) -> float:
        """Share lost."""
        return self.lost / self.sent if self.sent else 0.0

    @property
    def lower_bound(self) -> float:
        """Share lost at least, considering how few losses were seen: a run of them counts once."""
        return self.rate * max(0.0, 1.0 - DOUBT_ERRORS / math.sqrt(self.runs)) if self.runs else 0.0

    @property
    def burst(self) -> float:
        """Mean run of lost packets on the wire."""
        return self.lost / self.runs if self.runs else 1.0

    @property
    def outage(self) -> float:
        """Mean outage in frames, by how the correlation of losses fades from one frame to the next."""
        rate = self.rate
        memory = _correlation(self.hit_again, self.hit, rate)
        if memory > MIN_MEMORY:
            return -1.0 / ((1.0 - rate) * math.log(min(memory, 0.95)))
        within = _correlation(self.pairs_lost, self.pairs, rate)
        return SHORT_OUTAGE if within > SHORT_CORRELATION else 0.0


def total(parts: Iterable[Losses]) -> Losses:
    """The sum."""
    summed = Losses()
    for part in parts:
        summed += part
    return summed


def _correlation(again: float, of: float, rate: float) -> float:
    """By how much a loss foretells another one (0 to 1); 0 as long as that might be by chance."""
    if of <= 0.0 or rate >= 1.0:
        return 0.0
    share = again / of
    doubt = math.sqrt(max(share * (1.0 - share), 0.05) / of)
    return (share - rate) / (1.0 - rate) if share - CHANCE_ERRORS * doubt > rate else 0.0


class ChannelEstimator:
    """Packets sent and reports about them in; the `Channel` out.

    Loss: the mean over MEMORY_SECONDS, or more where the newest reports leave no doubt of it. Jitter: likewise.
    """

    def __init__(self, ptime: float) -> None:
        self.ptime = ptime
        self.judged = Losses()
        """All packets that reports have covered."""
        self._media, self._repair = _Ring(), _Ring()
        self._frames = _Frames()
        self._seen: deque[tuple[float, Losses, float]] = deque()  # moment, losses since the report before, jitter
        self._last_share: float | None = None  # of the newest frame judged that was lost
        self._last_lost = False
        self._highest: int | None = None
        self._channel: Channel | None = Channel(0.0)  # None: reports have changed it since it was asked for

    def sent(self, number: int, *, repair: bool) -> None:
        """A packet goes out; in wire order."""
        frames = self._frames
        bit = frames.add() if repair else frames.begin()
        if bit:
            (self._repair if repair else self._media).add(number, frames.newest, bit)

    def report(self, report: PathReport, *, counts: bool = True) -> None:
        """What the peer says. Unless it `counts`, what was lost and late is not the path's doing: passed over."""
        if report.media is not None:
            frames = self._frames
            newest = max(frames.mark(self._media, report.media), frames.mark(self._repair, report.repair))
            losses = self._judge(newest - self._unsettled(report.jitter))
        else:
            losses = self._guess(report)
        self._highest = report.highest
        if not counts:
            return
        self.judged += losses
        self._channel = None
        self._seen.append((report.at, losses, report.jitter))
        self._forget(report.at - MEMORY_SECONDS)
        all_seen = total(part for _, part, _ in self._seen)
        if self._since(report.at - RECENT_SECONDS).lower_bound > CERTAIN_JUMP * all_seen.rate:
            self._forget(report.at - RECENT_SECONDS)

    @property
    def channel(self) -> Channel:
        """The path as far as it is known; no loss before the first report."""
        if self._channel is None:
            self._channel = self._judged_channel()
        return self._channel

    def _judged_channel(self) -> Channel:
        at, newest, jitter = self._seen[-1]
        remembered = total(part for _, part, _ in self._seen)
        loss = max(remembered.rate, self._since(at - RECENT_SECONDS).lower_bound, newest.lower_bound)
        mean = sum(part for _, _, part in self._seen) / len(self._seen)
        return Channel(loss, remembered.outage, max(mean, jitter / DOUBT_ERRORS) / self.ptime, remembered.burst)

    def _unsettled(self, jitter: float) -> int:
        """Frames at the end of a report whose packets may still come."""
        return 1 + math.ceil(SETTLING_JITTERS * jitter / self.ptime)

    def _judge(self, until: int) -> Losses:
        """Count the packets up to this frame that have not been counted yet."""
        losses = Losses()
        for known, arrived in self._frames.take(until):
            if not known:
                self._last_share = None
            elif known == arrived:
                self._count_whole(losses, known.bit_count())
            else:
                bits = (1 << at for at in range(known.bit_length()))
                self._count(losses, [bool(arrived & bit) for bit in bits if known & bit])
        return losses

    def _count_whole(self, losses: Losses, packets: int) -> None:
        """A frame of which nothing was lost: as `_count`, which takes longer."""
        losses.sent += packets
        losses.hit += self._last_share or 0.0
        self._last_lost, self._last_share = False, 0.0

    def _count(self, losses: Losses, told: list[bool]) -> None:
        """One frame's packets, in wire order."""
        lost = [not arrived for arrived in told]
        share = sum(lost) / len(lost)
        losses.sent += len(lost)
        losses.lost += sum(lost)
        losses.pairs += sum(lost[:-1])
        losses.pairs_lost += sum(first and second for first, second in pairwise(lost))
        for now in lost:
            losses.runs += now and not self._last_lost
            self._last_lost = now
        if self._last_share is not None:
            losses.hit += self._last_share
            losses.hit_again += self._last_share * share
        self._last_share = share

    def _guess(self, report: PathReport) -> Losses:
        """Without a loss pattern: the fraction, over the packets since the report before, one by one."""
        before = self._highest
        sent = self._frames.newest if before is None else unwrap(report.highest, before, 32) - before
        sent = min(max(sent, 0), MAX_FRAMES)
        lost = round(report.fraction_lost * sent)
        self._frames.clear()
        return Losses(sent=sent, lost=lost, runs=lost)

    def _since(self, moment: float) -> Losses:
        return total(part for at, part, _ in self._seen if at > moment)

    def _forget(self, moment: float) -> None:
        while len(self._seen) > 1 and self._seen[0][0] <= moment:
            self._seen.popleft()
