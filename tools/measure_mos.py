"""The MOS that the program tells beside what PESQ says of the same call: the table in docs/quality.md.

    python -m tools.measure_mos --speech SPEECH.wav [--codec opus] [--loss 10] [--seconds 60] [--seeds 1] [--jobs 2]

Whole calls in virtual time (tests.bench.virtual) of 20 ms packets over a link that loses media and repair packets
alike, with FEC as it is by default and with `--fec off`. MOS-LQ is what the report of the call has; PESQ is that of
ITU-T P.862.2 for wideband codecs and of P.862.1 for narrowband ones. Needs tests/bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bench.quality import measure
from tests.bench.rows import Row
from tests.bench.speech import add_speech_option, chosen
from tests.bench.virtual import AUTO_FEC, HEARD_RATE, TwoWayCall
from tests.bench.waves import RATE, Wave, at_rate, stretch
from tests.support.network import Impairment, Step
from voip import quality
from voip.codecs import DEFAULT, Codec, offerable

LOSSES = (0, 5, 10, 20, 30)
"""Percent of the packets that the link loses."""


class Measured(NamedTuple):
    """One call: percent not heard, its burst ratio, MOS-LQ as told, and PESQ."""

    missed: float
    burst_ratio: float
    told: float
    pesq: float


def codec_of(name: str) -> Codec:
    """The codec of this name for wideband speech."""
    return offerable((name,), RATE, 1)[0]


def one_call(name: str, loss: int, burst: float, fec: bool, speech: Wave, seed: int) -> Measured:
    """One whole call."""
    codec = codec_of(name)
    row = Row("mos", "mos", (Step(0.0, Impairment(loss=loss / 100, burst=burst)),))
    call = TwoWayCall(row, seed, codec, fec=AUTO_FEC if fec else None)
    heard = call.talk_on(np.clip(np.rint(speech * 32768), -32768, 32767).astype(np.int16))
    rx = call.receiver.snapshot()  # before the silence after the end, in which nothing comes
    heard = np.concatenate([heard, call.talk(np.zeros(0, np.int16))])
    wideband = quality.equipment_of(codec).wideband
    judged = measure(speech, at_rate(heard / 32768.0, HEARD_RATE), band="wb" if wideband else "nb")
    told, missed = quality.rate_heard(codec, rx), quality.Heard.of(rx).loss
    if told is None or missed is None or judged.pesq is None:
        raise SystemExit("nothing was heard, or the pesq package is missing")
    return Measured(missed.percent, missed.burst_ratio, told.mos_lq, judged.pesq)


def table_row(name: str, loss: int, fec: bool, calls: list[Measured]) -> str:
    """A line of the table: medians over the calls."""
    middle = Measured(*(statistics.median(figures) for figures in zip(*calls, strict=True)))
    cells = [name, str(loss), "on" if fec else "off", f"{middle.missed:.2f}", f"{middle.burst_ratio:.2f}"]
    cells += [f"{middle.told:.2f}", f"{middle.pesq:.2f}", f"{middle.told - middle.pesq:+.2f}"]
    return "| " + " | ".join(cells) + " |"


def say(line: str) -> None:
    """A line of the table, at once: a row takes its time."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_speech_option(parser)
    parser.add_argument("--codec", action="append", choices=DEFAULT, help="[all]")
    parser.add_argument("--loss", action="append", type=int, help="percent [0, 5, 10, 20, 30]")
    parser.add_argument("--burst", type=float, default=1.0, help="mean length of a loss in packets [1: random]")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=1, help="calls of each row; the figures are their medians")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="calls at a time")
    parser.add_argument("--save", type=Path, help="write each call's figures as JSON Lines, for fitting Ie and Bpl")
    options = parser.parse_args()
    speech = stretch(chosen(options.speech), options.seconds)
    rows = [
        (name, loss, fec)
        for name in options.codec or DEFAULT
        for loss in options.loss or LOSSES
        for fec in ((True, False) if loss else (True,))
    ]
    say("| codec | loss % | FEC | not heard % | burst ratio | MOS-LQ | PESQ | difference |")
    say("|---|---:|---|---:|---:|---:|---:|---:|")
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        waiting = [
            [pool.submit(one_call, *row[:2], options.burst, row[2], speech, seed) for seed in range(options.seeds)]
            for row in rows
        ]
        for row, futures in zip(rows, waiting, strict=True):
            calls = [future.result() for future in futures]
            say(table_row(*row, calls))
            if options.save:
                with options.save.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps([*row, *call]) + "\n" for call in calls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
