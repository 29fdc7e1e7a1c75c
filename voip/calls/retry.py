"""Calling again after a call was lost: whether, and when.

A link that returns brings the sound back within 5 s, for as long as the pauses are short: see `voip.sip.Pauses`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from voip.sip import Pauses

STEADY_AFTER = 10.0
"""Seconds after which a call that is up has put an end to the trouble before it."""


@dataclass(frozen=True)
class RetryRule:
    """How often to call again, without success, after a call was lost; None: for ever.

    `from_start`: also where there has been no call yet.
    """

    tries: int | None = None
    from_start: bool = False


class Retries:
    """The tries to reach one target again, in a row. Times are monotonic seconds."""

    def __init__(self, rule: RetryRule, rng: random.Random) -> None:
        self._rule, self._pauses = rule, Pauses(rng)
        self._been_up = False
        self.number = 0
        """Of the next try."""

    def pause(self, up_for: float | None, now: float) -> float | None:
        """Seconds until the next try, now that the last one has failed; None: no more.

        `up_for`: how long the call was up; None if it did not come so far.
        """
        self._been_up = self._been_up or up_for is not None
        if not (self._been_up or self._rule.from_start):
            return None
        if (up_for or 0.0) >= STEADY_AFTER:
            self.number = 0
            self._pauses.restart()
        if self._rule.tries is not None and self.number >= self._rule.tries:
            return None
        self.number += 1
        return self._pauses.after_silence(now)
