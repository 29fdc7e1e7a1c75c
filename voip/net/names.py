"""Names: look-ups on threads of their own, by dnspython where it is installed (NAPTR, SRV) and by the system (hosts).

Without dnspython a name means its host's addresses, which is the last step of RFC 3263.
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
    from dns.resolver import Resolver

DNS_TIME = 4.0
"""Seconds for all questions about NAPTR and SRV records of one name; then its host's addresses have to do."""
MOST_LOOK_UPS = 16
"""Threads at a time: the system's resolver cannot be interrupted."""
MISSING = "dnspython is not installed: names are looked up without SRV and NAPTR records (pip install dnspython)"

Found = Callable[[list[Address]], None]


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
    """The same with service records from the DNS; `resolver` is one of dnspython's."""

    def __init__(self, families: Sequence[socket.AddressFamily], resolver: Resolver) -> None:
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
    """The best source of records there is here."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return SystemRecords(families)
    try:
        return DnsRecords(families, dns.resolver.Resolver())
    except (dns.exception.DNSException, OSError):  # a machine without a list of servers
        return SystemRecords(families)


def missing() -> str | None:
    """What cannot be looked up here, and why."""
    return MISSING if importlib.util.find_spec("dns") is None else None


class Names:
    """Looks names up beside the network thread; more than can be done at a time are not found."""

    def __init__(self, source: Callable[[Sequence[socket.AddressFamily]], Records] = records) -> None:
        self._source, self._rng = source, random.SystemRandom()
        self._running = threading.BoundedSemaphore(MOST_LOOK_UPS)

    def look_up(
        self, uri: SipUri, protocols: Sequence[str], families: Sequence[socket.AddressFamily], found: Found
    ) -> None:
        """Call `found` on another thread with the addresses of `uri` that these protocols and families reach."""
        self._start(lambda records: addresses_of(uri, records, self._rng, protocols), families, found)

    def look_up_stun(self, host: str, port: int | None, families: Sequence[socket.AddressFamily], found: Found) -> None:
        """The same for a STUN server."""
        self._start(lambda records: stun_servers(host, port, records, self._rng), families, found)

    def _start(
        self, ask: Callable[[Records], list[Address]], families: Sequence[socket.AddressFamily], found: Found
    ) -> None:
        if not self._running.acquire(blocking=False):
            found([])
            return
        threading.Thread(target=self._run, args=(ask, families, found), name="look-up", daemon=True).start()

    def _run(
        self, ask: Callable[[Records], list[Address]], families: Sequence[socket.AddressFamily], found: Found
    ) -> None:
        addresses: list[Address] = []
        try:
            addresses = ask(self._source(families))
        finally:
            self._running.release()
            found([address for address in addresses if _family(address.host) in families])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _name(value: Name) -> str:
    return str(value.to_text(omit_final_dot=True))
