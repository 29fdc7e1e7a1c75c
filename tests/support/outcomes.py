"""How the scripts end: what all outcomes have in common, and the times that endings took."""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
from pathlib import Path

from tests.support.processes import Outcome, Program

SIDES = ("receiver", "sender")
REPEAT = int(os.environ.get("VOIP_REPEAT", "5"))
"""How often endings are repeated that are to hold every time."""
PROMISED_END = 1.5
"""Seconds from the signal to the end of both programs."""
ALLOWED_END = 4.0
"""The same, on a machine that has other things to do."""
TALK = ("calling sip:", "call to sip:", "call from sip:", "receiver  waiting", "speaker ", "on the other machine:")
"""How the lines begin that are told in every call."""
EVENT = re.compile(r"\d\d:\d\d:\d\d ")
"""What happens in a call, with the time of day."""


def gone(*programs: Program) -> bool:
    return all(program.process.poll() is not None for program in programs)


def assert_clean(outcome: Outcome, *, status: int = 0) -> None:
    assert outcome.status == status, outcome.stderr
    assert outcome.report is not None
    assert "Traceback" not in outcome.stderr
    assert "Exception" not in outcome.stderr


def tell(name: str, seconds: list[float], promised: float) -> None:
    """Show what was measured (pytest -rP), and keep its median in the file that VOIP_FIGURES names."""
    within = sum(value <= promised for value in seconds)
    figures = f"median {statistics.median(seconds):.4f} s, worst {max(seconds):.4f} s"
    sys.stdout.write(f"{name}: {figures}, {within} of {len(seconds)} within {promised:g} s\n")
    if kept := os.environ.get("VOIP_FIGURES"):
        file = Path(kept)
        before = json.loads(file.read_text()) if file.exists() else {}
        figures_now = {**before, name: round(statistics.median(seconds), 4)}
        file.write_text(json.dumps(figures_now, indent=1, sort_keys=True) + "\n")


def assert_one_complaint(outcome: Outcome, text: str) -> None:
    """One line of stderr says what is wrong; what else is there is the usual talk, and the report of a call."""
    lines = [line for line in outcome.stderr.splitlines() if not EVENT.match(line)]
    complaints = [line for line in lines if not line.startswith((" ", *TALK)) and line]
    assert len(complaints) == 1, outcome.stderr
    assert text in complaints[0]
    assert outcome.report is None or outcome.report["error"] in complaints[0]
