"""Names that are looked up beside the network's thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from tests.support.processes import PATIENCE
from voip.net.dns import Resolver, missing_records
from voip.sip import Address, SipUri
from voip.sip.locate import Naptr, Srv


class Table:
    """Records without a DNS."""

    def __init__(self, families: Sequence[socket.AddressFamily]) -> None:
        self.families = families

    def naptr(self, name: str) -> Sequence[Naptr]:
        return []

    def srv(self, name: str) -> Sequence[Srv]:
        return []

    def hosts(self, name: str) -> Sequence[str]:
        if name == "bug.example":
            raise ZeroDivisionError(name)
        return ["192.0.2.1", "2001:db8::1"]


def asked(resolver: Resolver, uri: str, *families: socket.AddressFamily) -> list[Address]:
    found, done = list[Address](), threading.Event()

    def take(addresses: list[Address]) -> None:
        found.extend(addresses)
        done.set()

    resolver.look_up(SipUri.parse(uri), ("udp",), families, take)
    assert done.wait(PATIENCE)
    return found


def test_only_addresses_of_families_that_are_open_are_found() -> None:
    names = Resolver(Table)
    both = (Address("udp", "192.0.2.1", 5060), Address("udp", "2001:db8::1", 5060))
    assert asked(names, "sip:kitchen", socket.AF_INET, socket.AF_INET6) == [*both]
    assert asked(names, "sip:kitchen", socket.AF_INET6) == [both[1]]


def test_a_host_alone_is_looked_up_in_the_family_that_is_asked_for() -> None:
    found, done = list[Address](), threading.Event()

    def take(addresses: list[Address]) -> None:
        found.extend(addresses)
        done.set()

    Resolver(Table).look_up_host("kitchen", (socket.AF_INET6,), take)
    assert done.wait(PATIENCE)
    assert [address.host for address in found] == ["2001:db8::1"]


def test_the_system_knows_its_own_name_and_dnspython_is_there() -> None:
    assert Address("udp", "127.0.0.1", 5060) in asked(Resolver(), "sip:localhost", socket.AF_INET, socket.AF_INET6)
    assert asked(Resolver(), "sip:no-such-host.invalid", socket.AF_INET) == []
    assert missing_records() is None
