"""Connections of SIP over TCP and TLS (RFC 3261 section 18): opened when there is something to send, reused in both
directions (RFC 5923), kept alive while they are needed (RFC 5626), with limits on their number and on every wait.

Failures are reported by `on_failed`, always from the event loop and never during a call of `send`.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from voip.net.loop import EventLoop
from voip.net.sockets import is_own_address, reason_of
from voip.net.stream_ports import StreamPorts
from voip.net.tls import Plain, Tls, TlsLayer, explain_tls_error
from voip.net.zones import learned
from voip.sip import Address
from voip.sip.framing import PING, PONG, StreamError, StreamFramer

READ_SIZE = 1 << 14
"""Bytes read from one connection before the others get their turn: some dozens of messages."""
MAX_QUEUED = 1 << 18
"""Bytes that may wait to be sent; beyond, the connection to a peer that does not read is closed."""
MAX_INCOMING = 8
"""Connections opened by peers."""
MAX_OUTGOING = 32
"""Connections opened by us."""
CONNECT_TIMEOUT = 8.0
"""Seconds until a connection must be up, its TLS included: three tries of TCP (RFC 6298, at 0, 1 and 3 s), and less
than a caller waits for an answer."""
HANDSHAKE_TIMEOUT = 5.0
"""Seconds until TLS must be established on a connection opened by a peer."""
MESSAGE_TIMEOUT = 5.0
"""Seconds from the first byte of a message to its last."""
FIRST_MESSAGE_TIMEOUT = 30.0
"""Seconds from accepting a connection to its first message."""
IDLE_TIMEOUT = 120.0
"""Seconds without a message after which an unneeded connection is closed; more than any transaction lasts
(RFC 3261 section 18)."""
PING_INTERVAL = (95.0, 120.0)
"""Seconds between keep-alives over TCP (RFC 5626 section 4.4.1)."""


@dataclass
class Hooks:
    """The user of the connections. `needs`: whether a connection must be kept; `server_name`: the name that the
    certificate of a peer has to be for."""

    on_message: Callable[[bytes, Address], None]
    on_failed: Callable[[Address, str], None]
    on_closed: Callable[[Address], None]
    needs: Callable[[Address], bool]
    server_name: Callable[[Address], str]


@dataclass(eq=False)
class Connection:
    """One connection. `due`: when its next timer expires."""

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
    """Input is ignored; the connection is closed once the queue is empty and the peer has closed its side."""
    shut_down: bool = False
    """We have closed our side."""
    last_used: float = -math.inf
    """When the last whole message was sent or received."""
    unfinished_since: float | None = None
    writing: bool = False
    """The loop waits for the socket to become writable."""

    @property
    def ready(self) -> bool:
        return self.connected and self.layer.established


class Connections:
    """All connections of one SIP transport, on the network thread."""

    def __init__(self, loop: EventLoop, hooks: Hooks, tls: Tls, *, dscp: int, max_incoming: int = MAX_INCOMING) -> None:
        self._loop, self._hooks, self._tls = loop, hooks, tls
        self._ports = StreamPorts(loop, dscp=dscp)
        self._max_incoming = max_incoming
        self._open: dict[Address, Connection] = {}
        self._rng = random.Random()

    # --- listening ------------------------------------------------------------------------------------------------

    def listen(self, protocol: str, hosts: list[str], port: int, *, exactly: bool) -> int:
        """Accept connections at these addresses (or, for TLS without a certificate, only keep the port for our own),
        all at one port: `port`, or another one if it is taken and need not be `exactly` that. Returns the port;
        NetworkError."""
        accept = partial(self._accept, protocol) if protocol == "tcp" or self._tls.server is not None else None
        return self._ports.listen(protocol, hosts, port, accept, exactly=exactly)

    def close(self) -> None:
        for connection in list(self._open.values()):
            self._close(connection)
        self._ports.close()

    def leave_old_addresses(self) -> None:
        """Close connections from addresses that this machine no longer has: nothing sent by them arrives, and the
        system would retransmit it for minutes."""
        for connection in list(self._open.values()):
            if not is_own_address(learned(connection.sock.getsockname())):
                self._drop(connection)
                self._hooks.on_closed(connection.address)

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, data: bytes, address: Address) -> None:
        """Send a message over the connection to `address`, which is opened if there is none."""
        connection = self._open.get(address) or self._connect(address)
        if connection is None:
            return
        if len(connection.queue) + connection.layer.waiting + len(data) > MAX_QUEUED:
            self._fail(connection, f"{_name(address)} does not read what it is sent")
            return
        connection.last_used = self._loop.now()
        self._enqueue(connection, data)

    def _enqueue(self, connection: Connection, data: bytes) -> None:
        connection.queue += connection.layer.send(data)
        if connection.connected:
            self._write(connection)

    def _connect(self, address: Address) -> Connection | None:
        self._make_room(incoming=False)
        try:
            layer: Plain | TlsLayer = Plain()
            if address.protocol == "tls":
                layer = TlsLayer(self._tls.client, self._hooks.server_name(address))
            sock = self._ports.connect(address)
        except (OSError, TypeError, ValueError) as error:
            self._report_failure(address, f"cannot reach {_name(address)}: {reason_of(error)}")
            return None
        due = self._loop.now() + CONNECT_TIMEOUT
        connection = Connection(sock, address, layer, incoming=False, due=due, connected=False)
        self._add(connection, writing=True)
        return connection

    # --- reading and writing --------------------------------------------------------------------------------------

    def _accept(self, protocol: str, listener: socket.socket) -> None:
        try:
            sock, source = listener.accept()
        except OSError:  # the peer has gone again, or no file descriptor is left
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
        timeout = HANDSHAKE_TIMEOUT if protocol == "tls" else FIRST_MESSAGE_TIMEOUT
        due = self._loop.now() + timeout
        connection = Connection(sock, address, layer, incoming=True, due=due, connected=True)
        self._add(connection, writing=False)

    def _serve(self, connection: Connection) -> None:
        """The socket can be read or written."""
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
            self._fail(connection, _explain_unreachable(connection.address, problem))
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
            self._closed_by_peer(connection)
        elif not connection.ending:
            self._with_tls(connection, lambda: self._receive_bytes(connection, connection.layer.receive(data)))

    def _with_tls(self, connection: Connection, step: Callable[[], None]) -> bool:
        """Do a step that may involve TLS and send the bytes that TLS has; False when the connection is closed."""
        try:
            step()
        except ssl.SSLError as error:
            name = self._hooks.server_name(connection.address)
            with contextlib.suppress(OSError):  # the alert that tells the peer why
                connection.sock.send(connection.layer.outgoing())
            self._fail(connection, explain_tls_error(error, name))
            return False
        if not connection.open:
            return False
        connection.queue += connection.layer.outgoing()
        if connection.ready:
            self._reschedule(connection)
        self._write(connection)
        return connection.open

    def _receive_bytes(self, connection: Connection, data: bytes) -> None:
        """Handle bytes of the stream: messages, keep-alives, or an error that ends it."""
        framer = connection.framer
        framer.feed(data)
        try:
            while connection.open and (message := framer.next_message()) is not None:
                connection.last_used, connection.unfinished_since = self._loop.now(), None
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
            connection.last_used = max(connection.last_used, self._loop.now())
        if not framer.unfinished:
            connection.unfinished_since = None
        elif connection.unfinished_since is None:
            connection.unfinished_since = self._loop.now()

    def _write(self, connection: Connection) -> None:
        """Send as much of the queue as the socket takes."""
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
        if len(connection.queue) > MAX_QUEUED:
            self._fail(connection, f"{_name(connection.address)} does not read what it is sent")
        elif connection.ending and not connection.queue:
            self._shut_down(connection)
        else:
            self._watch(connection, writing=bool(connection.queue))

    def _shut_down(self, connection: Connection) -> None:
        """Close our side only: a close with unread input resets the connection, and our last bytes would be lost."""
        self._watch(connection, writing=False)
        if not connection.shut_down:
            connection.shut_down = True
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)

    def _closed_by_peer(self, connection: Connection) -> None:
        if connection.queue or not connection.ready:
            hint = "" if connection.layer.established else ". Does it speak TLS at this port?"
            self._fail(connection, f"{_name(connection.address)} has closed the connection{hint}")
        else:
            self._close(connection)

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """When `run_timers` is due; infinity: never."""
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
            quiet = IDLE_TIMEOUT if connection.last_used > -math.inf else 0.0
            if connection.ending or now - connection.last_used >= quiet:
                self._close(connection)
            else:
                connection.due = connection.last_used + quiet
        else:
            self._keep_alive(connection, now)

    def _keep_alive(self, connection: Connection, now: float) -> None:
        """The side that opened the connection sends the keep-alives (RFC 5626 section 4.4.1)."""
        connection.due = now + self._rng.uniform(*PING_INTERVAL)
        if not connection.incoming:
            connection.framer.pong_awaited = True
            self._enqueue(connection, PING)

    def _reschedule(self, connection: Connection) -> None:
        now = self._loop.now()
        if connection.unfinished_since is not None:
            connection.due = connection.unfinished_since + MESSAGE_TIMEOUT
        elif connection.ending:
            connection.due = now + MESSAGE_TIMEOUT
        elif connection.last_used == -math.inf:
            connection.due = now + FIRST_MESSAGE_TIMEOUT
        else:
            connection.due = now + self._rng.uniform(*PING_INTERVAL)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _add(self, connection: Connection, *, writing: bool) -> None:
        self._open[connection.address] = connection
        connection.writing = writing
        self._loop.register(connection.sock, partial(self._serve, connection), writing=writing)

    def _watch(self, connection: Connection, *, writing: bool) -> None:
        if connection.writing != writing:
            connection.writing = writing
            self._loop.modify(connection.sock, partial(self._serve, connection), writing=writing)

    def _make_room(self, *, incoming: bool) -> bool:
        """Whether one more may be opened; if need be the unneeded one that was idle for longest is closed."""
        limit = self._max_incoming if incoming else MAX_OUTGOING
        alike = [connection for connection in self._open.values() if connection.incoming is incoming]
        if len(alike) < limit:
            return True
        spare = [connection for connection in alike if not self._hooks.needs(connection.address)]
        if spare:
            self._close(min(spare, key=lambda connection: connection.last_used))
        return bool(spare)

    def _fail(self, connection: Connection, reason: str) -> None:
        self._drop(connection)
        self._report_failure(connection.address, reason)

    def _report_failure(self, address: Address, reason: str) -> None:
        self._loop.call_later(0.0, partial(self._hooks.on_failed, address, reason))

    def _close(self, connection: Connection) -> None:
        """Close in good order: with what is queued and the end of TLS."""
        if not connection.open:
            return
        connection.layer.end()
        with contextlib.suppress(OSError):
            if connection.connected:
                connection.sock.send(bytes(connection.queue) + connection.layer.outgoing())
                connection.sock.recv(READ_SIZE)  # with unread input, close() would reset
        self._drop(connection)
        self._hooks.on_closed(connection.address)

    def _drop(self, connection: Connection) -> None:
        connection.open = False
        if self._open.get(connection.address) is connection:
            del self._open[connection.address]
        self._loop.unregister(connection.sock)
        connection.sock.close()


def _name(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port} by {address.protocol.upper()}"


def _explain_unreachable(address: Address, number: int) -> str:
    text = f"cannot reach {_name(address)}: {os.strerror(number)}"
    if number == errno.ECONNREFUSED:
        text += f". Is a program running there that takes {address.protocol.upper()}?"
    return text
