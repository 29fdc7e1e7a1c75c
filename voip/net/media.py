"""Media ports: UDP sockets for RTP and RTCP (RFC 3550 section 11), and everything that enters or leaves them."""

from __future__ import annotations

import enum
import secrets
import socket
from collections.abc import Callable, Collection, Iterable
from functools import partial

from voip.dtls.records import is_dtls
from voip.errors import NetworkError
from voip.formats import DatagramFormat, Framing
from voip.ip import MAX_PORT
from voip.net.addresses import OwnAddresses
from voip.net.arrivals import ArrivalClock
from voip.net.batches import Received, batch_reader
from voip.net.captured import Tap
from voip.net.failures import Failures
from voip.net.floods import FloodGuard
from voip.net.loop import EventLoop
from voip.net.media_timers import MediaTimers
from voip.net.refusals import send_datagram
from voip.net.sockets import MakeSocket, family_of, receive_buffer, stamped_datagrams, try_bind, udp_socket
from voip.net.trace import Trace
from voip.net.zones import find_zone, sockaddr
from voip.rtp import RtpPacket, is_rtcp
from voip.session import RtpSession
from voip.stun import TRANSACTION_ID, binding_indication, is_stun

PORT_TRIES = 64
"""Attempts to get an even port from the system."""
REFUSAL_GAP = 1.25
"""Seconds without a refusal after which a port that is sent to was open: Linux tells each host once a second."""
MEDIA_KEEP_ALIVE = 15.0
"""Seconds without a sent packet after which a keep-alive refreshes the mapping of a NAT (RFC 6263 section 5)."""
EARLY_KEEP_ALIVE = 1.0
"""The same before there are keys, or the peer's address has proved itself: our NAT may be what keeps its first packet
away."""

OnPacket = Callable[[RtpPacket, float], None]
"""Called with each accepted packet and the time of its arrival: where many gather, that by which all have been read."""
OnStun = Callable[[bytes, "tuple[str, int]"], None]
OnCheck = Callable[[bytes, "tuple[str, int]"], bool]
"""Called with a STUN message and its source: whether it was one that it takes."""
OnDtls = Callable[[bytes, "tuple[str, int]"], None]


class _State(enum.Enum):
    """Of a port: nothing is read before there is a session, unless an address is looked for; or what comes is read."""

    IDLE = enum.auto()
    READING = enum.auto()
    CLOSED = enum.auto()


