"""The TCP ports of SIP, which we listen at and, where possible, connect from (RFC 5923)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from functools import partial

from voip.errors import NetworkError
from voip.net.loop import EventLoop
from voip.net.sockets import bound_stream_socket, explain_bind_error, family_of
from voip.net.zones import sockaddr
from voip.sip import Address

BACKLOG = 16
"""Connections that the system holds until we accept them."""

Accept = Callable[[socket.socket], None]
"""Called with a listening socket that has a connection to accept."""


class StreamPorts:
    """One port for each of "tcp" and "tls" and each address family."""

    def __init__(self, loop: EventLoop, *, dscp: int) -> None:
        self._loop, self._dscp = loop, dscp
        self._bound: dict[tuple[str, socket.AddressFamily], socket.socket] = {}

    def listen(self, protocol: str, hosts: list[str], port: int, accept: Accept | None, *, exactly: bool) -> int:
        """Bind these addresses, all at one port: `port`, or another one if it is taken and need not be `exactly` that.
        Without `accept` the port is only kept for our own connections. Returns the port; NetworkError."""
        first, *others = hosts
        try:
            got = self._listen(protocol, first, port, accept)
        except OSError as error:
            if exactly:
                raise NetworkError(explain_bind_error(error, first, port, "TCP")) from error
            got = self._listen(protocol, first, 0, accept)
        for host in others:
            with contextlib.suppress(OSError):  # this machine has no IPv6
                self._listen(protocol, host, got, accept)
        return got

    def _listen(self, protocol: str, host: str, port: int, accept: Accept | None) -> int:
        family = family_of(host)
        sock = bound_stream_socket(family, host, port, self._dscp)
        self._bound[protocol, family] = sock
        if accept is not None:
            try:
                sock.listen(BACKLOG)
            except OSError:
                sock.close()
                del self._bound[protocol, family]
                raise
            self._loop.register(sock, partial(accept, sock))
        return int(sock.getsockname()[1])

    def connect(self, address: Address) -> socket.socket:
        """A socket that is connecting, from the port that we listen at if possible, so that the peer can reuse the
        connection (RFC 5923), else from any. OSError,
        TypeError or ValueError for an impossible address."""
        family = family_of(address.host)
        bound = self._bound.get((address.protocol, family))
        anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
        host, port = (anywhere, 0) if bound is None else bound.getsockname()[:2]
        if port not in (0, address.port):
            with contextlib.suppress(OSError):
                return _begin_connecting(bound_stream_socket(family, host, port, self._dscp), address)
        return _begin_connecting(bound_stream_socket(family, host, 0, self._dscp, shared=False), address)

    def close(self) -> None:
        for sock in self._bound.values():
            self._loop.unregister(sock)
            sock.close()
        self._bound.clear()


def _begin_connecting(sock: socket.socket, address: Address) -> socket.socket:
    try:
        begun = sock.connect_ex(sockaddr(address.host, address.port, sock.family))
    except (OSError, TypeError, ValueError):
        sock.close()
        raise
    if begun not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(begun, os.strerror(begun))
    return sock
