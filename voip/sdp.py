"""Session descriptions (RFC 8866) and their offer/answer negotiation (RFC 3264), down to one frozen NegotiatedMedia.

Attributes of RFC 3551 (payload types), 5761 (rtcp-mux), 5576 and 5956 (ssrc, ssrc-group), 8627 section 5 (flexfec).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from voip.codecs import Codec


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

    codecs in order of preference; ptime in seconds; fec: FlexFEC is understood (and sent, where repair_window, the
    seconds that our pattern spans, is not 0).
    """

    codecs: tuple[Codec, ...]
    direction: Direction = Direction.SENDRECV
    ptime: float = 0.02
    fec: bool = True
    repair_window: float = 0.0


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


@dataclass(frozen=True)
class NegotiatedMedia:
    """All that the media side of a call needs to know; built by offer and answer, or without SIP from options.

    payload_type and fec_payload_type are used in both directions. remote is where we send to; direction is ours.
    repair_window (seconds) is the peer's when we only receive, else our own. The remote SSRCs are None when the peer
    did not announce them.
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
