"""What the FEC patterns cost and give, in virtual time: the table in the README.

    python -m tools.measure_fec [--seconds 120] [--seeds 3] [SPEC ...]

SPEC is what --fec takes, ulpfec:K and red:N included. Calls of 20 ms packets over a seeded link that loses media and
repair packets alike: share of packets still missing after FEC, and of sound not played as sent where 30 ms of
exponential jitter come on top.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from tests.support.call import Call, CallResult, Link, media, noise
from voip.cli.values import fec_choice
from voip.fec import Pattern

PATTERNS = ("off", "10", "4", "sliding:0,1,3/2", "sliding:0,1,3/1", "sliding:1,2,4/1", "sliding:0,1+0,2/1")
LOSSES = (0.05, 0.1, 0.2, 0.3)
JITTER = 0.03
PTIME = 0.02


def played(spec: str, link: Link, seconds: float) -> CallResult:
    """A whole call of noise over that link."""
    scheme, pattern, *_ = fec_choice(spec)
    text = str(pattern) if pattern else "off"
    both = Call(link, media(fec=text, scheme=scheme, ptime=PTIME), fec=text)
    both.talk(noise(seconds, both.rate, both.channels))
    return both.end()


def missing(pattern: str, loss: float, seconds: float, seed: int) -> float:
    """Percent of the packets that were lost and not rebuilt in time."""
    stats = played(pattern, Link(loss=loss, seed=seed), seconds).stats
    return 100 * stats.lost_after_fec / stats.expected


def with_jitter(pattern: str, seconds: float, seed: int) -> tuple[float, float]:
    """At 10 % loss and jitter: percent of the sound not played as sent, mean play-out delay in ms."""
    result = played(pattern, Link(loss=0.1, jitter=JITTER, seed=seed), seconds)
    return 100 * result.share_missing(), 1e3 * (result.stats.playout.delay_mean or 0.0)


def row(pattern: str, seconds: float, seeds: int) -> str:
    parsed = fec_choice(pattern).pattern
    overhead = f"{100 * parsed.overhead:.0f} %" if isinstance(parsed, Pattern) else "0"
    wait = f"{1e3 * PTIME * parsed.span:.0f} ms" if isinstance(parsed, Pattern) else "0"
    cells = [f"`{pattern}`", overhead, wait]
    medians = (statistics.median(missing(pattern, loss, seconds, seed) for seed in range(seeds)) for loss in LOSSES)
    cells.extend(f"{share:.2f}" for share in medians)
    jittered = [with_jitter(pattern, seconds, seed) for seed in range(seeds)]
    share, delay = (statistics.median(values) for values in zip(*jittered, strict=True))
    return "| " + " | ".join([*cells, f"{share:.1f} at {delay:.0f} ms"]) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", metavar="SPEC", nargs="*", default=PATTERNS)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of each call")
    parser.add_argument("--seeds", type=int, default=3, help="calls for each figure, which is their median")
    options = parser.parse_args()
    heads = [
        "`--fec`",
        "extra packets",
        "wait",
        *(f"{100 * loss:g} % lost" for loss in LOSSES),
        "10 % lost, jitter 30 ms",
    ]
    sys.stdout.write("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
    for pattern in options.patterns:
        sys.stdout.write(row(pattern, options.seconds, options.seeds) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
