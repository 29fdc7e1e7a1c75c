"""What has the SIP sockets of this package at its service: a user agent, or another element of RFC 3261 section 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from voip.sip import Address, SipUri


class SipElement(Protocol):
    """Messages and times go in, messages and events come out. It never raises for what a peer sent."""

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""

    def messages_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that has to be sent, in order; it is handed over once."""
        ...

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""

    def handle_timer(self, now: float) -> None:
        """Do what is due at `now`."""

    def next_event(self) -> object | None:
        """What its owner has to know or to do."""

    def resolved(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """What a `ResolveUri` among its events asked for."""

    def transport_failed(self, address: Address, now: float, reason: str = "") -> None:
        """What was to go there could not be sent."""

    def connection_closed(self, address: Address, now: float) -> None:
        """The connection was closed in good order."""

    def needs(self, address: Address) -> bool:
        """Whether the connection to `address` must be kept."""
        ...

    def may_call(self, host: str) -> bool:
        """Whether this host has a reason to connect more than once."""
        ...

    def server_name(self, address: Address) -> str:
        """The name that the certificate there has to be for."""
        ...

    def note_malformed(self, count: int) -> None:
        """So many datagrams that cannot be SIP were dropped before they came here."""
