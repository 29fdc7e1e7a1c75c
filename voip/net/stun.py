"""The public addresses of our UDP sockets, asked of a STUN server (RFC 8489) on the network thread.

A call waits for them for less than a second. A server that is silent is not waited for again until it answers.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from voip.errors import ProtocolError
from voip.net.names import Names
from voip.net.sockets import family_of
from voip.net.zones import sockaddr
from voip.sip import Address
from voip.stun import GIVE_UP, RESEND_AFTER, TRANSACTION_ID, binding_request, parse_answer

REFRESH = 25.0
"""Seconds between questions for the SIP sockets: some NATs forget UDP mappings after 30 s (RFC 4787 section 4.3)."""

Mapped = tuple[str, int]
Done = Callable[["list[Mapped | None]"], None]
"""Gets what was asked for, socket by socket; None where it is not known."""


class Loop(Protocol):
    """What is used of the network thread."""

    say: Callable[[int, str], None]
    """Tells the user, from this verbosity on."""

    def post(self, function: Callable[..., object], *args: object) -> None: ...

    def call_later(self, delay: float, function: Callable[[], None]) -> None: ...

    def watch(self, sock: socket.socket) -> None:
        """Read what comes to a socket that nobody reads yet."""

    def unwatch(self, sock: socket.socket) -> None: ...


class _Question:
    """Some sockets, and what is known of them so far."""

    def __init__(self, sockets: Sequence[socket.socket], done: Done) -> None:
        self.sockets, self.done = sockets, done
        self.mapped: list[Mapped | None] = [None] * len(sockets)
        self.over = False


class StunClient:
    """Asks one server, and says so when that does not help."""

    def __init__(self, loop: Loop, names: Names, host: str, port: int | None, *, rng: random.Random) -> None:
        self._loop, self._names, self._rng = loop, names, rng
        self._host, self._port = host, port
        self._servers: dict[socket.AddressFamily, tuple[str, int]] = {}
        self._found = self._silent = False
        self._sip: dict[socket.socket, Mapped] = {}
        self._open: dict[bytes, tuple[_Question, int]] = {}
        self._waiting: list[_Question] = []  # for the server's own address

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Find the server, and ask for the SIP sockets, now and ever again."""
        families = tuple(sock.family for sock in sockets)

        def found(addresses: list[Address]) -> None:
            self._loop.post(self._server_found, addresses)

        self._names.look_up_stun(self._host, self._port, families, found)
        self._refresh(sockets)

    def mapped(self, sock: socket.socket, remote_host: str) -> Mapped | None:
        """What the peer at `remote_host` is to be told of a SIP socket, None: as without STUN."""
        return self._sip.get(sock) if self._helps_towards(remote_host) else None

    def note_sip(self, sock: socket.socket, place: Mapped | None) -> None:
        """What was asked with the sockets of a call."""
        if place is not None and place != self._sip.get(sock):
            self._sip[sock] = place
            self._loop.say(0, f"seen from the STUN server our SIP address is {place[0]} port {place[1]}")

    def ask(self, sockets: Sequence[socket.socket], remote_host: str, done: Done) -> None:
        """Ask for these sockets, which are to be reached from `remote_host`."""
        if self._silent or not self._helps_towards(remote_host):
            done([None] * len(sockets))
            return
        self._ask(_Question(sockets, done))

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        """A STUN message has come; only the server's answers to our questions matter."""
        try:
            answer = parse_answer(data)
        except ProtocolError:
            return
        if source not in self._servers.values() or answer.transaction_id not in self._open:
            return
        question, index = self._open[answer.transaction_id]
        self._silent = False
        if answer.mapped is None:
            self._loop.say(0, f"the STUN server {self._host} refuses to say our address: {answer.error}")
            self._finish(question)
            return
        question.mapped[index] = answer.mapped
        if None not in question.mapped:
            self._finish(question)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _helps_towards(self, remote_host: str) -> bool:
        """A server in the public network cannot know what a peer in our private one sees."""
        server = self._servers.get(family_of(remote_host))
        if server is None:
            return not self._found
        return not ipaddress.ip_address(server[0]).is_global or ipaddress.ip_address(remote_host).is_global

    def _server_found(self, addresses: list[Address]) -> None:
        self._found = True
        for address in reversed(addresses):
            self._servers[family_of(address.host)] = (address.host, address.port)
        if not addresses:
            self._silent = True
            self._loop.say(0, f"cannot find the STUN server {self._host}: peers are told our local address")
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            self._send(question)

    def _refresh(self, sockets: Sequence[socket.socket]) -> None:
        def told(mapped: list[Mapped | None]) -> None:
            for sock, place in zip(sockets, mapped, strict=True):
                self.note_sip(sock, place)

        self._ask(_Question(sockets, told))
        self._loop.call_later(REFRESH, lambda: self._refresh(sockets))

    def _ask(self, question: _Question) -> None:
        if self._found:
            self._send(question)
        else:
            self._waiting.append(question)
        self._loop.call_later(GIVE_UP, lambda: self._give_up(question))

    def _send(self, question: _Question) -> None:
        if question.over:
            return
        for index, sock in enumerate(question.sockets):
            server = self._servers.get(sock.family)
            if server is None:
                continue
            transaction_id = self._rng.getrandbits(8 * TRANSACTION_ID).to_bytes(TRANSACTION_ID, "big")
            self._open[transaction_id] = (question, index)
            self._loop.watch(sock)
            self._send_request(transaction_id, sock, server)
            for delay in RESEND_AFTER:
                self._loop.call_later(delay, partial(self._send_request, transaction_id, sock, server))

    def _send_request(self, transaction_id: bytes, sock: socket.socket, server: tuple[str, int]) -> None:
        question, index = self._open.get(transaction_id, (None, 0))
        if question is not None and question.mapped[index] is None:
            with suppress(OSError):  # no route, or closed by now: the time-out decides
                sock.sendto(binding_request(transaction_id), sockaddr(*server, sock.family))

    def _give_up(self, question: _Question) -> None:
        asked = any(sock.family in self._servers for sock in question.sockets)
        if not question.over and asked and not any(question.mapped):
            if not self._silent:
                self._loop.say(0, f"the STUN server {self._host} does not answer: peers are told our local address")
            self._silent = True
        self._finish(question)

    def _finish(self, question: _Question) -> None:
        if question.over:
            return
        question.over = True
        self._open = {key: value for key, value in self._open.items() if value[0] is not question}
        for sock in question.sockets:
            self._loop.unwatch(sock)
        question.done(question.mapped)
