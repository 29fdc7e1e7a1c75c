"""Datagrams that are read late, and when they came by the kernel's account."""

from __future__ import annotations

import select
import socket
import struct
import time

import pytest

from voip.net.arrivals import LONGEST_WAIT, STAMPED, ArrivalClock
from voip.net.sockets import bound_socket, stamped_datagrams

SOL_SOCKET, STAMP = socket.SOL_SOCKET, 35
WAITED, PRECISION = 0.01, 0.001


def stamp(at: float) -> tuple[int, int, bytes]:
    return SOL_SOCKET, STAMP, struct.pack("@ll", int(at), round(at % 1.0 * 1e9))


def test_a_stamp_of_the_wall_clock_becomes_a_time_of_ours() -> None:
    clock = ArrivalClock(lambda: 50.0, lambda: 1_700_000_000.5)
    assert clock.arrival([stamp(1_700_000_000.25)]) == pytest.approx(49.75, abs=1e-6)
    assert clock.arrival([(SOL_SOCKET, 99, b"12345678"), stamp(1_700_000_000.0)]) == pytest.approx(49.5, abs=1e-6)


@pytest.mark.parametrize("waited", [-3600.0, -0.001, LONGEST_WAIT + 1.0, 3600.0])
def test_where_the_wall_clock_was_set_a_datagram_comes_when_it_is_read(waited: float) -> None:
    clock = ArrivalClock(lambda: 50.0, lambda: 1_700_000_000.0)
    assert clock.arrival([stamp(1_700_000_000.0 - waited)]) == 50.0


@pytest.mark.parametrize("ancillary", [[], [(SOL_SOCKET, STAMP, b"short")], [(0, STAMP, bytes(16))]])
def test_without_a_stamp_it_comes_when_it_is_read(ancillary: list[tuple[int, int, bytes]]) -> None:
    assert ArrivalClock(lambda: 50.0, lambda: 0.0).arrival(ancillary) == 50.0


def waited_as_stamped(ours: socket.socket, theirs: socket.socket) -> bool:
    """Whether each of two datagrams is said to have come when it came, though both are read later."""
    moments = [time.monotonic()]
    for data in (b"first", b"second"):
        theirs.sendto(data, ours.getsockname())
        select.select([ours], [], [], 10.0)
        moments.append(time.monotonic())
        while time.monotonic() < moments[-1] + WAITED:
            pass
    read = list(stamped_datagrams(ours, lambda host, port: None, ArrivalClock(time.monotonic)))
    assert [data for data, _, _ in read] == [b"first", b"second"]
    first, second = (arrival for _, _, arrival in read)
    in_time = moments[0] - PRECISION < first < moments[1] + PRECISION
    return in_time and moments[1] + WAITED - PRECISION < second < time.monotonic() - WAITED + PRECISION


@pytest.mark.skipif(not STAMPED, reason="the kernel notes no arrivals")
def test_datagrams_that_have_waited_in_a_socket_came_before_they_are_read() -> None:
    with bound_socket(socket.AF_INET, "127.0.0.1", 0, 0) as ours, socket.socket(type=socket.SOCK_DGRAM) as theirs:
        # The kernel begins to stamp a moment after the first socket of the machine has asked for it.
        assert any(waited_as_stamped(ours, theirs) for _ in range(100))
