"""What every site of this program is served with: its headers, its few files, and who may ask.

Nothing of a path that a request names reaches the file system: the files are read once, when the site is made.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

from aiohttp import web
from aiohttp.typedefs import Middleware

from voip.web.guard import Guard, offered_token

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every response: nothing from elsewhere is loaded or run, and the page cannot be shown in a frame."""
MEDIA_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "json": "application/json"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Files:
    """The files of a folder of this package, by name. KeyError and OSError for those that are not in the package."""

    def __init__(self, package: str, folder: str, names: tuple[str, ...]) -> None:
        place = resources.files(package) / folder
        self._content = {name: (place / name).read_bytes() for name in names}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The file that the path names as `{name}`, index.html without one; 404 for any other."""
        name = request.match_info.get("name", "index.html")
        if name not in self._content:
            raise web.HTTPNotFound
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        return web.Response(body=self._content[name], content_type=media_type, charset="utf-8")


def guarded(guard: Guard) -> Middleware:
    """The middleware before everything else: who asks, and how often; HEADERS with every response."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = guard.refusal(request.headers, request.remote or "", time.monotonic())
        if status is not None:
            return web.Response(status=status, headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.reason, headers=HEADERS)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return check


def demand_token(guard: Guard, headers: Mapping[str, str]) -> None:
    """HTTPUnauthorized unless a request brings the token that the guard wants."""
    if not guard.knows(offered_token(headers)):
        raise web.HTTPUnauthorized
