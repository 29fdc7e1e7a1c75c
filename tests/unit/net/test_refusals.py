"""ICMP "port unreachable", as the sockets of this machine tell of it."""

from __future__ import annotations

import contextlib
import select
import socket
import sys

import pytest

from voip.net.refusals import refusals, send_datagram
from voip.net.sockets import bound_socket, datagrams

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a queue of errors")
PATIENCE = 5.0  # seconds


def port_without_listener(host: str, family: socket.AddressFamily) -> int:
    with contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def woken(sock: socket.socket) -> None:
    """Wait until an event loop would be woken for this socket."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    assert poll.poll(PATIENCE * 1e3)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_closed_port_is_told_with_its_address_and_the_queue_is_empty_then(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    closed = port_without_listener(host, family)
    with contextlib.closing(bound_socket(family, host, 0, 0)) as sock:
        send_datagram(sock, b"x", (host, closed))
        woken(sock)
        told: list[tuple[str, int]] = []
        assert list(datagrams(sock, lambda *address: told.append(address))) == []
        assert told == [(host, closed)]
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        assert poll.poll(0) == []  # or the event loop would spin


def test_a_closed_port_costs_no_datagram_to_an_open_one() -> None:
    """The error of what went to the closed port would be raised by the next send, whoever it is to."""
    closed = port_without_listener("127.0.0.1", socket.AF_INET)
    with (
        contextlib.closing(bound_socket(socket.AF_INET, "127.0.0.1", 0, 0)) as sock,
        contextlib.closing(bound_socket(socket.AF_INET, "127.0.0.1", 0, 0)) as listener,
    ):
        for number in range(50):
            send_datagram(sock, b"to nobody", ("127.0.0.1", closed))
            send_datagram(sock, bytes([number]), listener.getsockname())
        received = [data for data, _ in datagrams(listener, lambda *address: None)]
        assert received == [bytes([number]) for number in range(50)]
        assert len(list(refusals(sock))) == 50


def test_what_is_received_goes_before_what_was_refused() -> None:
    closed = port_without_listener("127.0.0.1", socket.AF_INET)
    with contextlib.closing(bound_socket(socket.AF_INET, "127.0.0.1", 0, 0)) as sock:
        sock.sendto(b"to itself", sock.getsockname())
        send_datagram(sock, b"x", ("127.0.0.1", closed))
        told: list[int] = []
        assert [data for data, _ in datagrams(sock, lambda host, port: told.append(port))] == [b"to itself"]
        woken(sock)
        assert list(datagrams(sock, lambda host, port: told.append(port))) == []
        assert told == [closed]
