"""The directory as a script reaches it: by requests (RFC 9110), and a WebSocket that stays open (RFC 6455), by aiohttp.

The only module that imports aiohttp's client. Its thread owns nothing: it reads records, and posts what the directory
asks for to the thread that owns it. A directory that is gone, or restarted, ends nothing: it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import random
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import aiohttp

from voip.errors import Stopped
from voip.printable import one_line
from voip.report import CallRecord
from voip.web.commands import obey
from voip.web.guard import Bucket
from voip.web.linked import (
    NO_DIRECTORY,
    DirectoryError,
    Listed,
    Pauses,
    Refused,
    Replaced,
    UnknownName,
    WrongToken,
    calls_told,
    read_list,
    read_listed,
)
from voip.web.program import Command

REQUEST_TIMEOUT = 5.0
"""Seconds that a response may take."""
LARGEST_RESPONSE, LARGEST_LIST = 65_536, 4_194_304
"""Bytes of a response: a user and its contacts are some hundred, and ten thousand users may be listed."""
PART = 65_536
"""Bytes of a response that are read at a time."""
LARGEST_MESSAGE = 16_384
"""Bytes of a command."""
LONGEST_REASON = 200
"""Characters of an error that the directory tells."""
BEAT = 4.0
"""Seconds between pings: a link whose other side is gone is given up before the directory takes us for gone."""
LOOK_INTERVAL = 0.25
"""Seconds between looks at our calls."""
CONTACTS_INTERVAL = 5.0
"""Seconds between looks at our addresses."""
GOODBYE_TIME = 2.0
"""Seconds that the end of the link may take at the end of the program."""
STEP = 0.05
"""Seconds between looks whether a lookup has ended, or the program is to."""
UNAUTHORIZED, NOT_FOUND = 401, 404
PASSWORD_HEADER = "X-Directory-Password"
"""Of the request for a link: the password of the name, percent-encoded."""
REPLACED = 4001
"""Close code of a link in whose place there is another of the same user."""

Answer = TypeVar("Answer")
Security = ssl.SSLContext | bool
"""Of https: what the certificate of the directory is verified by; True: the authorities of the system."""


class News(NamedTuple):
    """The link is there, with the number of the user; or it is not, and why. `refused`: the directory does not want it,
    which only a person can change."""

    user_id: str | None
    reason: str = ""
    refused: bool = False

    @property
    def state(self) -> tuple[bool, bool]:
        """What a person is told of when it changes: while a directory is gone, each try may fail in another way."""
        return self.user_id is not None, self.refused


class Registration(NamedTuple):
    """What we are known as; `room`: we are a conference; `password`: what shows that the name is ours."""

    name: str
    room: bool = False
    password: str | None = None

    def told(self, contacts: Sequence[str]) -> dict[str, object]:
        """As the directory is told, with where we can be called."""
        found: dict[str, object] = {"username": self.name, "contacts": list(contacts), "room": self.room}
        return found if self.password is None else {**found, "password": self.password}


class Client:
    """Requests of one session to a directory. DirectoryError, in one line, for whatever goes wrong."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None, security: Security) -> None:
        self._session, self._url, self._security = session, url, security
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def find(self, name: str) -> Listed:
        """Where a user is."""
        return read_listed(await self._ask("GET", "/api/users/find", name=name), name)

    async def list_users(self) -> list[Listed]:
        """All users that are there."""
        return read_list(await self._ask("GET", "/api/users/list", most=LARGEST_LIST))

    async def register(self, registration: Registration, contacts: Sequence[str]) -> str:
        """Become known, at these SIP addresses; the number of the user."""
        told = await self._ask("POST", "/api/users/register", registration.told(contacts))
        user_id = told.get("user_id")
        if not isinstance(user_id, str):
            raise DirectoryError(NO_DIRECTORY)
        return user_id

    async def disconnect(self, user_id: str) -> None:
        """Be known as gone."""
        await self._ask("POST", "/api/users/disconnect", {"user_id": user_id})

    async def open(self, user_id: str, password: str | None) -> aiohttp.ClientWebSocketResponse[bool]:
        """The link of this user."""
        secret = {} if password is None else {PASSWORD_HEADER: quote(password, safe="")}

        async def connect() -> aiohttp.ClientWebSocketResponse[bool]:
            return await self._session.ws_connect(
                f"{self._url}/agent",
                params={"user_id": user_id},
                headers=self._headers | secret,
                ssl=self._security,
                heartbeat=BEAT,
                max_msg_size=LARGEST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )

        try:
            return await asyncio.wait_for(connect(), REQUEST_TIMEOUT)
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(error.status, "") from error
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise DirectoryError(explain(error)) from error

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        most: int = LARGEST_RESPONSE,
        **query: str,
    ) -> Mapping[str, Any]:
        try:
            async with self._session.request(
                method,
                self._url + path,
                json=body,
                params=query,
                headers=self._headers,
                ssl=self._security,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            ) as response:
                raw = await _read(response.content, most)
                status = response.status
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise DirectoryError(explain(error)) from error
        told = _parse(raw)
        if not 200 <= status < 300:
            raise _refusal(status, str(told.get("error", "")))
        return told


async def _read(content: aiohttp.StreamReader, most: int) -> bytes:
    """All of a response. DirectoryError for one that is larger than any of a directory."""
    found = bytearray()
    while part := await content.read(PART):
        found += part
        if len(found) > most:
            raise DirectoryError(NO_DIRECTORY)
    return bytes(found)


