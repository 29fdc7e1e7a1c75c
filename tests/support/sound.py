"""What tests of sound share: virtual time, noise, WAV files written and read by the standard library, a pitch meter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """Any samples at all, from the least to the greatest."""
    return np.random.default_rng(1).integers(-32768, 32767, (samples, channels), np.int16)


def sine(rate: int, seconds: float = 1.0, hertz: float = 440.0, channels: int = 1, *, peak: float = 12000) -> Pcm:
    return column(peak * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), channels)


def speech_noise(rate: int, seconds: float = 1.0, peak: float = 8000) -> Pcm:
    """Noise with the falling spectrum of speech."""
    white = np.random.default_rng(1).normal(0, 1, round(rate * seconds))
    smooth = np.convolve(white, np.exp(-np.arange(40) / 8), "same")
    return column(smooth * peak / np.abs(smooth).max())


def speechlike(rate: int, seconds: float, channels: int = 1, seed: int = 1) -> Pcm:
    """Noise in syllables with a pause now and then, no two stretches alike: what is lost or moved is seen."""
    rng = np.random.default_rng(seed)
    count = round(rate * seconds)
    noise = rng.standard_normal((count, channels))
    smooth = np.apply_along_axis(lambda wave: np.convolve(wave, np.ones(4) / 2, "same"), 0, noise)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * np.arange(count) / rate)
    return np.clip(5000 * smooth * swell[:, np.newaxis], -32768, 32767).astype(np.int16)


def column(wave: NDArray[Any], channels: int = 1) -> Pcm:
    """A wave as rounded samples, the same in every channel."""
    return np.repeat(np.asarray(np.rint(wave), np.int16)[:, None], channels, axis=1)


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
