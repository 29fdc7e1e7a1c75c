"""Comfort noise as a peer describes it (RFC 3389): a level, and a spectrum as reflection coefficients."""

from __future__ import annotations

import numpy as np
from numpy import fft
from numpy.typing import NDArray

from voip.dsp.noise import white_spectrum
from voip.dsp.pcm import FULL_SCALE, Floats

LEVEL_MASK = 0x7F
MIN_ATTENUATION_DB = 30.0
"""Levels in -dBov below this are louder than the noise of a room, and taken as this."""
MAX_COEFFICIENTS = 16
"""Reflection coefficients of the spectrum that are used; further ones are ignored."""
PERIOD_SECONDS = 0.5
"""The noise repeats after so long: too long for an ear to notice."""
CHANGE_SECONDS = 0.1
"""Seconds of sound between two makings at least: each costs milliseconds, and rooms do not change faster."""


class ComfortNoise:
    """Makes noise of the level and spectrum described last, or up to CHANGE_SECONDS before."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._length = 1 << round(PERIOD_SECONDS * sample_rate).bit_length()
        self._change = round(CHANGE_SECONDS * sample_rate)
        self._since_made = self._change
        self._payload: bytes | None = None
        self._noise: Floats = np.zeros((1, channels), np.float32)
        self._position = 0

    def sound(self, payload: bytes, samples: int) -> Floats:
        """The next `samples` of the noise that a payload describes; an empty one is silence."""
        if payload != self._payload and (not payload or self._since_made >= self._change):
            self._payload, self._since_made = payload, 0
            self._noise = self._make(payload)
        self._since_made = min(self._since_made + samples, self._change)
        where = np.arange(self._position, self._position + samples) % len(self._noise)
        self._position = (self._position + samples) % len(self._noise)
        return self._noise[where]

    def _make(self, payload: bytes) -> Floats:
        if not payload:
            return np.zeros((1, self._channels), np.float32)
        spectrum = white_spectrum(self._length, 1)[:, 0] * shape(
            payload[1 : 1 + MAX_COEFFICIENTS], self._length // 2 + 1
        )
        noise = fft.irfft(spectrum, self._length)
        level = FULL_SCALE * 10.0 ** (-max(payload[0] & LEVEL_MASK, MIN_ATTENUATION_DB) / 20.0)  # section 3.1
        noise *= level / np.sqrt(np.mean(np.square(noise)))
        return np.repeat(noise.astype(np.float32)[:, None], self._channels, axis=1)


def shape(coefficients: bytes, bins: int) -> NDArray[np.float64]:
    """The magnitudes of a spectrum from 0 to half the sample rate (section 3.2); 1 throughout without coefficients."""
    predictor = np.ones(1)
    for octet in coefficients:
        reflection = min(258 * (octet - 127), 32500) / 32768.0  # 255 is reserved: below 1, so that the filter is stable
        longer = np.append(predictor, 0.0)
        predictor = longer + reflection * longer[::-1]
    return np.asarray(1.0 / np.maximum(np.abs(fft.rfft(predictor, 2 * (bins - 1))), 1e-6))
