"""sender.py and receiver.py as real processes over the wire, row by row, everything at its default.

    python -m tests.bench ours --row loss10 [--row 'line96-*'] [--runs 3] [--seed 1] [--speech FILE.wav] [--save]

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
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench import bulk
from tests.bench.aims import missed_aims
from tests.bench.beside import Bulk
from tests.bench.figures import (
    Figures,
    dated,
    median,
    quality_figures,
    reaction,
    rtp_begin,
    store,
    tags_kbps,
    wire_figures,
)
from tests.bench.quality import add_more_metrics, measure
from tests.bench.queueing import queue_figures, record_of, tcp_figures
from tests.bench.rows import Row, matching, selected
from tests.bench.running import ROOT, BenchError, Job, Listener, LogLine, WireJob
from tests.bench.speech import add_speech_option, chosen, write_reference
from tests.bench.waves import Wave, at_rate, save_wave
from tests.bench.wire import SECOND_SIP_PORT, available
from voip.srtp import Profile

_RATE = 48000  # of the receiver's raw output
_READY = "waiting for a call"
_SECOND_PORTS = range(20000, 20100)  # for media of the receiver of a second call
_END = 40.0  # seconds that a call may take to be set up and to end


@dataclass(frozen=True)
class Setup:
    """What every run shares: the speech, options beside the defaults, and where files are kept (None: nowhere).

    more: with PLCMOS and ViSQOL.
    """

    speech: Wave
    sender: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()
    keep: Path | None = None
    more: bool = False


class Call:
    """One call of the two scripts in a folder of its own, which gets speech, recordings, reports and logs."""

    def __init__(self, row: Row, setup: Setup, wire: WireJob, folder: Path, *, second: bool = False) -> None:
        """`second`: beside another, so with ports of its own."""
        self.folder, self.row, self._more = folder, row, setup.more
        folder.mkdir(exist_ok=True)
        self.reference = write_reference(folder / "speech.wav", setup.speech, row.seconds)
        ports = (
            ["--sip-port", str(SECOND_SIP_PORT), "--rtp-port", f"{_SECOND_PORTS[0]}-{_SECOND_PORTS[-1]}"]
            if second
            else []
        )
        target = f"sip:{wire.far_address}:{SECOND_SIP_PORT}" if second else wire.far_address
        python = [sys.executable]
        receiver = [*wire.far, *python, str(ROOT / "receiver.py"), "--output", "-", "--format", f"{_RATE}/1", "--once"]
        sender = [*wire.near, *python, str(ROOT / "sender.py"), target, "--input", "speech.wav"]
        self._receiver = [*receiver, *ports, "--report", "far.json", *setup.receiver]
        self._sender = [*sender, "--report", "near.json", *setup.sender]
        self.begin: float | None = None
        """When the first sample was heard, as the monotonic clock has it."""
        self.heard: Any = None
        self.costs: Figures = {}

    def answer(self, stack: contextlib.ExitStack) -> None:
        """Start the receiver, until it waits for a call."""
        self._far = stack.enter_context(Job("far", self._receiver, self.folder, listen=True))
        self._listener = Listener(self._far, _RATE)
        self._far.wait_for(_READY)

    def dial(self, stack: contextlib.ExitStack) -> None:
        """Start the sender."""
        self._near = stack.enter_context(Job("near", self._sender, self.folder))

    def finish(self) -> None:
        """Wait for the end of both."""
        sent = self._near.finish(self.row.seconds + _END)
        received = self._far.finish(_END)
        if sent.status or received.status:
            talk = self._near.talk[-1000:] + self._far.talk[-1000:]
            raise BenchError(f"sender.py ended with {sent.status}, receiver.py with {received.status}:\n{talk}")
        minutes = self.row.seconds / 60.0
        self.heard, self.begin = self._listener.finish(), self._listener.begin
        self.costs = {"cpu_near": sent.cpu / minutes, "cpu_far": received.cpu / minutes}

    def figures(self, summary: dict[str, Any], log: Sequence[LogLine]) -> Figures:
        """All figures of this call; `log`: its packets alone."""
        near, far = (_only_call(self.folder / f"{name}.json") for name in ("near", "far"))
        quality = measure(self.reference, at_rate(self.heard / 32768.0, _RATE), more=self._more)
        spoken = rtp_begin(log, far["clock_rate"], far["ptime_ms"] / 1e3)
        offset = None if self.begin is None or spoken is None else self.begin - spoken - self.row.impairment.delay
        return {
            **quality_figures(quality, offset),
            **wire_figures(summary, log, self.row.seconds),
            **(queue_figures(self.row, record_of(log)) if self.row.full_line else {}),
            **self.costs,
            **report_figures(near, far),
            "kbps_of_tags": _tags(near, self.row.seconds),
        }


def run_row(row: Row, seed: int, setup: Setup) -> Figures:
    """One call over the wire, with what the row has beside it, and all its figures. BenchError if there was no call."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        wire = stack.enter_context(WireJob(row, seed, folder))
        call, second = Call(row, setup, wire, folder), None
        if row.second is not None:
            second = Call(row.of_second, setup, wire, folder / "second", second=True)
        samples = _make(call, second, wire, stack)
        summary, log = wire.finish()
        figures = call.figures(summary, [line for line in log if line.far_port not in _SECOND_PORTS])
        if second is not None:
            later = [line for line in log if line.far_port in _SECOND_PORTS]
            figures["second"] = second.figures(summary, later)
        if samples is not None:
            figures |= tcp_figures(row, samples, log)
        if setup.keep is not None:
            _keep(setup.keep / f"{row.name}-{seed}", call)
        return {**figures, **reaction(log, row)}


