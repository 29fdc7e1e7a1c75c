"""Which sources are this machine: what the system says, how often it is asked, and what a flood can do."""

from __future__ import annotations

import socket

import pytest

from tests.support.sound import Time
from voip.net import OwnHosts, sockets
from voip.net.own import FRESH, MAX_REMEMBERED, QUESTION_BURST, QUESTION_RATE
from voip.net.sockets import NEVER_OURS, is_own_address

OURS, THEIRS = "192.0.2.2", "192.0.2.3"


class Machine:
    """Has one address, counts how often it is asked for it, and knows the time."""

    def __init__(self) -> None:
        self.time, self.asked, self.addresses = Time(100.0), list[str](), {OURS}
        self.own = OwnHosts(self.time.clock, self._ask)

    def _ask(self, host: str) -> bool:
        self.asked.append(host)
        return host in self.addresses


def test_an_address_is_asked_for_once_and_again_when_it_may_have_changed() -> None:
    machine = Machine()
    for _ in range(5):
        assert machine.own.has(OURS)
        assert not machine.own.has(THEIRS)
    assert machine.asked == [OURS, THEIRS]
    machine.addresses = {THEIRS}
    machine.time.now += FRESH
    assert not machine.own.has(OURS)
    assert machine.own.has(THEIRS)


def test_a_flood_of_sources_costs_no_more_than_the_rate_allows_and_ours_stay_known() -> None:
    machine = Machine()
    assert machine.own.has(OURS)
    seconds = 30
    for index in range(10_000):
        assert not machine.own.has(f"198.51.{index % 256}.{index // 256}")
        machine.time.now += seconds / 10_000
        if index % 100 == 0:
            assert machine.own.has(OURS)
    assert len(machine.asked) <= QUESTION_BURST + QUESTION_RATE * seconds + 1
    assert len(machine.own._answers) <= MAX_REMEMBERED


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_what_can_be_bound_to_but_nothing_comes_from_is_not_ours(host: str) -> None:
    machine = Machine()
    machine.addresses = {host}
    assert not machine.own.has(host)
    assert machine.asked == []


def test_the_system_knows_its_own_addresses() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address("192.0.2.77")
    assert not is_own_address("2001:db8::77")


def test_where_any_address_can_be_bound_to_the_route_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ip_nonlocal_bind` of Linux: without the question for the route each host would be ours."""
    bound: list[str] = []

    def bind_to_anything(family: socket.AddressFamily, host: str, port: int, dscp: int) -> socket.socket:
        bound.append(host)
        return socket.socket(family, socket.SOCK_DGRAM)

    monkeypatch.setattr(sockets, "try_bind", bind_to_anything)
    monkeypatch.setattr(sockets, "local_address_towards", lambda host: OURS)
    assert is_own_address(OURS)
    assert not is_own_address(THEIRS)
    assert bound == [OURS, NEVER_OURS[socket.AF_INET], THEIRS, NEVER_OURS[socket.AF_INET]]
