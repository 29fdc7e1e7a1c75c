"""Sound as arrays: sample-rate conversion, channel layout, concealment, level, mixing. Arrays in, arrays out.

Sound is an int16 array of shape (samples, channels) everywhere in this package.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voip.errors import VoipError

Pcm = NDArray[np.int16]
"""Sound: int16, shape (samples, channels)."""

FULL_SCALE = 32768.0
"""The level that 0 dBFS stands for."""
SILENCE_DBFS = -100.0
"""What level_dbfs gives for digital silence, in place of minus infinity: below the 16-bit noise floor of -98 dBFS."""

_INT16 = np.iinfo(np.int16)
_Float = NDArray[np.float32]


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
        out = _to_int16(self._stream.resample_chunk(scaled, last=last) * np.float32(FULL_SCALE))
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


def to_channels(pcm: Pcm, channels: int) -> Pcm:
    """The same sound with that many channels: copies of one, or the mean of all. The same array if nothing changes."""
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


def mix(blocks: Sequence[Pcm]) -> Pcm:
    """The sum of at least one block of equal shape, held at full scale where it would overflow."""
    if len(blocks) == 1:
        return blocks[0]
    total = blocks[0].astype(np.int32)
    for block in blocks[1:]:
        total += block
    return np.clip(total, _INT16.min, _INT16.max).astype(np.int16)


class Concealer:
    """Fills holes in a stream with its own recent past, so that a short one is hardly heard.

    The pitch period that matches the end of the history best is repeated, in phase, and fades to silence; several
    `conceal` in a row continue one fade. `join` takes the first block after a hole, and any other block as well.
    """

    FULL = 0.010
    """Seconds of a hole concealed at full level."""
    SILENT = 0.060
    """Seconds of a hole after which nothing is left of the fade."""
    JOIN = 0.004
    """Seconds of cross-fade from concealment into the next good block."""
    MIN_PERIOD = 0.005
    """Shortest repeated stretch in seconds: a shorter one buzzes. Several periods of a high voice fit in it."""
    MAX_PERIOD = 0.015
    """Longest repeated stretch in seconds: one period of a 66 Hz voice."""
    TEMPLATE = 0.008
    """Seconds at the end of the history that the repeated stretch must resemble."""
    SMOOTH = 0.002
    """Seconds of cross-fade from the end of the repeated stretch back to its start."""
    SEARCH_RATE = 8000
    """The period is searched at about this rate, then refined."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._rate = sample_rate
        self._history: deque[Pcm] = deque()
        self._remembered = 0
        self._needed = self._samples(self.MAX_PERIOD + max(self.TEMPLATE, self.SMOOTH)) + 1
        self._loop: _Float | None = None
        self._step: _Float = np.zeros(channels, np.float32)
        self._position = 0

    def good(self, pcm: Pcm) -> None:
        """Remembers a block that is played as it was received."""
        self._loop = None
        self._remember(pcm)

    def conceal(self, samples: int) -> Pcm:
        """The next `samples` of a hole; silence when nothing was ever heard."""
        out = _to_int16(self._continuation(samples))
        self._remember(out)
        return out

    def join(self, pcm: Pcm) -> Pcm:
        """The block as it is to be played: cross-faded from the concealment if one went before. Remembers it."""
        if self._loop is not None and len(pcm):
            length = min(len(pcm), self._samples(self.JOIN))
            rise = _ramp(length)
            faded = self._continuation(length) * (1 - rise) + pcm[:length] * rise
            pcm = np.concatenate((_to_int16(faded), pcm[length:]))
        self.good(pcm)
        return pcm

    def _samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    def _remember(self, pcm: Pcm) -> None:
        self._history.append(pcm)
        self._remembered += len(pcm)
        while self._remembered - len(self._history[0]) >= self._needed:
            self._remembered -= len(self._history.popleft())

    def _continuation(self, samples: int) -> _Float:
        """What follows the last sample played, faded as far as the hole has gone."""
        if self._loop is None:
            self._begin()
        assert self._loop is not None
        silent = self._samples(self.SILENT)
        where = np.arange(self._position, self._position + samples)
        self._position += samples
        if where[0] >= silent if samples else True:
            return np.zeros((samples, self._channels), np.float32)
        full = self._samples(self.FULL)
        gain = np.clip((silent - where) / np.float32(silent - full), 0.0, 1.0).astype(np.float32)
        step = np.clip(1.0 - where / np.float32(self._samples(self.SMOOTH)), 0.0, 1.0).astype(np.float32)
        sound = self._loop[where % len(self._loop)] + step[:, None] * self._step
        return np.asarray(sound * gain[:, None], np.float32)

    def _begin(self) -> None:
        """Cuts the stretch to repeat out of the history, and makes its end run smoothly into its start."""
        self._position = 0
        smooth = self._samples(self.SMOOTH)
        if self._remembered <= smooth + 1:
            self._loop = np.zeros((1, self._channels), np.float32)
            self._step = np.zeros(self._channels, np.float32)
            return
        past = np.concatenate(self._history)[-self._needed :].astype(np.float32)
        period = self._period(past.mean(axis=1))
        loop = past[-period:].copy()
        # Where the last sample played and the one a period before differ, the start carries the difference and lets
        # it decay: the first sample then follows the last as its forerunner followed the one before it.
        self._step = past[-1] - past[-1 - period]
        length = min(smooth, period, len(past) - period)
        rise = _ramp(length)
        before = past[len(past) - period - length : len(past) - period]
        loop[period - length :] = loop[period - length :] * (1 - rise) + before * rise
        self._loop = loop

    def _period(self, past: _Float) -> int:
        """The lag, in samples, at which the past resembles its own end most."""
        stride = max(1, self._rate // self.SEARCH_RATE)
        template = min(self._samples(self.TEMPLATE), len(past) // 3)
        longest = min(self._samples(self.MAX_PERIOD), len(past) - template - 1)
        shortest = min(self._samples(self.MIN_PERIOD), longest)
        coarse = past[len(past) % stride :].reshape(-1, stride).mean(axis=1)
        lag = stride * _best_lag(coarse, template // stride, shortest // stride, longest // stride)
        return _best_lag(past, template, max(shortest, lag - stride), min(longest, lag + stride))


def _best_lag(past: _Float, template: int, shortest: int, longest: int) -> int:
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


def _ramp(length: int) -> _Float:
    """Weights that rise from just above 0 to just below 1, shape (length, 1)."""
    return np.linspace(0.0, 1.0, length + 2, dtype=np.float32)[1:-1, None]


def _to_int16(sound: NDArray[Any]) -> Pcm:
    return np.asarray(np.clip(np.rint(sound), _INT16.min, _INT16.max), np.int16)
