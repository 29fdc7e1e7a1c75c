"""Media ports: a UDP socket for RTP and one for RTCP beside it (RFC 3550 section 11), and all that passes them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from voip.errors import NetworkError
from voip.ip import MAX_PORT
from voip.net.addresses import OwnAddresses
from voip.net.loop import EventLoop
from voip.net.sockets import datagrams, family_of, try_bind
from voip.net.zones import find_zone, sockaddr
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.stun import is_stun

PORT_TRIES = 64
"""Ports asked of the system until one is even."""
MEDIA_KEEP_ALIVE = 15.0
"""Seconds without a packet of ours after which one is sent to keep a NAT's mapping (RFC 6263 section 5)."""

OnPacket = Callable[[RtpPacket, float], None]
"""Gets each accepted packet and the moment of its arrival."""
OnStun = Callable[[bytes, "tuple[str, int]"], None]


class MediaTransport:
    """One media port. Everything that a call sends leaves by it: media and FEC, RTCP, keep-alives, the empty first
    packet that opens a NAT; and everything comes in by it: STUN (RFC 7983), RTP and RTCP.

    It has an even UDP port for RTP and, where it was free, the odd one above for RTCP. `send_rtp` may be called from
    any thread, in practice the capture thread; all else belongs to the network thread. `attach` gives it the session
    that knows the peer's addresses.

    SRTP (RFC 3711) would be two changes. Out: keys come with `attach`, from the session's `NegotiatedMedia`, and
    `send_rtp`, `_send_rtcp` and `_keep_alive` protect what they hand to `_transmit`, which sees wire bytes alone; each
    SSRC has a context of its own, so the two threads share none. In: the session's parse, after its checks of source
    and SSRC, whose header fields stay in clear.
    """

    def __init__(
        self, loop: EventLoop, rtp: socket.socket, rtcp: socket.socket | None, *, host: str, on_stun: OnStun
    ) -> None:
        """`host`: our address as the peer is to be told; `on_stun` takes STUN messages."""
        self._loop, self._on_stun = loop, on_stun
        self.rtp, self.rtcp = rtp, rtcp
        self.host: str = host
        self.port: int = rtp.getsockname()[1]
        self.sent = 0
        """Datagrams from the RTP port."""
        self.icmp_errors = 0
        """Sends refused because of what came back for earlier ones."""
        self.unsent = 0
        """Datagrams that the system did not take."""
        self._session: RtpSession | None = None
        self._on_packet: OnPacket = _ignore
        self._open, self._reading = True, False

    # --- out ------------------------------------------------------------------------------------------------------

    def send_rtp(self, datagram: bytes) -> bool:
        """Send a media or repair packet to the peer. Any thread. False: there is no session, or its peer's address is
        unknown until something has come from it."""
        session = self._session
        if session is None:
            return False
        remote = session.remote
        if not remote[1]:
            return False
        self._transmit(self.rtp, remote, datagram)
        return True

    def send_goodbye(self) -> None:
        """Send the last RTCP of the session, with BYE; once."""
        if self._session is not None:
            self._send_rtcp(self._session, self._session.rtcp_farewell(self._loop.now()))

    def _send_rtcp(self, session: RtpSession, compounds: list[bytes]) -> None:
        destination = session.rtcp_destination
        if destination is None:
            return
        sock = self.rtp if session.media.rtcp_mux or self.rtcp is None else self.rtcp  # RFC 5761
        for compound in compounds:
            self._transmit(sock, destination, compound)

    def _keep_alive(self, sent: int) -> None:
        """Send something from a port from which nothing went since `sent` packets: NATs let in only responses."""
        session = self._session
        if not self._open or session is None:
            return
        if self.sent == sent and (datagram := session.keep_alive()) is not None:
            self._transmit(self.rtp, session.remote, datagram)
        self._loop.call_later(MEDIA_KEEP_ALIVE, partial(self._keep_alive, self.sent))

    def _transmit(self, sock: socket.socket, destination: tuple[str, int], datagram: bytes) -> None:
        """Put a datagram on the wire: the only way out of this port."""
        self.sent += sock is self.rtp
        try:
            sock.sendto(datagram, sockaddr(*destination))
        except ConnectionRefusedError:
            self.icmp_errors += 1
        except OSError:  # no buffer, no route for now: RTP is lost like on any wire, the media time-out decides
            self.unsent += 1

    # --- in -------------------------------------------------------------------------------------------------------

    def attach(self, session: RtpSession, on_packet: OnPacket) -> None:
        """From now on what comes goes through `session`, what that accepts to `on_packet`, and RTCP is sent.

        To be called before anything is sent by `send_rtp`.
        """
        find_zone(session.remote[0])  # SDP may name another address than SIP came from
        self._session, self._on_packet = session, on_packet
        self._read(True)
        self._loop.add(self)
        if session.media.direction.sends:
            self._loop.call_later(MEDIA_KEEP_ALIVE, partial(self._keep_alive, self.sent))
        else:
            self._keep_alive(self.sent)

    def read_early(self, wanted: bool) -> None:
        """Read the sockets (or no longer) before there is a session, for the sake of STUN responses alone."""
        if self._session is None:
            self._read(wanted)

    def _read(self, wanted: bool) -> None:
        if not self._open or wanted == self._reading:
            return
        self._reading = wanted
        for sock in self._sockets:
            if wanted:
                self._loop.register(sock, partial(self._receive, sock))
            else:
                self._loop.unregister(sock)

    def _receive(self, sock: socket.socket) -> None:
        for data, source in datagrams(sock):
            arrival = self._loop.now()
            if is_stun(data):  # shares the port with RTP (RFC 7983)
                self._on_stun(data, source)
            elif self._session is not None:
                for packet in self._session.receive_datagram(data, source, arrival):
                    self._on_packet(packet, arrival)
            if not self._reading:  # that STUN response was the last, and what follows is for the session to come
                return

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When RTCP is due."""
        return None if self._session is None else self._session.next_timer()

    def handle_timer(self, now: float) -> None:
        if self._session is not None:
            self._send_rtcp(self._session, self._session.rtcp_to_send(now))

    def flush(self) -> None:
        """Nothing ever waits: datagrams are sent at once."""

    def close(self) -> None:
        """Take what has come last and close the port. Idempotent."""
        if self._session is not None and self._open:
            for sock in self._sockets:
                self._receive(sock)
        self._read(False)
        self._open = False
        self._loop.remove(self)
        for sock in self._sockets:
            sock.close()

    @property
    def _sockets(self) -> tuple[socket.socket, ...]:
        return (self.rtp,) if self.rtcp is None else (self.rtp, self.rtcp)


class MediaPorts:
    """Opens the media ports of calls, within a range if there is one."""

    def __init__(
        self, loop: EventLoop, addresses: OwnAddresses, *, ports: tuple[int, int] | None = None, dscp: int
    ) -> None:
        """`ports`: the first and the last that may be used."""
        self._loop, self._addresses, self._ports, self._dscp = loop, addresses, ports, dscp

    def open(self, remote_host: str, own_port: int | None = None) -> MediaTransport:
        """A port pair of the family of `remote_host`, the given one or any; NetworkError when all ports are taken."""
        family = family_of(remote_host)
        host = self._addresses.bind or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        ports = self._ports if own_port is None else (own_port, own_port)
        rtp, rtcp = open_pair(family, host, ports, self._dscp)
        told = self._addresses.local_host(remote_host)
        return MediaTransport(self._loop, rtp, rtcp, host=told, on_stun=self._addresses.receive_stun)


def open_pair(
    family: socket.AddressFamily, host: str, ports: tuple[int, int] | None, dscp: int
) -> tuple[socket.socket, socket.socket | None]:
    """The sockets of a media port, within `ports` (first, last) if that is given; NetworkError when all are taken."""
    candidates = [0] * PORT_TRIES
    if ports is not None:
        first, last = ports
        candidates = list(range(first + first % 2, last + 1, 2)) or [first]
    for candidate in candidates:
        rtp = try_bind(family, host, candidate, dscp)
        if rtp is None:
            continue
        port = rtp.getsockname()[1]
        if port % 2 and candidate == 0:
            rtp.close()
            continue
        rtcp = try_bind(family, host, port + 1, dscp) if port < MAX_PORT else None
        return rtp, rtcp
    raise NetworkError(f"no free media port among {ports}; choose others with --rtp-port")


def _ignore(packet: RtpPacket, arrival: float) -> None:
    return
