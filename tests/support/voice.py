"""A voice made by arithmetic: vowels of a gliding pitch in syllables. Speech codecs treat it as speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voip.dsp import Pcm

PITCH = (105.0, 165.0)  # Hz, between which the voice glides
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))  # formants in Hz: a, i, u, e
BANDWIDTH = 90.0  # Hz of a formant
SYLLABLE = 0.18  # seconds
LEVEL = 7000.0
SPEECH_LEVEL = 3500.0  # with no peak near the limit, where some decoders of G.722 overflow
TILT = 900.0  # Hz above which a mouth's sound falls by 6 dB an octave


def voice(rate: int, seconds: float) -> Pcm:
    """That much of the voice, (samples, 1); always the same."""
    count = round(rate * seconds)
    time = np.arange(count) / rate
    middle, swing = sum(PITCH) / 2, (PITCH[1] - PITCH[0]) / 2
    pitch = middle + swing * np.sin(2 * np.pi * 0.7 * time)
    phase = np.cumsum(pitch) / rate
    breath = 0.02 * np.random.default_rng(5).standard_normal(count)
    source = np.diff(np.floor(phase), prepend=0.0) + breath
    sound = np.zeros(count)
    length = round(SYLLABLE * rate)
    for number, start in enumerate(range(0, count, length)):
        piece = slice(start, start + length)
        spoken = np.zeros(count)
        spoken[piece] = source[piece]
        sound += _resonate(spoken, VOWELS[number % len(VOWELS)], rate)
    swell = 0.15 + 0.85 * np.sin(np.pi * time / SYLLABLE) ** 2
    sound *= swell * LEVEL / np.sqrt(np.mean(sound**2))
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)[:, None]


def speech(rate: int, seconds: float) -> Pcm:
    """The voice with the spectrum that speech has: codecs of waveforms (G.722) count on its being low at the top."""
    pole = np.exp(-2 * np.pi * TILT / rate)
    response = pole ** np.arange(round(0.005 * rate))
    sound = np.convolve(voice(rate, seconds)[:, 0], response)[: round(rate * seconds)]
    sound *= SPEECH_LEVEL / np.sqrt(np.mean(sound**2))
    return np.rint(sound).astype(np.int16)[:, None]


def _resonate(source: NDArray[np.float64], formants: tuple[int, ...], rate: int) -> NDArray[np.float64]:
    """The source through parallel resonances, by their impulse responses."""
    size = round(0.03 * rate)
    time = np.arange(size) / rate
    response = np.zeros(size)
    for number, frequency in enumerate(formants):
        response += np.exp(-np.pi * BANDWIDTH * time) * np.sin(2 * np.pi * frequency * time) / (number + 1)
    length = 1 << (len(source) + size).bit_length()
    return np.fft.irfft(np.fft.rfft(source, length) * np.fft.rfft(response, length), length)[: len(source)]
