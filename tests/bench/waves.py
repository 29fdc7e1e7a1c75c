"""Speech to send and recordings to judge: WAV files, and a minute of speech from Debian's Asterisk prompts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.support.wav import load, save

Wave = NDArray[np.float64]

RATE = 16000
"""Samples per second of wide-band speech: that of PESQ-WB (ITU-T P.862.2) and of the prompts."""
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PACKAGE = "asterisk-core-sounds-en-g722"
_PAUSE = 0.3  # seconds between two prompts
_EDGE = 0.5  # seconds of silence at both ends
_SHORTEST = 2.0  # seconds: sentences, not single words
_LEVEL = 10 ** (-26 / 20)  # root mean square of active speech, full scale 1: -26 dBov, ITU-T P.56 and P.830


def load_wave(path: Path) -> tuple[Wave, int]:
    """Mono samples, full scale 1, and the rate of a 16-bit WAV file."""
    samples, rate = load(path)
    return samples.mean(axis=1) / 32768.0, rate


def save_wave(path: Path, samples: Wave, rate: int = RATE) -> None:
    """Write mono samples, full scale 1, as a 16-bit WAV."""
    save(path, np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16), rate)


def at_rate(samples: Wave, rate: int, wanted: int = RATE) -> Wave:
    """The same sound at another rate."""
    if rate == wanted:
        return samples
    resampled: Wave = soxr.resample(samples, rate, wanted, "VHQ")
    return resampled


def stretch(speech: Wave, seconds: float, rate: int = RATE) -> Wave:
    """As much of it as lasts so long, repeated where it is shorter."""
    count = round(seconds * rate)
    return np.resize(speech, count)


def prompts(seconds: float) -> Wave:
    """Speech of that length at `RATE` out of the prompts; ValueError says what to install if they are not here."""
    files = sorted(PROMPTS.glob("*.g722"))
    if not files:
        raise ValueError(f"no speech: apt-get install {PACKAGE}, or give --speech FILE.wav (16 kHz)")
    if shutil.which("ffmpeg") is None:
        raise ValueError("the prompts are in G.722: apt-get install ffmpeg")
    pieces, length = [np.zeros(round(_EDGE * RATE))], 2 * _EDGE
    for file in files:
        if length >= seconds:
            break
        if file.stat().st_size < _SHORTEST * RATE / 2:  # 64 kbit/s: one byte is two samples
            continue
        prompt = _decode(file)
        pieces += [prompt, np.zeros(round(_PAUSE * RATE))]
        length += len(prompt) / RATE + _PAUSE
    speech = np.concatenate([*pieces, np.zeros(round(_EDGE * RATE))])
    return speech[: round(seconds * RATE)]


def _decode(file: Path) -> Wave:
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(file), "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    samples = np.frombuffer(raw, "<i2") / 32768.0
    active = np.abs(samples) > 0.01
    level = float(np.sqrt((samples[active] ** 2).mean())) if active.any() else _LEVEL
    loudest = float(np.abs(samples).max()) or 1.0
    gain = min(_LEVEL / level, 0.9 / loudest)
    return samples * gain
