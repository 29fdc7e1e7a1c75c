"""One media port's receive path: which datagrams are the call's (RFC 3550 section 5 and A.1, RFC 4961, RFC 5761).

The order of the checks is the order of their cost and of trust: length, source address, RTP or RTCP, version and
payload type, SSRC, sequence number. What fails one is counted and touches no later state.

Whom to believe. The address in the peer's SDP is taken at once. Any other one (the peer is behind a NAT, or has
moved) must first show a run of packets that only the peer, or somebody who hears it, can send, while the peer itself is
silent. In the same way another SSRC, or a sequence number far from the last, waits until a second packet confirms it.
Where there is no signalling, the first who sends what was expected is the peer.
"""

from __future__ import annotations

import ipaddress
import random
from collections import deque
from dataclasses import replace
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.ip import IP_UDP_HEADER, MAX_PORT
from voip.media import FIRST_DYNAMIC, FLEXFEC, MAX_PAYLOAD_TYPE, ULPFEC, NegotiatedMedia
from voip.rtcp import RtcpExchange, Terms
from voip.rtp import ReceptionStats, RtpPacket, is_rtcp, unwrap
from voip.stats import SessionStats

Address = tuple[str, int]

SHORTEST_DATAGRAM = 8
"""Bytes of the shortest datagram with a meaning here: an empty RTCP receiver report (RFC 3550 section 6.4.2)."""
LONGEST_DATAGRAM = 8192
"""Bytes of the longest RTP packet believed: 20 ms of L16 at 96 kHz in stereo are 7680. Bounds what anything stores."""

LATCH_PACKETS = 5
LATCH_SPREAD = 0.75 * (LATCH_PACKETS - 1)  # packet times that the run of a new address must last
LATCH_MAX_STEP = 3  # a run may miss two packets in a row
LATCH_HELD = 16  # of a run from the peer's first address: all of them are its first words
REBIND_MAX_ADVANCE = 500  # packets
CLOCK_TOLERANCE = 0.200  # seconds between media time and wall clock
REBIND_SILENCE = 0.500  # seconds, if sequence number and timestamp go on from the old address
TAKEOVER_SILENCE = 1.000  # seconds, if they only go on from one another
CANDIDATE_SILENCE = 0.100  # seconds; before, another address is not even looked at: a flood costs next to nothing

CONFIRM_PACKETS = 2  # RFC 3550 A.1: a jump is believed at the second packet in sequence
CONFIRM_HELD = 16
CONFIRM_SILENCE = 1.5  # packet times without a packet of the stream that is to be replaced

_UNSPECIFIED_HOSTS = ("", "0.0.0.0", "::")  # hold of RFC 2543, RFC 3264 section 8.4


