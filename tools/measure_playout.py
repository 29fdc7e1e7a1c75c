"""How the play-out delay goes during a call in virtual time, and what it aims at (docs/playout.md).

    python -m tools.measure_playout [--row burst5] [--seed 0]

Noise in place of speech, so that it needs no file. A line for each second in which the target has changed by 5 ms.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from tests.bench.rows import find
from tests.bench.virtual import TwoWayCall, noise
from tests.bench.waves import RATE, stretch

CHANGE = 0.005
"""Seconds by which the target must have changed for another line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=find, default="burst5", help="a row of the benchmarks  [burst5]")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random  [0]")
    options = parser.parse_args()
    sound = np.rint(stretch(noise(), options.row.seconds) * 32768).clip(-32768, 32767).astype(np.int16)
    call, shown = TwoWayCall(options.row, options.seed), 0.0
    sys.stdout.write(f"{'second':>6} {'lost':>5} {'target ms':>10} {'delay ms':>9}\n")
    for second, start in enumerate(range(0, len(sound), RATE), 1):
        call.talk_on(sound[start : start + RATE])
        stats = call.receiver.stats
        target, delay = stats.playout.target or 0.0, stats.playout.delay or 0.0
        if abs(target - shown) >= CHANGE:
            sys.stdout.write(f"{second:6} {stats.lost:5} {1e3 * target:10.0f} {1e3 * delay:9.0f}\n")
            shown = target


if __name__ == "__main__":
    main()
