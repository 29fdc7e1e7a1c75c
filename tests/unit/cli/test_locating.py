"""A name is looked for at the directory, then on the local network, then as a host; which of them knew it is said."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.support.mdns_network import Info, MdnsNetwork
from voip import cli
from voip.cli import browsing, linking, neighbours
from voip.engine import Shutdown
from voip.errors import NetworkError, Stopped
from voip.net import mdns
from voip.report import Console
from voip.sip.neighbours import Neighbour

pytest.importorskip("aiohttp")

from voip.web.linked import DirectoryError, Listed, UnknownName, WrongToken

HERE = "sip:bob@192.0.2.7:5060"


class Browser(mdns.Browser):
    """Of a network without anybody, in no time."""

    def look(
        self,
        seconds: float,
        *,
        pause: Callable[[float], bool],
        enough: Callable[[Sequence[Neighbour]], bool] = lambda found: False,
        clock: Callable[[], float] | None = None,
    ) -> list[Neighbour]:
        ticks: Iterator[float] = itertools.count(0.0, 0.5)
        return super().look(seconds, pause=lambda pause: False, enough=enough, clock=lambda: next(ticks))


class World:
    """What the directory, the local network and the DNS say, and what the user is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: Listed | DirectoryError = UnknownName("User not found")
        self.network = MdnsNetwork()
        self.users: list[Listed] | DirectoryError = []
        self.hosts: list[str] = []
        self.asked: list[str] = []
        self.said, self._data = io.StringIO(), io.StringIO()
        monkeypatch.setattr("voip.web.link.find", self._find)
        monkeypatch.setattr("voip.web.link.list_users", self._list_users)
        monkeypatch.setattr(linking, "host_address", self._host)
        monkeypatch.setattr(mdns, "missing", lambda: None)
        monkeypatch.setattr(mdns, "Browser", self._browser)
        monkeypatch.setattr(neighbours, "own_networks", list)
        monkeypatch.setattr(browsing, "own_networks", list)

    def _find(self, url: str, token: str | None, name: str, **_: object) -> Listed:
        self.asked.append(name)
        if isinstance(self.listed, DirectoryError):
            raise self.listed
        return self.listed

    def _list_users(self, url: str, token: str | None, **_: object) -> list[Listed]:
        if isinstance(self.users, DirectoryError):
            raise self.users
        return self.users

    def _host(self, host: str, bind: str | None) -> str:
        if host not in self.hosts:
            raise NetworkError(f"cannot find the host {host}")
        return "192.0.2.9"

    def _browser(self, **_: object) -> Browser:
        return Browser(own=list, library=self.network.library)

    def announce(self, name: str) -> None:
        info = Info("_sip._udp.local.", f"{name}._sip._udp.local.", 5060, {}, "x.local.", ["192.0.2.8"])
        self.network.add(info)

    def look(self, *arguments: str) -> list[str]:
        """The targets that are called."""
        options = cli.sender_options(["--directory", "dir.example", *arguments])
        console = Console(lambda: 0.0, verbosity=0, as_json=True, talk=self.said, data=self._data)
        try:
            return [str(each) for each in cli.find_targets(options, console, Shutdown()).targets]
        finally:
            console.pump()

    @property
    def located(self) -> list[tuple[Any, Any]]:
        """The name, and who knew it."""
        return [(line["target"], line["by"]) for line in self.events("located")]

    def browse(self, *arguments: str) -> list[tuple[Any, ...]]:
        """Those who are listed: name, address, who says so, and what they say."""
        with pytest.raises(Stopped):
            self.look("--browse", "--json", *arguments)
        return [
            (line["instance"], line["uri"], line["by"], line["facts"] or line["status"])
            for line in self.events("found")
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._data.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_directory_comes_first(world: World) -> None:
    world.listed = Listed("Bob", "idle", (HERE,))
    world.announce("bob")
    world.hosts = ["bob"]
    assert world.look("bob") == [HERE]
    assert world.located == [("bob", "directory")]
    assert f"bob is at {HERE}, by the directory http://dir.example" in world.said.getvalue()


def test_then_the_local_network(world: World) -> None:
    world.announce("Bob")
    world.hosts = ["bob"]
    assert world.look("bob") == ["sip:192.0.2.8:5060"]
    assert world.located == [("Bob", "mdns")]
    said = world.said.getvalue()
    assert "the directory http://dir.example does not know bob; looking on this network" in said
    assert "Bob is at sip:192.0.2.8:5060, as it announces on this network" in said


def test_then_the_dns(world: World) -> None:
    world.hosts = ["bob"]
    assert world.look("bob") == ["sip:bob"]
    assert world.located == [("bob", "dns")]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (UnknownName("User not found"), "the directory http://dir.example does not know bob"),
        (WrongToken("it wants a token"), "the directory http://dir.example: it wants a token"),
        (DirectoryError("Connection refused"), "the directory http://dir.example does not answer: Connection refused"),
        (Listed("bob", "offline", ()), "bob is known to the directory http://dir.example, but is not there now"),
        (Listed("bob", "idle", ("tel:1",)), "bob is known to the directory http://dir.example, but is not there now"),
    ],
)
def test_nowhere_is_an_error_that_tells_what_each_has_said(
    world: World, listed: Listed | DirectoryError, reason: str
) -> None:
    world.listed = listed
    world.announce("desk")
    with pytest.raises(NetworkError) as missing:
        world.look("bob")
    assert str(missing.value) == (
        f"{reason}; no receiver on this network announces itself as bob; there are: desk; and the DNS knows no host bob"
    )
    assert world.located == []


