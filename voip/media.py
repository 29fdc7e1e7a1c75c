"""What a call's media is: the values that signalling hands to media (RFC 3264, RFC 3551).

Offer and answer end in a `NegotiatedMedia`; without SIP it is built from options. RTP, RTCP, FEC and sound are made
from it and never see SIP or SDP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

from voip.codecs import Codec
from voip.srtp import SrtpKeys
from voip.srtp.association import AssociationTerms

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

    def __init__(self, name: str) -> None:
        self.sends = name in ("sendrecv", "sendonly")
        """Whether this side sends; asked for each packet, hence no property."""
        self.receives = name in ("sendrecv", "recvonly")
        """Whether this side receives."""

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


class KeyAgreement(str, Enum):
    """How the keys of SRTP are agreed on."""

    SDES = "sdes"
    """They are in the session descriptions (RFC 4568)."""
    DTLS = "dtls"
    """By a handshake on the media port (RFC 5764)."""


@dataclass(frozen=True)
class Security:
    """What protects the media of one line.

    keys: None until the key agreement has brought them; nothing passes before. readable: the keys came in SIP that was
    not encrypted, so that whoever reads it can decrypt the media. association: what the handshake of DTLS must keep to.
    proved: "password" or "certificate", by which the peer has shown who it is in that handshake; "" before, or without.
    """

    agreement: KeyAgreement
    keys: SrtpKeys | None = None
    readable: bool = False
    association: AssociationTerms | None = None
    proved: str = ""


@dataclass(frozen=True)
class IceCredentials:
    """What the checks of one side's peer show that they are meant for it (RFC 8445 section 5.3)."""

    fragment: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class IceTerms:
    """The credentials of an ICE session whose peer checks our one candidate: ours, and the peer's."""

    own: IceCredentials
    remote: IceCredentials


DTMF_EVENTS = frozenset(range(16))
"""Digits, star, pound and A to D: what telephone events without a list mean (RFC 4733 sections 2.4.1, 3.2)."""


@dataclass(frozen=True)
class AudioFormat:
    """What only sound has: how it is coded, and what else comes in its sequence of packets.

    ptime: seconds of sound per packet (RFC 8866 section 6.4); max_ptime: that the peer takes at most, None: no limit of
    its own. telephone_event_payload_type is for the telephone events
    (RFC 4733) that we send, telephone_event_rate the clock of their durations in Hz, 0 without them; those that come
    have the same number unless receive_telephone_event_payload_type says otherwise. telephone_events are the codes of
    the events that the peer takes: others must not be sent (RFC 4733 section 2.5.1.1). other_telephone_events are
    payload type and clock rate of further ones that may come. comfort_noise_payload_type is that of the comfort noise
    (RFC 3389) that may come: we send none.
    """

    codec: Codec
    ptime: float = 0.02
    max_ptime: float | None = None
    telephone_event_payload_type: int | None = None
    telephone_event_rate: int = 0
    telephone_events: frozenset[int] = DTMF_EVENTS
    receive_telephone_event_payload_type: int | None = None
    comfort_noise_payload_type: int | None = None
    other_telephone_events: tuple[tuple[int, int], ...] = ()

    @property
    def arriving_telephone_event_payload_type(self) -> int | None:
        """The payload type of the telephone events that come to us, None if none are agreed on."""
        return (
            self.telephone_event_payload_type
            if self.receive_telephone_event_payload_type is None
            else self.receive_telephone_event_payload_type
        )

    @property
    def arriving_telephone_events(self) -> dict[int, int]:
        """The clock rate in Hz of each payload type of telephone events that may come."""
        agreed = self.arriving_telephone_event_payload_type
        events = {} if agreed is None else {agreed: self.telephone_event_rate or self.codec.clock_rate}
        return events | {number: rate for number, rate in self.other_telephone_events if number != agreed}

    @property
    def non_audio_payload_types(self) -> frozenset[int]:
        """Payload types that come in the sound's sequence and are not sound: telephone events and comfort noise."""
        comfort = () if self.comfort_noise_payload_type is None else (self.comfort_noise_payload_type,)
        return frozenset((*self.arriving_telephone_events, *comfort))


@dataclass(frozen=True)
class ReceiveFormat:
    """One of the formats that may come: its payload type in our description, and its codec."""

    payload_type: int
    codec: Codec


