"""SIP messages: bytes to Request or Response and back (RFC 3261 sections 7, 8.2.6, 18.3 and 20)."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from voip.sip.grammar import (
    BAD_REQUEST,
    LWS,
    MAX_DIGITS,
    MESSAGE_TOO_LARGE,
    VERSION_NOT_SUPPORTED,
    SipParseError,
    is_token,
)
from voip.sip.headers import COMPACT_NAMES, CSeq, Headers, Via, canonical_name
from voip.sip.uri import NameAddr, SipUri, parse_target, parse_uri, read_uri, uri_equal

__all__ = [
    "REASONS",
    "CSeq",
    "Headers",
    "NameAddr",
    "Request",
    "Response",
    "SipMessage",
    "SipParseError",
    "SipUri",
    "Via",
    "parse_message",
    "parse_target",
    "salvage",
    "uri_equal",
]

MAX_MESSAGE = 65536  # bytes of a datagram
MAX_HEADER_SECTION = MAX_MESSAGE - len("\r\n\r\n")
"""Bytes from the start line to the empty line: no less than a message may have."""
MAX_HEADERS = 1000
"""Lines: a request that has passed many proxies has some hundred (Via, Record-Route, History-Info)."""
MAX_VALUES = 200
"""Of a list whose values are taken apart (Via, Contact, Record-Route): Max-Forwards is mostly 70."""
MAX_CALL_ID = 1000
"""Characters: it is kept with each call, also when that is over. Real ones have up to some hundred."""
MAX_FORWARDS = "70"
"""Of requests of ours (8.1.1.6)."""
MAX_MAX_FORWARDS = 255  # RFC 3261 section 20.22
DEFAULT_MAX_FORWARDS = 70
VERSION = "SIP/2.0"

# RFC 3261 section 21, RFC 3262, 3265, 3329, 3903, 4028, 4412, 5393, 6442.
REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    204: "No Notification",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    417: "Unknown Resource-Priority",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    433: "Anonymity Disallowed",
    469: "Bad Info Package",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
}

_Value = TypeVar("_Value")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\n[ \t]+")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_STATUS = re.compile(r"[1-6][0-9][0-9]")
_NUMBER = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")
_MANDATORY = ("From", "To", "Call-ID", "CSeq")
_AT_MOST_ONCE = ("Content-Length", "Content-Type")
_NEED_CONTACT = ("INVITE", "REGISTER", "SUBSCRIBE", "REFER")
"""Requests outside of dialogs that are of no use without their Contact."""
_ANSWER_COPIES = ("From", "To", "Call-ID", "CSeq")
_SALVAGED = ("Via", *_ANSWER_COPIES, "Timestamp")
# The good beginning of a Via that goes wrong later: up to a parameter, or at least sent-by.
_VIA_BEGINNING = re.compile(r"[^;,\"]+(?:;[^;,=\" ]+(?:=[^;,=\" ]+)?)*")
_VIA_SENT_BY = re.compile(r"[^;,\"]+")


class SipMessage(ABC):
    """What requests and responses share; the typed helpers raise SipParseError (a ProtocolError) if malformed.

    What a call does not need may be malformed: lists leave out what cannot be read of them, and `passed_over` says what
    that was.
    """

    __slots__ = ()

    headers: Headers
    body: bytes
    passed_over: list[str]

    @property
    def via(self) -> list[Via]:
        """The top one, which is needed, and those of the others that can be read."""
        values = self.headers.get_all("Via")
        return [self._top_via(values[0]), *_readable(values[1:], Via.read)] if values else []

    @property
    def hops(self) -> int:
        """How many Via values there are, whether they can be read or not."""
        return len(self.headers.get_all("Via"))

    @abstractmethod
    def _top_via(self, value: str) -> Via:
        """The value that says where a response goes."""

    @property
    def from_(self) -> NameAddr:
        return NameAddr.read(self._one("From"), opaque=True)

    @property
    def caller(self) -> str:
        """The URI of From as text, for people to read; "" where it cannot be read."""
        try:
            return str(self.from_.uri)
        except SipParseError:
            return ""

    @property
    def to(self) -> NameAddr:
        return NameAddr.read(self._one("To"), opaque=True)

    @property
    def contacts(self) -> list[NameAddr]:
        """The Contact values; the single `*` of a REGISTER has "*" as its URI."""
        values = self.headers.get_all("Contact")
        return [NameAddr("*")] if values == ["*"] else _readable(values, NameAddr.read)

    @property
    def cseq(self) -> CSeq:
        return CSeq.parse(self._one("CSeq"))

    @property
    def call_id(self) -> str:
        call_id = self._one("Call-ID")
        if not call_id or len(call_id) > MAX_CALL_ID:
            raise SipParseError(
                "an empty Call-ID" if not call_id else f"a Call-ID of more than {MAX_CALL_ID} characters"
            )
        return call_id  # compared byte by byte, and never taken apart

    @property
    def routes(self) -> list[NameAddr]:
        return _readable(self.headers.get_all("Route"), NameAddr.read_route)

    @property
    def record_routes(self) -> list[NameAddr]:
        return _readable(self.headers.get_all("Record-Route"), NameAddr.read_route)

    @property
    def max_forwards(self) -> int:
        """Max-Forwards, 70 where it is absent or cannot be read."""
        text = self.headers.get("Max-Forwards")
        return DEFAULT_MAX_FORWARDS if text is None or not _is_number(text, MAX_MAX_FORWARDS) else int(text)

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters: "application/sdp"; "" if it is not said."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip(LWS).replace(" ", "").lower()

    @abstractmethod
    def start_line(self) -> str:
        """The first line, without its end."""

    @abstractmethod
    def _names(self) -> Mapping[str, str]:
        """How the names of header fields are written, where not in full."""

    def serialize(self) -> bytes:
        """The bytes to send; Content-Length is that of the body, in its place or last."""
        length, names = str(len(self.body)), self._names()
        lines = [self.start_line()]
        missing = True
        for name, value in self.headers:
            if name == "Content-Length":
                missing, value = False, length
            lines.append(f"{names.get(name, name)}: {value}")
        if missing:
            lines.append(f"{names.get('Content-Length', 'Content-Length')}: {length}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + self.body

    def _one(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise SipParseError(f"no {name}")
        return value


@dataclass(slots=True)
class Request(SipMessage):
    """A request; `uri` is its text where the scheme is neither sip nor sips. `compact` as for `Response`."""

    method: str
    uri: SipUri | str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    passed_over: list[str] = field(default_factory=list, compare=False, repr=False)
    compact: bool = field(default=False, compare=False, repr=False)

    def _top_via(self, value: str) -> Via:
        return Via.parse(value)

    def start_line(self) -> str:
        return f"{self.method} {self.uri} {VERSION}"

    def _names(self) -> Mapping[str, str]:
        return COMPACT_NAMES if self.compact else {}

    def response(self, status: int, reason: str | None = None, to_tag: str | None = None) -> Response:
        """The response with what RFC 3261 section 8.2.6 copies: all Via, From, To (with `to_tag` unless it has a tag),
        Call-ID, CSeq, and for 100 the Timestamp. Fields that a salvaged request lacks are left out."""
        headers = Headers()
        for value in self.headers.lines("Via"):
            headers.add("Via", value)
        for name in (*_ANSWER_COPIES, "Timestamp") if status == 100 else _ANSWER_COPIES:
            text = self.headers.get(name)
            if text is not None:
                headers.add(name, _tagged(text, to_tag) if name == "To" and to_tag else text)
        phrase = REASONS.get(status, "Unknown") if reason is None else " ".join(reason.split())
        return Response(status, phrase, headers)


def _tagged(to: str, tag: str) -> str:
    try:
        tagged = "tag" in NameAddr.read(to, opaque=True).params
    except SipParseError:
        tagged = False
    return to if tagged else f"{to};tag={tag}"


@dataclass(slots=True)
class Response(SipMessage):
    """A response; `reason` is for people, `status` (100 to 699) for programs. `compact`: it is written with the short
    names of header fields (section 7.3.3)."""

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    passed_over: list[str] = field(default_factory=list, compare=False, repr=False)
    compact: bool = field(default=False, compare=False, repr=False)

    @property
    def to_line(self) -> str:
        """To as requests repeat it (sections 12.1.2, 17.1.1.3): as it came, but for a tag without a value, with which
        they would be refused."""
        to = self.to
        if to.tag or "tag" not in to.params:
            return self.headers.lines("To")[0]
        return str(replace(to, params={name: value for name, value in to.params.items() if name != "tag"}))

    def _top_via(self, value: str) -> Via:
        return Via.read(value)

    def start_line(self) -> str:
        return f"{VERSION} {self.status} {self.reason}"

    def _names(self) -> Mapping[str, str]:
        return COMPACT_NAMES if self.compact else {}


def parse_message(data: bytes, *, stream: bool = False) -> Request | Response:
    """Read one datagram; SipParseError (a ProtocolError, `.status` is for the response to a request) and nothing else.

    `stream`: it came by a connection, where only Content-Length says how long it is.
    """
    if len(data) > MAX_MESSAGE:
        raise SipParseError("message of more than 64 kB", MESSAGE_TOO_LARGE)
    data = data.lstrip(b"\r\n")
    end = _HEADER_END.search(data, 0, MAX_HEADER_SECTION + 4)
    if end is None or end.start() > MAX_HEADER_SECTION:
        status = MESSAGE_TOO_LARGE if len(data) > MAX_HEADER_SECTION else BAD_REQUEST
        raise SipParseError(f"no end of the headers within {MAX_HEADER_SECTION} bytes", status)
    lines = _unfold(data[: end.start()]).split("\n")
    if len(lines) > MAX_HEADERS + 1:
        raise SipParseError(f"more than {MAX_HEADERS} headers", MESSAGE_TOO_LARGE)
    message = _parse_start_line(lines[0])
    message.headers = Headers.of_wire(_parse_headers(lines[1:], message.passed_over))
    _check_fields(message)
    message.body = _cut_body(message, data[end.end() :], stream)
    return message


def _unfold(section: bytes) -> str:
    """The header section as text with "\\n" line ends and folded lines joined (RFC 3261 section 7.3.1)."""
    text = section.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    return _FOLD.sub(" ", text) if "\n " in text or "\n\t" in text else text


def _parse_start_line(line: str) -> Request | Response:
    if line[:4].upper() == "SIP/":
        return _parse_status_line(line)
    parts = line.split(" ")
    if len(parts) != 3 or not is_token(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise SipParseError(f"malformed request line {line[:80]!r}")
    method, uri, version = parts
    if version.upper() != VERSION:
        raise SipParseError(f"unknown version {version[:20]!r}", VERSION_NOT_SUPPORTED)
    passed_over = []
    try:
        target = parse_uri(uri)
    except SipParseError as error:
        target = read_uri(uri)  # its parameters are for whom it passed on the way here
        passed_over.append(f"in the request URI: {error}")
    if isinstance(target, SipUri) and target.headers:
        raise SipParseError("headers in the request URI")
    return Request(method, target, passed_over=passed_over)


def _parse_status_line(line: str) -> Response:
    version, _, rest = line.partition(" ")
    status, _, reason = rest.partition(" ")
    if version.upper() != VERSION:
        raise SipParseError(f"unknown version {version[:20]!r}", VERSION_NOT_SUPPORTED)
    if not _STATUS.fullmatch(status):
        raise SipParseError(f"malformed status line {line[:80]!r}")
    return Response(int(status), reason)


def _parse_headers(lines: list[str], passed_over: list[str]) -> list[tuple[str, str]]:
    """Name and value of each line. One that is none (no colon, no name, a CR within) is passed over: what a call needs
    is missed soon enough."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(LWS)
        if colon and is_token(name) and "\r" not in value:
            fields.append((canonical_name(name), value.strip(LWS)))
        else:
            passed_over.append(f"no header field: {line[:80]!r}")
    return fields


