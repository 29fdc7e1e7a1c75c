"""Zones of link-local addresses (RFC 4007): by which interface a neighbour is reached.

A zone means nothing to other machines, and SIP, SDP and RTCP have no place for it. So addresses are without one in the
whole program, and what the system says of zones is remembered here, for the process as a whole. `learned` takes a zone
out of an address that comes from the system, `sockaddr` puts it back in.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import Any

MOST_NEIGHBOURS = 256
"""Neighbours whose zone is remembered."""
_LINK_LOCAL = re.compile(r"fe[89ab][0-9a-f]:[0-9a-f:.]*", re.IGNORECASE)
"""fe80::/10 (RFC 4291 section 2.4)."""
_MOST_DIGITS = 10  # of the number of an interface, which has 32 bits
_DISCARD = 9  # a port to look up a route to; nothing is sent

SocketAddress = tuple[Any, ...]
"""(host, port), for IPv6 perhaps with flow and zone."""

_zones: dict[str, int] = {}  # by the neighbour's address, as text


def is_link_local(host: str) -> bool:
    return _LINK_LOCAL.fullmatch(host) is not None


def learned(address: SocketAddress) -> str:
    """The host of an address that the system has given, without its zone, which is remembered.

    Some systems and Pythons write the zone behind the host, others only into the fourth field.
    """
    host, _, name = str(address[0]).partition("%")
    zone = address[3] if len(address) > 3 else 0
    if (zone or name) and is_link_local(host):
        _remember(host, zone or zone_number(name))
    return host


def learn_zone(host: str, zone: str) -> None:
    """Remember what the user has said; OSError for an interface that there is not."""
    _remember(host, zone_number(zone))


def zone_number(zone: str) -> int:
    """The number of an interface that is given by name or number; OSError if there is none."""
    if zone.isascii() and zone.isdigit() and len(zone) < _MOST_DIGITS:
        socket.if_indextoname(int(zone))
        return int(zone)
    return socket.if_nametoindex(zone)


def sockaddr(host: str, port: int, family: socket.AddressFamily) -> SocketAddress:
    """What a socket of this family wants to be told of this literal address: four fields for IPv6 alone. Any thread may
    ask, for each packet."""
    zone = _zones.get(host.lower()) if family == socket.AF_INET6 else None
    return (host, port, 0, zone) if zone else (host, port)


def find_zone(host: str) -> bool:
    """Whether this address can be sent to: if it is link-local its zone has to be known, or there is but one interface
    that has a route to such addresses. Asks the system, so it is called before packets go there, and not for each."""
    if not is_link_local(host) or host.lower() in _zones:
        return True
    found = [number for number, _ in socket.if_nameindex() if _leads_to(host, number)]
    if len(found) == 1:
        _remember(host, found[0])
    return len(found) == 1


def _leads_to(host: str, zone: int) -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.connect((host, _DISCARD, 0, zone))
        return True
    return False


def _remember(host: str, zone: int) -> None:
    host = host.lower()
    _zones.pop(host, None)
    _zones[host] = zone
    while len(_zones) > MOST_NEIGHBOURS:
        with suppress(KeyError, RuntimeError, StopIteration):  # look-ups have threads of their own
            del _zones[next(iter(_zones))]
