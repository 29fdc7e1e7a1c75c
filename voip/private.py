"""Files that only their owner reads: recordings and reports of calls are nothing for the other users of a machine."""

from __future__ import annotations

import errno
import os
import stat

OWNER_ALONE = 0o600
"""The mode of a file that is created. One that is there already keeps the mode that its owner gave it."""


def private(path: str, flags: int) -> int:
    """The `opener` of `open` for such a file."""
    return os.open(path, flags, OWNER_ALONE)


def private_and_regular(path: str, flags: int) -> int:
    """The same for a regular file alone, which is emptied. OSError for a link, a device, a pipe and the like, of which
    nothing is changed, neither here nor where a link leads to."""
    with_care = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # to open a pipe would wait
    check_regular(path)
    number = private(path, (flags & ~os.O_TRUNC) | with_care)
    if not stat.S_ISREG(os.fstat(number).st_mode):  # it has become another since
        os.close(number)
        raise _no_regular_file()
    os.ftruncate(number, 0)
    return number


def check_regular(path: str | os.PathLike[str]) -> None:
    """OSError if what is there is no regular file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _no_regular_file()


def _no_regular_file() -> OSError:
    return OSError(errno.EINVAL, "it is there, and is no regular file")
