"""White noise as a spectrum, to be given another shape."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy import fft
from numpy.typing import NDArray

SEED = 3389
"""Of the generator; RFC 3389 is about comfort noise."""


@lru_cache(maxsize=4)
def white_spectrum(length: int, channels: int) -> NDArray[np.complex128]:
    """The spectrum of `length` samples, shape (length // 2 + 1, channels): always the same noise.

    Python's own generator: numpy's is a large module that nothing else here needs.
    """
    samples = np.frombuffer(random.Random(SEED).randbytes(2 * length * channels), np.int16)
    spectrum: NDArray[np.complex128] = fft.rfft(samples.reshape(length, channels), axis=0).astype(np.complex128)
    spectrum.setflags(write=False)
    return spectrum
