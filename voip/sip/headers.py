"""Header fields of SIP messages (RFC 3261 sections 7.3, 20): the ordered multi-map, Via and CSeq values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from voip.sip.grammar import (
    HOST_PORT,
    MAX_DIGITS,
    Parameters,
    SipParseError,
    format_host,
    format_parameters,
    parse_host,
    parse_parameters,
    parse_port,
    read_parameters,
    split_list,
)

MAX_CSEQ = 2**31 - 1  # RFC 3261 section 8.1.1.5
BRANCH_COOKIE = "z9hG4bK"
"""Start of each branch that is unique by itself (RFC 3261 section 8.1.1.7)."""

# RFC 3261 section 7.3.3 and the registry of header fields (RFC 3968).
_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
COMPACT_NAMES = {name: letter for letter, name in _COMPACT.items()}
"""The short name of each header field that has one."""

# Fields whose values may share one line, separated by commas.
_LISTS = (
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Call-Info",
    "Contact",
    "Content-Encoding",
    "Content-Language",
    "Diversion",
    "Error-Info",
    "History-Info",
    "In-Reply-To",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Path",
    "Proxy-Require",
    "Reason",
    "Record-Route",
    "Reject-Contact",
    "Require",
    "Route",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Service-Route",
    "Supported",
    "Unsupported",
    "Via",
    "Warning",
)
_SINGLES = (
    "Authorization",
    "CSeq",
    "Call-ID",
    "Content-Disposition",
    "Content-Length",
    "Content-Type",
    "Date",
    "Event",
    "Expires",
    "From",
    "MIME-Version",
    "Max-Forwards",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "Priority",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "RAck",
    "RSeq",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Reply-To",
    "Retry-After",
    "SIP-ETag",
    "SIP-If-Match",
    "Server",
    "Session-Expires",
    "Subject",
    "Subscription-State",
    "Timestamp",
    "To",
    "User-Agent",
    "WWW-Authenticate",
)
_LIST_NAMES = frozenset(_LISTS)
_KNOWN = {name.lower(): name for name in _LISTS + _SINGLES} | _COMPACT
# Names as people mostly write them are found without making lower case first.
_SPELLINGS = _KNOWN | {name: name for name in _LISTS + _SINGLES} | {key.upper(): name for key, name in _COMPACT.items()}

_VIA = re.compile(
    rf"SIP[ \t]*/[ \t]*([0-9]+\.[0-9]+)[ \t]*/[ \t]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]+{HOST_PORT}[ \t]*(;.*)?",
    re.IGNORECASE | re.DOTALL,
)
_CSEQ = re.compile(rf"([0-9]{{1,{MAX_DIGITS}}})[ \t]+([A-Za-z0-9\-.!%*_+`'~]+)")


def canonical_name(name: str) -> str:
    """The long, usual spelling of a header field's name; unknown names stay as they are."""
    return _SPELLINGS.get(name) or _KNOWN.get(name.lower(), name)


