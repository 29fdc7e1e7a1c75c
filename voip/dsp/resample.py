"""Sample-rate conversion of a stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from voip.dsp.pcm import FULL_SCALE, Pcm, to_int16
from voip.errors import VoipError


class Resampler:
    """Converts a stream between sample rates, block by block; equal rates pass through untouched.

    Streaming filters look ahead: `process` returns what is ready, in all `delay` seconds less than what went in, and
    `flush` the rest at the end of the stream. The blocks given do not change the samples that come out.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """VoipError if the rates differ and soxr is not installed."""
        self._channels = channels
        self._from_rate, self._to_rate = from_rate, to_rate
        self._taken = self._given = 0
        self._stream = None if from_rate == to_rate else _open_stream(from_rate, to_rate, channels)

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready now; possibly none."""
        if self._stream is None:
            return pcm
        return self._chunk(pcm, last=False)

    def flush(self) -> Pcm:
        """The samples held back by the filter; afterwards a new stream may start."""
        empty = np.zeros((0, self._channels), np.int16)
        if self._stream is None:
            return empty
        tail = self._chunk(empty, last=True)
        self._stream.clear()
        self._taken = self._given = 0
        return tail

    @property
    def delay(self) -> float:
        """Seconds of sound that went in and have not come out."""
        return self._taken / self._from_rate - self._given / self._to_rate

    def _chunk(self, pcm: Pcm, *, last: bool) -> Pcm:
        assert self._stream is not None
        scaled = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        out = to_int16(self._stream.resample_chunk(scaled, last=last) * np.float32(FULL_SCALE))
        self._taken += len(pcm)
        self._given += len(out)
        return out


def _open_stream(from_rate: int, to_rate: int, channels: int) -> Any:  # noqa: ANN401 -- soxr has no types
    try:
        import soxr  # only when needed: the import alone takes longer than the rest of the start-up
    except ImportError:
        raise VoipError(f"converting {from_rate} Hz to {to_rate} Hz needs soxr: pip install soxr") from None
    # The variable-rate engine, although the rate is fixed: the fixed one works in large blocks and holds back
    # 21 ms (44.1 -> 48 kHz) to 171 ms (8 -> 48 kHz); this one 5 to 30 ms, and returns something every time.
    # Floats, because the integer interface adds dither, which makes the result depend on the blocks.
    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ", vr=True)
