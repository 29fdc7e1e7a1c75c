"""How many connections of one network may be idle, and which of them is closed for another."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from voip.web.idle import MOST_IDLE, Idle, network_of

PATIENCE = 10.0


class Ends:
    """Pairs of sockets: the server's ends, and whether the others see that they were closed."""

    def __init__(self) -> None:
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    def open(self, idle: Idle, host: str, now: float) -> int:
        """A new connection; its place in the list."""
        ours, theirs = socket.socketpair()
        theirs.settimeout(0.0)
        self.pairs.append((ours, theirs))
        idle.opened(ours, host, now)
        return len(self.pairs) - 1

    def number(self, place: int) -> int:
        return self.pairs[place][0].fileno()

    def is_closed(self, place: int) -> bool:
        try:
            return self.pairs[place][1].recv(1) == b""
        except BlockingIOError:
            return False

    @property
    def closed(self) -> list[int]:
        return [place for place in range(len(self.pairs)) if self.is_closed(place)]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    for pair in made.pairs:
        for each in pair:
            each.close()


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("10.1.2.3", "10.1.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nowhere", "nowhere"),
    ],
)
def test_a_network_is_a_24_or_a_64(host: str, network: str) -> None:
    assert network_of(host) == network


def test_of_one_network_those_that_are_idle_for_longest_are_closed_for_new_ones(ends: Ends) -> None:
    idle = Idle(PATIENCE, most=3)
    for number in range(5):
        ends.open(idle, f"192.0.2.{number}", float(number))
    assert ends.closed == [0, 1]
    assert (len(idle), idle.closed) == (3, 2)


def test_a_network_closes_none_of_another(ends: Ends) -> None:
    idle = Idle(PATIENCE)
    kept = ends.open(idle, "198.51.100.1", 0.0)
    for _ in range(2 * MOST_IDLE):
        ends.open(idle, "192.0.2.1", 1.0)
    assert not ends.is_closed(kept)
    assert len(idle) == MOST_IDLE + 1


def test_a_connection_with_a_request_is_not_idle_and_is_again_afterwards(ends: Ends) -> None:
    idle = Idle(PATIENCE, most=2)
    first = ends.open(idle, "192.0.2.1", 0.0)
    connection = idle.busy(ends.number(first))
    second, third = (ends.open(idle, "192.0.2.1", float(now)) for now in (1, 2))
    assert ends.closed == []
    idle.idle(connection, 3.0)
    assert ends.closed == [second]  # the first was idle for less long
    ends.open(idle, "192.0.2.1", 4.0)
    assert ends.closed == [second, third]


def test_who_asks_for_nothing_in_time_is_closed_and_who_has_asked_is_not(ends: Ends) -> None:
    idle = Idle(PATIENCE)
    silent, asked = ends.open(idle, "192.0.2.1", 0.0), ends.open(idle, "192.0.2.1", 0.0)
    idle.idle(idle.busy(ends.number(asked)), 1.0)
    idle.sweep(PATIENCE - 0.1)
    assert ends.closed == []
    idle.sweep(PATIENCE)
    assert ends.closed == [silent]


def test_those_that_are_gone_are_forgotten_and_their_numbers_used_again(ends: Ends) -> None:
    idle = Idle(PATIENCE)
    first = ends.open(idle, "192.0.2.1", 0.0)
    number, connection = ends.number(first), idle.busy(ends.number(first))
    ends.pairs[first][0].close()
    idle.idle(connection, 1.0)  # its request has outlived it
    assert len(idle) == 0
    ours, theirs = socket.socketpair()
    ends.pairs.append((ours, theirs))
    idle.opened(ours, "198.51.100.1", 2.0)
    assert ours.fileno() == number
    ours.close()
    idle.sweep(3.0)
    assert (len(idle), idle._connections, idle._idle) == (0, {}, {})
    assert idle.busy(number) is None