class Headers:
    """Header fields in order; names are compared without regard to case, compact forms known by their long names."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        for name, value in fields:
            self.add(name, value)

    @classmethod
    def of_wire(cls, fields: list[tuple[str, str]]) -> Headers:
        """Take over fields whose names are canonical and whose values hold no line break."""
        headers = cls()
        headers._fields = fields
        return headers

    def get(self, name: str) -> str | None:
        """The first value, None if there is no such field (or it is an empty list)."""
        values = self.get_all(name)
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """All values in order; fields that are lists (Via, Contact, Allow ...) are split at their commas."""
        name = canonical_name(name)
        lines = self.lines(name)
        if name not in _LIST_NAMES:
            return lines
        return [value for line in lines for value in split_list(line)]

    def lines(self, name: str) -> list[str]:
        """The values as they stood, one for each line of the message, unsplit."""
        name = canonical_name(name)
        found = [value for field_name, value in self._fields if field_name == name]
        if not found and name not in _SPELLINGS:
            lower = name.lower()
            found = [value for field_name, value in self._fields if field_name.lower() == lower]
        return found

    def add(self, name: str, value: str) -> None:
        """Append a field; ValueError for a line break in it (which would make it two fields)."""
        self._fields.append(_checked(name, value))

    def set(self, name: str, value: str) -> None:
        """Replace all fields of this name by one, in the place of the first, or append it."""
        new = _checked(name, value)
        places = self._places(name)
        if not places:
            self._fields.append(new)
            return
        self._fields[places[0]] = new
        for place in reversed(places[1:]):
            del self._fields[place]

    def replace_first(self, name: str, value: str | None) -> None:
        """Put `value` in the place of the first value of a list field (None: take it out); the others stay."""
        new = [] if value is None else [value]
        for place in self._places(name):
            field_name, line = self._fields[place]
            values = split_list(line) if field_name in _LIST_NAMES else [line]
            if not values:  # an empty list has no first value
                continue
            if new + values[1:]:
                self._fields[place] = _checked(field_name, ", ".join(new + values[1:]))
            else:
                del self._fields[place]
            return
        if value is not None:
            self.add(name, value)

    def remove(self, name: str) -> None:
        """Remove all fields of this name, if there are any."""
        for place in reversed(self._places(name)):
            del self._fields[place]

    def copy(self) -> Headers:
        return Headers.of_wire(list(self._fields))

    def _places(self, name: str) -> list[int]:
        lower = canonical_name(name).lower()
        return [place for place, (field_name, _) in enumerate(self._fields) if field_name.lower() == lower]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.lines(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


def _checked(name: str, value: str) -> tuple[str, str]:
    if "\n" in value or "\r" in value or "\n" in name or "\r" in name:
        raise ValueError(f"a line break in header {name!r}")
    return canonical_name(name), value


class CSeq(NamedTuple):
    """Number and method of a CSeq field (RFC 3261 section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        found = _CSEQ.fullmatch(text)
        if found is None:
            raise SipParseError(f"malformed CSeq {text[:80]!r}")
        number = int(found[1])
        if number > MAX_CSEQ:
            raise SipParseError(f"CSeq {number} is out of range")
        return cls(number, found[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(slots=True)
class Via:
    """One Via value (RFC 3261 section 20.42, RFC 3581): transport, sent-by and parameters; IPv6 without brackets."""

    protocol: str
    host: str
    port: int | None = None
    params: Parameters = field(default_factory=dict)
    version: str = "2.0"  # another one is only ever seen in a request that gets 505

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one value; SipParseError if it is malformed."""
        return cls._of(text, parse_parameters)

    @classmethod
    def read(cls, text: str) -> Via:
        """As `parse`, but parameters that are malformed, or there already, are passed over: for responses, where they
        are what proxies have made of ours."""
        return cls._of(text, read_parameters)

    @classmethod
    def _of(cls, text: str, read: Callable[[str], Parameters]) -> Via:
        found = _VIA.fullmatch(text)
        if found is None:
            raise SipParseError(f"malformed Via {text[:80]!r}")
        version, protocol, host, port, parameters = found.groups()
        return cls(protocol, parse_host(host), parse_port(port), read(parameters) if parameters else {}, version)

    @property
    def sent_by(self) -> str:
        """`host` or `host:port` as it was written, IPv6 in brackets."""
        return format_host(self.host, self.port)

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address the request came from; IPv6 without brackets."""
        received = self.params.get("received")
        return received.strip("[]") if received else None

    @property
    def rport(self) -> int | None:
        """The port the request came from, None if it is not filled in (`"rport" in via.params`: it was asked for)."""
        rport = self.params.get("rport")
        return int(rport) if rport and rport.isascii() and rport.isdigit() and len(rport) <= MAX_DIGITS else None

    def __str__(self) -> str:
        return f"SIP/{self.version}/{self.protocol} {self.sent_by}{format_parameters(self.params)}"
