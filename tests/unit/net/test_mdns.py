"""Announcing and browsing, with a network in the place of the package zeroconf."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from tests.support.mdns_network import Info, IPVersion, MdnsNetwork
from tests.support.processes import until
from voip.errors import NetworkError
from voip.net import mdns
from voip.net.mdns import Announcement, Browser
from voip.sip.neighbours import Neighbour

PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class Receiver:
    """A receiver that announces itself."""

    def __init__(
        self,
        network: MdnsNetwork,
        name: str = "kitchen",
        *,
        ports: Mapping[str, int] = PORTS,
        hosts: Callable[[], Sequence[str]] = lambda: ["192.168.1.20", "fd00::20"],
        bind: str | None = None,
    ) -> None:
        self.names: list[str] = []
        self.said: list[str] = []
        self.announcement = Announcement(
            name,
            ports,
            {"codecs": "opus,pcmu"},
            bind=bind,
            on_announced=self.names.append,
            say=lambda level, text: self.said.append(text),
            hosts=hosts,
            library=network.library,
        )

    def __enter__(self) -> Receiver:
        self.announcement.start()
        until(lambda: bool(self.names or self.said), "an announcement")
        return self

    def __exit__(self, *error: object) -> None:
        self.announcement.close()


def look(
    network: MdnsNetwork,
    seconds: float = 1.0,
    *,
    own: Sequence[str] = (),
    enough: Callable[[Sequence[Neighbour]], bool] = lambda found: False,
) -> list[Neighbour]:
    ticks: Iterator[float] = itertools.count(0.0, 0.1)
    with Browser(own=lambda: own, library=network.library) as browser:
        return browser.look(seconds, pause=lambda pause: False, enough=enough, clock=lambda: next(ticks))


def test_what_is_announced_is_found_with_address_port_and_facts() -> None:
    network = MdnsNetwork()
    with Receiver(network):
        found = look(network)
    assert [(each.name, each.service, each.port, str(each.uri)) for each in found] == [
        ("kitchen", "_sip._udp", 5060, "sip:192.168.1.20:5060"),
        ("kitchen", "_sips._tcp", 5061, "sips:192.168.1.20:5061"),
    ]
    assert found[0].hosts == ("192.168.1.20", "fd00::20")
    assert found[0].facts == {"codecs": "opus,pcmu"}


def test_only_what_is_listened_at_is_announced() -> None:
    network = MdnsNetwork()
    with Receiver(network, ports={"udp": 5070, "tcp": 5070}):
        assert list(network.announced) == ["kitchen._sip._udp.local."]


def test_a_second_of_the_same_name_gets_another_for_all_its_services() -> None:
    network = MdnsNetwork()
    with Receiver(network), Receiver(network, ports={"udp": 5070, "tls": 5071}) as second:
        assert second.names == ["kitchen-2"]
        found = {(each.name, each.service, each.port) for each in look(network)}
    assert found == {
        ("kitchen", "_sip._udp", 5060),
        ("kitchen", "_sips._tcp", 5061),
        ("kitchen-2", "_sip._udp", 5070),
        ("kitchen-2", "_sips._tcp", 5071),
    }


def names_of(network: MdnsNetwork) -> list[str]:
    """Of each service that is announced, with its port, as people sort them."""
    return sorted(f"{info.name.partition('.')[0]} {info.port}" for info in network.services)


@pytest.mark.parametrize("ports", [(5060, 5070), (5070, 5060)])
def test_of_two_that_have_one_name_before_they_hear_of_each_other_one_takes_another(
    monkeypatch: pytest.MonkeyPatch, ports: tuple[int, int]
) -> None:
    """RFC 6762 section 9; the port of the data decides, and the later data wins (section 8.2)."""
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.01)
    network, (first, second) = MdnsNetwork(late=True), ports
    with (
        Receiver(network, ports={"udp": first, "tls": first + 1}) as one,
        Receiver(network, ports={"udp": second, "tls": second + 1}) as other,
    ):
        loser, winner = (one, other) if first < second else (other, one)
        until(lambda: len(loser.names) == 2, "another name")
        until(lambda: bool(network.updates), "the winner's name, announced again")
        assert names_of(network) == ["kitchen 5070", "kitchen 5071", "kitchen-2 5060", "kitchen-2 5061"]
        assert loser.names == ["kitchen", "kitchen-2"]
        assert loser.said == ["the name kitchen is another receiver's on this network, too: looking for a new one"]
        assert (winner.names, winner.said) == (["kitchen"], [])
        assert not network.goodbyes  # its PTR record is the winner's, too
    assert {*network.updates} <= {"kitchen._sip._udp.local.", "kitchen._sips._tcp.local."}


def test_two_that_would_each_win_one_service_are_told_apart_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.01)
    network = MdnsNetwork(late=True)
    ports = {"udp": 5060, "tls": 5081}, {"udp": 5070, "tls": 5071}
    with Receiver(network, ports=ports[0]) as loser, Receiver(network, ports=ports[1]) as winner:
        until(lambda: len(loser.names) == 2, "another name")
        assert (loser.names, winner.names) == (["kitchen", "kitchen-2"], ["kitchen"])


def test_at_the_same_port_the_host_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.01)
    network = MdnsNetwork(late=True)
    with Receiver(network, ports={"udp": 5060}) as one, Receiver(network, ports={"udp": 5060}) as other:
        until(lambda: len(one.names) + len(other.names) == 3, "another name")
        kept = network.announced["kitchen._sip._udp.local."].server
        assert kept > network.announced["kitchen-2._sip._udp.local."].server
        assert sorted([len(one.names), len(other.names)]) == [1, 2]


def test_whoever_claims_each_name_that_we_take_does_not_keep_us_changing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.001)
    monkeypatch.setattr(mdns, "MOST_CONFLICTS", 3)
    network = MdnsNetwork()

    def claim(name: str) -> None:
        network.add(Info("_sip._udp.local.", f"{name}._sip._udp.local.", 65535, {}, "zzz.local."))

    with Receiver(network, ports={"udp": 5060}) as receiver:
        for count in range(1, 4):
            claim(receiver.names[-1])
            until(lambda count=count: len(receiver.names) == count + 1, "another name")  # type: ignore[misc]
        claim(receiver.names[-1])
        looks = network.looks
        until(lambda: network.looks > looks + 3, "more looks")
        assert len(receiver.said) == 4
        assert "this one is kept" in receiver.said[-1]
    assert receiver.names == ["kitchen", "kitchen-2", "kitchen-3", "kitchen-4"]


def test_two_receivers_announce_their_addresses_by_different_host_names() -> None:
    network = MdnsNetwork()
    with Receiver(network), Receiver(network, "desk"):
        servers = {info.server for info in network.announced.values()}
    assert len(servers) == 2
    assert all(server.endswith(".local.") for server in servers)


def test_at_the_end_it_says_goodbye() -> None:
    network = MdnsNetwork()
    with Receiver(network):
        pass
    assert network.goodbyes == ["kitchen._sip._udp.local.", "kitchen._sips._tcp.local."]
    assert network.closed == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "announcing"]


def test_with_another_address_it_is_announced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.01)
    network, hosts = MdnsNetwork(), ["192.168.1.20"]
    with Receiver(network, hosts=lambda: list(hosts)) as receiver:
        hosts[:] = ["10.0.0.5"]
        until(lambda: len(receiver.names) == 2, "another announcement")
        (found, _) = look(network)
    assert found.hosts == ("10.0.0.5",)
    assert receiver.names == ["kitchen", "kitchen"]


def test_bound_to_one_address_it_is_announced_there_with_no_other() -> None:
    network = MdnsNetwork()
    with Receiver(network, bind="192.168.7.1"):
        (info, _) = network.announced.values()
    assert list(info.parsed_addresses) == ["192.168.7.1"]
    assert network.opened == [{"interfaces": ["192.168.7.1"], "ip_version": IPVersion.V4Only}]


def test_a_machine_without_ipv6_has_ipv4_and_one_without_both_says_so() -> None:
    network = MdnsNetwork(refuses=[IPVersion.All])
    with Receiver(network) as receiver:
        assert receiver.names == ["kitchen"]
    assert [options["ip_version"] for options in network.opened] == [IPVersion.V4Only]
    network = MdnsNetwork(refuses=list(IPVersion))
    with Receiver(network) as receiver:
        assert receiver.names == []
        assert "multicast DNS does not work here" in receiver.said[0]
    with pytest.raises(NetworkError, match="Address family"):
        look(network)


def test_an_announcement_that_fails_is_told_once_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "LOOK_INTERVAL", 0.01)
    network = MdnsNetwork(silent=True)
    with Receiver(network) as receiver:
        pass
    assert receiver.said == ["not announced: nothing goes out"]


def test_what_goes_while_it_is_listed_is_not_listed() -> None:
    network = MdnsNetwork()
    with Receiver(network) as receiver, Browser(own=lambda: (), library=network.library) as browser:
        assert len(browser.look(0.05, pause=lambda pause: False)) == 2
        receiver.announcement.close()
        assert browser.look(0.05, pause=lambda pause: False) == []


def test_looking_ends_with_what_is_enough_or_when_the_program_ends() -> None:
    network = MdnsNetwork()
    with Receiver(network):
        assert len(look(network, 1e6, enough=lambda found: bool(found))) == 2
        with Browser(own=lambda: (), library=network.library) as browser:
            assert browser.look(1e6, pause=lambda pause: True) == []


@pytest.mark.parametrize(
    ("addresses", "port"),
    [
        (["0.0.0.0", "224.0.0.1", "kitchen.local", "ff02::1"], 5060),
        ([], 5060),
        (["192.168.1.20"], 0),
        (["192.168.1.20"], None),
    ],
)
def test_what_cannot_be_called_is_not_listed(addresses: list[str], port: int | None) -> None:
    network = MdnsNetwork()
    network.add(Info("_sip._udp.local.", "x._sip._udp.local.", port, {}, "", addresses))
    assert look(network) == []


def test_a_flood_of_neighbours_has_a_bound() -> None:
    network = MdnsNetwork()
    for number in range(mdns.MOST_NEIGHBOURS + 50):
        network.add(Info("_sip._udp.local.", f"{number}._sip._udp.local.", 5060, {}, "", ["192.168.1.20"]))
    assert len(look(network, 1e3, enough=lambda found: len(found) >= mdns.MOST_NEIGHBOURS)) == mdns.MOST_NEIGHBOURS


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(NetworkError, match="pip install zeroconf"):
        Browser()
