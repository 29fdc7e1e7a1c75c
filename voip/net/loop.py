"""The network thread: sockets, timers, and nothing that knows a protocol.

It drives a `UserAgent` over UDP, TCP and TLS (RFC 3261 section 18), one `RtpSession` per media port with its RTCP, and
whatever was asked to be called later. Everything it owns is touched on its thread only; `post` is the way in.
"""

from __future__ import annotations

import contextlib
import heapq
import ipaddress
import itertools
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from voip.errors import NetworkError
from voip.ip import MAX_PORT, MAX_UDP_DATAGRAM
from voip.net.connections import MOST_INCOMING, Connections, Hooks, open_listeners
from voip.net.failures import Failures
from voip.net.media import MediaPort, open_pair
from voip.net.names import Names, missing
from voip.net.sockets import (
    DSCP_EF,
    bound_socket,
    datagrams,
    family_of,
    local_address_towards,
    reason_of,
    why_not,
)
from voip.net.stun import StunClient
from voip.net.tls import Tls, TlsFiles
from voip.net.zones import find_zone, sockaddr
from voip.rtcp import NTP_UNIX_OFFSET
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.sip import Address, Event, LookUp, UserAgent
from voip.stun import is_stun

LONGEST_SLEEP = 1.0
HOSTS_REMEMBERED = 64
"""Peers whose route was looked up."""

MEDIA_KEEP_ALIVE = 15.0
"""Seconds without a packet of ours after which one is sent to keep a NAT's mapping (RFC 6263 section 5)."""

