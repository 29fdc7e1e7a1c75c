"""HTTP and WebSocket (RFC 9112, RFC 6455) for the page of a program, by aiohttp, in a thread of its own.

The thread reads snapshots and posts commands; no call waits for it, and a browser that is slow gets the newest state
when it is ready for one, not those in between.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from aiohttp import WSCloseCode, WSMsgType, web

from voip.errors import NetworkError
from voip.report import CallRecord
from voip.web.commands import obey
from voip.web.guard import BEARER, Guard, is_loopback
from voip.web.idle import Idle
from voip.web.listener import Listener, noting
from voip.web.live import History, call_state, meters, shown
from voip.web.program import Program
from voip.web.site import HEADERS, Files, demand_token, guarded

STATE_INTERVAL = 0.25
"""Seconds between two states that a page gets."""
SAMPLE_INTERVAL = 1.0
"""Seconds between two samples of its charts."""
LARGEST_MESSAGE = 16_384
"""Bytes of a request, or of a message of a page: a command has some hundred."""
MOST_PAGES = 20
"""Pages that are open at a time."""
IDLE_AFTER = 10.0
"""Seconds without a request after which a connection is closed. One of a page that is open has its request: there are
`MOST_PAGES` of those, and pings."""
PING_INTERVAL = 15.0
"""Seconds between pings that find out whether a page is still there."""
START_TIMEOUT = 10.0
"""Seconds that the server may take to open its port."""
SHUTDOWN_TIMEOUT = 1.0
"""Seconds that requests may still take when the server ends."""
TOKEN_BYTES = 24
TOO_MANY_PAGES = 503
NO_DOWNLOAD = "there is no such file, or not yet"
PART = 1 << 18
"""Bytes of a file that are read at once."""
FILES = ("index.html", "app.js", "chart.js", "choices.js", "view.js", "style.css")
"""All that is served as a file."""


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
        self._files, self._idle = Files("voip.web", "page", FILES), Idle(IDLE_AFTER)
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
        listener = Listener(self._host, self._port, self._idle)
        try:
            port = await listener.open()
        except OSError as error:
            self._started.put(error)
        else:
            self._started.put(port)
            tasks = [asyncio.create_task(each) for each in (listener.serve(runner), self._sample())]
            await self._stop.wait()
            for task in tasks:
                task.cancel()
            for socket in list(self._sockets):
                await socket.close(code=WSCloseCode.GOING_AWAY)
        await runner.cleanup()

    async def _sample(self) -> None:
        """Once a second, whether a page is open or not: one that opens later shows the last five minutes."""
        while True:
            self._history.look(self._program.records(), time.monotonic())
            await asyncio.sleep(SAMPLE_INTERVAL)

    def _application(self) -> web.Application:
        middlewares = [noting(self._idle), guarded(self._guard)]
        application = web.Application(client_max_size=LARGEST_MESSAGE, middlewares=middlewares)
        application.router.add_get("/", self._files.serve)
        application.router.add_get("/page/{name}", self._files.serve)
        application.router.add_get("/live", self._live)
        application.router.add_get("/download/{name}", self._download)
        return application

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that the program offers; the page asks for it with its token."""
        demand_token(self._guard, request.headers)
        offered = self._program.downloads().get(request.match_info["name"])
        if offered is None:
            return no_download()
        found = offered()
        headers = {"Content-Disposition": content_disposition(found.filename), "Content-Type": found.media_type}
        if isinstance(found.content, bytes):
            return web.Response(body=found.content, headers=headers)
        if found.length is None:
            return web.FileResponse(found.content, headers=headers)
        try:
            file = found.content.open("rb")
        except OSError:
            return no_download()
        with file:
            return await send_beginning(request, file, found.length, headers | HEADERS)

    # --- a page that is open ------------------------------------------------------------------------------------------

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """States go to the page as they come, commands come from it."""
        demand_token(self._guard, request.headers)
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
        told_state: Mapping[str, Any] = {}
        about = {"type": "about", "program": program.name, "version": program.version, **program.about}
        await socket.send_json({**about, "commands": sorted(program.commands)})
        while not socket.closed:
            now, events, samples = time.monotonic(), program.events.since(told), self._history.since(sampled)
            records = {call.call_id: call for call in shown(program.records())}
            calls = [{**call_state(call), "meters": meters(call, before.get(key))} for key, call in records.items()]
            before = records
            happened = [event for _, event in events]
            state = {"type": "state", "now": now, "calls": calls, "samples": samples, "events": happened}
            told = events[-1][0] if events else told
            sampled = max((each[-1][0] for each in samples.values()), default=sampled)
            own_state = {**program.state(), "downloads": list(program.downloads())}
            changed, told_state = {} if own_state == told_state else {"program": own_state}, own_state
            await socket.send_json({**state, **changed})
            await asyncio.sleep(STATE_INTERVAL)


def no_download() -> web.Response:
    """What is responded for a file that is not offered, or is gone."""
    return web.json_response({"error": NO_DOWNLOAD}, status=404)


async def send_beginning(
    request: web.Request, file: BinaryIO, length: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The first bytes of a file that grows."""
    response = web.StreamResponse(headers=headers)
    response.content_length = length
    await response.prepare(request)
    while length > 0 and (part := await asyncio.to_thread(file.read, min(length, PART))):
        await response.write(part)
        length -= len(part)
    return response


def content_disposition(filename: str) -> str:
    """The header that names a download, whatever is in its name (RFC 6266 section 4.3)."""
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
