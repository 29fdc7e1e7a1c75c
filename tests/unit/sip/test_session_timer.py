"""Session timers (RFC 4028) in virtual time: who refreshes, how, and what happens when nobody does."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, Lab, TextPeer, calls_of, text_agent
from voip.sip import (
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    IncomingCall,
    Request,
    Response,
    UserAgent,
)

TIMER = "Supported: timer\r\n"
WITH_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n"
Timed = list[tuple[float, Request | Response]]


def called(lines: str) -> tuple[TextPeer, Response]:
    """A call that came in with these header fields, and our 200; it is up."""
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=OFFER, lines=lines))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert isinstance(answer, Response)
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall, CallEstablished]
    return peer, answer


def calling(lines: str) -> tuple[TextPeer, Request]:
    """A call of ours that was answered with these header fields, and its INVITE."""
    peer = TextPeer(UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), accepts_calls=False))
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 200, lines=lines, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallAnswered]
    return peer, invite


def requests(heard: Timed) -> list[tuple[float, str]]:
    return [(round(when, 3), message.method) for when, message in heard if isinstance(message, Request)]


def first(heard: Timed) -> Request:
    request = next(message for _, message in heard if isinstance(message, Request))
    assert isinstance(request, Request)
    return request


def ends(peer: TextPeer) -> list[tuple[str, int | None, str]]:
    return [(e.reason, e.status, e.phrase) for e in calls_of(peer.agent) if isinstance(e, CallEnded)]


# --- agreeing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "agreed", "required"),
    [
        (f"{TIMER}Session-Expires: 1800\r\n", "1800;refresher=uac", ["timer"]),
        (f"{TIMER}Session-Expires: 1800;refresher=uas\r\n", "1800;refresher=uas", ["timer"]),
        (f"{TIMER}x: 90 ; refresher = UAC\r\n", "90;refresher=uac", ["timer"]),
        ("Require: timer\r\nSession-Expires: 300;refresher=nobody\r\n", "300;refresher=uac", ["timer"]),
        # A proxy has asked, of a caller that knows nothing of it: the refresher can only be us.
        ("Session-Expires: 1800;refresher=uac\r\n", "1800;refresher=uas", []),
        # Too short, but who does not know timers could do nothing with 422, and it must not be raised (section 9).
        ("Session-Expires: 60\r\n", "60;refresher=uas", []),
        ("Session-Expires: 2\r\n", "2;refresher=uas", []),
        (f"{TIMER}Session-Expires: 120\r\nMin-SE: 240\r\n", "240;refresher=uac", ["timer"]),
        (TIMER, None, []),
        (f"{TIMER}Session-Expires: soon\r\n", None, []),
        (f"{TIMER}Session-Expires: 99999999999\r\n", None, []),
    ],
)
def test_a_caller_gets_the_timer_that_it_asks_for(lines: str, agreed: str | None, required: list[str]) -> None:
    _, answer = called(lines)
    assert answer.headers.get("Session-Expires") == agreed
    assert answer.headers.get_all("Require") == required
    assert "timer" in answer.headers.get_all("Supported")


def test_the_shortest_interval_makes_no_flood_of_refreshes() -> None:
    peer, _ = called("Session-Expires: 1\r\n")
    refreshes = [after for after, message in peer.wait(4.9) if isinstance(message, Request)]
    assert refreshes == []


def test_an_interval_that_is_too_small_is_refused_with_the_smallest_one() -> None:
    peer = TextPeer(text_agent())
    (answer,) = peer.say(peer.request("INVITE", body=OFFER, lines=f"{TIMER}Session-Expires: 89\r\n"))
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers.get("Min-SE")) == (422, "90")
    assert calls_of(peer.agent) == []


def test_our_call_says_that_it_knows_timers_and_asks_for_none() -> None:
    _, invite = calling("")
    assert "timer" in invite.headers.get_all("Supported")
    assert "Session-Expires" not in invite.headers


def test_a_call_that_is_refused_with_422_is_made_again_with_more() -> None:
    peer = TextPeer(UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), accepts_calls=False))
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    for least in (90, 1200):  # two proxies on the way, one after the other
        assert isinstance(invite, Request)
        ack, again = peer.say(peer.response(invite, 422, lines=f"Min-SE: {least}"))
        assert isinstance(ack, Request)
        assert isinstance(again, Request)
        assert (ack.method, again.call_id, again.cseq.number) == ("ACK", invite.call_id, invite.cseq.number + 1)
        assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == (str(least), str(least))
        invite = again
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 422, lines="Min-SE: 1200"))  # no more than we have offered
    assert ends(peer) == [("rejected", 422, "Session Interval Too Small")]


def test_a_422_without_a_number_is_a_refusal() -> None:
    peer = TextPeer(UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), accepts_calls=False))
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 422))
    assert ends(peer) == [("rejected", 422, "Session Interval Too Small")]


# --- refreshing -------------------------------------------------------------------------------------------------------


def test_we_refresh_at_half_the_interval_by_update_where_the_peer_takes_it() -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\nRequire: timer\r\n{WITH_UPDATE}")
    for _ in range(50):
        heard = peer.wait(100.0)
        assert requests(heard) == [(100.0, "UPDATE")]
        update = first(heard)
        assert update.body == b""
        assert update.headers.get("Session-Expires") == "200;refresher=uac"
        assert update.headers.get("Contact")
        peer.say(peer.response(update, 200, tag="", lines="Session-Expires: 200;refresher=uac"))
    assert calls_of(peer.agent) == []


def test_where_the_peer_takes_no_update_we_offer_once_more_what_is_agreed_on() -> None:
    peer, invite = calling("Session-Expires: 200;refresher=uac\r\nAllow: INVITE, ACK, BYE\r\n")
    again = first(peer.wait(100.0))
    assert (again.method, again.body) == ("INVITE", invite.body)
    lines = "Session-Expires: 200;refresher=uac"
    (ack,) = peer.say(peer.response(again, 200, tag="", lines=lines, body=ANSWER))
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    assert calls_of(peer.agent) == []  # nothing has changed: nobody needs to know
    again = first(peer.wait(100.0))
    peer.say(peer.response(again, 200, tag="", lines=lines, body=b"v=0\r\ns=changed\r\n"))
    assert calls_of(peer.agent) == [CallReanswered(again.call_id, b"v=0\r\ns=changed\r\n")]


def test_who_refuses_update_is_refreshed_by_invite() -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    update = first(peer.wait(100.0))
    (again,) = peer.say(peer.response(update, 501, tag=""))
    assert isinstance(again, Request)
    assert again.method == "INVITE"


def test_as_callee_we_refresh_when_that_is_ours_to_do() -> None:
    peer, _ = called(f"{TIMER}{WITH_UPDATE}Session-Expires: 90;refresher=uas\r\n")
    update = first(peer.wait(45.0))
    assert update.method == "UPDATE"
    assert update.headers.get("Session-Expires") == "90;refresher=uac"  # of this request we are the client
    peer.say(peer.response(update, 200, tag="", lines="Session-Expires: 90;refresher=uac"))
    assert requests(peer.wait(45.0)) == [(45.0, "UPDATE")]


def test_glare_is_waited_out_and_422_asks_for_more() -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    update = first(peer.wait(100.0))
    peer.say(peer.response(update, 491, tag=""))
    heard = peer.wait(4.0)
    assert requests(heard)[0][1] == "UPDATE"
    assert 2.1 <= requests(heard)[0][0] <= 4.0  # we made the Call-ID
    (again,) = peer.say(peer.response(first(heard), 422, tag="", lines="Min-SE: 900"))
    assert isinstance(again, Request)
    assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("900;refresher=uac", "900")
    peer.say(peer.response(again, 200, tag="", lines="Session-Expires: 900;refresher=uac"))
    assert requests(peer.wait(450.0)) == [(450.0, "UPDATE")]


def test_the_offer_of_the_user_goes_first_and_refreshes_the_session() -> None:
    peer, invite = calling("Session-Expires: 200;refresher=uac\r\nAllow: INVITE, ACK, BYE\r\n")
    peer.wait(99.0)
    peer.agent.reinvite(invite.call_id, b"v=0\r\ns=other\r\n", peer.now)
    (offer,) = peer.hear()
    assert isinstance(offer, Request)
    assert offer.headers.get("Session-Expires") == "200;refresher=uac"
    assert requests(peer.wait(1.4)) == [(0.5, "INVITE")]  # its repetition
    peer.say(peer.response(offer, 200, tag="", lines="Session-Expires: 200;refresher=uac", body=ANSWER))
    assert calls_of(peer.agent) == [CallReanswered(invite.call_id, ANSWER)]
    again = first(peer.wait(100.0))
    assert again.body == b"v=0\r\ns=other\r\n"


def test_a_2xx_without_a_timer_ends_it() -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    update = first(peer.wait(100.0))
    peer.say(peer.response(update, 200, tag=""))
    assert peer.wait(10_000.0) == []
    assert calls_of(peer.agent) == []


def test_an_answer_that_names_next_to_nothing_does_not_make_us_flood_the_peer() -> None:
    peer, _ = calling(f"Session-Expires: 1;refresher=uac\r\n{WITH_UPDATE}")
    assert requests(peer.wait(5.0)) == [(5.0, "UPDATE")]


# --- ending -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("interval", "end"), [(90, 60.0), (1800, 1768.0)])
def test_a_peer_that_does_not_refresh_is_hung_up_on_in_time(interval: int, end: float) -> None:
    peer, answer = called(f"{TIMER}Session-Expires: {interval};refresher=uac\r\n")
    assert requests(peer.wait(end + 1.0))[0] == (end, "BYE")
    assert ends(peer) == [("timeout", 408, "the session was not refreshed in time")]
    assert answer.status == 200


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_peer_that_refreshes_is_not_hung_up_on(method: str) -> None:
    peer, answer = called(f"{TIMER}Session-Expires: 90;refresher=uac\r\n")
    tag = answer.to.tag or ""
    for number in range(2, 50):
        assert peer.wait(45.0) == []
        body = OFFER if method == "INVITE" else b""
        peer.say(
            peer.request(method, number, to_tag=tag, lines=f"{TIMER}Session-Expires: 90;refresher=uac\r\n", body=body)
        )
        if method == "INVITE":
            assert calls_of(peer.agent) == [CallOffered(peer.call_id, OFFER)]
            peer.agent.accept(peer.call_id, ANSWER, peer.now)
            (again,) = peer.hear()
            assert isinstance(again, Response)
            assert again.headers.get("Session-Expires") == "90;refresher=uac"
            peer.say(peer.request("ACK", number, to_tag=tag))
    assert calls_of(peer.agent) == []


def test_a_refresh_that_nobody_answers_ends_the_call_by_bye() -> None:
    peer, _ = calling(f"Session-Expires: 1800;refresher=uac\r\n{WITH_UPDATE}")
    heard = requests(peer.wait(940.0))
    assert heard[0] == (900.0, "UPDATE")
    assert heard[-1][1] == "BYE"
    assert ends(peer) == [("timeout", 408, "no answer to a refresh of the session")]


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_finds_no_call_ends_it(status: int) -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    update = first(peer.wait(100.0))
    assert requests([(0.0, m) for m in peer.say(peer.response(update, status, tag=""))]) == [(0.0, "BYE")]
    assert [end[:2] for end in ends(peer)] == [("timeout", status)]


def test_a_refresh_that_is_always_refused_is_tried_until_the_session_expires() -> None:
    peer, _ = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    sent = []
    while not (events := ends(peer)):
        for when, message in peer.wait(1.0):
            if isinstance(message, Request):
                sent.append((peer.now - 1000.0 - 1.0 + when, message.method))
                peer.say(peer.response(message, 503, tag=""))
    assert events[0][:2] == ("timeout", 408)
    assert [method for _, method in sent] == ["UPDATE"] * (len(sent) - 1) + ["BYE"]
    assert sent[0][0] == pytest.approx(100.0, abs=1.0)
    assert 168.0 <= sent[-1][0] <= 169.0
    assert len(sent) <= 1 + 69 / 5 + 1


def test_no_timer_is_left_when_the_call_is_over() -> None:
    peer, invite = calling(f"Session-Expires: 200;refresher=uac\r\n{WITH_UPDATE}")
    peer.agent.hang_up(invite.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    peer.say(peer.response(bye, 200, tag=""))
    peer.wait(100.0)
    assert peer.agent.next_timer() is None


def test_two_of_us_keep_a_call_up_for_hours_and_end_it_when_the_network_goes() -> None:
    lab = Lab(loss=0.1)
    caller, callee = lab.phone("10.0.0.2"), lab.phone("10.0.0.1")
    caller.call(callee)
    for data, destination in caller.agent.messages_to_send(lab.now):
        # As a proxy would: the INVITE gets a Session-Expires on its way.
        lab.send(data.replace(b"Max-Forwards", b"Session-Expires: 120\r\nMax-Forwards", 1), caller.address, destination)
    lab.run(4 * 3600.0)
    assert caller.ended() == callee.ended() == []
    assert len(lab.sent(caller, "UPDATE ")) >= 4 * 60 - 1
    lab.path.change(loss=1.0)
    lab.run(120.0)
    assert [event.reason for event in caller.ended()] == ["timeout"]
    assert [event.reason for event in callee.ended()] == ["timeout"]
    lab.run(200.0)
    caller.check_empty()
    callee.check_empty()
