"""The last events of a program, for who begins to look later."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

MOST_EVENTS = 200
"""Events that are remembered."""


class EventLog:
    """The last events, numbered. Any thread adds, any reads: adding to a deque, and copying it, are one step each."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=MOST_EVENTS)
        self._numbers = itertools.count(1)

    def add(self, event: Mapping[str, Any]) -> None:
        """Keep one; it must not be changed afterwards."""
        self._events.append((next(self._numbers), event))

    def since(self, number: int) -> list[tuple[int, Mapping[str, Any]]]:
        """Those with a higher number, the oldest first."""
        return [each for each in self._events.copy() if each[0] > number]
