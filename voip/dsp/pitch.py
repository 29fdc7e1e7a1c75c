"""Where a sound resembles its own past."""

from __future__ import annotations

import numpy as np

from voip.dsp.pcm import Floats


def best_lag(past: Floats, template: int, shortest: int, longest: int) -> int:
    """The lag from shortest to longest with the highest normalized correlation of the last `template` samples."""
    template, shortest = max(1, template), max(1, shortest)
    longest = max(shortest, min(longest, len(past) - template))
    end = past[-template:]
    window = past[len(past) - template - longest : len(past) - shortest]
    product = np.correlate(window, end)
    energy = np.cumsum(np.concatenate((np.zeros(1, np.float64), np.square(window, dtype=np.float64))))
    power = energy[template:] - energy[:-template]
    score = product / np.sqrt(np.maximum(power, 1.0))
    return longest - int(np.argmax(score))
