"""sender.py and receiver.py as real processes over the wire, row by row, everything at its default.

    python -m tests.bench ours --row loss10 [--runs 3] [--seed 1] [--speech FILE.wav] [--save]

Both sides run until the file is over. The receiver plays into a pipe that is read here, so that the moment of each
sample is known; the moment at which each was spoken is known from the packets that enter the wire. The delay is the
difference, from mouth to ear, beyond the 20 ms of the wire.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench.figures import Figures, median, quality_figures, reaction, rtp_begin, store, wire_figures
from tests.bench.quality import measure
from tests.bench.rows import Row, matching, selected
from tests.bench.running import ROOT, BenchError, Job, Listener, WireJob
from tests.bench.speech import add_speech_option, chosen, write_reference
from tests.bench.waves import Wave, at_rate, save_wave
from tests.bench.wire import available

_RATE = 48000  # of the receiver's raw output
_READY = "waiting for a call"
_END = 40.0  # seconds that a call may take to be set up and to end


@dataclass(frozen=True)
class Setup:
    """What every run shares: the speech, options beside the defaults, and where files are kept (None: nowhere)."""

    speech: Wave
    sender: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()
    keep: Path | None = None


def run_row(row: Row, seed: int, setup: Setup) -> Figures:
    """One call over the wire and all its figures. BenchError if there was no call."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        reference = write_reference(folder / "speech.wav", setup.speech, row.seconds)
        wire = stack.enter_context(WireJob(row, seed, folder))
        begin, heard, costs = _call(row, setup, wire, folder)
        summary, log = wire.finish()
        near, far = (_only_call(folder / f"{name}.json") for name in ("near", "far"))
        received = at_rate(heard / 32768.0, _RATE)
        quality = measure(reference, received)
        spoken = rtp_begin(log, far["clock_rate"], far["ptime_ms"] / 1e3)
        offset = None if begin is None or spoken is None else begin - spoken - row.impairment.delay
        if setup.keep is not None:
            _keep(setup.keep / f"{row.name}-{seed}", folder, received)
        return {
            **quality_figures(quality, offset),
            **wire_figures(summary, log, row.seconds),
            **reaction(log, row),
            **costs,
            **report_figures(near, far),
        }


def _call(row: Row, setup: Setup, wire: WireJob, folder: Path) -> tuple[float | None, Any, Figures]:
    """Make the call: when the receiver's first sample came, all its samples, processor seconds per minute."""
    python = [sys.executable]
    receiver = [*wire.far, *python, str(ROOT / "receiver.py"), "--output", "-", "--format", f"{_RATE}/1", "--once"]
    sender = [*wire.near, *python, str(ROOT / "sender.py"), wire.far_address, "--input", "speech.wav"]
    with Job("far", [*receiver, "--report", "far.json", *setup.receiver], folder, listen=True) as far:
        listener = Listener(far, _RATE)
        far.wait_for(_READY)
        with Job("near", [*sender, "--report", "near.json", *setup.sender], folder) as near:
            sent = near.finish(row.seconds + _END)
            received = far.finish(_END)
            talk = near.talk[-1000:] + far.talk[-1000:]
    if sent.status or received.status:
        raise BenchError(f"sender.py ended with {sent.status}, receiver.py with {received.status}:\n{talk}")
    minutes = row.seconds / 60.0
    return listener.begin, listener.finish(), {"cpu_near": sent.cpu / minutes, "cpu_far": received.cpu / minutes}


def report_figures(near: dict[str, Any], far: dict[str, Any]) -> Figures:
    """What both reports say: round trip, loss as the other side told it, buffer, what FEC did."""
    told, rx, packets = near.get("remote") or {}, far["rx"], near["tx"]["packets"]
    lost = told.get("cumulative_lost")
    return {
        "codec": f"{far['codec']} {far['clock_rate']}",
        "rtt_ms": (near.get("timing") or {}).get("rtt_ms"),
        "told_loss_pct": None if lost is None or not packets else 100.0 * lost / packets,
        "buffer_ms": (far["timing"]["buffer_ms"] or {}).get("mean"),
        "buffer_max_ms": (far["timing"]["buffer_ms"] or {}).get("max"),
        "lost_pct": 100.0 * rx["lost"] / max(1, rx["expected"]),
        "lost_after_fec_pct": 100.0 * rx["lost_after_fec"] / max(1, rx["expected"]),
        "late": rx["late"],
        "skipped": far["heard"]["skipped"],
        "concealed": far["heard"]["concealed"],
        "resyncs": far["heard"]["resyncs"],
        "fec_packets": far["fec"]["packets"],
    }


def _only_call(report: Path) -> dict[str, Any]:
    calls: list[dict[str, Any]] = json.loads(report.read_text())["calls"]
    if len(calls) != 1 or calls[0]["rx" if report.stem == "far" else "tx"] is None:
        raise BenchError(f"{report.stem} reports no call: {report.read_text()[:1000]}")
    return calls[0]


def _keep(target: Path, folder: Path, received: Wave) -> None:
    target.mkdir(parents=True, exist_ok=True)
    save_wave(target / "heard.wav", received)
    for name in ("speech.wav", "near.json", "far.json", "near.log", "far.log", "wire.tsv"):
        shutil.copy(folder / name, target / name)


