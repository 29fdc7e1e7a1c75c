"""UPDATE within calls that are up (RFC 3311), INFO, and extensions that are asked for or passed over."""

from __future__ import annotations

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of, text_agent
from voip.sip import (
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    DigitPressed,
    IncomingCall,
    Request,
    Response,
)

MOVED = "Contact: <sip:text@10.0.0.8:5098>\r\n"


def up() -> tuple[TextPeer, str]:
    """A call that is established; our tag in it."""
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=OFFER))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall, CallEstablished]
    return peer, tag


def answer_to(heard: list[Request | Response]) -> Response:
    (answer,) = heard
    assert isinstance(answer, Response)
    return answer


# --- UPDATE -----------------------------------------------------------------------------------------------------------


def test_an_update_changes_the_session_without_an_ack() -> None:
    peer, tag = up()
    assert peer.say(peer.request("UPDATE", 2, to_tag=tag, body=OFFER)) == []
    assert calls_of(peer.agent) == [CallOffered(peer.call_id, OFFER)]
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    answer = answer_to(peer.hear())
    assert (answer.status, answer.body, answer.content_type) == (200, ANSWER, "application/sdp")
    assert answer.contacts
    assert peer.wait(60.0) == []
    assert calls_of(peer.agent) == []


def test_an_update_that_is_refused_leaves_the_call_as_it_was() -> None:
    peer, tag = up()
    peer.say(peer.request("UPDATE", 2, to_tag=tag, body=OFFER))
    peer.agent.reject(peer.call_id, 488, peer.now)
    assert answer_to(peer.hear()).status == 488
    assert answer_to(peer.say(peer.request("UPDATE", 3, to_tag=tag))).status == 200


def test_an_update_without_an_offer_only_says_where_the_peer_is_now() -> None:
    peer, tag = up()
    assert answer_to(peer.say(peer.request("UPDATE", 2, to_tag=tag, contact=False, lines=MOVED))).status == 200
    assert calls_of(peer.agent) == []
    peer.agent.hang_up(peer.call_id, peer.now)
    ((_, destination),) = peer.agent.messages_to_send(peer.now)
    assert (destination.host, destination.port) == ("10.0.0.8", 5098)


def test_offers_that_cross_are_told_to_wait_or_to_try_again() -> None:
    peer, tag = up()
    peer.agent.reinvite(peer.call_id, OFFER, peer.now)
    (ours,) = peer.hear()
    assert isinstance(ours, Request)
    assert answer_to(peer.say(peer.request("UPDATE", 2, to_tag=tag, body=OFFER))).status == 491
    assert answer_to(peer.say(peer.request("UPDATE", 3, to_tag=tag))).status == 200
    peer.say(peer.response(ours, 200, tag="", body=ANSWER))
    assert calls_of(peer.agent) == [CallReanswered(peer.call_id, ANSWER)]

    peer.say(peer.request("INVITE", 4, to_tag=tag, body=OFFER))
    later = answer_to(peer.say(peer.request("UPDATE", 5, to_tag=tag, body=OFFER)))
    assert (later.status, "Retry-After" in later.headers) == (500, True)
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    assert answer_to(peer.hear()).status == 200


def test_an_update_while_our_late_offer_has_no_answer_is_told_to_try_again() -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE"))
    peer.agent.accept(peer.call_id, OFFER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    assert answer_to(peer.say(peer.request("UPDATE", 2, to_tag=tag, body=OFFER))).status == 491


@pytest.mark.parametrize(("lines", "status"), [("Content-Type: text/plain\r\n", 415), ("Require: x\r\n", 420)])
def test_an_update_is_held_to_the_rules_of_an_invite(lines: str, status: int) -> None:
    peer, tag = up()
    data = peer.request("UPDATE", 2, to_tag=tag, lines=lines)
    if status == 415:
        data = data.replace(b"Content-Length: 0", b"Content-Length: 2") + b"hi"
    assert answer_to(peer.say(data)).status == status


def test_an_update_of_a_call_that_is_over_finds_none() -> None:
    peer, tag = up()
    peer.say(peer.request("BYE", 2, to_tag=tag))
    assert calls_of(peer.agent)[-1] == CallEnded(peer.call_id, "remote-bye", None, "")
    for number, method in enumerate(("UPDATE", "INFO", "PRACK"), 3):
        assert answer_to(peer.say(peer.request(method, number, to_tag=tag))).status == 481
        assert answer_to(peer.say(peer.request(method, number))).status == 481


# --- INFO -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", b"Signal= *\r\nDuration= 250\r\n", "*"),
        ("application/dtmf-relay;x=y", b"\r\nsignal=a\r\n", "A"),
        ("Application/DTMF", b"#", "#"),
        ("application/dtmf", b"16", ""),  # flash is no digit
        ("application/dtmf-relay", b"Signal=hf\r\n", ""),
        ("application/dtmf-relay", b"\xff\xfe", ""),
    ],
)
def test_a_digit_that_comes_by_info_is_told(kind: str, body: bytes, digit: str) -> None:
    peer, tag = up()
    data = peer.request("INFO", 2, to_tag=tag, lines=f"Content-Type: {kind}\r\n")
    data = data.replace(b"Content-Length: 0", b"Content-Length: %d" % len(body)) + body
    assert answer_to(peer.say(data)).status == 200
    assert calls_of(peer.agent) == ([DigitPressed(peer.call_id, digit)] if digit else [])


