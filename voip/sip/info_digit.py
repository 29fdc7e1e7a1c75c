"""The digit of an INFO request (RFC 6086), as telephones send it: application/dtmf-relay and application/dtmf.

Neither has a standard. The first has lines `Signal=5` and `Duration=160` in any order, the second is the digit alone.
Digits are written as themselves, or as the codes of their telephone events (RFC 4733 section 3.2): 10 is the star, 11
the pound.
"""

from __future__ import annotations

import re

DIGITS = "0123456789*#ABCD"
"""In the order of their event codes."""
_BLANK = ' \t\0"'
_SIGNAL = re.compile(r"signal[ \t]*[=:](.*)", re.IGNORECASE)


def digit_of(body: bytes) -> str:
    """The digit that a body brings; "" if it is none that can be read: no Signal, several of them, a flash."""
    lines = [line.strip(_BLANK) for line in body.decode("latin-1").splitlines()]
    lines = [line for line in lines if line]
    signals = [found[1] for line in lines if (found := _SIGNAL.fullmatch(line))]
    if len(signals) > 1 or not lines:
        return ""
    return _digit(signals[0] if signals else lines[0])


def _digit(text: str) -> str:
    text = text.strip(_BLANK).upper()
    if len(text) == 2 and text in ("10", "11", "12", "13", "14", "15"):
        return DIGITS[int(text)]
    return text if len(text) == 1 and text in DIGITS else ""