def _parse(raw: bytes) -> Mapping[str, Any]:
    """The object of a response; an empty one for anything else."""
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _refusal(status: int, reason: str) -> DirectoryError:
    if status == UNAUTHORIZED:
        return WrongToken("it wants a token, or another one (--directory-token-file)")
    text = one_line(reason[:LONGEST_REASON]) or f"HTTP status {status}"
    return UnknownName(text) if status == NOT_FOUND and reason else Refused(f"it refuses: {text}")


def explain(error: Exception) -> str:
    """Why there is no response, in one line."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {getattr(error.certificate_error, 'verify_message', '') or error}"
    if isinstance(error, asyncio.TimeoutError):
        return f"no response within {REQUEST_TIMEOUT:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return NO_DIRECTORY
    return one_line(str(error))[:LONGEST_REASON] or type(error).__name__


# --- one question ---------------------------------------------------------------------------------------------------


def find(url: str, token: str | None, name: str, *, security: Security, pause: Callable[[float], bool]) -> Listed:
    """Ask for a name, in a thread of its own. `pause(seconds)` waits; True: the program is to end.

    Stopped then; UnknownName, WrongToken; DirectoryError for a directory that does not answer.
    """
    return _answer(url, token, lambda client: client.find(name), security, pause)


def list_users(url: str, token: str | None, *, security: Security, pause: Callable[[float], bool]) -> list[Listed]:
    """The same for all users that are there."""
    return _answer(url, token, Client.list_users, security, pause)


def _answer(
    url: str,
    token: str | None,
    question: Callable[[Client], Awaitable[Answer]],
    security: Security,
    pause: Callable[[float], bool],
) -> Answer:
    found: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    async def ask() -> Answer:
        async with aiohttp.ClientSession() as session:
            return await question(Client(session, url, token, security))

    def run() -> None:
        try:
            found.put(asyncio.run(ask()))
        except Exception as error:  # raised on the thread that waits
            found.put(error)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    while found.empty():
        if pause(STEP):
            raise Stopped("while looking for a name")
    result = found.get()
    if isinstance(result, Exception):
        raise result
    return result


# --- the link -------------------------------------------------------------------------------------------------------


class Link:
    """Makes us known and callable, while the block of this context manager runs, by a thread of its own."""

    def __init__(
        self,
        url: str,
        token: str | None,
        registration: Registration,
        *,
        security: Security,
        contacts: Callable[[], Sequence[str]],
        commands: Mapping[str, Command],
        records: Callable[[], Sequence[CallRecord]],
        on_news: Callable[[News], object],
        rng: random.Random | None = None,
    ) -> None:
        """`contacts` and `records` are asked, and `on_news` is called, on our thread; news come once, not with each
        try."""
        self._url, self._token, self._security, self._registration = url, token, security, registration
        self._contacts, self._commands, self._records, self._on_news = contacts, commands, records, on_news
        self._pauses, self._bucket = Pauses(rng or random.SystemRandom()), Bucket()
        self._told: News | None = None
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="directory", daemon=True)

    def __enter__(self) -> Link:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(GOODBYE_TIME)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keep())
        finally:
            self._loop.close()

    async def _keep(self) -> None:
        """Until the end: a link, and another one when it is lost."""
        async with aiohttp.ClientSession() as session:
            client = Client(session, self._url, self._token, self._security)
            while not self._stop.is_set():
                try:
                    await self._hold(client)
                except Replaced as error:  # the two would take it from each other for ever
                    self._tell(News(None, str(error), refused=True))
                    return
                except DirectoryError as error:
                    self._tell(News(None, str(error), isinstance(error, Refused)))
                await self._stops_within(self._pauses.next())

    async def _connect(
        self, client: Client, contacts: Sequence[str]
    ) -> tuple[str, aiohttp.ClientWebSocketResponse[bool]]:
        user_id = await client.register(self._registration, contacts)
        return user_id, await client.open(user_id, self._registration.password)

    async def _hold(self, client: Client) -> None:
        """One link, to its end."""
        contacts = list(self._contacts())
        connecting = asyncio.ensure_future(self._connect(client, contacts))
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([connecting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            return
        user_id, socket = connecting.result()
        self._pauses.reset()
        self._tell(News(user_id))
        tasks = [
            asyncio.ensure_future(each)
            for each in (
                self._obey(socket),
                self._tell_calls(socket),
                self._watch_contacts(client, contacts),
                self._stop.wait(),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()
        failed = next((each for each in ended if isinstance(each, Exception)), None)
        if socket.close_code == REPLACED:
            raise Replaced("another program has taken this name")
        if self._stop.is_set():
            with contextlib.suppress(DirectoryError):
                await asyncio.wait_for(client.disconnect(user_id), GOODBYE_TIME / 2)
        elif isinstance(failed, DirectoryError):
            raise failed
        else:
            raise DirectoryError("the connection has ended" if failed is None else explain(failed))

    async def _obey(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            if self._bucket.take(time.monotonic()):
                await socket.send_json(obey(self._commands, message.data))
            else:
                await socket.send_json({"type": "done", "number": None, "error": "too many commands"})

    async def _tell_calls(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        told: list[dict[str, str]] | None = None
        while True:
            calls = calls_told(self._records())
            if calls != told:
                told = calls
                await socket.send_json({"type": "calls", "calls": calls})
            await asyncio.sleep(LOOK_INTERVAL)

    async def _watch_contacts(self, client: Client, contacts: Sequence[str]) -> None:
        """Another address of ours is told; the link itself ends by itself if it went over the old one."""
        while True:
            await asyncio.sleep(CONTACTS_INTERVAL)
            current = list(self._contacts())
            if current != contacts:
                contacts = current
                await client.register(self._registration, contacts)

    def _tell(self, news: News) -> None:
        if self._told is None or news.state != self._told.state:
            self._told = news
            self._on_news(news)

    async def _stops_within(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
