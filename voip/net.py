"""The network thread: sockets, timers, and nothing that knows a protocol.

It drives a `UserAgent` over UDP (RFC 3261 section 18), one `RtpSession` per media port with its RTCP, and whatever was
asked to be called later. Everything it owns is touched on its thread only; `post` is the way in.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import ipaddress
import itertools
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from voip.errors import VoipError
from voip.rtcp import NTP_UNIX_OFFSET
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.sip import Address, Event, UserAgent

LARGEST_DATAGRAM = 65535
RECEIVE_BUFFER = 1 << 20
"""Bytes of socket buffer asked for: three seconds of the widest stream survive a frozen process."""
DATAGRAMS_PER_TURN = 100
"""Datagrams read from one socket before the others and the timers get their turn."""
PORT_TRIES = 64
LONGEST_SLEEP = 1.0
DSCP_EF = 46
"""Expedited forwarding (RFC 3246): voice."""

OnPacket = Callable[[RtpPacket, float], None]
Handler = Callable[[Any], None]


class NetworkError(VoipError):
    """A name that does not resolve, a port that is taken, a host that cannot be reached."""


def resolve(host: str, bind: str | None = None) -> str:
    """The literal address for `host`, of the family of `bind` where that is given; NetworkError."""
    family = socket.AF_UNSPEC if bind is None else family_of(bind)
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NetworkError(f"cannot find the host {host}: {getattr(error, 'strerror', error)}") from error
    return str(found[0][4][0])


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def local_address_towards(host: str) -> str:
    """The address of this machine that packets to the literal address `host` leave from; nothing is sent."""
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # any port: connect() only looks the route up
        except OSError as error:
            raise NetworkError(f"no route to {host}: {error.strerror}") from error
        return str(probe.getsockname()[0]).partition("%")[0]


def bound_socket(family: socket.AddressFamily, host: str, port: int, dscp: int) -> socket.socket:
    """A non-blocking UDP socket on that address; OSError as it is."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        mark(sock, family, dscp)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def mark(sock: socket.socket, family: socket.AddressFamily, dscp: int) -> None:
    """Set the differentiated services code point (RFC 2474); where the system refuses, packets go unmarked."""
    with contextlib.suppress(OSError, AttributeError):
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


@dataclass
class MediaPort:
    """An even UDP port for RTP and, where it was free, the odd one above for RTCP (RFC 3550 section 11).

    `send` may be called from any thread. `icmp_errors` counts sends refused by what came back for earlier ones.
    """

    rtp: socket.socket
    rtcp: socket.socket | None
    host: str
    port: int
    icmp_errors: int = 0
    unsent: int = 0

    def send(self, destination: tuple[str, int], datagram: bytes) -> None:
        self._send(self.rtp, destination, datagram)

    def send_rtcp(self, destination: tuple[str, int], datagram: bytes, *, shared: bool) -> None:
        """`shared`: RTCP has no port of its own (RFC 5761)."""
        self._send(self.rtp if shared or self.rtcp is None else self.rtcp, destination, datagram)

    def _send(self, sock: socket.socket, destination: tuple[str, int], datagram: bytes) -> None:
        try:
            sock.sendto(datagram, destination)
        except ConnectionRefusedError:
            self.icmp_errors += 1
        except OSError:  # no buffer, no route for now: RTP is lost like on any wire, the media time-out decides
            self.unsent += 1

    def close(self) -> None:
        self.rtp.close()
        if self.rtcp is not None:
            self.rtcp.close()


class _Attached(NamedTuple):
    port: MediaPort
    session: RtpSession
    on_packet: OnPacket


