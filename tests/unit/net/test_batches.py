"""Datagrams of many sockets, read at once: the same as one by one."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from voip.net.arrivals import ArrivalClock
from voip.net.batches import BATCH, BATCHES, SOURCES_KEPT, BatchReader, batch_reader
from voip.net.refusals import QUEUES_ERRORS, send_datagram
from voip.net.sockets import bound_socket

LONG = 60_000


@pytest.fixture
def reader() -> BatchReader:
    reader = batch_reader()
    if reader is None:
        pytest.skip("this system has no recvmmsg")
    return reader


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    with contextlib.ExitStack() as opened:
        ours, first, second = (opened.enter_context(bound_socket(socket.AF_INET, "127.0.0.1", 0, 0)) for _ in range(3))
        yield ours, first, second


def read(reader: BatchReader, sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    clock = ArrivalClock(time.monotonic)
    found = reader.read(sock, lambda host, port: None, clock)
    assert all(clock.now - 60.0 < arrival <= clock.now for _, _, arrival in found)
    return [(data, source) for data, source, _ in found]


def test_datagrams_come_whole_in_order_and_with_their_sources(
    reader: BatchReader, sockets: tuple[socket.socket, socket.socket, socket.socket]
) -> None:
    ours, first, second = sockets
    assert read(reader, ours) == []
    sent = []
    for n in range(3 * BATCH + 1):
        sender, data = (first, second)[n % 2], bytes([n]) * (n * 7)
        sender.sendto(data, ours.getsockname())
        sent.append((data, sender.getsockname()))
    assert read(reader, ours) == sent
    assert read(reader, ours) == []
    first.sendto(b"\xff" * LONG, ours.getsockname())
    first.sendto(b"short", ours.getsockname())
    assert [len(data) for data, _ in read(reader, ours)] == [LONG, 5]


def test_no_socket_keeps_the_others_waiting(
    reader: BatchReader, sockets: tuple[socket.socket, socket.socket, socket.socket]
) -> None:
    ours, first, _ = sockets
    for n in range(BATCH * BATCHES + 5):
        first.sendto(bytes([n]), ours.getsockname())
    assert [len(read(reader, ours)) for _ in range(3)] == [BATCH * BATCHES, 5, 0]


def test_a_closed_socket_has_nothing_and_sources_are_not_kept_for_ever(
    sockets: tuple[socket.socket, socket.socket, socket.socket], reader: BatchReader
) -> None:
    ours, first, _ = sockets
    for n in range(SOURCES_KEPT):
        reader._sources[n.to_bytes(16, "big")] = ("192.0.2.1", n)
    first.sendto(b"x", ours.getsockname())
    assert read(reader, ours) == [(b"x", first.getsockname())]
    assert len(reader._sources) <= SOURCES_KEPT
    ours.close()
    assert read(reader, ours) == []


@pytest.mark.skipif(not QUEUES_ERRORS, reason="sockets keep no errors")
def test_what_was_refused_is_told_and_hides_no_datagram(
    reader: BatchReader, sockets: tuple[socket.socket, socket.socket, socket.socket]
) -> None:
    ours, first, second = sockets
    closed = second.getsockname()
    second.close()
    send_datagram(ours, b"to nobody", closed)
    first.sendto(b"x", ours.getsockname())
    told: list[tuple[str, int]] = []
    got: list[bytes] = []
    for _ in range(2):
        found = reader.read(ours, lambda host, port: told.append((host, port)), ArrivalClock(time.monotonic))
        got += [data for data, _, _ in found]
    assert got == [b"x"]
    assert told == [closed]
