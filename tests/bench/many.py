"""Many calls at one receiver.py: what they cost it, and what of them it does not play.

    python -m tests.bench many [--codec pcmu] [--calls 1,25,50] [--seconds 15] [--alone] [--compiled] [--save]

The receiver runs on one core, the load (`tests/bench/crowd.py`) on another; there is no network between them that
could lose or delay anything. Callers come one after the other, talk, and leave one after the other. Processor time is
that of all threads of the receiver while all callers talk, and memory is what it has grown by at the end of that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.crowd import Load, crowd, make_load
from tests.bench.figures import store
from tests.bench.speech import add_speech_option, chosen
from tests.support.processes import LOOPBACK, ROOT, Receiver, free_ports, receiver
from tools.compile import DEFAULT as COMPILED

CALLS = (1, 25, 50, 100, 150, 200, 250, 300)
MEDIA_PORTS = 10_000
"""The first of the media ports: those of other tests are above 20000."""
SETTLE = 2.0
"""Seconds from the last caller's coming until anything is measured."""
JOIN_GAP = 0.02
"""Seconds between two callers at least: a receiver takes 60 a second of one host that it trusts."""
PATIENCE = 60.0
"""Seconds for the end of a receiver."""
NANOSECONDS = 1e9
FOREMOST = -20
"""The niceness that leaves other programs a hundredth of a core. A real-time class would not do: there the threads of
one program, on one core, take turns of a tenth of a second."""
AUTOGROUP = Path("/proc/self/autogroup")
"""The niceness of a session as a whole (sched(7)), beside which that of its processes counts among them alone."""


@dataclass(frozen=True)
class Figures:
    """One run with so many callers, all of them talking for `seconds`.

    cores: processor seconds per second. kb_per_call: resident memory beyond that of an idle receiver. concealed,
    skipped: packets in whose place something was made up, or that were left out; overruns: dropped between two threads
    of the receiver; lost: sent and not received. jitter_ms: the mean of what the receiver measured. late: packets that
    the load sent too late, by its own account.
    """

    calls: int
    seconds: float
    cores: float
    kb_per_call: float
    packets: int
    concealed: int
    skipped: int
    overruns: int
    lost: int
    jitter_ms: float
    late: int

    @property
    def clean(self) -> bool:
        """Whether all was played as it was sent."""
        return not (self.concealed or self.skipped or self.overruns or self.lost)


def cpu_seconds(pid: int) -> float:
    """Processor time of the threads that a process has, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / NANOSECONDS


def resident_kb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000


def of_report(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the receiver's report gives of its calls, summed up."""
    return {
        "packets": sum(call["rx"]["received"] for call in calls),
        "concealed": sum(call["heard"]["concealed"] for call in calls),
        "skipped": sum(call["heard"]["skipped"] for call in calls),
        "overruns": max(call["rx"]["overruns"] or 0 for call in calls),
        "lost": sum(call["rx"]["lost"] for call in calls),
        "jitter_ms": statistics.mean(call["timing"]["jitter_mean_ms"] or 0.0 for call in calls),
    }


