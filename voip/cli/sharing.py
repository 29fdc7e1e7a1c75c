"""The option --workers, what it cannot be combined with, and how a worker process knows its place."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass

from voip.calls import Answer
from voip.cli.parser import Group, Parser

PLACE = "_VOIP_WORKER"
"""Variable of the environment that makes a receiver a worker of another."""
MOST_WORKERS = 64
SILENT = "null"
"""--output of what several processes can play at the same time."""
FOR_ONE_PROCESS = {
    "stream": "STREAM: one stream is one process",
    "compat": "--compat",
    "conference": "--conference: those who hear each other are in one process",
    "two_way": "--two-way: there is one microphone",
    "web": "--web",
    "pcap": "--pcap: each process has its own part of the packets",
    "once": "--once",
    "stun": "--stun: give --public-address",
    "registrar": "--registrar: give the address of the exchange by --allow",
}
"""Options that are not for several processes, by their fields, and what is said of them."""


@dataclass(frozen=True)
class Place:
    """What a worker process has to know: which it is, and how to reach its parent."""

    number: int
    """From 0."""
    workers: int
    fd: int
    """The socket to the parent."""
    ports: Mapping[str, int]
    """Of the parent, by transport protocol."""
    listening: tuple[str, ...]
    """Those of them that peers may connect to."""

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """That of the worker; a service manager is told of the parent alone."""
        kept = {name: value for name, value in ours.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
        return {**kept, PLACE: json.dumps(asdict(self))}

    @classmethod
    def taken(cls, environment: MutableMapping[str, str]) -> Place | None:
        """Ours, if we are a worker; nothing that we start is one by that."""
        text = environment.pop(PLACE, None)
        if text is None:
            return None
        found = json.loads(text)
        return cls(**{**found, "listening": tuple(found["listening"])})


def add_workers(group: Group) -> None:
    """Add the option."""
    group.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help="Share the --max-calls among so many processes behind one SIP port, one for each core. Nothing is played "
        "on a speaker: --output null or --output-per-caller.  [1]",
    )


def check_workers(parser: Parser, found: argparse.Namespace) -> int:
    """How many; usage errors exit."""
    count: int = found.workers
    if not 1 <= count <= MOST_WORKERS:
        parser.error(f"--workers {count}: between 1 and {MOST_WORKERS}")
    if count == 1:
        return count
    if os.name == "nt":
        parser.error("--workers is not for Windows")
    if found.max_calls < count:
        parser.error(f"--workers {count} requires --max-calls of {count} or more, which the workers share")
    for name, text in FOR_ONE_PROCESS.items():
        if getattr(found, name, None):
            parser.error(f"--workers cannot be combined with {text}")
    if found.answer == Answer.ASK.value:
        parser.error("--workers cannot be combined with --answer ask: there is one terminal")
    if (found.output or SILENT) != SILENT or (found.output is None and found.output_per_caller is None):
        parser.error("--workers requires --output null or --output-per-caller DIR: there is one speaker, and one file")
    return count


def check_ports(parser: Parser, workers: int, ports: tuple[int, int]) -> None:
    """Usage error, and exit, where a worker would have none of these media ports."""
    first, last = port_range(ports, workers - 1, workers)
    if last < first:
        parser.error(f"--rtp-port {ports[0]}-{ports[1]} has no ports for each of {workers} workers")


def share(whole: int, number: int, workers: int) -> int:
    """How much of something that is counted one of so many has."""
    each, more = divmod(whole, workers)
    return each + (number < more)


def port_range(ports: tuple[int, int], number: int, workers: int) -> tuple[int, int]:
    """First and last of the media ports of one worker: pairs, an even one and the next."""
    first, last = ports[0] + ports[0] % 2, ports[1]
    pairs = len(range(first, last + 1, 2))
    before = sum(share(pairs, other, workers) for other in range(number))
    begin = first + 2 * before
    end = begin + 2 * share(pairs, number, workers) - 1
    return begin, min(end, last)
