"""Requests with the Call-ID and tags of a call, from one who has read them on the way (S12): none is believed."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of
from voip.sip import (
    Address,
    CallEnded,
    CallEstablished,
    CallOffered,
    DigitPressed,
    IncomingCall,
    Request,
    RequestRefused,
    Response,
    UserAgent,
)
from voip.sip.probe import BELIEVED, PATIENCE

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
DIGIT = "Content-Type: application/dtmf\r\n"
METHODS = ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "PRACK"]


def receiver(**options: object) -> UserAgent:
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def up(peer: TextPeer, **options: str) -> str:
    """A call that is established; our tag in it."""
    peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKinvite", **options))  # type: ignore[arg-type]
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall, CallEstablished]
    return tag


def forger_of(peer: TextPeer, host: str = "10.0.0.66") -> TextPeer:
    forger = TextPeer(peer.agent, host)
    forger.call_id, forger.tag, forger.now = peer.call_id, peer.tag, peer.now
    return forger


def statuses(messages: list[Request | Response]) -> list[int]:
    return [message.status for message in messages if isinstance(message, Response) and message.status >= 200]


def options_of(messages: list[Request | Response]) -> list[Request]:
    return [message for message in messages if isinstance(message, Request) and message.method == "OPTIONS"]


@pytest.mark.parametrize("method", METHODS)
def test_from_elsewhere_nothing_is_believed_while_the_peer_is_where_it_was(method: str) -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    forger = forger_of(peer)
    body = SDP if method in ("INVITE", "UPDATE") else b""
    lines = DIGIT if method == "INFO" else ""
    said = forger.say(forger.request(method, 2_000_000_000, to_tag=tag, body=body, lines=lines))
    for question in options_of(said):
        said += peer.say(peer.response(question, 200))
    assert statuses(said) == [481]
    assert calls_of(peer.agent) == []
    assert [m.status for m in peer.say(peer.request("BYE", 2, to_tag=tag)) if isinstance(m, Response)] == [200]
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["remote-bye"]


def test_one_question_to_the_peer_decides_a_flood_of_forgeries() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    forger, asked, refused = forger_of(peer), 0, 0
    for number in range(200):
        said = forger.say(forger.request("BYE", 2 + number, to_tag=tag), 1000.0 + number / 50)
        for question in options_of(said):
            asked += 1
            said += peer.say(peer.response(question, 200), forger.now)
        refused += len(statuses(said))
    assert refused > 50
    assert asked <= 1 + 4.0 / BELIEVED
    assert calls_of(peer.agent) == []


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE"])
def test_a_peer_that_has_moved_is_believed_when_nothing_is_at_its_old_place(method: str, gone: bool) -> None:
    """It says 481 there, or nothing at all."""
    peer = TextPeer(receiver())
    tag = up(peer)
    moved = forger_of(peer, "10.9.9.9")
    (question, *_) = options_of(moved.say(moved.request(method, 2, to_tag=tag, body=b"" if method == "BYE" else SDP)))
    heard = peer.say(peer.response(question, 481)) if gone else [m for _, m in peer.wait(PATIENCE)]
    if method == "BYE":
        assert statuses(heard) == [200]
    else:
        assert [type(event) for event in calls_of(peer.agent)] == [CallOffered]
        peer.agent.accept(peer.call_id, ANSWER, peer.now)
        assert statuses(peer.hear()) == [200]
        peer.agent.ping(peer.call_id, peer.now)
        sent = {address for data, address in peer.agent.messages_to_send(peer.now) if data.startswith(b"OPTIONS")}
        assert sent == {moved.address}


def test_a_move_that_is_cancelled_or_overtaken_by_the_end_is_forgotten() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    moved = forger_of(peer, "10.9.9.9")
    moved.say(moved.request("INVITE", 3, to_tag=tag, body=SDP, branch="z9hG4bKmove"))
    assert statuses(moved.say(moved.request("CANCEL", 3, branch="z9hG4bKmove"))) == [200, 487]
    moved.say(moved.request("INVITE", 4, to_tag=tag, body=SDP))
    peer.say(peer.request("BYE", 2, to_tag=tag))
    heard = [message for _, message in peer.wait(PATIENCE)]
    assert statuses(heard) == [481]
    assert [type(event) for event in calls_of(peer.agent)] == [CallEnded]
    peer.wait(100.0)
    assert peer.agent.next_timer() is None


@pytest.mark.parametrize("lines", ["Record-Route: <sip:10.0.0.77;lr>\r\n", ""])
def test_a_peer_may_speak_from_where_it_says_it_is_or_by_its_proxies(lines: str) -> None:
    """An INVITE comes by a proxy that stays out of the dialog, or by one of several of a cluster."""
    peer = TextPeer(receiver())
    agent, contact = peer.agent, peer.address
    peer.address = Address("udp", "10.0.0.70", 5060)
    data = peer.request("INVITE", body=SDP, branch="z9hG4bKinvite", lines=lines)
    agent.receive(
        data.replace(b"Contact: <sip:text@10.0.0.70:5060>", b"Contact: <sip:text@10.0.0.9:5099>"),
        peer.address,
        peer.now,
    )
    agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    for number, host in enumerate(["10.0.0.9", "10.0.0.70", "10.0.0.77" if lines else "10.0.0.9"], 2):
        agent.receive(peer.request("OPTIONS", number, to_tag=tag), contact._replace(host=host), peer.now)
        assert statuses(peer.hear()) == [200]


def test_a_trusted_host_may_speak_for_others() -> None:
    peer = TextPeer(receiver(trusted=lambda host: host == "10.0.0.80"))
    tag = up(peer)
    proxy = forger_of(peer, "10.0.0.80")
    assert statuses(proxy.say(proxy.request("BYE", 2, to_tag=tag))) == [200]


def test_the_peers_of_calls_that_we_make_are_believed_from_their_own_hosts_alone() -> None:
    agent = receiver()
    peer = TextPeer(agent)
    call_id = agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 200, body=ANSWER))
    calls_of(agent)
    peer.call_id, peer.tag = call_id, "theirs"
    forger = forger_of(peer)
    assert statuses(forger.say(forger.request("INFO", 1, to_tag=invite.from_.tag or "", lines=DIGIT))) == [481]
    assert not [event for event in calls_of(agent) if isinstance(event, DigitPressed)]


def test_an_ack_from_elsewhere_moves_nothing() -> None:
    peer = TextPeer(receiver())
    peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKinvite"))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    forger = forger_of(peer)
    forger.say(forger.request("ACK", to_tag=tag))
    peer.agent.hang_up(peer.call_id, peer.now)
    assert {address for _, address in peer.agent.messages_to_send(peer.now)} == {peer.address}


def test_what_is_refused_is_told_with_the_reason() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    forger = forger_of(peer)
    forger.say(forger.request("INFO", 2, to_tag=tag, lines=DIGIT))
    event = peer.agent.next_event()
    assert isinstance(event, RequestRefused)
    assert (event.source, event.status, event.reason) == (forger.address, 481, "of a call whose peer is elsewhere")


# --- forged INVITEs ---------------------------------------------------------------------------------------------------


def again(peer: TextPeer) -> TextPeer:
    """The same caller from the same host, in a new call; or one who writes so."""
    caller = TextPeer(peer.agent, peer.address.host, 6066)
    caller.call_id, caller.tag, caller.now = "again", "again", peer.now
    return caller


def test_a_forged_invite_does_not_end_the_call_of_a_silent_caller() -> None:
    peer = TextPeer(receiver(replaceable=lambda call_id, source, caller: True))
    tag = up(peer)
    forged = again(peer)
    said = forged.say(forged.request("INVITE", body=SDP))
    (question,) = options_of(said)
    assert statuses(peer.say(peer.response(question, 200))) == [486]
    assert calls_of(peer.agent) == []
    assert [m.status for m in peer.say(peer.request("BYE", 2, to_tag=tag)) if isinstance(m, Response)] == [200]


@pytest.mark.parametrize("gone", [True, False])
def test_a_caller_that_was_restarted_gets_its_line_back(gone: bool) -> None:
    """Its new program has no such dialog, or listens elsewhere."""
    peer = TextPeer(receiver(replaceable=lambda call_id, source, caller: True))
    up(peer)
    restarted = again(peer)
    (question, *_) = options_of(restarted.say(restarted.request("INVITE", body=SDP)))
    if gone:
        peer.say(peer.response(question, 481))
    else:
        peer.wait(PATIENCE)
    first, second = calls_of(peer.agent)
    assert isinstance(first, CallEnded)
    assert first.reason == "timeout"
    assert isinstance(second, IncomingCall)
    assert second.call_id == "again"


def test_an_invite_that_is_cancelled_while_it_waits_is_over() -> None:
    peer = TextPeer(receiver(replaceable=lambda call_id, source, caller: True))
    up(peer)
    restarted = again(peer)
    restarted.say(restarted.request("INVITE", body=SDP, branch="z9hG4bKagain"))
    assert statuses(restarted.say(restarted.request("CANCEL", branch="z9hG4bKagain"))) == [200, 487]
    peer.wait(PATIENCE)
    assert calls_of(peer.agent) == []


@pytest.mark.parametrize("heard", [True, False])
def test_one_invite_without_an_ack_does_not_keep_the_line_busy(heard: bool) -> None:
    """It was busy for 20 s, by one packet. With media it is a call, whose ACK is late."""
    forged = TextPeer(receiver(hears=lambda call_id: heard))
    forged.say(forged.request("INVITE", body=SDP))
    forged.agent.accept(forged.call_id, ANSWER, forged.now)
    forged.hear()
    true = TextPeer(forged.agent, "10.0.0.7")
    true.call_id, true.tag = "true", "true"
    assert statuses(true.say(true.request("INVITE", 1, body=SDP), 1001.0)) == [486]
    true.now = 1002.1
    said = true.say(true.request("INVITE", 2, body=SDP))
    found = [type(event) for event in calls_of(forged.agent)]
    if heard:
        assert statuses(said) == [486]
        assert found == [IncomingCall]
    else:
        assert found == [IncomingCall, CallEnded, IncomingCall]
