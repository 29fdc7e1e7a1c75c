"""Deadlines of the user agent: the one place that knows what happens next. There is no clock here."""

from __future__ import annotations

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

Action = Callable[[float], None]


class Timers:
    """Named deadlines of any owner (compared by identity). The set is small, so it is searched, not sorted."""

    def __init__(self) -> None:
        self._due: dict[tuple[object, str], tuple[float, Action]] = {}

    def __len__(self) -> int:
        return len(self._due)

    def set(self, owner: object, name: str, deadline: float, action: Action) -> None:
        """Call `action(now)` at `deadline`, in place of what `owner` had under this name."""
        self._due[owner, name] = (deadline, action)

    def clear(self, owner: object, *names: str) -> None:
        """Forget these timers of `owner`; those that do not run are no matter."""
        for name in names:
            self._due.pop((owner, name), None)

    def clear_all(self, owner: object) -> None:
        for key in [key for key in self._due if key[0] is owner]:
            del self._due[key]

    def next(self) -> float | None:
        """The earliest deadline."""
        return min((deadline for deadline, _ in self._due.values()), default=None)

    def run(self, now: float) -> None:
        """Do what is due, earliest first. Actions set new deadlines relative to `now`, so this ends."""
        while self._due:
            key = min(self._due, key=lambda key: self._due[key][0])
            deadline, action = self._due[key]
            if deadline > now:
                return
            del self._due[key]
            action(now)
