"""The one bad network of all tests and benchmarks: start here. No I/O and no clock: the time is an argument.

    wire = Wire(Path(Impairment(loss=0.1, burst=3, delay=0.02, jitter=0.01), seed=1))
    wire.send(datagram, now)                        # at the sender
    for datagram, arrival in wire.deliver(now): ... # at the receiver, in order of arrival

`Impairment` says what happens to packets, `Path` decides the fate of each one, `Wire` also carries them. Everything
comes from the seed: the same packets at the same times meet the same fate. A packet passes, in this order,

    bottleneck    a link of few bits per second with a queue; what finds the queue full is lost (`bottleneck.DropTail`)
    losses        independent ones, bursts counted in packets (Gilbert), or outages in time; or before the bottleneck
    duplication   a second copy, with a delay of its own
    delay         a fixed one, an exponential one on top (jitter), with or without overtaking

`Step`s change the impairment while a path is in use. What else is built on this: `call.Link` (media in virtual time),
`rtcp_lab` (RTCP both ways), `sip_lab.Lab` (SIP), `fec_loop` (FEC control), `relay` (UDP between two programs on one
machine) and `tests.bench.wire` (IP between two network namespaces).
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tests.support.bottleneck import Bottleneck, CrossTraffic, DropTail, QueueRecord
from voip.ip import IP_UDP_HEADER

DELAY = 0.02
"""Seconds that a packet takes by default: a path within one country."""


# --- what happens to packets ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Impairment:
    """What becomes of packets; shares are 0 to 1, times are seconds.

    Losses are independent; or come in Gilbert bursts of `burst` packets on average; or with `outage` in time: nothing
    passes in bad periods of that mean length (exponential). `loss` is the long-run share of each. `jitter` is the mean
    of an exponential delay on top of `delay`, drawn for each packet alone; without `reorder` a packet waits for the
    one before it. With `loss_first` packets are lost before they come to the bottleneck, not after it.
    """

    loss: float = 0.0
    burst: float = 1.0
    outage: float = 0.0
    delay: float = DELAY
    jitter: float = 0.0
    reorder: bool = True
    duplicate: float = 0.0
    bottleneck: Bottleneck | None = None
    loss_first: bool = False


@dataclass(frozen=True)
class Step:
    """From `at` seconds after the start of the path on, this."""

    at: float
    impairment: Impairment


# --- losses -----------------------------------------------------------------------------------------------------------


class Losses(Protocol):
    """Decides packet by packet, in the order in which they are sent."""

    def lost(self, now: float) -> bool:
        """Whether the packet sent at `now` (seconds, never back) is lost."""


class Independent:
    """Each packet is lost with this probability, whatever became of the others."""

    def __init__(self, share: float, rng: random.Random) -> None:
        self._share, self._rng = share, rng

    def lost(self, now: float) -> bool:
        return self._rng.random() < self._share


class Gilbert:
    """A Gilbert channel: two states that change between packets; in the bad one every packet is lost.

    The bad state is left with probability 1/mean, so its length in packets is geometric with that mean; the good one
    with the probability that makes `share` of all packets fall into bad states.
    """

    def __init__(self, share: float, mean: float, rng: random.Random, *, settled: bool = False) -> None:
        """`settled`: the channel has long been in use, so that it may be bad already; otherwise it starts good."""
        self._share, self._rng = share, rng
        self._leave_bad = 1.0 / mean
        self._leave_good = min(1.0, self._leave_bad * share / (1.0 - share))
        self._bad = None if settled else False

    def lost(self, now: float) -> bool:
        if self._bad is None:
            self._bad = self._rng.random() < self._share
        elif self._rng.random() < (self._leave_bad if self._bad else self._leave_good):
            self._bad = not self._bad
        return self._bad


class Outages:
    """Good and bad periods in time, both of exponential length; what is sent in a bad one is lost."""

    def __init__(self, share: float, mean: float, rng: random.Random, *, settled: bool = False) -> None:
        """`mean` seconds of a bad period; bad for `share` of all time. `settled` as in `Gilbert`."""
        self._means = {True: mean, False: mean * (1.0 - share) / share}
        self._rng = rng
        self._bad = settled and rng.random() < share
        self._until: float | None = None

    def lost(self, now: float) -> bool:
        if self._until is None:
            self._until = now + self._length()
        while now >= self._until:
            self._bad = not self._bad
            self._until += self._length()
        return self._bad

    def _length(self) -> float:
        return self._rng.expovariate(1.0 / self._means[self._bad])


def losses(impairment: Impairment, rng: random.Random, *, settled: bool = False) -> Losses | None:
    """The process that `impairment` asks for; None: nothing is lost."""
    share = impairment.loss
    if share <= 0.0:
        return None
    if impairment.outage > 0.0:
        return Outages(share, impairment.outage, rng, settled=settled)
    if impairment.burst > 1.0:
        return Gilbert(share, impairment.burst, rng, settled=settled)
    return Independent(share, rng)


# --- one direction ----------------------------------------------------------------------------------------------------


def line_of(steps: Sequence[Step], beside: Sequence[CrossTraffic] = ()) -> DropTail | None:
    """The bottleneck that a schedule has; None: it never has one. `beside`: what else uses it."""
    if all(step.impairment.bottleneck is None for step in steps):
        return None
    return DropTail([(step.at, step.impairment.bottleneck) for step in steps], beside=beside)


class Path:
    """One direction: when each packet comes out of it, if it does. It carries nothing itself."""

    def __init__(
        self,
        steps: Impairment | Sequence[Step],
        seed: int | str = 1,
        *,
        settled: bool = True,
        rng: random.Random | None = None,
        line: DropTail | None = None,
    ) -> None:
        """`steps`: what holds all the time, or a schedule whose time begins with `start`. `settled` as in `Gilbert`.

        Losses and delays have random numbers of their own, so that other delays do not change what is lost; unless
        both are to be drawn from one `rng`, in the order of the packets. `line`: a bottleneck that is shared with
        others, in place of those of the steps.
        """
        if isinstance(steps, Impairment):
            steps = [Step(0.0, steps)]
        self._steps = sorted(steps, key=lambda step: step.at)
        self._loss_rng = rng or random.Random(f"losses {seed}")
        self._delay_rng = rng or random.Random(f"delays {seed}")
        self._settled = settled
        self._begin: float | None = None
        self._latest = 0.0
        self.line = line or line_of(self._steps)
        """The bottleneck of this path; None: there is none at any time."""
        self.queue = QueueRecord()
        """What this path's packets met there."""
        self.impairment: Impairment
        self._use(self._steps.pop(0).impairment)

    def start(self, now: float) -> None:
        """The steps count from `now` on; the first call decides."""
        if self._begin is None:
            self._begin = now
            if self.line is not None:
                self.line.start(now)

    def change(self, **changes: float) -> None:
        """From now on these fields of the impairment are others; ValueError for the bottleneck, which steps change."""
        if "bottleneck" in changes:
            raise ValueError("a bottleneck changes by steps, as packets in its queue have been told their time")
        impairment = replace(self.impairment, **changes)  # type: ignore[arg-type]
        if changes.keys() & {"loss", "burst", "outage"}:
            self._use(impairment)
        else:
            self.impairment = impairment

    def departures(self, now: float, size: int = 0, *, spared: bool = False) -> list[float]:
        """The times at which a packet of `size` bytes that is sent at `now` comes out: none, one, or two.

        `spared`: it is only delayed.
        """
        self._advance(now)
        if spared:
            return [now + self.impairment.delay]
        first = self.impairment.loss_first
        if first and self.lost(now):
            return []
        if self.line is not None:
            sent = self.line.transmit(now, size, self.queue)
            if sent is None:
                return []
            now = sent
        return [] if not first and self.lost(now) else self.copies(now)

    def lost(self, now: float) -> bool:
        """Whether the losses take the next packet; the first half of `departures` without a bottleneck."""
        return self._losses is not None and self._losses.lost(now)

    def copies(self, now: float) -> list[float]:
        """When a packet that is not lost comes out, once or twice; the second half of `departures`."""
        duplicate = self.impairment.duplicate
        count = 1 + (duplicate > 0.0 and self._delay_rng.random() < duplicate)
        return [self._out(now) for _ in range(count)]

    def _out(self, now: float) -> float:
        out = now + self.impairment.delay
        if self.impairment.jitter > 0.0:
            out += self._delay_rng.expovariate(1.0 / self.impairment.jitter)
        if not self.impairment.reorder:
            out = max(out, self._latest)
        self._latest = max(out, self._latest)
        return out

    def _advance(self, now: float) -> None:
        while self._begin is not None and self._steps and now >= self._begin + self._steps[0].at:
            self._use(self._steps.pop(0).impairment)

    def _use(self, impairment: Impairment) -> None:
        self.impairment = impairment
        self._losses = losses(impairment, self._loss_rng, settled=self._settled)


