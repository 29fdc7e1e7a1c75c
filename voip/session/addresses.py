"""Addresses as sockets and descriptions name them, made comparable."""

from __future__ import annotations

import ipaddress

Address = tuple[str, int]
"""Host, as a literal address, and port."""


def canonical(address: Address) -> Address:
    """An address for comparison: IPv6 in its canonical form without scope, IPv4 in IPv6 as IPv4 (RFC 5952, 4291)."""
    host, port = address[0], address[1]
    if ":" not in host:
        return host, port
    try:
        parsed = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host, port
    return str(parsed.ipv4_mapped or parsed), port
