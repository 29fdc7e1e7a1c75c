"""Fuzz target of captures: no secret of a message is left in what is written to the file.

The input says which fields a message has, and what is around the secret that each holds: pieces, whose control octet
chooses the field and how its line begins and ends. What is no such field stands in the message as it is, so that whole
messages are inputs as well, and of these the parsers of the user agent, which share nothing with the patterns of
`voip.net.masking`, say what is left to be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tests.fuzz.sip import messages
from tests.fuzz.target import Target, files, joined, pieces
from voip.errors import ProtocolError
from voip.net.masking import masked
from voip.sdp import SessionDescription
from voip.sip.auth import next_nonce, parse_challenge, parse_credentials
from voip.sip.bodies import session_part
from voip.sip.message import Request, parse_message
from voip.sip.uri import SipUri

SECRET = b"Zq7kVw0pXj4s"
"""It stands in no seed, and no part of it is an `x`."""
OVERWRITTEN = frozenset("x \t")
LINE_ENDS = (b"\r\n", b"\n", b"\r\n", b"\r")
"""The last is of descriptions alone, whose parser here takes it: RFC 8866 section 5 has CRLF, and wants LF accepted."""


def _line(byte: int) -> bytes:
    """Anything, but no end of the line except one before white space (RFC 3261 section 7.3.1)."""
    return b"\r\n " if byte in b"\r\n" else bytes([byte])


def _quoted(byte: int) -> bytes:
    """What may stand in quotes (RFC 3261 section 25.1, quoted-string)."""
    return b"\\" + bytes([byte]) if byte in b'"\\' else _line(byte)


def _token(byte: int) -> bytes:
    """What may stand without quotes (RFC 3261 section 25.1, token)."""
    return bytes([byte]) if byte in _ALPHANUMERIC + b"-.!%*_+`'~" else b"."


def _key(byte: int) -> bytes:
    """What may stand in a key, of base64 or not: no white space (RFC 4568 section 9.1, VCHAR)."""
    return bytes([byte]) if 0x21 <= byte <= 0x7E else b"/"


def _text(byte: int) -> bytes:
    """What may stand in a line of a description (RFC 8866 section 9, byte-string)."""
    return b" " if byte in b"\0\r\n" else bytes([byte])


def _password(byte: int) -> bytes:
    """What may stand in the password of a URI (RFC 3261 section 25.1)."""
    return bytes([byte]) if byte in _ALPHANUMERIC + b"-_.!~*'()&=+$," else b"%%%02X" % byte


def _header_of_uri(byte: int) -> bytes:
    """What may stand in a header field of a URI (RFC 3261 section 25.1, hvalue)."""
    return bytes([byte]) if byte in _ALPHANUMERIC + b"-_.!~*'()[]/?:+$" else b"%%%02X" % byte


_ALPHANUMERIC = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Field(NamedTuple):
    """A line that holds a secret, and what may stand around that. `described`: it is one of a description."""

    before: bytes
    around: Callable[[int], bytes]
    after: bytes = b""
    described: bool = False


FIELDS = (
    Field(b"Authorization: Digest ", _line),
    Field(b"Proxy-Authorization \t:\r\n Bearer\r\n\t", _line),
    Field(b"AUTHORIZATION:", _line),
    Field(b'WWW-Authenticate: Digest realm="here", nonce="', _quoted, b'", qop="auth"'),
    Field(b'Proxy-Authenticate: Digest opaque\r\n = "', _quoted, b'", realm="there"'),
    Field(b"Authentication-Info: qop=auth, nextnonce=", _token, b", nc=00000001"),
    Field(b'Authentication-Info: rspauth="', _quoted, b'",cnonce=1'),
    Field(b"INVITE sip:bob:", _password, b"@192.0.2.1 SIP/2.0"),
    Field(b"Contact:<sips:bob:", _password, b"@[2001:db8::1]:5061;transport=tcp>;q=0.1"),
    Field(b"Refer-To: <sip:192.0.2.1?Subject=x&Authorization=", _header_of_uri, b"&a=b>"),
    Field(b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", _key, b"|2^20|1:4 KDR=0", described=True),
    Field(b"a=key-mgmt:mikey ", _key, described=True),
    Field(b"a=ice-pwd:", _key, described=True),
    Field(b"k=base64:", _text, described=True),
    Field(b"k=clear:", _text, described=True),
)


def message_of(data: bytes) -> bytes:
    """The message that an input describes."""
    return b"".join(_piece(control, piece.replace(SECRET, b"")) for control, piece in pieces(data))


def _piece(control: int, piece: bytes) -> bytes:
    number, form = control & 15, control >> 4
    end = LINE_ENDS[form & 3]
    if number >= len(FIELDS):
        return piece + (b"\r\n" if form & 1 else b"")
    field = FIELDS[number]
    if end == b"\r" and not field.described:
        end = b"\r\n"
    half = len(piece) // 2
    left, right = (b"".join(map(field.around, part)) for part in (piece[:half], piece[half:]))
    indented = b"\n \t" if form & 4 and field.described else b"\n"
    return indented + field.before + left + SECRET + right + field.after + end


def masking(data: bytes) -> None:
    """What an input describes, and the input itself."""
    found = _checked(message_of(data))
    assert SECRET not in found
    assert OVERWRITTEN.issuperset("".join(_read(_checked(data))))


def _checked(message: bytes) -> bytes:
    """The message, masked: only that has changed which is written, and nothing is left to do."""
    found = masked(message)
    assert len(found) == len(message)
    if found != message:
        new, old = (np.frombuffer(text, np.uint8) for text in (found, message))
        changed = new != old
        assert {*new[changed]} == {ord("x")}
        assert {*old[changed]}.isdisjoint(b" \t\r\n")
        assert masked(found) == found
    return found


def _read(message: bytes) -> Iterator[str]:
    """Each secret that our own parsers read: out of a message with its description, or a description alone."""
    description = message
    with contextlib.suppress(ProtocolError):
        parsed = parse_message(message)
        description = session_part(parsed)
        uris = [party.uri for party in (parsed.from_, parsed.to)] + (
            [parsed.uri] if isinstance(parsed, Request) else []
        )
        yield from (uri.password or "" for uri in uris if isinstance(uri, SipUri))
        for name in ("WWW-Authenticate", "Proxy-Authenticate"):
            yield from (_of_challenge(line) for line in parsed.headers.lines(name))
        for name in ("Authorization", "Proxy-Authorization"):
            yield from (_of_credentials(line) for line in parsed.headers.lines(name))
        yield from (next_nonce(line) or "" for line in parsed.headers.lines("Authentication-Info"))
    with contextlib.suppress(ProtocolError):
        found = SessionDescription.parse(description)
        for media in found.media:
            yield from found.values(media, "ice-pwd")
            keys = (part for value in found.values(media, "crypto") for part in value.split())
            yield from (key.removeprefix("inline:") for key in keys if key.startswith("inline:"))


def _of_challenge(line: str) -> str:
    with contextlib.suppress(ProtocolError):
        found = parse_challenge(line)
        return found.nonce + (found.opaque or "")
    return ""


def _of_credentials(line: str) -> str:
    with contextlib.suppress(ProtocolError):
        found = parse_credentials(line)
        return found.response + found.nonce + found.cnonce
    return ""


def seeds() -> Sequence[bytes]:
    fields = [joined((number | form << 4, b'ab "\\\r\n;@')) for number in range(len(FIELDS)) for form in (0, 1, 7)]
    other = len(FIELDS)
    mixed = [
        joined((other, each[:600]), *((number | 16, b"x=") for number in range(3, len(FIELDS), 4)))
        for each in messages()
    ]
    return [*fields, *mixed, *messages(), *files("sdp/*.sdp")]


TARGETS = (Target("masking", masking, seeds, 3000, kept=40),)
