"""What becomes of each packet on a bad path: lost, late, twice. No I/O and no clock: the time is an argument.

Everything comes from the seed: the same packets at the same times meet the same fate.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from tests.bench.rows import Impairment, Step


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


class Bursts:
    """A Gilbert channel: two states that change between packets; in the bad one every packet is lost.

    The bad state is left with probability 1/mean, so its length in packets is geometric with that mean; the good one
    with the probability that makes `share` of all packets fall into bad states.
    """

    def __init__(self, share: float, mean: float, rng: random.Random) -> None:
        self._leave_bad = 1.0 / mean
        self._leave_good = min(1.0, share / ((1.0 - share) * mean))
        self._rng = rng
        self._bad = rng.random() < share

    def lost(self, now: float) -> bool:
        bad = self._bad
        if self._rng.random() < (self._leave_bad if bad else self._leave_good):
            self._bad = not bad
        return bad


class Outages:
    """Good and bad periods in time, both of exponential length; what is sent in a bad one is lost."""

    def __init__(self, share: float, mean: float, rng: random.Random) -> None:
        """`mean` seconds of a bad period; bad for `share` of all time."""
        self._means = {True: mean, False: mean * (1.0 - share) / share}
        self._rng = rng
        self._bad = rng.random() < share
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


def losses(impairment: Impairment, rng: random.Random) -> Losses | None:
    """The process that `impairment` asks for; None: nothing is lost."""
    share = impairment.loss
    if share <= 0.0:
        return None
    if impairment.outage > 0.0:
        return Outages(share, impairment.outage, rng)
    if impairment.burst > 1.0:
        return Bursts(share, impairment.burst, rng)
    return Independent(share, rng)


class Path:
    """One direction under a schedule of steps, whose time begins with `start`."""

    def __init__(self, steps: Sequence[Step], seed: int | str) -> None:
        self._steps = sorted(steps, key=lambda step: step.at)
        self._loss_rng = random.Random(f"losses {seed}")
        self._delay_rng = random.Random(f"delays {seed}")
        self._begin: float | None = None
        self._latest = 0.0
        self._use(self._steps.pop(0).impairment)

    def start(self, now: float) -> None:
        """The steps count from `now` on; the first call decides."""
        if self._begin is None:
            self._begin = now

    def departures(self, now: float, *, spared: bool = False) -> list[float]:
        """The times at which a packet that is sent at `now` comes out: none, one, or two. `spared`: only delayed."""
        self._advance(now)
        if spared:
            return [now + self.impairment.delay]
        if self._losses is not None and self._losses.lost(now):
            return []
        copies = 1 + (self.impairment.duplicate > 0.0 and self._delay_rng.random() < self.impairment.duplicate)
        return [self._out(now) for _ in range(copies)]

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
        self._losses = losses(impairment, self._loss_rng)
