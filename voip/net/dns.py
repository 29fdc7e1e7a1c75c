"""Resolving names (RFC 3263) on threads of their own: NAPTR and SRV by dnspython if installed, hosts by the system.

Without dnspython only the last step of RFC 3263 is left: the addresses of the host.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from voip.errors import NetworkError
from voip.net.sockets import family_of
from voip.net.zones import learned
from voip.sip import Address, SipUri
from voip.sip.locate import Naptr, Records, Srv, addresses_of, stun_servers

if TYPE_CHECKING:
    from dns.name import Name
    from dns.resolver import Resolver as DnsPython

DNS_TIME = 4.0
"""Seconds for all NAPTR and SRV queries of one name; afterwards only the addresses of its host are looked up."""
MAX_LOOK_UPS = 16
"""Threads at a time: the resolver of the system cannot be interrupted."""
NO_DNSPYTHON = "dnspython is not installed: names are looked up without SRV and NAPTR records (pip install dnspython)"

OnResolved = Callable[[list[Address]], None]
"""Called on the thread of the look-up with the addresses found, best first."""


class SystemRecords:
    """Host addresses from the system: its files, its DNS servers, its order (RFC 6724). No service records."""

    def __init__(self, families: Sequence[socket.AddressFamily]) -> None:
        self._families = families

    def naptr(self, name: str) -> Sequence[Naptr]:
        return ()

    def srv(self, name: str) -> Sequence[Srv]:
        return ()

    def hosts(self, name: str) -> Sequence[str]:
        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(name, None, socket.AF_UNSPEC, socket.SOCK_DGRAM)
            hosts = [learned(address) for family, _, _, _, address in found if family in self._families]
            return list(dict.fromkeys(hosts))
        return ()


def host_address(host: str, bind: str | None = None) -> str:
    """The first literal address of `host`, of the family of `bind` where that is given; waits. NetworkError."""
    families = [socket.AF_INET, socket.AF_INET6] if bind is None else [family_of(bind)]
    found = SystemRecords(families).hosts(host)
    if not found:
        raise NetworkError(f"cannot find the host {host}")
    return found[0]


class DnsRecords(SystemRecords):
    """Host addresses from the system, service records from the DNS."""

    def __init__(self, families: Sequence[socket.AddressFamily], resolver: DnsPython) -> None:
        super().__init__(families)
        self._resolver, self._deadline = resolver, time.monotonic() + DNS_TIME

    def naptr(self, name: str) -> Sequence[Naptr]:
        return [
            Naptr(found.order, found.preference, _text(found.flags), _text(found.service), _name(found.replacement))
            for found in self._ask(name, "NAPTR")
        ]

    def srv(self, name: str) -> Sequence[Srv]:
        return [Srv(found.priority, found.weight, found.port, _name(found.target)) for found in self._ask(name, "SRV")]

    def _ask(self, name: str, kind: str) -> Sequence[Any]:
        import dns.exception

        left = self._deadline - time.monotonic()
        if left <= 0.0:
            return ()
        try:
            answer = self._resolver.resolve(
                name.rstrip(".") + ".", kind, search=False, raise_on_no_answer=False, lifetime=left
            )
        except (dns.exception.DNSException, OSError, ValueError):
            return ()
        return () if answer.rrset is None else list(answer.rrset)


def records(families: Sequence[socket.AddressFamily]) -> Records:
    """The best source of records that is available."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return SystemRecords(families)
    try:
        return DnsRecords(families, dns.resolver.Resolver())
    except (dns.exception.DNSException, OSError):  # a machine without a list of servers
        return SystemRecords(families)


def missing_records() -> str | None:
    """A line about the records that cannot be looked up because dnspython is not installed; None if it is."""
    return NO_DNSPYTHON if importlib.util.find_spec("dns") is None else None


class Resolver:
    """Looks names up on threads of their own, `MAX_LOOK_UPS` at a time; further ones find nothing."""

    def __init__(self, source: Callable[[Sequence[socket.AddressFamily]], Records] = records) -> None:
        self._source, self._rng = source, random.SystemRandom()
        self._running = threading.BoundedSemaphore(MAX_LOOK_UPS)

    def look_up(
        self, uri: SipUri, protocols: Sequence[str], families: Sequence[socket.AddressFamily], on_resolved: OnResolved
    ) -> None:
        """Find the addresses of `uri` that can be reached by these protocols and families."""
        self._start(lambda records: addresses_of(uri, records, self._rng, protocols), families, on_resolved)

    def look_up_stun(
        self, host: str, port: int | None, families: Sequence[socket.AddressFamily], on_resolved: OnResolved
    ) -> None:
        """Find the addresses of a STUN server."""
        self._start(lambda records: stun_servers(host, port, records, self._rng), families, on_resolved)

    def look_up_host(self, host: str, families: Sequence[socket.AddressFamily], on_resolved: OnResolved) -> None:
        """Find the addresses of a host alone; their port is 0."""
        self._start(lambda records: [Address("udp", found, 0) for found in records.hosts(host)], families, on_resolved)

    def _start(
        self, ask: Callable[[Records], list[Address]], families: Sequence[socket.AddressFamily], on_resolved: OnResolved
    ) -> None:
        if not self._running.acquire(blocking=False):
            on_resolved([])
            return
        threading.Thread(target=self._run, args=(ask, families, on_resolved), name="look-up", daemon=True).start()

    def _run(
        self, ask: Callable[[Records], list[Address]], families: Sequence[socket.AddressFamily], on_resolved: OnResolved
    ) -> None:
        addresses: list[Address] = []
        try:
            addresses = ask(self._source(families))
        finally:
            self._running.release()
            on_resolved([address for address in addresses if _family(address.host) in families])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _name(value: Name) -> str:
    return str(value.to_text(omit_final_dot=True))
