"""Datagrams of many sockets, read without giving other threads a turn in between (recvmmsg(2)).

The interpreter lets another thread run during each call of the system. A thread that computes all the time then keeps
the one that reads waiting for a switch interval per datagram: 2000 datagrams a second at most, however short the
reading. These sockets never block, so nothing is won by letting others run: a function of `ctypes.PyDLL` does not.
Linux and IPv4 only; elsewhere datagrams are read one by one.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import socket
import struct
import sys
from collections.abc import Callable

from voip.ip import MAX_UDP_DATAGRAM
from voip.net.arrivals import STAMPED, ArrivalClock
from voip.net.captured import CapturedSocket
from voip.net.refusals import refusals

BATCH = 8
"""Datagrams of one socket that are read by one call."""
BATCHES = 12
"""Calls in a row for one socket, before the others get their turn."""
SOURCES_KEPT = 4096
"""Addresses of senders that are kept as text."""
_NAME, _CONTROL = 16, 64
"""Bytes of room for an address (struct sockaddr_in) and for a time stamp."""
_HEADER = struct.Struct("@PIxxxxPNPNixxxxIxxxx")
"""struct mmsghdr of <sys/socket.h>: name and its length, vector and its length, control and its length, flags, size."""
_CONTROL_LENGTH = struct.Struct("@PIxxxxPNPN").size - struct.calcsize("@N")
_SIZE = _HEADER.size - 8
_VECTOR = struct.Struct("@PN")
_STAMP = struct.Struct("@Niill")
"""struct cmsghdr, and the struct timespec behind it."""
_ADDRESS = struct.Struct("=HH4s8x")
_IS_KNOWN_LAYOUT = struct.calcsize("@P") == 8

Received = tuple[bytes, "tuple[str, int]", float]
"""A datagram, its source, and when it arrived."""


@functools.cache
def batch_reader() -> BatchReader | None:
    """The one of this process; None where the system has no such call. Network thread only."""
    if not STAMPED or sys.platform != "linux" or not _IS_KNOWN_LAYOUT:
        return None
    try:
        return BatchReader()
    except (AttributeError, OSError):  # a C library without it
        return None


class BatchReader:
    """Reads what waits in a socket of IPv4, into buffers that all sockets share."""

    def __init__(self) -> None:
        """AttributeError, OSError: the C library has no recvmmsg."""
        self._call = ctypes.PyDLL(None, use_errno=True).recvmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        sizes = (MAX_UDP_DATAGRAM, _NAME, _CONTROL, _VECTOR.size, _HEADER.size)
        self._buffers = [ctypes.create_string_buffer(BATCH * size) for size in sizes]
        views = [memoryview(buffer).cast("B") for buffer in self._buffers]
        self._data, self._names, self._control, vectors, headers = views
        data, names, control, vector, self._address = map(ctypes.addressof, self._buffers)
        for n in range(BATCH):
            _VECTOR.pack_into(vectors, n * _VECTOR.size, data + n * MAX_UDP_DATAGRAM, MAX_UDP_DATAGRAM)
            there = names + n * _NAME, _NAME, vector + n * _VECTOR.size, 1, control + n * _CONTROL, _CONTROL, 0, 0
            _HEADER.pack_into(headers, n * _HEADER.size, *there)
        self._headers, self._fresh = headers, bytes(headers)
        self._sources: dict[bytes, tuple[str, int]] = {}

    def read(
        self, sock: socket.socket, on_refused: Callable[[str, int], object], clock: ArrivalClock
    ) -> list[Received]:
        """As `stamped_datagrams`, all at once."""
        found: list[Received] = []
        number = sock.fileno()
        for _ in range(BATCHES if number >= 0 else 0):
            count = self._call(number, self._address, BATCH, socket.MSG_DONTWAIT, None)
            if count < 0:
                if ctypes.get_errno() in (errno.EAGAIN, errno.EBADF):
                    break
                continue  # an ICMP error for something sent earlier: it is in the queue
            found += [self._received(n, clock) for n in range(count)]
            self._headers[: count * _HEADER.size] = self._fresh[: count * _HEADER.size]
            if count < BATCH:
                break
        if not found:
            for host, port in refusals(sock):
                on_refused(host, port)
        if isinstance(sock, CapturedSocket):
            sock.note_read(found)
        return found

    def _received(self, n: int, clock: ArrivalClock) -> Received:
        header, control = n * _HEADER.size, n * _CONTROL
        (size,) = struct.unpack_from("@I", self._headers, header + _SIZE)
        (told,) = struct.unpack_from("@N", self._headers, header + _CONTROL_LENGTH)
        data = bytes(self._data[n * MAX_UDP_DATAGRAM : n * MAX_UDP_DATAGRAM + size])
        arrival = clock.now
        if told >= _STAMP.size:
            _, level, kind, seconds, nanoseconds = _STAMP.unpack_from(self._control, control)
            arrival = clock.of_stamp(level, kind, seconds, nanoseconds)
        return data, self._source(bytes(self._names[n * _NAME : (n + 1) * _NAME])), arrival

    def _source(self, name: bytes) -> tuple[str, int]:
        source = self._sources.get(name)
        if source is None:
            _, port, host = _ADDRESS.unpack(name)
            source = socket.inet_ntoa(host), socket.ntohs(port)
            if len(self._sources) >= SOURCES_KEPT:
                self._sources.clear()
            self._sources[name] = source
        return source
