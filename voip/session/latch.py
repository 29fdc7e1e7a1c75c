"""Which address the peer's media comes from: symmetric RTP (RFC 4961), and where our RTCP goes (RFC 5761).

The address in the peer's SDP is accepted at once. Any other address (the peer is behind a NAT, or has moved) must
first send a run of packets that only the peer or an attacker on the path can send, while the peer itself is silent.
The host that signalling comes from is where a peer behind a NAT is: it comes before all others, which are believed only
while it is silent too. Without signalling, the first source of the expected payload is the peer. With ICE (RFC 8445)
the pair that the peer has nominated is all that counts.
"""

from __future__ import annotations

from typing import NamedTuple

from voip.ip import IP_UDP_HEADER, MAX_PORT
from voip.media import ULPFEC, NegotiatedMedia
from voip.rtp import unwrap
from voip.session.addresses import Address, canonical
from voip.session.run import PacketRun, ReceivedPacket

LATCH_PACKETS = 5
"""Packets in sequence that another address must send before it is accepted."""
LATCH_SPREAD = 0.75 * (LATCH_PACKETS - 1)
"""Packet times that these must take at least."""
LATCH_MAX_STEP = 3
"""A run may miss two packets in a row."""
LATCH_HELD = 16
"""Packets kept of a run before the peer has been heard at all, so that the beginning of its stream is not lost."""
REBIND_MAX_ADVANCE = 500
"""Packets by which the sequence numbers of a peer may have advanced while its address changed."""
CLOCK_TOLERANCE = 0.200
"""Seconds by which media time may differ from the wall clock."""
REBIND_SILENCE = 0.500
"""Seconds of silence at the old address, if the new packets continue its sequence numbers and timestamps."""
TAKEOVER_SILENCE = 1.000
"""Seconds of silence at the old address, if they do not."""
CANDIDATE_SILENCE = 0.100
"""Seconds of silence before packets of another address are even parsed, so that a flood costs little."""

NOWHERE: Address = ("", 0)
"""Where media goes before ICE has selected an address."""
_UNSPECIFIED_HOSTS = ("", "0.0.0.0", "::")  # hold of RFC 2543, RFC 3264 section 8.4


class StreamPosition(NamedTuple):
    """How far the accepted stream has come: SSRC, highest extended sequence number, timestamp and arrival of the last
    audio packet. None: not known yet."""

    ssrc: int | None
    highest: int | None
    timestamp: int | None
    time: float


