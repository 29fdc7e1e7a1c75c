"""Computes what the patterns of `--fec auto` leave lost: the data of voip/fec/tables.py.

    python -m tools.make_fec_tables > voip/fec/tables.py

Each figure is the share of media packets that are neither received nor rebuilt within a wait, over so many packets; see
`tests.support.fec_model`. The same seed gives the same file; another one changes the last digit here and there.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np

from tests.support.fec_model import Flags, Times, known_at, missing, outages, random_losses
from voip.fec import Pattern, parse_pattern

LADDER = (
    "10",
    "5",
    "4",
    "sliding:0,1,2,3,7,12/3",
    "sliding:0,1,2,3/3",
    "sliding:0,1,3,8/2",
    "sliding:0,1,3/2",
    "sliding:0,1,2,5/2",
    "sliding:0,1,3,5+1,2,4/3",
    "sliding:1,2,4,5+0,3,4,5+2,3,4,6/4",
    "sliding:0,1,2,8/1",
    "sliding:0,2,3/1",
    "sliding:0,1/1",
    "sliding:0,3,12/1",
    "sliding:0,3,8,11+1,2,3,7+0,1,8/2",
    "sliding:1,3+0,3+0,1,2/2",
    "sliding:0,1,8+0,2,3,12/1",
    "sliding:0,1,4+0,2,3/1",
    "sliding:1,3,4+4/1",
    "sliding:1,2,5+5/1",
    "sliding:2,3,6+0,6/1",
    "sliding:1,6+0,1,3/1",
    "sliding:3+6/1",
    "sliding:3+7/1",
    "sliding:4+9/1",
    "sliding:0,1,6+0,3,5,6/1",
    "sliding:2,6+8/1",
    "sliding:0,12+0,1,3,9/1",
    "sliding:0,1,7,11+1,3+0,3,12+0,1,2,7,12+1,2,7,8,12/2",
)
"""Found by a random search, for each number of repair packets: for short waits at random loss and at jitter, for
longer ones at outages of 20 to 100 ms, and for all of them at once. Those of wide reach come first: where two are as
good, the one that also outlasts an outage is taken. 3+6, 3+7 and 4+9 are plain copies, half of the wait and all of it
later: nothing rebuilds more of an outage within 120, 140 and 180 ms."""
LOSSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
OUTAGES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
JITTERS = (0.5, 1.0, 2.0, 3.0, 5.0)
WAITS = (1, 2, 3, 4, 5, 6, 7, 9, 12)

STEPS_PER_DECADE = 20
"""A number n says 10^(-n/20)."""

HEAD = '''"""What each pattern of the ladder leaves lost: data, written by `python -m tools.make_fec_tables`.

PREDICTED: for each pattern two tables, by outage and by jitter. Each is a text for each of WAITS, with a two-digit
number for each of LOSSES and, within, each of OUTAGES (0: random losses) or each of JITTERS (at random losses). A
number n says that 10^(-n/20) of the media packets are neither received nor rebuilt in time. Waits, mean outages and
jitters (the scale of an exponential distribution) are in packet times.
"""
'''


def encode(share: float) -> int:
    """Two digits for a share."""
    return 99 if share <= 0.0 else min(99, max(0, round(-STEPS_PER_DECADE * math.log10(share))))


def figures(pattern: Pattern, axis: tuple[float, ...], simulate: Callable[[float, float], Times]) -> Iterator[str]:
    """For each wait the text of a table."""
    shares = [missing(simulate(loss, value), WAITS) for loss in LOSSES for value in axis]
    for column in range(len(WAITS)):
        yield "".join(f"{encode(row[column]):02d}" for row in shares)


def tables(pattern: Pattern, packets: int, seed: int) -> tuple[list[str], list[str]]:
    """By outage and by jitter."""
    rng = np.random.default_rng(seed)
    shape = (1 + len(pattern.sets), packets)

    def lossy(loss: float, outage: float) -> Flags:
        return outages(rng, loss, outage, *shape) if outage else random_losses(rng, loss, *shape)

    def by_outage(loss: float, outage: float) -> Times:
        return known_at(pattern, lossy(loss, outage), 0.0)

    def by_jitter(loss: float, jitter: float) -> Times:
        return known_at(pattern, lossy(loss, 0.0), rng.exponential(jitter, shape))

    return list(figures(pattern, OUTAGES, by_outage)), list(figures(pattern, JITTERS, by_jitter))


def write(packets: int, seed: int) -> Iterator[str]:
    """The lines of the module."""
    yield HEAD
    yield "from __future__ import annotations\n"
    yield "# fmt: off"
    for name, axis in (("LOSSES", LOSSES), ("OUTAGES", OUTAGES), ("JITTERS", JITTERS), ("WAITS", WAITS)):
        yield f"{name} = {axis!r}"
    yield "PREDICTED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"
    for text in LADDER:
        pattern = parse_pattern(text)
        assert pattern is not None
        yield f'    "{text}": ('
        for first, *rows in tables(pattern, packets, seed):
            yield "\n".join([f'        ("{first}",', *(f'         "{row}",' for row in rows)]) + "),"
        yield "    ),"
    yield "}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=200_000, help="media packets for each figure")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for line in write(options.packets, options.seed):
        sys.stdout.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
