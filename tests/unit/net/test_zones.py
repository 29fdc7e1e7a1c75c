"""Link-local addresses: the zone goes to the system and nowhere else."""

from __future__ import annotations

import argparse
import socket

import pytest

from voip.cli.values import ip_address, rtp_target, sip_target
from voip.net import zones

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
NAME, NUMBER = socket.if_nameindex()[0][1], socket.if_nameindex()[0][0]


@pytest.fixture(autouse=True)
def knows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "_zones", {})


@pytest.mark.parametrize(
    "source", [("fe80::7", 5060, 0, NUMBER), (f"fe80::7%{NAME}", 5060, 0, NUMBER), (f"fe80::7%{NAME}", 5060)]
)
def test_the_zone_of_a_source_is_for_what_is_sent_there(source: tuple[object, ...]) -> None:
    assert zones.learned(source) == "fe80::7"
    assert zones.sockaddr("fe80::7", 5062, IPV6) == ("fe80::7", 5062, 0, NUMBER)


def test_a_socket_of_the_other_family_is_told_of_no_zone() -> None:
    zones.learn_zone("fe80::7", NAME)
    assert zones.sockaddr("fe80::7", 5062, IPV4) == ("fe80::7", 5062)
    with socket.socket(IPV4, socket.SOCK_DGRAM) as sock, pytest.raises(OSError):  # noqa: PT011 - in the words of the system
        sock.sendto(b"x", zones.sockaddr("fe80::7", 5062, IPV4))


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::fe80", "fec0::1", "fe80.example"])
def test_other_addresses_have_none(host: str) -> None:
    assert zones.learned((host, 5060)) == host
    assert zones.sockaddr(host, 5060, IPV6) == (host, 5060)


def test_neighbours_are_not_remembered_without_end() -> None:
    for number in range(2 * zones.MAX_NEIGHBOURS):
        zones.learned((f"fe80::{number:x}%{NAME}", 5060, 0, NUMBER))
    assert len(zones._zones) == zones.MAX_NEIGHBOURS


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f"fe80::7%{NAME}", "sip:[fe80::7]"),
        (f"[fe80::7%{NAME}]:5070", "sip:[fe80::7]:5070"),
        (f"sip:bob@[fe80::7%25{NAME}];transport=tcp", "sip:bob@[fe80::7];transport=tcp"),
        (f"FE80::7%{NUMBER}", "sip:[fe80::7]"),
    ],
)
def test_a_target_names_the_interface_and_what_is_sent_does_not(text: str, plain: str) -> None:
    uri = sip_target(text)
    assert str(uri) == plain
    assert zones.sockaddr(uri.host, 1, IPV6)[3] == NUMBER


def test_so_do_a_stream_and_an_address_to_bind_to() -> None:
    assert rtp_target(f"rtp://[fe80::7%{NAME}]:5004").host == "fe80::7"
    assert ip_address(f"fe80::8%{NAME}") == "fe80::8"
    assert zones.sockaddr("fe80::7", 1, IPV6)[3] == zones.sockaddr("fe80::8", 1, IPV6)[3] == NUMBER


def test_interfaces_are_not_looked_through_for_each_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: pytest.fail("asked"))
    assert zones.sockaddr("fe80::7", 5004, IPV6) == ("fe80::7", 5004)


def test_an_interface_that_is_not_there_is_told() -> None:
    for name in ("eth99", "4711", "99999999999999"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"no interface {name}"):
            sip_target(f"fe80::7%{name}")


def test_a_neighbour_on_any_of_several_links_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "_leads_to", lambda host, number: True)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(2, "eth0"), (3, "eth1")])
    with pytest.raises(argparse.ArgumentTypeError, match="fe80::7%eth0"):
        sip_target("fe80::7")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(2, "eth0")])
    assert sip_target("fe80::7").host == "fe80::7"
