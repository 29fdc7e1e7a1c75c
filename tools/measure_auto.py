"""What `--fec auto` gives on lossy paths, by `tests.support.fec_loop`: packets missing and bandwidth, for some seeds.

python -m tools.measure_auto [--seeds 20] [--seconds 60] [ROW ...]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.fec_loop import Loop, Outcome, Wire, gilbert, independent, lossless, outage

LISTENS = 0.5
"""Seconds that a peer waits for repair that only listens."""
MakeWire = Callable[[random.Random], Wire]


@dataclass(frozen=True)
class Row:
    """A path, and the play-out delay in seconds at which packets count as missing."""

    wire: MakeWire
    delay: float
    jitter: float = 0.0
    limit: float = 0.0
    wait_max: float | None = None
    """Seconds that the peer says it waits for repair: longer than a conversation would, if it only listens."""

    def run(self, seed: int, seconds: float) -> Outcome:
        forth, back = random.Random(2 * seed), random.Random(2 * seed + 1)
        loop = Loop(self.wire(forth), jitter=self.jitter, seed=seed, back=self.wire(back), wait_max=self.wait_max)
        return loop.run(seconds)


def random_row(rate: float, delay: float, limit: float, jitter: float = 0.0) -> Row:
    return Row(lambda rng: independent(rate, rng), delay, jitter, limit)


def burst_row(rate: float, limit: float, delay: float = 0.25, wait_max: float | None = LISTENS) -> Row:
    return Row(lambda rng: gilbert(rate, 3.0, rng), delay, 0.0, limit, wait_max)


def outage_row(rate: float, limit: float, delay: float = 0.25, wait_max: float | None = LISTENS) -> Row:
    return Row(lambda rng: outage(rate, 0.06, rng), delay, 0.0, limit, wait_max)


ROWS = {
    "clean": Row(lambda rng: lossless, 0.06),
    "random 5": random_row(0.05, 0.1, 0.001),
    "random 10": random_row(0.1, 0.1, 0.002),
    "random 20": random_row(0.2, 0.1, 0.005),
    "random 30": random_row(0.3, 0.16, 0.01),
    "bursts 5": burst_row(0.05, 0.003),
    "bursts 10": burst_row(0.1, 0.008),
    "bursts 20": burst_row(0.2, 0.02),
    "outages 5": outage_row(0.05, 0.01),
    "outages 10": outage_row(0.1, 0.025),
    "talk, bursts 5": burst_row(0.05, 0.003, 0.1, None),
    "talk, bursts 10": burst_row(0.1, 0.005, 0.12, None),
    "talk, bursts 20": burst_row(0.2, 0.015, 0.12, None),
    "talk, outages 5": outage_row(0.05, 0.02, 0.14, None),
    "talk, outages 10": outage_row(0.1, 0.035, 0.14, None),
    "jitter 30": Row(lambda rng: lossless, 0.06, 0.03, 0.005),
    "jitter 60": Row(lambda rng: lossless, 0.115, 0.06, 0.005),
    "10, jitter 30": random_row(0.1, 0.085, 0.005, 0.03),
}
"""The limits are shares of the sound; for jitter alone the one that concealment hides."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", metavar="ROW", nargs="*", default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("-v", action="store_true", help="show each change of the pattern in the first run")
    options = parser.parse_args()
    heads = ["path", "delay", "missing %: mean", "worst", "limit", "kbit/s", "worst", "changes"]
    sys.stdout.write("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
    for name in options.rows:
        row = ROWS[name]
        outcomes = [row.run(seed, options.seconds) for seed in range(1, options.seeds + 1)]
        shares = [100 * outcome.missing(row.delay) for outcome in outcomes]
        rates = [outcome.rate / 1e3 for outcome in outcomes]
        changes = statistics.mean(len(outcome.changes) for outcome in outcomes)
        sys.stdout.write(
            f"| {name} | {1e3 * row.delay:.0f} | {statistics.mean(shares):.3f} | {max(shares):.3f} | "
            f"{100 * row.limit:g} | {statistics.mean(rates):.1f} | {max(rates):.1f} | {changes:.1f} |\n"
        )
        if options.v:
            for at, reason in outcomes[0].changes:
                sys.stdout.write(f"    {at:5.1f} s  {reason}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
