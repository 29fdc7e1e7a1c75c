"""Sound that is ready to be read: blocks of any length in, any number of samples out."""

from __future__ import annotations

from collections import deque

import numpy as np

from voip.dsp import Pcm


class SampleQueue:
    """First in, first out. `len` is the number of samples."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._blocks: deque[Pcm] = deque()
        self._samples = 0

    def __len__(self) -> int:
        return self._samples

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
        if blocks and len(blocks[0]) == samples:
            return blocks.popleft()
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