class MediaTransport:
    """One media port: an even UDP port for RTP and, if it was free, the odd one above for RTCP.

    Everything that a call sends leaves through this object: media and FEC, RTCP, keep-alives, and the empty first
    packet that opens a NAT. Everything received enters through it: STUN and DTLS (RFC 7983), RTP and RTCP. `attach`
    provides the session, which knows the addresses of the peer.

    Threads: `send_rtp` is called from the capture thread, all other methods from the network thread. The counters are
    written by both and may miss a datagram.

    SRTP (RFC 3711): what is sent goes through the `protection` of the session, by the contexts of the thread that
    sends; what comes the session opens where it parses it.
    """

    def __init__(
        self,
        loop: EventLoop,
        timers: MediaTimers,
        rtp: socket.socket,
        rtcp: socket.socket | None,
        *,
        host: str,
        on_stun: OnStun,
        failures: Failures,
        trace: Trace | None = None,
        say: Callable[[int, str], object] = lambda level, text: None,
        stun_hosts: Callable[[], Collection[str]] = tuple,
        framing: Framing | None = None,
    ) -> None:
        """`host`: our own address as told to the peer. `on_stun` is called with STUN messages and their source, which
        come from `stun_hosts`. `say` prints a line from the given verbosity on. `framing`: the datagrams of this port
        are of another format than RTP, and nothing else comes to it."""
        self._loop, self._timers, self._on_stun, self._failures = loop, timers, on_stun, failures
        self._trace = trace or Trace()
        self.rtp, self.rtcp = rtp, rtcp
        self.host: str = host
        self.port: int = rtp.getsockname()[1]
        self.sent = 0
        """Datagrams sent from the RTP port."""
        self.icmp_errors = 0
        """Datagrams from the RTP port of which ICMP says that nothing listens where they went.

        Not those of RTCP: a peer whose RTCP port is closed can hear all the same."""
        self.icmp_at: float | None = None
        """When the last of them came."""
        self.icmp_since: float | None = None
        """When the first of those came that lead up to the last one without a gap."""
        self.unsent = 0
        """Datagrams not sent because the system refused them (no buffer, no route) or for want of a key."""
        self._session: RtpSession | None = None
        self._on_packet: OnPacket = _ignore
        self._on_dtls: OnDtls | None = None
        self._state = _State.IDLE
        self._guard, self._framing = FloodGuard(loop, self._sockets, say, stun_hosts), framing

    @property
    def ip_version(self) -> int:
        """4 or 6: packets can only be sent to addresses of this version."""
        return 6 if self.rtp.family == socket.AF_INET6 else 4

    # --- out ------------------------------------------------------------------------------------------------------

    def send_rtp(self, datagram: bytes) -> bool:
        """Send a media or repair packet to the peer. Capture thread. False if the address of the peer is unknown
        (before `attach`, or without signalling until a packet has come from it), or has not proved itself."""
        session = self._session
        if session is None:
            return False
        remote = session.remote
        if not remote[1]:
            return False
        if not session.proof.allows(remote):
            session.proof.withhold()
            return False
        if self._framing is not None:
            sent = [self._transmit(self.rtp, remote, each) for each in self._framing.write(datagram)]
            return all(sent)
        return self._transmit(self.rtp, remote, session.protection.media(datagram))

    def send_dtls(self, datagram: bytes, destination: tuple[str, int]) -> None:
        """Send a datagram of DTLS, to whatever address its handshake is with."""
        if self._state is not _State.CLOSED:
            self._transmit(self.rtp, destination, datagram)

    def send_response(self, datagram: bytes, destination: tuple[str, int]) -> None:
        """Send the response to a check of ICE, to where that came from."""
        if self._state is not _State.CLOSED:
            self._transmit(self.rtp, destination, datagram)

    def send_goodbye(self) -> None:
        """Send the last RTCP of the session, with BYE; once."""
        if self._session is not None:
            self._send_rtcp(self._session, self._session.final_report(self._loop.now()))

    def _send_rtcp(self, session: RtpSession, compounds: list[bytes]) -> None:
        destination = session.rtcp_destination
        if destination is None or session.protection.waits_for_keys:
            return
        sock = self.rtp if session.media.rtcp_mux or self.rtcp is None else self.rtcp  # RFC 5761
        for compound in compounds:
            self._trace.rtcp("sent to", compound, destination)
            self._transmit(sock, destination, session.protection.rtcp(compound))

    def _keep_alive(self, sent: int) -> None:
        """Send a keep-alive if nothing was sent since the count was `sent`, and check again later."""
        session = self._session
        if self._state is _State.CLOSED or session is None:
            return
        if self.sent == sent and (datagram := session.keep_alive()) is not None:
            self._send_keep_alive(session, datagram)
        flows = session.may_send and not session.protection.waits_for_keys
        self._loop.call_later(MEDIA_KEEP_ALIVE if flows else EARLY_KEEP_ALIVE, partial(self._keep_alive, self.sent))

    def open_path(self) -> None:
        """Send one keep-alive now: the peer's media may come from an address that our NAT does not know."""
        if self._session is not None and (datagram := self._session.keep_alive()) is not None:
            self._send_keep_alive(self._session, datagram)

    def _send_keep_alive(self, session: RtpSession, datagram: bytes) -> None:
        """Before there are keys it is STUN, which shares the port and says nothing: the side that waits for the
        handshake of the other may be behind a NAT, too. Other formats than RTP may have nothing for it."""
        if self._framing is not None:
            if ping := self._framing.ping():
                self._transmit(self.rtp, session.remote, ping)
            return
        if session.protection.waits_for_keys:
            self._transmit(self.rtp, session.remote, binding_indication(secrets.token_bytes(TRANSACTION_ID)))
            return
        protected = session.protection.rtcp if is_rtcp(datagram) else session.protection.keep_alive
        self._transmit(self.rtp, session.remote, protected(datagram))

    def _transmit(self, sock: socket.socket, destination: tuple[str, int], datagram: bytes | None) -> bool:
        """Put a datagram on the wire: the only way out of this port, except for the requests of `StunClient`.

        None is one that cannot be protected, and never leaves as it is. Whether there was one to send."""
        if datagram is None:
            self.unsent += 1
            return False
        self.sent += sock is self.rtp
        try:
            zoned = ":" in destination[0]  # of IPv6; a socket makes its family anew each time that it is asked
            send_datagram(sock, datagram, sockaddr(*destination, sock.family) if zoned else destination)
        except (OSError, TypeError, ValueError):
            # No buffer, no route at present, an address of another family: the packet is lost, the media time-out
            # decides.
            self.unsent += 1
        return True

    # --- in -------------------------------------------------------------------------------------------------------

    def attach(self, session: RtpSession, on_packet: OnPacket, *, opens_path: bool = False) -> None:
        """Begin media: received datagrams go to `session`, packets that it accepts to `on_packet`, and RTCP is sent.

        Call this before the first `send_rtp`; if that is later, `opens_path` sends a keep-alive in its place.
        """
        if self.rtp.family == socket.AF_INET6:
            find_zone(session.remote[0])  # SDP may name another address than SIP came from
        self._session, self._on_packet = session, on_packet
        if self._framing is None:  # else there is no SSRC to know the peer by
            self._guard.watch(session)
        self._read(True)
        self._timers.add(self)
        flows = session.media.direction.sends and session.may_send and not session.protection.waits_for_keys
        if flows and not opens_path:
            self._loop.call_later(MEDIA_KEEP_ALIVE, partial(self._keep_alive, self.sent))
        else:
            self._keep_alive(self.sent)

    def shake_hands(self, on_dtls: OnDtls) -> None:
        """Datagrams of DTLS that come to the RTP port go there, with their source; the session has none of them."""
        self._on_dtls = on_dtls

    def respond(self, on_check: OnCheck) -> None:
        """STUN messages go there first, with their source; those that it does not take go where they did before."""
        before = self._on_stun

        def on_stun(data: bytes, source: tuple[str, int]) -> None:
            if not on_check(data, source):
                before(data, source)

        self._on_stun = on_stun

    def read_early(self, wanted: bool) -> None:
        """Read the sockets before there is a session, for STUN responses only, or stop reading them."""
        if self._session is None:
            self._read(wanted)

    def _read(self, wanted: bool) -> None:
        state = _State.READING if wanted else _State.IDLE
        if self._state in (_State.CLOSED, state):
            return
        self._state = state
        for sock in self._sockets:
            if wanted:
                self._loop.register(sock, partial(self._receive, sock))
            else:
                self._loop.unregister(sock)

    def _receive(self, sock: socket.socket) -> None:
        clock, gathering = ArrivalClock(self._loop.now), self._loop.gathering
        for data, source, stamp in self._waiting(sock, clock, together=gathering > 0.0):
            arrival = stamp if gathering else self._loop.now()  # what is read at once came when it is read
            self._guard.note(source, clock.now)
            if self._framing is not None:
                self._receive_framed(self._framing, data, source, arrival)
            elif is_stun(data):  # shares the port with RTP (RFC 7983)
                self._pass_on(self._on_stun, data, source)
            elif self._on_dtls is not None and sock is self.rtp and is_dtls(data):
                self._pass_on(self._on_dtls, data, source)
            else:
                self._receive_rtp(data, source, arrival)
            if self._state is not _State.READING:  # the last STUN response has come: what follows is for the session
                return

    def _receive_framed(self, framing: Framing, data: bytes, source: tuple[str, int], arrival: float) -> None:
        for packet, at in framing.read(data, source, arrival):
            self._receive_rtp(packet, source, at)
        session, reply = self._session, framing.acknowledgement(data)
        if reply and session is not None and session.may_send and source == session.remote:
            self._transmit(self.rtp, source, reply)

    def _receive_rtp(self, data: bytes, source: tuple[str, int], arrival: float) -> None:
        if self._session is None:
            return
        try:
            for packet in self._session.receive_datagram(data, source, arrival, self._trace_rtcp):
                self._on_packet(packet, arrival + self._loop.gathering)
        except Exception as error:
            self._failures.note(f"a datagram from {source[0]}", error)

    def _waiting(self, sock: socket.socket, clock: ArrivalClock, *, together: bool) -> Iterable[Received]:
        """The datagrams of this socket; all `together` only if all are wanted."""
        on_refused = partial(self._note_refused, sock)
        reader = batch_reader() if together and self._session is not None and sock.family == socket.AF_INET else None
        if reader is None:
            return stamped_datagrams(sock, on_refused, clock)
        return reader.read(sock, on_refused, clock)

    def _pass_on(self, handler: OnDtls | OnStun, data: bytes, source: tuple[str, int]) -> None:
        try:
            handler(data, source)
        except Exception as error:
            self._failures.note(f"a datagram from {source[0]}", error)

    def _trace_rtcp(self, compound: bytes, source: tuple[str, int]) -> None:
        self._trace.rtcp("received from", compound, source)

    def _note_refused(self, sock: socket.socket, host: str, port: int) -> None:
        if sock is self.rtp:
            now, last = self._loop.now(), self.icmp_at
            self.icmp_errors += 1
            if last is None or now - last > REFUSAL_GAP:
                self.icmp_since = now
            self.icmp_at = now

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When RTCP is due."""
        return None if self._session is None else self._session.next_timer()

    def handle_timer(self, now: float) -> None:
        if self._session is not None:
            self._send_rtcp(self._session, self._session.rtcp_to_send(now))

    def close(self) -> None:
        """Process what has been received and close the port. Idempotent."""
        if self._session is not None and self._state is not _State.CLOSED:
            for sock in self._sockets:
                self._receive(sock)
        self._guard.close()
        self._read(False)
        self._state = _State.CLOSED
        self._timers.remove(self)
        for sock in self._sockets:
            sock.close()

    @property
    def _sockets(self) -> tuple[socket.socket, ...]:
        return (self.rtp,) if self.rtcp is None else (self.rtp, self.rtcp)


class MediaPorts:
    """Opens the media ports of calls."""

    def __init__(
        self,
        loop: EventLoop,
        addresses: OwnAddresses,
        failures: Failures,
        *,
        ports: tuple[int, int] | None = None,
        dscp: int,
        trace: Trace | None = None,
        say: Callable[[int, str], object] = lambda level, text: None,
        tap: Tap | None = None,
    ) -> None:
        """`ports`: first and last of the range to use; None: any. `tap` makes sockets that a capture knows."""
        self._loop, self._addresses, self._failures = loop, addresses, failures
        self._ports, self._dscp, self._trace, self._say = ports, dscp, trace, say
        self._make = (tap or Tap()).media_socket
        self._timers = MediaTimers(loop, failures.run)
        self._last = 0  # the port that was opened last: the next call's search begins behind it

    def open(self, remote_host: str, own_port: int | None = None, form: DatagramFormat | None = None) -> MediaTransport:
        """Open a port pair of the family of `remote_host`, at `own_port` or any; a single port for another format than
        RTP. NetworkError when all are taken."""
        family = family_of(remote_host)
        host = self._addresses.bind or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        ports = self._ports if own_port is None else (own_port, own_port)
        try:
            rtp, rtcp = open_pair(
                family, host, ports, self._dscp, single=form is not None, behind=self._last, make=self._make
            )
        except NetworkError as error:
            if own_port is None:
                raise
            raise NetworkError(
                f"UDP port {own_port} is in use, or needs root; listen at another: {form.scheme if form else 'rtp'}://:PORT"
            ) from error
        self._last = rtp.getsockname()[1]
        self._say(2, f"media port {rtp.getsockname()[1]}: receive buffer of {receive_buffer(rtp) // 1024} kB")
        return MediaTransport(
            self._loop,
            self._timers,
            rtp,
            rtcp,
            host=self._addresses.local_host(remote_host),
            on_stun=self._addresses.receive_stun,
            failures=self._failures,
            trace=self._trace,
            say=self._say,
            stun_hosts=lambda: self._addresses.stun_hosts,
            framing=None if form is None else Framing(form),
        )


def open_pair(
    family: socket.AddressFamily,
    host: str,
    ports: tuple[int, int] | None,
    dscp: int,
    *,
    single: bool = False,
    behind: int = 0,
    make: MakeSocket = udp_socket,
) -> tuple[socket.socket, socket.socket | None]:
    """The RTP and the RTCP socket of a media port within `ports` (first, last). NetworkError when all are taken.

    `single`: there is no RTCP. Ports above `behind` are tried first: those of the calls that are up are likely to be
    below, and what is still on its way to a call that has ended does not come to the next one.
    """
    candidates = [0] * PORT_TRIES
    if ports is not None:
        first, last = ports
        candidates = list(range(first + first % 2, last + 1, 2)) or [first]
        candidates.sort(key=lambda port: port <= behind)
    for candidate in candidates:
        rtp = try_bind(family, host, candidate, dscp, make)
        if rtp is None:
            continue
        port = rtp.getsockname()[1]
        if port % 2 and candidate == 0:
            rtp.close()
            continue
        rtcp = try_bind(family, host, port + 1, dscp, make) if port < MAX_PORT and not single else None
        return rtp, rtcp
    among = "" if ports is None else f" from {ports[0]} to {ports[1]}"
    raise NetworkError(f"no free media port{among}; choose others with --rtp-port")


def _ignore(packet: RtpPacket, arrival: float) -> None:
    return
