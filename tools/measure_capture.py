"""What `--pcap` costs: processor seconds a minute and concealed packets of two calls at the same time, one with it.

    python -m tools.measure_capture --seconds 60 --runs 3

Both calls run as real processes over loopback, as in `tools.measure_cost`, so that both have the same machine. Medians
of the runs; the figures count the whole life of a process.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

from tests.support.processes import Program, receiver, sender
from tools.measure_cost import MINUTE, Cost, measured_end

WAYS = {"without": False, "with": True}
PROGRAMS = ("sender", "receiver")


def measure(folder: Path, seconds: float) -> dict[tuple[str, str], Cost]:
    """One run: by way and program what each cost."""
    with contextlib.ExitStack() as running:
        programs: dict[tuple[str, str], Program] = {}
        for way, captures in WAYS.items():
            place = folder / way
            place.mkdir()
            far = running.enter_context(receiver(place, "--once", *_options(captures, "far")))
            call = ("--fec", "4", "--duration", f"{seconds:g}s", *_options(captures, "near"))
            near = running.enter_context(sender(place, far.target, *call))
            programs |= {(way, "sender"): near, (way, "receiver"): far}
        return {key: measured_end(program) for key, program in programs.items()}


def _options(captures: bool, name: str) -> tuple[str, ...]:
    return ("--pcap", f"{name}.pcapng") if captures else ()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.measure_capture", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=MINUTE, help="length of a call  [60]")
    parser.add_argument("--runs", type=int, default=3, help="how often  [3]")
    options = parser.parse_args(argv)
    runs = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(Path(folder), options.seconds))
    for way in WAYS:
        costs = {
            program: statistics.median(run[way, program].total * MINUTE / options.seconds for run in runs)
            for program in PROGRAMS
        }
        heard = [report["calls"] for run in runs if (report := run[way, "receiver"].outcome.report)]
        concealed = [sum(call["heard"]["concealed"] for call in calls) for calls in heard]
        captured = [report["capture"] for run in runs for name in PROGRAMS if (report := run[way, name].outcome.report)]
        dropped = sum(each["dropped"] for each in captured if each is not None)
        sys.stdout.write(
            f"{way:7} --pcap  sender {costs['sender']:.2f} s a minute, receiver {costs['receiver']:.2f} s, concealed "
            f"{statistics.median(concealed):g} packets, not captured {dropped}\n"
        )
    return 0 if all(cost.outcome.status == 0 for run in runs for cost in run.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