def test_other_information_is_declined_and_none_is_fine() -> None:
    peer, tag = up()
    data = peer.request("INFO", 2, to_tag=tag, lines="Content-Type: application/media_control+xml\r\n")
    answer = answer_to(peer.say(data.replace(b"Content-Length: 0", b"Content-Length: 2") + b"<>"))
    assert answer.status == 415
    assert answer.headers.get_all("Accept") == ["application/dtmf-relay", "application/dtmf"]
    assert answer_to(peer.say(peer.request("INFO", 3, to_tag=tag))).status == 200
    assert answer_to(peer.say(peer.request("INFO", 4, to_tag=tag, lines="Info-Package: foo\r\n"))).status == 469
    assert calls_of(peer.agent) == []


# --- extensions -------------------------------------------------------------------------------------------------------


def test_replaces_is_passed_over_and_what_requires_it_is_refused() -> None:
    peer = TextPeer(text_agent())
    replaces = "Replaces: 425928@10.0.0.1;to-tag=7743;from-tag=6472\r\n"
    peer.say(peer.request("INVITE", body=OFFER, lines=replaces))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall]
    other = TextPeer(text_agent())
    answer = answer_to(other.say(other.request("INVITE", body=OFFER, lines=f"Require: replaces\r\n{replaces}")))
    assert (answer.status, answer.headers.get_all("Unsupported")) == (420, ["replaces"])
    assert calls_of(other.agent) == []


def test_only_what_is_not_known_is_named_as_unsupported() -> None:
    peer = TextPeer(text_agent())
    answer = answer_to(peer.say(peer.request("INVITE", body=OFFER, lines="Require: 100rel, Timer, x, y\r\n")))
    assert (answer.status, answer.headers.get_all("Unsupported")) == (420, ["x", "y"])


@pytest.mark.parametrize("method", ["REFER", "SUBSCRIBE", "NOTIFY", "PUBLISH"])
def test_what_is_not_served_is_405_within_a_call_as_well(method: str) -> None:
    peer, tag = up()
    answer = answer_to(peer.say(peer.request(method, 2, to_tag=tag, lines="Refer-To: <sip:x@10.0.0.3>\r\n")))
    assert answer.status == 405
    assert "UPDATE" in answer.headers.get_all("Allow")
    assert calls_of(peer.agent) == []


def test_options_tells_what_is_supported() -> None:
    peer = TextPeer(text_agent())
    answer = answer_to(peer.say(peer.request("OPTIONS", lines="Accept: application/sdp\r\n")))
    assert answer.headers.get_all("Supported") == ["100rel", "timer"]


def test_a_reinvite_that_comes_before_the_ack_with_the_answer_to_our_offer_gets_491() -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE"))
    peer.agent.accept(peer.call_id, OFFER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    assert answer_to(peer.say(peer.request("INVITE", 2, to_tag=tag, body=OFFER))).status == 491
    peer.say(peer.request("ACK", 2, to_tag=tag))
    assert answer_to(peer.say(peer.request("UPDATE", 3, to_tag=tag, body=OFFER))).status == 491
    peer.say(peer.request("ACK", 1, to_tag=tag, body=ANSWER))
    assert peer.say(peer.request("UPDATE", 4, to_tag=tag, body=OFFER)) == []
    assert CallOffered(peer.call_id, OFFER) in calls_of(peer.agent)
