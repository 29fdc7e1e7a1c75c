"""SIP over UDP, TCP and TLS (RFC 3261 section 18): the sockets of one `SipElement`, on the network thread."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from voip.errors import NetworkError
from voip.ip import MAX_PORT
from voip.net.addresses import OwnAddresses
from voip.net.captured import Tap
from voip.net.connection import Hooks
from voip.net.connections import MAX_INCOMING, MAX_OUTGOING, Connections
from voip.net.dns import Resolver
from voip.net.driver import AgentDriver, Handler
from voip.net.element import SipElement
from voip.net.failures import Failures
from voip.net.loop import EventLoop
from voip.net.refusals import send_datagram
from voip.net.sip_floods import SipFloodGuard
from voip.net.sockets import bound_socket, datagrams, explain_bind_error, family_of, reason_of
from voip.net.tls import Tls
from voip.net.trace import Trace
from voip.net.zones import sockaddr
from voip.sip import Address
from voip.stun import is_stun

REFUSALS_BELIEVED = 2
"""ICMP messages until a port counts as closed: one for the INVITE, one for its first repetition 0.5 s later."""
REFUSALS_REMEMBERED = 100
"""Closed ports that are remembered, the newest."""


@dataclass(frozen=True)
class SendFailed:
    """A message cannot get to `address` over UDP: the system refused to send it, or ICMP came back.

    Passed to the handlers like events of the agent.
    """

    address: Address
    reason: str
    """Why, for people."""
    closed: bool = False
    """Whether nothing listens there, as ICMP says."""


class SipTransport:
    """Carries the messages of a user agent, drives its timers, and passes its events to their handlers.

    `listen` and `serve` may be called by the main thread before the loop runs; all else belongs to the loop's thread.
    """

    def __init__(
        self,
        loop: EventLoop,
        addresses: OwnAddresses,
        resolver: Resolver,
        tls: Tls,
        failures: Failures,
        *,
        dscp: int,
        say: Callable[[int, str], None],
        trace: Trace,
        max_connections: tuple[int, int] = (MAX_INCOMING, MAX_OUTGOING),
        tap: Tap | None = None,
    ) -> None:
        """`say` prints a line from the given verbosity on. `max_connections`: opened by peers, and by us. `tap` makes
        what a capture knows."""
        self._loop, self._addresses, self._tls, self._dscp, self._trace = loop, addresses, tls, dscp, trace
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}
        tap = tap or Tap()
        self._make_socket = tap.signalling_socket
        self._ports: dict[str, int] = {}
        self._refused: dict[tuple[str, int], int] = {}
        self._driver = AgentDriver(loop, resolver, failures, lambda: tuple(self._sockets), self._send, say)
        self._connections = Connections(
            loop,
            self._hooks(),
            tls,
            dscp=dscp,
            max_incoming=max_connections[0],
            max_outgoing=max_connections[1],
            tap=tap,
        )
        self._floods = SipFloodGuard(loop, self._sockets.values, self._note_dropped, say)
        loop.add(self)

    # --- our own ports --------------------------------------------------------------------------------------------

    def listen(self, port: int) -> int:
        """Open the SIP sockets: UDP and TCP at `port`, TLS above if there is a certificate. Returns the UDP
        port (see `sip_ports` for the others). NetworkError."""
        bind = self._addresses.bind
        hosts = [bind] if bind is not None else ["0.0.0.0", "::"]
        got = self._ports["udp"] = self._listen_udp(hosts, port)
        self._ports["tcp"] = self._connections.listen("tcp", hosts, got, exactly=port != 0)
        secure = self._tls.server is not None
        above = got + 1 if secure and got < MAX_PORT else 0
        self._ports["tls"] = self._connections.listen("tls", hosts, above, exactly=port != 0 and secure)
        return got

    def _listen_udp(self, hosts: list[str], port: int) -> int:
        for host in hosts:
            family = family_of(host)
            try:
                sock = bound_socket(family, host, port, self._dscp, self._make_socket)
            except OSError as error:
                if len(hosts) > 1 and family == socket.AF_INET6 and self._sockets:
                    continue  # this machine has no IPv6
                raise NetworkError(explain_bind_error(error, host, port)) from error
            port = sock.getsockname()[1]
            self._sockets[family] = sock
            self._loop.register(sock, partial(self._receive, sock))
        return port

    @property
    def sip_ports(self) -> dict[str, int]:
        """The port that we listen at, by protocol: "udp", "tcp" and, with a certificate, "tls"."""
        ports = dict(self._ports)
        if self._tls.server is None:
            ports.pop("tls", None)
        return ports

    def sip_address(self, remote: Address) -> tuple[str, int]:
        """Our own host and port as seen by `remote`, for Via and Contact."""
        if remote.protocol == "udp" and (sock := self._sockets.get(family_of(remote.host))):
            mapped = self._addresses.mapped(sock, remote.host)
            if mapped is not None:
                return mapped
        return self._addresses.local_host(remote.host), self._ports[remote.protocol]

    def leave_old_addresses(self) -> None:
        """Close connections from addresses that this machine no longer has."""
        self._connections.leave_old_addresses()

    # --- the user agent -------------------------------------------------------------------------------------------

    def serve(self, agent: SipElement, handlers: Mapping[type, Handler], drop: Callable[[str], None]) -> None:
        """Drive this user agent, or other element. Its events, and `SendFailed`, go to the handler of their type, on
        the network thread. `drop` ends the call (Call-ID) of an event whose handler has failed."""
        self._driver.serve(agent, handlers, drop)
        self._loop.post(self._addresses.start_discovery, list(self._sockets.values()))

    def flush(self) -> None:
        """Pass on the events and messages of the user agent until it has neither."""
        self._driver.flush()

    def next_timer(self) -> float | None:
        """When the first timer of the agent or of a connection is due."""
        due, timer = self._connections.next_timer(), self._driver.next_timer()
        due = due if timer is None else min(due, timer)
        return None if due == math.inf else due

    def handle_timer(self, now: float) -> None:
        self._connections.run_timers(now)
        self._driver.handle_timer(now)

    def close(self) -> None:
        """Close every socket; after the thread has ended."""
        self._loop.remove(self)
        self._floods.close()
        self._connections.close()
        for sock in self._sockets.values():
            self._loop.unregister(sock)
            sock.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _send(self, data: bytes, address: Address) -> None:
        self._trace.sip("sent to", data, address)
        if address.reliable:
            self._connections.send(data, address)
            return
        sock = self._sockets.get(family_of(address.host))
        if sock is None:
            return
        try:
            send_datagram(sock, data, sockaddr(address.host, address.port, sock.family))
        except (OSError, TypeError, ValueError) as error:
            self._driver.dispatch(SendFailed(address, reason_of(error)))

    def _receive(self, sock: socket.socket) -> None:
        now = self._loop.now()
        for data, source in datagrams(sock, self._note_refused):
            self._floods.note(data, now)
            if is_stun(data):
                self._addresses.receive_stun(data, source)
            else:
                self._refused.pop(source, None)
                self._receive_message(data, Address("udp", *source))

    def _note_dropped(self, count: int) -> None:
        if self._driver.agent is not None:
            self._driver.agent.note_malformed(count)

    def _note_refused(self, host: str, port: int) -> None:
        """ICMP says that a port is closed. The second one is believed: the first may be forged."""
        times = self._refused[host, port] = self._refused.pop((host, port), 0) + 1
        if len(self._refused) > REFUSALS_REMEMBERED:
            del self._refused[next(iter(self._refused))]
        if times >= REFUSALS_BELIEVED:
            del self._refused[host, port]  # the next try counts its own
            reason = f"nothing listens at its UDP port {port} (refused {times} times)"
            self._driver.dispatch(SendFailed(Address("udp", host, port), reason, closed=True))
            self.flush()

    def _receive_message(self, data: bytes, source: Address) -> None:
        self._trace.sip("received from", data, source)
        self._driver.receive(data, source)

    def _hooks(self) -> Hooks:
        """How connections reach the user agent."""
        driver = self._driver
        return Hooks(
            on_message=self._receive_message,
            on_failed=self._connection_failed,
            on_closed=self._connection_closed,
            needs=lambda address: driver.agent is not None and driver.agent.needs(address),
            server_name=lambda address: driver.agent.server_name(address) if driver.agent else address.host,
            may_call=lambda host: driver.agent is None or driver.agent.may_call(host),
        )

    def _connection_closed(self, address: Address) -> None:
        if self._driver.agent is not None:
            self._driver.agent.connection_closed(address, self._loop.now())

    def _connection_failed(self, address: Address, reason: str) -> None:
        if self._driver.agent is not None:
            self._driver.agent.transport_failed(address, self._loop.now(), reason)
