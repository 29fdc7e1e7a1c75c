"""Sound that is ready to be read: blocks of any length in, any number of samples out."""

from __future__ import annotations

from collections import deque

import numpy as np

from voip.audio.levels import LevelMeter, Measured
from voip.dsp import Pcm
from voip.stats import Levels


class SampleQueue:
    """First in, first out. `len` is the number of samples. `levels` are of what was taken once the stream had begun."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.begun_at: float | None = None
        """When the first sound of the stream is heard, monotonic; None before."""
        self._channels, self._meter = channels, LevelMeter(sample_rate)
        self._blocks: deque[Pcm] = deque()
        self._samples = 0

    def __len__(self) -> int:
        return self._samples

    @property
    def levels(self) -> Levels:
        """Those of what was taken since the stream began, as far as it was measured."""
        return self._meter.levels

    def begin(self, at: float) -> None:
        """There is sound of the stream, heard at that moment; later ones are ignored."""
        if self.begun_at is None:
            self.begun_at = at

    def note(self, taken: Measured) -> None:
        """What was taken last has been measured."""
        if self.begun_at is not None:
            self._meter.note(taken)

    def append(self, pcm: Pcm) -> None:
        """Add sound, possibly none."""
        if len(pcm):
            self._blocks.append(pcm)
            self._samples += len(pcm)

    def append_silence(self, samples: int) -> None:
        """Add so many samples of silence."""
        self.append(np.zeros((samples, self._channels), np.int16))

    def take(self, samples: int) -> Pcm:
        """The oldest `samples`. IndexError if there are not so many."""
        blocks = self._blocks
        self._samples -= samples
        if blocks and samples:  # nearly always one block, or a part of it
            first = blocks[0]
            left = len(first) - samples
            if left == 0:
                return blocks.popleft()
            if left > 0:
                blocks[0] = first[samples:]
                return first[:samples]
        parts: list[Pcm] = []
        while samples:
            first = blocks.popleft()
            if len(first) > samples:
                blocks.appendleft(first[samples:])
                first = first[:samples]
            parts.append(first)
            samples -= len(first)
        if not parts:
            return np.zeros((0, self._channels), np.int16)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
