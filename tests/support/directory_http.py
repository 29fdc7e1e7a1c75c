"""The site of a directory over loopback, with its threads, for requests of the tests."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voip.directory.asking import Asking
from voip.directory.directory import Directory
from voip.directory.server import DirectoryServer
from voip.directory.store import Store
from voip.net.failures import Failures
from voip.net.loop import EventLoop

PATIENCE = 30.0


class Response(NamedTuple):
    """What came back; `body` is the object of JSON, or text."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Requests over one connection. `token` is brought with each."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str) -> Response:
        """One request; `headers` by names with `_` for `-`."""
        told = {"Content-Type": "application/json"} if method == "POST" else {}
        if self._token is not None:
            told["Authorization"] = f"Bearer {self._token}"
        told.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, told)
        response = self._connection.getresponse()
        text = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return Response(response.status, json.loads(text) if is_json else text.decode(), dict(response.headers))

    def get(self, path: str) -> Response:
        return self.ask("GET", path)

    def post(self, path: str, **body: object) -> Response:
        return self.ask("POST", path, body)

    def register(self, name: str, **more: object) -> str:
        """The user_id of a name."""
        response = self.post("/api/users/register", username=name, **more)
        assert response.status == 200, response
        user_id: str = response.body["user_id"]
        return user_id

    def signal(self, what: str, user_id: str, **more: object) -> Response:
        """A request of a call."""
        return self.post(f"/api/signal/{what}", message_type=what, user_id=user_id, **more)


class Site:
    """A directory in threads of its own, with a database in this folder. A context manager."""

    def __init__(self, folder: Path, *, token: str | None = None) -> None:
        self.failures = Failures(lambda level, text: None)
        self.loop = EventLoop(guard=self.failures.run)
        self._store = Store(str(folder / "voip.sqlite"), self.loop.post)
        self.directory = Directory(
            self._store, "voip", self.loop.now, time.time, random.SystemRandom(), self._store.loaded
        )
        self._server = DirectoryServer(Asking(self.directory, self.loop.post), "127.0.0.1", 0, "1.0", token=token)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self.loop.run, args=(self._ending.is_set,))

    def __enter__(self) -> Site:
        self._store.__enter__()
        self._thread.start()
        self._server.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.__exit__()
        self._store.__exit__()
        self._ending.set()
        self.loop.post(lambda: None)
        self._thread.join()
        self.loop.close()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])
