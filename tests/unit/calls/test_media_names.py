"""A call waits for the addresses of host names in its peer's description, but not for ever."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from voip.calls.call import Call
from voip.calls.media_names import LOOK_UP_TIME, MediaNames
from voip.net import Network
from voip.report import Console

OFFER = b"v=0\r\nc=IN IP4 media.example\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 other.example\r\n"


@dataclass
class Net:
    """Names that are asked for, and timers that are set."""

    asked: dict[str, Callable[[str | None], object]] = field(default_factory=dict)
    families: set[socket.AddressFamily] = field(default_factory=set)
    timers: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    @property
    def loop(self) -> Net:
        return self

    def find_host(self, name: str, family: socket.AddressFamily, on_found: Callable[[str | None], object]) -> None:
        self.asked[name] = on_found
        self.families.add(family)

    def call_later(self, delay: float, function: Callable[[], object]) -> None:
        self.timers.append((delay, function))


class Lab:
    """One call whose descriptions are resolved."""

    def __init__(self) -> None:
        self.net, self.talk, self.known = Net(), io.StringIO(), list[bytes]()
        self.console = Console(lambda: 0.0, talk=self.talk, data=io.StringIO())
        record = SimpleNamespace(peer="sip:bob@192.0.2.2")
        self.call: Any = SimpleNamespace(remote_host="192.0.2.2", record=record, ending=None)
        self.names = MediaNames(cast(Network, self.net), self.console)

    def resolve(self, description: bytes) -> None:
        self.names.resolve(cast(Call, self.call), description, self.known.append)

    def said(self) -> str:
        self.console.pump()
        return self.talk.getvalue()


def test_a_description_of_addresses_is_used_at_once() -> None:
    lab = Lab()
    lab.resolve(b"c=IN IP4 192.0.2.1\r\n")
    lab.resolve(b"")
    assert lab.known == [b"c=IN IP4 192.0.2.1\r\n", b""]
    assert not lab.net.asked


def test_the_call_goes_on_when_all_names_are_known() -> None:
    lab = Lab()
    lab.resolve(OFFER)
    assert set(lab.net.asked) == {"media.example", "other.example"}
    assert lab.net.families == {socket.AF_INET}
    lab.net.asked["media.example"]("192.0.2.5")
    assert lab.known == []
    lab.net.asked["other.example"]("192.0.2.6")
    expected = OFFER.replace(b"media.example", b"192.0.2.5").replace(b"other.example", b"192.0.2.6")
    assert lab.known == [expected]
    for _, expired in lab.net.timers:
        expired()
    assert (lab.known, lab.said()) == ([expected], "")


def test_after_a_while_it_goes_on_without_what_is_not_known_and_says_so() -> None:
    lab = Lab()
    lab.resolve(OFFER)
    lab.net.asked["media.example"]("192.0.2.5")
    for delay, expired in lab.net.timers:
        assert delay == LOOK_UP_TIME
        expired()
    assert lab.known == [OFFER.replace(b"media.example", b"192.0.2.5")]
    lab.net.asked["other.example"]("192.0.2.6")  # too late
    assert len(lab.known) == 1
    assert lab.said() == "cannot find the host other.example that sip:bob@192.0.2.2 names for its media\n"


def test_a_call_that_is_over_by_then_stays_over() -> None:
    lab = Lab()
    lab.resolve(b"c=IN IP4 media.example\r\n")
    lab.call.ending = object()
    lab.net.asked["media.example"]("192.0.2.5")
    assert lab.known == []
