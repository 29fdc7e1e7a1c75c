"""The microphone of a conference's host: sound that comes by the microphone's clock, and goes by that of the mixer."""

from __future__ import annotations

import numpy as np

from voip.audio.sample_queue import SampleQueue
from voip.dsp import Pcm

AHEAD = 0.02
"""Seconds of sound that are gathered before the first is taken: two blocks, so that one may come late."""
AHEAD_MOST = 0.06
"""Seconds beyond which what is too much is left out: the clock of the microphone is the faster one, or the mixer stood
still. Clocks that differ by 100 ppm get there in seven minutes."""


class OwnVoice:
    """Blocks of any length in, blocks of the mixer's out. Owned by the thread that mixes."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """The format of the mixture."""
        self.underruns = self.overruns = 0
        """How often a block was not here when it was due; how often there was too much."""
        self._rate, self._channels = sample_rate, channels
        self._queue = SampleQueue(sample_rate, channels)
        self._flows = False

    def begin(self) -> None:
        """The microphone begins: what is left from before is out of date."""
        self._queue.take(len(self._queue))
        self._flows = False

    def put(self, pcm: Pcm) -> None:
        """The next sound of the microphone, in the format of the mixture."""
        self._queue.append(pcm)
        if len(self._queue) > AHEAD_MOST * self._rate:
            self.overruns += 1
            self._queue.take(len(self._queue) - round(AHEAD * self._rate))

    def take(self, samples: int) -> Pcm:
        """The next `samples`: silence before the first of them, and where the microphone is late."""
        if not self._flows and len(self._queue) < AHEAD * self._rate:
            return np.zeros((samples, self._channels), np.int16)
        self._flows = len(self._queue) >= samples
        if self._flows:
            return self._queue.take(samples)
        self.underruns += 1
        rest = self._queue.take(len(self._queue))
        return np.concatenate((rest, np.zeros((samples - len(rest), self._channels), np.int16)))