OnPacket = Callable[[RtpPacket, float], None]
Handler = Callable[[Any], None]
Discovered = Callable[["tuple[str, int] | None", "tuple[str, int] | None"], None]


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
        tls: TlsFiles | None = None,
        stun: tuple[str, int | None] | None = None,
        most_connections: int = MOST_INCOMING,
    ) -> None:
        """`stun`: host and port of a server that tells our public address. `most_connections`: that others may have
        open to us. VoipError for TLS files that are of no use."""
        self._bind, self._public, self._media_ports, self._dscp = bind, public_address, media_ports, dscp
        self._selector = selectors.DefaultSelector()
        self._sip: dict[socket.AddressFamily, socket.socket] = {}
        self._tls = Tls(tls or TlsFiles())
        self._ports: dict[str, int] = {}
        self._agent: UserAgent | None = None
        self._handlers: Mapping[type, Handler] = {}
        self._calls_later: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._attached: list[_Attached] = []
        self._local_cache: dict[str, str] = {}
        self.names = Names()
        self.stun: StunClient | None = None
        if stun is not None and public_address is None:
            self.stun = StunClient(self, self.names, *stun, rng=random.SystemRandom())
        self._watched: set[socket.socket] = set()
        self._sleeper, self._waker = socket.socketpair()
        self._sleeper.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._sleeper, selectors.EVENT_READ, self._wake_up)
        self._connections = Connections(
            self._selector, self._hooks(), self._tls, dscp=dscp, most_incoming=most_connections
        )
        self.say: Callable[[int, str], None] = lambda level, text: None
        """Tells the user something, from this verbosity on."""
        self._warned = False
        self.on_send_error: Callable[[Address, str], None] = lambda address, why: None
        self.failures = Failures(lambda level, text: self.say(level, text))
        """Messages, datagrams and events that were dropped because handling them failed."""
        self._drop: Callable[[str], None] = lambda call_id: None
        self.ntp_offset = time.time() - time.monotonic() + NTP_UNIX_OFFSET
        """Seconds since 1900 at the moment 0 of `now`, by the wall clock as it was at the start."""

    def now(self) -> float:
        return time.monotonic()

    # --- signalling -----------------------------------------------------------------------------------------------

    def listen(self, port: int) -> int:
        """Open the SIP sockets: UDP and TCP at `port`, TLS above if there is a certificate. The port that was got for
        UDP; `sip_ports` has them all. NetworkError says what to do."""
        hosts = [self._bind] if self._bind is not None else ["0.0.0.0", "::"]
        got = self._ports["udp"] = self._listen_udp(hosts, port)
        self._ports["tcp"] = open_listeners(self._connections, "tcp", hosts, got, exactly=port != 0)
        secure = self._tls.server is not None
        above = got + 1 if secure and got < MAX_PORT else 0
        self._ports["tls"] = open_listeners(self._connections, "tls", hosts, above, exactly=port != 0 and secure)
        return got

    @property
    def sip_ports(self) -> dict[str, int]:
        """Where we can be reached by "udp", "tcp" and, with a certificate, "tls"."""
        ports = dict(self._ports)
        if self._tls.server is None:
            ports.pop("tls", None)
        return ports

    def _listen_udp(self, hosts: list[str], port: int) -> int:
        for host in hosts:
            family = family_of(host)
            try:
                sock = bound_socket(family, host, port, self._dscp)
            except OSError as error:
                if self._bind is None and family == socket.AF_INET6 and self._sip:
                    continue  # a machine without IPv6 serves IPv4 alone
                raise NetworkError(why_not(error, host, port)) from error
            port = sock.getsockname()[1]
            self._sip[family] = sock
            self._selector.register(sock, selectors.EVENT_READ, partial(self._receive_sip, sock))
        return port

    def serve(self, agent: UserAgent, handlers: Mapping[type, Handler], drop: Callable[[str], None]) -> None:
        """Drive this user agent; its events go to the handler of their type, on the network thread. `drop` ends the
        call of an event whose handler has failed."""
        self._agent, self._handlers, self._drop = agent, {LookUp: self._look_up, **handlers}, drop
        if self.stun is not None:
            self.post(self.stun.start, list(self._sip.values()))

    @property
    def protocols(self) -> Sequence[str]:
        """What SIP is spoken over, by preference."""
        return ("udp", "tcp", "tls")

    def _look_up(self, event: LookUp) -> None:
        """Answer the user agent's question, without making the network thread wait."""

        if not self._warned and (note := missing()) is not None:
            self._warned = True
            self.say(1, note)

        def found(addresses: list[Address]) -> None:
            self.post(self._found, event, addresses)

        self.names.look_up(event.uri, self.protocols, tuple(self._sip), found)

    def _found(self, event: LookUp, addresses: list[Address]) -> None:
        if self._agent is None:
            return
        try:
            self._agent.found(event.uri, addresses, self.now())
        except Exception as error:
            self.failures.note(f"what was found of {event.uri.host}", error)

    def sip_address(self, remote: Address) -> tuple[str, int]:
        """Our own host and port as `remote` is to be told, for Via and Contact."""
        if self.stun is not None and remote.protocol == "udp" and (sock := self._sip.get(family_of(remote.host))):
            mapped = self.stun.mapped(sock, remote.host)
            if mapped is not None:
                return mapped
        return self.local_host(remote.host), self._ports[remote.protocol]

    def discover(self, port: MediaPort, remote_host: str, done: Discovered) -> None:
        """Find out where `remote_host` sees the RTP and the RTCP port of a call, and our SIP port with them.

        `done(rtp, rtcp)` is called at once, or within a second; None: as far as is known, where we see them ourselves.
        """
        if self.stun is None:
            done(None, None)
            return
        sip = self._sip.get(port.rtp.family)
        sockets = [sock for sock in (port.rtp, port.rtcp, sip) if sock is not None]

        def told(mapped: list[tuple[str, int] | None]) -> None:
            places = dict(zip(sockets, mapped, strict=True))
            if self.stun is not None and sip is not None:
                self.stun.note_sip(sip, places[sip])
            done(places[port.rtp], places.get(port.rtcp) if port.rtcp is not None else None)

        self.stun.ask(sockets, remote_host, told)

    def watch(self, sock: socket.socket) -> None:
        """Read what comes to a socket that nobody reads yet, for the sake of STUN answers alone."""
        with contextlib.suppress(KeyError):
            self._selector.register(sock, selectors.EVENT_READ, partial(self._receive_early, sock))
            self._watched.add(sock)

    def unwatch(self, sock: socket.socket) -> None:
        if sock in self._watched:
            self._watched.discard(sock)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)

    @property
    def behind_nat(self) -> bool:
        """Whether the user has said that there is one."""
        return self._public is not None or self.stun is not None

    @property
    def any_host(self) -> str:
        """Any address of the family that peers most likely have."""
        return "0.0.0.0" if self._bind is None or family_of(self._bind) == socket.AF_INET else "::"

    def local_host(self, remote_host: str) -> str:
        """Our own address as the peer at `remote_host` is to be told: public, bound, or the one on its route."""
        if self._public is not None:
            return self._public
        if self._bind is not None and not ipaddress.ip_address(self._bind).is_unspecified:
            return self._bind
        if remote_host not in self._local_cache:
            if len(self._local_cache) > HOSTS_REMEMBERED:
                self._local_cache.clear()
            try:
                self._local_cache[remote_host] = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return "127.0.0.1"
        return self._local_cache[remote_host]

    def current_host(self, remote_host: str) -> str | None:
        """The same as it is just now, which `local_host` says from now on; None without a route."""
        if self._public is None and (self._bind is None or ipaddress.ip_address(self._bind).is_unspecified):
            try:
                host = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return None
            before, self._local_cache[remote_host] = self._local_cache.get(remote_host, host), host
            if host != before:
                self._connections.leave_old_addresses()
        return self.local_host(remote_host)

    # --- media ----------------------------------------------------------------------------------------------------

    def open_media_port(self, remote_host: str, own_port: int | None = None) -> MediaPort:
        """A port pair of the family of `remote_host`, the given one or any; NetworkError when all ports are taken."""
        family = family_of(remote_host)
        host = self._bind or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        ports = self._media_ports if own_port is None else (own_port, own_port)
        rtp, rtcp = open_pair(family, host, ports, self._dscp)
        return MediaPort(rtp, rtcp, self.local_host(remote_host), rtp.getsockname()[1])

    def attach(self, port: MediaPort, session: RtpSession, on_packet: OnPacket) -> None:
        """From now on what `port` receives goes through `session`, what that accepts to `on_packet`; RTCP is sent."""
        if port.rtp.family == socket.AF_INET6:
            find_zone(session.remote[0])  # SDP may name another address than SIP came from
        attached = _Attached(port, session, on_packet)
        self._attached.append(attached)
        for sock in (port.rtp, port.rtcp):
            if sock is not None:
                self.unwatch(sock)
                self._selector.register(sock, selectors.EVENT_READ, partial(self._receive_media, sock, attached))

        if session.media.direction.sends:
            self.call_later(MEDIA_KEEP_ALIVE, partial(self._keep_open, attached, port.sent))
        else:
            self._keep_open(attached, port.sent)

    def _keep_open(self, attached: _Attached, sent: int) -> None:
        """Send something from a media port from which nothing went since `sent` packets: NATs let in only answers."""
        if attached not in self._attached:
            return
        port, session, _ = attached
        if port.sent == sent and (datagram := session.keep_alive()) is not None:
            port.send(session.remote, datagram)
        self.call_later(MEDIA_KEEP_ALIVE, partial(self._keep_open, attached, port.sent))

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
                self._watched.discard(sock)
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
        self._connections.close()
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
        due = [self._connections.next_timer()]
        due += [self._calls_later[0][0]] if self._calls_later else []
        due += [] if self._agent is None or (timer := self._agent.next_timer()) is None else [timer]
        due += [timer for attached in self._attached if (timer := attached.session.next_timer()) is not None]
        return min(due)

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            function, args = self._posted.popleft()
            function(*args)

    def _run_timers(self) -> None:
        now = self.now()
        self._connections.run_timers(now)
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
            messages = self._agent.messages_to_send(self.now())
            for data, address in messages:
                self._send_sip(data, address)
            event = self._agent.next_event()
            if event is not None:
                self._dispatch(event)
            elif not messages:
                return

    def _dispatch(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        try:
            handler(event)
        except Exception as error:
            self.failures.note(f"a call ({type(event).__name__})", error)
            if call_id := getattr(event, "call_id", None):
                self._drop_call(call_id)

    def _drop_call(self, call_id: str) -> None:
        try:
            self._drop(call_id)
        except Exception as error:
            self.failures.note("what is left of a call", error)

    def _send_sip(self, data: bytes, address: Address) -> None:
        if address.reliable:
            self._connections.send(data, address)
            return
        sock = self._sip.get(family_of(address.host))
        if sock is None:
            return
        try:
            sock.sendto(data, sockaddr(address.host, address.port, sock.family))
        except (OSError, TypeError, ValueError) as error:
            self.on_send_error(address, reason_of(error))

    def _receive_sip(self, sock: socket.socket) -> None:
        for data, source in datagrams(sock):
            if is_stun(data):
                self._take_stun(data, source)
            else:
                self._take_message(data, Address("udp", *source))

    def _receive_early(self, sock: socket.socket) -> None:
        """Media that comes before the call is agreed on is nobody's; what STUN says is taken."""
        for data, source in datagrams(sock):
            if is_stun(data):
                self._take_stun(data, source)
            if sock not in self._watched:  # the answer was the last, and what follows is for the call
                return

    def _take_stun(self, data: bytes, source: tuple[str, int]) -> None:
        if self.stun is None:
            return
        try:
            self.stun.receive(data, source)
        except Exception as error:
            self.failures.note(f"a STUN message from {source[0]}", error)
        self._exchange_sip()

    def _take_message(self, data: bytes, source: Address) -> None:
        if self._agent is None:
            return
        try:
            self._agent.receive(data, source, self.now())
        except Exception as error:
            self.failures.note(f"a SIP message from {source.host}", error)
        self._exchange_sip()

    def _hooks(self) -> Hooks:
        """What connections have to do with the user agent."""
        return Hooks(
            now=self.now,
            later=partial(self.call_later, 0.0),
            on_message=self._take_message,
            on_failed=self._connection_failed,
            on_closed=lambda address: self._agent.connection_closed(address, self.now()) if self._agent else None,
            needs=lambda address: self._agent is not None and self._agent.needs(address),
            server_name=lambda address: self._agent.server_name(address) if self._agent else address.host,
        )

    def _connection_failed(self, address: Address, reason: str) -> None:
        if self._agent is not None:
            self._agent.transport_failed(address, self.now(), reason)

    def _receive_media(self, sock: socket.socket, attached: _Attached) -> None:
        for data, source in datagrams(sock):
            arrival = time.monotonic()
            if is_stun(data):  # shares the port with RTP (RFC 7983), and is none
                self._take_stun(data, source)
                continue
            try:
                for packet in attached.session.receive_datagram(data, source, arrival):
                    attached.on_packet(packet, arrival)
            except Exception as error:
                self.failures.note(f"a datagram from {source[0]}", error)

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sleeper.recv(MAX_UDP_DATAGRAM)
