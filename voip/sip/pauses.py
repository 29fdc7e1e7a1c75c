"""Pauses between tries to reach one that does not respond, a registrar or the peer of a call (RFC 5626 section 4.5).

While it has been gone for minutes only, a request leaves every 4 s at most, so that contact is back within 5 s of its
return: that is the longest interval between the copies of one request (RFC 3261 timers A and E). After that the pauses
double.
"""

from __future__ import annotations

import random

FIRST_PAUSE = 1.0
"""Seconds between the end of a try and the next; twice as long after each, up to what follows."""
SHORT_PAUSE = 2.0
"""Seconds between tries, at most, for the time of SHORT_FOR: one that is refused at once, since the callee was not
registered again yet, is soon made again."""
SHORT_FOR = 300.0
"""Seconds since the first failure until pauses grow beyond SHORT_PAUSE."""
MAX_PAUSE = 30.0
"""Seconds between tries, at most: the base time of RFC 5626 section 4.5."""
SPREAD = (0.8, 1.0)
"""Share of a pause that is waited, at random: not in step with all others that have lost the same server."""
TRY_TIMEOUT = 8.0
"""Seconds that a try without any response lasts: requests leave after 0, 0.5, 1.5, 3.5 and 7.5 s."""


REFUSAL_SPREAD = (0.5, 1.0)
"""The same after a refusal."""


class Pauses:
    """The pauses of one series of failures, which it counts. Times are monotonic seconds."""

    def __init__(self, rng: random.Random) -> None:
        self.failures = 0
        self._rng = rng
        self._since: float | None = None
        self._pause = 0.0

    def restart(self) -> None:
        """It was reached: the next failure is the first of another series."""
        self.failures, self._since, self._pause = 0, None, 0.0

    def after_refusal(self) -> float:
        """Seconds until the next try, now that one was refused: what responds is there, and may be overloaded."""
        self.failures += 1
        return min(FIRST_PAUSE * 2.0**self.failures, MAX_PAUSE) * self._rng.uniform(*REFUSAL_SPREAD)

    def after_silence(self, now: float) -> float:
        """Seconds until the next try, now that one has met silence."""
        self.failures += 1
        if self._since is None:
            self._since = now
        most = SHORT_PAUSE if now - self._since < SHORT_FOR else MAX_PAUSE
        self._pause = min(2 * self._pause or FIRST_PAUSE, most)
        return self._pause * self._rng.uniform(*SPREAD)
