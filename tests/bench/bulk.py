"""A long-lived TCP connection over a wire, with the congestion control that Linux has by default (CUBIC).

python -m tests.bench.bulk serve &              # on the far host; one line of JSON at its end
python -m tests.bench.bulk send 10.77.0.2       # on the near one, until it is told to end
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence

PORT = 5900
READY = "waiting for data"
"""What the server says, on standard error, once it listens."""
CONGESTION = b"cubic"
HEADERS = 52
"""Bytes of IPv4 and TCP with timestamps before the data of a full segment."""
SEGMENT = 1500
"""Bytes of a full segment."""
_PIECE = 1 << 16
_TCP_CONGESTION = 13  # linux/tcp.h

Sample = tuple[float, int]
"""A monotonic moment, and the bytes of data that had arrived by then."""


def serve(server: socket.socket) -> list[Sample]:
    """Take what one connection brings, until it is closed or reset."""
    connection, _ = server.accept()
    total, samples = 0, [(time.monotonic(), 0)]
    with connection, contextlib.suppress(ConnectionResetError):
        while data := connection.recv(_PIECE):
            total += len(data)
            samples.append((time.monotonic(), total))
    return samples


def send(host: str) -> None:
    """Send zeros for ever. At its end what has not been sent is thrown away, or a slow line would take its time."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, CONGESTION)
        connection.connect((host, PORT))
        while True:
            connection.sendall(bytes(_PIECE))


def kbps(samples: Sequence[Sample], since: float, until: float) -> float:
    """Kilobits of IP packets per second that arrived between two moments, as if all segments had been full."""

    def by(moment: float) -> int:
        return max((total for at, total in samples if at <= moment), default=0)

    return 8e-3 * (by(until) - by(since)) * SEGMENT / (SEGMENT - HEADERS) / (until - since)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["serve", "send"])
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if options.command == "serve":
        with socket.create_server(("0.0.0.0", PORT)) as server:
            sys.stderr.write(f"{READY}\n")
            sys.stderr.flush()
            sys.stdout.write(json.dumps(serve(server)) + "\n")
    else:
        send(options.host)
    return 0


if __name__ == "__main__":
    sys.exit(main())
