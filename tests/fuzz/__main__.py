"""Run the fuzz targets:  python -m tests.fuzz [TARGET ...] [--seconds 60 | --inputs N] [--seed 1] [--jobs 2] [--keep]

Each target runs in a process of its own (`tests/fuzz/worker.py`), from its seeds and what is kept in tests/fuzz/corpus.
An input that a bug was found with is written to build/fuzz/TARGET, and the exit status is 1. With --keep the smallest
inputs that reach all that was reached go to tests/fuzz/corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.fuzz.orders import Order, Worker
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

BUILD = Path("build/fuzz")
INPUT_TIMEOUT = 10
"""Seconds that one input may take, on a slow machine and instrumented; parsers are held to 10 ms elsewhere."""
MEMORY_LIMIT = 1024
"""Megabytes of a process that fuzzes."""
GRACE = 600
"""Seconds that a process may take beyond its time before it is killed: at low priority beside other tests minutes may
pass in which it does nothing. An input that hangs has `INPUT_TIMEOUT`."""
LINES_OF_A_FAILURE = 40
"""Of the log, printed."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: `runs` inputs, and how the process ended."""

    name: str
    runs: int
    status: int
    log: Path

    @property
    def line(self) -> str:
        """The outcome in one line."""
        verdict = "only declared errors" if self.status == 0 else f"FAILED, see {self.log}"
        return f"{self.name:16} {self.runs:>10,} inputs   {verdict}"

    def end(self) -> Sequence[str]:
        """What the log of a failure says last: the exception and where it came from."""
        if self.status == 0:
            return ()
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_OF_A_FAILURE:]


@dataclass(frozen=True)
class Extent:
    """How long a target is fuzzed: for `seconds`, or for so many `inputs`, however long they take."""

    seconds: int
    inputs: int | None = None

    @property
    def option(self) -> str:
        """As libFuzzer is told it."""
        return f"-max_total_time={self.seconds}" if self.inputs is None else f"-runs={self.inputs}"

    @property
    def patience(self) -> float | None:
        """Seconds after which the process is killed; None: never."""
        return self.seconds + GRACE if self.inputs is None else None


def fuzz(target: Target, extent: Extent, seed: int, worker: Worker) -> Outcome:
    """Fuzz one target for so long."""
    folder = BUILD / target.name
    found, findings = folder / "found", folder / "findings"
    for each in (found, findings):
        each.mkdir(parents=True, exist_ok=True)
    for data in target.inputs():
        (found / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    log = folder / "log"
    options = [
        *(extent.option, f"-seed={seed}", f"-max_len={target.longest}"),
        *(f"-timeout={INPUT_TIMEOUT}", f"-rss_limit_mb={MEMORY_LIMIT}", f"-artifact_prefix={findings}/"),
        *("-print_final_stats=1", str(found)),
    ]
    status = worker.fuzz(Order(target.name, options, str(log)), extent.patience)
    runs = re.findall(r"number_of_executed_units: (\d+)", log.read_text(encoding="utf-8", errors="replace"))
    return Outcome(target.name, int(runs[-1]) if runs else 0, status if runs else status or 1, log)


def fuzz_all(targets: Sequence[Target], extent: Extent, seed: int, jobs: int) -> list[Outcome]:
    """Fuzz them, so many at a time, and print what came of each, in their order."""
    BUILD.mkdir(parents=True, exist_ok=True)
    free: SimpleQueue[Worker] = SimpleQueue()

    def by_any(target: Target) -> Outcome:
        worker = free.get()
        try:
            return fuzz(target, extent, seed, worker)
        finally:  # also of one that has ended: whoever waits for it would wait for ever
            free.put(worker)

    outcomes = []
    with ExitStack() as workers, ThreadPoolExecutor(jobs) as pool:
        for number in range(min(jobs, len(targets))):
            free.put(workers.enter_context(Worker(BUILD / f"worker-{number}.log")))
        for outcome in pool.map(by_any, targets):
            print(outcome.line, *outcome.end(), sep="\n", flush=True)
            outcomes.append(outcome)
    return outcomes


def keep(target: Target) -> None:
    """Put the smallest set of inputs that reaches what all of them reach into the repository."""
    folder = BUILD / target.name
    merged = folder / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.fuzz.worker", target.name, "-merge=1", f"-max_len={target.longest}"]
    subprocess.run([*command, str(merged), str(folder / "found")], check=True, capture_output=True)
    known = {hashlib.sha1(data, usedforsecurity=False).hexdigest() for data in target.seeds()}
    kept = [path for path in sorted(merged.iterdir(), key=lambda each: each.stat().st_size) if path.name not in known]
    if kept:
        (CORPUS / target.name).mkdir(parents=True, exist_ok=True)
    for path in kept[: target.kept]:
        shutil.copy(path, CORPUS / target.name / path.name[:16])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers with atheris.")
    parser.add_argument(
        "targets", metavar="TARGET", nargs="*", help=f"One or more of: {', '.join(TARGETS)}. Default: all."
    )
    parser.add_argument("--seconds", type=int, default=60, help="Seconds for each target. Default: %(default)s.")
    parser.add_argument("--inputs", type=int, metavar="N", help="Try N inputs of each target, however long they take.")
    parser.add_argument(
        "--seed", type=int, default=1, help="The same seed tries the same inputs. Default: %(default)s."
    )
    parser.add_argument("--jobs", type=int, default=2, help="Targets at a time. Default: %(default)s.")
    parser.add_argument("--keep", action="store_true", help="Keep the best inputs in tests/fuzz/corpus.")
    found = parser.parse_args(argv)
    if unknown := set(found.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    targets = [TARGETS[name] for name in found.targets or TARGETS]
    extent = Extent(found.seconds, found.inputs)
    outcomes = fuzz_all(targets, extent, found.seed, found.jobs)
    if found.keep:
        with ThreadPoolExecutor(found.jobs) as pool:
            list(pool.map(keep, targets))
    return int(any(outcome.status for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
