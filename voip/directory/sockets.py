"""The WebSockets of the directory (RFC 6455): the links of scripts, and those of programs that call in few words.

The state of both belongs to the network thread; here are the sockets alone. A side that reads too slowly is given up
when too much waits for it: it holds nobody up, and takes no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from voip.directory.agents import LinkedAgent
from voip.directory.asking import Asking
from voip.directory.refusals import BadRequest, Forbidden, Refusal
from voip.directory.users import same_hash
from voip.directory.words import Told, Words
from voip.web.guard import BEARER, Bucket
from voip.web.idle import Idle
from voip.web.listener import socket_number

LARGEST_MESSAGE = 65_536
"""Bytes: what a script tells of a hundred calls has some ten thousand."""
BEAT = 4.0
"""Seconds between pings: a side that does not respond within half of it is gone."""
LOOK_INTERVAL = 10.0
"""Seconds between looks whether a link that is open still counts."""
MOST_UNSENT = 100
"""Messages that wait for one that reads slowly."""
LIST_INTERVAL = 0.25
"""Seconds until a list of clients is told: of a thousand that come at once each is not told to each."""
REPLACED = 4001
"""Close code of a link in whose place there is another of the same user (one for private use, section 7.4.2)."""

PASSWORD_HEADER = "X-Directory-Password"
"""Of a request for a link: the password of the user, percent-encoded."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_sockets(application: web.Application, asking: Asking, idle: Idle) -> None:
    """Add their paths to the site. Requests have passed its guard, and have brought its token. `idle` is told which are
    silent."""
    links, clients = _Links(asking, idle), _Clients(asking, idle)
    application.router.add_get("/agent", links.serve)
    application.router.add_get("/ws", clients.serve)

    @web.middleware
    async def upgrade(request: web.Request, handler: Handler) -> web.StreamResponse:
        """The old programs connect to the root, where the page is."""
        wanted = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        return await (clients.serve if wanted and request.path == "/" else handler)(request)

    async def close(application: web.Application) -> None:
        for outbox in [*links.outboxes, *clients.outboxes.values()]:
            outbox.close(WSCloseCode.GOING_AWAY)

    application.middlewares.append(upgrade)
    application.on_shutdown.append(close)


class Outbox:
    """What is sent to one socket, in order, by a task of its own. Any thread may call `put` and `close`."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request, self._socket, self._loop = request, socket, asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str | int] = asyncio.Queue()

    def put(self, message: Mapping[str, Any]) -> None:
        """Have this sent."""
        self.put_text(json.dumps(message))

    def put_text(self, text: str) -> None:
        """Have a message sent that is JSON already."""
        with contextlib.suppress(RuntimeError):  # the web thread has ended
            self._loop.call_soon_threadsafe(self._add, text)

    def close(self, code: int) -> None:
        """End the connection, once what waits is sent."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, code)

    def _add(self, text: str) -> None:
        if self._waiting.qsize() < MOST_UNSENT:
            self._waiting.put_nowait(text)
        elif self._request.transport is not None:
            self._request.transport.abort()

    async def run(self) -> None:
        """Send, until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while isinstance(item := await self._waiting.get(), str):
                await self._socket.send_str(item)
            await self._socket.close(code=item)


async def _open(request: web.Request) -> web.WebSocketResponse:
    offered = (each.strip() for each in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","))
    protocols = [each for each in offered if each.startswith(BEARER)]
    socket = web.WebSocketResponse(heartbeat=BEAT, max_msg_size=LARGEST_MESSAGE, protocols=protocols)
    await socket.prepare(request)
    return socket


async def _read(
    request: web.Request,
    socket: web.WebSocketResponse,
    outbox: Outbox,
    hear: Callable[[str], Awaitable[None]],
    idle: Idle,
) -> None:
    """Give each text to `hear`, and send what waits, until the connection ends."""
    number = socket_number(request)
    idle.idle(idle.busy(number), time.monotonic())
    writing = asyncio.create_task(outbox.run())
    try:
        async for message in socket:
            idle.busy(number)
            if message.type is WSMsgType.TEXT:
                await hear(message.data)
            elif message.type is WSMsgType.BINARY:
                outbox.put({"type": "error", "message": "Not text"})
    finally:
        writing.cancel()


def _parse(text: str) -> object:
    """BadRequest for what is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("not JSON") from None


# --- links of scripts -------------------------------------------------------------------------------------------------


