"""Connections of SIP over TCP and TLS (RFC 3261 section 18): opened when there is something to send, used again, both
ways, as long as they last (RFC 5923), kept alive while they are needed (RFC 5626), and bounded in number and patience.

Whatever goes wrong is told by `on_failed`, later, never from within a call of the user's.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import selectors
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from voip.errors import NetworkError
from voip.net.sockets import bound_stream_socket, family_of, is_own_address, reason_of, why_not
from voip.net.tls import Plain, Tls, TlsLayer, why_no_tls
from voip.net.zones import learned, sockaddr
from voip.sip import Address
from voip.sip.framing import PING, PONG, StreamError, StreamFramer

READ_SIZE = 1 << 14
"""Bytes read from one connection before all others have their turn: some dozens of messages."""
BACKLOG = 16
MOST_QUEUED = 1 << 18
"""Bytes that wait to be sent: a peer that does not read is given up."""
MOST_INCOMING = 8
MOST_OUTGOING = 32
CONNECT_TIMEOUT = 8.0
"""Seconds until a connection must be up, its TLS included: three tries of TCP (RFC 6298, at 0, 1 and 3 s), and less
than a caller waits for an answer."""
HANDSHAKE_TIMEOUT = 5.0
MESSAGE_TIMEOUT = 5.0
"""Seconds that a message may take from its first byte to its last."""
FIRST_MESSAGE_TIMEOUT = 30.0
"""Seconds until somebody who has connected must have said something."""
IDLE_TIMEOUT = 120.0
"""Seconds of silence after which a connection that nobody needs is closed; more than any transaction (18)."""
PING_INTERVAL = (95.0, 120.0)
"""Seconds between keep-alives over TCP (RFC 5626 section 4.4.1)."""


@dataclass
class Hooks:
    """What connections ask and tell; `later` runs something soon, when nothing else is under way."""

    now: Callable[[], float]
    later: Callable[[Callable[[], None]], None]
    on_message: Callable[[bytes, Address], None]
    on_failed: Callable[[Address, str], None]
    on_closed: Callable[[Address], None]
    needs: Callable[[Address], bool]
    server_name: Callable[[Address], str]


@dataclass(eq=False)
class Connection:
    """One connection. `due`: when it has to be looked at, at the latest."""

    sock: socket.socket
    address: Address
    layer: Plain | TlsLayer
    incoming: bool
    due: float
    connected: bool
    framer: StreamFramer = field(default_factory=StreamFramer)
    queue: bytearray = field(default_factory=bytearray)
    open: bool = True
    ending: bool = False
    """What comes is not read any more; it is closed when the queue is empty and the other side has seen that."""
    said_all: bool = False
    used: float = -math.inf
    """When the last whole message went or came."""
    unfinished_since: float | None = None
    events: int = 0

    @property
    def ready(self) -> bool:
        return self.connected and self.layer.established


class Connections:
    """All connections of one network; they are served by its thread."""

    def __init__(
        self, selector: selectors.BaseSelector, hooks: Hooks, tls: Tls, *, dscp: int, most_incoming: int = MOST_INCOMING
    ) -> None:
        self._selector, self._hooks, self._tls, self._dscp = selector, hooks, tls, dscp
        self._most_incoming = most_incoming
        self._open: dict[Address, Connection] = {}
        self._bound: dict[tuple[str, socket.AddressFamily], socket.socket] = {}
        self._rng = random.Random()

    # --- listening ------------------------------------------------------------------------------------------------

    def listen(self, protocol: str, host: str, port: int) -> int:
        """Take connections there (or, for TLS without a certificate, only keep the port for our own); the port that
        was got. OSError as it is."""
        family = family_of(host)
        sock = bound_stream_socket(family, host, port, self._dscp)
        self._bound[protocol, family] = sock
        if protocol == "tcp" or self._tls.server is not None:
            try:
                sock.listen(BACKLOG)
            except OSError:
                sock.close()
                del self._bound[protocol, family]
                raise
            self._selector.register(sock, selectors.EVENT_READ, partial(self._accept, protocol, sock))
        return int(sock.getsockname()[1])

    def close(self) -> None:
        for connection in list(self._open.values()):
            self._close(connection)
        for sock in self._bound.values():
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)
            sock.close()
        self._bound.clear()

    def leave_old_addresses(self) -> None:
        """Close connections from addresses that this machine has no longer: what they are given goes nowhere, and the
        system would try for minutes to send it."""
        for connection in list(self._open.values()):
            if not is_own_address(learned(connection.sock.getsockname())):
                self._drop(connection)
                self._hooks.on_closed(connection.address)

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, data: bytes, address: Address) -> None:
        """Send this message by the connection to `address`, which is opened if there is none."""
        connection = self._open.get(address) or self._connect(address)
        if connection is None:
            return
        if len(connection.queue) + connection.layer.waiting + len(data) > MOST_QUEUED:
            self._fail(connection, f"{_name(address)} does not read what it is sent")
            return
        connection.used = self._hooks.now()
        self._put(connection, data)

    def _put(self, connection: Connection, data: bytes) -> None:
        connection.queue += connection.layer.send(data)
        if connection.connected:
            self._write(connection)

    def _connect(self, address: Address) -> Connection | None:
        self._make_room(incoming=False)
        try:
            layer: Plain | TlsLayer = Plain()
            if address.protocol == "tls":
                layer = TlsLayer(self._tls.client, self._hooks.server_name(address))
            sock = self._connecting_socket(address)
        except (OSError, TypeError, ValueError) as error:
            self._tell_failure(address, f"cannot reach {_name(address)}: {reason_of(error)}")
            return None
        due = self._hooks.now() + CONNECT_TIMEOUT
        connection = Connection(sock, address, layer, incoming=False, due=due, connected=False)
        self._add(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        return connection

    def _connecting_socket(self, address: Address) -> socket.socket:
        """From the port that we listen at, so that the other side finds the connection when it looks for us
        (RFC 5923); from any, where that cannot be."""
        family = family_of(address.host)
        bound = self._bound.get((address.protocol, family))
        anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
        host, port = (anywhere, 0) if bound is None else bound.getsockname()[:2]
        if port not in (0, address.port):
            with contextlib.suppress(OSError):
                return self._begin_connecting(bound_stream_socket(family, host, port, self._dscp), address)
        sock = bound_stream_socket(family, host, 0, self._dscp, shared=False)
        return self._begin_connecting(sock, address)

    def _begin_connecting(self, sock: socket.socket, address: Address) -> socket.socket:
        try:
            begun = sock.connect_ex(sockaddr(address.host, address.port, sock.family))
        except (OSError, TypeError, ValueError):
            sock.close()
            raise
        if begun not in (0, errno.EINPROGRESS):
            sock.close()
            raise OSError(begun, os.strerror(begun))
        return sock

    # --- what the selector tells ----------------------------------------------------------------------------------

    def _accept(self, protocol: str, listener: socket.socket) -> None:
        try:
            sock, source = listener.accept()
        except OSError:  # gone again, or no more files: the next one may have more luck
            return
        sock.setblocking(False)
        address = Address(protocol, learned(source), source[1])
        if address in self._open or not self._make_room(incoming=True):
            sock.close()
            return
        layer: Plain | TlsLayer = Plain()
        if protocol == "tls":
            assert self._tls.server is not None
            layer = TlsLayer(self._tls.server, None)
        patience = HANDSHAKE_TIMEOUT if protocol == "tls" else FIRST_MESSAGE_TIMEOUT
        due = self._hooks.now() + patience
        connection = Connection(sock, address, layer, incoming=True, due=due, connected=True)
        self._add(connection, selectors.EVENT_READ)

    def _serve(self, connection: Connection) -> None:
        """Something can be read or written."""
        if not connection.open:
            return
        if not connection.connected and not self._finish_connecting(connection):
            return
        self._write(connection)
        if connection.open:
            self._read(connection)

    def _finish_connecting(self, connection: Connection) -> bool:
        problem = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._fail(connection, _why_unreachable(connection.address, problem))
            return False
        try:
            connection.sock.getpeername()
        except OSError:
            return False  # not yet
        connection.connected = True
        return self._with_tls(connection, connection.layer.begin)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(connection, f"the connection to {_name(connection.address)} broke: {error.strerror}")
            return
        if not data:
            self._ended_by_peer(connection)
        elif not connection.ending:
            self._with_tls(connection, lambda: self._take(connection, connection.layer.receive(data)))

    def _with_tls(self, connection: Connection, step: Callable[[], None]) -> bool:
        """Do this, and put on the wire what TLS has to say; False where it is over."""
        try:
            step()
        except ssl.SSLError as error:
            name = self._hooks.server_name(connection.address)
            with contextlib.suppress(OSError):  # the alert that tells the other side why
                connection.sock.send(connection.layer.outgoing())
            self._fail(connection, why_no_tls(error, name))
            return False
        if not connection.open:
            return False
        connection.queue += connection.layer.outgoing()
        if connection.ready:
            self._reschedule(connection)
        self._write(connection)
        return connection.open

    def _take(self, connection: Connection, data: bytes) -> None:
        """Bytes of the stream have come: messages, keep-alives, or something that ends it."""
        framer = connection.framer
        framer.feed(data)
        try:
            while connection.open and (message := framer.next_message()) is not None:
                connection.used, connection.unfinished_since = self._hooks.now(), None
                self._hooks.on_message(message, connection.address)
        except StreamError as error:
            if error.head and connection.open:
                self._hooks.on_message(error.head, connection.address)
            connection.ending = True
        if not connection.open:
            return
        if framer.pongs_owed:
            connection.queue += connection.layer.send(PONG * framer.pongs_owed)
            framer.pongs_owed = 0
            connection.used = max(connection.used, self._hooks.now())
        if not framer.unfinished:
            connection.unfinished_since = None
        elif connection.unfinished_since is None:
            connection.unfinished_since = self._hooks.now()

    def _write(self, connection: Connection) -> None:
        """Send what the socket takes of the queue."""
        if not connection.open or not connection.connected:
            return
        while connection.queue:
            try:
                sent = connection.sock.send(connection.queue)
            except BlockingIOError:
                break
            except OSError as error:
                self._fail(connection, f"the connection to {_name(connection.address)} broke: {error.strerror}")
                return
            del connection.queue[:sent]
        if len(connection.queue) > MOST_QUEUED:
            self._fail(connection, f"{_name(connection.address)} does not read what it is sent")
        elif connection.ending and not connection.queue:
            self._say_all(connection)
        else:
            self._watch(connection, selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.queue else 0))

    def _say_all(self, connection: Connection) -> None:
        """Closed at once, with bytes of the other side's unread, the connection would be reset, and our last lost."""
        self._watch(connection, selectors.EVENT_READ)
        if not connection.said_all:
            connection.said_all = True
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)

    def _ended_by_peer(self, connection: Connection) -> None:
        if connection.queue or not connection.ready:
            hint = "" if connection.layer.established else ". Does it speak TLS at this port?"
            self._fail(connection, f"{_name(connection.address)} has closed the connection{hint}")
        else:
            self._close(connection)

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """When `run_timers` has something to do; infinity: never."""
        return min((connection.due for connection in self._open.values()), default=math.inf)

    def run_timers(self, now: float) -> None:
        for connection in list(self._open.values()):
            if connection.open and connection.due <= now:
                self._run_timer(connection, now)

    def _run_timer(self, connection: Connection, now: float) -> None:
        name = _name(connection.address)
        if not connection.ready:
            self._fail(connection, f"cannot reach {name}: no connection within {CONNECT_TIMEOUT:g} s")
        elif connection.unfinished_since is not None and now - connection.unfinished_since >= MESSAGE_TIMEOUT:
            self._fail(connection, f"{name} does not finish what it says")
        elif connection.ending or not self._hooks.needs(connection.address):
            quiet = IDLE_TIMEOUT if connection.used > -math.inf else 0.0
            if connection.ending or now - connection.used >= quiet:
                self._close(connection)
            else:
                connection.due = connection.used + quiet
        else:
            self._keep_alive(connection, now)

    def _keep_alive(self, connection: Connection, now: float) -> None:
        """RFC 5626: whoever has opened the connection keeps it open."""
        connection.due = now + self._rng.uniform(*PING_INTERVAL)
        if not connection.incoming:
            connection.framer.pong_awaited = True
            self._put(connection, PING)

    def _reschedule(self, connection: Connection) -> None:
        now = self._hooks.now()
        if connection.unfinished_since is not None:
            connection.due = connection.unfinished_since + MESSAGE_TIMEOUT
        elif connection.ending:
            connection.due = now + MESSAGE_TIMEOUT
        elif connection.used == -math.inf:
            connection.due = now + FIRST_MESSAGE_TIMEOUT
        else:
            connection.due = now + self._rng.uniform(*PING_INTERVAL)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _add(self, connection: Connection, events: int) -> None:
        self._open[connection.address] = connection
        connection.events = events
        self._selector.register(connection.sock, events, partial(self._serve, connection))

    def _watch(self, connection: Connection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._selector.modify(connection.sock, events, partial(self._serve, connection))

    def _make_room(self, *, incoming: bool) -> bool:
        """Whether one more may be opened, if need be in place of the one that nobody has used for longest."""
        most = self._most_incoming if incoming else MOST_OUTGOING
        alike = [connection for connection in self._open.values() if connection.incoming is incoming]
        if len(alike) < most:
            return True
        spare = [connection for connection in alike if not self._hooks.needs(connection.address)]
        if spare:
            self._close(min(spare, key=lambda connection: connection.used))
        return bool(spare)

    def _fail(self, connection: Connection, reason: str) -> None:
        self._drop(connection)
        self._tell_failure(connection.address, reason)

    def _tell_failure(self, address: Address, reason: str) -> None:
        self._hooks.later(partial(self._hooks.on_failed, address, reason))

    def _close(self, connection: Connection) -> None:
        """In good order."""
        if not connection.open:
            return
        connection.layer.end()
        with contextlib.suppress(OSError):
            if connection.connected:
                connection.sock.send(bytes(connection.queue) + connection.layer.outgoing())
                connection.sock.recv(READ_SIZE)  # unread bytes would have the connection reset, and our last ones lost
        self._drop(connection)
        self._hooks.on_closed(connection.address)

    def _drop(self, connection: Connection) -> None:
        connection.open = False
        if self._open.get(connection.address) is connection:
            del self._open[connection.address]
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.sock.close()


def open_listeners(connections: Connections, protocol: str, hosts: list[str], port: int, *, exactly: bool) -> int:
    """Listen on these addresses, all at one port: `port`, or any where it is taken unless it must be `exactly` that."""
    first, *others = hosts
    try:
        got = connections.listen(protocol, first, port)
    except OSError as error:
        if exactly:
            raise NetworkError(why_not(error, first, port, "TCP")) from error
        got = connections.listen(protocol, first, 0)
    for host in others:
        with contextlib.suppress(OSError):  # a machine without IPv6 serves IPv4 alone
            connections.listen(protocol, host, got)
    return got


def _name(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port} by {address.protocol.upper()}"


def _why_unreachable(address: Address, number: int) -> str:
    text = f"cannot reach {_name(address)}: {os.strerror(number)}"
    if number == errno.ECONNREFUSED:
        text += f". Is a program running there that takes {address.protocol.upper()}?"
    return text
