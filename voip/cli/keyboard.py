"""Single keys of the terminal, without Enter, while lines go on being printed on it."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
from types import TracebackType

try:
    import termios
except ImportError:  # Windows has none
    termios = None  # type: ignore[assignment]

READ_AT_MOST = 4096
"""Bytes taken at a look: a line that is pasted, and more."""
LOCAL_FLAGS = 3
"""Where the list of `tcgetattr` has the local modes."""


class Keyboard:
    """A context: meanwhile keys are taken as they are pressed, and not shown. Ctrl+C goes on being a signal.

    In the background the terminal belongs to others: it is neither read nor changed then. Main thread only.
    """

    def __init__(self, fd: int) -> None:
        """`fd` is of a terminal."""
        self._fd = fd
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode
        self._before: list[object] | None = None
        self._closed = False

    def __enter__(self) -> Keyboard:
        self._take_over()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._before is not None and self._in_foreground():
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def pressed(self) -> str:
        """The keys since the last look; empty for none. Never waits."""
        if self._closed or not self._in_foreground():
            return ""
        self._take_over()
        try:
            if not select.select([self._fd], [], [], 0.0)[0]:
                return ""
            data = os.read(self._fd, READ_AT_MOST)
        except (OSError, ValueError):
            data = b""
        self._closed = not data  # the terminal is gone
        return self._decode(data)

    def _take_over(self) -> None:
        """Have keys at once, also after a shell has had the terminal (Ctrl+Z, fg)."""
        if not self._in_foreground():
            return
        with contextlib.suppress(OSError, termios.error):
            attributes = termios.tcgetattr(self._fd)
            if not attributes[LOCAL_FLAGS] & termios.ICANON:
                return
            self._before = list(attributes)
            attributes[LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not the terminal that controls us, such as that of a test: no one takes it from us
            return os.isatty(self._fd)


def find_keyboard() -> Keyboard | None:
    """The terminal on stdin; None if there is none."""
    stream = sys.stdin
    if termios is None or stream is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        if stream.isatty():
            return Keyboard(stream.fileno())
    return None