@dataclass(frozen=True)
class ExtendedReports:
    """The extended reports that the peer asks for (RFC 3611 section 5.1); `"voip-metrics" in reports` asks by name.

    loss_rle: loss RLE blocks, of at most loss_rle_bytes. receipts: packet receipt times, of at most receipt_bytes.
    round_trip: who may send DLRR blocks, all or only those that send media, of at most round_trip_bytes. summary: the
    fields of the statistics summary that are wanted, of "loss", "dup", "jitt", "TTL" and "HL"; None: no summary.
    metrics: VoIP metrics. None for a size: no limit.
    """

    loss_rle: bool = False
    loss_rle_bytes: int | None = None
    receipts: bool = False
    receipt_bytes: int | None = None
    round_trip: Literal["all", "sender"] | None = None
    round_trip_bytes: int | None = None
    summary: frozenset[str] | None = None
    metrics: bool = False

    def __contains__(self, name: object) -> bool:
        """Whether the reports that a=rtcp-xr calls by this name are wanted."""
        wanted = {
            "pkt-loss-rle": self.loss_rle,
            "pkt-rcpt-times": self.receipts,
            "rcvr-rtt": self.round_trip is not None,
            "stat-summary": self.summary is not None,
            "voip-metrics": self.metrics,
        }
        return isinstance(name, str) and wanted.get(name, False)


@dataclass(frozen=True)
class NegotiatedMedia:
    """All that the media side of one media line needs to know.

    audio is what only sound has; the rest is the same for every medium. remote is the address to send to, remote_rtcp
    that of RTCP. The remote SSRCs are None when the peer did not announce them.

    direction is ours, as agreed. local_direction is what we were willing to do; remote_direction is what the peer's
    description says of the peer, seen from it: `sendonly` or `inactive` where local_direction receives and sends is
    hold (RFC 3264 section 8.4). remote_plays is False for a peer of this program's kind that says that it plays
    nothing of what it receives (a=x-plays:no).

    payload_type, fec_payload_type and red_payload_type are what we send with; what comes bears the same numbers unless
    receive_... says otherwise (RFC 3264 section 5.1). receive_formats are all formats that may come, at any time and in
    any order (RFC 3264 sections 5.1, 6.1); empty: the one that is sent. fec is one of FEC_SCHEMES or None; RED carries
    ULPFEC if red_payload_type is given beside it. fec_clock_rate (Hz) is that of the timestamps of repair packets by
    their a=rtpmap, None: that of the media. repair_window is the time in seconds that the peer's repair packets span,
    by its description, 0 if it does not say; send_repair_window what ours may span (RFC 8627 section 5.2.1), None
    without a limit.

    bandwidth (bit/s) is what the peer wants to receive at most, headers of IP and UDP included, None: as much as we
    like; rtcp_off: it wants no RTCP (RFC 3556). rtcp_xr: the extended reports the peer wants.

    security is what protects the packets, None: nothing, and security_note says why, where it was wanted. profile is
    that of the media line (RFC 8866 section 5.14). ice: the peer's checks, not `remote`, say where media goes;
    None: there is no ICE. header_change: bytes by which what comes before the payload is longer than the header of RTP;
    negative for datagrams that are not RTP (`voip.formats`).
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
    rtcp_xr: ExtendedReports = ExtendedReports()
    receive_payload_type: int | None = None
    receive_fec_payload_type: int | None = None
    red_payload_type: int | None = None
    receive_red_payload_type: int | None = None
    receive_formats: tuple[ReceiveFormat, ...] = ()
    local_direction: Direction = Direction.SENDRECV
    remote_direction: Direction = Direction.SENDRECV
    remote_plays: bool = True
    fec_clock_rate: int | None = None
    send_repair_window: float | None = None
    bandwidth: int | None = None
    rtcp_off: bool = False
    security: Security | None = None
    security_note: str = ""
    profile: str = "RTP/AVP"
    ice: IceTerms | None = None
    header_change: int = 0

    @property
    def clock_rate(self) -> int:
        """Hz of the RTP timestamps."""
        return self.audio.codec.clock_rate

    @property
    def is_played(self) -> bool:
        """Whether the peer hears what we send, as far as its description says."""
        return self.remote_plays and self.remote_direction.receives

    @property
    def tag_length(self) -> int:
        """Bytes by which protection makes RTP packets longer."""
        keys = None if self.security is None else self.security.keys
        return 0 if keys is None else keys.profile.tag_length

    @property
    def packet_time(self) -> float:
        """Seconds of media that one packet holds."""
        return self.audio.ptime

    @property
    def arriving_payload_type(self) -> int:
        """The payload type of the media packets that come to us."""
        return self.payload_type if self.receive_payload_type is None else self.receive_payload_type

    @property
    def arriving_formats(self) -> dict[int, Codec]:
        """The codec of each payload type that may come as sound, the preferred one first."""
        formats = {self.arriving_payload_type: self.audio.codec}
        for each in self.receive_formats:
            formats.setdefault(each.payload_type, each.codec)
        return formats

    def received_as(self, payload_type: int) -> NegotiatedMedia:
        """The same, seen from the moment on at which another of `arriving_formats` comes."""
        codec = self.arriving_formats[payload_type]
        formats = tuple(ReceiveFormat(number, each) for number, each in self.arriving_formats.items())
        audio = replace(self.audio, codec=codec)
        return replace(self, audio=audio, receive_payload_type=payload_type, receive_formats=formats)

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
