"""When datagrams arrived, as the kernel says (socket(7), SO_TIMESTAMPNS), however late they are read.

A program that reads many streams lets their datagrams gather, and its threads wait for one another: without stamps
that would be taken for jitter of the network. Linux only: elsewhere a datagram arrives when it is read.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable

STAMPED = sys.platform == "linux"
"""Whether sockets can be asked for stamps."""
LONGEST_WAIT = 10.0
"""Seconds that a datagram may have waited in its socket: with a longer wait the wall clock has been set meanwhile."""
ANCILLARY_BYTES = socket.CMSG_SPACE(16) if STAMPED else 0
"""Room for one stamp."""
_TIMESTAMPNS = 35
"""SO_TIMESTAMPNS of <asm-generic/socket.h>, also the type of the message that holds a stamp."""
_TIMESPEC = struct.Struct("@ll")

Ancillary = Iterable["tuple[int, int, bytes]"]


def ask_for_stamps(sock: socket.socket) -> None:
    """Let the kernel note with each datagram of this socket when it came."""
    if STAMPED:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)


def stamp_of(ancillary: Ancillary) -> float | None:
    """The time of the wall clock that these control messages tell; None: they do not."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds + nanoseconds * 1e-9)
    return None


class ArrivalClock:
    """From stamps, which are of the wall clock, to the time of `clock`. To be made anew for each look at a socket."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        self.now = clock()
        self._ahead = self.now - wall()

    def arrival(self, ancillary: Ancillary) -> float:
        """When the datagram with these control messages came: now, if they do not tell, or tell what cannot be."""
        for level, kind, data in ancillary:
            if len(data) >= _TIMESPEC.size:
                return self.of_stamp(level, kind, *_TIMESPEC.unpack_from(data))
        return self.now

    def of_stamp(self, level: int, kind: int, seconds: int, nanoseconds: int) -> float:
        """The same for one control message that has been read."""
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS:
            waited = self.now - (seconds + nanoseconds * 1e-9 + self._ahead)
            if 0.0 < waited < LONGEST_WAIT:
                return self.now - waited
        return self.now
