"""Our own addresses as peers see them: public, bound, on the route to the peer, or found by STUN (RFC 8489)."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from voip.errors import NetworkError
from voip.net.dns import Resolver
from voip.net.failures import Failures
from voip.net.interfaces import own_hosts
from voip.net.loop import EventLoop
from voip.net.sockets import family_of, local_address_towards
from voip.net.stun import Mapped, StunClient

ANY_PUBLIC_HOST = "192.0.2.1"
"""RFC 5737 documentation address: which of ours leads out is asked of the routing table, nothing is sent there."""
MAX_HOSTS = 64
"""Peers for which the local address of the route is remembered."""

OnDiscovered = Callable[["Mapped | None", "Mapped | None"], None]
"""Called with the RTP and the RTCP port as the peer sees them; None: no different from what we see ourselves."""


class PortPair(Protocol):
    """A media port, as far as discovery needs it."""

    rtp: socket.socket
    rtcp: socket.socket | None

    def read_early(self, wanted: bool) -> None:
        """Read the sockets before there is a session, or stop reading them."""


class OwnAddresses:
    """Knows which address to tell each peer. Network thread; before that runs, the main thread."""

    def __init__(
        self,
        loop: EventLoop,
        resolver: Resolver,
        failures: Failures,
        *,
        bind: str | None = None,
        public: str | None = None,
        stun: tuple[str, int | None] | None = None,
        say: Callable[[int, str], None],
        on_change: Callable[[], None],
    ) -> None:
        """`public`: the address that all peers are told; else the server `stun` (host, port) is asked.
        `on_change` is called when `current_host` finds that the address of this machine has changed."""
        self._loop, self._failures, self._on_change = loop, failures, on_change
        self.bind, self._public = bind, public
        self._bound = None if bind is None or ipaddress.ip_address(bind).is_unspecified else bind
        self._stun: StunClient | None = None
        if stun is not None and public is None:
            self._stun = StunClient(loop, resolver, *stun, rng=random.SystemRandom(), say=say)
        self._sip: dict[socket.AddressFamily, socket.socket] = {}
        self._hosts: dict[str, str] = {}

    @property
    def behind_nat(self) -> bool:
        """Whether the options say so: with a public address or a STUN server."""
        return self._public is not None or self._stun is not None

    @property
    def any_host(self) -> str:
        """The wildcard address of the family that peers most likely use."""
        return "0.0.0.0" if self.bind is None or family_of(self.bind) == socket.AF_INET else "::"

    def local_host(self, remote_host: str) -> str:
        """The address to tell the peer at `remote_host`: public, bound, or the local one of the route."""
        if self._public is not None:
            return self._public
        if self._bound is not None:
            return self._bound
        if remote_host not in self._hosts:
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.clear()
            try:
                self._hosts[remote_host] = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return "127.0.0.1"
        return self._hosts[remote_host]

    def reachable_hosts(self) -> list[str]:
        """Addresses to tell a person, the most useful first: public, bound, on the default route, of an interface; that
        of the loopback interface only if there is no other."""
        host = self.local_host(ANY_PUBLIC_HOST)
        if self.bind == host or self._public is not None:
            return [host]
        routed = [] if ipaddress.ip_address(host).is_loopback else [host]
        return list(dict.fromkeys([*routed, *own_hosts()])) or [host]

    def current_host(self, remote_host: str) -> str | None:
        """Like `local_host`, but the route is looked up again; None without a route."""
        if self._public is None and self._bound is None:
            try:
                host = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return None
            before, self._hosts[remote_host] = self._hosts.get(remote_host, host), host
            if host != before:
                self._on_change()
        return self.local_host(remote_host)

    # --- STUN -----------------------------------------------------------------------------------------------------

    def start_discovery(self, sip_sockets: Sequence[socket.socket]) -> None:
        """Find the public addresses of the SIP sockets and keep them up to date, if there is a STUN server."""
        self._sip = {sock.family: sock for sock in sip_sockets}
        if self._stun is not None:
            self._stun.start(sip_sockets)

    def mapped(self, sip_socket: socket.socket, remote_host: str) -> Mapped | None:
        """The public host and port of a SIP socket, if they are known by STUN and the peer should use them."""
        return None if self._stun is None else self._stun.mapped(sip_socket, remote_host)

    def discover(self, port: PortPair, remote_host: str, on_discovered: OnDiscovered) -> None:
        """Find the public addresses of a media port towards `remote_host`, and that of our SIP port with them.

        `on_discovered(rtp, rtcp)` is called at once, or within a second.
        """
        if self._stun is None:
            on_discovered(None, None)
            return
        stun, sip = self._stun, self._sip.get(port.rtp.family)
        sockets = [sock for sock in (port.rtp, port.rtcp, sip) if sock is not None]

        def on_mapped(mapped: list[Mapped | None]) -> None:
            places = dict(zip(sockets, mapped, strict=True))
            if sip is not None:
                stun.note_sip(sip, places[sip])
            on_discovered(places[port.rtp], places.get(port.rtcp) if port.rtcp is not None else None)

        stun.ask(sockets, remote_host, on_mapped, port.read_early)

    @property
    def stun_hosts(self) -> tuple[str, ...]:
        """Where STUN responses come from."""
        return () if self._stun is None else self._stun.hosts

    def receive_stun(self, data: bytes, source: tuple[str, int]) -> None:
        """Handle a STUN message from any of our sockets, and send what was waiting for it."""
        if self._stun is None:
            return
        try:
            self._stun.receive(data, source)
        except Exception as error:
            self._failures.note(f"a STUN message from {source[0]}", error)
        self._loop.flush()
