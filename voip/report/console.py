"""The console: talk goes to stderr, data (JSON Lines) to stdout.

Only the main thread writes, the others hand their lines over.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
from collections.abc import Callable
from typing import Any, TextIO

from voip.printable import printable
from voip.report.objects import SCHEMA, call_object
from voip.report.record import CallRecord
from voip.report.status import status_line
from voip.report.text import text_report
from voip.rtp import RtpPacket

PACKETS_SHOWN = 2
"""Verbosity (-vv) from which on every packet has its line."""


class Console:
    """Lines for people on stderr and JSON Lines on stdout. Any thread may hand over, `pump` (main thread) writes."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        verbosity: int = 0,
        as_json: bool = False,
        talk: TextIO | None = None,
        data: TextIO | None = None,
    ) -> None:
        self._clock, self._begin = clock, clock()
        self._verbosity, self._json = verbosity, as_json
        self._talk, self._data = talk or sys.stderr or _nowhere(), data or sys.stdout or _nowhere()
        self._lines: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._terminal = self._talk.isatty() and verbosity >= 0
        self._status_shown = False

    def say(self, level: int, text: str) -> None:
        """A line for people, shown from `-v` (1) or `-vv` (2) on; 0 always, unless `-q`."""
        if level <= self._verbosity:
            self._lines.put(lambda: self._write(text))

    @property
    def shows_packets(self) -> bool:
        """Whether `packet` is worth calling: `-vv`."""
        return self._verbosity >= PACKETS_SHOWN

    def packet(self, verb: str, packet: RtpPacket) -> None:
        """A line for one packet."""
        self.say(
            PACKETS_SHOWN,
            f"{verb} PT {packet.payload_type:3} seq {packet.sequence_number:5} time {packet.timestamp:10} "
            f"{len(packet.payload):4} bytes{' marker' if packet.marker else ''}",
        )

    def error(self, text: str) -> None:
        """A line that is shown even with `-q`."""
        self._lines.put(lambda: self._write(text))

    def event(self, name: str, text: str | None, *, call_id: str | None = None, **fields: object) -> None:
        """Something that happened: JSON with `--json`, `text` (if any) for people."""
        if self._json:
            moment = round(self._clock() - self._begin, 3)
            line = {"schema": SCHEMA, "t": moment, "event": name, "call_id": call_id, **fields}
            self._lines.put(lambda: self._write_json(line))
        if text is not None:
            self.say(0, text)

    def warning(self, cause: str, text: str, *, call_id: str | None = None) -> None:
        """Something is wrong though the program goes on: `cause` is one word for programs, `text` says what to do."""
        self.event("warning", text, call_id=call_id, cause=cause, message=text)

    def call_ended(self, call: CallRecord) -> None:
        """The end of a call, with its report."""
        text = text_report(call) if call.rx or call.tx else None
        self.event("ended", text, call_id=call.call_id, end_reason=call.end_reason, duration_s=round(call.duration, 3))

    def statistics(self, calls: tuple[CallRecord, ...]) -> None:
        """The regular `stats` events of running calls."""
        for call in calls:
            if call.media is not None and call.end_reason is None:
                self.event("stats", None, **call_object(call))

    def status(self, calls: tuple[CallRecord, ...]) -> None:
        """Redraw the status line; nothing off a terminal. Main thread only."""
        running = [call for call in calls if call.media is not None and call.end_reason is None]
        if self._terminal and running:
            _put(self._talk, f"\r{printable(status_line(running[-1]))[:79]}\x1b[K")
            self._status_shown = True

    def pump(self) -> None:
        """Write what was handed over. Main thread only."""
        while True:
            try:
                write = self._lines.get_nowait()
            except queue.Empty:
                return
            write()

    def _write(self, text: str) -> None:
        erase = "\r\x1b[K" if self._status_shown else ""
        self._status_shown = False
        _put(self._talk, f"{erase}{printable(text)}\n")

    def _write_json(self, line: dict[str, Any]) -> None:
        _put(self._data, json.dumps(line) + "\n")


def _nowhere() -> TextIO:
    """In place of a stream that was closed before the program began."""
    return open(os.devnull, "w", encoding="utf-8")


def _put(stream: TextIO, text: str) -> None:
    """Write at once. A reader that has gone (a closed terminal, `| head`) is no reason to end a call."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):  # else what is still buffered makes the exit status 120
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
