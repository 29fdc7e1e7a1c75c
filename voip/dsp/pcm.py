"""Sound as arrays: the type, its level, channel layout, mixing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""Sound: int16, shape (samples, channels)."""
Floats = NDArray[np.float32]
"""Sound in the making, on the scale of int16."""

FULL_SCALE = 32768.0
"""The level that 0 dBFS stands for."""
SILENCE_DBFS = -100.0
"""What level_dbfs gives for digital silence, in place of minus infinity: below the 16-bit noise floor of -98 dBFS."""

_INT16 = np.iinfo(np.int16)


def to_channels(pcm: Pcm, channels: int) -> Pcm:
    """The same sound with so many channels: copies of one, or the mean of all. The same array if nothing changes."""
    if pcm.shape[1] == channels:
        return pcm
    mono = pcm if pcm.shape[1] == 1 else (pcm.sum(axis=1, dtype=np.int32, keepdims=True) // pcm.shape[1])
    return np.repeat(mono.astype(np.int16), channels, axis=1)


def level_dbfs(pcm: Pcm) -> float:
    """RMS level over all channels in dB of full scale; a full-scale sine is -3.0, silence is SILENCE_DBFS."""
    if not pcm.size:
        return SILENCE_DBFS
    flat = pcm.astype(np.float64).ravel()
    power = float(flat @ flat) / flat.size / FULL_SCALE**2
    return max(10.0 * math.log10(power), SILENCE_DBFS) if power > 0.0 else SILENCE_DBFS


def add(blocks: Iterable[Pcm | Floats], samples: int, channels: int) -> Floats:
    """The sum of any number of blocks of that shape, without a limit: exact for up to 512 blocks of samples, whose sum
    has as many bits as a float holds."""
    given = list(blocks)
    whole = [block for block in given if block.dtype == np.int16]
    total = np.zeros((samples, channels), np.float32)
    if whole:  # all in one operation: hundreds take as long as a few
        total += np.concatenate(whole).reshape(len(whole), samples, channels).sum(axis=0, dtype=np.int32)
    for block in given if len(whole) < len(given) else ():
        if block.dtype != np.int16:
            total += block
    return total


@lru_cache(maxsize=64)
def ramp(length: int) -> Floats:
    """Weights that rise from just above 0 to just below 1 without a corner, shape (length, 1). Not to be changed."""
    angle = np.linspace(0.0, math.pi, length + 2, dtype=np.float32)[1:-1, None]
    rise = np.asarray(0.5 - 0.5 * np.cos(angle), np.float32)
    rise.flags.writeable = False
    return rise


def to_int16(sound: NDArray[Any]) -> Pcm:
    """Rounded, and held at full scale where it would overflow."""
    rounded = np.rint(sound)
    np.maximum(rounded, _INT16.min, out=rounded)  # np.clip does the same behind three functions of Python
    np.minimum(rounded, _INT16.max, out=rounded)
    return np.asarray(rounded, np.int16)
