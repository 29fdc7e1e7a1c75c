"""SIP user agents that announce themselves on the local network (DNS-SD, RFC 6763): names, services, what they say.

Only values here; `net/mdns.py` has the multicast. What a neighbour says of itself anyone on the network could have
written: it is shown, and of it only a literal address and a port are used.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voip.ip import MAX_PORT
from voip.sip.uri import SipUri

SERVICES = {"udp": "_sip._udp", "tls": "_sips._tcp"}
"""What is announced, by the transport that is listened at: the services of RFC 3263 section 4.1, preferred first."""
LONGEST_NAME = 63
"""Bytes of UTF-8 of an instance name: one label (RFC 6763 section 4.1.1)."""
LONGEST_FACT = 200
"""Bytes of `name=value` in a TXT record: recommended (RFC 6763 section 6.1); 255 are possible."""
MOST_FACTS = 16
"""Facts of a neighbour that are kept."""
TXT_VERSION = ("txtvers", "1")
"""Comes first (RFC 6763 section 6.7)."""
_ADDRESS_MARKS = re.compile(r"[.:@/\[\]%]")
"""What stands in each SIP address, host name with a domain, and literal address, and in no name."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Neighbour:
    """One announced service; `hosts` are literal addresses, the one to be tried first is first."""

    name: str
    service: str
    hosts: tuple[str, ...]
    port: int
    facts: Mapping[str, str]

    @property
    def uri(self) -> SipUri:
        """What to call."""
        return SipUri("sips" if self.service == SERVICES["tls"] else "sip", None, self.hosts[0], self.port)


def is_name(text: str) -> bool:
    """Whether this target is looked for among the neighbours: it has none of `. : @ / [ ] %`, which addresses have, and
    is neither `localhost` nor a number."""
    return bool(text) and not _ADDRESS_MARKS.search(text) and text.lower() != "localhost" and not text.isdecimal()


def may_be_host(text: str) -> bool:
    """Whether a name could also be that of a host, for the DNS to know: no space, no accent."""
    return _HOST_NAME.fullmatch(text) is not None


def objection_to_name(text: str) -> str | None:
    """Why this cannot be announced, for people; None if it can."""
    if not text.strip() or not text.isprintable():
        return "a name has letters"
    if len(text.encode("utf-8", "replace")) > LONGEST_NAME:
        return f"a name has {LONGEST_NAME} bytes at most"
    if not is_name(text):
        return "a name has none of . : @ / [ ] % and is no number, so that it is told from an address"
    return None


def instance_of(full_name: str, service: str) -> str:
    """`kitchen` of `kitchen._sip._udp.local.`"""
    return full_name.removesuffix(".").removesuffix(".local").removesuffix(f".{service}")


def srv_data(priority: int, weight: int, port: int, host: str) -> bytes:
    """The data of an SRV record (RFC 2782), its name not compressed: two hosts that claim one name compare these bytes,
    and the later one in their order keeps it (RFC 6762 section 8.2)."""
    labels = [label.encode("utf-8", "replace") for label in host.rstrip(".").split(".")]
    name = b"".join(bytes([min(len(label), 255)]) + label for label in labels)
    return struct.pack("!3H", priority, weight, port) + name + b"\0"


def encode_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """What a TXT record holds; what is too long for it is left out."""
    pairs = [TXT_VERSION, *facts.items()]
    return {name: value for name, value in pairs if len(f"{name}={value}".encode()) <= LONGEST_FACT}


def read_facts(properties: Mapping[bytes, bytes | None]) -> dict[str, str]:
    """What a TXT record says, names in lower case; a name without a value means yes (RFC 6763 section 6.4)."""
    found: dict[str, str] = {}
    for name, value in list(properties.items())[:MOST_FACTS]:
        text = "yes" if value is None else value.decode("utf-8", "backslashreplace")
        found.setdefault(name.decode("ascii", "backslashreplace").lower(), text)
    found.pop(TXT_VERSION[0], None)
    return found


def usable(hosts: Iterable[str], own: Sequence[str], networks: Sequence[str]) -> list[str]:
    """Those of its addresses that can be called, best first: in one of our `networks`, then any, then those that are
    also ours (each machine has its own of the networks of its containers), loopback last."""
    literal = []
    for host in dict.fromkeys(hosts):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            continue
        if not (address.is_unspecified or address.is_multicast):
            literal.append(address)
    nets = [ipaddress.ip_network(network, strict=False) for network in networks]

    def rank(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[bool, bool, bool]:
        near = any(address in network for network in nets)
        return address.is_loopback, str(address) in own, not near

    return [str(address) for address in sorted(literal, key=rank)]


def is_port(port: int | None) -> bool:
    return port is not None and 0 < port <= MAX_PORT
