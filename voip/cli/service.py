"""What a service manager is told: ready, alive, stopping (the protocol of sd_notify(3)); nothing without one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

BEATS_PER_LIMIT = 3
"""Signs of life within the time after which the service manager takes the program for dead (WATCHDOG_USEC)."""


class ServiceManager:
    """Tells the service manager that has started us, if one has. Main thread only."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path, limit = environment.get("NOTIFY_SOCKET", ""), environment.get("WATCHDOG_USEC", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        self._interval = int(limit) / 1e6 / BEATS_PER_LIMIT if limit.isdecimal() else None
        self._next = 0.0

    def tell(self, state: str) -> None:
        """Send a state such as `READY=1`. A service manager that does not listen is no reason to stop."""
        if not self._path or not hasattr(socket, "AF_UNIX"):
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), self._path)

    def beat(self, now: float) -> None:
        """Say that the program goes on, as often as that is asked for; to be called several times a second."""
        if self._interval is not None and now >= self._next:
            self._next = now + self._interval
            self.tell("WATCHDOG=1")
