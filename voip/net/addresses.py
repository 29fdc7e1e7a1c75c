"""Our own addresses, as peers are to be told: bound, public, on the route to them, or found by STUN (RFC 8489)."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from voip.errors import NetworkError
from voip.net.loop import EventLoop
from voip.net.names import Names
from voip.net.sockets import family_of, local_address_towards
from voip.net.stun import Mapped, StunClient

MAX_HOSTS = 64
"""Peers whose route was looked up, and is remembered."""

Discovered = Callable[["Mapped | None", "Mapped | None"], None]
"""Gets the RTP and the RTCP port as the peer sees them; None: as far as is known, where we see them ourselves."""


class PortPair(Protocol):
    """What discovery has to know of a media port."""

    rtp: socket.socket
    rtcp: socket.socket | None

    def read_early(self, wanted: bool) -> None:
        """Read the sockets (or no longer) although there is no session."""


class OwnAddresses:
    """What to tell peers of where we are. Network thread; before it runs, the main thread."""

    def __init__(
        self,
        loop: EventLoop,
        names: Names,
        *,
        bind: str | None = None,
        public: str | None = None,
        stun: tuple[str, int | None] | None = None,
        say: Callable[[int, str], None],
        on_change: Callable[[], None],
    ) -> None:
        """`public`: what all peers are told; else `stun`, host and port of a server, is asked what they see.
        `on_change` is called when `current_host` finds that this machine has another address."""
        self._loop, self.bind, self._public, self._on_change = loop, bind, public, on_change
        self._stun: StunClient | None = None
        if stun is not None and public is None:
            self._stun = StunClient(loop, names, *stun, rng=random.SystemRandom(), say=say)
        self._sip: dict[socket.AddressFamily, socket.socket] = {}
        self._hosts: dict[str, str] = {}

    @property
    def behind_nat(self) -> bool:
        """Whether the user has said that there is one."""
        return self._public is not None or self._stun is not None

    @property
    def any_host(self) -> str:
        """Any address of the family that peers most likely have."""
        return "0.0.0.0" if self.bind is None or family_of(self.bind) == socket.AF_INET else "::"

    def local_host(self, remote_host: str) -> str:
        """Our own address as the peer at `remote_host` is to be told: public, bound, or the one on its route."""
        if self._public is not None:
            return self._public
        if self.bind is not None and not ipaddress.ip_address(self.bind).is_unspecified:
            return self.bind
        if remote_host not in self._hosts:
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.clear()
            try:
                self._hosts[remote_host] = local_address_towards(remote_host)
            except (NetworkError, OSError):
                return "127.0.0.1"
        return self._hosts[remote_host]

    def current_host(self, remote_host: str) -> str | None:
        """The same as it is just now, which `local_host` says from now on; None without a route."""
        if self._public is None and (self.bind is None or ipaddress.ip_address(self.bind).is_unspecified):
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
        """Find the STUN server, if there is one, and keep the public addresses of the SIP sockets known."""
        self._sip = {sock.family: sock for sock in sip_sockets}
        if self._stun is not None:
            self._stun.start(sip_sockets)

    def mapped(self, sip_socket: socket.socket, remote_host: str) -> Mapped | None:
        """The public host and port of a SIP socket as the peer at `remote_host` is to be told, if STUN knows them."""
        return None if self._stun is None else self._stun.mapped(sip_socket, remote_host)

    def discover(self, port: PortPair, remote_host: str, done: Discovered) -> None:
        """Find out where `remote_host` sees the RTP and the RTCP port of a call, and our SIP port with them.

        `done(rtp, rtcp)` is called at once, or within a second.
        """
        if self._stun is None:
            done(None, None)
            return
        stun, sip = self._stun, self._sip.get(port.rtp.family)
        sockets = [sock for sock in (port.rtp, port.rtcp, sip) if sock is not None]

        def on_mapped(mapped: list[Mapped | None]) -> None:
            places = dict(zip(sockets, mapped, strict=True))
            if sip is not None:
                stun.note_sip(sip, places[sip])
            done(places[port.rtp], places.get(port.rtcp) if port.rtcp is not None else None)

        stun.ask(sockets, remote_host, on_mapped, port.read_early)

    def receive_stun(self, data: bytes, source: tuple[str, int]) -> None:
        """A STUN message has come to any of our sockets. What waited for it is sent at once."""
        if self._stun is not None:
            self._stun.receive(data, source)
            self._loop.flush()
