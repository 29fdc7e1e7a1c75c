"""A directory with its sockets, and of its HTTP API the few requests that a script makes; nothing is kept on a disk.

The database has stored what it gets at once, and the network thread of the directory is that of the web.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from voip.directory.asking import Asking
from voip.directory.directory import Directory, Listed, Registration
from voip.directory.persistence import Durable, Saved
from voip.directory.refusals import Refusal
from voip.directory.sockets import add_sockets
from voip.web.guard import offered_token
from voip.web.idle import Idle


class StoredAtOnce:
    """A database that never fails."""

    def write(self, changes: Sequence[Saved], durable: Durable) -> None:
        durable(None)


class DirectorySite:
    """A context manager; `url` is where it is. `forget` ends it as a crash would: another one begins at its port."""

    def __init__(self, *, token: str | None = None, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.directory = Directory(StoredAtOnce(), "voip", time.monotonic, time.time, random.Random(1))
        self.requests: list[str] = []
        self.port = port
        self._token, self._tls = token, tls
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> DirectorySite:
        self._thread.start()
        assert self._started.wait(30.0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30.0)

    def ask(self, function: Callable[[], Any]) -> Any:  # noqa: ANN401
        """What it returns on the network thread."""

        async def run() -> Any:  # noqa: ANN401
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30.0)

    def user_id(self, name: str) -> str:
        """Of the user of this name."""
        user = self.ask(lambda: self.directory.users.named(name))
        assert user is not None
        return str(user.id)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        asking = Asking(self.directory, self._loop.call_soon)
        application = web.Application(middlewares=[self._check])
        application.router.add_post("/api/users/register", self._register)
        application.router.add_post("/api/users/disconnect", self._disconnect)
        application.router.add_get("/api/users/find", self._find)
        application.router.add_get("/api/users/list", self._list)
        application.router.add_get("/", self._page)
        add_sockets(application, asking, Idle(patience=10.0))
        self._asking = asking
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True).start()
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        self.requests.append(f"{request.method} {request.path}")
        if self._token is not None and offered_token(request.headers) != self._token:
            return web.json_response({"error": "a token is needed"}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
        except Refusal as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="the page")

    async def _register(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        registration = Registration(
            asked["username"], asked["contacts"], asked.get("password"), room=asked["room"], address=request.remote
        )
        user = await self._asking.done(self.directory.register, registration)
        return web.json_response({"user_id": user.id, "username": user.name})

    async def _disconnect(self, request: web.Request) -> web.StreamResponse:
        await self._asking.done(self.directory.disconnect, (await request.json())["user_id"])
        return web.json_response({"success": True})

    async def _find(self, request: web.Request) -> web.StreamResponse:
        user = self.directory.users.named(request.query.get("name", ""))
        if user is None:
            return web.json_response({"error": "User not found"}, status=404)
        return web.json_response(_told(self.directory.listed(user)))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"users": [_told(user) for user in self.directory.list_users()]})


def _told(user: Listed) -> dict[str, object]:
    return {"user_id": user.id, "username": user.name, "status": user.status, "contacts": list(user.contacts)}