class _Links:
    """A link for each script: commands go to it, and it tells of its calls. While it is open its user is there."""

    def __init__(self, asking: Asking, idle: Idle) -> None:
        self._asking, self._idle = asking, idle
        self.outboxes: set[Outbox] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /agent?user_id=..."""
        user_id = request.query.get("user_id", "")
        password = unquote(request.headers.get(PASSWORD_HEADER, ""))
        try:
            await self._asking.result(self._check, user_id, password)
        except Refusal as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)
        socket = await _open(request)
        outbox = Outbox(request, socket)
        agent = LinkedAgent(outbox.put, partial(outbox.close, REPLACED))
        self.outboxes.add(outbox)
        looking = asyncio.create_task(self._look(user_id, agent, outbox))
        try:
            await self._asking.result(self._link, user_id, agent)
            await _read(request, socket, outbox, self._hearing(user_id, agent, outbox), self._idle)
        except Refusal:  # the user is gone, or the network thread too slow: the script tries again
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        finally:
            looking.cancel()
            self.outboxes.discard(outbox)
            self._asking.post(lambda: self._unlink(user_id, agent))
        return socket

    def _hearing(self, user_id: str, agent: LinkedAgent, outbox: Outbox) -> Callable[[str], Awaitable[None]]:
        bucket, directory = Bucket(at=time.monotonic()), self._asking.directory

        def told(message: object) -> None:
            if agent.told(message):
                directory.calls_changed(user_id)

        async def hear(text: str) -> None:
            try:
                if not bucket.take(time.monotonic()):
                    raise BadRequest("too many messages")
                await self._asking.result(told, _parse(text))
            except Refusal as refusal:
                outbox.put({"type": "error", "message": str(refusal)})

        return hear

    async def _look(self, user_id: str, agent: LinkedAgent, outbox: Outbox) -> None:
        """End a link that does not count any more, though it is open: its user was told to be gone."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            with contextlib.suppress(Refusal):
                if await self._asking.result(self._asking.directory.users.agent, user_id) is not agent:
                    outbox.close(WSCloseCode.GOING_AWAY)

    # On the network thread:

    def _check(self, user_id: str, password: str) -> None:
        """The number of a user is no secret: one that has a password is linked by that alone. Unknown, Forbidden."""
        directory = self._asking.directory
        user = directory.users.get(user_id)
        if user.ha1 is not None and not same_hash(user.ha1, directory.hash_password(user.name, password)):
            raise Forbidden(f"{user.name} has a password, and this is not it")

    def _link(self, user_id: str, agent: LinkedAgent) -> None:
        before = self._asking.directory.users.agent(user_id)
        self._asking.directory.link(user_id, agent)
        if isinstance(before, LinkedAgent):
            before.give_way()

    def _unlink(self, user_id: str, agent: LinkedAgent) -> None:
        agent.lose()
        with contextlib.suppress(Refusal):
            self._asking.directory.unlink(user_id, agent)


# --- programs that call in few words ----------------------------------------------------------------------------------


class _Clients:
    """Those who request and accept calls over this connection alone."""

    def __init__(self, asking: Asking, idle: Idle) -> None:
        self._idle = idle
        self._asking, self._words = asking, Words(lambda: str(uuid.uuid4()))
        self.outboxes: dict[str, Outbox] = {}
        self._telling: asyncio.Task[None] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /ws, and / if it is an Upgrade."""
        socket = await _open(request)
        outbox = Outbox(request, socket)
        client_id = await self._asking.result(self._words.join, request.remote or "", time.monotonic())
        if client_id is None:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many clients")
            return socket
        self.outboxes[client_id] = outbox
        outbox.put({"type": "welcome", "id": client_id})
        self._tell_list_soon()

        async def hear(text: str) -> None:
            self._deliver(await self._asking.result(self._words.receive, client_id, text, time.monotonic()))

        try:
            with contextlib.suppress(Refusal):  # the network thread is too slow
                await _read(request, socket, outbox, hear, self._idle)
        finally:
            del self.outboxes[client_id]
            self._asking.post(partial(self._leave, client_id, asyncio.get_running_loop()))
        return socket

    def _leave(self, client_id: str, loop: asyncio.AbstractEventLoop) -> None:
        """On the network thread."""
        told = self._words.leave(client_id)
        with contextlib.suppress(RuntimeError):  # the web thread has ended
            loop.call_soon_threadsafe(self._deliver, told)
            loop.call_soon_threadsafe(self._tell_list_soon)

    def _deliver(self, told: list[Told]) -> None:
        for to, message in told:
            if to in self.outboxes:
                self.outboxes[to].put(message)
            if message["type"] == "registered":
                self._tell_list_soon()

    def _tell_list_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_list())

    async def _tell_list(self) -> None:
        await asyncio.sleep(LIST_INTERVAL)
        self._telling = None
        with contextlib.suppress(Refusal):
            text = json.dumps(await self._asking.result(lambda: self._words.client_list))
            for outbox in self.outboxes.values():
                outbox.put_text(text)
