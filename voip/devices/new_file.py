"""Files that are created late: at the start it is only found whether that will work, and nothing on disk changes."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from voip.private import private

FIRST_NUMBER = 2
"""Of the names beside one that is taken: call.wav, call-2.wav, call-3.wav."""


def check(path: Path, *, replace: bool) -> None:
    """OSError if `create` would fail as things are now; leaves no trace."""
    mode = _mode(path)
    if mode is not None and stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not stat.S_ISREG(mode):
        if not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    elif mode is not None and replace:
        path.open("r+b").close()
    else:
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def create(path: Path, *, replace: bool) -> tuple[BinaryIO, Path]:
    """The new file, and its path: a numbered one beside `path` if that is taken by a file and not to be replaced.
    OSError."""
    if replace or is_device(path):
        return open(path, "wb", opener=private), path
    while True:
        name = free_name(path, replace=False)
        with contextlib.suppress(FileExistsError):  # another program was faster
            return open(name, "xb", opener=private), name


def free_name(path: Path, *, replace: bool) -> Path:
    """The path that `create` would give now."""
    if replace or is_device(path):
        return path
    return next(name for name in _names(path) if not os.path.lexists(name))


def is_device(path: Path) -> bool:
    """Whether there is a device of the system, such as a symbolic link to /dev/null: it is written to, not created."""
    mode = _mode(path)
    return mode is not None and (stat.S_ISCHR(mode) or stat.S_ISBLK(mode))


def is_pipe(path: Path) -> bool:
    """Whether there is a named pipe or a socket, which has no beginning to go back to."""
    mode = _mode(path)
    return mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _names(path: Path) -> itertools.chain[Path]:
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(FIRST_NUMBER))
    return itertools.chain([path], numbered)
