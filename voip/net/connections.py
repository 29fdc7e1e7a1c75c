"""Connections of SIP over TCP and TLS (RFC 3261 section 18): opened when there is something to send, reused in both
directions (RFC 5923), kept alive while they are needed (RFC 5626), with limits on their number and on every wait.

Failures are reported by `on_failed`, always from the event loop and never during a call of `send`.
"""

from __future__ import annotations

import math
import socket
from functools import partial

from voip.net.captured import Tap
from voip.net.connection import Connection, Hooks, name_of
from voip.net.loop import EventLoop
from voip.net.sockets import is_own_address, reason_of
from voip.net.stream_ports import StreamPorts
from voip.net.tls import Plain, Tls, TlsLayer
from voip.net.zones import learned
from voip.sip import Address
from voip.sip.limits import network_of

MAX_INCOMING = 8
"""Connections opened by peers, at a time."""
MAX_OUTGOING = 32
"""Connections opened by us."""


class Connections:
    """All connections of one SIP transport, on the network thread."""

    def __init__(
        self,
        loop: EventLoop,
        hooks: Hooks,
        tls: Tls,
        *,
        dscp: int,
        max_incoming: int = MAX_INCOMING,
        max_outgoing: int = MAX_OUTGOING,
        tap: Tap | None = None,
    ) -> None:
        """`tap` makes what notes the messages of a connection for a capture."""
        self._loop, self._hooks, self._tls = loop, hooks, tls
        self._ports = StreamPorts(loop, dscp=dscp)
        self._max_incoming, self._max_outgoing = max_incoming, max_outgoing
        self._open: dict[Address, Connection] = {}
        self._tap = tap or Tap()

    # --- listening ------------------------------------------------------------------------------------------------

    def listen(self, protocol: str, hosts: list[str], port: int, *, exactly: bool) -> int:
        """Accept connections at these addresses (or, for TLS without a certificate, only keep the port for our own),
        all at one port: `port`, or another one if it is taken and need not be `exactly` that. Returns the port;
        NetworkError."""
        accept = partial(self._accept, protocol) if protocol == "tcp" or self._tls.server is not None else None
        return self._ports.listen(protocol, hosts, port, accept, exactly=exactly)

    def close(self) -> None:
        for connection in list(self._open.values()):
            connection.close()
        self._ports.close()

    def leave_old_addresses(self) -> None:
        """Close connections from addresses that this machine no longer has: nothing sent by them arrives, and the
        system would retransmit it for minutes."""
        for connection in list(self._open.values()):
            if not is_own_address(learned(connection.sock.getsockname())):
                connection.drop()
                self._hooks.on_closed(connection.address)

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, data: bytes, address: Address) -> None:
        """Send a message over the connection to `address`, which is opened if there is none."""
        connection = self._open.get(address) or self._connect(address)
        if connection is not None:
            connection.send(data)

    def _connect(self, address: Address) -> Connection | None:
        self._make_room(incoming=False)
        try:
            layer: Plain | TlsLayer = Plain()
            if address.protocol == "tls":
                layer = TlsLayer(self._tls.client, self._hooks.server_name(address))
            sock = self._ports.connect(address)
        except (OSError, TypeError, ValueError) as error:
            reason = f"cannot reach {name_of(address)}: {reason_of(error)}"
            self._loop.call_later(0.0, partial(self._hooks.on_failed, address, reason))
            return None
        return self._add(sock, address, layer, incoming=False)

    def _accept(self, protocol: str, listener: socket.socket) -> None:
        try:
            sock, source = listener.accept()
        except OSError:  # the peer has gone again, or no file descriptor is left
            return
        sock.setblocking(False)
        try:
            address = Address(protocol, learned(source), source[1])
            if address in self._open or self._is_excess(address.host) or not self._make_room(incoming=True):
                sock.close()
                return
            layer: Plain | TlsLayer = Plain()
            if protocol == "tls":
                assert self._tls.server is not None
                layer = TlsLayer(self._tls.server, None)
            self._add(sock, address, layer, incoming=True)
        except Exception:
            sock.close()
            raise

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """When `run_timers` is due; infinity: never."""
        return min((connection.due for connection in self._open.values()), default=math.inf)

    def run_timers(self, now: float) -> None:
        for connection in list(self._open.values()):
            if connection.open and connection.due <= now:
                connection.run_timer(now)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _add(self, sock: socket.socket, address: Address, layer: Plain | TlsLayer, *, incoming: bool) -> Connection:
        connection = Connection(
            self._loop,
            self._hooks,
            sock,
            address,
            layer,
            incoming=incoming,
            on_dropped=self._forget,
            captured=self._tap.stream(sock, address),
        )
        self._open[address] = connection
        return connection

    def _make_room(self, *, incoming: bool) -> bool:
        """Whether one more may be opened; if need be the unneeded one that was idle for longest is closed."""
        limit = self._max_incoming if incoming else self._max_outgoing
        alike = [connection for connection in self._open.values() if connection.incoming is incoming]
        if len(alike) < limit:
            return True
        spare = [connection for connection in alike if not self._hooks.needs(connection.address)]
        if spare:
            min(spare, key=lambda connection: connection.last_used).close()
        return bool(spare)

    def _is_excess(self, host: str) -> bool:
        """Whether this is the second connection from a network whose host may not call."""
        if self._hooks.may_call(host):
            return False
        network = network_of(host)
        return any(
            connection.incoming and network_of(connection.address.host) == network for connection in self._open.values()
        )

    def _forget(self, connection: Connection) -> None:
        if self._open.get(connection.address) is connection:
            del self._open[connection.address]
