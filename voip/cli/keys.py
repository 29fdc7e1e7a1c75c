"""The keys of the terminal while a program runs: single letters that do something, and a line to type.

The terminal is read unbuffered and without an echo (termios, hence not on Windows), and put back as it was at the end.
Ctrl+C, Ctrl+Z and the like mean what they always mean. A program in the background reads nothing: it would be
stopped.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple

from voip.calls import CallManager
from voip.net import Network
from voip.report import Console
from voip.sip.text_sending import LONGEST_SENT

if sys.platform != "win32":
    import termios

MOST_BYTES = 4096
"""Read at a time: a line that is pasted, and more."""
ERASE, ERASE_ALL, ENTER, ESCAPE = "\x7f\b", "\x15", "\r\n", "\x1b"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
"""What the keys with arrows and functions send (ECMA-48 section 5.4)."""


class Key(NamedTuple):
    """What a key does, in a word or two, and how."""

    does: str
    act: Callable[[], object]


class Terminal:
    """The terminal that the program was started at."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
        self._before = termios.tcgetattr(fd)
        self.read()

    def read(self) -> str:
        """What was typed since; "" in the background. Never waits."""
        try:
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                return ""
            self._take_over()
            ready, _, _ = select.select([self._fd], [], [], 0.0)
            return self._decode(os.read(self._fd, MOST_BYTES)) if ready else ""
        except (OSError, termios.error):  # it is gone
            return ""

    def _take_over(self) -> None:
        """Also anew: a shell puts its own settings back whenever the program was stopped."""
        now = termios.tcgetattr(self._fd)
        if now[3] & (termios.ICANON | termios.ECHO):
            self._before = termios.tcgetattr(self._fd)
            now[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, now)

    def restore(self) -> None:
        """Leave it as it was."""
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


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

    def __init__(self, keys: Mapping[str, Key], console: Console, read: Callable[[], str]) -> None:
        self._keys, self._console, self._read = keys, console, read
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

    def __init__(self, network: Network, manager: CallManager, console: Console) -> None:
        self._network, self._manager = network, manager
        self._terminal = _open_terminal() if console.takes_keys else None
        keys = {"t": Key("write a text", self._write), "h": Key("hold or resume", self._hold)}
        self._keys = Keys(keys, console, _nothing if self._terminal is None else self._terminal.read)

    def poll(self) -> None:
        """Do what was typed."""
        self._keys.poll()

    def __enter__(self) -> CallKeys:
        if self._terminal is not None:
            self._keys.help()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._terminal is not None:
            self._terminal.restore()

    def _write(self) -> None:
        self._keys.ask("text: ", self._say, most=LONGEST_SENT)

    def _say(self, text: str) -> None:
        self._network.loop.post(self._manager.texts.say, text)

    def _hold(self) -> None:
        self._network.loop.post(self._manager.hold.toggle)


def _open_terminal() -> Terminal | None:
    """None where standard input is none, or not ours to read."""
    try:
        fd = sys.stdin.fileno()
        return Terminal(fd) if sys.platform != "win32" and os.isatty(fd) else None
    except (OSError, ValueError, AttributeError):
        return None


def _nothing() -> str:
    return ""


def _ignore(text: str) -> None:
    return
