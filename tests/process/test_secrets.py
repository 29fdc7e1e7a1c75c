"""Passwords are nowhere but in the process: not in its arguments, output, reports or core dumps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
