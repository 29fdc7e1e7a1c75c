"""What sample rate conversion holds back, costs and keeps: from 48 kHz to a codec's rate and back.

    python -m tools.measure_resampling SPEECH.wav [--seconds 60]

A line for each codec's rate and each filter: ours, and soxr's variable-rate one, of the same job. PESQ is wide band, of
the two conversions alone, the mean of pieces of 8 s; `ppm` is how far the sender's clock is off.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr

from tests.support.wav import load
from tools.measure_codecs import MINUTE, quality
from voip.dsp import Pcm, Resampler, to_channels

DEVICE_RATE = 48000
BLOCK = 0.02  # seconds
Process = Callable[[Pcm], Pcm]


def ours(from_rate: int, to_rate: int, ratio: float) -> Process:
    """The program's own."""
    resampler = Resampler(from_rate, to_rate, 1)
    resampler.set_ratio(ratio)
    return resampler.process


def of_soxr(from_rate: int, to_rate: int, ratio: float) -> Process:
    """soxr at the same settings as for 44.1 kHz."""
    stream = soxr.ResampleStream(from_rate * 1.01, to_rate, 1, dtype="float32", quality="HQ", vr=True)
    stream.set_io_ratio(from_rate * ratio, to_rate, 0)

    def process(pcm: Pcm) -> Pcm:
        sound = stream.resample_chunk(pcm.astype(np.float32) / np.float32(32768)) * np.float32(32768)
        return np.asarray(np.clip(np.rint(sound), -32768, 32767), np.int16)

    return process


def converted(sound: Pcm, rate: int, process: Process) -> tuple[Pcm, float]:
    """What comes out in blocks, and the processor seconds that it took."""
    size = round(BLOCK * rate)
    start = time.process_time()
    out = [process(sound[at : at + size]) for at in range(0, len(sound), size)]
    return np.concatenate(out), time.process_time() - start


def measure(sound: Pcm, low: int, ppm: int, name: str, make: Callable[[int, int, float], Process]) -> str:
    """One line about one filter at one rate."""
    ratio = 1 + ppm * 1e-6
    coded, first = converted(sound, DEVICE_RATE, make(DEVICE_RATE, low, ratio))
    heard, second = converted(coded, low, make(low, DEVICE_RATE, 1 / ratio))
    held = [len(sound) / DEVICE_RATE - len(coded) * ratio / low, len(coded) * ratio / low - len(heard) / DEVICE_RATE]
    minutes = len(sound) / DEVICE_RATE / MINUTE
    score = quality(sound, heard)
    judged = "" if score is None else f"  PESQ {score:.3f}"
    return (
        f"{low:5} Hz  {ppm:3} ppm  {name:5}: held back {1e3 * held[0]:4.1f} + {1e3 * held[1]:4.1f} ms, "
        f"{first / minutes:.2f} + {second / minutes:.2f} s a minute{judged}"
    )


def main(argv: list[str] | None = None) -> int:
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m tools.measure_resampling", description=summary)
    parser.add_argument("speech", type=Path, help="a 16-bit WAV")
    parser.add_argument("--seconds", type=float, default=MINUTE, help="of it  [60]")
    options = parser.parse_args(argv)
    pcm, rate = load(options.speech)
    mono = to_channels(pcm[: round(options.seconds * rate)], 1)
    sound = np.asarray(np.rint(soxr.resample(mono.astype(np.float64), rate, DEVICE_RATE, "VHQ")), np.int16)
    for low in (8000, 16000):
        for ppm in (0, 20):
            for name, make in (("ours", ours), ("soxr", of_soxr)):
                sys.stdout.write(measure(sound, low, ppm, name, make) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
