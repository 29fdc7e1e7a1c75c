"""Where messages come from and go to: transport protocol, literal host and port; and what a source address proves."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

SIP_PORT = 5060
SIPS_PORT = 5061
"""Where SIP over TLS is (RFC 3261 section 19.1.2)."""


class Address(NamedTuple):
    """Where a message came from or goes to: "udp", "tcp" or "tls"; `host` is a literal address without brackets."""

    protocol: str
    host: str
    port: int

    @property
    def reliable(self) -> bool:
        """What is sent there arrives, in order, or the transport says that it cannot (RFC 3261 section 17)."""
        return self.protocol != "udp"

    @property
    def encrypted(self) -> bool:
        """Nobody on the way there can read what is sent (RFC 3261 section 26.2.1)."""
        return self.protocol == "tls"


def default_port(protocol: str) -> int:
    """The port of a URI that names none."""
    return SIPS_PORT if protocol == "tls" else SIP_PORT


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is; None for a name, and for an address with a zone (RFC 6874), which means nothing to
    any machine but the one that wrote it."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(host: str) -> bool:
    """Whether the address is globally routed, so that anybody may have spoofed it (private and local ones: no)."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True


def may_be_spoofed(source: Address) -> bool:
    """Whether a message may have another sender than its source says: no connection, and a public address."""
    return not source.reliable and is_public(source.host)


def is_unproven(source: Address) -> bool:
    """Whether repetitions to there may be a burden to one who has asked for nothing: no connection, and not this
    machine, whose addresses come from no network. In a private network, too, a source can be forged."""
    return not source.reliable and not _is_loopback(source.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
