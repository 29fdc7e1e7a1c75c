"""Our own address on the route to one peer, as it is now and as it was."""

from __future__ import annotations

from collections.abc import Callable

LOOK_INTERVAL = 0.5
"""Seconds between looks at the address on the route to each peer: with the re-INVITE, the peer knows within 2 s."""


class LocalAddress:
    """`host` is the address as it was last seen, "" before that."""

    def __init__(self, host: str = "") -> None:
        self.host = host
        self._looked_at = 0.0

    def change(self, now: float, current: Callable[[], str | None]) -> str | None:
        """The address until now, if `current` says that it is another; looks every LOOK_INTERVAL at most."""
        if now - self._looked_at < LOOK_INTERVAL:
            return None
        self._looked_at = now
        host = current()
        if host is None or host == self.host:
            return None
        before, self.host = self.host, host
        return before or None
