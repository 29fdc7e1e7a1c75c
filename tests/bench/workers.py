"""What streams cost one receiver process, and each of several behind one port.

    python -m tests.bench workers [--codec opus] [--calls 50] [--workers 1,2] [--seconds 15] [--runs 3]

Each process has as many calls whatever their number, for it costs something that it runs at all. Counted is processor
time, of each process by itself: how many cores there are, and what else runs on them, does not matter to it. `streams a
core` is how many such calls would fill one: what a worker can carry on a core of its own. What was concealed or skipped
tells whether this machine carried them at the time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.crowd import Load, crowd, make_load
from tests.bench.many import JOIN_GAP, MEDIA_PORTS, PATIENCE, SETTLE, cpu_seconds, of_report, resident_kb
from tests.bench.speech import add_speech_option, chosen
from tests.support.processes import LOOPBACK, Receiver, free_ports, receiver

SPARE_PORTS = 8
"""Pairs beyond those of the calls."""


@dataclass(frozen=True)
class Figures:
    """One run. parent, busiest, all: processor seconds per second of the process with the SIP port, of the worker that
    has used most, and of all; with one process the three are the same. kb: resident memory of all."""

    workers: int
    calls: int
    seconds: float
    parent: float
    busiest: float
    all: float
    kb: float
    shares: tuple[int, ...]
    concealed: int
    skipped: int

    @property
    def streams_a_core(self) -> float:
        """Such calls that would fill a core of the busiest process."""
        return (max(self.shares) if self.shares else self.calls) / self.busiest


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(each) for task in tasks for each in (task / "children").read_text().split())


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(link.readlink()).startswith("socket:") for link in links)


def talk(far: Receiver, load: Load, calls: int, seconds: float) -> dict[str, float | tuple[int, ...]]:
    """So many callers come, talk and leave."""
    workers = children(far.pid)
    pids, idle = [far.pid, *workers], [sockets(pid) for pid in workers]
    with crowd(load, (far.host, far.sip_port), calls) as callers:
        for _ in range(calls):
            callers.join()
            time.sleep(JOIN_GAP)
        time.sleep(SETTLE)
        shares = tuple((sockets(pid) - before) // 2 for pid, before in zip(workers, idle, strict=True))
        before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - began
        cores = [(cpu_seconds(pid) - was) / lasted for pid, was in zip(pids, before, strict=True)]
        memory = sum(map(resident_kb, pids))
        while callers.up:
            callers.leave()
            time.sleep(JOIN_GAP)
    busiest = max(cores[1:] or cores)
    return {"parent": cores[0], "busiest": busiest, "all": sum(cores), "kb": memory, "shares": shares}


def run_once(load: Load, calls: int, workers: int, seconds: float, options: Sequence[str]) -> Figures:
    """One receiver of so many processes."""
    ports = free_ports()[0], range(MEDIA_PORTS, MEDIA_PORTS + 2 * (calls + SPARE_PORTS))
    more = ("--max-calls", str(calls), "--workers", str(workers), "--allow", LOOPBACK, *options)
    with (
        tempfile.TemporaryDirectory(prefix="workers-") as folder,
        receiver(Path(folder), *more, ports=ports) as far,
    ):
        seen = talk(far, load, calls, seconds)
        far.stop()
        report = far.finish(PATIENCE).report
    assert report is not None
    assert len(report["calls"]) == calls, f"{len(report['calls'])} of {calls} calls"
    told = of_report(report["calls"])
    return Figures(
        workers=workers,
        calls=calls,
        seconds=seconds,
        concealed=told["concealed"],
        skipped=told["skipped"],
        **seen,  # type: ignore[arg-type]
    )


HEAD = "workers   calls   parent   busiest   all cores   streams a core   MB   calls of each   concealed   skipped"


def row(figures: Figures) -> str:
    """A line of the table."""
    shares = "+".join(map(str, figures.shares)) or str(figures.calls)
    return (
        f"{figures.workers:7}{figures.calls:8}{figures.parent:9.3f}{figures.busiest:10.3f}{figures.all:12.3f}"
        f"{figures.streams_a_core:17.0f}{figures.kb / 1000:5.0f}{shares:>16}{figures.concealed:12}{figures.skipped:10}"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench workers`."""
    add_speech_option(parser)
    parser.add_argument("--codec", default="opus", help="that all callers have  [opus]")
    parser.add_argument("--calls", type=int, default=50, help="at a time, of each process  [%(default)s]")
    parser.add_argument("--workers", default="1,2", help="processes, one row each  [%(default)s]")
    parser.add_argument("--seconds", type=float, default=15.0, help="that all of them talk  [%(default)s]")
    parser.add_argument("--runs", type=int, default=1, help="of each row  [%(default)s]")
    parser.add_argument("receiver_options", nargs="*", help="more options of receiver.py, after --")


def run(options: argparse.Namespace) -> int:
    """The `workers` command."""
    load = make_load(options.codec, chosen(options.speech))
    sys.stdout.write(f"{options.codec}, {options.seconds:g} s\n{HEAD}\n")
    for workers in map(int, options.workers.split(",")):
        runs = []
        for _ in range(options.runs):
            runs.append(run_once(load, options.calls * workers, workers, options.seconds, options.receiver_options))
            sys.stdout.write(f"{row(runs[-1])}\n")
            sys.stdout.flush()
        if options.runs > 1:
            middle = statistics.median(figures.streams_a_core for figures in runs)
            sys.stdout.write(f"        median of streams a core: {middle:.0f}, of all: {workers * middle:.0f}\n")
    return 0
