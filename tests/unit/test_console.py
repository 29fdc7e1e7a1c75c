"""The console: who gets what, when; colour, times of day, the status line on a terminal and in a log."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import pytest

from tests.support.records import perfect, received
from voip.report import CallRecord, Console


class Terminal(io.StringIO):
    """Text that goes to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM", "JOURNAL_STREAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "60")


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def console(
    talk: io.StringIO, *, data: io.StringIO | None = None, clock: Clock | None = None, **changes: object
) -> Console:
    options = {"time_of_day": lambda: "12:00:07"} | changes
    return Console(clock or Clock(), talk=talk, data=data or io.StringIO(), **options)  # type: ignore[arg-type]


def test_it_writes_only_when_pumped_and_json_lines_to_stdout() -> None:
    talk, data = io.StringIO(), io.StringIO()
    shown = console(talk, data=data, as_json=True)
    shown.say(0, "shown")
    shown.say(1, "only with -v")
    shown.event("listening", None, uri="sip:x")
    assert talk.getvalue() == data.getvalue() == ""
    shown.pump()
    assert talk.getvalue() == "shown\n"
    assert json.loads(data.getvalue()) == {"schema": 1, "t": 0.0, "event": "listening", "call_id": None, "uri": "sip:x"}


def test_quiet_keeps_errors_and_shows_no_status() -> None:
    talk, clock = io.StringIO(), Clock()
    shown = console(talk, clock=clock, verbosity=-1)
    shown.say(0, "hidden")
    shown.error("shown")
    for clock.now in (5.0, 11.0, 17.0):
        shown.status([running()])
    shown.pump()
    assert talk.getvalue() == "shown\n"


def test_talk_whose_reader_has_gone_is_dropped_and_nothing_fails() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as talk:  # closing it would raise if anything were left in it
        shown = Console(lambda: 0.0, talk=talk, data=io.StringIO())
        shown.say(0, "call ended")
        shown.error("and more")
        shown.pump()


def test_events_have_the_time_of_day_and_the_first_page_has_not() -> None:
    talk = io.StringIO()
    shown = console(talk)
    shown.event("listening", "receiver  waiting for a call")
    shown.event("established", "call from sip:kitchen\n  opus")
    shown.warning("silence", "the microphone gives digital silence")
    shown.pump()
    assert talk.getvalue().splitlines() == [
        "receiver  waiting for a call",
        "12:00:07 call from sip:kitchen",
        "  opus",
        "12:00:07 the microphone gives digital silence",
    ]


def test_the_journal_has_times_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    talk = io.StringIO()
    shown = Console(Clock(), talk=talk, data=io.StringIO())
    shown.event("established", "call from sip:kitchen")
    shown.pump()
    assert talk.getvalue() == "call from sip:kitchen\n"


def running() -> CallRecord:
    return replace(perfect(), end_reason=None)


def test_in_a_log_the_status_is_a_line_every_interval() -> None:
    talk, clock = io.StringIO(), Clock()
    shown = console(talk, clock=clock, interval=5.0)
    for second in range(17):
        clock.now = 5.0 + second
        shown.status([running()])
    assert talk.getvalue().splitlines() == [
        "12:00:07 NO SOUND for 5 s",
        "12:00:07 NO SOUND for 10 s",
        "12:00:07 NO SOUND for 15 s",
    ]


def test_in_a_log_every_call_has_its_line() -> None:
    talk, clock = io.StringIO(), Clock()
    shown = console(talk, clock=clock, interval=1.0)
    both = [running(), replace(running(), call_id="b", peer="sip:hall@h")]
    for clock.now in (5.0, 6.0):
        shown.status(both)
    assert [text.split()[1] for text in talk.getvalue().splitlines()] == ["kitchen", "hall"]


def test_the_terminal_may_change_its_width_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, clock = Terminal(), Clock()
    shown = console(talk, clock=clock)
    for columns in (60, 30, 14):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown.status([running()])
    drawn = [text.removeprefix("\r") for text in talk.getvalue().split("\x1b[K") if text]
    assert [len(text) < columns for text, columns in zip(drawn, (60, 30, 14), strict=True)] == [True] * 3
    assert drawn[0] == "  00:00:11  MOS 4.4  [=====   ]  no loss  delay 40 ms"
    assert drawn[2] == "  00:00:11"


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def report(talk: io.StringIO) -> str:
        shown = console(talk)
        shown.call_ended(perfect())
        shown.error("wrong")
        shown.pump()
        return talk.getvalue()

    coloured = report(Terminal())
    assert "\x1b[32m  excellent: MOS 4.4\x1b[0m" in coloured
    assert "\x1b" not in report(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    without = report(Terminal())
    assert "\x1b[3" not in without
    monkeypatch.setenv("NO_COLOR", "")
    assert report(Terminal()) == coloured
    monkeypatch.setenv("TERM", "dumb")
    assert report(Terminal()) == without


def test_json_never_has_colour() -> None:
    data = io.StringIO()
    shown = console(Terminal(), data=data, as_json=True)
    shown.warning("silence", "the microphone is mute")
    shown.pump()
    assert json.loads(data.getvalue())["message"] == "the microphone is mute"


def test_statistics_tell_the_last_interval_beside_the_sums() -> None:
    data = io.StringIO()
    shown = console(io.StringIO(), data=data, as_json=True)
    before = running()
    assert before.rx is not None
    after = replace(before, duration=12.3, rx=replace(before.rx, received=610, expected=615))
    for record in (before, after):
        shown.statistics([record, received()])  # that one is over
    shown.pump()
    first, second = (json.loads(text) for text in data.getvalue().splitlines())
    assert (first["rx"]["received"], first["interval"]["received"]) == (565, 565)
    assert (second["rx"]["received"], second["interval"]["received"], second["interval"]["lost"]) == (610, 45, 5)
    assert second["interval"]["seconds"] == 1.0


def test_with_verbose_all_rows_are_shown() -> None:
    short, long = io.StringIO(), io.StringIO()
    for talk, verbosity in ((short, 0), (long, 1)):
        shown = console(talk, verbosity=verbosity)
        shown.call_ended(perfect())
        shown.pump()
    assert "underruns" not in short.getvalue()
    assert "0 underruns" in long.getvalue()


HOSTILE = "sip:\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\r@192.0.2.66"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("calls", [1, 2])
def test_no_way_to_the_terminal_lets_through_what_a_peer_steers_it_with(terminal: bool, calls: int) -> None:
    talk, clock = Terminal() if terminal else io.StringIO(), Clock()
    shown = console(talk, data=io.StringIO(), clock=clock, verbosity=2, interval=1.0)
    records = [replace(received(), call_id=str(number), peer=HOSTILE) for number in range(calls)]
    for moment in (0.0, 1.5, 3.0):
        clock.now = 5.0 + moment
        shown.status(records)
    shown.say(0, HOSTILE)
    shown.error(HOSTILE)
    shown.event("incoming", HOSTILE)
    shown.warning("refused", HOSTILE)
    shown.call_ended(replace(perfect(), peer=HOSTILE, end_reason=HOSTILE))
    shown.pump()
    text = talk.getvalue()
    assert "owned" in text
    for ours in ("\r\x1b[K", "\x1b[K", "\x1b[1m", "\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"):
        text = text.replace(ours, "")
    steering = [character for character in text if not character.isprintable() and character != "\n"]
    assert set(steering) <= {"\r"}
    assert all(line.startswith("  ") for line in text.split("\r")[1:]), "a status line begins anew, and nothing else"
