"""What a peer wants to receive at most: b= lines (RFC 8866 section 5.8, RFC 3890, RFC 3556; RFC 3264 section 5).

AS is kbit/s of a stream with the headers of IP, UDP and RTP, TIAS bit/s of its payload alone. RS and RR are bit/s of
RTCP of those that send and those that only receive. Without a b= line there is no limit. We write none: what we are
able to receive is not limited.
"""

from __future__ import annotations

from voip.ip import IP_UDP_HEADER
from voip.sdp.description import MediaDescription, SessionDescription, parse_ip

RTP_HEADER = 12
"""Bytes (RFC 3550 section 5.1)."""


def header_rate(host: str | None, ptime: float, tag: int = 0) -> float:
    """Bit/s that the headers of a stream to this host take, for packets of `ptime` seconds; `tag`: bytes by which SRTP
    makes each longer."""
    address = parse_ip(host)
    return 8 * (IP_UDP_HEADER[6 if address is not None and address.version == 6 else 4] + RTP_HEADER + tag) / ptime


def receive_limit(description: SessionDescription, media: MediaDescription, ptime: float, tag: int = 0) -> int | None:
    """Bit/s that the describing side wants to receive, all headers included; None without a limit.

    The least of AS and TIAS: they say the same in two ways. `ptime`: seconds per packet, for the headers of TIAS; `tag`
    as for `header_rate`.
    """
    limits = []
    kilobits, payload = description.bandwidth(media, "AS"), description.bandwidth(media, "TIAS")
    if kilobits is not None:
        limits.append(kilobits * 1000)
    if payload is not None:
        limits.append(payload + round(header_rate(description.host(media), ptime, tag)) if payload else 0)
    return min(limits, default=None)


def wants_no_rtcp(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether RTCP is switched off: RS and RR are 0 (RFC 3556 section 2), or nothing at all is to be sent."""
    reports = [description.bandwidth(media, kind) for kind in ("RS", "RR")]
    return reports == [0, 0] or description.bandwidth(media, "AS") == 0
