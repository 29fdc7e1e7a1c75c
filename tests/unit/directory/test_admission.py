"""Who may call by way of the directory, and what is read of whom."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import (
    ALICE,
    BOB,
    DOMAIN,
    HERE,
    REALM,
    Called,
    Scene,
    Telephone,
    credentials,
    register,
)
from voip.sip import Response

# --- who may call ---------------------------------------------------------------------------------------------------


def asking() -> tuple[Scene, Telephone, Telephone]:
    """A directory that asks callers for passwords, bob and alice."""
    scene = Scene(passwords={"bob": "his", "alice": "hers"}, asks_callers=True)
    bob, alice = scene.phone("bob", BOB, 5070), scene.phone("alice", ALICE, 5080)
    challenge = scene.ask(bob, register(bob))
    scene.ask(bob, register(bob, credentials(challenge, "bob", "his", "REGISTER"), number=2))
    return scene, bob, alice


def test_a_caller_is_asked_for_its_password_only_if_the_directory_is_told_to() -> None:
    scene, bob, alice = asking()
    challenge = scene.ask(alice, alice.invite())
    assert challenge.status == 407
    line = credentials(challenge, "alice", "hers", "INVITE")
    scene.say(alice, alice.invite("bob", line, number=2))
    invite = scene.request_to(bob)
    assert "Proxy-Authorization" not in invite.headers  # nobody else's business


def test_requests_of_a_call_that_is_up_need_no_password_and_others_cannot_look_like_one() -> None:
    scene, bob, alice = asking()
    challenge = scene.ask(alice, alice.invite())
    scene.say(alice, alice.invite("bob", credentials(challenge, "alice", "hers", "INVITE"), call_id="call", number=2))
    invite = scene.request_to(bob)
    scene.say(bob, bob.respond(invite, 200))
    answer = scene.heard(alice)[-1]
    assert isinstance(answer, Response)
    route = ", ".join(str(each) for each in reversed(answer.record_routes))
    to, contact = answer.headers.lines("To")[0], str(answer.contacts[0].uri)
    scene.say(alice, alice.request("INVITE", contact, f"Route: {route}", call_id="call", to=to, number=3))
    assert scene.request_to(bob).cseq.number == 3
    forged = f"<sip:{HERE};lr>"
    for lines in ((), (f"Route: {forged}",)):
        request = alice.request("INVITE", f"sip:bob@{DOMAIN}", *lines, call_id="forged", to=to)
        assert scene.ask(alice, request).status == 407
    assert scene.heard(bob) == []


def test_who_has_no_password_cannot_show_who_it_is() -> None:
    scene, _, _ = asking()
    scene.names.names.add("carol")
    carol = scene.phone("carol", "127.0.0.7", 5072)
    challenge = scene.ask(carol, carol.invite())
    assert scene.ask(carol, carol.invite("bob", credentials(challenge, "carol", "", "INVITE"), number=2)).status == 407


def test_credentials_for_other_realms_stay() -> None:
    scene, bob, alice = asking()
    challenge = scene.ask(alice, alice.invite())
    other = f'Proxy-Authorization: Digest username="a", realm="not {REALM}", nonce="1", uri="sip:x", response="2"'
    scene.say(alice, alice.invite("bob", other, credentials(challenge, "alice", "hers", "INVITE"), number=2))
    assert len(scene.request_to(bob).headers.lines("Proxy-Authorization")) == 1


def test_nobody_calls_in_the_name_of_another() -> None:
    scene, _, _ = asking()
    mallory = scene.phone("mallory", "127.0.0.66", 5066)
    in_her_name = mallory.invite("bob").replace(
        f"From: <sip:mallory@{mallory.says.address}>".encode(), f"From: <sip:alice@{DOMAIN}>".encode()
    )
    challenge = scene.ask(mallory, in_her_name)
    line = credentials(challenge, "bob", "his", "INVITE")
    again = in_her_name.replace(b"Max-Forwards", line.encode() + b"\r\nMax-Forwards").replace(
        b"branch=", b"branch=z9hG4bK2"
    )
    assert scene.ask(mallory, again).status == 403


@pytest.mark.parametrize("agent", ["friendly-scanner", "sipvicious 0.3"])
def test_a_scanner_gets_no_response(agent: str) -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request("OPTIONS", f"sip:100@{DOMAIN}", f"User-Agent: {agent}"))
    assert scene.silence()
    assert scene.server.stats.limited == 1


def test_a_flood_of_a_stranger_is_cut_off_and_a_user_is_not_disturbed() -> None:
    scene = Called()
    stranger = scene.phone("x", "203.0.113.5", 5060)
    for _ in range(1000):
        scene.say(stranger, stranger.request("OPTIONS", f"sip:bob@{DOMAIN}"))
    assert scene.server.stats.limited > 900
    scene.heard(scene.bob)
    assert scene.call().method == "INVITE"


def test_what_cannot_be_read_is_refused_where_it_can_be() -> None:
    scene = Called()
    broken = scene.alice.invite().replace(b"\r\nTo: ", b"\r\nMax-Forwards: 1\r\nTo: ")
    assert scene.ask(scene.alice, broken.replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE")).status == 400
    scene.say(scene.alice, b"no SIP at all, but long enough")
    assert scene.silence()
    assert scene.server.stats.malformed == 2
