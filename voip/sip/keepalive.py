"""Keeping the way through a NAT open for remotes that have to reach us over UDP (RFC 5626 section 3.5, as far as it is
usual: an empty message, which gets no response)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voip.sip.address import Address
from voip.sip.transaction import Wire

EMPTY_MESSAGE = b"\r\n\r\n"


class KeepAlive:
    """Sends to the addresses that `wanted` names, as long as it names some, after each `interval` in seconds.

    Some NATs forget a UDP mapping after 30 s (RFC 4787 section 4.3); RFC 5626 section 4.4.2 has 24 to 29.
    """

    def __init__(self, wire: Wire, wanted: Callable[[], Iterable[Address]], interval: Callable[[], float]) -> None:
        self._wire, self._wanted, self._interval = wire, wanted, interval
        self._armed = False

    def arm(self, now: float) -> None:
        """Another address may have to be kept in reach."""
        if not self._armed:
            self.restart(now)

    def restart(self, now: float) -> None:
        """Something has just been sent: the interval begins anew."""
        self._armed = any(True for _ in self._wanted())
        if self._armed:
            self._wire.timers.set(self, "keep alive", now + self._interval(), self._due)

    def stop(self) -> None:
        self._armed = False
        self._wire.timers.clear_all(self)

    def _due(self, now: float) -> None:
        for address in set(self._wanted()):
            self._wire.send(EMPTY_MESSAGE, address)
        self.restart(now)
