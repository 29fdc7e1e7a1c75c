"""Calling again after a call was lost: whether, when, and how long each try lasts.

A link that returns brings the sound back within 5 s: while it has been down for minutes only, INVITEs leave 4 s apart
at most, which is what one of them costs that is not responded to (RFC 3261 timer A). After that the pauses double.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_PAUSE = 1.0
"""Seconds between the end of a call and the next try; twice as long after each, up to what follows."""
SHORT_PAUSE = 3.0
"""Seconds between tries, at most, for the time of SHORT_FOR: with the 0.5 s between the last INVITE of a try and its
end, no two INVITEs are further than 4 s apart."""
SHORT_FOR = 300.0
"""Seconds since the call was lost until pauses grow beyond SHORT_PAUSE."""
MAX_PAUSE = 30.0
"""Seconds between tries, at most: as for a registration (RFC 5626 section 4.5)."""
SPREAD = (0.8, 1.0)
"""Share of a pause that is waited, at random: not in step with all others that have lost the same server."""
TRY_TIMEOUT = 8.0
"""Seconds that a try without any response lasts: INVITEs leave after 0, 0.5, 1.5, 3.5 and 7.5 s."""
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
        self._rule, self._rng = rule, rng
        self._lost_at: float | None = None
        self._been_up = False
        self.number = 0
        """Of the next try."""
        self._pause = 0.0

    def pause(self, up_for: float | None, now: float) -> float | None:
        """Seconds until the next try, now that the last one has failed; None: no more.

        `up_for`: how long the call was up; None if it did not come so far.
        """
        self._been_up = self._been_up or up_for is not None
        if not (self._been_up or self._rule.from_start):
            return None
        if self._lost_at is None or (up_for or 0.0) >= STEADY_AFTER:
            self._lost_at, self.number, self._pause = now, 0, 0.0
        if self._rule.tries is not None and self.number >= self._rule.tries:
            return None
        self.number += 1
        most = SHORT_PAUSE if now - self._lost_at < SHORT_FOR else MAX_PAUSE
        self._pause = min(2 * self._pause or FIRST_PAUSE, most)
        return self._pause * self._rng.uniform(*SPREAD)
