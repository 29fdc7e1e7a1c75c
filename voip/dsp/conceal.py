"""Packet loss concealment by repetition of pitch periods, as in ITU-T G.711 Appendix I; any rate, no added delay."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voip.dsp.background import Background
from voip.dsp.pcm import Floats, Pcm, ramp, to_int16
from voip.dsp.pitch import best_offset


class Concealer:
    """Fills gaps in a stream with its own recent past, so that a short one is hardly heard.

    The pitch period that matches the end of the history best is repeated, in phase; two and then three periods as the
    gap gets longer, which buzzes less. It fades into noise like the background. Several `conceal` in a row continue
    one fade. `join` takes the first block after a gap, and any other block as well.
    """

    FULL: Final = 0.010
    """Seconds of a gap concealed at full level."""
    SINGLE: Final = 0.020
    """Seconds of a gap in which one period is repeated; two periods for as long, then three."""
    NOISE: Final = 0.020
    """Seconds of a gap after which the background begins to be heard."""
    SILENT: Final = 0.060
    """Seconds of a gap after which nothing is left of the repetition: it loses a fifth of the level each 10 ms."""
    JOIN: Final = 0.004
    """Seconds of cross-fade from concealment into the next good block."""
    MIN_PERIOD: Final = 0.005
    """Shortest repeated stretch in seconds: a shorter one buzzes. Several periods of a high voice fit in it."""
    MAX_PERIOD: Final = 0.015
    """Longest repeated stretch in seconds: one period of a 66 Hz voice."""
    TEMPLATE: Final = 0.008
    """Seconds at the end of the history that the repeated stretch must resemble."""
    PERIODS: Final = 3
    """Periods that are repeated in a long gap."""
    SMOOTH: Final = 0.002
    """Seconds of cross-fade from the end of the repeated stretch back to its start."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._rate = sample_rate
        self._history: deque[Pcm] = deque()
        self._remembered = 0
        self._needed = self._samples(self.PERIODS * self.MAX_PERIOD + max(self.TEMPLATE, self.SMOOTH)) + 1
        self._searched = self._samples(self.MAX_PERIOD + max(self.TEMPLATE, self.SMOOTH)) + 1
        self._background = Background(channels, sample_rate)
        self._noise: Floats | None = None  # None: not needed yet
        self._loops: list[Floats] = []  # one period and more; none: no gap
        self._step: Floats = np.zeros(channels, np.float32)
        self._position = 0

    def good(self, pcm: Pcm) -> None:
        """Remembers a block that is played as it was received."""
        if self._loops:
            self._loops = []
        self._background.remember(pcm)
        self._remember(pcm)

    def conceal(self, samples: int) -> Pcm:
        """The next `samples` of a gap; silence if nothing came before."""
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
        if not self._loops or not len(pcm):
            return pcm
        length = min(len(pcm), self._samples(self.JOIN))
        rise = ramp(length)
        faded = self._continuation(length) * (1 - rise) + pcm[:length] * rise
        return np.concatenate((to_int16(faded), pcm[length:]))

    @property
    def joining(self) -> bool:
        """The next block will be cross-faded from concealment."""
        return bool(self._loops)

    def ahead(self, samples: int) -> Floats:
        """What `conceal` would give next."""
        if not self._loops:
            self._begin()
        position = self._position
        sound = self._continuation(samples)
        self._position = position
        return sound

    def past(self, samples: int) -> Pcm:
        """What was played last, at most so many samples."""
        recent = np.concatenate(self._history) if self._history else np.zeros((0, self._channels), np.int16)
        return recent[max(0, len(recent) - samples) :]

    def _samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    def _remember(self, pcm: Pcm) -> None:
        history = self._history
        history.append(pcm)
        self._remembered += len(pcm)
        while (without := self._remembered - len(history[0])) >= self._needed:
            history.popleft()
            self._remembered = without

    def _continuation(self, samples: int) -> Floats:
        """What follows the last sample played, faded as far as the gap has lasted."""
        if not self._loops:
            self._begin()
        full, noisy, silent = (self._samples(seconds) for seconds in (self.FULL, self.NOISE, self.SILENT))
        where = np.arange(self._position, self._position + samples)
        self._position += samples
        sound = np.zeros((samples, self._channels), np.float32)
        if self._position - samples < silent:
            gain = np.clip((silent - where) / np.float32(silent - full), 0.0, 1.0).astype(np.float32)
            sound += self._repeated(where) * gain[:, None]
        if self._position > noisy:
            if self._noise is None:
                self._noise = self._background.noise()
            rise = np.clip((where - noisy) / np.float32(silent - noisy), 0.0, 1.0).astype(np.float32)
            sound += self._noise[where % len(self._noise)] * rise[:, None]
        return sound

    def _repeated(self, where: NDArray[np.int64]) -> Floats:
        """The past again: one period, from SINGLE on two, and so on; cross-faded where it changes, always in phase."""
        single, smooth = self._samples(self.SINGLE), np.float32(self._samples(self.SMOOTH))
        period = len(self._loops[0])
        step = np.clip(1.0 - where / smooth, 0.0, 1.0).astype(np.float32)
        sound = self._loops[0][where % period] + step[:, None] * self._step
        for number, loop in enumerate(self._loops[1:], 1):
            begin = number * single
            if not len(where) or where[-1] < begin:
                break
            rise = np.clip((where - begin) / smooth, 0.0, 1.0).astype(np.float32)[:, None]
            sound = sound * (1.0 - rise) + loop[(where - begin // period * period) % len(loop)] * rise
        return np.asarray(sound, np.float32)

    def _begin(self) -> None:
        """Cuts the stretches to repeat out of the history."""
        self._position = 0
        self._noise = None
        smooth = self._samples(self.SMOOTH)
        if self._remembered <= smooth + 1:
            self._loops = [np.zeros((1, self._channels), np.float32)]
            self._step = np.zeros(self._channels, np.float32)
            return
        past = np.concatenate(self._history)[-self._needed :].astype(np.float32)
        period = self._period(past[-self._searched :])
        # Where the last sample played and the one a period before differ, the start carries the difference and lets
        # it decay: the first sample then follows the last as its forerunner followed the one before it.
        self._step = past[-1] - past[-1 - period]
        lengths = range(period, min(self.PERIODS * period, len(past) - 1) + 1, period)
        self._loops = [_seamless(past, length, smooth) for length in lengths]

    def _period(self, past: Floats) -> int:
        """The lag, in samples, at which the past resembles its own end most."""
        template = min(self._samples(self.TEMPLATE), len(past) // 3)
        longest = min(self._samples(self.MAX_PERIOD), len(past) - template - 1)
        shortest = min(self._samples(self.MIN_PERIOD), longest)
        end = len(past) - template
        window = past[end - longest : len(past) - shortest]
        return longest - best_offset(window, past[end:], self._rate, 0.0)[0]


def _seamless(past: Floats, length: int, smooth: int) -> Floats:
    """The end of the past, with its own end running smoothly into its start."""
    loop: Floats = past[-length:].copy()
    smooth = min(smooth, length, len(past) - length)
    rise = ramp(smooth)
    before = past[len(past) - length - smooth : len(past) - length]
    loop[length - smooth :] = loop[length - smooth :] * (1 - rise) + before * rise
    return loop
