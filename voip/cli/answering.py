"""The options of receiver.py about its callers: who is answered, how many at a time, where they are recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from voip.calls import Answer
from voip.cli.callers import add_callers, callers_values
from voip.cli.parser import Group, Parser
from voip.cli.sharing import add_workers, check_ports, check_workers
from voip.ip import MAX_PORT

FIRST_PORT = 5000
"""Of the media ports, which stay below those of SIP (5060) as long as there is room."""
PORTS_END = 5060
MANY_FROM = 10000
"""The first media port for more calls than have room there."""
LEAST_PAIRS = 10
"""Pairs of ports (RTP and RTCP) that are used for a single call, so that a firewall need not be changed for a few."""
SPARE_PAIRS = 4
"""Pairs of each process beyond one for each call: calls that are over keep theirs until all is played."""
STDIN = "-"
"""--input of raw samples."""


def add_answering(group: Group) -> None:
    """Who is answered."""
    group.add_argument(
        "--max-calls",
        metavar="N",
        type=int,
        default=1,
        help="Calls at a time; others get 486 Busy Here. More than one are mixed.  [1]",
    )
    group.add_argument(
        "--conference",
        action=argparse.BooleanOptionalAction,
        help="Let each of the --max-calls callers hear the others; with --two-way also the microphone here.",
    )
    add_workers(group)
    add_callers(group)
    group.add_argument(
        "--answer",
        choices=[answer.value for answer in Answer],
        default=Answer.AUTO.value,
        help="Answer every call, ask at the terminal (y or n) while it rings, or decline every call.  [auto]",
    )
    group.add_argument("--once", action=argparse.BooleanOptionalAction, help="Exit after the first call.")


def add_per_caller(group: Group) -> None:
    """What becomes of each caller's sound."""
    group.add_argument(
        "--output-per-caller",
        metavar="DIR",
        type=Path,
        help="Record each caller to a WAV file of its own, all on one time line. The sound of all goes to --output as "
        "well, if that is given, too.",
    )


def answering_values(parser: Parser, found: argparse.Namespace) -> dict[str, Any]:
    """What they say, as fields of the options' dataclass; usage errors exit. Sets what other options default to."""
    if found.max_calls < 1:
        parser.error("--max-calls: at least 1")
    if found.conference and found.max_calls < 2:
        parser.error("--conference requires --max-calls of 2 or more")
    if found.conference and found.stream is not None:
        parser.error("--conference is for calls: a stream without signalling has no other party")
    if found.answer == Answer.ASK.value and found.input == STDIN:
        parser.error("--answer ask reads y or n from the terminal: --input - needs stdin for sound")
    workers = check_workers(parser, found)
    found.rtp_port = _media_ports(parser, found)
    check_ports(parser, workers, found.rtp_port)
    if found.output_per_caller is not None and found.output is None:
        found.output = "null"
    return {
        "max_calls": found.max_calls,
        "workers": workers,
        "conference": bool(found.conference),
        **callers_values(found),
        "answer": Answer(found.answer),
        "once": bool(found.once),
        "output_per_caller": found.output_per_caller,
    }


def _media_ports(parser: Parser, found: argparse.Namespace) -> tuple[int, int]:
    """Those given, or so many that all calls have room."""
    if found.rtp_port is None:
        pairs = max(LEAST_PAIRS, found.max_calls + SPARE_PAIRS * found.workers)
        first = FIRST_PORT if FIRST_PORT + 2 * pairs <= PORTS_END else MANY_FROM
        last = first + 2 * pairs - 1
        if last > MAX_PORT:
            parser.error(f"--max-calls {found.max_calls}: there are not so many ports")
        return first, last
    first, last = found.rtp_port
    room = len(range(first + first % 2, last + 1, 2))
    if room < found.max_calls and found.stream is None and not found.quiet:
        print(
            f"{parser.prog}: --rtp-port {first}-{last} has room for {room} calls (each takes an even port and the next "
            f"one): of --max-calls {found.max_calls} the others will be refused",
            file=sys.stderr,
        )
    return first, last
