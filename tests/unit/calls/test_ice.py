"""The ICE side of a call in virtual time: who gets a response, what the session learns, and what people are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.session_lab import PEER, STRANGER, media
from voip.calls.ice import IceListeners, LineIce
from voip.media import Direction, IceCredentials, IceTerms
from voip.net import MediaTransport
from voip.net.loop import EventLoop
from voip.session import Address, RtpSession
from voip.session.ice import CONSENT
from voip.stun import binding_request, check_request, parse_response

TERMS = IceTerms(IceCredentials("ours", "a password of twenty-four"), IceCredentials("theirs", "theirs" * 4))


class Loop:
    """Time, and who waits for it."""

    def __init__(self) -> None:
        self.time = 100.0
        self.participants: list[Any] = []

    def now(self) -> float:
        return self.time

    def add(self, participant: object) -> None:
        self.participants.append(participant)

    def remove(self, participant: object) -> None:
        self.participants.remove(participant)

    def run(self, seconds: float) -> None:
        self.time += seconds
        for each in list(self.participants):
            at = each.next_timer()
            if at is not None and at <= self.time:
                each.handle_timer(self.time)


class Port:
    """A media port: what comes goes to whoever responds, and what is not taken elsewhere."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.take: Callable[[bytes, Address], bool] = lambda data, source: False

    def respond(self, on_check: Callable[[bytes, Address], bool]) -> None:
        self.take = on_check

    def send_response(self, data: bytes, destination: Address) -> None:
        self.sent.append((data, destination))


class Scene:
    def __init__(self) -> None:
        self.loop, self.port = Loop(), Port()
        self.said: list[str] = []
        self.selected: list[Address] = []
        self.session = RtpSession(
            media(ice=TERMS, rtcp_mux=True, direction=Direction.SENDRECV, remote=("0.0.0.0", 9)), invited=False
        )
        listeners = IceListeners(self.selected.append, lambda level, text: self.said.append(f"{level} {text}"))
        self.ice = LineIce(self.session, cast(EventLoop, self.loop), listeners)
        self.agree(TERMS)
        self.count = 0

    def agree(self, terms: IceTerms | None) -> None:
        self.ice.agree(terms, cast(MediaTransport, self.port))

    def check(self, source: Address = PEER, password: str = TERMS.own.password) -> bool:
        self.count += 1
        transaction, nominates = self.count.to_bytes(12, "big"), bytes.fromhex("00250000")
        return self.port.take(check_request(transaction, "ours:theirs", password, nominates), source)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_check_gets_a_response_and_its_address_the_media(scene: Scene) -> None:
    assert not scene.session.may_send
    assert scene.check()
    assert scene.check()
    assert [parse_response(data).mapped for data, _ in scene.port.sent] == [PEER, PEER]
    assert [destination for _, destination in scene.port.sent] == [PEER, PEER]
    assert scene.selected == [PEER]
    assert scene.session.remote == PEER
    assert scene.session.may_send
    assert scene.said == ["1 ICE: media goes to 192.0.2.10 port 5004"]


def test_a_check_with_another_password_gets_nothing(scene: Scene) -> None:
    scene.check(STRANGER, "guess")
    assert (scene.port.sent, scene.selected) == ([], [])
    assert not scene.session.may_send


def test_responses_are_not_for_it(scene: Scene) -> None:
    """A STUN server's go where they went before."""
    assert not scene.port.take(b"\x01\x01" + binding_request(bytes(12))[2:], STRANGER)


def test_the_end_of_consent_is_told_and_its_return_sends_again(scene: Scene) -> None:
    scene.check()
    scene.loop.run(CONSENT + 0.1)
    assert not scene.session.may_send
    assert scene.said[-1] == "0 no ICE check of the peer for 30 s: nothing is sent until one comes"
    assert scene.session.last_heard == 100.0
    scene.check()
    assert scene.session.may_send
    assert scene.selected == [PEER, PEER]


def test_a_restart_and_the_end_of_ice(scene: Scene) -> None:
    scene.check()
    scene.agree(replace(TERMS, own=IceCredentials("ours", "another password, longer")))
    assert scene.ice.selected == PEER
    scene.port.sent.clear()
    scene.check()
    assert scene.port.sent == []
    scene.agree(None)
    assert not scene.check(password="another password, longer")
    assert scene.loop.participants == []
    scene.ice.close()
    scene.ice.close()


def test_what_was_dropped_is_told_at_the_end(scene: Scene) -> None:
    scene.check()
    scene.check(STRANGER, "guess")
    scene.ice.close()
    assert scene.said[-1] == "1 ICE checks: 1 accepted, 1 refused, 0 too many, 0 replayed"
    assert scene.loop.participants == []
