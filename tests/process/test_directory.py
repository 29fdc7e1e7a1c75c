"""voip-directory as a real process: what it has acknowledged survives kill -9; its exit statuses; idle connections."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.support.directory_http import Client
from tests.support.directory_program import PostgreSql, directory, http_port, postgresql, postgresql_programs
from tests.support.idle_connections import count_files, flood
from tests.support.processes import LOOPBACK, ROOT, until
from voip.web.idle import MOST_IDLE

pytestmark = pytest.mark.process

CLIENTS = 4
ENOUGH = 400
"""Acknowledged changes before the kill."""
ORDER = ("calling", "incall", "onhold", "ended")


class Acknowledged:
    """What the clients have been told to be so. Each has threads of its own, and only adds."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.users: dict[str, str] = {}
        self.calls: dict[str, str] = {}
        self.count = 0
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        client = Client(self._port)
        with suppress(OSError, HTTPException):  # until it is killed
            for turn in range(10_000):
                pair = [self._register(client, f"user {number} {turn} {side}") for side in ("a", "b")]
                call = client.signal("initiate", pair[0], target_user_id=pair[1])
                call_id = call.body["call_id"]
                self._note_call(call_id, "calling")
                for event, by, status in (("accept", 1, "incall"), ("hold", 0, "onhold"), ("end", 0, "ended")):
                    if event == "end" and turn % 2:
                        break  # some go on
                    response = client.signal(event, pair[by], call_id=call_id)
                    assert response.status == 200, response
                    self._note_call(call_id, status)
        client.close()

    def _register(self, client: Client, name: str) -> str:
        user_id = client.register(name)
        self.users[name] = user_id
        self.count += 1
        return user_id

    def _note_call(self, call_id: str, status: str) -> None:
        self.calls[call_id] = status
        self.count += 1


def look_for(acknowledged: Acknowledged, port: int) -> None:
    """All of it is there: a call may be further than was acknowledged, never less."""
    client = Client(port)
    for name, user_id in acknowledged.users.items():
        found = client.get(f"/api/users/get?user_id={user_id}")
        assert (found.status, found.body.get("username")) == (200, name)
    for call_id, status in acknowledged.calls.items():
        found = client.get(f"/api/signal/status?call_id={call_id}")
        assert found.status == 200, (call_id, status)
        assert ORDER.index(found.body["call"]["status"]) >= ORDER.index(status)
    client.close()


def survive(tmp_path: Path, database: str) -> None:
    with directory(tmp_path, database=database) as program:
        acknowledged = Acknowledged(http_port(program))
        acknowledged.start()
        until(lambda: acknowledged.count >= ENOUGH, "enough is acknowledged", 120.0)
        program.send_signal(signal.SIGKILL)
        acknowledged.join()
        program.finish()
    with directory(tmp_path, database=database, name="again") as program:
        look_for(acknowledged, http_port(program))
        program.stop()
        assert program.finish().status == 0


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    survive(tmp_path, "voip.sqlite")


@pytest.fixture
def server() -> Iterator[PostgreSql]:
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql(programs) as server:
        yield server


def test_nor_with_postgresql(tmp_path: Path, server: PostgreSql) -> None:
    survive(tmp_path, server.url)


def test_a_postgresql_server_may_be_restarted(tmp_path: Path, server: PostgreSql) -> None:
    with directory(tmp_path, database=server.url) as program:
        client = Client(http_port(program))
        client.register("before")
        server.stop()
        assert client.post("/api/users/register", username="meanwhile").status == 503
        server.start()
        after = client.register("after")
        client.close()
        program.stop()
        end = program.finish()
    assert end.status == 0
    assert "did not take: 1" in end.stderr
    with directory(tmp_path, database=server.url, name="again") as program:
        client = Client(http_port(program))
        assert client.get("/api/users/find?name=after").body["user_id"] == after
        client.close()


def test_a_restart_finds_everything_and_ends_well_by_a_signal(tmp_path: Path) -> None:
    with directory(tmp_path) as program:
        client = Client(http_port(program))
        bob = client.register("bob", password="secret")
        client.close()
        program.send_signal(signal.SIGTERM)
        assert program.finish().status == 0
    assert {each.name for each in tmp_path.iterdir()} == {"voip.sqlite", "directory.stdout"}
    with directory(tmp_path, "--json", name="again") as program:
        client = Client(http_port(program))
        assert client.post("/api/users/register", username="bob").status == 403
        assert client.register("bob", password="secret") == bob
        client.close()
        program.stop()
        end = program.finish()
    (serving,) = [json.loads(line) for line in end.stdout.splitlines()]
    assert (serving["event"], serving["users"], serving["token"]) == ("serving", 1, None)