def _check_fields(message: Request | Response) -> None:
    """What every message must hold, well-formed and once (RFC 3261 section 8.1.1)."""
    _check_numbers_of_fields(message)
    _check_vias(message)
    cseq, _ = message.cseq, message.call_id
    if isinstance(message, Request) and cseq.method != message.method:
        raise SipParseError(f"CSeq is of {cseq.method[:40]!r}, the request is {message.method[:40]!r}")
    for name in ("From", "To"):
        _check_party(message, name)
    max_forwards = message.headers.get("Max-Forwards")
    if max_forwards is not None and not _is_number(max_forwards, MAX_MAX_FORWARDS):
        message.passed_over.append(f"Max-Forwards {max_forwards[:40]!r}")
    # The rest is looked at only where it is: they decide where the next request goes.
    _check_places(message)


def _check_vias(message: Request | Response) -> None:
    if not message.via:
        raise SipParseError("no Via")
    _note_malformed(message, "Via", message.headers.get_all("Via"), Via.parse)


def _check_numbers_of_fields(message: Request | Response) -> None:
    """A response that says the same twice is read, as dropping it would leave the request without one."""
    for name in ("Via", "Contact", "Record-Route"):
        if len(message.headers.get_all(name)) > MAX_VALUES:
            raise SipParseError(f"more than {MAX_VALUES} values of {name}", MESSAGE_TOO_LARGE)
    names = [name for name, _ in message.headers]
    for name in _MANDATORY:
        count = names.count(name)
        if count == 0:
            raise SipParseError(f"no {name}")
        if count > 1 and (isinstance(message, Request) or len(set(message.headers.lines(name))) > 1):
            raise SipParseError(f"more than one {name}")
    for name in _AT_MOST_ONCE:
        if names.count(name) > 1 and isinstance(message, Request):
            raise SipParseError(f"more than one {name}")


