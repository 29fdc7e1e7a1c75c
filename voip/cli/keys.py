"""What the keys of the terminal do while a program runs: single letters that do something, and a line to type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple

from voip.calls import CallManager
from voip.cli.attendant import HELP, Attendant
from voip.cli.keyboard import Keyboard
from voip.net import Network
from voip.report import Console
from voip.sip.text_sending import LONGEST_SENT

ERASE, ERASE_ALL, ENTER, ESCAPE = "\x7f\b", "\x15", "\r\n", "\x1b"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
"""What the keys with arrows and functions send (ECMA-48 section 5.4)."""


class Key(NamedTuple):
    """What a key does, in a word or two, and how."""

    does: str
    act: Callable[[], object]


class Line:
    """A line as it is typed; `most` bytes of UTF-8, what is more is left out."""

    def __init__(self, most: int) -> None:
        self.text, self._most = "", most

    def take(self, character: str) -> None:
        """A key that is none of those which end the line."""
        if character in ERASE:
            self.text = self.text[:-1]
        elif character == ERASE_ALL:
            self.text = ""
        elif character.isprintable() and len((self.text + character).encode()) <= self._most:
            self.text += character


class Keys:
    """What the user's keys do. Main thread only; `poll` is called several times a second."""

    def __init__(
        self,
        keys: Mapping[str, Key],
        console: Console,
        read: Callable[[], str],
        other: Callable[[str], object],
    ) -> None:
        """`read` gives what was typed since it was asked last, `other` takes a key that is none of `keys`."""
        self._keys, self._console, self._read, self._other = keys, console, read, other
        self._line: Line | None = None
        self._label = ""
        self._on_line: Callable[[str], object] = _ignore

    def ask(self, label: str, on_line: Callable[[str], object], *, most: int) -> None:
        """Let the user type a line, up to Enter; Esc, and an empty line, mean no."""
        self._line, self._label, self._on_line = Line(most), label, on_line

    def help(self) -> None:
        """Say which keys there are."""
        self._console.say(0, "keys      " + "   ".join(f"{name} {key.does}" for name, key in self._keys.items()))

    def poll(self) -> None:
        """Do what was typed."""
        typed = _SEQUENCE.sub("", self._read())
        for character in typed:
            if self._line is not None:
                self._take(self._line, character)
            elif (key := self._keys.get(character)) is not None:
                key.act()
            elif character == "?":
                self.help()
            else:
                self._other(character)
        if typed:
            self._console.prompt(None if self._line is None else f"{self._label}{self._line.text}")

    def _take(self, line: Line, character: str) -> None:
        if character in ENTER or character == ESCAPE:
            self._line = None
            if character in ENTER and line.text.strip():
                self._on_line(line.text)
        else:
            line.take(character)


class CallKeys:
    """The keys of both scripts, while the `with` block lasts: none where there is no terminal."""

    def __init__(
        self,
        network: Network,
        manager: CallManager,
        console: Console,
        keyboard: Keyboard | None,
        attendant: Attendant | None = None,
    ) -> None:
        """`attendant` takes the other keys."""
        self._network, self._manager, self._console = network, manager, console
        self._keyboard, self._attendant = keyboard, attendant
        keys = {"t": Key("write a text", self._write), "h": Key("hold or resume", self._hold)}
        read = _nothing if keyboard is None else keyboard.pressed
        self._keys = Keys(keys, console, read, _ignore if attendant is None else attendant.press)

    @property
    def selected(self) -> str | None:
        """Call-ID of the caller that was chosen, if any was."""
        return None if self._attendant is None else self._attendant.selected

    def poll(self) -> None:
        """Do what was typed."""
        self._keys.poll()

    def __enter__(self) -> CallKeys:
        if self._keyboard is not None:
            self._keyboard.__enter__()
            self._keys.help()
            if self._attendant is not None:
                self._console.say(0, HELP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keyboard is not None:
            self._keyboard.__exit__(kind, error, trace)

    def _write(self) -> None:
        self._keys.ask("text: ", self._say, most=LONGEST_SENT)

    def _say(self, text: str) -> None:
        self._network.loop.post(self._manager.texts.say, text)

    def _hold(self) -> None:
        self._network.loop.post(self._manager.hold.toggle)


def _nothing() -> str:
    return ""


def _ignore(text: str) -> None:
    return
