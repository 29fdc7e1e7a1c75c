"""Colour: only on a terminal that has it, and never the only sign of anything (https://no-color.org)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

from voip.report.status import SEPARATOR, Part

BOLD, RED, GREEN, YELLOW = "1", "1;31", "32", "33"
"""Parameters of SGR (ECMA-48 section 8.3.117)."""
VERDICT_COLOURS = {
    "excellent": GREEN,
    "good": GREEN,
    "fair": YELLOW,
    "poor": RED,
    "bad": RED,
    "no": RED,
    "silence": RED,
}
"""By the first word of a verdict."""


class Style:
    """Makes text stand out, or leaves it as it is."""

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def report(self, text: str, verdicts: int) -> str:
        """The report of a call: its first line stands out, the verdicts after it have a colour."""
        heading, *rows = text.split("\n")
        judged = [self._paint(row, VERDICT_COLOURS.get(row.split()[0].rstrip(":"), "")) for row in rows[:verdicts]]
        return "\n".join([self._paint(heading, BOLD), *judged, *rows[verdicts:]])

    def alarm(self, text: str) -> str:
        """What is wrong."""
        return self._paint(text, YELLOW)

    def parts(self, parts: Sequence[Part]) -> str:
        """A status line."""
        return SEPARATOR + SEPARATOR.join(self._paint(part.text, RED) if part.alarm else part.text for part in parts)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour else text


def style_for(stream: TextIO) -> Style:
    """In colour if it is a terminal that has it, and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(coloured=stream.isatty() and not plain)
