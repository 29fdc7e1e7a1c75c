"""Locating SIP servers (RFC 3263): from a URI to the addresses to try, in order; weights by RFC 2782.

Only deciding is done here: `Records` asks the DNS, or is a table.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from voip.sip.address import Address, default_port, literal
from voip.sip.uri import SipUri
from voip.stun import STUN_PORT

MAX_ADDRESSES = 8
"""Tried for one URI: more would take too long."""
MAX_RECORDS = 8
"""Followed of one response of the DNS."""
SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
"""NAPTR services (RFC 3263 section 8.1)."""
SRV_PREFIX = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
NOWHERE = ("", ".")
"""An SRV target that says: this service is decidedly not here (RFC 2782)."""
UNASKED_DOMAINS = ("local", "localhost")
"""What the DNS knows nothing of (RFC 6761 section 6.3, RFC 6762 section 3)."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""A host name as RFC 3261 section 25.1 writes it, and the underscore that some have."""


class Naptr(NamedTuple):
    """RFC 3403 section 4.1, without its regular expression: those for SIP have none."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


class Records(Protocol):
    """What the DNS says. Names have no dot at their end; nothing found, or no response, is an empty list."""

    def naptr(self, name: str) -> Sequence[Naptr]: ...

    def srv(self, name: str) -> Sequence[Srv]: ...

    def hosts(self, name: str) -> Sequence[str]:
        """Literal addresses of both families, the best first."""
        ...


def addresses_of(
    uri: SipUri, records: Records, rng: random.Random, protocols: Sequence[str] = ("udp", "tcp", "tls")
) -> list[Address]:
    """Where requests to `uri` go, in the order to try; none where nothing is known, or its protocol is not
    supported."""
    target = target_of(uri)
    wanted = protocol_of(uri)
    if wanted is None or (wanted and wanted not in protocols):
        return []
    if literal(target) is None and not can_be_looked_up(target):
        return []
    if literal(target) is not None or uri.port is not None:
        protocol = wanted or "udp"
        return _at_port(records, target, uri.port or default_port(protocol), protocol)
    services = [wanted] if wanted else [protocol for protocol in protocols if protocol != "tls"]
    found: list[Address] = []
    if _asks_dns(target):
        choice = protocols if not wanted else services if uri.scheme == "sips" else ()
        for protocol, name in _services(target, services, records, choice):
            found += _of_service(records, name, protocol, rng)
    if not found:
        protocol = wanted or "udp"
        found = _at_port(records, target, default_port(protocol), protocol)
    return list(dict.fromkeys(found))[:MAX_ADDRESSES]


def stun_servers(host: str, port: int | None, records: Records, rng: random.Random) -> list[Address]:
    """Where a STUN server is, in the order to try (RFC 8489 section 8.1)."""
    found: list[Address] = []
    if port is None and _asks_dns(host) and literal(host) is None:
        found = _of_service(records, f"_stun._udp.{host}", "udp", rng)
    return found or _at_port(records, host, port or STUN_PORT, "udp")


def target_of(uri: SipUri) -> str:
    """The host that requests to this URI go to (4)."""
    return uri.params.get("maddr") or uri.host


def literal_address(uri: SipUri | str) -> Address | None:
    """The address that a URI with a literal host names; None for names and for what leads nowhere."""
    protocol = protocol_of(uri) if isinstance(uri, SipUri) else None
    if protocol is None or not isinstance(uri, SipUri) or not _can_be_reached(target_of(uri)):
        return None
    protocol = protocol or "udp"
    return Address(protocol, str(literal(target_of(uri))), uri.port or default_port(protocol))


def can_be_looked_up(host: str) -> bool:
    """Whether `host` is a name, and no literal address nor anything else that a peer may write in a maddr."""
    return literal(host) is None and _NAME.fullmatch(host) is not None


def protocol_of(uri: SipUri) -> str | None:
    """The protocol that the URI itself demands, "" if it leaves the choice, None if there is no such one (4.1)."""
    transport = (uri.params.get("transport") or "").lower()
    if uri.scheme == "sips":
        return "tls" if transport in ("", "tcp", "tls") else None
    return transport if transport in ("", *SRV_PREFIX) else None


def by_weight(records: Iterable[Srv], rng: random.Random) -> list[Srv]:
    """In the order to try: by priority, then each next one drawn by its weight (RFC 2782)."""
    left = sorted(records, key=lambda record: (record.priority, record.weight != 0))
    ordered: list[Srv] = []
    while left:
        group = [record for record in left if record.priority == left[0].priority]
        drawn = rng.randint(0, sum(record.weight for record in group))
        for record in group:
            drawn -= record.weight
            if drawn <= 0:
                break
        left.remove(record)
        ordered.append(record)
    return ordered


def _asks_dns(name: str) -> bool:
    labels = name.rstrip(".").lower().split(".")
    return len(labels) > 1 and labels[-1] not in UNASKED_DOMAINS


def _services(target: str, protocols: Sequence[str], records: Records, choice: Sequence[str]) -> list[tuple[str, str]]:
    """Protocols and names of SRV records, in the order to try: by NAPTR of a protocol among `choice`, where the domain
    has such, TLS for a sip: URI too; else all of `protocols` (4.1)."""
    if choice:
        offered = [record for record in records.naptr(target)[:MAX_RECORDS] if record.flags.lower() == "s"]
        offered.sort(key=lambda record: (record.order, record.preference))
        chosen = [(SERVICES.get(record.service.upper(), ""), record.replacement) for record in offered]
        chosen = [(protocol, name) for protocol, name in chosen if protocol in choice]
        if chosen:
            return chosen
    return [(protocol, SRV_PREFIX[protocol] + target) for protocol in protocols]


def _of_service(records: Records, name: str, protocol: str, rng: random.Random) -> list[Address]:
    found: list[Address] = []
    for record in by_weight(records.srv(name)[:MAX_RECORDS], rng):
        if record.target not in NOWHERE and 0 < record.port < 1 << 16:
            found += _at_port(records, record.target, record.port, protocol)
    return found


def _at_port(records: Records, host: str, port: int, protocol: str) -> list[Address]:
    hosts = [host] if literal(host) is not None else records.hosts(host)[:MAX_RECORDS]
    return [Address(protocol, host, port) for host in hosts if _can_be_reached(host)]


def _can_be_reached(host: str) -> bool:
    address = literal(host)
    return address is not None and not address.is_unspecified and not address.is_multicast