class Wire:
    """One direction that carries datagrams: they go in by `send` and come out by `deliver`, in order of arrival."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocked_until: float | None = None
        """Until then nothing comes out; then all at once."""
        self.ip_bytes = 0
        """Bytes that went in, with the headers of IPv4 and UDP."""
        self._under_way: list[tuple[float, int, bytes]] = []
        self._order = 0

    def send(self, datagram: bytes, now: float, *, drop: Callable[[], bool] = lambda: False) -> bool:
        """A datagram goes in; whether it will come out. `drop`: loses what the path itself does not lose."""
        size = len(datagram) + IP_UDP_HEADER[4]
        self.ip_bytes += size
        self.path.start(now)
        out = self.path.departures(now, size)
        if not out or drop():
            return False
        for due in out:
            self.put(datagram, due)
        return True

    def put(self, datagram: bytes, due: float) -> None:
        """A datagram that comes out at that time, whatever the path would do to it."""
        self._order += 1
        heapq.heappush(self._under_way, (due, self._order, datagram))

    def next_delivery(self) -> float | None:
        """When the next datagram comes out; None: there is none."""
        if not self._under_way:
            return None
        return max(self._under_way[0][0], self.blocked_until or 0.0)

    def deliver(self, now: float) -> Iterator[tuple[bytes, float]]:
        """Datagrams that have come out by `now`, with their arrival."""
        if self.blocked_until is not None and now < self.blocked_until:
            return
        while self._under_way and self._under_way[0][0] <= now:
            out, _, datagram = heapq.heappop(self._under_way)
            yield datagram, out if self.blocked_until is None else max(out, self.blocked_until)
