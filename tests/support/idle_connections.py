"""Connections to a program that ask it nothing, as many as a host may have."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Iterator

from tests.support.processes import LOOPBACK, Program

FLOODING = "127.0.7.7"
"""Another network than that of 127.0.0.1."""
FILES = 4096
"""Open files that this process may have, and the programs that it starts."""


class Connections:
    """Those of one source address."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sockets: list[socket.socket] = []

    def open(self, port: int, said: bytes = b"") -> None:
        """One more, over which this is sent."""
        self._sockets.append(socket.create_connection((LOOPBACK, port), source_address=(self._source, 0)))
        with contextlib.suppress(OSError):
            self._sockets[-1].sendall(said)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@contextlib.contextmanager
def flood(source: str = FLOODING) -> Iterator[Connections]:
    """Room for thousands of connections, which are closed in the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES), hard))
    connections = Connections(source)
    try:
        yield connections
    finally:
        connections.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def count_files(program: Program) -> int:
    """That it has open, sockets included."""
    return len(os.listdir(f"/proc/{program.pid}/fd"))
