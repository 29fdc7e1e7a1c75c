"""SIP and SIPS URIs (RFC 3261 section 19.1), and URIs with a name (20.10): reading, writing, comparing, and the target
of a command line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from voip.sip.grammar import (
    HOST,
    LWS,
    MAX_DIGITS,
    QUOTED,
    Parameters,
    SipParseError,
    format_host,
    format_parameters,
    limit_parameters,
    parse_host,
    parse_parameters,
    parse_port,
    quote,
    read_parameters,
    unquote,
)

# Beyond the grammar "#" and what is not ASCII are let through in the user part: telephones send both unescaped.
_USER_SAFE = "-_.!~*'()&=+$,;?/"
_USER = r"[A-Za-z0-9\-_.!~*'()&=+$,;?/#%\x80-\U0010ffff]+"
_PASSWORD = r"[A-Za-z0-9\-_.!~*'()&=+$,%]*"
_PARAMETER_TEXT = r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$%\x80-\U0010ffff]+"
_HEADER_TEXT = r"[A-Za-z0-9\-_.!~*'()\[\]/?:+$%=&]+"
# Not with IGNORECASE, which walks through all of Unicode: 10 ms of each start.
_SIP_URI = re.compile(
    rf"([Ss][Ii][Pp][Ss]?):(?:({_USER})(?::({_PASSWORD}))?@)?({HOST})(?::([0-9]{{1,{MAX_DIGITS}}}))?"
    rf"((?:;{_PARAMETER_TEXT}(?:={_PARAMETER_TEXT})?)*)(?:\?({_HEADER_TEXT}))?",
)
_OTHER_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):[^\s<>\"]+")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# The display name is tokens or a quoted string. Unquoted anything is tolerated that cannot be taken for another part of
# the field: "Sales (Berlin)", a number with a slash, a name that is not ASCII.
_DISPLAY = re.compile(r"[^\"<>;,\x00-\x08\x0a-\x1f\x7f]*")
_DISPLAY_OR_COMMAS = re.compile(rf"{_DISPLAY.pattern}|[^\"<>;:@\x00-\x08\x0a-\x1f\x7f]*")  # "Doe, John"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_OPAQUE = re.compile(r"[^\s<>\"](?:[^<>\"\x00-\x1f\x7f]*[^\s<>\"])?")
_OTHER_VALUE = re.compile(r"[<>,]")
_URI_PARAMETER = re.compile(rf"{_PARAMETER_TEXT}(?:={_PARAMETER_TEXT})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
# RFC 3261 section 19.1.4: a parameter in only one of two URIs is ignored, but not one of these.
_DECISIVE_PARAMETERS = ("user", "ttl", "method", "maddr", "transport")


@dataclass(slots=True)
class SipUri:
    """A sip: or sips: URI. Its parts are as on the wire (escapes kept, so that it is sent back unchanged); IPv6 hosts
    are held without their brackets. Names of parameters are in lower case; None is the value of one without "="."""

    scheme: str = "sip"
    user: str | None = None
    host: str = ""
    port: int | None = None
    params: Parameters = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Read a URI; SipParseError (a ProtocolError) if it is not a well-formed sip: or sips: URI."""
        found = _SIP_URI.fullmatch(text)
        if found is None or ("%" in text and _BROKEN_ESCAPE.search(text)):
            raise SipParseError(f"malformed SIP URI {text[:80]!r}")
        scheme, user, password, host, port, params, headers = found.groups()
        return cls(
            scheme.lower(),
            user,
            parse_host(host),
            parse_port(port),
            _parse_uri_parameters(params) if params else {},
            _parse_uri_headers(headers) if headers else {},
            password,
        )

    @property
    def username(self) -> str:
        """The user part with its escapes decoded, for people to read; "" if there is none."""
        return percent_decode(self.user or "", errors="surrogateescape")

    @property
    def host_port(self) -> str:
        """`host` or `host:port`, IPv6 in brackets."""
        return format_host(self.host, self.port)

    def __str__(self) -> str:
        userinfo = ""
        if self.user is not None:
            userinfo = self.user + ("@" if self.password is None else f":{self.password}@")
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items())
        headers = "&".join(f"{name}={value}" for name, value in self.headers.items())
        return f"{self.scheme}:{userinfo}{self.host_port}{params}{'?' + headers if headers else ''}"


