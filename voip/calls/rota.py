"""When each call is looked at: all of them together while they are few, else some at a time.

A look at hundreds of calls takes the network thread longer than datagrams may wait (`voip.net.loop.GATHERED`), and what
is read later than that may be late for its turn. So a round is divided into parts that take about a millisecond each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from voip.calls.call import Call

ROUND = 0.25
"""Seconds in which each call is looked at once."""
LONG_ROUND = 0.5
"""The same with more than MANY calls: what goes wrong is named so much later, and looks cost half as much. Less than
the second within which `Call.snapshot` has to be asked for, and after which a diagnosis thinks that it stood still."""
MANY = 50
"""Calls up to which a round is short."""
PART = 8
"""Calls that are looked at together, at most."""


class Rota:
    """Whose turn it is. Network thread only."""

    def __init__(self) -> None:
        self._waiting: deque[Call] = deque()  # those of this round that have not had their turn
        self.pause = ROUND
        """Seconds from one part to the next."""

    @property
    def begins(self) -> bool:
        """Whether the next part is the first of a round."""
        return not self._waiting

    def part(self, calls: Iterable[Call]) -> list[Call]:
        """Those of the calls that are to be looked at now. One that comes later has its turn in the next round; one
        that has ended meanwhile may be among them."""
        if self.begins:
            self._waiting.extend(calls)
            count = len(self._waiting)
            self.pause = (LONG_ROUND if count > MANY else ROUND) / max(1, -(-count // PART))
        return [self._waiting.popleft() for _ in range(min(PART, len(self._waiting)))]
