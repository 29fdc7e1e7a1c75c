"""A peer that says BYE and goes on sending: the call ends, and its port is closed."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tests.support.processes import receiver
from tests.support.raw_peer import Stream, raw_peer

pytestmark = pytest.mark.process

CALLS = 3
"""More than may be up at once."""
REFUSED_AFTER = 3.0
"""Seconds after which the port is closed on a slow machine too; otherwise 0.3."""


def closed_after(target: tuple[str, int], data: bytes) -> float:
    """Seconds until a port refuses a datagram that is sent there every 20 ms."""
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        sock.settimeout(0.02)
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < start + 10 * REFUSED_AFTER:
                sock.send(data)
                with contextlib.suppress(TimeoutError):
                    sock.recv(2000)
    return time.monotonic() - start


def test_s6_a_peer_that_says_bye_and_goes_on_sending_leaves_room_for_the_next(tmp_path: Path) -> None:
    with receiver(tmp_path, "--output", "null") as far:
        for _ in range(CALLS):
            with raw_peer() as peer:
                dialog = peer.call((far.host, far.sip_port))
                stream = Stream(dialog)
                stream.send(20)
                assert dialog.bye() == 200
                for _ in range(100):  # two seconds
                    stream.send(1)
                assert closed_after(dialog.media, stream.next()) < REFUSED_AFTER
        far.stop()
        outcome = far.finish()
    assert outcome.status == 0
    assert outcome.stderr.count("call ended") == CALLS