def test_what_cannot_be_a_host_is_not_asked_of_the_dns(world: World) -> None:
    world.hosts = ["Anna's desk"]
    with pytest.raises(NetworkError, match=r"does not know Anna's desk; no receiver .* as Anna's desk$"):
        world.look("Anna's desk")


def test_several_names_keep_their_order_and_addresses_are_not_asked_for(world: World) -> None:
    world.announce("desk")
    world.hosts = ["attic"]
    assert world.look("attic", "desk", "192.0.2.1") == ["sip:192.0.2.1", "sip:attic", "sip:192.0.2.8:5060"]
    assert world.asked == ["attic", "desk"]


def test_without_zeroconf_the_dns_is_asked_after_the_directory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "missing", lambda: mdns.MISSING)
    world.hosts = ["attic"]
    assert world.look("attic") == ["sip:attic"]
    with pytest.raises(NetworkError, match="pip install zeroconf"):
        world.look("bob")


# --- --browse ---------------------------------------------------------------------------------------------------------


def test_all_of_the_network_and_of_the_directory_are_listed_each_with_who_says_so(world: World) -> None:
    world.announce("attic")
    world.users = [
        Listed("Zoe", "incall", ("sip:zoe@192.0.2.9",)),
        Listed("bob", "idle", (HERE,)),
        Listed("api", "idle", ()),
        Listed("Alice", "idle", ("sip:alice@192.0.2.6",)),
    ]
    assert world.browse("--name", "alice") == [
        ("attic", "sip:192.0.2.8:5060", "mdns", None),
        ("bob", HERE, "directory", "idle"),
        ("Zoe", "sip:zoe@192.0.2.9", "directory", "incall"),
    ]


def test_people_see_which_is_which(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.announce("attic")
    world.users = [Listed("bob\x1b[2J", "idle", (HERE,))]
    with pytest.raises(Stopped):
        world.look("--browse")
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["1", "attic", "this", "network", "sip:192.0.2.8:5060"]
    assert second.split() == ["2", "bob\\x1b[2J", "directory", HERE, "status", "idle"]


def test_a_directory_that_does_not_answer_is_said_and_the_network_listed(world: World) -> None:
    world.announce("attic")
    world.users = DirectoryError("Connection refused")
    assert [each[0] for each in world.browse()] == ["attic"]
    assert "the directory http://dir.example does not answer: Connection refused" in world.said.getvalue()


def test_without_zeroconf_the_directory_is_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "missing", lambda: mdns.MISSING)
    world.users = [Listed("bob", "idle", (HERE,))]
    assert [each[0] for each in world.browse()] == ["bob"]
    assert "pip install zeroconf" in world.said.getvalue()
    world.users = WrongToken("it wants a token")
    with pytest.raises(NetworkError, match=r"it wants a token.*; .*pip install zeroconf"):
        world.look("--browse")


def test_that_there_is_nobody_is_said_of_both(world: World) -> None:
    assert world.browse() == []
    assert "nobody else is at the directory http://dir.example" in world.said.getvalue()
