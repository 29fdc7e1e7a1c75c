"""Which address the peer's media comes from: symmetric RTP (RFC 4961), and where our RTCP goes (RFC 5761).

The address in the peer's SDP is accepted at once. Any other address (the peer is behind a NAT, or has moved) must
first send a run of packets that only the peer, or somebody on the path, can send, while the peer itself is silent.
Without signalling, the first source of the expected payload is the peer.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from voip.ip import IP_UDP_HEADER, MAX_PORT
from voip.media import ULPFEC, NegotiatedMedia
from voip.rtp import unwrap
from voip.session.run import PacketRun, ReceivedPacket

Address = tuple[str, int]

LATCH_PACKETS = 5
"""Packets in sequence that another address must send."""
LATCH_SPREAD = 0.75 * (LATCH_PACKETS - 1)
"""Packet times that they must take at least."""
LATCH_MAX_STEP = 3
"""A run may miss two packets in a row."""
LATCH_HELD = 16
"""Packets kept of a run from the peer's first address: all of them are the beginning of its stream."""
REBIND_MAX_ADVANCE = 500
"""Packets that the numbers of a peer whose address changed may have advanced by."""
CLOCK_TOLERANCE = 0.200
"""Seconds between media time and wall clock."""
REBIND_SILENCE = 0.500
"""Seconds of silence at the old address, if sequence number and timestamp go on from there."""
TAKEOVER_SILENCE = 1.000
"""Seconds of silence at the old address, if they only go on from one another."""
CANDIDATE_SILENCE = 0.100
"""Seconds of silence before another address is even parsed: a flood costs next to nothing."""

_UNSPECIFIED_HOSTS = ("", "0.0.0.0", "::")  # hold of RFC 2543, RFC 3264 section 8.4


class StreamPosition(NamedTuple):
    """Where the accepted stream is: SSRC, highest extended sequence number, timestamp of the last audio packet and
    when it came. None: not known yet."""

    ssrc: int | None
    highest: int | None
    timestamp: int | None
    time: float


