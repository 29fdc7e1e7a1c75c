"""How long sound takes from a microphone to a speaker: `python -m tests.bench mouth-to-ear`.

Two virtual sound cards (tests/support/virtual_sound.py) and a call over loopback: `sender.py --input mic` and
`receiver.py --output speaker`, or another program's (tests/bench/mouth_to_ear_others.py). Chirps are played to the
microphone. What it hears and what the speaker plays are recorded at once; the distance between the two is the delay:
devices, blocks, codec, packets, jitter buffer, sample rate conversion.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bench import mouth_to_ear_others as others
from tests.bench.chirps import Recording, Wave, chirps, delays
from tests.bench.running import BenchError
from tests.bench.waves import save_wave
from tests.support import processes
from tests.support.virtual_sound import RATE, SINKS, VirtualSound

SETTLED = 7.0
"""Seconds of the call that do not count: the play-out delay comes down from its first value."""


class Row(NamedTuple):
    """A call: how it is asked for, what it is called in the table, who makes it, what it needs."""

    name: str
    title: str
    call: others.Call
    needs: tuple[str, ...] = ()


def ours(codec: str, sender: tuple[str, ...] = (), receiver: tuple[str, ...] = ()) -> others.Call:
    """sender.py and receiver.py with this codec, and more options of either."""

    @contextlib.contextmanager
    def call(sound: VirtualSound, folder: Path) -> Iterator[tuple[int, ...]]:
        environment = sound.environment
        listening = ("--output", "speaker", "--once", "--codec", codec, *receiver)
        speaking = ("--input", "mic", "--codec", codec, *sender)
        with (
            processes.receiver(folder, *listening, environment=environment) as far,
            processes.sender(folder, far.target, *speaking, environment=environment) as near,
        ):
            near.wait_for("call to ")
            yield near.pid, far.pid
            near.stop()
            near.finish()
            far.finish()

    return call


_SHORT = (("--ptime", "5ms", "--fec", "off"), ("--latency", "0ms"))

ROWS = (
    Row("opus", "Opus", ours("opus")),
    Row("l16", "L16", ours("l16")),
    Row("pcmu", "PCMU", ours("pcmu")),
    Row("g722", "G.722", ours("g722")),
    Row("opus-5ms", "Opus, `--ptime 5ms --fec off`, `--latency 0ms`", ours("opus", *_SHORT)),
    Row("l16-5ms", "L16, the same", ours("l16", *_SHORT)),
    Row("gst", "GStreamer, Opus", others.gstreamer(), others.GSTREAMER),
    Row("gst-short", "GStreamer, Opus, devices 20 ms, jitter buffer 25 ms", others.gstreamer(20, 25), others.GSTREAMER),
    Row("ffmpeg", "ffmpeg, Opus", others.ffmpeg(), ("ffmpeg",)),
    Row("ffmpeg-short", "ffmpeg, Opus, no buffering, devices 20 ms", others.ffmpeg(20), ("ffmpeg",)),
    Row("baresip", "baresip, Opus", others.baresip("5-10"), ("baresip",)),
    Row("baresip-short", "baresip, Opus, jitter buffer 1 to 2 packets", others.baresip("1-2"), ("baresip",)),
    Row("chromium", "Chromium, Opus, its processing of speech off", others.chromium, ("chromium",)),
)


class Result(NamedTuple):
    """Delays in seconds, one for each chirp; processor seconds of each process for a minute of the call."""

    delays: Wave
    cpu: tuple[float, ...]


def measure(row: Row, seconds: float, sound: VirtualSound, folder: Path) -> Result:
    """One call. BenchError if nothing of it is heard."""
    said = folder / "chirps.wav"
    save_wave(said, chirps(seconds + 10.0), RATE)
    with row.call(sound, folder) as pids:
        time.sleep(SETTLED)
        before = [processor_seconds(pid) for pid in pids]
        recordings = [Recording(sound, sink) for sink in SINKS]
        with sound.speaking(said):
            time.sleep(seconds)
        cpu = tuple((processor_seconds(pid) - at) * 60.0 / seconds for pid, at in zip(pids, before, strict=True))
        (heard, begun), (played, later) = [recording.finish() for recording in recordings]
    found = delays(heard, played, later - begun)
    if not len(found):
        raise BenchError(f"{row.name}: no chirp was heard")
    return Result(found, cpu)


def processor_seconds(pid: int) -> float:
    """User and system time of a process and those it has started, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    started = (file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return own + sum(processor_seconds(int(child)) for children in started for child in children)


@contextlib.contextmanager
def sound_and_folder() -> Iterator[tuple[VirtualSound, Path]]:
    with tempfile.TemporaryDirectory() as folder, VirtualSound() as sound:
        yield sound, Path(folder)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench mouth-to-ear`."""
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="only this one; repeatable")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each call, after the first seconds  [12]")
    parser.add_argument("--runs", type=int, default=3, help="calls of each row; the median counts  [3]")


def run(options: argparse.Namespace) -> int:
    """The `mouth-to-ear` command."""
    rows = [row for row in ROWS if options.row is None or row.name in options.row]
    results: dict[str, list[Result]] = {row.name: [] for row in rows}
    for _ in range(options.runs):
        for row in rows:
            if lacking := others.missing(row.needs):
                sys.stderr.write(f"{row.name}: left out, needs {', '.join(lacking)}\n")
                continue
            with sound_and_folder() as (sound, folder):
                try:
                    result = measure(row, options.seconds, sound, folder)
                except BenchError as problem:
                    sys.stderr.write(f"{problem}\n")
                    continue
            results[row.name].append(result)
            middle = 1e3 * np.median(result.delays)
            sys.stderr.write(f"{row.name}: {len(result.delays)} chirps, median {middle:.1f} ms\n")
    sys.stdout.write(table([row for row in rows if results[row.name]], results))
    return 0 if all(results.values()) else 1


def table(rows: list[Row], results: dict[str, list[Result]]) -> str:
    """A line for each row."""
    lines = [
        "| call | median ms | of single calls | p10 - p90 | CPU s/min, sender / receiver |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        mine = results[row.name]
        all_delays = 1e3 * np.concatenate([result.delays for result in mine])
        low, middle, high = np.quantile(all_delays, (0.1, 0.5, 0.9))
        singles = ", ".join(f"{1e3 * np.median(result.delays):.0f}" for result in mine)
        cpu = " / ".join(f"{np.median(seconds):.1f}" for seconds in zip(*(result.cpu for result in mine), strict=True))
        lines.append(f"| {row.title} | {middle:.0f} | {singles} | {low:.0f} - {high:.0f} | {cpu} |")
    return "\n".join(lines) + "\n"
