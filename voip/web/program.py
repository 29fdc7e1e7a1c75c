"""What a program tells its page, and what it lets the page do: the one thing that the server knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from voip.errors import VoipError
from voip.report import CallRecord, EventLog

Arguments = Mapping[str, Any]
Command = Callable[[Arguments], None]
"""Posts what the page asks for to the thread that owns it; CommandRefused for what makes no sense."""


class CommandRefused(VoipError):
    """The page asked for something that cannot be done now; the text is for the person."""


class Download(NamedTuple):
    """A file that the page offers: its content or where that is, its name, its media type (RFC 9110 section 8.3.1).
    `length`: so many bytes of it are whole, while more are being written; None: all."""

    content: bytes | Path
    filename: str
    media_type: str
    length: int | None = None


@dataclass(frozen=True)
class Program:
    """A script as its page sees it.

    `records` may be asked by any thread, and so may `downloads`, which gives by name what can be had at present;
    `commands` are by name, too. `about` is told once, when a page opens, `state` whenever it has changed: what is of no
    single call.
    """

    name: str
    version: str
    records: Callable[[], Sequence[CallRecord]]
    events: EventLog = field(default_factory=EventLog)
    commands: Mapping[str, Command] = field(default_factory=dict)
    downloads: Callable[[], Mapping[str, Callable[[], Download]]] = dict
    about: Mapping[str, Any] = field(default_factory=dict)
    state: Callable[[], Mapping[str, Any]] = dict