class SourceLatch:
    """The peer's address: signalled, then latched onto where its media really comes from."""

    def __init__(self, media: NegotiatedMedia) -> None:
        self.source: Address | None = None
        """The latched address exactly as the socket names it; None until media has been accepted."""
        self.ip_header = IP_UDP_HEADER[4]
        """Bytes of the IP and UDP headers on the way to and from the peer."""
        self.unsignalled = not media.remote[1]
        """No signalling has said where the peer is: the first source is it."""
        self._media = media
        self._signalled = _signalled_address(media)
        self._latched: Address | None = None
        self._last_valid: float | None = None  # when the peer was last heard at its newest signalled address
        self._candidate: PacketRun | None = None  # another address on its way to be believed
        self._candidate_source: Address | None = None

    @property
    def remote(self) -> Address:
        """Where our media goes: the latched address, else the one in the peer's SDP. Any thread may ask."""
        source = self.source
        return self._media.remote if source is None else source

    def update(self, media: NegotiatedMedia) -> None:
        """Go on with what a re-INVITE agreed; the latch stays unless the peer signalled another address (no hold)."""
        signalled = _signalled_address(media)
        if signalled is not None and signalled != self._signalled:
            self._signalled = signalled
            if signalled != self._latched:
                self._latched = self.source = self._last_valid = None
                self._candidate = None
        self._media = media
        self.unsignalled = not media.remote[1]

    def is_peer(self, source: Address) -> bool:
        """Whether media from there is the peer's."""
        if self.unsignalled and self._latched is None:
            return True
        return _canonical(source) in (self._latched, self._signalled)

    def is_rtcp_peer(self, source: Address) -> bool:
        """Whether the peer's RTCP may come from there: its RTP port, the one above, or the one its SDP named."""
        if source == self.source or self.is_peer(source):
            return True
        host, port = _canonical(source)
        if self._media.remote_rtcp is not None and (host, port) == _canonical(self._media.remote_rtcp):
            return True
        if self.unsignalled and self._latched is not None:
            return host == self._latched[0]  # the RTCP port is not signalled, and some peers use any
        return (host, port - 1) in (self._latched, self._signalled)

    def note_alive(self, now: float) -> None:
        """The peer was heard at its own address: no other one is."""
        self._last_valid = now
        self._candidate = None

    def latch(self, source: Address) -> None:
        """Media has been accepted from there."""
        self._latched = _canonical(source)
        self.source = source[:2]
        self.ip_header = IP_UDP_HEADER[6 if ":" in self._latched[0] else 4]

    # -- another address ----------------------------------------------------------------------------------------------

    def may_move(self, now: float) -> bool:
        """Whether packets of another address are worth parsing."""
        if not self._media.direction.receives:  # a source of unrequested media does not get our media either
            return False
        return self._last_valid is None or now - self._last_valid >= CANDIDATE_SILENCE

    def consider(
        self, received: ReceivedPacket, source: Address, position: StreamPosition, *, is_audio: bool
    ) -> PacketRun | None:
        """Observe a packet of another address; the whole run once it is convincing, then `latch` may follow."""
        packet, run = received.packet, self._candidate
        if not is_audio:
            if run is not None and self._candidate_source == source:
                run.held.append(received)
            return None
        if self._wanted_ssrc(position) not in (None, packet.ssrc):
            return None
        if run is None or self._candidate_source != source or not self._extend(run, received):
            run = PacketRun(received, LATCH_HELD if self._last_valid is None else LATCH_PACKETS)
            self._candidate, self._candidate_source = run, source
        return run if self._is_convincing(run, position, received.time) else None

    def _extend(self, run: PacketRun, received: ReceivedPacket) -> bool:
        if not run.extend(received, LATCH_MAX_STEP, in_step=self._media.fec != ULPFEC):
            return False
        return self._keeps_time(run.last.timestamp - run.first.timestamp, received.time - run.began)

    def _wanted_ssrc(self, position: StreamPosition) -> int | None:
        """The SSRC that another address must use: the one heard from the peer, else the announced one, else any."""
        if self._last_valid is None or position.ssrc is None:
            return self._media.remote_ssrc
        return position.ssrc

    def _is_convincing(self, run: PacketRun, position: StreamPosition, now: float) -> bool:
        """Whether the run of another address is long and, if the peer has been heard before, its sequel."""
        if run.count < LATCH_PACKETS or now - run.began < LATCH_SPREAD * self._media.packet_time:
            return False
        if self._last_valid is None or position.ssrc is None:
            return True
        silence = now - self._last_valid
        return silence >= TAKEOVER_SILENCE or (silence >= REBIND_SILENCE and self._goes_on(run, position, now))

    def _goes_on(self, run: PacketRun, position: StreamPosition, now: float) -> bool:
        """Whether sequence numbers and timestamps of a run go on from what was last accepted."""
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
        """Where our RTCP goes: to the peer's RTP port if shared, else to the one its SDP named; None on hold.

        The RTCP port of a peer whose media comes from elsewhere than its SDP said is assumed to be there, one above.
        """
        host, port = self.remote
        if self._media.rtcp_mux:
            return _usable((host, port))
        if self.source is not None and self._latched != self._signalled:
            return _usable((host, port + 1))
        return _usable(self._media.remote_rtcp or (host, port + 1))


def _usable(address: Address) -> Address | None:
    """An address that can be sent to; None on hold."""
    return None if address[0] in _UNSPECIFIED_HOSTS or not 0 < address[1] <= MAX_PORT else address


def _signalled_address(media: NegotiatedMedia) -> Address | None:
    """Where the peer's SDP says that its media comes from; None if it says nothing (hold)."""
    host, port = _canonical(media.remote)
    return None if host in _UNSPECIFIED_HOSTS or port == 0 else (host, port)


def _canonical(address: Address) -> Address:
    """An address for comparison: IPv6 in its one short form without scope, IPv4 in IPv6 as IPv4 (RFC 5952, 4291)."""
    host, port = address[0], address[1]
    if ":" not in host:
        return host, port
    try:
        parsed = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host, port
    return str(parsed.ipv4_mapped or parsed), port
