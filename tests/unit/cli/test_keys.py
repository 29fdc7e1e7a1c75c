"""Keys of the terminal: what they do, and the line that is typed."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from tests.support.processes import PATIENCE, ROOT
from tests.support.terminal import AtTerminal
from voip.cli.keys import Key, Keys, Line
from voip.report import Console


class Typed:
    """A user at a terminal of 40 columns."""

    def __init__(self) -> None:
        self.talk, self.waiting = io.StringIO(), ""
        self.talk.isatty = lambda: True  # type: ignore[method-assign]
        self.console = Console(lambda: 0.0, talk=self.talk, data=io.StringIO(), time_of_day=lambda: "")
        self.held, self.lines = 0, list[str]()
        self.others: list[str] = []
        keys = {"h": Key("hold", self._hold), "t": Key("text", self._ask)}
        self.keys = Keys(keys, self.console, self._read, self.others.append)

    def types(self, text: str) -> str:
        """What is shown then."""
        self.talk.seek(0)
        self.talk.truncate()
        self.waiting = text
        self.keys.poll()
        self.console.pump()
        return self.talk.getvalue()

    def _read(self) -> str:
        typed, self.waiting = self.waiting, ""
        return typed

    def _hold(self) -> None:
        self.held += 1

    def _ask(self) -> None:
        self.keys.ask("text: ", self.lines.append, most=20)


def test_a_key_does_what_it_is_for_and_others_are_handed_on() -> None:
    user = Typed()
    assert user.types("hxh\x1b[Ah\x1bOP") == ""
    assert (user.held, user.others) == (3, ["x"])
    assert "h hold   t text" in user.types("?")


def test_a_line_is_typed_shown_and_taken_and_its_letters_are_no_keys() -> None:
    user = Typed()
    assert "text: " in user.types("t")
    assert "text: hi the" in user.types("hi the")
    assert "text: hi hé" in user.types("\x7f\x7f\x7fhé")
    assert user.lines == []
    assert user.types("\r").endswith("\r\x1b[K")
    assert (user.lines, user.held) == (["hi hé"], 0)
    user.types("h")
    assert user.held == 1


@pytest.mark.parametrize("end", ["\x1b", "\x15\r", " \r"])
def test_escape_and_an_empty_line_send_nothing(end: str) -> None:
    user = Typed()
    user.types("t")
    user.types("" if end == " \r" else "nonsense")
    user.types(end)
    user.types("h")
    assert (user.lines, user.held) == ([], 1)


def test_a_line_has_a_bound_in_bytes_and_takes_no_control_characters() -> None:
    line = Line(5)
    for character in "äö\x07\u202eüx":
        line.take(character)
    assert line.text == "äöx"


def test_what_is_said_while_a_line_is_typed_stands_above_it() -> None:
    user = Typed()
    user.types("thello")
    user.console.say(0, "news")
    assert user.types("") == "\r\x1b[Knews\n\rtext: hello\x1b[K"
    user.console.status(())
    assert user.talk.getvalue().endswith("\rtext: hello\x1b[K")


def test_keys_are_read_one_by_one_and_the_terminal_is_left_as_it_was() -> None:
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from voip.cli.keyboard import Keyboard\n"
        "seen = ''\n"
        "with Keyboard(0) as keyboard:\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    while len(seen) < 3:\n"
        "        seen += keyboard.pressed()\n"
        "        time.sleep(0.02)\n"
        "sys.exit(seen != 'tü\\x1b')\n"
    )
    with AtTerminal() as terminal:
        command = [*terminal.through, sys.executable, "-c", program, str(ROOT)]
        with subprocess.Popen(command, stdin=terminal.end) as child:
            try:
                terminal.wait_for("ready")
                assert not terminal.is_as_usual
                for part in (b"t\xc3", b"\xbc", b"\x1b"):  # a letter in two halves
                    terminal.types_bytes(part)
                assert child.wait(PATIENCE) == 0
            finally:
                child.kill()
        assert terminal.is_as_usual
