"""The addresses of this machine's interfaces: what neighbours reach it by where no route leads further."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl

SIOCGIFADDR, SIOCGIFNETMASK = 0x8915, 0x891B
"""Linux, netdevice(7): the IPv4 address of an interface, and its mask."""
NAME_BYTES = 15
ADDRESS = slice(20, 24)
"""Linux, struct ifreq: 16 bytes of name, then a sockaddr_in with the address after its family and port."""
IPV6_TABLE = Path("/proc/net/if_inet6")
GLOBAL_SCOPE = "00"
"""Of a line of IPV6_TABLE: no link-local address."""
INNER = ("docker", "veth", "br-", "virbr", "lxc", "cni", "podman")
"""How interfaces are called that lead to virtual machines and containers on this machine, and to no other."""


def own_hosts() -> list[str]:
    """Addresses that other machines may reach us by, the most useful first: IPv4 before IPv6, inner networks last."""
    names = sorted((name for _, name in socket.if_nameindex()), key=lambda name: name.startswith(INNER))
    found = [host for name in names if (host := _ipv4_of(name)) is not None] if sys.platform == "linux" else _by_name()
    return [host for host in [*found, *_ipv6()] if not ipaddress.ip_address(host).is_loopback]


def own_networks() -> list[str]:
    """The networks of these addresses, `192.168.1.20/255.255.255.0`: neighbours in them are reached without a router.
    Empty where that cannot be found."""
    names = [name for _, name in socket.if_nameindex() if not name.startswith(INNER)]
    found = [(_ipv4_of(name), _ipv4_of(name, SIOCGIFNETMASK)) for name in names] if sys.platform == "linux" else []
    return [f"{host}/{mask}" for host, mask in found if host and mask] + [
        f"{host}/{prefix}" for host, prefix in _ipv6_networks()
    ]


def _ipv4_of(name: str, what: int = SIOCGIFADDR) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        request = struct.pack("256s", name.encode()[:NAME_BYTES])
        return socket.inet_ntoa(fcntl.ioctl(probe, what, request)[ADDRESS])
    return None


def _ipv6() -> list[str]:
    return [host for host, _ in _ipv6_networks()]


def _ipv6_networks() -> list[tuple[str, int]]:
    """Addresses and lengths of their prefixes."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in IPV6_TABLE.read_text(encoding="ascii").splitlines()]
        rows.sort(key=lambda row: row[5].startswith(INNER))
        kept = [row for row in rows if row[3] == GLOBAL_SCOPE]
        return [(str(ipaddress.IPv6Address(int(row[0], 16))), int(row[2], 16)) for row in kept]
    return []


def _by_name() -> list[str]:
    """What the system knows by the name of this machine: where there is no other way to ask."""
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return []
