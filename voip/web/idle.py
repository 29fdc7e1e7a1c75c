"""Connections to a site that ask nothing at present: how many one network may keep open, and for how long.

A connection is idle from its opening, and again when a request is over; a WebSocket until its first message. Of one
network so many may be idle; where one more is, that which is idle for longest is closed: whoever opens a thousand
closes its own, and keeps nobody out, neither of another network nor of the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass

MOST_IDLE = 128
"""Of one network at a time. A browser keeps six, and a pool of a program some ten."""
IPV4_PREFIX, IPV6_PREFIX = 24, 64
"""Bits of an address by which a network is told: the least that is given to one customer (RFC 6177 for IPv6)."""


def network_of(host: str) -> str:
    """The network of a literal address; what is none is one by itself."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))


@dataclass(eq=False)
class Connection:
    """`since`: when it became idle; `asked`: there was a request, so that HTTP itself has an eye on its pauses."""

    socket: socket.socket
    network: str
    since: float
    asked: bool = False

    @property
    def is_closed(self) -> bool:
        return self.socket.fileno() < 0

    def close(self) -> None:
        """Whoever reads it finds its end, and lets go of it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Idle:
    """All connections of a site. One owner. `patience`: seconds that the first request may take to come."""

    def __init__(self, patience: float, most: int = MOST_IDLE) -> None:
        self.patience, self._most = patience, most
        self._connections: dict[int, Connection] = {}
        self._idle: dict[str, dict[Connection, None]] = {}
        self.closed = 0
        """That were closed for others."""

    def opened(self, connected: socket.socket, host: str, now: float) -> None:
        """A connection from that address was accepted."""
        connection = Connection(connected, network_of(host), now)
        before = self._connections.get(connected.fileno())
        if before is not None:  # it is closed: its number is another's
            self._forget(before)
        self._connections[connected.fileno()] = connection
        self._add(connection)

    def busy(self, number: int) -> Connection | None:
        """A request, or the first message of a WebSocket, has come over the socket of this number; its connection."""
        connection = self._connections.get(number)
        if connection is not None:
            connection.asked = True
            self._forget(connection)
        return connection

    def idle(self, connection: Connection | None, now: float) -> None:
        """Its request is over, or its WebSocket open."""
        if connection is not None and not connection.is_closed:
            connection.since = now
            self._add(connection)

    def sweep(self, now: float) -> None:
        """To be called now and then: who has not asked for anything in time is closed, and who is gone forgotten."""
        for number, connection in list(self._connections.items()):
            if connection.is_closed:
                self._forget(connection)
                del self._connections[number]
            elif not connection.asked and now - connection.since >= self.patience:
                connection.close()

    def __len__(self) -> int:
        """Connections that are idle."""
        return sum(map(len, self._idle.values()))

    def _add(self, connection: Connection) -> None:
        same = self._idle.setdefault(connection.network, {})
        same.pop(connection, None)
        same[connection] = None
        if len(same) > self._most:
            oldest = next(iter(same))
            del same[oldest]
            if not oldest.is_closed:
                self.closed += 1
                oldest.close()

    def _forget(self, connection: Connection) -> None:
        same = self._idle.get(connection.network, {})
        same.pop(connection, None)
        if not same:
            self._idle.pop(connection.network, None)
