"""Where a sound resembles its own past: normalized correlation, searched at a low rate and refined at the full one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from voip.dsp.pcm import Floats

SEARCH_RATE = 8000
"""A period is searched at about this rate, then refined."""


def likeness(window: Floats, template: Floats) -> Floats:
    """How much the window resembles the template at each offset: -1 to 1. All channels count, at one offset."""
    channels, end, flat = template.shape[1], template.ravel(), window.ravel()
    product = np.correlate(flat, end)[::channels]
    energy = np.cumsum(np.concatenate((np.zeros(1, np.float64), np.square(flat, dtype=np.float64))))
    power = (energy[len(end) :] - energy[: -len(end)])[::channels]
    return np.asarray(product / np.sqrt(np.maximum(power, 1.0) * max(float(end @ end), 1.0)), np.float32)


def best_offset(window: Floats, template: Floats, rate: int, favour: float) -> tuple[int, float]:
    """The offset in the window that resembles the template most, and how much.

    `favour`: the last offset may resemble it less than the first by this share, and still be chosen. Below 0: the
    first one.
    """
    stride, first = max(1, rate // SEARCH_RATE), 0
    reach = len(window) - len(template)
    if stride > 1 and reach > 2 * stride:
        coarse = _favoured(likeness(_decimated(window, stride), _decimated(template, stride)), favour)
        favour = 0.0
        first = max(0, stride * (int(np.argmax(coarse)) - 1))
        window = window[first : min(len(window), first + 2 * stride + len(template))]
    scores = likeness(window, template)
    best = int(np.argmax(_favoured(scores, favour)))
    return first + best, float(scores[best])


def _favoured(scores: Floats, favour: float) -> Floats:
    return scores * _favours(favour, len(scores)) if favour else scores


@lru_cache(maxsize=64)
def _favours(favour: float, count: int) -> Floats:
    factors: Floats = np.linspace(1.0, 1.0 + favour, count, dtype=np.float32)
    factors.flags.writeable = False
    return factors


def _decimated(sound: Floats, stride: int) -> Floats:
    whole = len(sound) // stride * stride
    return np.asarray(sound[:whole].reshape(-1, stride, sound.shape[1]).mean(axis=1))