def _parse_uri_parameters(text: str) -> Parameters:
    """A parameter that is merely repeated is taken once: baresip adds the transport of its account to what is dialled.

    RFC 3261 section 19.1.1 allows no second one; of two that differ neither can be preferred.
    """
    limit_parameters(text)
    params: Parameters = {}
    for piece in text[1:].split(";"):
        name, equals, value = piece.partition("=")
        name = name.lower()
        if params.get(name, value if equals else None) != (value if equals else None):
            raise SipParseError(f"URI parameter {name!r} appears twice")
        params[name] = value if equals else None
    return params


def _parse_uri_headers(text: str) -> dict[str, str]:
    limit_parameters(text, "&")
    headers = {}
    for piece in text.split("&"):
        name, equals, value = piece.partition("=")
        if not name or not equals:
            raise SipParseError(f"malformed header {piece!r} in a URI")
        headers[name] = value
    return headers


def parse_uri(text: str) -> SipUri | str:
    """Read any URI: a SipUri for sip: and sips:, the text itself for another scheme; SipParseError otherwise."""
    if text[:4].lower() in ("sip:", "sips"):
        found = _OTHER_URI.fullmatch(text)
        if found is None or found[1].lower() in ("sip", "sips"):
            return SipUri.parse(text)
        return text
    if _OTHER_URI.fullmatch(text) is None:
        raise SipParseError(f"malformed URI {text[:80]!r}")
    return text