def test_accounts_move_to_kamailio_with_the_command_of_the_instructions(tmp_path: Path) -> None:
    """The same line as its own script makes (deploy/README.md)."""
    deploy = ROOT / "deploy"
    found = re.search(r'sqlite3 voip.sqlite "(select .*)"', (deploy / "README.md").read_text())
    assert found is not None
    (tmp_path / "password").write_text("secret\n")
    with directory(tmp_path, "--realm", "voip.example.org") as program:
        client = Client(http_port(program))
        client.register("bob", password="secret")
        client.register("alice")
        client.close()
        program.stop()
        program.finish()
    script = [str(deploy / "kamailio" / "account"), "bob", "voip.example.org", str(tmp_path / "password")]
    made = subprocess.run(["sh", *script], check=True, capture_output=True, text=True).stdout
    with contextlib.closing(sqlite3.connect(tmp_path / "voip.sqlite")) as database:
        assert database.execute(found[1]).fetchall() == [(made.strip(),)]


def test_off_loopback_a_token_is_needed_and_printed_and_the_same_after_a_restart(tmp_path: Path) -> None:
    tokens = []
    for name in ("once", "again"):
        with directory(tmp_path, "--http", "0.0.0.0:0", name=name) as program:
            port = http_port(program)
            tokens.append(program.wait_for("directory http").split("#")[1].split()[0])
            stranger, friend = Client(port), Client(port, tokens[-1])
            assert stranger.get("/api/health").status == 401
            assert friend.get("/api/health").status == 200
            for client in (stranger, friend):
                client.close()
            program.wait_for("--tls-cert encrypts it")
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        (("--htp", "1"), 2, "did you mean --http?"),
        (("--http", "nowhere"), 2, "is not a port"),
        (("--token-file", "none"), 2, "cannot read none"),
        (("--token-file", "short"), 2, "at least 16 characters"),
        (("--tls-key", "x"), 2, "requires --tls-cert"),
        (("--tls-cert", "none"), 2, "none"),
        (("--database", "mysql://u:hidden@h/d"), 2, "postgresql://"),
        (("--database", "short"), 3, "short"),
        (("--database", "no/such/folder"), 3, "No such file"),
        (("--database", "postgresql://u:hidden@127.0.0.1:1/d"), 4, "127.0.0.1"),
        (("--http", "192.0.2.1:0"), 4, "192.0.2.1"),
    ],
)
def test_what_cannot_be_done_is_a_line_and_a_status(
    tmp_path: Path, options: tuple[str, ...], status: int, text: str
) -> None:
    (tmp_path / "short").write_text("x\n" * 5)
    with directory(tmp_path, *options) as program:
        end = program.finish()
    assert (end.status, len(end.stderr.splitlines())) == (status, 1), end.stderr
    assert text in end.stderr
    assert "hidden" not in end.stderr


def test_without_its_libraries_it_still_has_a_version_and_a_help(tmp_path: Path) -> None:
    """They are optional: an installation without them is told what to install, and shows no traceback."""
    away = "import sys; sys.modules.update(dict.fromkeys(('aiohttp', 'sqlalchemy', 'alembic')))"
    for option in ("--version", "--help"):
        script = f"{away}; from voip.cli.directory import command; command([{option!r}])"
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "voip-directory" in done.stdout


def test_a_port_that_is_taken_is_an_error_of_the_network(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        directory(tmp_path, "--http", str(other.getsockname()[1])) as program,
    ):
        end = program.finish()
    assert end.status == 4
    assert "in use" in end.stderr


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("said", [b"", b"GET /api/health HTTP/1.1\r\nHost: 127", UPGRADE])
def test_a_thousand_idle_connections_of_one_host_keep_no_other_out(tmp_path: Path, said: bytes) -> None:
    """That say nothing, the beginning of a request, or nothing by WebSocket."""
    with flood() as idle, directory(tmp_path) as program, contextlib.closing(Client(http_port(program))) as client:
        assert client.register("bob")
        files = count_files(program)
        for number in range(1000):
            idle.open(http_port(program), said)
            if number % 100 == 99:
                assert client.get("/api/health").status == 200  # by the connection that it had before

        def served_and_few() -> bool:
            assert client.get("/api/health").status == 200  # asked all the while, or it would be idle itself
            return count_files(program) <= files + MOST_IDLE

        until(served_and_few, "those beyond are closed", 60.0)
        idle.close()
        program.stop()
        assert program.finish().status == 0


def test_idle_connections_are_closed_in_time_and_keep_their_own_host_out_neither(tmp_path: Path) -> None:
    with flood(LOOPBACK) as idle, directory(tmp_path) as program:
        port = http_port(program)
        for _ in range(1000):
            idle.open(port)
        client = Client(port)
        assert client.register("bob")
        until(lambda: count_files(program) < 100, "they are closed", 60.0)
        client.close()  # it may have been idle for too long as well
        assert client.get("/api/health").status == 200
        client.close()
        program.stop()
        assert program.finish().status == 0
