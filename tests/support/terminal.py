"""A terminal that a program is started at, and somebody who types at it.

    with AtTerminal() as terminal, sender(tmp_path, target, stdin=terminal.end, through=terminal.through) as near:
        terminal.wait_for("keys")
        terminal.types("thello\\r")

What the program says on stderr is on the terminal, not in `near.stderr`.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import sys
import termios
import time
from types import TracebackType

from tests.support.processes import PATIENCE

_AT_IT = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.dup2(0, 2); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes a session of its own, whose terminal is standard input, and puts stderr there."""


class AtTerminal:
    """`end` is the program's, for its stdin; `through` what it is started by."""

    def __init__(self) -> None:
        self._ours, self.end = pty.openpty()
        self.through = (sys.executable, "-c", _AT_IT)
        self.said = ""

    def __enter__(self) -> AtTerminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._ours)
        os.close(self.end)

    def types(self, text: str) -> None:
        self.types_bytes(text.encode())

    def types_bytes(self, data: bytes) -> None:
        os.write(self._ours, data)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> None:
        """Read until the program has shown this, after what was waited for before."""
        deadline = time.monotonic() + timeout
        while text not in self.said:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} was not shown: {self.said!r}"
            with contextlib.suppress(OSError):
                self.said += os.read(self._ours, 4096).decode(errors="replace")
        self.said = self.said.partition(text)[2]

    @property
    def is_as_usual(self) -> bool:
        """Whether lines are edited and echoed by the terminal itself, as before."""
        usual: int = termios.ICANON | termios.ECHO
        return bool(termios.tcgetattr(self.end)[3] & usual == usual)