# --- the command ------------------------------------------------------------------------------------------------------

COLUMNS = ("pesq", "missing", "longest_gap", "delay", "delay_max", "kbps", "cpu_near", "cpu_far")


def heads() -> str:
    """The first line of the table."""
    more = ("rtt/true ms", "told/true loss %", "buffer ms", "wire late ms")
    names = ("PESQ", "miss %", "gap ms", "delay", "max ms", "kbit/s", "cpu s/m", "cpu far")
    return f"{'row':24}" + "".join(f"{name:>9}" for name in names) + "  " + "  ".join(more)


def line(name: str, figures: Figures) -> str:
    """One row of the table."""

    def cell(key: str, digits: int) -> str:
        value = figures.get(key)
        return "-" if value is None else f"{value:.{digits}f}"

    digits = {"pesq": 3, "missing": 2, "cpu_near": 2, "cpu_far": 2, "kbps": 1}
    cells = "".join(f"{cell(key, digits.get(key, 0)):>9}" for key in COLUMNS)
    loss = f"{cell('told_loss_pct', 2)}/{cell('true_loss_pct', 2)}"
    more = (f"{cell('rtt_ms', 1)}/{cell('true_rtt_ms', 1)}", loss, cell("buffer_ms", 0), cell("wire_late_ms", 1))
    return f"{name:24}{cells}  {'  '.join(more)}"


def over_bounds(row: Row, figures: Figures) -> list[str]:
    """Which of the row's bounds the figures miss."""
    bounds, missed = row.bounds, []
    if bounds.pesq is not None and (figures.get("pesq") or 0.0) < bounds.pesq:
        missed.append(f"PESQ under {bounds.pesq:g}")
    for name, key, most in (
        ("missing", "missing", bounds.missing),
        ("delay", "delay", bounds.delay),
        ("kbit/s", "kbps", bounds.kbps),
    ):
        value = figures.get(key)
        if most is not None and (value is None or value > most):
            missed.append(f"{name} over {most:g}")
    return missed


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench ours`."""
    add_speech_option(parser)
    parser.add_argument("--row", action="append", type=matching, help="a row, or several: line96-* [all of them]")
    parser.add_argument("--runs", type=int, default=1, help="calls of each row; figures are their medians")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next ones count up")
    parser.add_argument("--seconds", type=float, help="shorter or longer calls than the rows say")
    parser.add_argument("--jobs", type=int, default=1, help="calls at a time; more of them disturb one another")
    parser.add_argument("--sender", default="", help="further options for sender.py, in one word")
    parser.add_argument("--receiver", default="", help="further options for receiver.py")
    parser.add_argument("--keep", type=Path, help="leave recordings, reports and the wire's log in this folder")
    parser.add_argument("--each", action="store_true", help="show every run, too")
    parser.add_argument("--save", action="store_true", help="put the medians into docs/benchmarks.json")
    add_if_possible(parser)


def add_if_possible(parser: argparse.ArgumentParser) -> None:
    """`--if-possible`, for `make bench`."""
    parser.add_argument("--if-possible", action="store_true", help="no failure where there can be no wire, or speech")


def ready(options: argparse.Namespace) -> Wave | None:
    """The speech, if everything for calls over a wire is here; otherwise what is missing has been said."""
    try:
        if problem := available():
            raise ValueError(problem)
        return chosen(options.speech)
    except ValueError as problem:
        sys.stderr.write(f"no calls over a wire: {problem} (make bench-system)\n")
        return None


def run(options: argparse.Namespace) -> int:
    """The `ours` command."""
    speech = ready(options)
    if speech is None:
        return 0 if options.if_possible else 1
    setup = Setup(speech, tuple(options.sender.split()), tuple(options.receiver.split()), options.keep)
    rows: Sequence[Row] = selected(options.row)
    if options.seconds:
        rows = [replace(row, seconds=options.seconds) for row in rows]
    seeds = range(options.seed, options.seed + options.runs)
    sys.stdout.write(heads() + "\n")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        calls = {row.name: [pool.submit(run_row, row, seed, setup) for seed in seeds] for row in rows}
        for row in rows:
            failed += not _tell(row, calls[row.name], options)
    return 1 if failed else 0


def _tell(row: Row, calls: Sequence[concurrent.futures.Future[Figures]], options: argparse.Namespace) -> bool:
    """Show a row's figures when they are there, and keep them."""
    runs = []
    for call in calls:
        try:
            runs.append(call.result())
        except BenchError as problem:
            sys.stderr.write(f"{row.name}: {problem}\n")
            continue
        if options.each and len(calls) > 1:
            sys.stdout.write(line(f"  {row.name}", runs[-1]) + "\n")
            sys.stdout.flush()
    if not runs:
        return False
    figures = {**median(runs), "runs": len(runs), "codec": runs[0]["codec"]}
    missed = over_bounds(row, figures)
    if "up_s" in figures or "down_s" in figures:
        missed.append(f"up after {figures.get('up_s')} s, down after {figures.get('down_s')} s")
    sys.stdout.write(line(row.name, figures) + (f"   <- {', '.join(missed)}" if missed else "") + "\n")
    sys.stdout.flush()
    if options.save:
        store(("ours", row.name), figures)
    return True
