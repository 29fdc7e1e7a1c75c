"""The server of a page over loopback: what it serves, to whom, and what a page may send."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.records import received
from voip.errors import NetworkError
from voip.report import CallRecord, EventLog
from voip.web import CommandRefused, Download, Program, WebServer
from voip.web.guard import BEARER
from voip.web.server import FILES, LARGEST_MESSAGE, MOST_PAGES, NO_DOWNLOAD, PART
from voip.web.site import MEDIA_TYPES

aiohttp = pytest.importorskip("aiohttp")

TOKEN = "a-secret"
PATIENCE = 30.0
UP = replace(received(), end_reason=None)

Session = Any
Visit = Callable[[Session, str], Awaitable[Any]]


class Stage:
    """A program with one call, whose commands are noted."""

    def __init__(self) -> None:
        self.calls: list[CallRecord] = [UP]
        self.asked: list[Mapping[str, Any]] = []
        self.events = EventLog()
        self.files: dict[str, Callable[[], Download]] = {}

    def hang_up(self, asked: Mapping[str, Any]) -> None:
        if asked.get("call_id") != UP.call_id:
            raise CommandRefused("this call is over\x1b[2J")
        self.asked.append(asked)

    @property
    def program(self) -> Program:
        def downloads() -> Mapping[str, Callable[[], Download]]:
            return {"report": lambda: Download(b"{}", "report.json", "application/json"), **self.files}

        commands = {"hang-up": self.hang_up}
        return Program("receiver", "1.0", lambda: self.calls, self.events, commands, downloads, {"host": "here"})


def visit(steps: Visit, stage: Stage | None = None, *, token: str | None = None) -> Any:  # noqa: ANN401
    """What a visitor of the page gets, whatever that is."""

    async def run(url: str) -> Any:  # noqa: ANN401
        async with aiohttp.ClientSession() as session:
            return await asyncio.wait_for(steps(session, url.partition("#")[0]), PATIENCE)

    with WebServer((stage or Stage()).program, "127.0.0.1", 0, token=token) as server:
        return asyncio.run(run(server.url))


async def read(page: Any, kind: str) -> dict[str, Any]:  # noqa: ANN401
    """The next message of this type."""
    while True:
        message: dict[str, Any] = json.loads((await page.receive()).data)
        if message["type"] == kind:
            return message


def get(path: str, **headers: str) -> Visit:
    async def steps(session: Session, url: str) -> tuple[int, bytes, Mapping[str, str]]:
        async with session.get(url + path, headers=headers) as response:
            return response.status, await response.read(), dict(response.headers)

    return steps


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", *(f"page/{name}" for name in FILES)])
def test_the_page_and_its_parts_are_served_with_their_types_and_load_nothing_from_elsewhere(path: str) -> None:
    status, body, headers = visit(get(path))
    assert status == 200
    assert body
    assert headers["Content-Type"].startswith(MEDIA_TYPES[(path or "index.html").rpartition(".")[2]])
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"https://" not in body
    for maker_of_markup in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"srcdoc"):
        assert maker_of_markup not in body, "what peers and networks say becomes text alone"


@pytest.mark.parametrize(
    "path",
    [
        "page/server.py",
        "page/..%2fserver.py",
        "page/%2e%2e/server.py",
        "page//etc/passwd",
        "page/",
        "etc/passwd",
        "live.py",
    ],
)
def test_nothing_else_of_the_machine_is_served(path: str) -> None:
    status, body, headers = visit(get(path))
    assert status == 404
    assert b"import" not in body
    assert "Content-Security-Policy" in headers


def test_a_foreign_origin_and_a_foreign_host_get_nothing() -> None:
    assert visit(get("", Origin="http://evil.example"))[0] == 403
    assert visit(get("", Host="evil.example"))[0] == 421


def test_a_file_of_the_program_is_read_when_it_is_asked_for_under_a_name_that_breaks_no_header(tmp_path: Path) -> None:
    path, name = tmp_path / "x.wav", 'a "b"\r\nX: y ü.wav'
    stage = Stage()
    stage.files["recording"] = lambda: Download(path, name, "audio/wav")
    assert visit(get("download/recording"), stage)[0] == 404
    path.write_bytes(b"RIFF")
    status, body, headers = visit(get("download/recording"), stage)
    assert (status, body, headers["Content-Type"]) == (200, b"RIFF", "audio/wav")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20%22b%22%0D%0AX%3A%20y%20%C3%BC.wav"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_of_a_file_that_grows_that_much_is_sent_that_is_whole(tmp_path: Path) -> None:
    path, stage = tmp_path / "call.pcapng", Stage()
    path.write_bytes(bytes(PART) + b"whole" + b"half of a blo")
    stage.files["capture"] = lambda: Download(path, path.name, "application/octet-stream", PART + 5)
    status, body, headers = visit(get("download/capture"), stage)
    assert (status, body, headers["Content-Length"]) == (200, bytes(PART) + b"whole", str(PART + 5))
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''call.pcapng"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert visit(get("download/capture"), stage, token=TOKEN)[0] == 401
    assert visit(get("download/capture", Authorization=f"Bearer {TOKEN}"), stage, token=TOKEN)[0] == 200
    path.unlink()
    status, body, headers = visit(get("download/capture"), stage)
    assert (status, json.loads(body)) == (404, {"error": NO_DOWNLOAD})


def test_a_file_that_is_not_offered_is_told_as_an_error_in_json() -> None:
    status, body, headers = visit(get("download/capture"))
    assert (status, json.loads(body)) == (404, {"error": NO_DOWNLOAD})
    assert headers["Content-Type"].startswith("application/json")
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_what_is_of_no_call_is_told_when_it_has_changed() -> None:
    stage = Stage()

    async def steps(session: Session, url: str) -> list[Any]:
        async with session.ws_connect(url + "live") as page:
            told = [(await read(page, "state")).get("program") for _ in range(2)]
            stage.files["new"] = lambda: Download(b"", "new", "text/plain")
            while (changed := (await read(page, "state")).get("program")) is None:
                pass
            return [*told, changed]

    first, second, third = visit(steps, stage)
    assert first == {"downloads": ["report"]}
    assert second is None
    assert third == {"downloads": ["report", "new"]}


@pytest.mark.parametrize(
    ("name", "status"), [("report", 200), ("recording", 404), ("other", 404), ("..%2freport", 404)]
)
def test_downloads_are_those_that_are_offered(name: str, status: int) -> None:
    found, body, headers = visit(get(f"download/{name}"))
    assert found == status
    if status == 200:
        assert body == b"{}"
        assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''report.json"


def test_a_large_request_is_refused() -> None:
    async def steps(session: Session, url: str) -> int:
        async with session.post(url + "live", data=io.BytesIO(bytes(10_000_000))) as response:
            return int(response.status)

    assert visit(steps) in (404, 405, 413)


# --- the page that is open --------------------------------------------------------------------------------------------


def test_a_page_is_told_who_it_is_and_how_calls_go() -> None:
    stage = Stage()
    stage.events.add({"event": "answered", "text": "call from bob"})

    async def steps(session: Session, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
        async with session.ws_connect(url + "live") as page:
            return await read(page, "about"), await read(page, "state")

    about, state = visit(steps, stage)
    assert (about["program"], about["commands"], about["host"]) == ("receiver", ["hang-up"], "here")
    assert [call["call_id"] for call in state["calls"]] == [UP.call_id]
    assert state["events"] == [{"event": "answered", "text": "call from bob"}]


def test_events_and_samples_come_once() -> None:
    stage = Stage()
    stage.events.add({"event": "first"})

    async def steps(session: Session, url: str) -> list[dict[str, Any]]:
        async with session.ws_connect(url + "live") as page:
            states = [await read(page, "state")]
            stage.events.add({"event": "second"})
            return [*states, *[await read(page, "state") for _ in range(8)]]

    states = visit(steps, stage)
    assert [event["event"] for state in states for event in state["events"]] == ["first", "second"]
    samples = [tuple(at) for state in states for at in state["samples"].get(UP.call_id, [])]
    assert len({at for at, _ in samples}) == len(samples) >= 1


async def _command(session: Session, url: str, text: str) -> dict[str, Any]:
    async with session.ws_connect(url + "live") as page:
        await page.send_str(text)
        return await read(page, "done")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"do": "hang-up", "number": 7, "call_id": "a@b"}', None),
        ('{"do": "hang-up", "number": 7, "call_id": "x"}', "this call is over\\x1b[2J"),
        ('{"do": "reboot", "number": 7}', "no such command"),
        ("[]", "a command is an object"),
        ("{", "not JSON: JSONDecodeError"),
    ],
)
def test_a_command_is_done_or_refused_with_a_reason(text: str, error: str | None) -> None:
    stage = Stage()
    done = visit(lambda session, url: _command(session, url, text), stage)
    assert done["error"] == error
    assert len(stage.asked) == (error is None)


def test_brackets_within_brackets_end_nothing() -> None:
    """How many are too deep is the Python's; whether they are or not, they are refused as no JSON."""
    stage = Stage()
    done = visit(lambda session, url: _command(session, url, "[" * 5000), stage)
    assert done["error"] in ("not JSON: RecursionError", "not JSON: JSONDecodeError")
    assert stage.asked == []


