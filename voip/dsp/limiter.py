"""A limiter: what a sum of sounds has above full scale is made softer, not cut off.

It adds no delay and changes nothing as long as the sum fits. The gain that keeps each sample within full scale is
approached from above by a slope, found by looking ahead within the block; after it the gain returns more slowly, so
that it does not follow the single waves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voip.dsp.pcm import Floats, Pcm, to_int16

ATTACK = 0.002
"""Seconds in which the gain may fall from 1 to 0 ahead of a peak: shorter than the ear resolves as a change."""
RELEASE = 0.5
"""Seconds in which the gain rises from 0 to 1: slower than the waves of a voice, faster than its syllables."""
CEILING = 32767.0
"""The largest sample; downwards it is one more."""
RESTORED = 1.0 - 1e-9
"""From this gain on it counts as 1: what is missing is far below the step of a sample."""


class Limiter:
    """Keeps one sum of sounds within full scale, block by block. Owned by the thread that mixes."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` in Hz."""
        self._fall, self._rise = 1.0 / (ATTACK * sample_rate), 1.0 / (RELEASE * sample_rate)
        self._gain = 1.0
        self.limited = 0
        """Samples that were made softer so far."""

    @property
    def gain(self) -> float:
        """What the last sample was multiplied by, 0 to 1."""
        return self._gain

    def process(self, sound: Floats) -> Pcm:
        """A block on the scale of int16, as samples: unchanged while it fits and the gain is 1."""
        if not len(sound):
            return to_int16(sound)
        peak = max(float(sound.max()), -float(sound.min()) - 1.0)
        if self._gain == 1.0 and peak <= CEILING:
            return to_int16(sound)
        gains = self._gains(np.maximum(sound, -1.0 - sound).max(axis=1).astype(np.float64))
        self._gain = 1.0 if gains[-1] >= RESTORED else float(gains[-1])
        self.limited += int(np.count_nonzero(gains < RESTORED))
        return to_int16(sound * gains[:, None])

    def _gains(self, peaks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest gains that these peaks allow, which fall and rise no faster than the slopes."""
        steps = np.arange(len(peaks))
        allowed = np.minimum(1.0, CEILING / np.maximum(peaks, 1.0))
        falling = np.minimum.accumulate((allowed + self._fall * steps)[::-1])[::-1] - self._fall * steps
        lifted = falling - self._rise * steps
        lifted[0] = min(lifted[0], self._gain + self._rise)
        return np.asarray(np.minimum.accumulate(lifted) + self._rise * steps)