def _check_party(message: Request | Response, name: str) -> None:
    """From or To: the tag is what counts. Nothing is sent to its URI, so that need not be one."""
    text = message.headers.get(name) or ""
    try:
        party = NameAddr.parse(text)
    except SipParseError as error:
        party = NameAddr.read(text, opaque=True)
        message.passed_over.append(f"in {name}: {error}")
    if "tag" in party.params and not party.tag and isinstance(message, Request):
        raise SipParseError("a tag without a value")


def _check_places(message: Request | Response) -> None:
    """Contact and Record-Route, which later requests go to: a request that makes a dialog is refused without them, as
    none would arrive. In all else they may be malformed; a 2xx has to be acknowledged whatever it says."""
    begins = isinstance(message, Request) and message.method in _NEED_CONTACT and not message.to.tag
    contacts = message.headers.get_all("Contact")
    if begins and "*" in contacts and len(contacts) > 1:
        raise SipParseError("Contact * beside others")
    if contacts != ["*"] and _note_malformed(message, "Contact", contacts) and begins and not message.contacts:
        raise SipParseError(f"malformed Contact {', '.join(contacts)[:80]!r}")
    routes = message.headers.get_all("Record-Route")
    if _note_malformed(message, "Record-Route", routes) and begins and len(message.record_routes) < len(routes):
        raise SipParseError(f"malformed Record-Route {', '.join(routes)[:80]!r}")


