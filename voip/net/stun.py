"""A STUN client (RFC 8489): finds the public addresses of our UDP sockets, on the network thread.

A call waits for them for less than a second. After a server has not responded once, calls no longer wait for it until
it does.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from voip.errors import ProtocolError
from voip.net.dns import Resolver
from voip.net.loop import EventLoop
from voip.net.sockets import family_of
from voip.net.zones import sockaddr
from voip.sip import Address
from voip.stun import GIVE_UP, RESEND_AFTER, TRANSACTION_ID, binding_request, parse_response

REFRESH = 25.0
"""Seconds between requests from the SIP sockets: some NATs forget UDP mappings after 30 s (RFC 4787 section 4.3)."""

Mapped = tuple[str, int]
OnMapped = Callable[["list[Mapped | None]"], None]
"""Called with the public address of each socket, None where it is unknown."""
ReadEarly = Callable[[bool], None]
"""Called with True when responses are expected, so that the sockets are read; with False afterwards."""


class _Query:
    """Some sockets, and their public addresses as far as they are known."""

    def __init__(self, sockets: Sequence[socket.socket], on_mapped: OnMapped, read_early: ReadEarly) -> None:
        self.sockets, self.on_mapped, self.read_early = sockets, on_mapped, read_early
        self.mapped: list[Mapped | None] = [None] * len(sockets)
        self.over = False

    def finish(self) -> None:
        """Say which addresses are known, and wait for no more of them."""
        self.over = True
        self.read_early(False)
        self.on_mapped(self.mapped)


class StunClient:
    """Queries one server; tells the user when it is of no help."""

    def __init__(
        self,
        loop: EventLoop,
        resolver: Resolver,
        host: str,
        port: int | None,
        *,
        rng: random.Random,
        say: Callable[[int, str], None],
    ) -> None:
        """`say` prints a line from the given verbosity on."""
        self._loop, self._resolver, self._rng, self._say = loop, resolver, rng, say
        self._host, self._port = host, port
        self._servers: dict[socket.AddressFamily, tuple[str, int]] = {}
        self._resolved = self._silent = False
        self._sip: dict[socket.socket, Mapped] = {}
        self._pending: dict[bytes, tuple[_Query, int]] = {}
        self._waiting: list[_Query] = []  # for the server's own address

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Resolve the server, then keep the public addresses of the SIP sockets up to date."""
        families = tuple(sock.family for sock in sockets)

        def on_resolved(addresses: list[Address]) -> None:  # the thread of the look-up
            self._loop.post(self._start_querying, addresses)

        self._resolver.look_up_stun(self._host, self._port, families, on_resolved)
        self._refresh(sockets)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The literal addresses of the server, as far as they are known."""
        return tuple(host for host, _ in self._servers.values())

    def mapped(self, sock: socket.socket, remote_host: str) -> Mapped | None:
        """The public address of a SIP socket for the peer at `remote_host`; None: unknown, or no use to that peer."""
        return self._sip.get(sock) if self._helps_towards(remote_host) else None

    def note_sip(self, sock: socket.socket, place: Mapped | None) -> None:
        """Remember the public address of a SIP socket, and tell the user when it is new."""
        if place is not None and place != self._sip.get(sock):
            self._sip[sock] = place
            self._say(0, f"public SIP address (by STUN): {place[0]} port {place[1]}")

    def ask(
        self, sockets: Sequence[socket.socket], remote_host: str, on_mapped: OnMapped, read_early: ReadEarly
    ) -> None:
        """Find the public addresses of these sockets, which the peer at `remote_host` is to send to."""
        if self._silent or not self._helps_towards(remote_host):
            on_mapped([None] * len(sockets))
            return
        self._ask(_Query(sockets, on_mapped, read_early))

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        """Handle a STUN message; only responses of the server to our requests matter."""
        try:
            response = parse_response(data)
        except ProtocolError:
            return
        if source not in self._servers.values() or response.transaction_id not in self._pending:
            return
        query, index = self._pending[response.transaction_id]
        self._silent = False
        if response.mapped is None:
            self._say(0, f"the STUN server {self._host} rejected the request: {response.error}")
            self._finish(query)
            return
        query.mapped[index] = response.mapped
        if None not in query.mapped:
            self._finish(query)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _helps_towards(self, remote_host: str) -> bool:
        """Whether the server sees us as this peer does: a public server cannot know what a peer in our private network
        sees."""
        server = self._servers.get(family_of(remote_host))
        if server is None:
            return not self._resolved
        return not ipaddress.ip_address(server[0]).is_global or ipaddress.ip_address(remote_host).is_global

    def _start_querying(self, addresses: list[Address]) -> None:
        self._resolved = True
        for address in reversed(addresses):
            self._servers[family_of(address.host)] = (address.host, address.port)
        if not addresses:
            self._silent = True
            self._say(0, f"cannot find the STUN server {self._host}: using our local address")
        waiting, self._waiting = self._waiting, []
        for query in waiting:
            self._send(query)

    def _refresh(self, sockets: Sequence[socket.socket]) -> None:
        def on_mapped(mapped: list[Mapped | None]) -> None:
            for sock, place in zip(sockets, mapped, strict=True):
                self.note_sip(sock, place)

        self._ask(_Query(sockets, on_mapped, lambda wanted: None))
        self._loop.call_later(REFRESH, lambda: self._refresh(sockets))

    def _ask(self, query: _Query) -> None:
        if self._resolved:
            self._send(query)
        else:
            self._waiting.append(query)
        self._loop.call_later(GIVE_UP, lambda: self._give_up(query))

    def _send(self, query: _Query) -> None:
        if query.over:
            return
        for index, sock in enumerate(query.sockets):
            server = self._servers.get(sock.family)
            if server is None:
                continue
            transaction_id = self._rng.getrandbits(8 * TRANSACTION_ID).to_bytes(TRANSACTION_ID, "big")
            self._pending[transaction_id] = (query, index)
            query.read_early(True)
            self._send_request(transaction_id, sock, server)
            for delay in RESEND_AFTER:
                self._loop.call_later(delay, partial(self._send_request, transaction_id, sock, server))

    def _send_request(self, transaction_id: bytes, sock: socket.socket, server: tuple[str, int]) -> None:
        query, index = self._pending.get(transaction_id, (None, 0))
        if query is not None and query.mapped[index] is None:
            with suppress(OSError):  # no route, or closed by now: the time-out decides
                sock.sendto(binding_request(transaction_id), sockaddr(*server, sock.family))

    def _give_up(self, query: _Query) -> None:
        asked = any(sock.family in self._servers for sock in query.sockets)
        if not query.over and asked and not any(query.mapped):
            if not self._silent:
                self._say(0, f"the STUN server {self._host} does not respond: using our local address")
            self._silent = True
        self._finish(query)

    def _finish(self, query: _Query) -> None:
        if query.over:
            return
        self._pending = {key: value for key, value in self._pending.items() if value[0] is not query}
        query.finish()
