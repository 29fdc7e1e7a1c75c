"""Text that others had a hand in, for a terminal: what would steer it is shown and not sent."""

from __future__ import annotations

import re

LONGEST_LINE = 1000
"""Characters of a line that are shown: a name of 60 kB is of no help, and fills a log."""
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""C0 without tab and line feed, DEL, C1 (ECMA-48), line separators, what turns the direction of writing (Unicode annex
9) or is not seen, and what was not UTF-8."""


def printable(text: str) -> str:
    r"""The text with what steers a terminal escaped, such as `\x1b`, and lines cut; line feeds stay."""
    if len(text) > LONGEST_LINE:
        text = "\n".join(map(_cut, text.split("\n")))
    return _STEERING.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    r"""As `printable`, and line feeds are escaped, too: for names that others have given."""
    return printable(text).replace("\n", r"\n")


def _escaped(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def _cut(line: str) -> str:
    more = len(line) - LONGEST_LINE
    return line if more <= 0 else f"{line[:LONGEST_LINE]}... ({more} more characters)"
