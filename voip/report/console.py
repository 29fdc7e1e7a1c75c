"""The console: talk goes to stderr, data (JSON Lines) to stdout.

Only the main thread writes, the others hand their lines over.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TextIO

from voip.printable import printable
from voip.report.events import EventLog
from voip.report.live import LiveCalls, Recent, is_running
from voip.report.objects import SCHEMA, call_object, interval_object
from voip.report.rating import verdict
from voip.report.record import CallRecord
from voip.report.status import log_line, status_line
from voip.report.style import style_for
from voip.report.text import text_report
from voip.rtp import RtpPacket

PACKETS_SHOWN = 2
"""Verbosity (-vv) from which on every packet has its line."""
ALL_ROWS = 1
"""Verbosity (-v) from which on a report has all its rows."""
UNTIMED = frozenset({"listening"})
"""Events whose text is a page to read, not a line of what happened: no time of day before it."""
Paint = Callable[[str], str]
"""Puts colour on a text, as it is written; `str` leaves it as it is."""
PLAIN_WIDTH = 70
"""Columns of a status line in a log, the time of day before it apart."""


def time_of_day() -> str:
    """`12:00:07`, local time. Empty where the journal (systemd) puts its own before each line."""
    return "" if os.environ.get("JOURNAL_STREAM") else time.strftime("%H:%M:%S")


class Console:
    """Lines for people on stderr and JSON Lines on stdout. Any thread may hand over, `pump` (main thread) writes."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        verbosity: int = 0,
        as_json: bool = False,
        interval: float = 5.0,
        talk: TextIO | None = None,
        data: TextIO | None = None,
        time_of_day: Callable[[], str] = time_of_day,
    ) -> None:
        """`interval`: seconds between the status lines where they are not redrawn. `time_of_day`: before events."""
        self._clock, self._begin, self._time_of_day = clock, clock(), time_of_day
        self._verbosity, self._json, self._interval = verbosity, as_json, interval
        self._talk, self._data = talk or sys.stderr or _nowhere(), data or sys.stdout or _nowhere()
        self._lines: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._terminal = self._talk.isatty() and verbosity >= 0
        self._style = style_for(self._talk)
        self._status_shown = False
        self._prompt: str | None = None  # main thread
        self._live, self._turn = LiveCalls(), 0  # main thread
        self.recent = EventLog()
        """What happened lately, but for statistics. Any thread may read it."""
        self._next_line: float | None = None
        self._told: dict[str, CallRecord] = {}  # network thread: what the last `stats` events told

    def say(self, level: int, text: str, paint: Paint = str) -> None:
        """A line for people, shown from `-v` (1) or `-vv` (2) on; 0 always, unless `-q`."""
        if level <= self._verbosity:
            self._lines.put(lambda: self._write(text, paint))

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
        self._lines.put(lambda: self._write(text, self._style.alarm))

    def event(
        self, name: str, text: str | None, *, call_id: str | None = None, paint: Paint = str, **fields: object
    ) -> None:
        """Something that happened: JSON with `--json`, `text` (if any) for people."""
        if text is not None:
            self.recent.add({"event": name, "time": time_of_day(), "text": printable(text), "call_id": call_id})
        if self._json:
            moment = round(self._clock() - self._begin, 3)
            line = {"schema": SCHEMA, "t": moment, "event": name, "call_id": call_id, **fields}
            self._lines.put(lambda: self._write_json(line))
        if text is not None:
            self.say(0, text if name in UNTIMED else self._timed(text), paint)

    def relay(self, event: Mapping[str, Any]) -> None:
        """An event that another process of ours has told, as of now; nothing is said of it to people. With `--json`."""
        if self._json:
            moment = round(self._clock() - self._begin, 3)
            line = {**event, "t": moment}
            self._lines.put(lambda: self._write_json(line))

    def warning(self, cause: str, text: str, *, call_id: str | None = None) -> None:
        """Something is wrong though the program goes on: `cause` is one word for programs, `text` says what to do."""
        self.event("warning", text, call_id=call_id, paint=self._style.alarm, cause=cause, message=text)

    def call_ended(self, call: CallRecord) -> None:
        """The end of a call, with its report."""
        self._told.pop(call.call_id, None)
        text = text_report(call, every=self._verbosity >= ALL_ROWS) if call.rx or call.tx else None
        self.event(
            "ended",
            text,
            call_id=call.call_id,
            paint=partial(self._style.report, verdicts=len(verdict(call))),
            end_reason=call.end_reason,
            duration_s=round(call.duration, 3),
        )

    @property
    def tells_statistics(self) -> bool:
        """Whether `statistics` is worth calling: `--json`."""
        return self._json

    def statistics(self, calls: Iterable[CallRecord]) -> None:
        """The regular `stats` events of those calls that are running, as of now. Network thread only."""
        for call in filter(is_running, calls):
            interval = interval_object(call, self._told.get(call.call_id))
            self.event("stats", None, **call_object(call), interval=interval)
            self._told[call.call_id] = call

    def status(self, calls: Sequence[CallRecord], selected: str | None = None) -> None:
        """Show how it goes, about once a second: redrawn on a terminal, else a line now and then. Main thread only.

        `selected`: the Call-ID of the call that is to be shown, of several."""
        now = self._clock()
        recent = self._live.look(calls, now)
        if self._prompt is not None:
            self._show_prompt()
        elif not recent:
            self._next_line = None
        elif self._terminal:
            parts = status_line(recent, self._columns() - 1, self._turn, selected)
            self._turn += 1
            _put(self._talk, f"\r{self._style.parts(parts)}\x1b[K")
            self._status_shown = True
        elif self._verbosity >= 0:
            self._log_status(recent, now)

    def prompt(self, text: str | None) -> None:
        """Show this in place of the status line, as the user types it; None: the status line again. Main thread only,
        and only on a terminal."""
        if text is None and self._prompt is not None:
            _put(self._talk, "\r\x1b[K")
            self._status_shown = False
        self._prompt = text
        if text is not None:
            self._show_prompt()

    def _show_prompt(self) -> None:
        """The end of it, where it is longer than the line."""
        if self._prompt is not None:
            shown = printable(self._prompt).replace("\n", " ")
            _put(self._talk, f"\r{shown[-self._columns() + 1 :]}\x1b[K")
            self._status_shown = True

    @property
    def takes_keys(self) -> bool:
        """Whether it is a terminal that the user can type at, with room for a line beside what is written."""
        return self._terminal and not self._json

    def _log_status(self, calls: Sequence[Recent], now: float) -> None:
        """A line for each call, every `interval`."""
        if self._next_line is None:
            self._next_line = now + self._interval
        if now < self._next_line:
            return
        self._next_line += self._interval * max(1, int((now - self._next_line) / self._interval) + 1)
        for recent in calls:
            line = log_line(recent, PLAIN_WIDTH, named=len(calls) > 1)
            if line:
                self._write(self._timed(line))

    def _columns(self) -> int:
        """Of the terminal, as it is now."""
        try:
            return os.get_terminal_size(self._talk.fileno()).columns or shutil.get_terminal_size().columns
        except (OSError, ValueError):
            return shutil.get_terminal_size().columns

    def _timed(self, text: str) -> str:
        moment = self._time_of_day()
        return f"{moment} {text}" if moment else text

    def pump(self) -> None:
        """Write what was handed over. Main thread only."""
        while True:
            try:
                write = self._lines.get_nowait()
            except queue.Empty:
                break
            write()
        if self._prompt is not None and not self._status_shown:
            self._show_prompt()

    def _write(self, text: str, paint: Paint = str) -> None:
        erase = "\r\x1b[K" if self._status_shown else ""
        self._status_shown = False
        _put(self._talk, f"{erase}{paint(printable(text))}\n")

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
