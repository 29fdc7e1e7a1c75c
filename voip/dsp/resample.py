"""Sample-rate conversion of a stream, and correction of the small difference between two clocks of the same rate."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from voip.dsp.pcm import FULL_SCALE, Pcm, ramp, to_int16
from voip.errors import VoipError


class Resampler:
    """Converts a stream between sample rates, block by block; equal rates pass through untouched.

    Streaming filters look ahead: `process` returns what is ready, in all `delay` seconds less than what went in, and
    `flush` the rest at the end of the stream. The blocks given do not change the samples that come out. The ratio
    may change at any time; where the rates are equal, the filter is switched in when it leaves 1 for the first time.
    """

    MAX_RATIO = 1.01
    """Bound of `ratio`: the filter is built for it."""
    SLEW = 480
    """Samples in which the filter glides from one ratio to the next: 10 ms at 48 kHz."""
    LOOK_AHEAD = 240
    """Samples that the filter holds back where the rates are equal."""
    PRIMING = 1024
    """Samples of the past that fill the filter when it is switched in: it looks LOOK_AHEAD ahead and behind."""
    JOIN = 96
    """Samples of cross-fade when the filter is switched in: it shifts the sound by 1.6 samples."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """VoipError if the rates differ and soxr is not installed."""
        self._channels = channels
        self._from_rate, self._to_rate = from_rate, to_rate
        self._ratio = 1.0
        self._held = 0.0
        self._recent: deque[Pcm] = deque()  # while the blocks pass through
        self._remembered = 0
        self._skip = 0  # samples to come that were played before the filter was switched in
        self._direct: Pcm | None = None  # what would have passed through; None: nothing to join
        self._stream = None if from_rate == to_rate else self._open()

    @property
    def ratio(self) -> float:
        """How many samples go in for each one that nominally should: 1.0001 if the source's clock is 100 ppm fast.

        So much fewer come out.
        """
        return self._ratio

    def set_ratio(self, ratio: float) -> None:
        """Take in `ratio` samples for each one. VoipError if soxr is not installed, ValueError if out of bounds."""
        if not 1.0 / self.MAX_RATIO <= ratio <= self.MAX_RATIO:
            raise ValueError(f"ratio {ratio} is not near 1")
        if ratio == self._ratio:
            return
        if self._stream is None:
            self._switch_in()
        assert self._stream is not None
        self._ratio = ratio
        self._stream.set_io_ratio(self._from_rate * ratio, self._to_rate, self.SLEW)

    def process(self, pcm: Pcm) -> Pcm:
        """The converted samples that are ready now; possibly none."""
        if self._stream is None:
            self._remember(pcm)
            return pcm
        out = self._chunk(pcm, last=False)
        if self._direct is not None:
            out = self._join(out, np.concatenate((self._direct, pcm)))
        self._count(len(pcm), len(out))
        return out

    def flush(self) -> Pcm:
        """The samples held back by the filter; afterwards a new stream may start."""
        empty = np.zeros((0, self._channels), np.int16)
        if self._stream is None:
            self._recent.clear()
            self._remembered = 0
            return empty
        tail = self._chunk(empty, last=True)
        if self._direct is not None:
            tail = self._join(tail, self._direct)
        self._stream.clear()
        self._stream.set_io_ratio(self._from_rate * self._ratio, self._to_rate, 0)
        self._direct, self._skip = None, 0
        self._held = 0.0
        return tail

    @property
    def delay_to_come(self) -> float:
        """Seconds by which `delay` will rise when `ratio` leaves 1."""
        return self.LOOK_AHEAD / self._from_rate if self._stream is None else 0.0

    @property
    def delay(self) -> float:
        """Seconds of sound that went in and have not come out."""
        return self._held

    def _open(self) -> Any:  # noqa: ANN401 -- soxr has no types
        stream = _open_stream(self._from_rate * self.MAX_RATIO, self._to_rate, self._channels)
        stream.set_io_ratio(self._from_rate, self._to_rate, 0)
        return stream

    def _remember(self, pcm: Pcm) -> None:
        recent = self._recent
        recent.append(pcm)
        self._remembered += len(pcm)
        while self._remembered - len(recent[0]) >= self.PRIMING:
            self._remembered -= len(recent.popleft())

    def _switch_in(self) -> None:
        """Feed the filter what was just played: what comes out then continues it."""
        self._stream = self._open()
        silence = np.zeros((self.PRIMING, self._channels), np.int16)
        past = np.concatenate((silence, *self._recent))[-self.PRIMING :]
        self._skip = self.PRIMING - len(self._chunk(past, last=False))
        self._direct = silence[:0]
        self._recent.clear()

    def _join(self, out: Pcm, direct: Pcm) -> Pcm:
        """What the filter gives from where the untouched sound ended, cross-faded from its continuation."""
        skipped = min(self._skip, len(out))
        self._skip -= skipped
        out = out[skipped:]
        self._direct = direct[: self.JOIN]
        if not len(out):
            return out
        length = min(len(self._direct), len(out))
        rise = ramp(length)
        joint = to_int16(self._direct[:length] * (1 - rise) + out[:length] * rise)
        self._direct = None
        return np.concatenate((joint, out[length:]))

    def _chunk(self, pcm: Pcm, *, last: bool) -> Pcm:
        assert self._stream is not None
        scaled = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        return to_int16(self._stream.resample_chunk(scaled, last=last) * np.float32(FULL_SCALE))

    def _count(self, taken: int, given: int) -> None:
        self._held += taken / self._from_rate - given * self._ratio / self._to_rate


def _open_stream(from_rate: float, to_rate: float, channels: int) -> Any:  # noqa: ANN401 -- soxr has no types
    try:
        import soxr  # only when needed: the import alone takes longer than the rest of the start-up
    except ImportError:
        raise VoipError(f"converting {from_rate:.0f} Hz to {to_rate:.0f} Hz needs soxr: pip install soxr") from None
    # The variable-rate engine, although the rate hardly changes: the fixed one works in large blocks and holds back
    # 21 ms (44.1 -> 48 kHz) to 171 ms (8 -> 48 kHz); this one 5 to 30 ms, and returns something every time.
    # Floats, because the integer interface adds dither, which makes the result depend on the blocks.
    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ", vr=True)
