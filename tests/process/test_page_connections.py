"""The page of a script with connections that ask nothing: they keep nobody out, and end no page that is open."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("aiohttp")

from tests.support.idle_connections import FLOODING, count_files, flood
from tests.support.processes import LOOPBACK, PATIENCE, Program, receiver, until
from voip.web.idle import MOST_IDLE
from voip.web.server import IDLE_AFTER

pytestmark = pytest.mark.process

UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MESSAGE_TO_READ = 65_536


def page_port(program: Program) -> int:
    port = urlsplit(program.wait_for("page      ").split()[-1]).port
    assert port is not None
    return port


def status_of_page(port: int) -> int:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=PATIENCE) as response:
        return int(response.status)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: 127"])
@pytest.mark.parametrize("source", [FLOODING, LOOPBACK])
def test_a_thousand_idle_connections_of_one_host_keep_nobody_out_of_the_page(
    tmp_path: Path, said: bytes, source: str
) -> None:
    """That say nothing, or the beginning of a request; of another network, or of that of the page's user."""
    with flood(source) as idle, receiver(tmp_path, "--web") as program:
        port = page_port(program)
        with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as page:  # it only looks
            page.sendall(UPGRADE)
            assert b" 101 " in page.recv(MESSAGE_TO_READ)
            files = count_files(program)
            for number in range(1000):
                idle.open(port, said)
                if number % 100 == 99:
                    assert status_of_page(port) == 200
                    assert page.recv(MESSAGE_TO_READ), "it goes on to be told"
            until(lambda: count_files(program) <= files + MOST_IDLE, "those beyond are closed at once", IDLE_AFTER / 2)
            assert status_of_page(port) == 200
            idle.close()
        program.stop()
        assert program.finish().status == 0


def test_connections_that_ask_nothing_are_closed_in_time(tmp_path: Path) -> None:
    with flood() as idle, receiver(tmp_path, "--web") as program:
        port = page_port(program)
        files = count_files(program)
        for _ in range(MOST_IDLE // 2):
            idle.open(port)
        until(lambda: count_files(program) >= files + MOST_IDLE // 2, "they are there", 60.0)
        until(lambda: count_files(program) <= files, "they are closed", 60.0)
        assert status_of_page(port) == 200
        program.stop()
        assert program.finish().status == 0
