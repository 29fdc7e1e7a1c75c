"""One connection of SIP over TCP or TLS (RFC 3261 section 18): its bytes, messages, keep-alives and timers."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from voip.net.captured import CapturedStream
from voip.net.loop import EventLoop
from voip.net.sockets import limit_unacknowledged
from voip.net.tls import Plain, TlsLayer, explain_tls_error
from voip.sip import Address
from voip.sip.framing import PING, PONG, StreamError, StreamFramer

READ_SIZE = 1 << 14
"""Bytes read from one connection before the others get their turn: some dozens of messages."""
MAX_QUEUED = 1 << 18
"""Bytes that may wait to be sent; beyond, the connection to a peer that does not read is closed."""
CONNECT_TIMEOUT = 8.0
"""Seconds until a connection must be up, its TLS included: three tries of TCP (RFC 6298, at 0, 1 and 3 s), and less
than a caller waits for an answer."""
UNACKNOWLEDGED_TIMEOUT = 8.0
"""Seconds until a connection is given up whose peer acknowledges nothing: after an outage the system would be slow to
send again what it has queued, and bring requests that were given up long ago. The next request opens another."""
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
    certificate of a peer has to be for; `may_call`: whether this host has a reason to connect more than once."""

    on_message: Callable[[bytes, Address], None]
    on_failed: Callable[[Address, str], None]
    on_closed: Callable[[Address], None]
    needs: Callable[[Address], bool]
    server_name: Callable[[Address], str]
    may_call: Callable[[str], bool] = lambda host: True