@contextmanager
def pinned(*, alone: bool) -> Iterator[tuple[str, ...]]:
    """This process on one core; what starts a program on another. `alone`: both before all other programs."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    os.sched_setaffinity(0, set(cores[1:]) or before)
    if alone:
        os.setpriority(os.PRIO_PROCESS, 0, FOREMOST)
        if AUTOGROUP.exists():
            AUTOGROUP.write_text(str(FOREMOST))
    try:
        yield ("taskset", "-c", str(cores[0]))
    finally:
        os.sched_setaffinity(0, before)


def talk(far: Receiver, load: Load, calls: int, seconds: float) -> dict[str, float]:
    """So many callers come, talk for so long and leave: what can be seen of them from outside."""
    idle = resident_kb(far.pid)
    with crowd(load, (far.host, far.sip_port), calls) as callers:
        for _ in range(calls):
            callers.join()
            time.sleep(JOIN_GAP)
        time.sleep(SETTLE)
        before, began = cpu_seconds(far.pid), time.monotonic()
        time.sleep(seconds)
        cores = (cpu_seconds(far.pid) - before) / (time.monotonic() - began)
        memory = (resident_kb(far.pid) - idle) / calls
        while callers.up:
            callers.leave()
            time.sleep(JOIN_GAP)
        return {"cores": cores, "kb_per_call": memory, "late": callers.late}


def run_once(
    load: Load, calls: int, seconds: float, options: Sequence[str], *, alone: bool, root: Path = ROOT
) -> Figures:
    """One receiver, of the program in that folder, and so many callers."""
    ports = free_ports()[0], range(MEDIA_PORTS, MEDIA_PORTS + 2 * calls)
    more = ("--max-calls", str(calls), "--allow", LOOPBACK, *options)
    with (
        tempfile.TemporaryDirectory(prefix="many-") as folder,
        pinned(alone=alone) as through,
        receiver(Path(folder), *more, ports=ports, through=through, root=root) as far,
    ):
        seen = talk(far, load, calls, seconds)
        far.stop()
        report = far.finish(PATIENCE).report
    assert report is not None
    assert len(report["calls"]) == calls, f"{len(report['calls'])} of {calls} calls"
    told: dict[str, Any] = {**of_report(report["calls"]), **seen}
    return Figures(calls=calls, seconds=seconds, **told)


MANY_HEADS = (
    "codec",
    "calls",
    "s of all",
    "cores",
    "CPU s per call and minute",
    "kB per call",
    "packets",
    "made up",
    "left out",
    "dropped",
    "jitter told, ms",
)


def many_rows(results: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[list[str]]:
    """The cells of each codec and number of calls, as stored: medians of the runs, and the most of what went wrong."""
    rows = []
    for codec, by_calls in sorted(results.items()):
        for calls, runs in sorted(by_calls.items(), key=lambda item: int(item[0])):

            def middle(name: str, runs: Sequence[Mapping[str, Any]] = runs) -> float:
                return float(statistics.median(run[name] for run in runs))

            worst = (max(run[name] for run in runs) for name in ("concealed", "skipped", "overruns"))
            per_call = 60.0 * middle("cores") / int(calls)
            figures = f"{middle('cores'):.2f}", f"{per_call:.2f}", f"{middle('kb_per_call'):.0f}"
            counts = f"{middle('packets'):.0f}", *map(str, worst), f"{middle('jitter_ms'):.1f}"
            rows.append([codec, calls, f"{middle('seconds'):.0f}", *figures, *counts])
    return rows


HEAD = (
    "calls   cores   CPU s/call-min   kB/call   packets   concealed   skipped   overruns   lost   jitter ms   load late"
)


def row(figures: Figures) -> str:
    """A line of the table."""
    per_call = 60.0 * figures.cores / figures.calls
    return (
        f"{figures.calls:5}{figures.cores:8.3f}{per_call:17.3f}{figures.kb_per_call:10.0f}{figures.packets:10}"
        f"{figures.concealed:12}{figures.skipped:10}{figures.overruns:11}{figures.lost:7}{figures.jitter_ms:12.2f}"
        f"{figures.late:12}"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench many`."""
    add_speech_option(parser)
    parser.add_argument("--codec", default="opus", help="that all callers have  [opus]")
    parser.add_argument("--calls", default=",".join(map(str, CALLS)), help="at a time, one row each  [%(default)s]")
    parser.add_argument("--seconds", type=float, default=15.0, help="that all of them talk  [%(default)s]")
    parser.add_argument("--runs", type=int, default=1, help="of each row  [%(default)s]")
    parser.add_argument("--alone", action="store_true", help="run before all other programs (as root: niceness -20)")
    parser.add_argument("--compiled", action="store_true", help="the copy that make compiled leaves, as it is there")
    parser.add_argument("--save", action="store_true", help="keep the rows for the report")
    parser.add_argument("receiver_options", nargs="*", help="more options of receiver.py, after --")


def run(options: argparse.Namespace) -> int:
    """The `many` command."""
    try:
        load = make_load(options.codec, chosen(options.speech))
    except ValueError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    root, name = (COMPILED, f"{options.codec}, compiled") if options.compiled else (ROOT, options.codec)
    if not (root / "receiver.py").exists():
        sys.stderr.write(f"{root} is not there: make compiled\n")
        return 1
    sys.stdout.write(f"{name}, {options.seconds:g} s\n{HEAD}\n")
    more, alone = options.receiver_options, options.alone
    for calls in map(int, options.calls.split(",")):
        runs = []
        for _ in range(options.runs):
            runs.append(run_once(load, calls, options.seconds, more, alone=alone, root=root))
            sys.stdout.write(f"{row(runs[-1])}\n")
            sys.stdout.flush()
        if options.save:
            store(("many", name, str(calls)), [asdict(figures) for figures in runs])
    return 0
