"""What tests of sound share: virtual time, noise, WAV files written and read by the standard library, a pitch meter."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from voip.dsp import Pcm


class Time:
    """Virtual time: sleeping moves it, nothing else does."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def noise(samples: int, channels: int = 1) -> Pcm:
    return np.random.default_rng(1).integers(-32768, 32767, (samples, channels), np.int16)


def write_wav(path: Path, pcm: Pcm, rate: int = 48000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2").tobytes())
    return path


def read_wav(data: bytes | Path) -> tuple[Pcm, int]:
    content = data.read_bytes() if isinstance(data, Path) else data
    with wave.open(io.BytesIO(content)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return pcm, file.getframerate()


def read_all(read: Callable[[], Pcm | None], most: int = 100000) -> Pcm:
    blocks: list[Pcm] = []
    while (pcm := read()) is not None:
        blocks.append(pcm)
        assert len(blocks) < most
    return np.concatenate(blocks)


def pitch(pcm: Pcm, rate: int) -> float:
    """The strongest frequency, between the bins of a windowed spectrum."""
    sound = pcm[:, 0] * np.hanning(len(pcm))
    spectrum = np.log(np.abs(np.fft.rfft(sound)) + 1e-9)
    peak = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return float((peak + (left - right) / (2 * (left - 2 * middle + right))) * rate / len(pcm))
