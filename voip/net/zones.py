"""Zones of link-local addresses (RFC 4007): the interface by which a neighbour is reached.

A zone means nothing to other machines, and SIP, SDP and RTCP have no field for it. So the whole program uses addresses
without one, and zones are remembered here, for the process as a whole. `learned` removes the zone from an address that
the system gives, `sockaddr` puts it back.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import Any

MAX_NEIGHBOURS = 256
"""Neighbours whose zone is remembered."""
_LINK_LOCAL = re.compile(r"fe[89ab][0-9a-f]:[0-9a-f:.]*", re.IGNORECASE)
"""fe80::/10 (RFC 4291 section 2.4)."""
_MAX_DIGITS = 10  # of the number of an interface, which has 32 bits
_DISCARD = 9  # a port to look up a route to; nothing is sent

SocketAddress = tuple[Any, ...]
"""(host, port), for IPv6 perhaps with flow and zone."""

_zones: dict[str, int] = {}  # by the neighbour's address, as text


def is_link_local(host: str) -> bool:
    return _LINK_LOCAL.fullmatch(host) is not None


def learned(address: SocketAddress) -> str:
    """The host of an address from the system, without its zone, which is remembered.

    Some systems and versions of Python append the zone to the host, others set only the fourth field.
    """
    host, _, name = str(address[0]).partition("%")
    zone = address[3] if len(address) > 3 else 0
    if (zone or name) and is_link_local(host):
        _remember(host, zone or zone_number(name))
    return host


def learn_zone(host: str, zone: str) -> None:
    """Remember a zone given by the user. OSError for an unknown interface."""
    _remember(host, zone_number(zone))


def zone_number(zone: str) -> int:
    """The number of an interface given by name or number. OSError for an unknown one."""
    if zone.isascii() and zone.isdigit() and len(zone) < _MAX_DIGITS:
        socket.if_indextoname(int(zone))
        return int(zone)
    return socket.if_nametoindex(zone)


def sockaddr(host: str, port: int, family: socket.AddressFamily) -> SocketAddress:
    """The literal address in the form that a socket of this family takes: with its zone only for IPv6. Any thread;
    cheap enough for each packet."""
    zone = _zones.get(host.lower()) if family == socket.AF_INET6 else None
    return (host, port, 0, zone) if zone else (host, port)


def find_zone(host: str) -> bool:
    """Whether this address can be sent to: a link-local one needs a known zone, or exactly one interface with a route
    to such addresses. Asks the system, so it is called once before sending to an address, not for each packet."""
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
    while len(_zones) > MAX_NEIGHBOURS:
        with suppress(KeyError, RuntimeError, StopIteration):  # look-ups run on threads of their own
            del _zones[next(iter(_zones))]
