"""Lengthening and shortening speech by whole pitch periods, without delay (WSOLA, time-domain overlap-add).

A period is left out by a cross-fade from the sound to the sound one period later, and put in by a cross-fade from the
sound to the sound one period earlier: the pitch stays, only the number of periods changes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from voip.dsp.conceal import Concealer
from voip.dsp.pcm import Floats, Pcm, level_dbfs, ramp, to_int16
from voip.dsp.pitch import best_offset


class TimeScaler:
    """Changes the length of a stream's blocks where it is not heard. One stretch for all channels: they keep in phase.

    Gives out what came in at once; knows only its own past. `extend` and `join` are for the places where the stream
    itself has a joint.
    """

    TEMPO: Final = 0.25
    """How much faster or slower than natural, on average: a period of 10 ms each 40 ms."""
    MIN_PERIOD: Final = 0.0025
    """Shortest stretch in seconds: one period of a 400 Hz voice."""
    MAX_PERIOD: Final = 0.015
    """Longest stretch in seconds: one period of a 66 Hz voice. Longer ones are heard as an echo."""
    TEMPLATE: Final = 0.008
    """Seconds around the joint that must resemble the sound a stretch away."""
    FADE: Final = 0.002
    """Shortest cross-fade in seconds."""
    QUIET: Final = -45.0
    """dBFS; below it any length is as good as another."""
    ALIKE: Final = 0.85
    """Likeness from which on a joint is not heard. Voiced speech is above it, most of the time."""
    ALIKE_URGENT: Final = 0.4
    """Likeness that is enough if the change is urgent: consonants and noise, but no onsets."""
    FAVOUR: Final = 0.05
    """How much less alike two periods may be than one: fewer joints are better than many."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._rate = sample_rate
        self._tail = Concealer(channels, sample_rate)
        self._shortest, self._longest = self._samples(self.MIN_PERIOD), self._samples(self.MAX_PERIOD)
        self._template, self._fade = self._samples(self.TEMPLATE), self._samples(self.FADE)
        self._credit = 0.0

    def process(self, pcm: Pcm, change: int, *, urgent: bool = False) -> Pcm:
        """The block as it is to be played.

        `change`: samples by which the stream should become longer (above 0) or shorter (below). The
        length of what is returned tells how much of it was done: nothing, a pitch period, or several; never more than
        `change`. `urgent`: joints that may be heard are better than none.
        """
        self._credit = min(self._credit + self.TEMPO * len(pcm), float(self._longest))
        more = 0
        if change and self._tail.joining:
            more, pcm = self._aligned(pcm, change)
            change -= more
        before = self._tail.conceal(more) if more > 0 else None
        out = self._tail.fade_in(pcm)
        if change and len(out):
            out = self._scaled(out, change, self.ALIKE_URGENT if urgent else self.ALIKE)
        self._tail.good(out)
        return out if before is None else np.concatenate((before, out))

    def extend(self, samples: int) -> Pcm:
        """`samples` of synthesized sound after the last block, put in while waiting; the next one continues it."""
        return self._tail.conceal(samples)

    def join(self) -> None:
        """The next block does not continue the last one: it will be cross-faded from what would have followed that."""
        self._tail.conceal(0)

    def _samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    def _scaled(self, pcm: Pcm, change: int, alike: float) -> Pcm:
        if level_dbfs(pcm) < self.QUIET:
            return self._quiet(pcm, change)
        limit = min(abs(change), int(self._credit), self._longest)
        if change < 0:
            limit = min(limit, len(pcm) - self._fade)
        if limit < self._shortest:
            return pcm
        past = self._tail.past(self._template + limit)
        sound = np.concatenate((past, pcm)).astype(np.float32)
        scaled = self._shorter if change < 0 else self._longer
        return scaled(sound, len(past), limit, alike)

    def _aligned(self, pcm: Pcm, change: int) -> tuple[int, Pcm]:
        """At a joint: how much more synthesized sound, or fewer samples of the block, aligns them; and the block.

        Within `change`, and less than a pitch period.
        """
        length = self._samples(Concealer.JOIN)
        limit = min(abs(change), self._longest, len(pcm) - length)
        if limit < 1:
            return 0, pcm
        if change > 0:
            window, template = self._tail.ahead(limit + length), pcm[:length].astype(np.float32)
        else:
            window, template = pcm[: limit + length].astype(np.float32), self._tail.ahead(length)
        offset, likeness = best_offset(window, template, self._rate, -self.FAVOUR)
        if likeness < self.ALIKE_URGENT:
            return 0, pcm
        return (offset, pcm) if change > 0 else (-offset, pcm[offset:])

    def _quiet(self, pcm: Pcm, change: int) -> Pcm:
        """Exactly `change`, as far as the block reaches."""
        fade = min(self._fade, len(pcm) // 2)
        length = min(abs(change), len(pcm) - fade)
        if change < 0:
            joint = _faded(pcm[:fade], pcm[length : length + fade], 1.0)
            return np.concatenate((joint, pcm[length + fade :]))
        joint = _faded(pcm[length : length + fade], pcm[:fade], 1.0)
        return np.concatenate((pcm[:length], joint, pcm[fade:]))

    def _shorter(self, sound: Floats, start: int, limit: int, alike: float) -> Pcm:
        """The sound from `start`, which fades into itself a period later."""
        ahead = min(self._template, len(sound) - start - limit)
        behind = min(self._template - ahead, start)
        template = sound[start - behind : start + ahead]
        window = sound[start - behind + self._shortest : start + ahead + limit]
        offset, likeness = best_offset(window, template, self._rate, self.FAVOUR)
        block = sound[start:]
        if likeness < alike:
            return to_int16(block)
        period = self._shortest + offset
        self._credit -= period
        fade = min(period, len(block) - period)
        joint = _faded(block[:fade], block[period : period + fade], likeness)
        return np.concatenate((joint, to_int16(block[period + fade :])))

    def _longer(self, sound: Floats, start: int, limit: int, alike: float) -> Pcm:
        """The sound from `start`, which fades into itself a period earlier."""
        ahead = min(self._template, len(sound) - start)
        behind = self._template - ahead
        block = sound[start:]
        if start < behind + limit:
            return to_int16(block)  # the stream has only begun
        template = sound[start - behind : start + ahead]
        window = sound[start - behind - limit : start + ahead - self._shortest]
        offset, likeness = best_offset(window, template, self._rate, -self.FAVOUR)
        if likeness < alike:
            return to_int16(block)
        period = limit - offset
        self._credit -= period
        fade = min(period, len(block))
        joint = _faded(block[:fade], sound[start - period : start - period + fade], likeness)
        return np.concatenate((joint, to_int16(sound[start - period + fade :])))


def _faded(old: Pcm | Floats, new: Pcm | Floats, likeness: float) -> Pcm:
    """From the one to the other, with the power of both throughout: the less alike they are, the more they need."""
    rise = ramp(len(new))
    gain = 1.0 / np.sqrt(1.0 - 2.0 * rise * (1.0 - rise) * (1.0 - min(max(likeness, 0.0), 1.0)))
    return to_int16((old * (1.0 - rise) + new * rise) * gain)
