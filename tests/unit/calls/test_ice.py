"""The ICE side of a call in virtual time: who gets a response, what the session learns, and what people are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.ice_lab import TERMS, IceScene
from tests.support.session_lab import PEER, STRANGER
from voip.media import IceCredentials
from voip.session.ice import CONSENT
from voip.stun import binding_request, parse_response


@pytest.fixture
def scene() -> IceScene:
    return IceScene()


def test_a_check_gets_a_response_and_its_address_the_media(scene: IceScene) -> None:
    assert not scene.session.may_send
    assert scene.check()
    assert scene.check()
    assert [parse_response(data).mapped for data, _ in scene.port.sent] == [PEER, PEER]
    assert [destination for _, destination in scene.port.sent] == [PEER, PEER]
    assert scene.selected == [PEER]
    assert scene.session.remote == PEER
    assert scene.session.may_send
    assert scene.said == ["1 ICE: media goes to 192.0.2.10 port 5004"]


def test_a_check_with_another_password_gets_nothing(scene: IceScene) -> None:
    scene.check(STRANGER, "guess")
    assert (scene.port.sent, scene.selected) == ([], [])
    assert not scene.session.may_send


def test_responses_are_not_for_it(scene: IceScene) -> None:
    """A STUN server's go where they went before."""
    assert not scene.port.take(b"\x01\x01" + binding_request(bytes(12))[2:], STRANGER)


def test_the_end_of_consent_is_told_and_its_return_sends_again(scene: IceScene) -> None:
    scene.check()
    scene.loop.run(CONSENT + 0.1)
    assert not scene.session.may_send
    assert scene.said[-1] == "0 no ICE check of the peer for 30 s: nothing is sent until one comes"
    assert scene.session.last_heard == 100.0
    scene.check()
    assert scene.session.may_send
    assert scene.selected == [PEER, PEER]


def test_a_restart_and_the_end_of_ice(scene: IceScene) -> None:
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


def test_what_was_dropped_is_told_at_the_end(scene: IceScene) -> None:
    scene.check()
    scene.check(STRANGER, "guess")
    scene.ice.close()
    assert scene.said[-1] == "1 ICE checks: 1 accepted, 1 refused, 0 too many, 0 replayed"
    assert scene.loop.participants == []
