"""One sender.py with many targets of equal settings: what each more of them costs.

    python -m tests.bench targets [--targets 1,20] [--codec opus] [--fec auto] [--seconds 60] [--runs 3]

Real programs with all options at their defaults (encrypted, with RTCP), over loopback, without a sound device: a voice
made by arithmetic goes in. Processor time is that of the whole life of sender.py, its start included, for a minute of
sound; numbers of targets take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.support.processes import Program, receiver, sender
from tests.support.voice import speech
from tests.support.wav import save
from tools.measure_cost import MINUTE, Cost, measured_end

CALLS = 10
"""Calls that a receiver takes: two ports each, of the twenty that it has."""
SAID = 6.0
"""Seconds of the voice before it says the same again."""
RATE = 48000
"""Samples per second of the sound, as most sound cards have."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench targets`."""
    parser.add_argument("--targets", default="1,20", help="how many: one number after the other  [1,20]")
    parser.add_argument("--codec", default="opus", help="of the sender  [opus]")
    parser.add_argument("--fec", default="auto", help="of the sender  [auto]")
    parser.add_argument("--srtp", default="optional", help="of the sender  [optional]")
    parser.add_argument("--seconds", type=float, default=MINUTE, help="length of the calls  [60]")
    parser.add_argument("--runs", type=int, default=3, help="of each; medians are told  [3]")


def run(options: argparse.Namespace) -> int:
    """The `targets` command."""
    counts = [int(count) for count in options.targets.split(",")]
    found: dict[int, list[Cost]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        said = speech(RATE, SAID)
        sound = save(Path(folder) / "speech.wav", np.resize(said, (round(RATE * options.seconds), 1)), RATE)
        given = ["--input", str(sound), "--codec", options.codec, "--fec", options.fec, "--srtp", options.srtp]
        for _ in range(options.runs):
            for count in counts:
                found[count].append(measure(Path(folder), count, given))
    scale = MINUTE / options.seconds
    failed = False
    for count, costs in found.items():
        middle = statistics.median(cost.total for cost in costs)
        parts = [statistics.median(part) for part in zip(*((cost.user, cost.system) for cost in costs), strict=True)]
        failed = failed or any(cost.outcome.status for cost in costs)
        sys.stdout.write(
            f"{count:3} targets  {scale * middle:6.2f} s of processor for a minute of {options.codec} "
            f"(user {scale * parts[0]:.2f}, system {scale * parts[1]:.2f}; "
            f"{', '.join(f'{scale * cost.total:.2f}' for cost in costs)})\n"
        )
    return int(failed)


def measure(folder: Path, count: int, given: list[str]) -> Cost:
    """One run with so many targets: what the sender cost."""
    with contextlib.ExitStack() as running:
        hosts = [
            running.enter_context(receiver(folder, "--max-calls", f"{CALLS}", name=f"receiver{number}"))
            for number in range(-(-count // CALLS))
        ]
        targets = [f"sip:room{number}@{hosts[number // CALLS].target}" for number in range(count)]
        near: Program = running.enter_context(sender(folder, targets[0], *targets[1:], *given))
        return measured_end(near)
