"""Keys at a terminal, and what they do."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from voip.audio import GAIN_LIMIT
from voip.cli.attendant import GAIN_STEP, Attendant
from voip.cli.keyboard import Keyboard, find_keyboard
from voip.report import CallRecord, Console

termios = pytest.importorskip("termios")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the person's, and the program's."""
    person, program = os.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def keys(keyboard: Keyboard) -> str:
    """What is pressed by the time it has come through the terminal."""
    deadline = time.monotonic() + 10
    while not (found := keyboard.pressed()) and time.monotonic() < deadline:
        pass
    return found


def test_keys_come_without_enter_and_the_terminal_is_as_it_was_afterwards(terminal: tuple[int, int]) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        assert keyboard.pressed() == ""
        os.write(person, b"y")
        assert keys(keyboard) == "y"
        os.write(person, b"m\n+")
        assert "m" in keys(keyboard)
        assert not termios.tcgetattr(program)[3] & termios.ECHO
    assert termios.tcgetattr(program) == before


def test_a_terminal_that_a_shell_has_changed_meanwhile_is_taken_over_again(terminal: tuple[int, int]) -> None:
    person, program = terminal
    with Keyboard(program) as keyboard:
        attributes = termios.tcgetattr(program)
        attributes[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(program, termios.TCSANOW, attributes)
        keyboard.pressed()
        os.write(person, b"n")
        assert keys(keyboard) == "n"


def test_a_terminal_that_is_gone_is_silent() -> None:
    person, program = os.openpty()
    with Keyboard(program) as keyboard:
        os.close(person)
        assert keyboard.pressed() == ""
        assert keyboard.pressed() == ""
    os.close(program)


def test_without_a_terminal_there_is_no_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (None, io.StringIO("y")):
        monkeypatch.setattr("sys.stdin", stdin)
        assert find_keyboard() is None


class Desk:
    """An attendant whose keys a test presses, among these callers."""

    def __init__(self, *peers: str, ringing: tuple[tuple[str, str], ...] = ()) -> None:
        self.typed = ""
        self.done: list[tuple[str, object]] = []
        self.adjusted: list[tuple[str, float, bool]] = []
        self.talk = io.StringIO()
        self.console = Console(lambda: 0.0, talk=self.talk, data=io.StringIO(), time_of_day=lambda: "")
        media: Any = object()
        records = tuple(
            CallRecord(call_id=f"id-{n}", peer=peer, incoming=True, media=media) for n, peer in enumerate(peers)
        )
        answering = SimpleNamespace(
            ringing=ringing,
            answer=lambda call_id: self.done.append(("answer", call_id)),
            decline=lambda call_id: self.done.append(("decline", call_id)),
        )
        manager: Any = SimpleNamespace(records=records, answering=answering)
        streams: Any = SimpleNamespace(adjust=self._adjust)
        self.attendant = Attendant(
            manager,
            streams,
            self.console,
            lambda function, *args: function(*args),
        )

    def _adjust(self, call_id: str, *, gain_db: float, muted: bool) -> None:
        self.adjusted.append((call_id, gain_db, muted))

    def press(self, typed: str) -> str:
        """What is said then."""
        self.talk.seek(0)
        self.talk.truncate()
        for key in typed:
            self.attendant.press(key)
        self.console.pump()
        return self.talk.getvalue()


def test_y_answers_and_n_declines_the_call_that_rings_longest() -> None:
    desk = Desk(ringing=(("first", "a"), ("second", "b")))
    desk.press("y")
    desk.press("N")
    assert desk.done == [("answer", "first"), ("decline", "first")]
    nothing = Desk()
    nothing.press("yn")
    assert nothing.done == []


def test_a_caller_is_chosen_muted_and_made_louder() -> None:
    desk = Desk("sip:alice@x", "sip:bob@x")
    assert "choose a caller" in desk.press("m")
    assert "no caller 3" in desk.press("3")
    assert desk.press("2") == "caller 2: sip:bob@x\n"
    assert desk.attendant.selected == "id-1"
    assert desk.press("m") == "bob: muted\n"
    assert desk.press("m++") == "bob: +0 dB\nbob: +3 dB\nbob: +6 dB\n"
    desk.press("1-")
    assert desk.adjusted == [
        ("id-1", 0.0, True),
        ("id-1", 0.0, False),
        ("id-1", GAIN_STEP, False),
        ("id-1", 2 * GAIN_STEP, False),
        ("id-0", -GAIN_STEP, False),
    ]
    desk.press("0")
    assert desk.attendant.selected is None


def test_a_single_caller_need_not_be_chosen_and_a_gain_has_an_end() -> None:
    desk = Desk("sip:alice@x")
    desk.press("+" * 40)
    assert desk.adjusted[-1] == ("id-0", GAIN_LIMIT, False)
    desk.press("-" * 60)
    assert desk.adjusted[-1] == ("id-0", -GAIN_LIMIT, False)


def test_other_keys_do_nothing() -> None:
    desk = Desk("sip:alice@x")
    assert desk.press("q \x1b[A²\x00") == ""
    assert (desk.adjusted, desk.done) == ([], [])


def test_without_a_caller_that_is_said() -> None:
    assert Desk().press("m") == "there is no caller\n"
