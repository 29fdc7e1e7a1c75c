"""SIP messages to send in tests: a good INVITE and its variations; and how they are read."""

from __future__ import annotations

from voip.sip.message import Request, Response, parse_message

FIELDS = {
    "Via": "SIP/2.0/UDP caller.example.com:5070;branch=z9hG4bK776asdhds;rport",
    "Max-Forwards": "70",
    "From": '"Ann" <sip:ann@example.com>;tag=1928301774',
    "To": "Bob <sip:bob@example.com>",
    "Call-ID": "a84b4c76e66710@caller.example.com",
    "CSeq": "314159 INVITE",
    "Contact": "<sip:ann@caller.example.com:5070>",
}


def build(
    start: str = "INVITE sip:bob@example.com SIP/2.0",
    fields: dict[str, str | None] | None = None,
    *more: str,
    body: bytes = b"",
) -> bytes:
    """A good INVITE with its start line or some fields replaced (None: left out), and with further lines."""
    values: dict[str, str | None] = {**FIELDS, **(fields or {})}
    lines = [start, *(f"{name}: {value}" for name, value in values.items() if value is not None), *more]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def parse_request(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def parse_response(data: bytes) -> Response:
    message = parse_message(data)
    assert isinstance(message, Response)
    return message
