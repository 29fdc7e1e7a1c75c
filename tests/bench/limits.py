"""What is possible: closed forms, and the ideal code, for the losses of a row. No code of the program is used here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.bench.rows import Row
from tests.support.network import Path

PTIME = 0.02
_SPACING = 0.0002  # seconds between the packets that leave together


def binomial_tail(count: int, share: float, least: int) -> float:
    """The chance that of `count` independent packets, each lost with `share`, at least `least` are."""
    terms = (math.comb(count, n) * share**n * (1 - share) ** (count - n) for n in range(max(0, least), count + 1))
    return math.fsum(terms) if least > 0 else 1.0


def block_code(share: float, media: int, repair: int) -> float:
    """The share of media packets that the ideal code of `media` + `repair` packets leaves lost; losses independent.

    Any `media` packets of a block suffice; where fewer come, what came of the media is all there is: a packet stays
    lost if it is lost itself and at least `repair` of the others are, too.
    """
    return share * binomial_tail(media + repair - 1, share, repair)


def late(delay: float, jitter: float) -> float:
    """The share of packets that come later than `delay` beyond the path's floor, by an exponential `jitter`."""
    return math.exp(-delay / jitter) if jitter > 0 else 0.0


def outlasted(share: float, outage: float, wait: float) -> float:
    """The share of packets of which nothing can be known `wait` seconds later, whatever is sent: those in outages that
    go on for as long. Outages of exponential length, `outage` seconds on average, take a `share` of the time."""
    return share * math.exp(-wait / outage)


def streaming_code(lost: Sequence[bool], repairs: Sequence[int], reach: int) -> float:
    """The share of media packets that even the ideal causal code leaves unknown `reach` packets later.

    `lost`: of each media packet; `repairs`: how many repair packets arrived after each. Every repair packet is one
    equation in all media packets before it: what was lost since everything was last known becomes known in the moment
    in which there are as many equations as unknowns.
    """
    unknown: list[int] = []
    equations = missing = 0
    for n, (gone, arrived) in enumerate(zip(lost, repairs, strict=True)):
        if gone:
            unknown.append(n)
        equations += arrived
        if equations >= len(unknown):
            missing += sum(n - since > reach for since in unknown)
            unknown, equations = [], 0
    return (missing + sum(len(lost) - since > reach for since in unknown)) / len(lost)


def ideal(row: Row, overhead: float, reach: int, seed: int, packets: int = 100_000) -> float:
    """`streaming_code` over the row's first losses, with `overhead` repair packets for each media packet."""
    path = Path(row.steps[:1], f"ideal {seed}")
    lost, repairs, due = [], [], 0.0
    for n in range(packets):
        lost.append(not path.departures(n * PTIME))
        due += overhead
        count, due = int(due), due - int(due)
        sent = (path.departures(n * PTIME + (i + 1) * _SPACING) for i in range(count))
        repairs.append(sum(bool(out) for out in sent))
    return streaming_code(lost, repairs, reach)
