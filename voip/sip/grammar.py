"""The lexical ground of SIP header fields (RFC 3261 sections 7.3.1, 25.1): tokens, quotes, lists, parameters, hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address

from voip.errors import ProtocolError
from voip.ip import MAX_PORT

LWS = " \t"  # linear white space; folding has become a space before anything here sees a value
MAX_PARAMETERS = 100
"""Of a URI or a field's value: more are refused before they are taken apart. Real ones have up to some ten."""
MAX_DIGITS = 10  # of any integer in a header: enough for 2**32 - 1
BAD_REQUEST, UNSUPPORTED_SCHEME, VERSION_NOT_SUPPORTED, MESSAGE_TOO_LARGE = 400, 416, 505, 513

_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
TOKEN = re.compile(_TOKEN)
QUOTED = re.compile(_QUOTED, re.DOTALL)
# Wider than `token` on purpose: tags and branches of deployed phones hold "=", "/", ":" and "@".
_BARE_VALUE = r'[^ \t;,"<>\r\n]+'
BARE_VALUE = re.compile(_BARE_VALUE)
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*(=)[ \t]*(?:({_QUOTED})|({_BARE_VALUE}))?)?", re.DOTALL)
_QUOTE_OR_SEMICOLON = re.compile(r'[";]')
HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+"
HOST_PORT = rf"({HOST})(?:[ \t]*:[ \t]*([0-9]{{1,{MAX_DIGITS}}}))?"
_SPECIAL = re.compile(r'["<,]')
_ESCAPED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'(["\\])')
_LINE_BREAKS = re.compile(r"[\r\n]+")

Parameters = dict[str, "str | None"]


class SipParseError(ProtocolError):
    """A SIP message or a part of it is malformed; `status` is that of the response to a request with it."""

    def __init__(self, text: str, status: int = BAD_REQUEST) -> None:
        super().__init__(text)
        self.status = status


def is_token(text: str) -> bool:
    """Say whether the whole of `text` is one token (RFC 3261 section 25.1)."""
    return TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Write `text` as a quoted string; line breaks, which no header may hold, become spaces."""
    return '"' + _TO_ESCAPE.sub(r"\\\1", _LINE_BREAKS.sub(" ", text)) + '"'


def unquote(text: str) -> str:
    """Read a quoted string, its quotes included."""
    inner = text[1:-1]
    return _ESCAPED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def split_list(text: str) -> list[str]:
    """Split at the commas, never inside quotes or <>; what is unbalanced stays whole; blank text holds no value."""
    if "," not in text:
        stripped = text.strip(LWS)
        return [stripped] if stripped else []
    if '"' not in text and "<" not in text:
        return [piece.strip(LWS) for piece in text.split(",")]
    pieces: list[str] = []
    start = position = 0
    while found := _SPECIAL.search(text, position):
        position = found.end()
        if found[0] == ",":
            pieces.append(text[start : found.start()].strip(LWS))
            start = position
        else:
            position = _closing(text, found.start())
    pieces.append(text[start:].strip(LWS))
    return pieces


def _closing(text: str, opening: int) -> int:
    if text[opening] == "<":
        return text.find(">", opening) + 1 or len(text)
    quoted = QUOTED.match(text, opening)
    return quoted.end() if quoted else len(text)


def limit_parameters(text: str, separator: str = ";") -> None:
    """SipParseError for a text with more parameters than are read, or more quotes than they may have."""
    if text.count(separator) > MAX_PARAMETERS or text.count('"') > 2 * MAX_PARAMETERS:
        raise SipParseError(f"more than {MAX_PARAMETERS} parameters")


def parse_parameters(text: str) -> Parameters:
    """Read `;name=value;flag` (RFC 3261 section 7.3.1): names in lower case, values unquoted, None for a bare name."""
    limit_parameters(text)
    parameters: Parameters = {}
    text = text.rstrip(LWS)
    position = 0
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise SipParseError(f"malformed parameters {text[position : position + 40]!r}")
        name = found[1].lower()
        if name in parameters:
            raise SipParseError(f"parameter {name!r} appears twice")
        parameters[name] = _value_of(found)
        position = found.end()
    return parameters


def _value_of(found: re.Match[str]) -> str | None:
    quoted = found[3]
    return unquote(quoted) if quoted else (found[4] or "") if found[2] else None


def read_parameters(text: str) -> Parameters:
    """Read what can be read of `;name=value;flag`, as of a field that others have written carelessly: pieces that are
    malformed are passed over, of parameters with one name the first counts. SipParseError for quotes without end, and
    for two tags: neither could be preferred."""
    limit_parameters(text)
    parameters: Parameters = {}
    for piece in _pieces(text):
        found = _PARAMETER.fullmatch(f";{piece}".rstrip(LWS))
        if found is None:
            continue
        name, value = found[1].lower(), _value_of(found)
        if parameters.setdefault(name, value) != value and name == "tag":
            raise SipParseError("two tags")
    return parameters


def _pieces(text: str) -> list[str]:
    """What stands between the semicolons, those in quotes apart."""
    pieces, start, position = [], 0, 0
    while found := _QUOTE_OR_SEMICOLON.search(text, position):
        position = found.end()
        if found[0] == ";":
            pieces.append(text[start : found.start()])
            start = position
            continue
        quoted = QUOTED.match(text, found.start())
        if quoted is None:
            raise SipParseError(f"unterminated quotes in {text[:80]!r}")
        position = quoted.end()
    return [*pieces, text[start:]]


def format_parameters(parameters: Mapping[str, str | None]) -> str:
    """Write what `parse_parameters` reads; values are quoted where they must be."""
    return "".join(f";{name}" if value is None else f";{name}={_value(value)}" for name, value in parameters.items())


def _value(value: str) -> str:
    return value if not value or BARE_VALUE.fullmatch(value) else quote(value)


def parse_port(text: str | None) -> int | None:
    """Read the digits after a host's colon; None when there are none."""
    if text is None:
        return None
    port = int(text)
    if not 0 < port <= MAX_PORT:
        raise SipParseError(f"port {text} is out of range")
    return port


def parse_host(text: str) -> str:
    """Check a host of a URI or Via and take off the brackets of an IPv6 reference."""
    if text[0] != "[":
        return text
    try:
        IPv6Address(text[1:-1])
    except ValueError:
        raise SipParseError(f"malformed IPv6 reference {text!r}") from None
    return text[1:-1]


def format_host(host: str, port: int | None = None) -> str:
    """Write a host as URIs and Via do: IPv6 in brackets, the port only if there is one."""
    text = f"[{host}]" if ":" in host and host[0] != "[" else host
    return text if port is None else f"{text}:{port}"
