"""What one side brings to offer and answer (RFC 3264): what it is able to do, where it is; how long packets are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from voip.codecs import Codec
from voip.media import FLEXFEC, Direction
from voip.sdp.crypto import OwnKeys
from voip.sdp.dtls import OwnDtls
from voip.sdp.ice import OwnIce

MAX_PAYLOAD = 1140
"""Bytes of media payload such that a repair packet that protects it fits into a datagram of 1200."""
PACKET_TIMES = (0.06, 0.04, 0.03, 0.02, 0.01, 0.005, 0.004, 0.002, 0.001)
"""Seconds of sound per packet to fall back to where the wanted time makes too large a packet."""


class SrtpRule(str, Enum):
    """Whether media is encrypted: never, with all that can, or always."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class Capabilities:
    """What one side is able and willing to do.

    codecs in order of preference; ptime in seconds; fec: FEC is understood (and sent, where repair_packets, the
    packets that our pattern spans, is not 0). copies: RED is offered beside FlexFEC.
    fec_scheme is what is offered, and chosen before others: "flexfec",
    "ulpfec" or "red". max_repair_window: seconds for which we wait for repair at most. max_payload: bytes of media
    payload that leave room for the FEC of each packet.
    events: telephone events (RFC 4733) are offered. plays: what is received is played, not only counted. srtp: whether
    media is encrypted; sdes_in_clear: its keys are offered also in SIP that is not encrypted. dtls_only: keys come by
    DTLS or not at all, since the peer has to prove itself there. ice: it is offered; what a peer offers is taken.
    """

    codecs: tuple[Codec, ...]
    direction: Direction = Direction.SENDRECV
    ptime: float = 0.02
    fec: bool = True
    repair_packets: int = 0
    fec_scheme: str = FLEXFEC
    copies: bool = False
    max_repair_window: float = math.inf
    max_payload: int = MAX_PAYLOAD
    events: bool = True
    plays: bool = True
    srtp: SrtpRule = SrtpRule.OFF
    sdes_in_clear: bool = False
    dtls_only: bool = False
    ice: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One side's media address and identifiers for one call; session_version grows with each new description.

    origin is the host that o= names, where that is not host: it stays when the media moves (RFC 3264 section 8).
    own_keys are what we encrypt with, None: we cannot. sip_encrypted: descriptions travel encrypted to the next hop.
    own_dtls is our side of DTLS, None: we cannot. peer_host is where the peer's SIP comes from, as far as it is known.
    """

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
    origin: str | None = None
    own_keys: OwnKeys | None = None
    sip_encrypted: bool = False
    own_dtls: OwnDtls | None = None
    peer_host: str | None = None
    own_ice: OwnIce | None = None
    """Our side of ICE, None: we cannot."""


def effective_ptime(codec: Codec, ptime: float, max_payload: int = MAX_PAYLOAD) -> float:
    """Seconds of sound per packet: ptime, or the largest below it that the codec has and that fits into max_payload.

    Codecs that take any time have PACKET_TIMES below it.
    """
    times = codec.packet_times or (ptime, *PACKET_TIMES)
    for candidate in times:
        if candidate <= ptime and codec.encoded_size(round(codec.sample_rate * candidate)) <= max_payload:
            return candidate
    return times[-1]
