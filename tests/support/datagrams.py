"""A port that collects datagrams, and datagrams sent at their times: over UDP, in real time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from tests.support.processes import LOOPBACK
from tests.support.small_programs import Arrival

LAST_WORDS = 1.0
"""Seconds of nothing after which no more will come back."""


@contextlib.contextmanager
def collecting() -> Iterator[tuple[int, list[bytes]]]:
    """A port of a program that is played to, and the datagrams that come to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        sock.settimeout(0.2)
        found: list[bytes] = []
        ended = threading.Event()

        def collect() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    found.append(sock.recv(65535))

        thread = threading.Thread(target=collect)
        thread.start()
        try:
            yield sock.getsockname()[1], found
        finally:
            ended.set()
            thread.join()


def stream(arrivals: list[Arrival], port: int) -> list[bytes]:
    """Send datagrams at their times; what has come back, the last second of it after the end."""
    found: list[bytes] = []
    began, first = time.monotonic(), arrivals[0].at
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for arrival in arrivals:
            time.sleep(max(0.0, began + arrival.at - first - time.monotonic()))
            sock.sendto(arrival.data, (LOOPBACK, port))
        sock.settimeout(LAST_WORDS)
        with contextlib.suppress(TimeoutError):
            while True:
                found.append(sock.recv(65535))
    return found