class Network:
    """Sockets, timers and the loop that serves them. `listen` and the rest before `run` belong to the main thread."""

    def __init__(
        self,
        *,
        bind: str | None = None,
        public_address: str | None = None,
        media_ports: tuple[int, int] | None = None,
        dscp: int = DSCP_EF,
    ) -> None:
        self._bind, self._public, self._media_ports, self._dscp = bind, public_address, media_ports, dscp
        self._selector = selectors.DefaultSelector()
        self._sip: dict[socket.AddressFamily, socket.socket] = {}
        self._agent: UserAgent | None = None
        self._handlers: Mapping[type, Handler] = {}
        self._calls_later: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._attached: list[_Attached] = []
        self._local_cache: dict[str, str] = {}
        self._sleeper, self._waker = socket.socketpair()
        self._sleeper.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._sleeper, selectors.EVENT_READ, self._wake_up)
        self.on_send_error: Callable[[Address, OSError], None] = lambda address, error: None
        self.ntp_offset = time.time() - time.monotonic() + NTP_UNIX_OFFSET
        """Seconds since 1900 at the moment 0 of `now`, by the wall clock as it was at the start."""

    def now(self) -> float:
        return time.monotonic()

    # --- signalling -----------------------------------------------------------------------------------------------

    def listen(self, port: int) -> int:
        """Open the SIP socket(s); the port that was got. NetworkError says what to do."""
        hosts = [self._bind] if self._bind is not None else ["0.0.0.0", "::"]
        for host in hosts:
            family = family_of(host)
            try:
                sock = bound_socket(family, host, port, self._dscp)
            except OSError as error:
                if self._bind is None and family == socket.AF_INET6 and self._sip:
                    continue  # a machine without IPv6 serves IPv4 alone
                raise NetworkError(_why_not(error, host, port)) from error
            port = sock.getsockname()[1]
            self._sip[family] = sock
            self._selector.register(sock, selectors.EVENT_READ, partial(self._receive_sip, sock))
        return port

    def serve(self, agent: UserAgent, handlers: Mapping[type, Handler]) -> None:
        """Drive this user agent; its events go to the handler of their type, on the network thread."""
        self._agent, self._handlers = agent, handlers

    def sip_address(self, remote: Address) -> tuple[str, int]:
        """Our own host and port as `remote` is to be told, for Via and Contact."""
        sock = self._sip.get(family_of(remote.host)) or next(iter(self._sip.values()))
        return self.local_host(remote.host), sock.getsockname()[1]

    def local_host(self, remote_host: str) -> str:
        """Our own address as the peer at `remote_host` is to be told: public, bound, or the one on its route."""
        if self._public is not None:
            return self._public
        if self._bind is not None and not ipaddress.ip_address(self._bind).is_unspecified:
            return self._bind
        if remote_host not in self._local_cache:
            if len(self._local_cache) > PORT_TRIES:
                self._local_cache.clear()
            try:
                self._local_cache[remote_host] = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return "127.0.0.1"
        return self._local_cache[remote_host]

    # --- media ----------------------------------------------------------------------------------------------------

    def open_media_port(self, remote_host: str) -> MediaPort:
        """A port pair of the family of `remote_host`; NetworkError when all ports are taken."""
        family = family_of(remote_host)
        host = self._bind or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        candidates = [0] * PORT_TRIES
        if self._media_ports is not None:
            first, last = self._media_ports
            candidates = list(range(first + first % 2, last + 1, 2)) or [first]
        for candidate in candidates:
            rtp = _try_bind(family, host, candidate, self._dscp)
            if rtp is None:
                continue
            port = rtp.getsockname()[1]
            if port % 2 and candidate == 0:
                rtp.close()
                continue
            rtcp = _try_bind(family, host, port + 1, self._dscp) if port < LARGEST_DATAGRAM else None
            return MediaPort(rtp, rtcp, self.local_host(remote_host), port)
        raise NetworkError(f"no free media port among {self._media_ports}; choose others with --rtp-port")

    def attach(self, port: MediaPort, session: RtpSession, on_packet: OnPacket) -> None:
        """From now on what `port` receives goes through `session`, what that accepts to `on_packet`; RTCP is sent."""
        attached = _Attached(port, session, on_packet)
        self._attached.append(attached)
        for sock in (port.rtp, port.rtcp):
            if sock is not None:
                self._selector.register(sock, selectors.EVENT_READ, partial(self._receive_media, sock, attached))

    def say_goodbye(self, port: MediaPort, session: RtpSession) -> None:
        """Send the last RTCP of a call, with BYE; once."""
        self._send_rtcp(port, session, session.rtcp_farewell(self.now()))

    def detach(self, port: MediaPort) -> None:
        """Take what has come last and close the port; unknown and closed ones are none of our business."""
        for attached in self._attached:
            if attached.port is port:
                for sock in (port.rtp, port.rtcp):
                    if sock is not None:
                        self._receive_media(sock, attached)
        self._attached = [attached for attached in self._attached if attached.port is not port]
        for sock in (port.rtp, port.rtcp):
            if sock is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(sock)
        port.close()

    # --- the thread -----------------------------------------------------------------------------------------------

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Run `function(*args)` on the network thread, in order; callable from any thread."""
        self._posted.append((function, args))
        with contextlib.suppress(OSError):  # full: it will wake up anyway; closed: nobody is left to run it
            self._waker.send(b"\0")

    def call_later(self, delay: float, function: Callable[[], None]) -> None:
        """Run `function()` on the network thread `delay` seconds from now. Network thread only."""
        heapq.heappush(self._calls_later, (self.now() + delay, next(self._sequence), function))

    def run(self, stopped: Callable[[], bool]) -> None:
        """The loop of the network thread, until `stopped()` and all that was posted before; `post` wakes it to look.

        After media alone, which wakes it a hundred times a second, there is nothing new for the user agent to say.
        """
        while not stopped():
            if self._posted:
                self._run_posted()
                self._exchange_sip()
            left = self._next_due() - self.now()
            if left <= 0.0:
                self._run_timers()
                self._exchange_sip()
            for key, _ in self._selector.select(0.0 if self._posted else min(max(left, 0.0), LONGEST_SLEEP)):
                key.data()
        self._run_posted()
        self._exchange_sip()

    def close(self) -> None:
        """Close every socket; after the thread has ended."""
        for sock in self._sip.values():
            sock.close()
        self._selector.close()
        self._sleeper.close()
        self._waker.close()

    def flush(self) -> None:
        """Send what the user agent still has to say. Network thread only."""
        self._exchange_sip()

    def _next_due(self) -> float:
        """When the first of all timers is due."""
        due = [self._calls_later[0][0]] if self._calls_later else []
        due += [] if self._agent is None or (timer := self._agent.next_timer()) is None else [timer]
        due += [timer for attached in self._attached if (timer := attached.session.next_timer()) is not None]
        return min(due, default=math.inf)

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            function, args = self._posted.popleft()
            function(*args)

    def _run_timers(self) -> None:
        now = self.now()
        while self._calls_later and self._calls_later[0][0] <= now:
            heapq.heappop(self._calls_later)[2]()
        if self._agent is not None:
            due = self._agent.next_timer()
            if due is not None and due <= now:
                self._agent.handle_timer(now)
        for port, session, _ in self._attached:
            due = session.next_timer()
            if due is not None and due <= now:
                self._send_rtcp(port, session, session.rtcp_to_send(now))

    def _send_rtcp(self, port: MediaPort, session: RtpSession, datagrams: list[bytes]) -> None:
        destination = session.rtcp_destination
        if destination is None:
            return
        for datagram in datagrams:
            port.send_rtcp(destination, datagram, shared=session.media.rtcp_mux)

    def _exchange_sip(self) -> None:
        """Hand the agent's events to their handlers and its messages to the wire, until it has neither."""
        if self._agent is None:
            return
        while True:
            for data, address in self._agent.messages_to_send(self.now()):
                self._send_sip(data, address)
            event = self._agent.next_event()
            if event is None:
                return
            self._dispatch(event)

    def _dispatch(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _send_sip(self, data: bytes, address: Address) -> None:
        sock = self._sip.get(family_of(address.host))
        if sock is None:
            return
        try:
            sock.sendto(data, (address.host, address.port))
        except OSError as error:
            self.on_send_error(address, error)

    def _receive_sip(self, sock: socket.socket) -> None:
        assert self._agent is not None
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, source = sock.recvfrom(LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for something sent earlier: the transaction's timer decides
                continue
            self._agent.receive(data, Address("udp", _plain(source[0]), source[1]), self.now())
            self._exchange_sip()

    def _receive_media(self, sock: socket.socket, attached: _Attached) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, source = sock.recvfrom(LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EBADF:
                    return
                continue
            arrival = time.monotonic()
            for packet in attached.session.receive_datagram(data, (_plain(source[0]), source[1]), arrival):
                attached.on_packet(packet, arrival)

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sleeper.recv(LARGEST_DATAGRAM)


def _try_bind(family: socket.AddressFamily, host: str, port: int, dscp: int) -> socket.socket | None:
    try:
        return bound_socket(family, host, port, dscp)
    except OSError:
        return None


def _plain(host: str) -> str:
    """A link-local address without its zone: as it stands in SIP and SDP."""
    return host.partition("%")[0]


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"UDP port {port} is taken, perhaps by another receiver.py; choose one with --sip-port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; see --bind"
    if error.errno == errno.EACCES:
        return f"UDP port {port} needs root; choose one above 1023 with --sip-port"
    return f"cannot open UDP port {port} on {host}: {error.strerror}"