def _make(call: Call, second: Call | None, wire: WireJob, stack: contextlib.ExitStack) -> list[bulk.Sample] | None:
    """Make the call; what the TCP connection beside it has brought, if there is one."""
    row = call.row
    beside = Bulk(wire, call.folder, stack) if row.tcp else None
    calls = [call] if second is None else [call, second]
    for each in calls:
        each.answer(stack)
    call.dial(stack)
    if beside is not None:
        beside.start()
    if second is not None:
        time.sleep(row.second or 0.0)
        second.dial(stack)
    for each in calls:
        each.finish()
    return None if beside is None else beside.finish()


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


def _tags(near: dict[str, Any], seconds: float) -> float:
    agreed, tx = near["encryption"], near["tx"]
    profile = next((each for each in Profile if agreed and each.sdes == agreed["profile"]), None)
    return tags_kbps(profile, tx["packets"] + tx["fec_packets"], seconds)


def _only_call(report: Path) -> dict[str, Any]:
    calls: list[dict[str, Any]] = json.loads(report.read_text())["calls"]
    if len(calls) != 1 or calls[0]["rx" if report.stem == "far" else "tx"] is None:
        raise BenchError(f"{report.stem} reports no call: {report.read_text()[:1000]}")
    return calls[0]


def _keep(target: Path, call: Call) -> None:
    target.mkdir(parents=True, exist_ok=True)
    save_wave(target / "heard.wav", at_rate(call.heard / 32768.0, _RATE))
    for name in ("speech.wav", "near.json", "far.json", "near.log", "far.log", "wire.tsv"):
        shutil.copy(call.folder / name, target / name)


# --- the command ------------------------------------------------------------------------------------------------------

COLUMNS = ("pesq", "missing", "longest_gap", "delay", "delay_max", "kbps", "cpu_near", "cpu_far")


def heads() -> str:
    """The first line of the table."""
    more = ("rtt/true ms", "told/true loss %", "buffer ms", "wire late ms")
    line = ("R/CQ", "queue 50/95", "drops %", "TCP", "PLCMOS/ViSQOL")
    names = ("PESQ", "miss %", "gap ms", "delay", "max ms", "kbit/s", "cpu s/m", "cpu far")
    return f"{'row':24}" + "".join(f"{name:>9}" for name in names) + "  " + "  ".join((*more, *line))


def line(name: str, figures: Figures) -> str:
    """One row of the table."""

    def cell(key: str, digits: int) -> str:
        value = figures.get(key)
        return "-" if value is None else f"{value:.{digits}f}"

    digits = {"pesq": 3, "missing": 2, "cpu_near": 2, "cpu_far": 2, "kbps": 1}
    cells = "".join(f"{cell(key, digits.get(key, 0)):>9}" for key in COLUMNS)
    loss = f"{cell('told_loss_pct', 2)}/{cell('true_loss_pct', 2)}"
    queue = f"{cell('queue_p50_ms', 0)}/{cell('queue_p95_ms', 0)}"
    more = (
        f"{cell('rtt_ms', 1)}/{cell('true_rtt_ms', 1)}",
        loss,
        cell("buffer_ms", 0),
        cell("wire_late_ms", 1),
        f"{cell('r', 1)}/{cell('mos_cq', 2)}",
        queue,
        cell("drops_pct", 2),
        cell("tcp_kbps", 0),
        f"{cell('plcmos', 2)}/{cell('visqol', 2)}",
    )
    return f"{name:24}{cells}  {'  '.join(more)}"


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
    parser.add_argument(
        "--label", help="save beside the defaults as this, for a comparison at equal bits: '--fec-max 43k'"
    )
    parser.add_argument("--keep", type=Path, help="leave recordings, reports and the wire's log in this folder")
    add_more_metrics(parser)
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
    setup = Setup(
        speech, tuple(options.sender.split()), tuple(options.receiver.split()), options.keep, options.more_metrics
    )
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
    figures = {**median(runs), "runs": len(runs), "jobs": options.jobs, "codec": runs[0]["codec"]}
    missed = missed_aims(row, figures)
    if "up_s" in figures or "down_s" in figures:
        missed.append(f"up after {figures.get('up_s')} s, down after {figures.get('down_s')} s")
    sys.stdout.write(line(row.name, figures) + (f"   <- {', '.join(missed)}" if missed else "") + "\n")
    sys.stdout.flush()
    if options.save:
        store(("limited", options.label, row.name) if options.label else ("ours", row.name), dated(figures))
    return True