@dataclass(slots=True)
class NameAddr:
    """A URI with a display name and header parameters, as in From, To, Contact and Route (RFC 3261 section 20.10)."""

    uri: SipUri | str
    display: str = ""
    params: Parameters = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Read one value, `"name" <uri>;params` or `uri;params`; SipParseError if it is malformed."""
        display, uri, parameters = _split_name_addr(text)
        return cls(parse_uri(uri), display, parse_parameters(parameters) if parameters else {})

    @classmethod
    def read(cls, text: str, *, opaque: bool = False) -> NameAddr:
        """As `parse`, but parameters that are malformed are passed over, in the URI too; SipParseError where what is
        left is none. `opaque`: the URI need not be one, as nothing is sent to it, and the name may have commas, as the
        field is no list."""
        display, uri, parameters = _split_name_addr(text, _DISPLAY_OR_COMMAS if opaque else _DISPLAY)
        params = read_parameters(parameters)
        if _OTHER_VALUE.search(QUOTED.sub("", parameters)):
            raise SipParseError(f"more than one value in {text[:80]!r}")
        try:
            return cls(read_uri(uri), display, params)
        except SipParseError:
            if not opaque or _OPAQUE.fullmatch(uri) is None or not ("@" in uri or ":" in uri):
                raise
        return cls(uri, display, params)

    @classmethod
    def read_route(cls, text: str) -> NameAddr:
        """As `read`, of Record-Route: <> must be there, but where they are not the parameters are of the URI (lr)."""
        if "<" not in text and '"' not in text:
            with contextlib.suppress(SipParseError):
                return cls(parse_uri(text.strip(LWS)))
        return cls.read(text)

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_parameters(self.params)}"


def _split_name_addr(text: str, name: re.Pattern[str] = _DISPLAY) -> tuple[str, str, str]:
    """Display name, URI and parameters as text (RFC 3261 section 20.10); `name`: what a name without quotes may be."""
    text = text.strip(LWS)
    display, rest = "", text
    if text.startswith('"'):
        quoted = QUOTED.match(text)
        if quoted is None:
            raise SipParseError(f"unterminated quotes in {text[:80]!r}")
        display, rest = unquote(quoted[0]), text[quoted.end() :].lstrip(LWS)
        if not rest.startswith("<"):
            raise SipParseError(f"no <URI> after the name in {text[:80]!r}")
    before, opening, inside = rest.partition("<")
    if not opening or (";" in before and _SCHEME.match(before)):  # a "<" in a parameter's quotes opens no URI
        return _split_bare(rest)
    if name.fullmatch(before) is None:
        raise SipParseError(f"malformed display name {before[:80]!r}")
    uri, closing, parameters = inside.partition(">")
    if not closing:
        raise SipParseError(f"unterminated <URI> in {text[:80]!r}")
    return display or before.strip(LWS), uri, parameters


def _split_bare(text: str) -> tuple[str, str, str]:
    # Without <>, everything from the first ";" on belongs to the header, and "?" and "," may not appear.
    end = text.find(";")
    uri, parameters = (text, "") if end < 0 else (text[:end].rstrip(LWS), text[end:])
    if "?" in uri or "," in uri:
        raise SipParseError(f"a URI that needs <> has none: {text[:80]!r}")
    return "", uri, parameters


def read_uri(text: str) -> SipUri | str:
    """A URI, if need be without those of its parameters that are malformed, and without repeated ones."""
    with contextlib.suppress(SipParseError):
        return parse_uri(text)
    limit_parameters(text)
    user, at, place = text.rpartition("@")
    host, *pieces = place.partition("?")[0].split(";")
    kept: dict[str, str] = {}
    for piece in pieces:
        if _URI_PARAMETER.fullmatch(piece):
            kept.setdefault(piece.partition("=")[0].lower(), piece)
    return parse_uri(user + at + ";".join([host, *kept.values()]))


def uri_equal(a: SipUri | str, b: SipUri | str) -> bool:
    """Compare by RFC 3261 section 19.1.4. URIs of other schemes are the same only if their text is."""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return (
        (a.scheme, a.host.lower(), a.port) == (b.scheme, b.host.lower(), b.port)
        and _normal(a.user) == _normal(b.user)
        and _normal(a.password) == _normal(b.password)
        and _same_parameters(a.params, b.params)
        and _normal_items(a.headers) == _normal_items(b.headers)
    )


def _normal(text: str | None) -> str | None:
    """Escapes of unreserved characters mean the same as the characters; those of others only as the same escapes."""
    return text if text is None else _ESCAPE.sub(_normal_escape, text)


def _normal_escape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _normal_items(values: Mapping[str, str | None]) -> dict[str, str]:
    return {(_normal(name) or "").lower(): (_normal(value) or "").lower() for name, value in values.items()}


def _same_parameters(a: Parameters, b: Parameters) -> bool:
    left, right = _normal_items(a), _normal_items(b)
    if any((name in left) != (name in right) for name in _DECISIVE_PARAMETERS):
        return False
    return all(left[name] == right[name] for name in left.keys() & right.keys())


def parse_target(text: str) -> SipUri:
    """Read the target of a command line: host, host:port, [v6]:port, a bare IPv6 address, user@host or a SIP URI.

    ValueError, with one line for the user, for anything else.
    """
    target = text.strip()
    problem = ValueError(f"{text!r} is not a SIP address; write host, host:port, user@host or sip:user@host:port")
    scheme = target.partition(":")[0].lower()
    if scheme not in ("sip", "sips") or target.lower() == scheme:
        if "://" in target or scheme in ("tel", "urn", "mailto"):
            raise ValueError(f"{text!r}: only sip: and sips: addresses can be called")
        target = "sip:" + _complete(target)
    try:
        uri = SipUri.parse(target)
    except SipParseError:
        raise problem from None
    if uri.headers:
        raise ValueError(f"{text!r}: headers in a SIP address are not supported; leave out all from the '?' on")
    return uri


def _complete(target: str) -> str:
    user, at, host = target.rpartition("@")
    with contextlib.suppress(ValueError):  # raised for a name, an IPv4 address, or a port: all as they are
        host = f"[{IPv6Address(host)}]"
    return percent_encode(user, safe=_USER_SAFE + "%:") + at + host
