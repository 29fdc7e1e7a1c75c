"""What a call's media is: the values that signalling hands to media (RFC 3264, RFC 3551).

Offer and answer end in a `NegotiatedMedia`; without SIP it is built from options. RTP, RTCP, FEC and sound are made
from it and never see SIP or SDP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from voip.codecs import Codec

FIRST_DYNAMIC = 96
"""The first dynamic payload type (RFC 3551 section 3)."""
MAX_PAYLOAD_TYPE = 127
"""The last payload type: the field has seven bits (RFC 3550 section 5.1)."""

FLEXFEC = "flexfec"
"""The encoding name of RFC 8627 section 5.1; flexfec-03 of its drafts is another format."""
ULPFEC = "ulpfec"
"""The encoding name of RFC 5109 section 13.1."""
RED = "red"
"""The encoding name of RFC 2198 section 5: each packet repeats some before it."""
FEC_SCHEMES = (FLEXFEC, ULPFEC, RED)
"""Best first: FlexFEC leaves the media as it is, and its masks say more than those of ULPFEC."""


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
class AudioFormat:
    """What only sound has: how it is coded, and what else comes in its sequence of packets.

    ptime: seconds of sound per packet (RFC 8866 section 6.4). telephone_event_payload_type is for the telephone events
    (RFC 4733) that we send, telephone_event_rate the clock of their durations in Hz, 0 without them; those that come
    have the same number unless receive_telephone_event_payload_type says otherwise. comfort_noise_payload_type is that
    of the comfort noise (RFC 3389) that may come: we send none.
    """

    codec: Codec
    ptime: float = 0.02
    telephone_event_payload_type: int | None = None
    telephone_event_rate: int = 0
    receive_telephone_event_payload_type: int | None = None
    comfort_noise_payload_type: int | None = None

    @property
    def arriving_telephone_event_payload_type(self) -> int | None:
        """The payload type of the telephone events that come to us, None if none are agreed on."""
        return (
            self.telephone_event_payload_type
            if self.receive_telephone_event_payload_type is None
            else self.receive_telephone_event_payload_type
        )

    @property
    def non_audio_payload_types(self) -> frozenset[int]:
        """Payload types that come in the sound's sequence and are not sound: telephone events and comfort noise."""
        numbers = (self.arriving_telephone_event_payload_type, self.comfort_noise_payload_type)
        return frozenset(number for number in numbers if number is not None)


@dataclass(frozen=True)
class NegotiatedMedia:
    """All that the media side of one media line needs to know.

    audio is what only sound has; the rest is the same for every medium. remote is the address to send to, remote_rtcp
    that of RTCP; direction is ours. payload_type, fec_payload_type and red_payload_type are what we send with; what
    comes bears the same numbers unless receive_... says otherwise (RFC 3264 section 5.1). fec is one of FEC_SCHEMES or
    None; RED carries ULPFEC if red_payload_type is given beside it. fec_clock_rate (Hz) is that of the timestamps of
    repair packets by their a=rtpmap, None: that of the media. repair_window (seconds) is the peer's when we only
    receive, else our own. The remote SSRCs are None when the peer did not announce them. rtcp_rsize: both take RTCP of
    reduced size (RFC 5506); rtcp_xr: the extended reports the peer wants (RFC 3611 section 5).
    """

    audio: AudioFormat
    payload_type: int
    remote: tuple[str, int]
    remote_rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
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
    fec_clock_rate: int | None = None

    @property
    def clock_rate(self) -> int:
        """Hz of the RTP timestamps."""
        return self.audio.codec.clock_rate

    @property
    def packet_time(self) -> float:
        """Seconds of media that one packet holds."""
        return self.audio.ptime

    @property
    def arriving_payload_type(self) -> int:
        """The payload type of the media packets that come to us."""
        return self.payload_type if self.receive_payload_type is None else self.receive_payload_type

    @property
    def repair_clock_rate(self) -> int:
        """Hz of the RTP timestamps of repair packets."""
        return self.fec_clock_rate or self.clock_rate

    @property
    def arriving_fec_payload_type(self) -> int | None:
        """The payload type of the repair packets that come to us, None without FEC."""
        if self.fec is None:
            return None
        return self.fec_payload_type if self.receive_fec_payload_type is None else self.receive_fec_payload_type

    @property
    def arriving_red_payload_type(self) -> int | None:
        """The payload type of the RED packets that come to us, None without RED."""
        if self.fec is None:
            return None
        return self.red_payload_type if self.receive_red_payload_type is None else self.receive_red_payload_type

    @property
    def shared_payload_types(self) -> frozenset[int]:
        """Payload types that come in the media's sequence numbers and are not the medium itself."""
        return self.audio.non_audio_payload_types
