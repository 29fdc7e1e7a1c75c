"""The site of the directory: its API, its page and its WebSockets over HTTP (RFC 9112), by aiohttp, in a thread of its
own that owns nothing."""

from __future__ import annotations

import asyncio
import html
import json
import queue
import ssl
import threading
import time

from aiohttp import web

from voip.directory.api import LENIENT, Api, Asked, error_object
from voip.directory.asking import Asking
from voip.directory.endpoints import ENDPOINTS, JSON, Endpoint, document, read_fields, read_query
from voip.directory.refusals import BadRequest, Refusal
from voip.directory.sockets import add_sockets
from voip.errors import NetworkError
from voip.web.guard import Guard, is_loopback, offered_token
from voip.web.idle import Idle
from voip.web.listener import Listener, noting
from voip.web.site import HEADERS, Files, Handler

LARGEST_BODY = 65_536
"""Bytes: an offer of 32768 characters, and what is around it."""
DEEPEST = 32
"""Brackets within brackets of a body."""
IDLE_AFTER = 10.0
"""Seconds without a request after which a connection is closed, and that a request may take to arrive."""
REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 2000.0, 4000.0
"""Of one address, behind which may be a thousand programs."""
START_TIMEOUT = 10.0
SHUTDOWN_TIMEOUT = 1.0
"""Seconds that opening the port, and the end, may take."""
FILES = ("index.html", "directory.js", "directory.css")
"""All that is served as a file."""
OPEN_PATHS = ("/", "/page/directory.js", "/page/directory.css")
"""What a browser loads before it can show the token: it holds nothing of the directory."""


class DirectoryServer:
    """The site. A context manager: the port is open inside, the thread has ended after it. `url` is what programs and
    browsers are given, without the token. NetworkError from `__enter__` if the port cannot be opened."""

    def __init__(
        self,
        asking: Asking,
        host: str,
        port: int,
        version: str,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        shown_as: str | None = None,
    ) -> None:
        """`token`: what each request must bring; None, on loopback alone: nothing."""
        assert token is not None or is_loopback(host)
        self._asking, self._api, self._host, self._port = asking, Api(asking), host, port
        self._shown_as, self._tls = shown_as or host, tls
        self._scheme = "http" if tls is None else "https"
        self._guard = Guard(token, REQUESTS_A_SECOND, REQUESTS_AT_ONCE, self._scheme)
        self._document = document(version)
        self._files = Files("voip.directory", "page", FILES)
        self._idle = Idle(IDLE_AFTER)
        self._started: queue.SimpleQueue[int | OSError] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self.url = ""

    def __enter__(self) -> DirectoryServer:
        self._thread.start()
        try:
            opened = self._started.get(timeout=START_TIMEOUT)
        except queue.Empty:
            opened = OSError("it does not start")
        if isinstance(opened, OSError):
            raise NetworkError(f"--http: port {self._port} of {self._host}: {opened.strerror or opened}")
        host = f"[{self._shown_as}]" if ":" in self._shown_as else self._shown_as
        self.url = f"{self._scheme}://{host}:{opened}"
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
        listener = Listener(self._host, self._port, self._idle, self._tls)
        try:
            port = await listener.open()
        except OSError as error:
            self._started.put(error)
        else:
            self._started.put(port)
            serving = asyncio.create_task(listener.serve(runner))
            await self._stop.wait()
            serving.cancel()
        await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_BODY, middlewares=[noting(self._idle), self._check])
        router = application.router
        router.add_get("/", self._files.serve)
        router.add_get("/page/{name}", self._files.serve)
        router.add_get("/api/openapi.json", self._openapi)
        router.add_get("/api/docs", self._docs)
        for endpoint in ENDPOINTS:
            router.add_route(endpoint.method, endpoint.path, self._serving(endpoint))
        add_sockets(application, self._asking, self._idle)
        return application

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Before everything else that responds: who asks, and how often."""
        status = self._guard.refusal(request.headers, request.remote or "", time.monotonic())
        if status is None and not self._is_open(request) and not self._guard.knows(offered_token(request.headers)):
            status = 401
        if status is not None:
            response: web.StreamResponse = _refused(request, status)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = _refused(request, error.status, error)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    @staticmethod
    def _is_open(request: web.Request) -> bool:
        """Whether it is one of the files that a browser loads without a token; an Upgrade of the same path is not."""
        return request.path in OPEN_PATHS and "Upgrade" not in request.headers

    # --- pages --------------------------------------------------------------------------------------------------------

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._document)

    async def _docs(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=docs_page(), content_type="text/html", charset="utf-8")

    # --- the API ------------------------------------------------------------------------------------------------------

    def _serving(self, endpoint: Endpoint) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            compat = request.query.get("compat", "") == "1"
            try:
                asked = await _read(request, endpoint, compat)
                return web.json_response(await self._api.serve(endpoint, asked))
            except BadRequest as refusal:
                if compat:
                    return web.Response(status=refusal.status, text=str(refusal))
                return _error(request, refusal.status, str(refusal))
            except Refusal as refusal:
                return _error(request, refusal.status, str(refusal))

        return serve


async def _read(request: web.Request, endpoint: Endpoint, compat: bool) -> Asked:
    """The fields of a request. BadRequest; HTTPException for a body that is too large, too late, or no JSON."""
    if endpoint.method != "POST":
        return Asked(read_query(endpoint, request.query, frozenset()), compat, request.remote)
    if request.content_type != JSON:
        raise web.HTTPUnsupportedMediaType
    try:
        body = await asyncio.wait_for(request.read(), IDLE_AFTER)
    except asyncio.TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(given, dict):
        raise BadRequest("the body is not an object")
    return Asked(read_fields(endpoint, given, LENIENT if compat else frozenset()), compat, request.remote)


def _error(request: web.Request, status: int, text: str) -> web.Response:
    return web.json_response(error_object(request.path, text), status=status)


def _refused(request: web.Request, status: int, error: web.HTTPException | None = None) -> web.Response:
    """What HTTP itself refuses."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if error is not None and "Allow" in error.headers:
        headers["Allow"] = error.headers["Allow"]
    text = HTTP_REASONS.get(status) or (error.reason if error is not None else "")
    if request.path.startswith("/api/"):
        return web.json_response(error_object(request.path, text), status=status, headers=headers)
    return web.Response(status=status, text=text, headers=headers)


HTTP_REASONS = {
    401: "The token is missing or wrong",
    403: "This page is not from here",
    404: "There is no such path",
    413: f"A body has {LARGEST_BODY} bytes at most",
    415: "A body is application/json",
    421: "Host is not the name of this directory",
    429: "Too many requests",
}


def docs_page() -> str:
    """The API as a page for people."""
    parts = []
    for endpoint in ENDPOINTS:
        rows = "".join(
            f"<tr><td><code>{html.escape(field.name)}</code></td><td>{'' if field.required else 'optional'}</td>"
            f"<td>{html.escape(field.about)}</td></tr>"
            for field in endpoint.fields
        )
        gives = ", ".join(f"<code>{html.escape(name)}</code>" for name in endpoint.gives)
        parts.append(
            f"<section><h2><code>{endpoint.method} {html.escape(endpoint.path)}</code></h2>"
            f"<p>{html.escape(endpoint.about)}</p><table>{rows}</table><p>Gives {gives}.</p></section>"
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>API of the directory</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/page/directory.css"></head>'
        "<body><header><h1>API of the directory</h1></header><main><p>As a document: "
        f'<a href="/api/openapi.json">openapi.json</a>.</p>{"".join(parts)}</main></body></html>'
    )
