"""Keeping the way through a NAT open for whoever has to reach us over UDP (RFC 5626 section 3.5, as far as it is
usual: an empty message, which nobody answers)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voip.sip.address import Address
from voip.sip.transaction import Wire

INTERVAL = 25.0
"""Seconds: some NATs forget a UDP mapping after 30 (RFC 4787 section 4.3), and RFC 5626 section 4.4.2 has 24 to 29."""
EMPTY_MESSAGE = b"\r\n\r\n"


class KeepAlive:
    """Sends to the addresses that `wanted` names, as long as it names some."""

    def __init__(self, wire: Wire, wanted: Callable[[], Iterable[Address]]) -> None:
        self._wire, self._wanted = wire, wanted
        self._armed = False

    def arm(self, now: float) -> None:
        """Somebody new may have to be kept in reach."""
        if not self._armed and any(True for _ in self._wanted()):
            self._armed = True
            self._wire.timers.set(self, "keep alive", now + INTERVAL, self._due)

    def _due(self, now: float) -> None:
        self._armed = False
        for address in set(self._wanted()):
            self._wire.send(EMPTY_MESSAGE, address)
        self.arm(now)
