"""Conversion between sample rates of a small ratio by a short filter that follows any ratio near the nominal one.

The filter is a windowed sinc, of linear phase. Where the ratio is the nominal one, the same few phases of it come round
again and again: each row of outputs is a product of the inputs in reach with one matrix (a polyphase filter). Where it
differs by a little, the phases drift; over a piece of the stream that is short enough a parabola through three such
products follows them (a Farrow structure). Nothing is switched when the ratio changes, so nothing clicks.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from voip.dsp.pcm import Pcm, to_int16

Doubles = NDArray[np.float64]

REACH = 24
"""Periods of the lower rate that the filter looks ahead and behind: 3 ms at 8 kHz."""
CUT_OFF = 0.95
"""Where the filter has lost half, as a share of half the lower rate. It is flat to 0.88, and 60 dB down from 1.03 on.

Where the rates are equal it is 1 instead, so that a filter without a shift passes the samples as they are.
"""
WINDOW = 6.0
"""Shape of the Kaiser window: the stop band is 62 dB down."""
MAX_DRIFT = 0.05
"""Periods of the lower rate by which phases drift in a piece: the parabola is then right to 16 bits."""
MAX_PHASES = 12
"""Ratios of larger numbers would need large matrices."""
CHUNK = 4096
"""Rows that are computed at once, at most: bounds the memory of long blocks."""
_AT_NODES = np.array([0.0, 0.5, 1.0])
"""Shares of a piece at which the parabola is exact."""
_DENSITY = 512
"""Values of the filter that are tabled for each period of the lower rate; between them it is straight."""


class Polyphase:
    """Converts a stream, block by block; the blocks given do not change the samples that come out."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """The rates must be `suitable`."""
        divisor = math.gcd(from_rate, to_rate)
        self._up, self._down = to_rate // divisor, from_rate // divisor
        self._period = max(1.0, from_rate / to_rate)  # samples of the input in one of the lower rate
        self._table = _kernel(1.0 if from_rate == to_rate else CUT_OFF, self._period)
        self._reach = math.ceil(REACH * self._period)
        self._width = 2 * self._reach + 2 + (self._up - 1) * self._down // self._up
        outputs = np.arange(self._up) * (self._down / self._up)
        self._distances = (outputs - (np.arange(self._width) - self._reach)[:, None])[:, None, :]
        self._channels, self._ratio = channels, 1.0
        self._inputs: Doubles = np.zeros((channels, self.look_ahead))
        self._at = 1  # where the next row's window begins in the inputs
        self._phase = 0.0  # samples of the input by which the next output is later than its window
        self._begin_piece()

    @staticmethod
    def suitable(from_rate: int, to_rate: int) -> bool:
        """Whether the rates are in a ratio of small whole numbers."""
        return max(from_rate, to_rate) // math.gcd(from_rate, to_rate) <= MAX_PHASES

    @property
    def look_ahead(self) -> int:
        """Samples of the input that must follow one before it comes out."""
        return self._reach + 1

    def set_ratio(self, ratio: float) -> None:
        """From the next sample on, take in `ratio` samples for each one that nominally should be."""
        self._end_piece()
        self._ratio = ratio
        self._begin_piece()

    def prime(self, past: Pcm) -> None:
        """This has been heard already: what is given next continues it."""
        if len(past) < self.look_ahead:
            past = np.concatenate((self._inputs.T, past))
        self._inputs = past[-self.look_ahead :].T.astype(np.float64)

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready now; possibly none."""
        self._inputs = np.concatenate((self._inputs, pcm.T), axis=1)
        parts = []
        while (ready := (self._inputs.shape[1] - self._at - self._width) // self._down + 1) > 0:
            rows = min(ready, self._rows - self._row, CHUNK)
            parts.append(self._convert(rows))
            self._at += rows * self._down
            self._row += rows
            if self._row == self._rows:
                self._end_piece()
                self._begin_piece()
        done = self._at - 1  # one is kept: the phase may go back below it
        self._inputs = self._inputs[:, done:]
        self._at -= done
        return np.concatenate(parts) if parts else np.zeros((0, self._channels), np.int16)

    def flush(self, samples: int) -> Pcm:
        """The last `samples` of the output; afterwards a new stream may start."""
        tail = self.process(np.zeros((self._width + self._down, self._channels), np.int16))[:samples]
        self._clear()
        return tail

    def _clear(self) -> None:
        self._inputs = np.zeros((self._channels, self.look_ahead))
        self._at, self._phase = 1, 0.0
        self._begin_piece()

    def _begin_piece(self) -> None:
        whole = math.floor(self._phase)
        self._at += whole
        self._phase -= whole
        self._row, self._slip = 0, self._down * (self._ratio - 1.0)  # samples of the input, for each row
        self._rows = CHUNK if not self._slip else max(1, int(MAX_DRIFT * self._period / abs(self._slip)))
        nodes = _AT_NODES if self._slip else _AT_NODES[:1]
        self._weights = self._phases(self._phase + nodes * (self._rows * self._slip))

    def _end_piece(self) -> None:
        self._phase += self._row * self._slip
        self._row = 0

    def _phases(self, offsets: Doubles) -> Doubles:
        """The filter for each output of a row, for each of the offsets of the first from its window's middle.

        Shape (width, offsets * outputs).
        """
        where = np.abs(offsets[:, None] + self._distances) * (_DENSITY / self._period)
        before = where.astype(np.intp)
        low, high = self._table.take(before, mode="clip"), self._table.take(before + 1, mode="clip")
        return (low + (high - low) * (where - before)).reshape(self._width, -1)

    def _convert(self, rows: int) -> Pcm:
        """The next rows of outputs, all of one piece."""
        sound = self._windows(rows).reshape(-1, self._width) @ self._weights
        if self._slip:
            done = np.arange(self._row * self._up, (self._row + rows) * self._up) / (self._rows * self._up)
            shape = (self._channels, rows, len(_AT_NODES), self._up)
            sound = np.einsum("crnu,nru->cru", sound.reshape(shape), _parabola(done).reshape(-1, rows, self._up))
        return to_int16(sound.reshape(self._channels, -1).T)

    def _windows(self, rows: int) -> Doubles:
        """What the next rows are made of, (channels, rows, width): a copy, since a fast product needs it in order."""
        inputs = np.ascontiguousarray(self._inputs)
        item, line = inputs.itemsize, inputs.strides[0]
        shape, steps = (self._channels, rows, self._width), (line, self._down * item, item)
        windows: Doubles = np.ndarray(shape, np.float64, inputs, self._at * item, steps)
        return np.array(windows)


@functools.cache
def _kernel(cut_off: float, period: float) -> Doubles:
    """One side of the filter: from its middle on, `_DENSITY` values for each period of the lower rate, then zero.

    It takes 100 kB, and is the same for all streams of these rates.
    """
    time = np.arange(REACH * _DENSITY + 1) / _DENSITY
    window = np.i0(WINDOW * np.sqrt(1.0 - (time / REACH) ** 2)) / np.i0(WINDOW)
    table = np.append(cut_off * np.sinc(cut_off * time) * window, 0.0) / period
    table.flags.writeable = False
    return table


def _parabola(at: Doubles) -> Doubles:
    """How much each of the `_AT_NODES` counts at these shares of a piece (Lagrange), shape (nodes, outputs)."""
    first, middle, last = at, at - 0.5, at - 1.0
    return np.stack((2.0 * middle * last, -4.0 * first * last, 2.0 * first * middle))
