"""What a call's media is: the values between signalling and media (RFC 3264), and how long its packets are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from voip.codecs import Codec

MAX_PAYLOAD = 1140
"""Bytes of media payload such that a repair packet that protects it fits into a datagram of 1200."""
PACKET_TIMES = (0.06, 0.04, 0.03, 0.02, 0.01, 0.005, 0.004, 0.002, 0.001)
"""Seconds of sound per packet to fall back to where the wanted time makes too large a packet."""


class Direction(str, Enum):
    """Who sends media, seen from one side (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether this side sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether this side receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    def reversed(self) -> Direction:
        """The same flow seen from the other side."""
        return _direction(self.receives, self.sends)

    def limited_to(self, other: Direction) -> Direction:
        """What both allow."""
        return _direction(self.sends and other.sends, self.receives and other.receives)


def _direction(sends: bool, receives: bool) -> Direction:
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


@dataclass(frozen=True)
class Capabilities:
    """What one side is able and willing to do.

    codecs in order of preference; ptime in seconds; fec: FEC is understood (and sent, where repair_window, the
    seconds that our pattern spans, is not 0). fec_scheme is what is offered, and chosen before others: "flexfec",
    "ulpfec" or "red". max_payload: bytes of media payload that leave room for the FEC of each packet.
    events: telephone events (RFC 4733) are offered.
    """

    codecs: tuple[Codec, ...]
    direction: Direction = Direction.SENDRECV
    ptime: float = 0.02
    fec: bool = True
    repair_window: float = 0.0
    fec_scheme: str = "flexfec"
    max_payload: int = MAX_PAYLOAD
    events: bool = True


@dataclass(frozen=True)
class Endpoint:
    """One side's media address and identifiers for one call; session_version grows with each new description."""

    host: str
    port: int
    ssrc: int
    fec_ssrc: int
    cname: str
    session_id: int
    session_version: int = 1
    rtcp_port: int | None = None
    """Where RTCP goes without multiplexing, if that is not the port above (RFC 3605)."""
    ip_version: int | None = None
    """4 or 6: that of the socket, which reaches no address of the other; None: as it comes."""


@dataclass(frozen=True)
class NegotiatedMedia:
    """All that the media side of a call needs to know; built by offer and answer, or without SIP from options.

    payload_type, fec_payload_type and red_payload_type are what we send with; what comes bears the same numbers unless
    receive_... says otherwise (RFC 3264 section 5.1). fec is the scheme: "flexfec", "ulpfec" (which RED carries if that
    has a number), or "red" itself. remote is where we send to; direction is ours.
    repair_window (seconds) is the peer's when we only receive, else our own. The remote SSRCs are None when the peer
    did not announce them. rtcp_rsize: both take RTCP of reduced size; rtcp_xr: the extended reports the peer wants.
    telephone_event is the payload type of keys (RFC 4733) that we send, telephone_event_rate the clock of their
    durations in Hz, 0 without them; comfort_noise (RFC 3389) is that of silence that may come: we send none.
    """

    codec: Codec
    payload_type: int
    local: tuple[str, int]
    remote: tuple[str, int]
    remote_rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
    ptime: float = 0.02
    direction: Direction = Direction.SENDRECV
    fec: str | None = None
    fec_payload_type: int | None = None
    repair_window: float = 0.0
    ssrc: int = 0
    fec_ssrc: int = 0
    remote_ssrc: int | None = None
    remote_fec_ssrc: int | None = None
    rtcp_rsize: bool = False
    rtcp_xr: frozenset[str] = frozenset()
    receive_payload_type: int | None = None
    receive_fec_payload_type: int | None = None
    red_payload_type: int | None = None
    receive_red_payload_type: int | None = None
    telephone_event: int | None = None
    telephone_event_rate: int = 0
    receive_telephone_event: int | None = None
    comfort_noise: int | None = None

    @property
    def arriving_payload_type(self) -> int:
        """The number of the media packets that come to us."""
        return self.payload_type if self.receive_payload_type is None else self.receive_payload_type

    @property
    def arriving_fec_payload_type(self) -> int | None:
        """The number of the repair packets that come to us, None without FEC."""
        if self.fec is None:
            return None
        return self.fec_payload_type if self.receive_fec_payload_type is None else self.receive_fec_payload_type

    @property
    def arriving_red_payload_type(self) -> int | None:
        """The number of RED packets that come to us, None without RED."""
        if self.fec is None:
            return None
        return self.red_payload_type if self.receive_red_payload_type is None else self.receive_red_payload_type

    @property
    def arriving_telephone_event(self) -> int | None:
        """The number of the telephone events that come to us, None if none are agreed on."""
        return self.telephone_event if self.receive_telephone_event is None else self.receive_telephone_event

    @property
    def aside_payload_types(self) -> frozenset[int]:
        """Numbers of what comes in the media's sequence and is no sound: telephone events and comfort noise."""
        numbers = (self.arriving_telephone_event, self.comfort_noise)
        return frozenset(number for number in numbers if number is not None)


def effective_ptime(codec: Codec, ptime: float, max_payload: int = MAX_PAYLOAD) -> float:
    """Seconds of sound per packet: ptime, or the largest below it that the codec has and that fits into max_payload.

    Codecs that take any time have PACKET_TIMES below it.
    """
    times = codec.packet_times or (ptime, *PACKET_TIMES)
    for candidate in times:
        if candidate <= ptime and codec.encoded_size(round(codec.sample_rate * candidate)) <= max_payload:
            return candidate
    return times[-1]
