"""The speech that is sent: `python -m tests.bench speech OUT.wav`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.waves import RATE, Wave, at_rate, load_wave, prompts, save_wave, stretch

LENGTH = 60.0
"""Seconds of speech before it repeats."""


def add_speech_option(parser: argparse.ArgumentParser) -> None:
    """`--speech`, of every command that sends some."""
    parser.add_argument("--speech", type=Path, help="16-bit WAV of 16 kHz or more [Debian's Asterisk prompts]")


def chosen(path: Path | None) -> Wave:
    """Speech at `RATE`; ValueError if there is none."""
    return prompts(LENGTH) if path is None else at_rate(*load_wave(path))


def write_reference(path: Path, speech: Wave, seconds: float) -> Wave:
    """The file that a program of the near side sends: as much of `speech` as lasts so long."""
    reference = stretch(speech, seconds)
    save_wave(path, reference)
    return reference


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench speech`."""
    add_speech_option(parser)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=LENGTH)


def run(options: argparse.Namespace) -> int:
    """The `speech` command."""
    try:
        speech = chosen(options.speech)
    except ValueError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    save_wave(options.output, stretch(speech, options.seconds), RATE)
    return 0
