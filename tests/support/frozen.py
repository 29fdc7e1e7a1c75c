"""One thread of another program held still, as by a driver that never returns: by ptrace. Linux, as root or a parent.

with frozen_thread(far.pid, 2): ...   # the second thread that it has started
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_CONT, _DETACH, _SEIZE, _INTERRUPT = 7, 17, 0x4206, 0x4207  # requests of ptrace(2)
_WAIT_ALL = 0x40000000  # __WALL: threads, too
_TRIES = 50
PATIENCE = 60.0


def threads(pid: int) -> list[int]:
    """The thread ids of a process, in the order in which they were started."""
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())


@contextlib.contextmanager
def frozen_thread(pid: int, number: int) -> Iterator[None]:
    """Hold one thread, by its number (0: the main one); the process has to end without it, AssertionError otherwise.

    It is not held while it has the interpreter's lock: then nothing of the program would go on.
    """
    if sys.platform != "linux":
        pytest.skip("needs Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    thread = threads(pid)[number]

    def ask(request: int) -> None:
        if libc.ptrace(request, thread, None, None) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    try:
        ask(_SEIZE)
    except PermissionError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("may not trace processes here")
    for _ in range(_TRIES):
        ask(_INTERRUPT)
        os.waitpid(thread, _WAIT_ALL)
        if _moves(pid):
            break
        ask(_CONT)
    else:
        raise AssertionError("the thread has always held the interpreter's lock")
    try:
        yield
    except BaseException:  # held on, it would remain a zombie that nobody can wait for
        with contextlib.suppress(OSError):
            ask(_DETACH)
        raise
    _see_it_end(thread, ask)


def _see_it_end(thread: int, ask: Callable[[int], None]) -> None:
    """Until it is known that the thread has ended, the process stays a zombie."""
    end = time.monotonic() + PATIENCE
    while os.waitpid(thread, _WAIT_ALL | os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            ask(_CONT)
            raise AssertionError("the program did not end while its thread was held")
        time.sleep(0.05)


def _moves(pid: int) -> bool:
    """Whether the main thread goes on: it wakes up several times a second."""
    before, end = _switches(pid), time.monotonic() + 2.0
    while time.monotonic() < end:
        time.sleep(0.05)
        if _switches(pid) > before + 3:
            return True
    return False


def _switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    return int(text.partition("voluntary_ctxt_switches:")[2].split()[0])
