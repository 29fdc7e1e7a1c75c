"""The microphone: digital silence (muted, or the wrong one) and clipping.

One watch for the program, however many calls are sent what it captures.
"""

from __future__ import annotations

from collections.abc import Iterator

from voip.calls.diagnosis.situation import NAMED_AFTER, STOOD_STILL, Event, Finding, History, length
from voip.stats import Levels

SILENCE_FACTOR = 4.0
"""After each silence that was named, the next must be so many times as long: some noise gates are silent between
words."""
LONGEST_SILENCE = 160.0
"""Seconds of silence that are named in any case."""
CLIPPED_SHARE = 0.01
"""Share of samples at full scale, of those of NAMED_AFTER seconds, that is clipping: a clap of the hands stays below,
speech that is 20 dB too loud is far above."""
UNCLIPPED_SHARE = 0.001
"""Share below which it has stopped."""
CLIPPING_PAUSE = 60.0
"""Seconds between two warnings of clipping, at least."""


class MicrophoneWatch:
    """Looks at the levels of what a microphone gives."""

    def __init__(self) -> None:
        self._name = ""
        self._levels: History[Levels] = History(NAMED_AFTER)
        self._silence_needed = NAMED_AFTER
        self._silent_since = 0.0
        self._told_silent = False
        self._looked_at = float("-inf")
        self._clipping = False
        self._clipping_told_at = float("-inf")

    def look(self, name: str, levels: Levels, now: float) -> Iterator[Finding]:
        """`levels` are sums since any beginning; `name` is that of the device, "" while it is gone or not used."""
        if name != self._name or (len(self._levels) and levels.samples < self._levels.newest.samples):
            self._name, self._silent_since, self._told_silent = name, now, False
            self._levels.clear()
        stood_still, self._looked_at = now - self._looked_at > STOOD_STILL, now
        if not name:
            return
        if stood_still and not self._told_silent:
            self._silent_since = now
        before = self._levels.newest if len(self._levels) else levels
        self._levels.add(now, levels)
        yield from self._look_for_silence(before, levels, now)
        yield from self._look_for_clipping(now)

    def _look_for_silence(self, before: Levels, levels: Levels, now: float) -> Iterator[Finding]:
        samples, silent = levels.samples - before.samples, levels.silent - before.silent
        if not samples:
            return
        if silent < samples:
            if self._told_silent:
                text = f"the microphone gives sound again after {length(now - self._silent_since)}"
                self._told_silent = False
                yield Finding("microphone-silent", text, Event.CLEARED)
            self._silent_since = now
        elif not self._told_silent and now - self._silent_since >= self._silence_needed:
            self._told_silent = True
            self._silence_needed = min(LONGEST_SILENCE, SILENCE_FACTOR * self._silence_needed)
            text = f"the microphone ({self._name}) gives digital silence: muted, or the wrong one? see --list-devices"
            yield Finding("microphone-silent", text)

    def _look_for_clipping(self, now: float) -> Iterator[Finding]:
        oldest, newest = self._levels.oldest, self._levels.newest
        samples = newest.samples - oldest.samples
        if not samples:
            return
        share = (newest.clipped - oldest.clipped) / samples
        long_enough = self._levels.span >= NAMED_AFTER
        if self._clipping:
            self._clipping = not long_enough or share > UNCLIPPED_SHARE
        elif long_enough and share >= CLIPPED_SHARE:
            self._clipping = True
            if now - self._clipping_told_at >= CLIPPING_PAUSE:
                self._clipping_told_at = now
                text = f"the microphone clips ({100 * share:.0f} % of the last 3 s at full scale): turn its level down"
                yield Finding("clipping", text)
