"""Background noise: what is left of a sound in the pauses of speech."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy import fft

from voip.dsp.noise import white_spectrum
from voip.dsp.pcm import FULL_SCALE, Floats, Pcm


class Background:
    """Remembers the quietest of the recent sound, and makes noise that resembles it."""

    SPAN_SECONDS: Final = 2.0
    """Sound among which the quietest is taken: speech always has a pause within so long."""
    STRETCH_SECONDS: Final = 0.5
    """Of a stretch of so much of it, only the quietest piece is kept: two seconds take 200 kB at 48 kHz."""
    PIECE_SECONDS: Final = 0.02
    """One piece: its level and spectrum are those of the noise."""
    MIN_SECONDS: Final = 0.2
    """Sound needed before there is a background."""
    MAX_DBFS: Final = -45.0
    """What is louder throughout is no background, but music or a tone: silence follows it."""
    NOISE_SECONDS: Final = 0.5
    """The noise repeats after so long: too long for an ear to notice."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._piece = max(1, round(self.PIECE_SECONDS * sample_rate))
        self._stretch, self._needed = round(self.STRETCH_SECONDS * sample_rate), round(self.MIN_SECONDS * sample_rate)
        self._length = 1 << round(self.NOISE_SECONDS * sample_rate).bit_length()
        self._quiet: deque[Pcm] = deque(maxlen=round(self.SPAN_SECONDS / self.STRETCH_SECONDS))
        self._recent: list[Pcm] = []  # of the stretch that is not over
        self._samples = 0

    def remember(self, pcm: Pcm) -> None:
        """Take sound as it was received, not concealed."""
        self._recent.append(pcm)
        self._samples += len(pcm)
        if self._samples >= self._stretch:
            self._quiet.append(self._quietest_of(np.concatenate(self._recent)))
            self._recent.clear()
            self._samples = 0

    def noise(self) -> Floats:
        """Noise to be repeated without a seam; one sample of silence if there is no background to imitate."""
        piece = self._quietest()
        powers = np.square(piece).mean(axis=0) if len(piece) else np.zeros(1)
        if not 0.0 < powers.mean() < 10.0 ** (self.MAX_DBFS / 10.0) * FULL_SCALE**2:
            return np.zeros((1, self._channels), np.float32)
        shape = np.abs(fft.rfft(piece * np.hanning(len(piece))[:, None], self._length, axis=0))
        noise = fft.irfft(white_spectrum(self._length, self._channels) * shape, self._length, axis=0)
        level = np.sqrt(powers / np.maximum(np.square(noise).mean(axis=0), 1e-9))
        return np.asarray(noise * level, np.float32)

    def _quietest(self) -> Floats:
        if not self._quiet and self._samples < max(self._needed, self._piece):
            return np.zeros((0, self._channels), np.float32)
        return self._quietest_of(np.concatenate((*self._quiet, *self._recent))).astype(np.float32)

    def _quietest_of(self, sound: Pcm) -> Pcm:
        """The quietest piece of a sound of one piece at least."""
        pieces = sound[len(sound) % self._piece :].reshape(-1, self._piece * self._channels)
        loud = pieces.astype(np.float32)
        quietest: Pcm = pieces[int(np.argmin(np.einsum("ij,ij->i", loud, loud)))]
        return np.array(quietest.reshape(self._piece, self._channels))
