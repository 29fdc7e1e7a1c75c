"""Message bodies (RFC 3261 sections 7.4 and 8.2.3, RFC 5621): which part of a message is its session description.

A body is one part, or a multipart (RFC 2046 section 5.1) of several. A description for early media apart from the
session (`early-session`, RFC 3959) is none of these.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass

from voip.sip.grammar import LWS, Parameters, SipParseError, read_parameters
from voip.sip.headers import Headers
from voip.sip.message import Request, SipMessage
from voip.sip.methods import SDP, Refusal

MAX_PARTS = 8
"""Parts of a multipart that are looked at; SDP, ISUP, location and metadata of a recording make four."""
MAX_DEPTH = 2
"""Multiparts within each other that are looked into."""
UNSUPPORTED_MEDIA_TYPE = 415
MULTIPART, ALTERNATIVE = "multipart/", "multipart/alternative"
EARLY_SESSION = "early-session"
PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
"""Transfer encodings that leave the bytes as they are (RFC 2045 section 6.2), as those of parts in SIP should (RFC 5621
section 3.2)."""
SDP_START = b"v=0"
"""How each session description begins (RFC 8866 section 5): what a body without a Content-Type is known by."""
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_LAST_LINE_END = re.compile(rb"\r?\n\Z")


@dataclass(frozen=True)
class Part:
    """A body, or a part of one; `kind` and `disposition` are in lower case, `handling` "" where it is not said."""

    kind: str
    boundary: str
    disposition: str
    handling: str
    encodings: tuple[str, ...]
    data: bytes

    @classmethod
    def of(cls, headers: Headers, data: bytes) -> Part:
        kind, parameters = _value(headers.get("Content-Type"))
        disposition, how = _value(headers.get("Content-Disposition"))
        encodings = [value.lower() for value in headers.get_all("Content-Encoding")]
        transfer = (headers.get("Content-Transfer-Encoding") or "").strip(LWS).lower()
        encoded = [value for value in encodings if value not in ("", "identity")]
        encoded += [transfer] * (transfer not in PLAIN_ENCODINGS)
        if not kind and data.removeprefix(BOM_UTF8).lstrip().startswith(SDP_START):
            kind = SDP
        handling = (how.get("handling") or "").lower()
        return cls(kind, parameters.get("boundary") or "", disposition, handling, tuple(encoded), data)

    @property
    def is_multipart(self) -> bool:
        return self.kind.startswith(MULTIPART)

    @property
    def is_session(self) -> bool:
        return self.kind == SDP and self.disposition != EARLY_SESSION and not self.encodings

    def parts(self) -> list[Part]:
        """Those of a multipart, MAX_PARTS at most; what stands before the first and after the last is a comment."""
        boundary = self.boundary.encode("utf-8", "surrogateescape")
        if not boundary:
            return []
        found: list[Part] = []
        start: int | None = None
        for delimiter in re.finditer(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?(?:\n|\Z)", self.data, re.M):
            if start is not None:
                found.append(_part(self.data[start : delimiter.start()]))
            start = delimiter.end()
            if delimiter[1] or len(found) >= MAX_PARTS:
                return found
        return found if start is None else [*found, _part(self.data[start:])]


def session_part(message: SipMessage) -> bytes:
    """The session description that a message holds; empty if it holds none."""
    return _session_of(_whole(message)) or b""


def objection_to_body(request: Request) -> Refusal | None:
    """What is against the body of a request that may hold a session description: something else that must be
    understood (RFC 3261 section 8.2.3, RFC 5621 section 8.4).

    By the letter a part that does not say how to handle it is required. Locations and metadata come without saying,
    beside a description, and the calls of those who send them are wanted: so only a part that says `required` is.
    """
    whole = _whole(request)
    if not request.body or whole.handling == "optional":
        return None
    session = _session_of(whole)
    if not whole.is_multipart:
        return None if session is not None else _refusal(whole)
    foreign = list(_foreign_parts(whole))
    required = [part for part in foreign if part.handling == "required"]
    if session is None:
        required = [part for part in foreign if part.handling != "optional"] or ([] if foreign else [whole])
    return _refusal(required[0]) if required else None


def _whole(message: SipMessage) -> Part:
    return Part.of(message.headers, message.body)


def _session_of(part: Part, depth: int = 0) -> bytes | None:
    """The description in this part: the first there is, of alternatives the last (RFC 5621 section 6.1)."""
    if part.is_session:
        return part.data
    if not part.is_multipart or part.encodings or depth >= MAX_DEPTH:
        return None
    parts = part.parts()
    ordered = reversed(parts) if part.kind == ALTERNATIVE else parts
    return next((found for inner in ordered if (found := _session_of(inner, depth + 1)) is not None), None)


def _foreign_parts(part: Part, depth: int = 0) -> Iterator[Part]:
    """What we do not understand of a multipart; one of alternatives need not be understood (RFC 5621 section 8.3)."""
    if part.kind == ALTERNATIVE and _session_of(part, depth) is not None:
        return
    for inner in part.parts():
        if inner.is_multipart and depth + 1 < MAX_DEPTH:
            yield from _foreign_parts(inner, depth + 1)
        elif not inner.is_session:
            yield inner


def _refusal(part: Part) -> Refusal:
    if part.encodings:
        encodings = ", ".join(part.encodings)
        return Refusal(UNSUPPORTED_MEDIA_TYPE, [("Accept-Encoding", "identity")], f"body is encoded: {encodings}")
    return Refusal(UNSUPPORTED_MEDIA_TYPE, [("Accept", SDP)], f"body is {part.kind or 'of no type'}")


def _part(data: bytes) -> Part:
    """A part between two delimiters, whose last line end belongs to the second (RFC 2046 section 5.1.1)."""
    blank = _LINE_END.match(data)
    end = _HEADERS_END.search(data)
    if blank is not None:
        section, body = b"", data[blank.end() :]
    else:
        section, body = (data, b"") if end is None else (data[: end.start()], data[end.end() :])
    lines = re.sub(r"\r?\n[ \t]+", " ", section.decode("utf-8", "surrogateescape")).splitlines()
    fields = (line.partition(":") for line in lines)
    headers = Headers((name.strip(LWS), value.strip(LWS)) for name, colon, value in fields if colon)
    return Part.of(headers, _LAST_LINE_END.sub(b"", body))


def _value(text: str | None) -> tuple[str, Parameters]:
    """A media type or disposition in lower case, and its parameters."""
    value, _, parameters = (text or "").partition(";")
    try:
        read = read_parameters(parameters)
    except SipParseError:
        read = {}
    return value.strip(LWS).replace(" ", "").lower(), read
