"""Scripts with a page, as tests and pictures of it begin them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.support.processes import LOOPBACK, ROOT, Program


def page_of(program: Program) -> str:
    """The URL that a program names."""
    found = re.search(r"http://\S+", program.wait_for("page      http"))
    assert found is not None
    return found[0]


def sender_without_target(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Program:
    """sender.py that calls nobody yet."""
    report = folder / "sender.json"
    command = [sys.executable, str(ROOT / "sender.py"), "--bind", LOOPBACK, "--report", str(report), *arguments]
    return Program(command, folder=folder, name="sender", report=report, environment=environment)
