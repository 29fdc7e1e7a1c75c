"""How loud sound is: peak, energy, digital silence and clipping, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


class Measured(NamedTuple):
    """A block: `samples` as time, `size` of them in all channels; `peak` and `energy` on the scale of int16."""

    samples: int
    size: int
    peak: int
    energy: float
    clipped: int


def measure_one(block: Pcm) -> Measured:
    """One block, in the fewest operations: with one every 5 ms each costs several times what it takes in a loop."""
    flat = block.reshape(-1)
    if not flat.size:
        return Measured(0, 0, 0, 0.0, 0)
    exact = flat.astype(np.float64)
    peak = max(int(np.maximum.reduce(flat)), -int(np.minimum.reduce(flat)))
    clipped = 0 if peak < CLIPPED else int(np.count_nonzero(np.abs(exact) >= CLIPPED))
    return Measured(len(block), flat.size, peak, float(exact.dot(exact)), clipped)


def measure(blocks: Sequence[Pcm]) -> list[Measured]:
    """Blocks of one length, all in the same few operations: those of hundreds of streams take as long as of a few."""
    if len(blocks) == 1:
        return [measure_one(blocks[0])]
    samples, size = len(blocks[0]), blocks[0].size
    if not size:
        return [Measured(0, 0, 0, 0.0, 0)] * len(blocks)
    together = np.concatenate(blocks).reshape(len(blocks), size)
    peaks = np.maximum(together.max(axis=1), -together.min(axis=1).astype(np.int32)).tolist()
    exact = together.astype(np.float64)
    energies = np.einsum("ij,ij->i", exact, exact).tolist()
    return [
        Measured(samples, size, peak, energy, 0 if peak < CLIPPED else int(np.count_nonzero(np.abs(one) >= CLIPPED)))
        for peak, energy, one in zip(peaks, energies, exact, strict=True)
    ]


class LevelMeter:
    """Sums up blocks of sound of any length."""

    def __init__(self, sample_rate: int) -> None:
        self._window = max(1, round(RECENT * sample_rate))
        self._samples = self._silent = self._clipped = 0
        self._energy = 0.0
        self._peak = self._newest = self._before = 0  # of all; of the window that is filled, and of the one before
        self._filled = 0

    def add(self, pcm: Pcm) -> None:
        """Measure one block, samples x channels."""
        self.note(measure_one(pcm))

    def note(self, block: Measured) -> None:
        """A block has been measured."""
        if not block.size:
            return
        self._samples += block.size
        if block.peak <= SILENT:
            self._silent += block.size
        else:
            self._energy += block.energy
            if block.peak > self._peak:
                self._peak = block.peak
            self._clipped += block.clipped
        self._look_back(block.peak, block.samples)

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
        if peak > self._newest:
            self._newest = peak
        self._filled += samples
