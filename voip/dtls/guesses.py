"""How fast a shared password can be guessed: each failed proof makes the next ones wait, and nobody is locked out."""

from __future__ import annotations

FREE = 3
"""Failed proofs that cost nothing: a file with the wrong password is soon corrected."""
FORGOTTEN_AFTER = 600.0
"""Seconds after which one failed proof is forgotten."""
MAX_WAIT = 3.0
"""Seconds that a proof waits at most: who knows the password has 5 s to prove it, and a call must begin some time."""
FIRST_WAIT = 0.5
"""Seconds that the first proof waits that has to; twice that the next one."""


class Guesses:
    """Counts the failed proofs of a program, whoever they were by: an attacker has any number of addresses."""

    def __init__(self) -> None:
        self._failed: list[float] = []

    def note_failure(self, now: float) -> None:
        """A proof has failed."""
        self._failed.append(now)

    def wait(self, now: float) -> float:
        """Seconds that the next proof is to wait."""
        self._failed = [at for at in self._failed if now - at < FORGOTTEN_AFTER]
        over = len(self._failed) - FREE
        return 0.0 if over <= 0 else min(MAX_WAIT, FIRST_WAIT * 2.0 ** min(over - 1, 8))
