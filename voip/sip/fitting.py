"""Messages that must not be longer than some size, by short names of header fields (RFC 3261 section 7.3.3): responses
to a source that may be forged (26.1.5), and requests over UDP (18.1.1)."""

from __future__ import annotations

from collections.abc import Iterable

from voip.sip.message import Request, Response

Fields = Iterable["tuple[str, str]"]


def fits(request: Request, size: int) -> bool:
    """Whether a request has no more than `size` bytes, if need be with short names."""
    request.compact |= len(request.serialize()) > size
    return len(request.serialize()) <= size


def shorten(response: Response, size: int) -> bool:
    """Whether a response is no longer than `size` bytes, if need be without the phrase, which is for people, and with
    short names."""
    if len(response.serialize()) > size:
        response.reason = ""
    response.compact |= len(response.serialize()) > size
    return len(response.serialize()) <= size


def make_room(response: Response, fields: Fields, size: int) -> None:
    """Write a response with short names where these fields do not fit into `size` bytes else."""
    response.compact |= len(response.serialize()) + sum(_line(name, value) for name, value in fields) > size


def add_fitting(response: Response, fields: Fields, room: int) -> None:
    """Add the first of these fields, as many as have room in so many bytes."""
    for name, value in fields:
        room -= _line(name, value)
        if room < 0:
            return
        response.headers.add(name, value)


def _line(name: str, value: str) -> int:
    return len(name) + len(value) + len(": \r\n")
