"""Format parameters as most payload formats write them (a=fmtp, RFC 8866 section 6.15): name=value pairs."""

from __future__ import annotations

from collections.abc import Mapping

_MOST_PARAMETERS = 32
_MOST_DIGITS = 9


def parameters(fmtp: str) -> dict[str, str]:
    """Names, in lower case, and values of a=fmtp; what is not name=value is passed over."""
    found: dict[str, str] = {}
    for item in fmtp.split(";")[:_MOST_PARAMETERS]:
        name, equals, value = item.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def number(theirs: Mapping[str, str], name: str) -> int | None:
    """The whole number of that name; None without a readable one."""
    text = theirs.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
