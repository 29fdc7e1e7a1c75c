"""Calls whose address changes while they are up: another network, another lease, a tunnel that opens."""

from __future__ import annotations

from dataclasses import replace

from voip.media import Direction
from voip.sdp import Endpoint, SessionDescription

LOOK_INTERVAL = 0.5
"""Seconds between looks at the address on the route to each peer: with the re-INVITE, the peer knows within 2 s."""


def readdressed(description: SessionDescription, endpoint: Endpoint, direction: Direction) -> SessionDescription:
    """The description that we sent last as an offer that names another address.

    All else stays, the payload types above all (RFC 3264 section 8.3.2), but for the direction: that a peer had put us
    on hold is for its answer to say again.
    """
    media = []
    for line in description.media:
        if not line.port:
            media.append(line)
            continue
        kept = [(name, value) for name, value in line.attributes if name not in (*_DIRECTIONS, "rtcp")]
        kept.append((direction.value, None))
        if endpoint.rtcp_port is not None:
            kept.append(("rtcp", str(endpoint.rtcp_port)))
        media.append(replace(line, port=endpoint.port, connection=None, attributes=kept))
    return replace(
        description,
        session_version=str(endpoint.session_version),
        origin=endpoint.host,
        connection=endpoint.host,
        media=media,
    )


_DIRECTIONS = tuple(direction.value for direction in Direction)