class RtpSession:
    """Receives one media port, on the network thread. Never raises for what a peer sent: counts and drops.

    `malformed`, `foreign` (another address), `unknown_payload_type`, `stray` (another SSRC, or a jump that nothing
    confirmed) and `rtcp` count datagrams; `bytes_received` and `ip_bytes` those that were handed out. `icmp_errors`
    and `overruns` are for the socket's owner to count. `reception` is what the network brought, before repair, and
    `repair_reception` the same for repair packets. `rtcp_exchange` is None unless a CNAME was given: no RTCP is sent.
    """

    def __init__(
        self,
        media: NegotiatedMedia,
        *,
        cname: str | None = None,
        ntp_offset: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        """`ntp_offset` makes monotonic seconds such since 1900; `rng` spreads reports over time."""
        self.media = media
        self.reception = ReceptionStats(media.clock_rate)
        self.repair_reception = ReceptionStats(media.clock_rate)
        self.rtcp_exchange: RtcpExchange | None = None
        if cname is not None:
            both, rng = (self.reception, self.repair_reception), rng or random.Random()
            self.rtcp_exchange = RtcpExchange(_rtcp_terms(media), cname, *both, ntp_offset=ntp_offset, rng=rng)
        self.last_heard: float | None = None  # the last well-formed RTP or RTCP packet of the peer
        self.malformed = 0
        self.foreign = 0
        self.unknown_payload_type = 0
        self.stray = 0
        self.rtcp = 0
        self.rtcp_ip_bytes = 0
        self.icmp_errors = 0
        self.overruns = 0
        self.bytes_received = 0
        self.ip_bytes = 0
        self._keep_alive_ssrc = (rng or random.Random()).getrandbits(32)  # of no stream: nobody misses packets in it
        self._kept_alive = 0
        self._signalled = _signalled_address(media)
        self._latched: Address | None = None
        self._source: Address | None = None  # the latched address exactly as the socket names it
        self._ip_header = IP_UDP_HEADER[4]
        self._spoke: float | None = None  # like last_heard, since the peer's address was signalled
        self._candidate: _Run | None = None  # another address on its way to be believed
        self._ssrc: int | None = None
        self._guessed: int | None = None  # without signalling: the payload type that the peer uses for the expected one
        self._repair_ssrc = media.remote_fec_ssrc
        self._repair_jump: int | None = None  # a repair packet's number far from the others
        self._pending: _Run | None = None  # another SSRC, or a jump, on its way to be believed
        self._accepted: tuple[float, int] | None = None  # when the last packet of sound came, and its timestamp
        self._accepted_at = float("-inf")  # when the last media packet came, sound or not

    @property
    def remote(self) -> Address:
        """Where the peer's media comes from: the latched address, else the one its SDP gave. Any thread may ask."""
        source = self._source
        return self.media.remote if source is None else source

    @property
    def latched(self) -> bool:
        """Whether media has been accepted from `remote`."""
        return self._source is not None

    @property
    def ssrc(self) -> int | None:
        """The SSRC of the peer's media, once known."""
        return self._ssrc

    @property
    def stats(self) -> SessionStats:
        """The counters as a snapshot."""
        exchange = self.rtcp_exchange
        told = SessionStats() if exchange is None else exchange.stats(self._ip_header)
        return replace(
            told,
            malformed=self.malformed,
            foreign=self.foreign,
            unknown_payload_type=self.unknown_payload_type,
            rtcp=self.rtcp,
            icmp_errors=self.icmp_errors,
            overruns=self.overruns,
            bytes=self.bytes_received,
            ip_bytes=self.ip_bytes,
            rtcp_ip_bytes=self.rtcp_ip_bytes,
        )

    def update(self, media: NegotiatedMedia) -> None:
        """Go on with what a re-INVITE agreed; the latch stays unless the peer signalled another address (no hold)."""
        signalled = _signalled_address(media)
        if signalled is not None and signalled != self._signalled:
            self._signalled = signalled
            if signalled != self._latched:
                self._latched = self._source = self._candidate = self._spoke = None
        if media.remote_fec_ssrc is not None:
            self._repair_ssrc = media.remote_fec_ssrc
        self.reception.clock_rate = self.repair_reception.clock_rate = media.clock_rate
        self.media = media
        if self.rtcp_exchange is not None:
            self.rtcp_exchange.terms = _rtcp_terms(media)

    def receive_datagram(self, data: bytes, source: Address, now: float) -> list[RtpPacket]:
        """The packets that this datagram makes available, media and repair, in order: mostly one, or none."""
        if not SHORTEST_DATAGRAM <= len(data) <= LONGEST_DATAGRAM:
            self.malformed += 1
            return []
        if is_rtcp(data):
            self._receive_rtcp(data, source, now)
            return []
        if source != self._source and not self._is_peer(source):
            return self._receive_foreign(data, source, now)
        packet = self._parse(data)
        if packet is None:
            return []
        self._hear(now)
        if self._unsignalled:
            self._learn_number(packet)
        if not self._is_expected(packet):
            self.unknown_payload_type += 1
            return []
        if source != self._source:
            self._latch(source)
        return self._receive_rtp(_Arrival(packet, now, len(data)))

    # -- source address -------------------------------------------------------------------------------------------

    def _is_peer(self, source: Address) -> bool:
        if self._unsignalled and self._latched is None:
            return True
        return _canonical(source) in (self._latched, self._signalled)

    @property
    def _unsignalled(self) -> bool:
        """Nobody has said where the peer is: the first who sends is it."""
        return not self.media.remote[1]

    def _hear(self, now: float) -> None:
        self.last_heard = self._spoke = now
        self._candidate = None

    def _latch(self, source: Address) -> None:
        self._latched = _canonical(source)
        self._source = source[:2]
        self._ip_header = IP_UDP_HEADER[6 if ":" in self._latched[0] else 4]

    def _receive_foreign(self, data: bytes, source: Address, now: float) -> list[RtpPacket]:
        """Another address than the peer's: nothing of it passes until it has shown a whole run."""
        self.foreign += 1
        if not self.media.direction.receives:  # who sends what nobody asked for does not get our media either
            return []
        if self._spoke is not None and now - self._spoke < CANDIDATE_SILENCE:
            return []
        packet = self._parse(data)
        if packet is None or not self._is_expected(packet):
            return []
        arrival = _Arrival(packet, now, len(data))
        run = self._candidate
        if not self._is_sound(packet):
            if run is not None and run.source == source:
                run.held.append(arrival)
            return []
        if self._wanted_ssrc() not in (None, packet.ssrc):
            return []
        if run is None or run.source != source or not self._extend_candidate(run, arrival):
            run = self._candidate = _Run(arrival, source, LATCH_HELD if self._spoke is None else LATCH_PACKETS)
        return self._adopt(run, now) if self._is_convincing(run, now) else []

    def _extend_candidate(self, run: _Run, arrival: _Arrival) -> bool:
        if not run.extend(arrival, LATCH_MAX_STEP, in_step=self.media.fec != ULPFEC):
            return False
        return self._keeps_time(run.last.timestamp - run.first.timestamp, arrival.time - run.began)

    def _wanted_ssrc(self) -> int | None:
        """The SSRC that another address must use: the one heard from the peer, else the announced one, else any."""
        if self._spoke is None or self._ssrc is None:
            return self.media.remote_ssrc
        return self._ssrc

    def _is_convincing(self, run: _Run, now: float) -> bool:
        """Whether the run of another address is long and, if the peer has spoken before, its sequel."""
        if run.count < LATCH_PACKETS or now - run.began < LATCH_SPREAD * self.media.packet_time:
            return False
        if self._spoke is None or self._ssrc is None:
            return True
        silence = now - self._spoke
        return silence >= TAKEOVER_SILENCE or (silence >= REBIND_SILENCE and self._goes_on(run, now))

    def _goes_on(self, run: _Run, now: float) -> bool:
        """Whether sequence numbers and timestamps of a run go on from what was last accepted."""
        highest = self.reception.highest
        if highest is None or self._accepted is None:
            return False
        first = unwrap(run.first.sequence_number, highest) - highest
        last = unwrap(run.last.sequence_number, highest) - highest
        accepted_at, timestamp = self._accepted
        in_sequence = 0 < first <= last <= REBIND_MAX_ADVANCE
        return in_sequence and self._keeps_time(run.last.timestamp - timestamp, now - accepted_at)

    def _keeps_time(self, ticks: int, elapsed: float) -> bool:
        media_time = unwrap(ticks, 0, 32) / self.media.clock_rate
        return abs(media_time - elapsed) <= CLOCK_TOLERANCE

    def _adopt(self, run: _Run, now: float) -> list[RtpPacket]:
        """Move to the address of a convincing run and hand out what it has brought."""
        self._hear(now)
        self._latch(run.source)
        self.foreign -= len(run.held)
        return [packet for arrival in run.held for packet in self._receive_rtp(arrival)]

    # -- RTCP, version and payload type ---------------------------------------------------------------------------

    @property
    def rtcp_destination(self) -> Address | None:
        """Where our RTCP goes: to the peer's RTP port if shared, else to the one its SDP named; None on hold.

        A peer that turned out to be elsewhere than its SDP said is taken to have its RTCP port there above the other.
        """
        host, port = self.remote
        if self.media.rtcp_mux:
            named: Address | None = (host, port)
        elif self.latched and self._latched != self._signalled:
            named = (host, port + 1)
        else:
            named = self.media.remote_rtcp or (host, port + 1)
        return None if named is None or named[0] in _UNSPECIFIED_HOSTS or not 0 < named[1] <= MAX_PORT else named

    def keep_alive(self) -> bytes | None:
        """A packet that opens the way for what comes to us, and keeps it open (RFC 6263 section 4.6): empty, and of a
        payload type that nobody has agreed on, so that whoever gets it drops it. None on hold."""
        host, port = self.remote
        if host in _UNSPECIFIED_HOSTS or not 0 < port <= MAX_PORT:
            return None
        media = self.media
        taken = (
            media.payload_type,
            media.arriving_payload_type,
            media.fec_payload_type,
            media.arriving_fec_payload_type,
        )
        number = next(number for number in range(MAX_PAYLOAD_TYPE, 0, -1) if number not in taken)
        self._kept_alive += 1
        return RtpPacket(number, self._kept_alive & 0xFFFF, 0, self._keep_alive_ssrc).serialize()

    def rtcp_to_send(self, now: float) -> list[bytes]:
        """RTCP that is due, for `rtcp_destination`."""
        if self.rtcp_exchange is None or self.rtcp_destination is None:
            return []
        return self.rtcp_exchange.datagrams_to_send(now, self.ip_bytes)

    def rtcp_farewell(self, now: float) -> list[bytes]:
        """The last RTCP of the call, once."""
        if self.rtcp_exchange is None or self.rtcp_destination is None:
            return []
        return self.rtcp_exchange.farewell(now)

    def next_timer(self) -> float | None:
        """When `rtcp_to_send` may have something."""
        if self.rtcp_exchange is None or self.rtcp_destination is None:
            return None
        return self.rtcp_exchange.next_timer()

    def _receive_rtcp(self, data: bytes, source: Address, now: float) -> None:
        """RTCP of the peer: a sign of life, and its reports."""
        if not self._is_rtcp_peer(source):
            self.foreign += 1
            return
        self.rtcp += 1
        self.rtcp_ip_bytes += len(data) + self._ip_header
        if self.rtcp_exchange is not None and not self.rtcp_exchange.receive(data, now):
            self.malformed += 1
            return
        if self._is_peer(source):
            self._hear(now)
        else:
            self.last_heard = now  # from a port of its own it says nothing of where the peer's media comes from

    def _is_rtcp_peer(self, source: Address) -> bool:
        """Whether the peer's RTCP may come from there: its RTP port, the one above, or the one its SDP named."""
        if source == self._source or self._is_peer(source):
            return True
        host, port = _canonical(source)
        if self.media.remote_rtcp is not None and (host, port) == _canonical(self.media.remote_rtcp):
            return True
        if self._unsignalled and self._latched is not None:
            return host == self._latched[0]  # nobody has said from which port, and some take any
        return (host, port - 1) in (self._latched, self._signalled)

    def _parse(self, data: bytes) -> RtpPacket | None:
        try:
            return RtpPacket.parse(data)
        except ProtocolError:
            self.malformed += 1
            return None

    def _is_expected(self, packet: RtpPacket) -> bool:
        return self._is_media(packet) or packet.payload_type == self.media.arriving_fec_payload_type

    def _learn_number(self, packet: RtpPacket) -> None:
        """Without signalling a dynamic payload type is a guess: that of the first packet is the one that was meant."""
        number, expected = packet.payload_type, self.media.arriving_payload_type
        dynamic = number >= FIRST_DYNAMIC and expected >= FIRST_DYNAMIC
        if self._ssrc is None and self._guessed is None and dynamic and not self._is_expected(packet):
            self._guessed = number
        if number == self._guessed:
            packet.payload_type = expected

    def _is_media(self, packet: RtpPacket) -> bool:
        """Whether the packet counts in the media's sequence: telephone events and comfort noise do as well as sound."""
        return self._is_sound(packet) or packet.payload_type in self.media.shared_payload_types

    def _is_sound(self, packet: RtpPacket) -> bool:
        """Whether the packet is sound, or RED, whatever that carries."""
        return packet.payload_type in (self.media.arriving_payload_type, self.media.arriving_red_payload_type)

    # -- SSRC and sequence number ---------------------------------------------------------------------------------

    def _receive_rtp(self, arrival: _Arrival) -> list[RtpPacket]:
        packet = arrival.packet
        # ULPFEC has no SSRC of its own: its packets count among the media, as they do in the numbers (see voip.fec).
        shares_numbers = self.media.fec == ULPFEC and packet.ssrc == self._ssrc
        if not self._is_media(packet) and not shares_numbers:
            return self._receive_repair(arrival)
        if packet.ssrc != self._ssrc:
            announced = self.media.remote_ssrc
            if packet.ssrc == announced or (announced is None and self._ssrc is None):
                return self._begin([arrival])
            return self._confirm(arrival)
        if not self.reception.in_window(packet.sequence_number):
            return self._confirm(arrival)
        self._drop_pending()
        return [self._accept_media(arrival)]

    def _receive_repair(self, arrival: _Arrival) -> list[RtpPacket]:
        packet = arrival.packet
        if packet.ssrc != self._repair_ssrc:
            if not self._is_repair_source(packet):
                self.stray += 1
                return []
            self._repair_ssrc = packet.ssrc
        self._count_repair(arrival)
        return [self._account(arrival)]

    def _count_repair(self, arrival: _Arrival) -> None:
        """For the reports: every repair packet is handed out, whatever its number."""
        packet, reception = arrival.packet, self.repair_reception
        exchange = self.rtcp_exchange
        if exchange is not None and exchange.repair.ssrc != packet.ssrc:
            exchange.repair.ssrc = packet.ssrc
            reception.restart(packet)
        elif not reception.in_window(packet.sequence_number):
            previous, self._repair_jump = self._repair_jump, packet.sequence_number
            if previous is None or packet.sequence_number != (previous + 1) & 0xFFFF:
                return
            reception.restart(packet)
        self._repair_jump = None
        reception.receive(packet, arrival.time)

    def _is_repair_source(self, packet: RtpPacket) -> bool:
        """Whether an SSRC that no repair packet had yet may be the repair stream's (RFC 8627 section 4.2.1)."""
        announced = self.media.remote_ssrc
        protected = self._ssrc if self._ssrc is not None else announced
        if self.media.remote_fec_ssrc is not None and announced in (None, protected):
            return packet.ssrc == self.media.remote_fec_ssrc
        if protected is None or packet.ssrc == protected:
            return False
        return protected in packet.csrcs if packet.csrcs else self._repair_ssrc is None

    def _confirm(self, arrival: _Arrival) -> list[RtpPacket]:
        """Another SSRC, or a sequence number far away: wait for the next of its kind (RFC 3550 A.1)."""
        run = self._pending
        if run is None or not run.extend(arrival, 1):
            self._drop_pending()
            run = self._pending = _Run(arrival, self.remote, CONFIRM_HELD)
        if run.count < CONFIRM_PACKETS:
            return []
        if arrival.time - self._accepted_at < CONFIRM_SILENCE * self.media.packet_time:
            return []  # the stream of before is still there
        return self._begin(list(run.held))

    def _drop_pending(self) -> None:
        if self._pending is not None:
            self.stray += len(self._pending.held)
            self._pending = None

    def _begin(self, arrivals: list[_Arrival]) -> list[RtpPacket]:
        """A stream begins, or goes on elsewhere, with these packets."""
        first = arrivals[0].packet
        if first.ssrc != self._ssrc:
            as_announced = self.media.remote_ssrc in (None, first.ssrc)
            self._repair_ssrc = self.media.remote_fec_ssrc if as_announced else None
        self._ssrc = first.ssrc
        self._pending = None
        self.reception.restart(first)
        return [self._accept_media(arrival) for arrival in arrivals]

    def _accept_media(self, arrival: _Arrival) -> RtpPacket:
        packet = arrival.packet
        timed = packet.payload_type != self.media.audio.arriving_telephone_event_payload_type
        self.reception.receive(packet, arrival.time, timed=timed)
        self._accepted_at = arrival.time
        if timed:  # a telephone event has the timestamp of its beginning
            self._accepted = (arrival.time, packet.timestamp)
        if self.rtcp_exchange is not None:
            self.rtcp_exchange.media.ssrc = packet.ssrc
            self.rtcp_exchange.heard(arrival.time)
        return self._account(arrival)

    def _account(self, arrival: _Arrival) -> RtpPacket:
        self.bytes_received += arrival.size
        self.ip_bytes += arrival.size + self._ip_header
        return arrival.packet


class _Arrival(NamedTuple):
    """A packet, when it came, and how long its datagram was."""

    packet: RtpPacket
    time: float
    size: int


class _Run:
    """Packets in sequence, of one address and SSRC, that wait to be believed; holds the newest few."""

    __slots__ = ("began", "count", "first", "held", "last", "source", "step")

    def __init__(self, arrival: _Arrival, source: Address, limit: int) -> None:
        self.source = source
        self.began = arrival.time
        self.first = self.last = arrival.packet
        self.count = 1
        self.step: float | None = None  # ticks from packet to packet
        self.held = deque([arrival], limit)

    def extend(self, arrival: _Arrival, max_step: int, *, in_step: bool = False) -> bool:
        """Add a packet up to `max_step` after the last; False if it does not belong to the run.

        `in_step`: timestamps must advance evenly. A copy or a slightly late packet is held but proves nothing.
        """
        packet, last = arrival.packet, self.last
        if packet.ssrc != last.ssrc:
            return False
        ahead = unwrap(packet.sequence_number - last.sequence_number, 0)
        if not -LATCH_MAX_STEP <= ahead <= max_step:
            return False
        if ahead > 0:
            step = unwrap(packet.timestamp - last.timestamp, 0, 32) / ahead
            if in_step and (step <= 0 or self.step not in (None, step)):
                return False
            self.step, self.last = step, packet
            self.count += 1
        self.held.append(arrival)
        return True


def _rtcp_terms(media: NegotiatedMedia) -> Terms:
    return Terms(
        ssrc=media.ssrc,
        repair_ssrc=media.fec_ssrc if media.fec == FLEXFEC and media.direction.sends else None,
        clock_rate=media.clock_rate,
        ptime=media.packet_time,
        reduced_size=media.rtcp_rsize,
        extended=media.rtcp_xr,
    )


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
