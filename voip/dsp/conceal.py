"""Packet loss concealment."""

from __future__ import annotations

from collections import deque

import numpy as np

from voip.dsp.pcm import Floats, Pcm, ramp, to_int16
from voip.dsp.pitch import best_lag


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
        self._loop: Floats | None = None
        self._step: Floats = np.zeros(channels, np.float32)
        self._position = 0

    def good(self, pcm: Pcm) -> None:
        """Remembers a block that is played as it was received."""
        self._loop = None
        self._remember(pcm)

    def conceal(self, samples: int) -> Pcm:
        """The next `samples` of a hole; silence when nothing was ever heard."""
        out = to_int16(self._continuation(samples))
        self._remember(out)
        return out

    def join(self, pcm: Pcm) -> Pcm:
        """The block as it is to be played: cross-faded from the concealment if one went before. Remembers it."""
        pcm = self.fade_in(pcm)
        self.good(pcm)
        return pcm

    def fade_in(self, pcm: Pcm) -> Pcm:
        """As `join`, but does not remember the block: it is still to be worked on."""
        if self._loop is None or not len(pcm):
            return pcm
        length = min(len(pcm), self._samples(self.JOIN))
        rise = ramp(length)
        faded = self._continuation(length) * (1 - rise) + pcm[:length] * rise
        return np.concatenate((to_int16(faded), pcm[length:]))

    def past(self, samples: int) -> Pcm:
        """What was played last, at most so many samples."""
        recent = np.concatenate(self._history) if self._history else np.zeros((0, self._channels), np.int16)
        return recent[max(0, len(recent) - samples) :]

    def _samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    def _remember(self, pcm: Pcm) -> None:
        self._history.append(pcm)
        self._remembered += len(pcm)
        while self._remembered - len(self._history[0]) >= self._needed:
            self._remembered -= len(self._history.popleft())

    def _continuation(self, samples: int) -> Floats:
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
        rise = ramp(length)
        before = past[len(past) - period - length : len(past) - period]
        loop[period - length :] = loop[period - length :] * (1 - rise) + before * rise
        self._loop = loop

    def _period(self, past: Floats) -> int:
        """The lag, in samples, at which the past resembles its own end most."""
        stride = max(1, self._rate // self.SEARCH_RATE)
        template = min(self._samples(self.TEMPLATE), len(past) // 3)
        longest = min(self._samples(self.MAX_PERIOD), len(past) - template - 1)
        shortest = min(self._samples(self.MIN_PERIOD), longest)
        coarse = past[len(past) % stride :].reshape(-1, stride).mean(axis=1)
        lag = stride * best_lag(coarse, template // stride, shortest // stride, longest // stride)
        return best_lag(past, template, max(shortest, lag - stride), min(longest, lag + stride))