def test_without_the_token_there_is_neither_state_nor_command_nor_file() -> None:
    async def steps(session: Session, url: str) -> list[int]:
        statuses = []
        for protocols in ([], [f"{BEARER}guess"]):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url + "live", protocols=protocols)
            statuses.append(refused.value.status)
        async with session.get(url + "download/report") as response:
            statuses.append(response.status)
        async with session.ws_connect(url + "live", protocols=[f"{BEARER}{TOKEN}"]) as page:
            assert await read(page, "state")
        async with session.get(url + "download/report", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
            statuses.append(response.status)
        return statuses

    assert visit(steps, token=TOKEN) == [401, 401, 401, 200]


def test_a_page_that_says_too_much_is_closed_and_the_others_stay() -> None:
    async def steps(session: Session, url: str) -> tuple[int | None, dict[str, Any]]:
        async with session.ws_connect(url + "live") as other, session.ws_connect(url + "live") as page:
            await page.send_str("x" * (LARGEST_MESSAGE + 1))
            while not page.closed:
                await page.receive()
            return page.close_code, await read(other, "state")

    code, state = visit(steps)
    assert code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert state["calls"]


def test_pages_beyond_the_limit_are_refused() -> None:
    async def steps(session: Session, url: str) -> int:
        pages = [await session.ws_connect(url + "live") for _ in range(MOST_PAGES)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url + "live")
        for page in pages:
            await page.close()
        return int(refused.value.status)

    assert visit(steps) == 503


# --- the port ---------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NetworkError, match=f"--web: port {port} of 127.0.0.1: "):
            WebServer(Stage().program, "127.0.0.1", port).__enter__()


def test_on_other_addresses_than_loopback_the_url_has_a_token_that_the_server_never_sees() -> None:
    with WebServer(Stage().program, "0.0.0.0", 0, shown_as="192.0.2.7") as server:
        url, _, token = server.url.partition("#")
    assert url.startswith("http://192.0.2.7:")
    assert len(token) >= 24


def test_a_server_ends_while_pages_are_open() -> None:
    stage = Stage()
    server = WebServer(stage.program, "127.0.0.1", 0)

    async def steps() -> int | None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url + "live") as page:
            await read(page, "state")
            await asyncio.get_running_loop().run_in_executor(None, server.__exit__)
            while not page.closed:
                await page.receive()
            return int(page.close_code or 0)

    server.__enter__()
    gone = (aiohttp.WSCloseCode.GOING_AWAY, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)  # the latter if it has no time
    assert asyncio.run(steps()) in gone
