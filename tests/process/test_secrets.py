"""Passwords are nowhere but in the process: not in its arguments, output, reports, captures or core dumps."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.pcapng import read_capture
from tests.support.processes import receiver, sender

pytestmark = pytest.mark.process

SECRET = "correct-horse-7319"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_password_is_not_in_arguments_output_report_or_core_dump(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET + "\n")
    account = ("--user", "alice", "--password-file", "password", "-vv")
    arguments = (*account, "--once", "--output", "null", "--report", "far.json")
    with receiver(tmp_path, *arguments) as far:
        with sender(tmp_path, far.target, *account, "--duration", "1s", "--report", "near.json") as near:
            process = Path("/proc") / str(near.process.pid)
            shown = (process / "cmdline").read_bytes().decode()
            limits = (process / "limits").read_text()
            told = near.finish()
        heard = far.finish()
    assert (told.status, heard.status) == (0, 0)
    core = next(line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core[4] == "0"
    reports = [(tmp_path / name).read_text() for name in ("near.json", "far.json")]
    assert "Authorization" in heard.stderr, "the exchange in which the password is used is shown"
    for text in (shown, str(told.stdout), told.stderr, str(heard.stdout), heard.stderr, *reports):
        assert SECRET not in text


def test_a_capture_has_no_password_no_response_to_a_challenge_and_no_key(tmp_path: Path) -> None:
    """With `--srtp optional` keys of media are in the descriptions."""
    (tmp_path / "password").write_text(SECRET + "\n")
    options = ("--user", "alice", "--password-file", "password", "--srtp", "optional")
    with receiver(tmp_path, *options, "--once", "--pcap", "far.pcapng") as far:
        arguments = ("--codec", "pcmu", "--duration", "1s", "--pcap", "near.pcapng", "-vv")
        with sender(tmp_path, far.target, *options, *arguments) as near:
            told = near.finish()
        heard = far.finish()
    assert (told.status, heard.status) == (0, 0)
    assert "inline:..." in told.stderr, "there are keys to hide"
    for name in ("near.pcapng", "far.pcapng"):
        written = (tmp_path / name).read_bytes()
        assert SECRET.encode() not in written
        messages = [each for each in read_capture(tmp_path / name).payloads if b"SIP/2.0" in each.split(b"\r\n")[0]]
        whole = b"".join(messages)
        credentials = re.findall(rb"(?im)^(?:proxy-)?authorization: (\w+) (.*)\r", whole)
        assert credentials, "the exchange in which the password is used is in it"
        assert {scheme for scheme, _ in credentials} == {b"Digest"}
        keys = re.findall(rb"inline:(\S+)", whole)
        nonces = re.findall(rb'nonce="([^"]*)"', whole)
        assert len(keys) >= 2
        assert nonces
        for hidden in (*(value for _, value in credentials), *keys, *nonces):
            assert set(hidden) <= set(b"x ")
            assert len(hidden) > 20
        for message in messages:
            head, _, body = message.partition(b"\r\n\r\n")
            assert re.search(rb"\r\n(?:Content-Length|l): %d\b" % len(body), head), "lengths stay right"


def test_a_password_for_two_leaves_nothing_to_guess_it_by_in_a_capture(tmp_path: Path) -> None:
    """It is proved within DTLS (SPAKE2), of which a capture has the records alone."""
    (tmp_path / "password").write_text(SECRET + "\n")
    options = ("--password-file", "password")
    with receiver(tmp_path, *options, "--once", "--pcap", "far.pcapng") as far:
        with sender(tmp_path, far.target, *options, "--duration", "1s", "--pcap", "near.pcapng") as near:
            told = near.finish()
        heard = far.finish()
    assert (told.status, heard.status) == (0, 0)
    for name in ("near.pcapng", "far.pcapng"):
        assert SECRET.encode() not in (tmp_path / name).read_bytes()
        records = [each for each in read_capture(tmp_path / name).payloads if each[:1] == b"\x17"]
        assert records, "application data of DTLS"
        assert all(each[1:3] == b"\xfe\xfd" and each[3:5] != bytes(2) for each in records), "encrypted: epoch 1"
