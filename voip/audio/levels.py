"""How loud sound is: peak, energy, digital silence and clipping, block by block."""

from __future__ import annotations

import numpy as np

from voip.dsp import Pcm
from voip.stats import Levels

FULL_SCALE = 32768.0
"""The largest magnitude of a sample of 16 bits."""
CLIPPED = 32767
"""Samples of this magnitude or more count as clipped: no converter leaves them in undistorted sound."""
SILENT = 1
"""Blocks without a larger magnitude are digital silence: dither is one step, the noise of any microphone is more."""
RECENT = 0.1
"""Seconds that `recent_peak` looks back at least, and twice that at most: two blocks of the usual 50 ms of a meter."""


class LevelMeter:
    """Measures blocks of sound of any length; one pass of a few microseconds each."""

    def __init__(self, sample_rate: int) -> None:
        self._window = max(1, round(RECENT * sample_rate))
        self._samples = self._silent = self._clipped = 0
        self._energy = 0.0
        self._peak = self._newest = self._before = 0  # of all; of the window that is filled, and of the one before
        self._filled = 0

    def add(self, pcm: Pcm) -> None:
        """Measure one block, samples x channels."""
        if not pcm.size:
            return
        peak = max(int(pcm.max()), -int(pcm.min()))
        self._samples += pcm.size
        if peak <= SILENT:
            self._silent += pcm.size
        else:
            flat = pcm.ravel().astype(np.float32)
            self._energy += float(np.dot(flat, flat))
            self._peak = max(self._peak, peak)
            if peak >= CLIPPED:
                self._clipped += int(np.count_nonzero((pcm >= CLIPPED) | (pcm <= -CLIPPED)))
        self._look_back(peak, len(pcm))

    @property
    def levels(self) -> Levels:
        """All that has been measured."""
        return Levels(
            samples=self._samples,
            energy=self._energy / FULL_SCALE**2,
            peak=self._peak / FULL_SCALE,
            recent_peak=max(self._newest, self._before) / FULL_SCALE,
            silent=self._silent,
            clipped=self._clipped,
        )

    def _look_back(self, peak: int, samples: int) -> None:
        if self._filled >= self._window:
            self._before, self._newest, self._filled = self._newest, 0, 0
        self._newest = max(self._newest, peak)
        self._filled += samples
