"""UDP and TCP sockets, local addresses, and one-line explanations of what the system refuses."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Callable, Iterator, Mapping

from voip.errors import NetworkError
from voip.ip import MAX_UDP_DATAGRAM
from voip.net.arrivals import ANCILLARY_BYTES, Ancillary, ArrivalClock, ask_for_stamps
from voip.net.refusals import ask_for_refusals, refusals
from voip.net.zones import find_zone, learned, sockaddr

DATAGRAMS_PER_TURN = 100
"""Datagrams read from one socket before the others and the timers get their turn."""
RECEIVE_BUFFER = 1 << 20
"""Bytes of socket buffer to request: three seconds of the widest stream survive a frozen process."""
DSCP_EF = 46
"""Expedited forwarding (RFC 3246): voice."""
NEVER_OURS = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}
"""Addresses that no machine has: reserved (RFC 1112 section 4), and discarded (RFC 6666)."""

MakeSocket = Callable[[socket.AddressFamily], socket.socket]
"""Makes a UDP socket of a family, which is not bound yet."""


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def local_address_towards(host: str) -> str:
    """The source address of packets to the literal address `host`; nothing is sent. NetworkError without a route."""
    find_zone(host)
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(sockaddr(host, 9, probe.family))  # any port: connect() only looks the route up
        except (OSError, TypeError, ValueError) as error:
            raise NetworkError(f"no route to {host}: {reason_of(error)}") from error
        return learned(probe.getsockname())


def is_own_address(host: str) -> bool:
    """Whether this machine has the literal address `host` at present.

    A socket can be bound to nothing else, unless the system is set to let bind to anything (`ip_nonlocal_bind` of
    Linux); then only the address that a route to `host` begins at tells.
    """
    if not _can_bind(host):
        return False
    if not _can_bind(NEVER_OURS[family_of(host)]):
        return True
    try:
        return local_address_towards(host) == host
    except NetworkError:
        return False


def _can_bind(host: str) -> bool:
    sock = try_bind(family_of(host), host, 0, 0)
    if sock is not None:
        sock.close()
    return sock is not None


def udp_socket(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def bound_socket(
    family: socket.AddressFamily, host: str, port: int, dscp: int, make: MakeSocket = udp_socket
) -> socket.socket:
    """A non-blocking UDP socket, of those that `make` gives, bound to that address. OSError."""
    sock = make(family)
    ask_for_refusals(sock)
    ask_for_stamps(sock)
    return _bound(sock, host, port, dscp, {(socket.SOL_SOCKET, socket.SO_RCVBUF): RECEIVE_BUFFER})


def bound_stream_socket(
    family: socket.AddressFamily, host: str, port: int, dscp: int, *, shared: bool = True
) -> socket.socket:
    """A non-blocking TCP socket bound to that address, to listen or to connect. `shared`: other sockets of ours may use
    its port. OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    settings = {(socket.IPPROTO_TCP, socket.TCP_NODELAY): 1}
    if shared:
        settings[socket.SOL_SOCKET, socket.SO_REUSEADDR] = 1
        if hasattr(socket, "SO_REUSEPORT"):
            settings[socket.SOL_SOCKET, socket.SO_REUSEPORT] = 1
    return _bound(sock, host, port, dscp, settings)


def _bound(
    sock: socket.socket, host: str, port: int, dscp: int, settings: Mapping[tuple[int, int], int]
) -> socket.socket:
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for (level, option), value in settings.items():
            sock.setsockopt(level, option, value)
        mark(sock, sock.family, dscp)
        sock.setblocking(False)
        sock.bind(sockaddr(host, port, sock.family))
    except OSError:
        sock.close()
        raise
    return sock


def limit_unacknowledged(sock: socket.socket, seconds: float) -> None:
    """Let the system give up a TCP connection, and what it has queued, where nothing is acknowledged for this long
    (the user time-out of RFC 9293 section 3.9.1.1); without it, a quarter of an hour. Linux only."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, round(1000 * seconds))


def mark(sock: socket.socket, family: socket.AddressFamily, dscp: int) -> None:
    """Set the differentiated services code point (RFC 2474); where the system refuses, packets go unmarked."""
    with contextlib.suppress(OSError, AttributeError):
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def datagrams(sock: socket.socket, on_refused: Callable[[str, int], object]) -> Iterator[tuple[bytes, tuple[str, int]]]:
    """Received datagrams with their sources, at most DATAGRAMS_PER_TURN so that other sockets get their turn.

    `on_refused` is called with the host and port of each datagram of ours that ICMP says was refused.
    """
    for data, source, _ in _messages(sock, on_refused, 0):
        yield data, source


def stamped_datagrams(
    sock: socket.socket, on_refused: Callable[[str, int], object], clock: ArrivalClock
) -> Iterator[tuple[bytes, tuple[str, int], float]]:
    """As `datagrams`, each with the time of its arrival by `clock`."""
    for data, source, ancillary in _messages(sock, on_refused, ANCILLARY_BYTES):
        yield data, source, clock.arrival(ancillary)


def _messages(
    sock: socket.socket, on_refused: Callable[[str, int], object], ancillary_bytes: int
) -> Iterator[tuple[bytes, tuple[str, int], Ancillary]]:
    quiet = True
    for _ in range(DATAGRAMS_PER_TURN):
        try:
            data, source, ancillary = _take(sock, ancillary_bytes)
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno == errno.EBADF:
                return
            continue  # an ICMP error for something sent earlier: it is in the queue
        quiet = False
        yield data, (learned(source), source[1]), ancillary
    if quiet:  # woken by the queue of errors alone: it has to be emptied, or it wakes us for ever
        for host, port in refusals(sock):
            on_refused(host, port)


def _take(sock: socket.socket, ancillary_bytes: int) -> tuple[bytes, tuple[str, int], Ancillary]:
    """A datagram; where there are no stamps (Windows has no `recvmsg` at all) without control messages."""
    if not ancillary_bytes:
        data, source = sock.recvfrom(MAX_UDP_DATAGRAM)
        return data, source, ()
    data, ancillary, _, source = sock.recvmsg(MAX_UDP_DATAGRAM, ancillary_bytes)
    return data, source, ancillary


def receive_buffer(sock: socket.socket) -> int:
    """Bytes of socket buffer that the system has granted: at most `net.core.rmem_max`, of which Linux tells twice."""
    granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return granted // 2 if sys.platform == "linux" else granted


def reason_of(error: Exception) -> str:
    """Why the system, or Python, refuses an address, in its own words."""
    return getattr(error, "strerror", None) or str(error)


def try_bind(
    family: socket.AddressFamily, host: str, port: int, dscp: int, make: MakeSocket = udp_socket
) -> socket.socket | None:
    try:
        return bound_socket(family, host, port, dscp, make)
    except OSError:
        return None


def explain_bind_error(error: OSError, host: str, port: int, kind: str = "UDP") -> str:
    """Why the system refuses to bind this port, in one line that says what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"{kind} port {port} is in use, perhaps by another receiver; choose one with --sip-port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; see --bind"
    if error.errno == errno.EACCES:
        return f"{kind} port {port} needs root; choose one above 1023 with --sip-port"
    return f"cannot open {kind} port {port} on {host}: {error.strerror}"
