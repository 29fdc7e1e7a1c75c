"""Sample-rate conversion of a stream, and correction of the small difference between two clocks of the same rate."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from voip.dsp.pcm import FULL_SCALE, Pcm, to_int16
from voip.dsp.polyphase import Polyphase
from voip.errors import VoipError

MAX_RATIO = 1.01
"""Bound of `Resampler.ratio`: the filters are built for it."""
SLEW = 480
"""Samples in which soxr glides from one ratio to the next: 10 ms at 48 kHz."""

ROUNDING = 1e-3
"""Samples by which sums of block lengths may be off."""


class _Filter(Protocol):
    """What converts a stream by a ratio that may change."""

    def set_ratio(self, ratio: float) -> None:
        """Take in `ratio` samples for each one that nominally should be."""

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready."""

    def flush(self, samples: int) -> Pcm:
        """About so many samples that were held back; afterwards a new stream may start."""


class Resampler:
    """Converts a stream between sample rates, block by block; equal rates pass through untouched.

    Filters look ahead: `process` returns what is ready, in all `delay` seconds less than what went in, and `flush` the
    rest at the end of the stream. The blocks given do not change the samples that come out. The ratio may change at any
    time; where the rates are equal, the filter is switched in when it leaves 1 for the first time.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """VoipError if the rates are not in a ratio of small whole numbers and soxr is not installed."""
        self._channels = channels
        self._from_rate, self._to_rate = from_rate, to_rate
        self._ratio = 1.0
        self._held = 0.0
        self._filter: _Filter | None = None
        self._unused: Polyphase | None = None  # while the blocks pass through
        self._passed: Pcm = np.zeros((0, channels), np.int16)  # the last of them, as far as the filter looks ahead
        if from_rate == to_rate:
            self._unused = Polyphase(from_rate, to_rate, channels)
        elif Polyphase.suitable(from_rate, to_rate):
            self._filter = Polyphase(from_rate, to_rate, channels)
        else:
            self._filter = _VariableRate(from_rate, to_rate, channels)

    @property
    def ratio(self) -> float:
        """How many samples go in for each one that nominally should: 1.0001 if the source's clock is 100 ppm fast.

        So much fewer come out.
        """
        return self._ratio

    def set_ratio(self, ratio: float) -> None:
        """Take in `ratio` samples for each one; ValueError if out of bounds."""
        if not 1.0 / MAX_RATIO <= ratio <= MAX_RATIO:
            raise ValueError(f"ratio {ratio} is not near 1")
        if ratio == self._ratio:
            return
        if self._filter is None:
            assert self._unused is not None
            self._unused.prime(self._passed)
            self._filter, self._unused = self._unused, None
        self._ratio = ratio
        self._filter.set_ratio(ratio)

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready now; possibly none."""
        if self._filter is None:
            assert self._unused is not None
            if len(pcm) >= self._unused.look_ahead:
                self._passed = pcm
            else:
                self._passed = np.concatenate((self._passed, pcm))[-self._unused.look_ahead :]
            return pcm
        out = self._filter.process(pcm)
        self._held += len(pcm) / self._from_rate - len(out) * self._ratio / self._to_rate
        return out

    def flush(self) -> Pcm:
        """The samples held back by the filter; afterwards a new stream may start."""
        if self._filter is None:
            self._passed = self._passed[:0]
            return np.zeros((0, self._channels), np.int16)
        samples = self._held * self._to_rate / self._ratio
        tail = self._filter.flush(max(0, math.ceil(samples - ROUNDING)))
        self._held = 0.0
        return tail

    @property
    def delay_to_come(self) -> float:
        """Seconds by which `delay` will rise when `ratio` leaves 1."""
        return self._unused.look_ahead / self._from_rate if self._unused is not None else 0.0

    @property
    def delay(self) -> float:
        """Seconds of sound that went in and have not come out."""
        return self._held


class _VariableRate:
    """soxr, for ratios of large numbers such as 44.1 to 48 kHz; it holds back 5 to 30 ms."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """VoipError if soxr is not installed."""
        self._from_rate, self._to_rate, self._channels = from_rate, to_rate, channels
        self._ratio = 1.0
        self._stream = _open_stream(from_rate * MAX_RATIO, to_rate, channels)
        self._stream.set_io_ratio(from_rate, to_rate, 0)

    def set_ratio(self, ratio: float) -> None:
        """Glide to a ratio."""
        self._ratio = ratio
        self._stream.set_io_ratio(self._from_rate * ratio, self._to_rate, SLEW)

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready."""
        return self._chunk(pcm, last=False)

    def flush(self, samples: int) -> Pcm:
        """What was held back."""
        tail = self._chunk(np.zeros((0, self._channels), np.int16), last=True)
        self._stream.clear()
        self._stream.set_io_ratio(self._from_rate * self._ratio, self._to_rate, 0)
        return tail

    def _chunk(self, pcm: Pcm, *, last: bool) -> Pcm:
        scaled = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        return to_int16(self._stream.resample_chunk(scaled, last=last) * np.float32(FULL_SCALE))


def _open_stream(from_rate: float, to_rate: float, channels: int) -> Any:  # noqa: ANN401 -- soxr has no types
    try:
        import soxr  # only when needed: the import alone takes longer than the rest of the start-up
    except ImportError:
        raise VoipError(f"converting {from_rate:.0f} Hz to {to_rate:.0f} Hz needs soxr: pip install soxr") from None
    # The variable-rate engine, although the rate hardly changes: the fixed one works in large blocks and holds back
    # 21 ms from 44.1 to 48 kHz; this one less, and returns something every time.
    # Floats, because the integer interface adds dither, which makes the result depend on the blocks.
    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ", vr=True)
