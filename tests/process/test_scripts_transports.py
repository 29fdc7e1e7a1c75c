"""The two scripts over TCP and TLS, what they say when that does not work, and a receiver whose port is abused."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

import pytest

from tests.support.certificates import Certificates, make_certificates
from tests.support.processes import LOOPBACK, free_ports, heard_calls, receiver, sender, until

pytestmark = pytest.mark.process

NETWORK = 4  # exit code of the scripts
CHUNKS = 10_000
REQUEST = (
    b"INVITE sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=%d\r\n"
    b"To: <sip:a@127.0.0.1>\r\nCall-ID: c%d\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1:5;transport=tcp>\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 4\r\n\r\nv=0\n"
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("scheme", ["tcp", "tls", "sips"])
def test_a_call_goes_by_a_connection_and_either_side_hangs_up_by_it(
    scheme: str, certificates: Certificates, tmp_path: Path
) -> None:
    options = () if scheme == "tcp" else certificates.server
    trust = () if scheme == "tcp" else certificates.client
    with receiver(tmp_path, "--json", "--stats-interval", "0.2s", *options) as far:
        target = {
            "tcp": f"sip:{far.target};transport=tcp",
            "tls": f"sip:{LOOPBACK}:{far.sip_port + 1};transport=tls",
            "sips": f"sips:localhost:{far.sip_port + 1}",
        }[scheme]
        with sender(tmp_path, target, "--duration", "1s", *trust) as near:
            first = near.finish()
        with sender(tmp_path, target, *trust, name="second") as near:
            until(lambda: len(heard_calls(tmp_path / f"{far.name}.stdout")) == 2, "the second call is heard")
            far.stop()
            second = near.finish()
        heard = far.finish()
    assert (first.status, second.status, heard.status) == (0, 0, 0), first.stderr + second.stderr + heard.stderr
    assert [sent.call["end_reason"] for sent in (first, second)] == ["local-bye", "remote-bye"]
    assert heard.report is not None
    assert [call["end_reason"] for call in heard.report["calls"]] == ["remote-bye", "local-bye"]
    assert [call["rx"]["lost"] for call in heard.report["calls"]] == [0, 0]
    if scheme != "tcp":
        assert f"sips:{LOOPBACK}:{far.sip_port + 1}" in heard.stderr


def test_a_refused_connection_is_one_line_and_exit_4(tmp_path: Path) -> None:
    port, _ = free_ports()
    with sender(tmp_path, f"sip:{LOOPBACK}:{port};transport=tcp") as program:
        outcome = program.finish()
    assert outcome.status == NETWORK
    assert f"{LOOPBACK}:{port} by TCP: Connection refused" in outcome.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("host", "trusted", "text"),
    [("localhost", False, "for a private CA, use --tls-ca FILE"), (LOOPBACK, True, "call it by the name in its")],
)
def test_a_certificate_that_proves_nothing_is_one_line_and_exit_4(
    host: str, trusted: bool, text: str, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path, "DNS:localhost")
    with (
        receiver(tmp_path, *certificates.server) as far,
        sender(tmp_path, f"sips:{host}:{far.sip_port + 1}", *(certificates.client if trusted else ())) as near,
    ):
        outcome = near.finish()
    assert outcome.status == NETWORK
    assert text in outcome.stderr.splitlines()[-1]
    assert host in outcome.stderr.splitlines()[-1]


def test_files_of_no_use_are_one_line_and_exit_2(tmp_path: Path) -> None:
    with sender(tmp_path, LOOPBACK, "--tls-ca", str(tmp_path / "missing.pem")) as program:
        outcome = program.finish()
    assert outcome.status == 2
    assert "--tls-ca" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_call_does_not_mind_ten_thousand_pieces_of_nonsense_at_its_tcp_port(tmp_path: Path) -> None:
    with receiver(tmp_path) as far, sender(tmp_path, f"sip:{far.target};transport=tcp") as near:
        near.wait_for("call to")
        sent = 0
        rng = random.Random(11)
        while sent < CHUNKS:
            sent += _abuse(far.sip_port, rng, CHUNKS - sent)
        assert far.process.poll() is None
        near.stop()
        said = near.finish()
        far.stop()
        heard = far.finish()
    assert (said.status, heard.status) == (0, 0), said.stderr + heard.stderr
    assert "Traceback" not in heard.stderr
    assert heard.call["rx"]["lost"] == 0
    assert heard.call["end_reason"] == "remote-bye"


def _abuse(port: int, rng: random.Random, most: int) -> int:
    """One connection that is sent nonsense until it is closed, or for a while; how many pieces it took."""
    sent, enough = 1, min(most, rng.randrange(2, 60))
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 5.0) as sock:
        while sent < enough:
            sock.sendall(_nonsense(rng))
            sent += 1
    return sent


def _nonsense(rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 300))
    if kind == 1:
        return b"\r\n" * rng.randrange(1, 5)
    request = bytearray(REQUEST % (rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32)))
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(request))
        request[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(request[: rng.randrange(len(request))] if kind == 2 else request)
