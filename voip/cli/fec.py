"""The options of forward error correction."""

from __future__ import annotations

import argparse
from typing import Any

from voip.cli.parser import Group
from voip.cli.values import AUTO, fec_choice, repair_limit


def add_fec(group: Group) -> None:
    """The options of both scripts."""
    group.add_argument(
        "--fec",
        metavar="SPEC",
        type=fec_choice,
        help="Which repair packets are sent (forward error correction). auto: as the loss requires; off; K: one XOR "
        "packet for each K packets; sliding:0,1,3/2: after every second packet one that protects it and those 1 and 3 "
        "before it (+ adds further sets). copies: like auto, but copies of Opus at a low bit rate within the packets "
        "wherever they protect nearly as well with half the bits. For peers without FlexFEC: ulpfec:4 (like K, by "
        "ULPFEC), red:1 (each packet repeats the one before), copies:4,8@12k (those 4 and 8 before it, at 12 kbit/s), "
        "copies:3w,7w (those 3 and 7 before it, whole).  [auto; off without signalling]",
    )
    group.add_argument(
        "--fec-max",
        metavar="BPS|Nx",
        type=repair_limit,
        default="2.5x",
        help="Upper limit of the bit rate of the repair packets; 2x: twice that of the media, but at least 200k.  "
        "[2.5x]",
    )


def fec_values(found: argparse.Namespace) -> dict[str, Any]:
    """What they say, as fields of the options' dataclasses."""
    return {
        "fec": found.fec or fec_choice(AUTO),
        "plain_fec": found.fec is not None,
        "fec_max": found.fec_max,
    }
