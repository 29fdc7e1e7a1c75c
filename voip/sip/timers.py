"""Deadlines of the user agent: the one place that knows what happens next. There is no clock here."""

from __future__ import annotations

import heapq
from collections.abc import Callable

T1 = 0.5
"""Estimate of the round-trip time (RFC 3261 section 17.1.1.1)."""
T2 = 4.0
"""Longest interval between retransmissions of non-INVITE requests and INVITE responses (17.1.2.2)."""
T4 = 5.0
"""Longest time that a message stays in the network (17.1.2.2)."""
GIVE_UP = 64 * T1
"""Timers B, F, H, J, L and M, and D over UDP: the end of every wait for the peer."""

LINGER = 1.5 * T1
"""Seconds after a response in which its request is repeated, at least, if the response was lost."""

SPARE_ENTRIES = 64
"""Entries without a timer that are left in the queue beside as many as there are timers."""

Action = Callable[[float], None]


class Timers:
    """Named deadlines of any owner (compared by identity).

    The first one is found at once, however many there are. One that is cleared, or set anew, leaves its old entry in
    the queue until that comes first, or until most of the entries are such.
    """

    def __init__(self) -> None:
        self._set: dict[object, dict[str, tuple[int, Action]]] = {}
        self._count = 0
        self._queue: list[tuple[float, int, object, str]] = []
        self._number = 0

    def __len__(self) -> int:
        return self._count

    def set(self, owner: object, name: str, deadline: float, action: Action) -> None:
        """Call `action(now)` at `deadline`, in place of what `owner` had under this name."""
        timers = self._set.setdefault(owner, {})
        self._count += name not in timers
        self._number += 1
        timers[name] = self._number, action
        heapq.heappush(self._queue, (deadline, self._number, owner, name))
        if len(self._queue) > 2 * self._count + SPARE_ENTRIES:
            self._queue = [entry for entry in self._queue if self._is_set(entry)]
            heapq.heapify(self._queue)

    def clear(self, owner: object, *names: str) -> None:
        """Forget these timers of `owner`; those that do not run are no matter."""
        timers = self._set.get(owner, {})
        for name in names:
            self._count -= timers.pop(name, None) is not None
        if not timers:
            self._set.pop(owner, None)

    def clear_all(self, owner: object) -> None:
        self._count -= len(self._set.pop(owner, {}))

    def next(self) -> float | None:
        """The earliest deadline."""
        queue = self._queue
        while queue and not self._is_set(queue[0]):
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def run(self, now: float) -> None:
        """Do what is due, earliest first. Actions set new deadlines relative to `now`, so this ends."""
        while (deadline := self.next()) is not None and deadline <= now:
            _, _, owner, name = heapq.heappop(self._queue)
            _, action = self._set[owner][name]
            self.clear(owner, name)
            action(now)

    def _is_set(self, entry: tuple[float, int, object, str]) -> bool:
        _, number, owner, name = entry
        timer = self._set.get(owner, {}).get(name)
        return timer is not None and timer[0] == number
