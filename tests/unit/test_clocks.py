"""Time is monotonic: when the clock of the machine is set, no timer and no figure notices (S17)."""

from __future__ import annotations

import ast
from pathlib import Path

import voip

PROGRAM = Path(voip.__file__).parent
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "time.localtime", "time.gmtime"}
SHOWN_ALONE = {
    "net/trace.py: datetime.now",  # before the lines of -vv
    "net/certificate.py: datetime.now",  # until when a certificate of ours is valid
    "net/network.py: time.time",  # the NTP time of the start, for RTCP: later moments are counted from it
    "calls/texts.py: time.time",  # whether a text is shown as one that came after its time
    "net/arrivals.py: time.time",  # the kernel stamps datagrams by it: such a time is made one of ours at once
    "net/steady_clock.py: time.time",  # the time stamps of a capture
    "cli/directory.py: time.time",  # when a call began, and until when contacts count after a restart
    "calls/call_media.py: datetime.now",  # when a call began, in its report
    "cli/workers.py: datetime.now",  # the same, of one whose worker did not live to tell
}
"""Where the wall clock is asked: for people to read, and for other machines; never to decide anything."""


def test_the_wall_clock_is_asked_for_what_is_shown_alone() -> None:
    found = set()
    for path in PROGRAM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCKS:
                found.add(f"{path.relative_to(PROGRAM).as_posix()}: {ast.unparse(node)}")
    assert found <= SHOWN_ALONE