def _note_malformed(
    message: Request | Response, name: str, values: list[str], parse: Callable[[str], object] = NameAddr.parse
) -> bool:
    """Whether some of these values break the grammar; if so, they are noted."""
    problems = [problem for value in values if (problem := _problem(parse, value))]
    message.passed_over += [f"in {name}: {problem}" for problem in problems]
    return bool(problems)


def _problem(parse: Callable[[str], object], value: str) -> str:
    """What `parse` has against a value, "" if nothing."""
    try:
        parse(value)
    except SipParseError as error:
        return str(error)
    return ""


def _cut_body(message: Request | Response, rest: bytes, stream: bool) -> bytes:
    """The body by Content-Length (RFC 3261 section 18.3); the field is made to say what was taken."""
    headers = message.headers
    lengths = set(headers.lines("Content-Length"))
    text = lengths.pop() if len(lengths) == 1 else None
    if stream and text is None:
        raise SipParseError("no Content-Length")
    if text is None or not (stream or isinstance(message, Request) or _is_number(text, MAX_MESSAGE)):
        if text is not None or lengths:
            message.passed_over.append("Content-Length")  # a datagram says how long it is
        length = len(rest)
    else:
        length = _parse_number("Content-Length", text, MAX_MESSAGE)
    if length > len(rest):
        raise SipParseError(f"Content-Length {length}, but {len(rest)} bytes are there")
    headers.set("Content-Length", str(length))
    return rest[:length]


def _is_number(text: str, largest: int) -> bool:
    return _NUMBER.fullmatch(text) is not None and int(text) <= largest


def _parse_number(name: str, text: str, largest: int) -> int:
    if not _is_number(text, largest):
        raise SipParseError(f"{name} {text[:40]!r} is not a number up to {largest}")
    return int(text)


def _readable(values: list[str], read: Callable[[str], _Value]) -> list[_Value]:
    """What `read` makes of those values that it can."""
    found = []
    for value in values[:MAX_VALUES]:
        with contextlib.suppress(SipParseError):
            found.append(read(value))
    return found


def salvage(data: bytes) -> Request | None:
    """From a malformed request keep what it takes to refuse it: Via, From, To, Call-ID, CSeq as far as they are there.

    None where no response is possible or allowed: responses, ACK, no CSeq, no usable top Via.
    The fields kept are not checked: use `response()` only.
    """
    section = data[:MAX_HEADER_SECTION].lstrip(b"\r\n")
    end = _HEADER_END.search(section)
    text = section[: end.start() if end else len(section)].decode("utf-8", "surrogateescape")
    lines = _FOLD.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    method, _, uri = lines[0].strip(LWS).partition(" ")
    uri, _, version = uri.strip(LWS).rpartition(" ")
    if not is_token(method) or method == "ACK" or not _VERSION.fullmatch(version):
        return None
    headers = _salvage_headers(lines[1 : MAX_HEADERS + 1])
    if "CSeq" not in headers or not _salvage_via(headers):
        return None
    return Request(method, uri.strip(LWS), headers)


def _salvage_headers(lines: list[str]) -> Headers:
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        name = canonical_name(name.rstrip(LWS))
        if colon and name in _SALVAGED and (name == "Via" or name not in headers):
            headers.add(name, value.strip(LWS))
    return headers


def _salvage_via(headers: Headers) -> bool:
    """Leave the Via lines as they are if the first value can be read; else cut it to what can be and drop the rest."""
    top = headers.get("Via")
    if not top:
        return False
    if _is_via(top):
        return True
    for pattern in (_VIA_BEGINNING, _VIA_SENT_BY):
        found = pattern.match(top)
        if found and _is_via(found[0].rstrip(LWS)):
            headers.set("Via", found[0].rstrip(LWS))
            return True
    return False


def _is_via(text: str) -> bool:
    try:
        Via.parse(text)
    except SipParseError:
        return False
    return True
