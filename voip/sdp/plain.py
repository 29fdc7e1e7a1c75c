"""Media without signalling: both ends know it beforehand, or one reads the description that the other has written.

There is no offer and no answer then, but the same description (RFC 8866) and the same NegotiatedMedia come of it. What
needs both sides' consent (RTCP on the RTP port, RFC 5761; RED, RFC 2198) is left out.
"""

from __future__ import annotations

from dataclasses import replace

from voip.media import Direction, NegotiatedMedia
from voip.sdp.description import SessionDescription, parse_ip
from voip.sdp.media import Capabilities, Endpoint
from voip.sdp.negotiation import make_answer, make_offer
from voip.sdp.plays import PLAYS

ANY_ADDRESS = ("0.0.0.0", 0)
"""The remote address of a stream whose peer is unknown until its first packet arrives."""
_AGREED_ON = ("rtcp-mux", PLAYS, *(direction.value for direction in Direction))


def describe(capabilities: Capabilities, destination: Endpoint) -> SessionDescription:
    """What is sent to `destination` (its host and port, our identifiers): the first codec, and FEC if we have it.

    Telephone events are left out: players such as ffmpeg take their clock rate for that of the audio.
    """
    description = make_offer(
        replace(capabilities, codecs=capabilities.codecs[:1], events=False, copies=False), destination
    )
    for media in description.media:
        media.attributes = [(name, value) for name, value in media.attributes if name not in _AGREED_ON]
    return description


def media_of(
    description: SessionDescription, capabilities: Capabilities, endpoint: Endpoint, remote: tuple[str, int] | None
) -> NegotiatedMedia:
    """The media of a description for our side of it; `remote` is where we send to, None: wherever we hear from.

    Where the description says that media goes to is of no interest, but for a multicast group, which we do not join.
    NegotiationError if there is nothing in it that we know.
    """
    _, media = make_answer(_anywhere(description), capabilities, replace(endpoint, ip_version=None))
    host, port = remote or ANY_ADDRESS
    ours = media.remote_ssrc == endpoint.ssrc  # we have written it ourselves
    return replace(
        media,
        remote=(host, port),
        remote_rtcp=(host, port + 1) if port else None,
        rtcp_mux=False,
        direction=capabilities.direction,
        remote_ssrc=None if ours else media.remote_ssrc,
        remote_fec_ssrc=None if ours else media.remote_fec_ssrc,
    )


def _anywhere(description: SessionDescription) -> SessionDescription:
    """The description with an address where it has none that can be read: a host name, or nothing."""
    lines = [
        line if parse_ip(description.host(line)) else replace(line, connection=ANY_ADDRESS[0])
        for line in description.media
    ]
    return replace(description, media=lines)
