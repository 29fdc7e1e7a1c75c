"""What goes between a parent process and a worker: frames on a stream socket, in both directions.

A frame is its length (4 octets, network byte order), a JSON array on one line, and octets that may be anything. The
first member of the array says what it is:

    to the worker     "message", protocol, host, port           a SIP message from there; the octets are it
                      "failed", protocol, host, port, reason    what was to go there could not be sent
                      "refused", host, port, reason, closed     the same of a datagram
                      "closed", protocol, host, port            the connection was closed in good order
                      "malformed", count                        so many datagrams that cannot be SIP were dropped
    to the parent     "message", protocol, host, port, name     to be sent there; `name`: whose certificate it must have
                      "state", handled, [begun], [ended], [acknowledged]
                                                                so many messages were handled since the start; Call-IDs
                                                                of calls that take up room since the last state, or no
                                                                longer, and whose peer has sent its ACK
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from voip.net.loop import EventLoop

_LENGTH = struct.Struct("!I")
READ_AT_ONCE = 1 << 18
"""Octets that are read from a stream before other sockets have their turn."""
LONGEST = 1 << 20
"""Octets of a frame: a SIP message over TCP is a sixteenth of it."""
MOST_WAITING = 1 << 22
"""Octets that wait for a process that does not read; what comes then is dropped."""


class Frame(NamedTuple):
    """The fields of the array, and what follows it."""

    fields: tuple[Any, ...]
    body: bytes = b""

    def pack(self) -> bytes:
        """As it is sent."""
        head = json.dumps(self.fields).encode("ascii") + b"\n"
        return _LENGTH.pack(len(head) + len(self.body)) + head + self.body


class FrameReader:
    """Takes octets as they come, gives whole frames. ValueError for what no process of ours writes."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these."""
        self._octets += data
        frames = []
        while len(self._octets) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._octets)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} octets")
            end = _LENGTH.size + length
            if len(self._octets) < end:
                break
            head, _, body = bytes(self._octets[_LENGTH.size : end]).partition(b"\n")
            del self._octets[:end]
            frames.append(Frame(tuple(json.loads(head)), body))
        return frames


class FrameStream:
    """One end of the socket, on the network thread."""

    def __init__(
        self,
        loop: EventLoop,
        sock: socket.socket,
        on_frames: Callable[[list[Frame]], object],
        on_end: Callable[[], object],
    ) -> None:
        """`on_frames` gets those that have come together; `on_end` is called once, when the other process has gone."""
        self._loop, self._sock, self._on_frames, self._on_end = loop, sock, on_frames, on_end
        self._reader, self._waiting, self._open, self._blocked = FrameReader(), bytearray(), True, False
        sock.setblocking(False)
        loop.register(sock, self._ready)

    def send(self, frame: Frame) -> bool:
        """Send it, or have it sent as soon as the other process reads; False: it is gone, or far behind."""
        if not self._open or len(self._waiting) > MOST_WAITING:
            return False
        self._waiting += frame.pack()
        self._write()
        return True

    def close(self) -> None:
        """Send and read no more."""
        if self._open:
            self._open = False
            self._loop.unregister(self._sock)
            self._sock.close()

    def _ready(self) -> None:
        if self._waiting:
            self._write()
        if self._open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_frames(self._reader.feed(data))
        else:
            self._end()

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._loop.post(self._end)  # never during a call of `send`
            self._waiting.clear()
            return
        del self._waiting[:sent]
        if self._blocked != bool(self._waiting):
            self._blocked = not self._blocked
            self._loop.modify(self._sock, self._ready, writing=self._blocked)

    def _end(self) -> None:
        if self._open:
            self.close()
            self._on_end()
