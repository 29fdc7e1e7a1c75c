"""What Opus costs and keeps: processor seconds for a minute of sound, and the quality of speech after it.

    python -m tools.measure_codecs SPEECH.wav [--seconds 60]

Quality is PESQ (wide band, the mean of pieces of 8 s), where that package is installed. Every way of coding is tried on
the same sound, brought to 48 kHz mono; the delay is that of the encoder.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.support.wav import load
from voip import codecs
from voip.codecs import Pcm, libopus, opus
from voip.dsp import Resampler, to_channels

MINUTE = 60.0
PIECE = 8.0  # seconds that PESQ judges at once
PESQ_RATE = 16000
WAYS = (  # complexity, bit/s, expected loss of packets with in-band FEC
    (0, 24000, 0.0),
    (5, 24000, 0.0),
    (7, 24000, 0.0),
    (9, 24000, 0.0),
    (10, 24000, 0.0),
    (9, 16000, 0.0),
    (9, 32000, 0.0),
    (9, 48000, 0.0),
    (9, 24000, 0.1),
    (9, 32000, 0.1),
)


def converted(pcm: Pcm, rate: int, wanted: int) -> Pcm:
    """The sound at another rate."""
    resampler = Resampler(rate, wanted, pcm.shape[1])
    return np.concatenate((resampler.process(pcm), resampler.flush()))


def quality(said: Pcm, heard: Pcm) -> float | None:
    """PESQ of sound at 48 kHz; None where it is not installed."""
    if importlib.util.find_spec("pesq") is None:
        return None
    pesq: Callable[..., float] = importlib.import_module("pesq").pesq
    reference, degraded = (converted(pcm, opus.SAMPLE_RATE, PESQ_RATE)[:, 0].astype(float) for pcm in (said, heard))
    length = round(PIECE * PESQ_RATE)
    starts = range(0, min(len(reference), len(degraded)) - length + 1, length)
    scores = [pesq(PESQ_RATE, reference[at : at + length], degraded[at : at + length], "wb") for at in starts]
    return float(np.mean(scores)) if scores else None


def measure(sound: Pcm, complexity: int, bitrate: int, loss: float) -> str:
    """One line about one way of coding."""
    (codec,) = codecs.offerable(["opus"], opus.SAMPLE_RATE, 1, bitrate)
    encoder, decoder = opus.OpusEncoder(replace(codec, remote_fmtp="useinbandfec=1")), opus.OpusDecoder(codec)
    encoder.set_complexity(complexity)
    encoder.set_loss(loss, in_band_fec=True)
    frame = round(0.02 * opus.SAMPLE_RATE)
    start = time.process_time()
    payloads = [encoder.encode(sound[at : at + frame]) for at in range(0, len(sound) - frame + 1, frame)]
    middle = time.process_time()
    heard = np.concatenate([decoder.decode(payload) for payload in payloads])
    end = time.process_time()
    minutes = len(sound) / opus.SAMPLE_RATE / MINUTE
    score = quality(sound, heard[round(encoder.delay * opus.SAMPLE_RATE) :])
    judged = "" if score is None else f"  PESQ {score:.2f}"
    rate = 8e-3 * sum(map(len, payloads)) / (minutes * MINUTE)
    return (
        f"complexity {complexity:2}  {bitrate // 1000} kbit/s  in-band FEC {loss:4.0%}: "
        f"encoding {(middle - start) / minutes:.2f} s a minute, decoding {(end - middle) / minutes:.2f}, "
        f"{rate:.1f} kbit/s, at most {max(map(len, payloads))} bytes, delay {1e3 * encoder.delay:.1f} ms{judged}"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_codecs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speech", type=Path, help="a 16-bit WAV")
    parser.add_argument("--seconds", type=float, default=MINUTE, help="of it  [60]")
    options = parser.parse_args(argv)
    pcm, rate = load(options.speech)
    sound = converted(to_channels(pcm[: round(options.seconds * rate)], 1), rate, opus.SAMPLE_RATE)
    sys.stdout.write(f"{libopus.version()}, {len(sound) / opus.SAMPLE_RATE:.0f} s of {options.speech.name}\n")
    for complexity, bitrate, loss in WAYS:
        sys.stdout.write(measure(sound, complexity, bitrate, loss) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
