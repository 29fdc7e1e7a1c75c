"""How long sound takes from a microphone to a speaker: `python -m tests.bench mouth-to-ear`.

Two virtual sound cards (tests/support/virtual_sound.py), `sender.py --input mic` and `receiver.py --output speaker`
over loopback. Chirps are played to the microphone. What it hears and what the speaker plays are recorded at once; the
distance between the two is the delay: devices, blocks, codec, packets, jitter buffer, sample rate conversion.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.waves import save_wave
from tests.support import processes
from tests.support.virtual_sound import RATE, SINKS, VirtualSound

Wave = NDArray[np.float64]

EVERY = 0.73
"""Seconds between two chirps: more than any delay, and no multiple of a block."""
CHIRP = 0.02
"""Seconds that a chirp lasts."""
BAND = (600.0, 3000.0)
"""Hz of its beginning and end: within what G.711 carries."""
SETTLED = 7.0
"""Seconds of the call that do not count: the play-out delay comes down from its first value."""
MAX_DELAY = 0.6
"""Seconds in which a chirp is looked for."""
LOUD = 0.3
"""Share of the best match that is a chirp."""


class Row(NamedTuple):
    """A call: what it is called, the codec, and more options of either program."""

    name: str
    codec: str
    sender: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()


ROWS = (
    Row("opus", "opus"),
    Row("l16", "l16"),
    Row("pcmu", "pcmu"),
    Row("g722", "g722"),
    Row("opus-5ms", "opus", ("--ptime", "5ms", "--fec", "off"), ("--latency", "0ms")),
    Row("l16-5ms", "l16", ("--ptime", "5ms", "--fec", "off"), ("--latency", "0ms")),
)


class Result(NamedTuple):
    """Delays in seconds, one for each chirp; processor seconds for a minute of the call."""

    delays: Wave
    sender_cpu: float
    receiver_cpu: float


class Recording:
    """What a sink plays, on the clock of this process: sample n was there at `began + n / RATE`."""

    def __init__(self, sound: VirtualSound, sink: str) -> None:
        read_end, write_end = os.pipe()
        self._arrivals: list[tuple[float, int]] = []
        self._data = bytearray()
        self._fd = read_end
        self._reader = threading.Thread(target=self._read)
        self._recorder = sound.recorder(sink, write_end)
        os.close(write_end)
        self._reader.start()

    def _read(self) -> None:
        while piece := os.read(self._fd, 1 << 16):
            self._data += piece
            self._arrivals.append((time.monotonic(), len(self._data) // 2))
        os.close(self._fd)

    def finish(self) -> tuple[Wave, float]:
        """The samples, and when the first was there: of all pieces, the least delayed tell."""
        self._recorder.terminate()
        self._recorder.wait()
        self._reader.join()
        samples = np.frombuffer(bytes(self._data[: len(self._data) // 2 * 2]), "<i2").astype(np.float64)
        began = float(np.quantile([at - count / RATE for at, count in self._arrivals], 0.05))
        return samples, began


def chirp() -> Wave:
    """A short rise in pitch, which no other moment of itself resembles."""
    at = np.arange(round(CHIRP * RATE)) / RATE
    rise = (BAND[1] - BAND[0]) / CHIRP
    return np.asarray(0.5 * np.hanning(len(at)) * np.sin(2 * np.pi * (BAND[0] * at + rise * at**2 / 2)))


def chirps(seconds: float) -> Wave:
    """One every EVERY seconds."""
    sound = np.zeros(round(seconds * RATE))
    pip = chirp()
    for start in np.arange(EVERY, seconds - 2 * CHIRP, EVERY):
        at = round(start * RATE)
        sound[at : at + len(pip)] = pip
    return sound


def found(sound: Wave) -> Wave:
    """How much of a chirp begins at each sample: the envelope of the match."""
    pip, length = chirp(), 1 << (len(sound) + round(CHIRP * RATE)).bit_length()
    match = np.fft.fft(sound, length) * np.conj(np.fft.fft(pip, length))
    match[length // 2 :] = 0.0  # the analytic signal
    return np.abs(np.fft.ifft(match))[: len(sound)]


def delays(heard: Wave, played: Wave, offset: float) -> Wave:
    """Seconds from each chirp in `heard` to the same in `played`, which began `offset` seconds later."""
    before, after = found(heard), found(played)
    loud, result, at = LOUD * before.max(), [], 0
    window = round(EVERY / 2 * RATE)
    for _ in range(int(len(heard) / RATE / EVERY) + 1):
        above = np.flatnonzero(before[at:] > loud)
        if not len(above):
            break
        first = at + int(above[0])
        peak = first + int(np.argmax(before[first : first + round(CHIRP * RATE)]))
        start = max(0, round(peak - offset * RATE))
        piece = after[start : start + round(MAX_DELAY * RATE)]
        if len(piece) == round(MAX_DELAY * RATE) and piece.max() > LOUD * after.max():
            result.append(int(np.argmax(piece)) / RATE + (start - (peak - offset * RATE)) / RATE)
        at = peak + window
    return np.array(result)


def measure(row: Row, seconds: float, sound: VirtualSound, folder: Path) -> Result:
    """One call."""
    said, environment = folder / "chirps.wav", sound.environment
    save_wave(said, chirps(seconds + 10.0), RATE)
    listening = ("--output", "speaker", "--once", "--codec", row.codec, *row.receiver)
    speaking = ("--input", "mic", "--codec", row.codec, *row.sender)
    with (
        processes.receiver(folder, *listening, environment=environment) as receiver,
        processes.sender(folder, receiver.target, *speaking, environment=environment) as sender,
    ):
        sender.wait_for("call to ")
        time.sleep(SETTLED)
        before = [processor_seconds(program.pid) for program in (sender, receiver)]
        recordings = [Recording(sound, sink) for sink in SINKS]
        with sound.speaking(said):
            time.sleep(seconds)
        cpu = [processor_seconds(program.pid) - at for program, at in zip((sender, receiver), before, strict=True)]
        (heard, begun), (played, later) = [recording.finish() for recording in recordings]
        sender.stop()
        sender.finish()
        receiver.finish()
    minutes = seconds / 60.0
    return Result(delays(heard, played, later - begun), cpu[0] / minutes, cpu[1] / minutes)


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
            with sound_and_folder() as (sound, folder):
                result = measure(row, options.seconds, sound, folder)
            results[row.name].append(result)
            sys.stderr.write(
                f"{row.name}: {len(result.delays)} chirps, median {1e3 * np.median(result.delays):.1f} ms\n"
            )
    sys.stdout.write(table(rows, results))
    return 0


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
        cpu = f"{np.median([r.sender_cpu for r in mine]):.1f} / {np.median([r.receiver_cpu for r in mine]):.1f}"
        lines.append(f"| {row.name} | {middle:.0f} | {singles} | {low:.0f} - {high:.0f} | {cpu} |")
    return "\n".join(lines) + "\n"
