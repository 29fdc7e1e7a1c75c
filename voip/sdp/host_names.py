"""Host names in c= lines (RFC 8866 section 9 allows them): which there are, and addresses in their place.

Both work on a description as it came, before it is read: what follows knows addresses alone. Names are looked up
elsewhere, as that takes time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from voip.sdp.description import parse_ip

MAX_NAMES = 4
"""Names that are looked up for one description: what others make us look up must not grow."""

_CONNECTION = re.compile(rb"(?im)^([ \t]*c[ \t]*=[ \t]*IN[ \t]+)IP[46]([ \t]+)([^\s/]+)[^\r\n]*")
_NAME = re.compile(r"(?=.{1,253}\Z)(?=.*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def host_names(description: bytes) -> tuple[str, ...]:
    """The host names that the c= lines of a description have in place of addresses, each once, the first MAX_NAMES."""
    found = (match[3].decode("ascii", "replace") for match in _CONNECTION.finditer(description))
    names = (name for name in found if parse_ip(name) is None and _NAME.fullmatch(name))
    return tuple(dict.fromkeys(names))[:MAX_NAMES]


def with_addresses(description: bytes, addresses: Mapping[str, str]) -> bytes:
    """The description with addresses in place of the names that are known; all else stays as it is."""

    def replaced(match: re.Match[bytes]) -> bytes:
        address = addresses.get(match[3].decode("ascii", "replace"))
        if address is None:
            return match[0]
        return match[1] + (b"IP6" if ":" in address else b"IP4") + match[2] + address.encode("ascii")

    return _CONNECTION.sub(replaced, description)
