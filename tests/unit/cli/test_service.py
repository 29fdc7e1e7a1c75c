"""What a service manager hears: ready, signs of life in time, stopping."""

from __future__ import annotations

import select
import socket
from pathlib import Path

from voip.cli.service import ServiceManager


def heard(sock: socket.socket) -> list[str]:
    states = []
    while select.select([sock], [], [], 0)[0]:
        states.append(sock.recv(100).decode())
    return states


def test_a_service_manager_hears_three_signs_of_life_in_the_time_that_it_gives(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        service = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"})
        service.tell("READY=1")
        assert heard(sock) == ["READY=1"]
        for tenth in range(1000, 1300):
            service.beat(tenth / 10)
        assert heard(sock) == ["WATCHDOG=1"] * 3


def test_an_abstract_socket_is_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")  # Linux gives it an abstract name
        name = sock.getsockname().decode()
        ServiceManager({"NOTIFY_SOCKET": "@" + name[1:]}).tell("STOPPING=1")
        assert heard(sock) == ["STOPPING=1"]


def test_without_a_service_manager_or_its_socket_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1"}):
        service = ServiceManager(environment)
        service.tell("READY=1")
        service.beat(1.0)
