"""All messages of RFC 4475 at a real receiver.py, over UDP and over TCP: it answers as it should, and goes on."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Receiver, receiver, sender
from tests.support.torture import DROPPED, OUTCOMES, OVER_STREAMS, message
from voip.errors import EXIT_NO_MEDIA, EXIT_OK

pytestmark = pytest.mark.process

SIP_PORT = 5060  # where most of the messages ask to be answered: none of them knows of rport
OTHER_PORTS = {"quotbal": 5050}
QUIET = 0.1  # seconds after which no answer is taken for none, once a later message has been answered
OPTIONS = (
    "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/{transport} {me};branch=z9hG4bK{token};rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:{me}>;tag={token}\r\nTo: <sip:{host}>\r\nCall-ID: {token}.{transport}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


@pytest.fixture
def tortured(tmp_path: Path) -> Iterator[Receiver]:
    """One receiver for all of them: nothing may spoil it for the next."""
    with receiver(tmp_path, "--max-calls", "50") as program:
        yield program
        program.stop()
        outcome = program.finish()
    assert outcome.status in (EXIT_OK, EXIT_NO_MEDIA), outcome.stderr  # a call that is up may have had no sound
    assert "Traceback" not in outcome.stderr


def options(program: Receiver, transport: str, me: str, token: str) -> bytes:
    return OPTIONS.format(host=program.host, transport=transport, me=me, token=token).encode()


def status(answer: bytes) -> int:
    """Of the first final answer."""
    assert answer.startswith(b"SIP/2.0 "), answer[:200]
    return int(answer.split()[1])


def over_udp(program: Receiver, name: str, host: str) -> int:
    """What the receiver answers to the message, and then to OPTIONS of the same host, which has to be 200."""
    found = DROPPED
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind((host, OTHER_PORTS.get(name, SIP_PORT)))
        sock.settimeout(PATIENCE)
        sock.sendto(message(name), (program.host, program.sip_port))
        sock.sendto(
            options(program, "UDP", f"{host}:{sock.getsockname()[1]}", f"alive{name}"), program_address(program)
        )
        while True:
            answer = sock.recv(65536)
            if b"Call-ID: alive" in answer:
                assert status(answer) == 200
                return found
            found = found or status(answer)


def program_address(program: Receiver) -> tuple[str, int]:
    return program.host, program.sip_port


def over_tcp(program: Receiver, name: str, host: str) -> bytes:
    """What comes back over a connection that brings the message, until it is quiet or closed."""
    heard = b""
    with closing(socket.create_connection(program_address(program), PATIENCE, (host, 0))) as sock:
        sock.sendall(message(name))
        end = time.monotonic() + (PATIENCE if expected_over_tcp(name) else QUIET)
        while time.monotonic() < end and not heard:
            sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = sock.recv(65536)
            except TimeoutError:
                break
            if not data:
                break
            heard += data
    return heard


def expected_over_tcp(name: str) -> int:
    return OVER_STREAMS.get(name, OUTCOMES[name]).status


def alive(program: Receiver, folder: Path) -> None:
    """It runs, and an ordinary call works."""
    assert program.process.poll() is None, program.stderr
    with sender(folder, program.target, "--duration", "500ms") as near:
        outcome = near.finish()
    assert outcome.status == 0, outcome.stderr
    assert outcome.call["tx"]["packets"] > 0


def test_over_udp_each_is_answered_as_it_should_be_and_the_receiver_goes_on(tortured: Receiver, tmp_path: Path) -> None:
    # Each from a host of its own: nobody is told often that a method is not served.
    found = {name: over_udp(tortured, name, f"127.0.4.{n}") for n, name in enumerate(OUTCOMES, 1)}
    assert found == {name: outcome.status for name, outcome in OUTCOMES.items()}
    alive(tortured, tmp_path)


def test_over_tcp_each_is_answered_as_it_should_be_and_the_receiver_goes_on(tortured: Receiver, tmp_path: Path) -> None:
    found = {}
    for number, name in enumerate(OUTCOMES, 1):
        heard = over_tcp(tortured, name, f"127.0.5.{number}")
        found[name] = status(heard) if heard else DROPPED
        probe = options(tortured, "TCP", f"127.0.6.{number}", f"alive{name}")
        with closing(socket.create_connection(program_address(tortured), PATIENCE, (f"127.0.6.{number}", 0))) as sock:
            sock.sendall(probe)
            assert status(sock.recv(65536)) == 200, name
    assert found == {name: expected_over_tcp(name) for name in OUTCOMES}
    alive(tortured, tmp_path)
