"""16-bit WAV files, read and written without the program's own code."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]


def load(source: Path | bytes) -> tuple[Samples, int]:
    """(samples, channels) and rate; a sample that is not whole at the end is left out."""
    content = source.read_bytes() if isinstance(source, Path) else source
    with wave.open(io.BytesIO(content)) as file:
        assert file.getsampwidth() == 2, f"{source!r:.60}: 16-bit only"
        channels, rate = file.getnchannels(), file.getframerate()
        raw = file.readframes(file.getnframes())
    whole = len(raw) // (2 * channels) * 2 * channels
    return np.frombuffer(raw[:whole], "<i2").astype(np.int16).reshape(-1, channels), rate


def save(path: Path, samples: Samples, rate: int = 48000) -> Path:
    """Write a file, whose path is returned; (samples,) is mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path