class Connection:
    """One connection, from connecting or being accepted to its end; registered with the loop."""

    def __init__(
        self,
        loop: EventLoop,
        hooks: Hooks,
        sock: socket.socket,
        address: Address,
        layer: Plain | TlsLayer,
        *,
        incoming: bool,
        on_dropped: Callable[[Connection], None],
        captured: CapturedStream | None = None,
    ) -> None:
        """`incoming`: the peer has opened it; otherwise it is still connecting. `on_dropped` forgets it. `captured`
        notes its messages."""
        self._loop, self._hooks, self._on_dropped = loop, hooks, on_dropped
        self.sock, self.address, self._layer, self.incoming = sock, address, layer, incoming
        self._connected = incoming
        if incoming:
            limit_unacknowledged(sock, UNACKNOWLEDGED_TIMEOUT)
        self.open = True
        self._ending = False
        """Input is ignored; the connection is closed once the queue is empty and the peer has closed its side."""
        self._is_shut_down = False
        """We have closed our side."""
        self._framer, self._captured = StreamFramer(), captured
        self.queue = bytearray()
        self.last_used = -math.inf
        """When the last whole message was sent or received."""
        self._unfinished_since: float | None = None
        timeout = CONNECT_TIMEOUT
        if incoming:
            timeout = HANDSHAKE_TIMEOUT if address.protocol == "tls" else FIRST_MESSAGE_TIMEOUT
        self.due = loop.now() + timeout
        """When its next timer expires."""
        self._rng = random.Random()
        self._writing = not incoming
        loop.register(sock, self._serve, writing=self._writing)

    @property
    def ready(self) -> bool:
        return self._connected and self._layer.established

    def send(self, message: bytes) -> None:
        """Send a message, as soon as the connection is up. A peer that does not read is given up."""
        if len(self.queue) + self._layer.waiting + len(message) > MAX_QUEUED:
            self._fail(f"{name_of(self.address)} does not read the data sent to it")
            return
        self.last_used = self._loop.now()
        if self._captured is not None:
            self._captured.send(message)
        self._enqueue(message)

    def run_timer(self, now: float) -> None:
        """Called when `due` is reached."""
        with self._ended_by_failure():
            self._run_timer(now)

    def _run_timer(self, now: float) -> None:
        name = name_of(self.address)
        if not self.ready:
            self._fail(f"cannot reach {name}: no connection within {CONNECT_TIMEOUT:g} s")
        elif self._unfinished_since is not None and now - self._unfinished_since >= MESSAGE_TIMEOUT:
            self._fail(f"{name} left a message incomplete")
        elif self._ending or not self._hooks.needs(self.address):
            quiet = IDLE_TIMEOUT if self.last_used > -math.inf else 0.0
            if self._ending or now - self.last_used >= quiet:
                self.close()
            else:
                self.due = self.last_used + quiet
        else:
            self._keep_alive(now)

    def close(self) -> None:
        """Close in good order: with what is queued and the end of TLS."""
        if not self.open:
            return
        self._layer.end()
        with contextlib.suppress(OSError):
            if self._connected:
                self.sock.send(bytes(self.queue) + self._layer.outgoing())
                self.sock.recv(READ_SIZE)  # with unread input, close() would reset
        self.drop()
        self._hooks.on_closed(self.address)

    def drop(self) -> None:
        """Close at once."""
        self.open = False
        self._on_dropped(self)
        self._loop.unregister(self.sock)
        self.sock.close()

    # --- reading and writing --------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """The socket can be read or written."""
        if not self.open:
            return
        with self._ended_by_failure():
            if not self._connected and not self._finish_connecting():
                return
            self._write()
            if self.open:
                self._read()

    @contextlib.contextmanager
    def _ended_by_failure(self) -> Iterator[None]:
        """A bug of ours costs this connection, whose state is uncertain now, and none but this."""
        try:
            yield
        except Exception:
            if self.open:
                self._fail(f"the connection to {name_of(self.address)} was given up")
            raise

    def _finish_connecting(self) -> bool:
        problem = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._fail(_explain_unreachable(self.address, problem))
            return False
        try:
            self.sock.getpeername()
        except OSError:
            return False  # not yet
        self._connected = True
        limit_unacknowledged(self.sock, UNACKNOWLEDGED_TIMEOUT)
        return self._with_tls(self._layer.begin)

    def _read(self) -> None:
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"the connection to {name_of(self.address)} broke: {error.strerror}")
            return
        if not data:
            self._closed_by_peer()
        elif not self._ending:
            self._with_tls(lambda: self._receive_bytes(self._layer.receive(data)))

    def _with_tls(self, step: Callable[[], None]) -> bool:
        """Do a step that may involve TLS and send the bytes that TLS has; False when the connection is closed."""
        try:
            step()
        except ssl.SSLError as error:
            name = self._hooks.server_name(self.address)
            with contextlib.suppress(OSError):  # the alert that tells the peer why
                self.sock.send(self._layer.outgoing())
            self._fail(explain_tls_error(error, name))
            return False
        if not self.open:
            return False
        self.queue += self._layer.outgoing()
        if self.ready:
            self._note_ready()
            self._reschedule()
        self._write()
        return self.open

    def _receive_bytes(self, data: bytes) -> None:
        """Handle bytes of the stream: messages, keep-alives, or an error that ends it."""
        framer = self._framer
        framer.feed(data)
        try:
            while self.open and (message := framer.next_message()) is not None:
                self.last_used, self._unfinished_since = self._loop.now(), None
                self._pass_on(message)
        except StreamError as error:
            if error.head and self.open:
                self._pass_on(error.head)
            self._ending = True
        if not self.open:
            return
        if pongs := framer.take_pongs_owed():
            self.queue += self._layer.send(PONG * pongs)
            self.last_used = max(self.last_used, self._loop.now())
        if not framer.unfinished:
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = self._loop.now()

    def _pass_on(self, message: bytes) -> None:
        if self._captured is not None:
            self._captured.receive(message)
        self._hooks.on_message(message, self.address)

    def _note_ready(self) -> None:
        if self._captured is not None:
            self._captured.open()

    def _enqueue(self, data: bytes) -> None:
        self.queue += self._layer.send(data)
        if self._connected:
            self._write()

    def _write(self) -> None:
        """Send as much of the queue as the socket takes."""
        if not self.open or not self._connected:
            return
        while self.queue:
            try:
                sent = self.sock.send(self.queue)
            except BlockingIOError:
                break
            except OSError as error:
                self._fail(f"the connection to {name_of(self.address)} broke: {error.strerror}")
                return
            del self.queue[:sent]
        if len(self.queue) > MAX_QUEUED:
            self._fail(f"{name_of(self.address)} does not read the data sent to it")
        elif self._ending and not self.queue:
            self._shut_down()
        else:
            self._watch(writing=bool(self.queue))

    def _fail(self, reason: str) -> None:
        """Close at once, and report why from the event loop."""
        self.drop()
        self._loop.call_later(0.0, partial(self._hooks.on_failed, self.address, reason))

    def _shut_down(self) -> None:
        """Close our side only: a close with unread input resets the connection, and our last bytes would be lost."""
        self._watch(writing=False)
        if not self._is_shut_down:
            self._is_shut_down = True
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def _closed_by_peer(self) -> None:
        if self.queue or not self.ready:
            hint = "" if self._layer.established else ". Does it use TLS on this port?"
            self._fail(f"{name_of(self.address)} has closed the connection{hint}")
        else:
            self.close()

    # --- timers ---------------------------------------------------------------------------------------------------

    def _keep_alive(self, now: float) -> None:
        """The side that opened the connection sends the keep-alives (RFC 5626 section 4.4.1)."""
        self.due = now + self._rng.uniform(*PING_INTERVAL)
        if not self.incoming:
            self._framer.await_pong()
            self._enqueue(PING)

    def _reschedule(self) -> None:
        now = self._loop.now()
        if self._unfinished_since is not None:
            self.due = self._unfinished_since + MESSAGE_TIMEOUT
        elif self._ending:
            self.due = now + MESSAGE_TIMEOUT
        elif self.last_used == -math.inf:
            self.due = now + FIRST_MESSAGE_TIMEOUT
        else:
            self.due = now + self._rng.uniform(*PING_INTERVAL)

    def _watch(self, *, writing: bool) -> None:
        if self._writing != writing:
            self._writing = writing
            self._loop.modify(self.sock, self._serve, writing=writing)


def name_of(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port} by {address.protocol.upper()}"


def _explain_unreachable(address: Address, number: int) -> str:
    text = f"cannot reach {name_of(address)}: {os.strerror(number)}"
    if number == errno.ECONNREFUSED:
        text += f". Does a program there accept {address.protocol.upper()}?"
    return text
