"""The port of a site: it accepts connections, and has an eye on those that ask nothing (`idle.py`).

aiohttp's own site closes what is idle in time, too, but however many there are, and says nothing of a connection
before its first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Coroutine

from aiohttp import web
from aiohttp.typedefs import Middleware

from voip.web.idle import Idle
from voip.web.site import Handler

SWEEPS = 4
"""Looks at connections within the patience that there is with the idle ones."""
ACCEPT_AGAIN = 0.1
"""Seconds until another try where no connection can be accepted."""
BACKLOG = 1024
"""Connections that wait to be taken."""


class Listener:
    """A TCP port, port 0 for a free one. `idle` is told of each connection; `tls` is for all of them."""

    def __init__(self, host: str, port: int, idle: Idle, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._idle, self._tls = host, port, idle, tls
        self._socket: socket.socket | None = None

    async def open(self) -> int:
        """The port that it listens at from now on. OSError."""
        loop = asyncio.get_running_loop()
        family, _, _, _, address = (await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        return int(self._socket.getsockname()[1])

    async def serve(self, runner: web.AppRunner) -> None:
        """Have the runner, which is set up, serve each connection, until this is cancelled."""
        assert self._socket is not None
        assert runner.server is not None
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._accept(self._socket, runner.server)
        finally:
            sweeping.cancel()
            self._socket.close()

    async def _accept(self, listening: socket.socket, make: web.Server) -> None:
        """Each connection is known from its first moment on, before any TLS."""
        loop, opening = asyncio.get_running_loop(), set[asyncio.Task[object]]()
        patience = self._idle.patience if self._tls is not None else None
        while True:
            try:
                connected, address = await loop.sock_accept(listening)
            except OSError:  # too many files: it waits until some are closed
                await asyncio.sleep(ACCEPT_AGAIN)
                continue
            self._idle.opened(connected, str(address[0]), time.monotonic())
            task = loop.create_task(
                _open(loop.connect_accepted_socket(make, connected, ssl=self._tls, ssl_handshake_timeout=patience))
            )
            opening.add(task)
            task.add_done_callback(opening.discard)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._idle.patience / SWEEPS)
            self._idle.sweep(time.monotonic())


async def _open(connecting: Coroutine[object, object, object]) -> None:
    """One that is gone again, or fails at its handshake, is nobody's concern."""
    with contextlib.suppress(OSError, ssl.SSLError):
        await connecting


def noting(idle: Idle) -> Middleware:
    """The middleware before everything else that says which connections have a request under way."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = idle.busy(socket_number(request))
        try:
            return await handler(request)
        finally:
            idle.idle(connection, time.monotonic())

    return note


def socket_number(request: web.Request) -> int:
    """The number of the socket that a request has come over; -1 if it is closed by now."""
    found = request.transport.get_extra_info("socket") if request.transport is not None else None
    return -1 if found is None else int(found.fileno())
