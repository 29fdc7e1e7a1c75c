"""Cutting sound of any length into frames of one packet each."""

from __future__ import annotations

import numpy as np

from voip.dsp import Pcm


class Framer:
    """Collects sound until it fills a frame."""

    def __init__(self, samples: int) -> None:
        """`samples` of each frame."""
        self._samples = samples
        self._pending: list[Pcm] = []
        self._pending_samples = 0

    @property
    def samples(self) -> int:
        """Of each frame."""
        return self._samples

    @property
    def state(self) -> tuple[int, int]:
        """Samples of each frame, and samples that wait for the next one."""
        return self._samples, self._pending_samples

    def forked(self, samples: int) -> Framer:
        """Another one, for frames of so many samples, that has collected the same."""
        other = Framer(samples)
        other._pending, other._pending_samples = list(self._pending), self._pending_samples
        return other

    def resize(self, samples: int) -> None:
        """From now on frames have this many samples; what was collected goes into the first of them."""
        self._samples = samples

    def cut(self, pcm: Pcm) -> list[Pcm]:
        """The frames that are full with this sound."""
        if len(pcm):
            self._pending.append(pcm)
            self._pending_samples += len(pcm)
        if self._pending_samples < self._samples:
            return []
        sound = self._joined()
        whole = len(sound) // self._samples * self._samples
        self._pending = [sound[whole:]] if whole < len(sound) else []
        self._pending_samples = len(sound) - whole
        return [sound[start : start + self._samples] for start in range(0, whole, self._samples)]

    def flush(self) -> Pcm | None:
        """The last frame, a shorter one; None if nothing is left."""
        if not self._pending_samples:
            return None
        sound = self._joined()
        self._pending, self._pending_samples = [], 0
        return sound

    def _joined(self) -> Pcm:
        return self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
