"""HTTP and WebSocket (RFC 9112, RFC 6455) for the page of a program, by aiohttp, in a thread of its own.

The thread reads snapshots and posts commands; no call waits for it, and a browser that is slow gets the newest state
when it is ready for one, not those in between. The only module of a script that imports aiohttp's server.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from importlib import resources

from aiohttp import WSCloseCode, WSMsgType, web

from voip.errors import NetworkError
from voip.report import CallRecord
from voip.web.commands import obey
from voip.web.guard import BEARER, Guard, is_loopback, offered_token
from voip.web.live import History, call_state, meters, shown
from voip.web.program import Program

STATE_INTERVAL = 0.25
"""Seconds between two states that a page gets."""
SAMPLE_INTERVAL = 1.0
"""Seconds between two samples of its charts."""
LARGEST_MESSAGE = 16_384
"""Bytes of a request, or of a message of a page: a command has some hundred."""
MOST_PAGES = 20
"""Pages that are open at a time."""
IDLE_AFTER = 10.0
"""Seconds without a request after which a connection is closed."""
PING_INTERVAL = 15.0
"""Seconds between pings that find out whether a page is still there."""
START_TIMEOUT = 10.0
"""Seconds that the server may take to open its port."""
SHUTDOWN_TIMEOUT = 1.0
"""Seconds that requests may still take when the server ends."""
TOKEN_BYTES = 24
TOO_MANY_PAGES = 503
FILES = {
    "index.html": "text/html",
    "app.js": "text/javascript",
    "chart.js": "text/javascript",
    "view.js": "text/javascript",
    "style.css": "text/css",
}
"""All that is served as a file: nothing of a path that a request names reaches the file system."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every response: nothing from elsewhere is loaded or run, and nobody may show the page in a frame."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """The page of one program. A context manager: the port is open inside, the thread has ended after it.

    `url` is what a browser opens. NetworkError from `__enter__` if the port cannot be opened.
    """

    def __init__(
        self, program: Program, host: str, port: int, *, token: str | None = None, shown_as: str | None = None
    ) -> None:
        """`host`, `port`: where to listen, port 0 for a free one; `shown_as` is the host in the URL, where another one
        is to be named. `token`: None makes one unless on loopback."""
        self._program, self._host, self._port = program, host, port
        self._shown_as = shown_as or host
        needed = not is_loopback(host)
        self._guard = Guard(token or (secrets.token_urlsafe(TOKEN_BYTES) if needed else None))
        self._history, self._sockets = History(), set[web.WebSocketResponse]()
        self._files = {name: (resources.files("voip.web") / "page" / name).read_bytes() for name in FILES}
        self._started: queue.SimpleQueue[int | OSError] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self.url = ""

    def __enter__(self) -> WebServer:
        self._thread.start()
        try:
            opened = self._started.get(timeout=START_TIMEOUT)
        except queue.Empty:
            opened = OSError("it does not start")
        if isinstance(opened, OSError):
            raise NetworkError(f"--web: port {self._port} of {self._host}: {opened.strerror or opened}")
        host = f"[{self._shown_as}]" if ":" in self._shown_as else self._shown_as
        secret = f"#{self._guard.token}" if self._guard.token is not None else ""
        self.url = f"http://{host}:{opened}/{secret}"
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_TIMEOUT)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(
            self._application(), access_log=None, keepalive_timeout=IDLE_AFTER, shutdown_timeout=SHUTDOWN_TIMEOUT
        )
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            self._started.put(error)
        else:
            self._started.put(runner.addresses[0][1])
            sampling = asyncio.create_task(self._sample())
            await self._stop.wait()
            sampling.cancel()
            for socket in list(self._sockets):
                await socket.close(code=WSCloseCode.GOING_AWAY)
        await runner.cleanup()

    async def _sample(self) -> None:
        """Once a second, whether a page is open or not: one that opens later shows the last five minutes."""
        while True:
            self._history.look(self._program.records(), time.monotonic())
            await asyncio.sleep(SAMPLE_INTERVAL)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_MESSAGE, middlewares=[self._check])
        application.router.add_get("/", self._file)
        application.router.add_get("/page/{name}", self._file)
        application.router.add_get("/live", self._live)
        application.router.add_get("/download/{name}", self._download)
        return application

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Before everything else: who asks, and how often."""
        status = self._guard.refusal(request.headers, request.remote or "", time.monotonic())
        if status is not None:
            return web.Response(status=status, headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.reason, headers=HEADERS)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name", "index.html")
        if name not in FILES:
            raise web.HTTPNotFound
        return web.Response(body=self._files[name], content_type=FILES[name], charset="utf-8")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that the program offers; the page asks for it with its token."""
        self._demand_token(request)
        offered = self._program.downloads.get(request.match_info["name"])
        found = offered() if offered is not None else None
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found.content,
            content_type=found.media_type,
            headers={"Content-Disposition": f'attachment; filename="{found.filename}"'},
        )

    def _demand_token(self, request: web.Request) -> None:
        if not self._guard.knows(offered_token(request.headers)):
            raise web.HTTPUnauthorized

    # --- a page that is open ------------------------------------------------------------------------------------------

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """States go to the page as they come, commands come from it."""
        self._demand_token(request)
        if len(self._sockets) >= MOST_PAGES:
            return web.Response(status=TOO_MANY_PAGES)
        protocols = [f"{BEARER}{self._guard.token}"] if self._guard.token is not None else []
        socket = web.WebSocketResponse(heartbeat=PING_INTERVAL, max_msg_size=LARGEST_MESSAGE, protocols=protocols)
        await socket.prepare(request)
        self._sockets.add(socket)
        feeding = asyncio.create_task(self._feed(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_json(obey(self._program.commands, message.data))
        finally:
            self._sockets.discard(socket)
            feeding.cancel()
        return socket

    async def _feed(self, socket: web.WebSocketResponse) -> None:
        program, told, sampled, before = self._program, 0, float("-inf"), dict[str, CallRecord]()
        about = {"type": "about", "program": program.name, "version": program.version, **program.about}
        await socket.send_json({**about, "commands": sorted(program.commands), "downloads": sorted(program.downloads)})
        while not socket.closed:
            now, events, samples = time.monotonic(), program.events.since(told), self._history.since(sampled)
            records = {call.call_id: call for call in shown(program.records())}
            calls = [{**call_state(call), "meters": meters(call, before.get(key))} for key, call in records.items()]
            before = records
            happened = [event for _, event in events]
            state = {"type": "state", "now": now, "calls": calls, "samples": samples, "events": happened}
            told = events[-1][0] if events else told
            sampled = max((each[-1][0] for each in samples.values()), default=sampled)
            await socket.send_json({**state, **program.state()})
            await asyncio.sleep(STATE_INTERVAL)