class SourceLatch:
    """The peer's address: as signalled, then latched to the real source of its media."""

    def __init__(self, media: NegotiatedMedia, signalling_host: str | None = None) -> None:
        """`signalling_host`: where the peer's SIP comes from; None: not known."""
        self.source: Address | None = None
        """The latched address exactly as the socket names it; None until media has been accepted."""
        self.ip_header = IP_UDP_HEADER[4]
        """Bytes of the IP and UDP headers on the way to and from the peer."""
        self.unsignalled = not media.remote[1]
        """The peer's address was not signalled: the first source is accepted."""
        self._media = media
        self._signalled = _signalled_address(media)
        self._signalling_host = None if signalling_host is None else canonical((signalling_host, 0))[0]
        self._latched: Address | None = None
        self._far = False  # latched to an address that signalling knows nothing of
        self._last_valid: float | None = None  # when the peer was last heard at its newest signalled address
        self._candidate: PacketRun | None = None  # the run of another address
        self._candidate_source: Address | None = None
        self._selected: tuple[Address, ...] = ()  # what ICE has selected, the newest first, and the one before

    @property
    def remote(self) -> Address:
        """Where our media goes: the latched address, else the one in the peer's SDP, or what ICE has selected: port 0
        before that. Any thread may ask."""
        source, selected = self.source, self._selected
        if source is None and self._media.ice is not None:
            return selected[0] if selected else NOWHERE
        return self._media.remote if source is None else source

    def select(self, address: Address | None) -> None:
        """ICE has selected this address of the peer; None: it no longer consents to media."""
        if address is None:
            self._selected, self.source = (), None
            return
        if self._selected[:1] == (address,):
            return
        self._selected = (address, *(each for each in self._selected if each != address))[:2]
        if self.source is not None:
            self.latch(address)

    def update(self, media: NegotiatedMedia) -> None:
        """Continue with renegotiated media; unless the peer signalled another address (not hold), the latch stays."""
        signalled = _signalled_address(media)
        if media.ice is None and self._media.ice is not None:
            self._selected, self._latched, self.source = (), None, None
        if media.ice is not None:
            self._signalled = signalled
        elif signalled is not None and signalled != self._signalled:
            self._signalled = signalled
            if signalled != self._latched:
                self._latched = self.source = self._last_valid = None
                self._candidate = None
        self._media = media
        self.unsignalled = not media.remote[1]

    def is_peer(self, source: Address) -> bool:
        """Whether media from this address is the peer's."""
        if self._media.ice is not None:
            return canonical(source) in self._selected
        if self.unsignalled and self._latched is None:
            return True
        return canonical(source) in (self._latched, self._signalled)

    def is_rtcp_peer(self, source: Address) -> bool:
        """Whether this may be the source of the peer's RTCP: its RTP port, the one above, or the one in its SDP."""
        if source == self.source or self.is_peer(source):
            return True
        if self._media.ice is not None:
            return False
        if self._latched is None and self._is_near(source):
            return True  # behind a NAT: its ports are not those that it knows
        host, port = canonical(source)
        if self._media.remote_rtcp is not None and (host, port) == canonical(self._media.remote_rtcp):
            return True
        if self.unsignalled and self._latched is not None:
            return host == self._latched[0]  # the RTCP port was not signalled either, and some senders use any
        return (host, port - 1) in (self._latched, self._signalled)

    def note_alive(self, now: float) -> None:
        """The peer was heard at its own address: drop any candidate."""
        self._last_valid = now
        if self._candidate_source is None or not self._takes_back(self._candidate_source):
            self._candidate = None

    def latch(self, source: Address) -> None:
        """Media has been accepted from this address."""
        if self._media.ice is not None:
            source = self._selected[0]  # what is on its way by the pair before changes nothing
        self._latched = canonical(source)
        self._far = self._latched != self._signalled and not self._is_near(source)
        self.source = source[:2]
        self.ip_header = IP_UDP_HEADER[6 if ":" in self._latched[0] else 4]

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that the peer's media or RTCP is expected from; none without signalling, until it has come, or
        before ICE has selected one."""
        if (self.unsignalled and self._latched is None) or (self._media.ice is not None and not self._selected):
            return frozenset()
        places = (
            self._latched,
            self._signalled,
            self._media.remote_rtcp,
            (self._signalling_host or "", 0),
            *self._selected,
        )
        known = {canonical(place)[0] for place in places if place is not None}
        return frozenset(known.difference(_UNSPECIFIED_HOSTS))

    # -- another address ----------------------------------------------------------------------------------------------

    def may_move(self, source: Address, now: float) -> bool:
        """Whether packets of this other address are worth parsing."""
        if (
            self._media.ice is not None or not self._media.direction.receives
        ):  # unrequested media must not redirect ours
            return False
        if self._last_valid is None or now - self._last_valid >= CANDIDATE_SILENCE:
            return True
        return self._takes_back(source)

    def _is_near(self, source: Address) -> bool:
        """Whether this is the host that the peer's signalling comes from."""
        return self._signalling_host is not None and canonical(source)[0] == self._signalling_host

    def _takes_back(self, source: Address) -> bool:
        """Whether a stream from there ends that of an address that signalling knows nothing of."""
        return self._far and self._is_near(source)

    def _awaits_another(self, source: Address, now: float) -> bool:
        """Whether the host of the signalling has a stream that may become the peer's, which nothing may disturb."""
        run, rival = self._candidate, self._candidate_source
        if run is None or rival is None or self._is_near(source) or not self._is_near(rival):
            return False
        return now - run.held[-1].time < TAKEOVER_SILENCE

    def consider(
        self, received: ReceivedPacket, source: Address, position: StreamPosition, *, is_audio: bool
    ) -> PacketRun | None:
        """Examine a packet of another address; its whole run once that is convincing: the caller may `latch` then."""
        packet, run = received.packet, self._candidate
        if not is_audio:
            if run is not None and self._candidate_source == source:
                run.held.append(received)
            return None
        if self._wanted_ssrc(source, position) not in (None, packet.ssrc):
            return None
        if self._awaits_another(source, received.time):
            return None
        if run is None or self._candidate_source != source or not self._extend(run, received):
            run = PacketRun(received, LATCH_HELD if self._last_valid is None else LATCH_PACKETS)
            self._candidate, self._candidate_source = run, source
        return run if self._is_convincing(run, source, position, received.time) else None

    def _extend(self, run: PacketRun, received: ReceivedPacket) -> bool:
        if not run.extend(received, LATCH_MAX_STEP, in_step=self._media.fec != ULPFEC):
            return False
        return self._keeps_time(run.last.timestamp - run.first.timestamp, received.time - run.began)

    def _wanted_ssrc(self, source: Address, position: StreamPosition) -> int | None:
        """The SSRC that another address must use: the one heard from the peer, else the announced one, else any."""
        if self._last_valid is None or position.ssrc is None or self._takes_back(source):
            return self._media.remote_ssrc
        return position.ssrc

    def _is_convincing(self, run: PacketRun, source: Address, position: StreamPosition, now: float) -> bool:
        """Whether a run is long enough and, unless it comes from where signalling does, follows enough silence."""
        if run.count < LATCH_PACKETS or now - run.began < LATCH_SPREAD * self._media.packet_time:
            return False
        if self._last_valid is None or position.ssrc is None:
            known = self._signalling_host is None or self._is_near(source) or self._continues(run, position, now)
            return known or now - run.began >= TAKEOVER_SILENCE
        if self._takes_back(source):
            return True
        silence = now - self._last_valid
        return silence >= TAKEOVER_SILENCE or (silence >= REBIND_SILENCE and self._continues(run, position, now))

    def _continues(self, run: PacketRun, position: StreamPosition, now: float) -> bool:
        """Whether sequence numbers and timestamps of a run continue the accepted stream."""
        highest = position.highest
        if highest is None or position.timestamp is None:
            return False
        first = unwrap(run.first.sequence_number, highest) - highest
        last = unwrap(run.last.sequence_number, highest) - highest
        in_sequence = 0 < first <= last <= REBIND_MAX_ADVANCE
        return in_sequence and self._keeps_time(run.last.timestamp - position.timestamp, now - position.time)

    def _keeps_time(self, ticks: int, elapsed: float) -> bool:
        media_time = unwrap(ticks, 0, 32) / self._media.clock_rate
        return abs(media_time - elapsed) <= CLOCK_TOLERANCE

    # -- where RTCP goes ----------------------------------------------------------------------------------------------

    @property
    def media_destination(self) -> Address | None:
        """Where our media goes; None on hold."""
        return _usable(self.remote)

    @property
    def rtcp_destination(self) -> Address | None:
        """Where our RTCP goes: to the peer's RTP port if shared, else to the one in its SDP; None on hold.

        If the peer's media comes from another address than signalled, RTCP goes there, to the port above.
        """
        host, port = self.remote
        if self._media.rtcp_mux:
            return _usable((host, port))
        if self.source is not None and self._latched != self._signalled:
            return _usable((host, port + 1))
        return _usable(self._media.remote_rtcp or (host, port + 1))


def _usable(address: Address) -> Address | None:
    """The address if it can be sent to; None on hold."""
    return None if address[0] in _UNSPECIFIED_HOSTS or not 0 < address[1] <= MAX_PORT else address


def _signalled_address(media: NegotiatedMedia) -> Address | None:
    """The address in the peer's SDP; None if it has none (hold)."""
    host, port = canonical(media.remote)
    return None if host in _UNSPECIFIED_HOSTS or port == 0 else (host, port)
