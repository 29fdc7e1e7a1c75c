"""What a FEC pattern leaves lost, by a model that shares no code with the decoder: sets of numbers, no packets.

Media and repair packets are lost alike, in wire order. Everything is seeded: the same arguments give the same result.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.network import Gilbert
from voip.fec import Pattern

Lose = Callable[[], bool]
NEVER = float("inf")


def random_loss(rate: float, rng: random.Random) -> Lose:
    """Each packet is lost with this probability, whatever happened before."""
    return lambda: rng.random() < rate


def burst_loss(rate: float, mean_burst: float, rng: random.Random) -> Lose:
    """A Gilbert channel: bursts of this mean length in packets, this loss rate over all."""
    channel = Gilbert(rate, mean_burst, rng)
    return lambda: channel.lost(0.0)


def repair_sets(pattern: Pattern | None, packets: int) -> Iterator[list[list[int]]]:
    """For each media packet, what the repair packets that follow it cover."""
    for n in range(packets):
        if pattern is None or (n + 1) % pattern.every:
            yield []
        else:
            members = ([n - o for o in offsets if n >= o] for offsets in pattern.sets)
            yield [found for found in members if found]


class Peeler:
    """Which packets are known, once everything that can be concluded from the repair packets is concluded."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self._waiting: dict[int, list[set[int]]] = {}

    def add(self, members: list[int]) -> list[int]:
        """One packet arrives: a repair packet over `members`, or (the same thing) a media packet alone. What is new."""
        unknown = set(members) - self.known
        for n in unknown:
            self._waiting.setdefault(n, []).append(unknown)
        found: list[int] = []
        changed = [unknown]
        while changed:
            group = changed.pop()
            if len(group) == 1:
                n = group.pop()
                self.known.add(n)
                found.append(n)
                for other in self._waiting.pop(n):
                    other.discard(n)
                    changed.append(other)
        return found


@dataclass(frozen=True)
class Outcome:
    """How long after its own turn each media packet became known: in packets, or in seconds with `jitter`."""

    waits: list[float]

    def residual(self, deadline: float) -> float:
        """The share of media packets that are not known when they have been waited for that long."""
        return sum(wait > deadline for wait in self.waits) / len(self.waits)

    def deadline(self, residual: float) -> float:
        """The shortest wait that leaves at most this share unknown."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * (1.0 - residual)))]


def simulate(pattern: Pattern | None, lose: Lose, packets: int) -> Outcome:
    """In order, without jitter: waits count packets; 0 means that it was there before the next media packet."""
    peeler = Peeler()
    waits = [NEVER] * packets
    for n, covered in enumerate(repair_sets(pattern, packets)):
        for members in ([n], *covered):
            if not lose():
                for found in peeler.add(members):
                    waits[found] = n - found
    return Outcome(waits)


def simulate_jitter(
    pattern: Pattern | None, lose: Lose, delay: Callable[[], float], packets: int, *, ptime: float = 0.02
) -> Outcome:
    """Each packet has its own `delay`, so that they overtake one another: waits are seconds since it was sent."""
    arrivals: list[tuple[float, int, list[int]]] = []
    for n, covered in enumerate(repair_sets(pattern, packets)):
        for members in ([n], *covered):
            if not lose():
                arrivals.append((n * ptime + delay(), len(arrivals), members))
    peeler = Peeler()
    waits = [NEVER] * packets
    for now, _, members in sorted(arrivals):
        for found in peeler.add(members):
            waits[found] = now - found * ptime
    return Outcome(waits)


def residual_loss(
    pattern: Pattern | None, rate: float, deadline: int, *, packets: int = 60_000, seed: int = 1, burst: float = 1.0
) -> float:
    """The share of media packets that are lost and not rebuilt within `deadline` packets."""
    rng = random.Random(seed)
    lose = random_loss(rate, rng) if burst <= 1.0 else burst_loss(rate, burst, rng)
    return simulate(pattern, lose, packets).residual(deadline)
