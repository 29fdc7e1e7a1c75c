"""Who speaks: levels of the last moments of several streams, and the loudest of them as long as it stays so."""

from __future__ import annotations

import math
from collections.abc import Mapping

from voip.stats import Levels

SMOOTHING = 0.5
"""Share of the newest power in the smoothed one: at ten looks a second it follows syllables within a quarter second."""
SPEAKS_FROM = -50.0
"""dBFS from which on a stream counts as speech: quiet talk into a close microphone is about -40, a quiet room -60."""
LOUDER_BY = 3.0
"""dB by which another stream has to be louder to count in place of the one that does: twice its power."""
POWER_FLOOR = 1e-10
"""Share of the power of full scale (-100 dB) below which there is silence."""


class ActiveSpeaker:
    """Finds the active speaker from the levels of streams, to be given about ten times a second."""

    def __init__(self) -> None:
        self.speaker: str | None = None
        """The stream that is the loudest of those that speak; None: no one does."""
        self._seen: dict[str, Levels] = {}
        self._powers: dict[str, float] = {}

    def look(self, levels: Mapping[str, Levels], muted: frozenset[str] = frozenset()) -> None:
        """These are the levels of all streams since each began; those that are `muted` do not speak."""
        self._powers = {key: self._power(key, now) for key, now in levels.items()}
        self._seen = dict(levels)
        heard = {key: power for key, power in self._powers.items() if key not in muted and _db(power) >= SPEAKS_FROM}
        if not heard:
            self.speaker = None
            return
        loudest = max(heard, key=lambda key: heard[key])
        if self.speaker not in heard or _db(heard[loudest]) - _db(heard[self.speaker]) >= LOUDER_BY:
            self.speaker = loudest

    def level(self, key: str) -> float | None:
        """RMS of the last moments in dBFS, a full-scale square wave being 0; None for silence."""
        power = self._powers.get(key, 0.0)
        return _db(power) if power > POWER_FLOOR else None

    def _power(self, key: str, now: Levels) -> float:
        before = self._seen.get(key, Levels())
        samples = now.samples - before.samples
        newest = max(0.0, now.energy - before.energy) / samples if samples > 0 else 0.0
        return (1.0 - SMOOTHING) * self._powers.get(key, 0.0) + SMOOTHING * newest


def _db(power: float) -> float:
    return 10.0 * math.log10(max(power, POWER_FLOOR))
