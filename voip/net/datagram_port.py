"""A UDP port whose datagrams go to one function: for protocols that need no more than that."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from voip.errors import NetworkError
from voip.net.loop import EventLoop
from voip.net.refusals import send_datagram
from voip.net.sockets import MakeSocket, bound_socket, datagrams, explain_bind_error, family_of, udp_socket
from voip.net.zones import sockaddr


class DatagramPort:
    """Network thread only. `unsent` counts datagrams that the system refused."""

    def __init__(
        self,
        loop: EventLoop,
        host: str,
        port: int,
        on_datagram: Callable[[bytes, tuple[str, int]], object],
        *,
        dscp: int = 0,
        make_socket: MakeSocket = udp_socket,
    ) -> None:
        """`port`: 0 for any; `make_socket` gives a socket that is not bound. NetworkError if the port is taken."""
        self._loop, self._on_datagram = loop, on_datagram
        self.unsent = 0
        try:
            self._socket: socket.socket = bound_socket(family_of(host), host, port, dscp, make_socket)
        except OSError as error:
            raise NetworkError(explain_bind_error(error, host, port)) from error
        loop.register(self._socket, self._receive)

    def send(self, data: bytes, destination: tuple[str, int]) -> None:
        """Send a datagram, if the system takes it."""
        try:
            send_datagram(self._socket, data, sockaddr(*destination, self._socket.family))
        except (OSError, TypeError, ValueError):
            self.unsent += 1

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._loop.unregister(self._socket)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _receive(self) -> None:
        for data, source in datagrams(self._socket, lambda host, port: None):
            self._on_datagram(data, source)
