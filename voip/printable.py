"""Text that others had a hand in, for a terminal: what would steer it is shown and not sent."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 without tab and line feed, DEL, C1 (ECMA-48), line separators, what turns the direction of writing (Unicode annex
9), and what was not UTF-8."""


def printable(text: str) -> str:
    r"""The text with what steers a terminal escaped, such as `\x1b`; line feeds stay."""
    return _STEERING.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    r"""As `printable`, and line feeds are escaped, too: for names that others have given."""
    return printable(text).replace("\n", r"\n")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
