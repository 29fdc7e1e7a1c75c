"""Before a call is answered: reliable provisional responses (RFC 3262) and UPDATE in early dialogs (RFC 3311)."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of, text_agent
from voip.sip import (
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallRinging,
    Credentials,
    EarlyAnswer,
    IncomingCall,
    Request,
    Response,
    UserAgent,
)

REQUIRED = "Require: 100rel\r\n"
CHALLENGE = 'Proxy-Authenticate: Digest realm="lab",nonce="4bd1f0d7c5a14c0e",qop="auth",algorithm=MD5'
OTHER = b"v=0\r\ns=other\r\n"


def statuses(messages: list[Request | Response]) -> list[int]:
    return [message.status for message in messages if isinstance(message, Response)]


# --- the called side --------------------------------------------------------------------------------------------------


def ringing(lines: str = REQUIRED, body: bytes = OFFER) -> tuple[TextPeer, Response | None]:
    """A call comes in, and its user is asked; our 180."""
    peer = TextPeer(
        UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), hears=lambda call_id: True)
    )
    peer.say(peer.request("INVITE", body=body, lines=lines))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall]
    peer.agent.ring(peer.call_id, peer.now)
    heard = peer.hear()
    return peer, heard[0] if heard else None  # type: ignore[return-value]


def prack(peer: TextPeer, response: Response, number: int = 2, rack: str = "") -> list[Request | Response]:
    rack = rack or f"{response.headers.get('RSeq')} {response.cseq.number} INVITE"
    return peer.say(peer.request("PRACK", number, to_tag=response.to.tag or "", lines=f"RAck: {rack}\r\n"))


def test_ringing_is_reliable_where_that_is_required() -> None:
    peer, response = ringing()
    assert response is not None
    assert (response.status, response.headers.get_all("Require")) == (180, ["100rel"])
    assert 1 <= int(response.headers.get("RSeq") or "") < 2**31 + 1
    assert response.contacts
    assert [(when, m.serialize()) for when, m in peer.wait(4.0)] == [
        (when, response.serialize()) for when in (0.5, 1.5, 3.5)
    ]
    assert statuses(prack(peer, response)) == [200]
    assert peer.wait(25.0) == []
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert (statuses([answer]), answer.body, answer.to.tag) == ([200], ANSWER, response.to.tag)
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert calls_of(peer.agent) == [CallEstablished(peer.call_id, b"")]
    assert statuses(peer.say(peer.request("BYE", 3, to_tag=answer.to.tag or ""))) == [200]


@pytest.mark.parametrize("lines", ["", "Supported: 100rel\r\n"])
def test_ringing_is_as_ever_where_it_is_not_required(lines: str) -> None:
    peer, response = ringing(lines)
    assert response is not None
    assert "RSeq" not in response.headers
    assert peer.wait(60.0) == []
    assert statuses(prack(peer, response, rack="1 1 INVITE")) == [481]


def test_without_an_offer_there_is_no_ringing_that_would_have_to_hold_ours() -> None:
    peer, response = ringing(body=b"")
    assert response is None
    assert [m.status for _, m in peer.wait(1.0) if isinstance(m, Response)] == [100]
    peer.agent.accept(peer.call_id, OFFER, peer.now)
    assert statuses(peer.hear()) == [200]


def test_a_prack_for_something_else_is_refused_with_481() -> None:
    peer, response = ringing()
    assert response is not None
    number = int(response.headers.get("RSeq") or "")
    for count, rack in enumerate([f"{number + 1} 1 INVITE", f"{number} 2 INVITE", f"{number} 1 BYE", "x", "1"]):
        assert statuses(prack(peer, response, 2 + count, rack)) == [481]
    assert len(peer.wait(2.0)) == 2  # it is still repeated
    assert statuses(prack(peer, response, 10)) == [200]
    assert statuses(prack(peer, response, 11)) == [481]  # once is enough
    assert peer.wait(4.0) == []


def test_the_answer_ends_the_repetitions_and_a_late_prack_is_taken() -> None:
    peer, response = ringing()
    assert response is not None
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert {m.status for _, m in peer.wait(2.0) if isinstance(m, Response)} == {200}
    assert statuses(prack(peer, response)) == [200]
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert peer.wait(60.0) == []


def test_ringing_that_nobody_acknowledges_ends_the_call_with_a_5xx() -> None:
    peer, response = ringing()
    assert response is not None
    heard = peer.wait(33.0)
    assert {m.status for _, m in heard if isinstance(m, Response)} == {180, 504}
    assert next(m.status for when, m in heard if when >= 32.0 and isinstance(m, Response)) == 504
    assert calls_of(peer.agent) == [CallEnded(peer.call_id, "no-ack", None, "no PRACK for our ringing")]


def test_a_caller_that_gives_up_ends_the_repetitions() -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=OFFER, lines=REQUIRED, branch="z9hG4bKinvite"))
    peer.agent.ring(peer.call_id, peer.now)
    peer.hear()
    assert statuses(peer.say(peer.request("CANCEL", branch="z9hG4bKinvite"))) == [200, 487]
    assert [m for _, m in peer.wait(60.0) if isinstance(m, Response)] == []


def test_an_update_before_our_answer_is_taken_without_an_offer_and_told_to_wait_with_one() -> None:
    peer, response = ringing()
    assert response is not None
    prack(peer, response)
    tag = response.to.tag or ""
    assert statuses(peer.say(peer.request("UPDATE", 3, to_tag=tag))) == [200]
    (later,) = peer.say(peer.request("UPDATE", 4, to_tag=tag, body=OTHER))
    assert isinstance(later, Response)
    assert later.status == 500
    assert 0 <= int(later.headers.get("Retry-After") or "") <= 10
    assert calls_of(peer.agent) == []


# --- the calling side -------------------------------------------------------------------------------------------------


def calling(**options: object) -> tuple[TextPeer, Request]:
    agent = UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), accepts_calls=False, **options)  # type: ignore[arg-type]
    peer = TextPeer(agent)
    agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    return peer, invite


def reliable(peer: TextPeer, invite: Request, number: int, status: int = 183, **options: object) -> list[Request]:
    """What a reliable provisional response of the peer fetches."""
    lines = f"Require: 100rel\r\nRSeq: {number}"
    heard = peer.say(peer.response(invite, status, lines=lines, **options))  # type: ignore[arg-type]
    return [message for message in heard if isinstance(message, Request)]


def test_each_reliable_response_is_acknowledged_in_order_and_repetitions_are_not() -> None:
    peer, invite = calling()
    assert "100rel" in invite.headers.get_all("Supported")
    (first,) = reliable(peer, invite, 7001, 180)
    assert (first.method, first.headers.get("RAck")) == ("PRACK", "7001 1 INVITE")
    assert (first.to.tag, first.cseq.number, str(first.uri)) == ("theirs", 2, "sip:text@10.0.0.9:5099")
    assert reliable(peer, invite, 7001, 180) == []
    assert reliable(peer, invite, 7003, 183) == []  # one between them is missing
    assert [type(event) for event in calls_of(peer.agent)] == [CallRinging]
    (second,) = reliable(peer, invite, 7002, 183)
    assert (second.headers.get("RAck"), second.cseq.number) == ("7002 1 INVITE", 3)
    (other,) = reliable(peer, invite, 5, tag="another")  # another telephone counts for itself
    assert (other.headers.get("RAck"), other.to.tag) == ("5 1 INVITE", "another")


def test_a_prack_is_repeated_until_it_is_answered_and_its_failure_is_no_matter() -> None:
    peer, invite = calling()
    (prack,) = reliable(peer, invite, 1)
    assert [(when, m.serialize()) for when, m in peer.wait(2.0)] == [(when, prack.serialize()) for when in (0.5, 1.5)]
    peer.say(peer.response(prack, 481))
    assert peer.wait(5.0) == []
    peer.say(peer.response(invite, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallRinging, CallAnswered]


def test_the_answer_of_a_reliable_response_counts_and_the_call_goes_on_from_its_numbers() -> None:
    peer, invite = calling()
    (prack,) = reliable(peer, invite, 1, body=ANSWER)
    peer.say(peer.response(prack, 200))
    peer.say(peer.response(invite, 200))  # which needs not say it again
    events = calls_of(peer.agent)
    assert [type(event) for event in events] == [EarlyAnswer, CallRinging, CallAnswered]
    assert events[-1] == CallAnswered(invite.call_id, ANSWER, peer.address)
    peer.agent.hang_up(invite.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    assert (bye.method, bye.cseq.number) == ("BYE", prack.cseq.number + 1)


@pytest.mark.parametrize(
    ("certain", "final", "answer"), [(True, OTHER, ANSWER), (False, OTHER, OTHER), (False, b"", ANSWER)]
)
def test_the_first_answer_that_came_for_certain_is_the_one(certain: bool, final: bytes, answer: bytes) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 183, lines="Require: 100rel\r\nRSeq: 9" if certain else "", body=ANSWER))
    peer.say(peer.response(invite, 200, body=final))
    assert calls_of(peer.agent)[-1] == CallAnswered(invite.call_id, answer, peer.address)


def test_what_one_telephone_said_early_is_not_the_answer_of_another() -> None:
    peer, invite = calling()
    reliable(peer, invite, 1, tag="one", body=ANSWER)
    peer.say(peer.response(invite, 200, tag="two", body=OTHER))
    assert calls_of(peer.agent)[-1] == CallAnswered(invite.call_id, OTHER, peer.address)
    heard = peer.say(peer.response(invite, 200, tag="one"))
    assert [m.method for m in heard if isinstance(m, Request)] == ["ACK", "BYE"]
    assert [m.cseq.number for m in heard] == [1, 3]  # 2 was its PRACK


def test_a_prack_that_is_challenged_is_sent_again_with_proof() -> None:
    peer, invite = calling(credentials=Credentials("ann", "secret"))
    (prack,) = reliable(peer, invite, 1)
    (again,) = peer.say(peer.response(prack, 407, lines=CHALLENGE))
    assert isinstance(again, Request)
    assert (again.method, again.cseq.number) == ("PRACK", prack.cseq.number + 1)
    assert 'username="ann"' in (again.headers.get("Proxy-Authorization") or "")


@pytest.mark.parametrize("lines", ["Require: 100rel", "Require: 100rel\r\nRSeq: x", "Require: 100rel\r\nRSeq: 0"])
def test_a_reliable_response_without_a_number_is_taken_as_any_other(lines: str) -> None:
    peer, invite = calling()
    assert peer.say(peer.response(invite, 180, lines=lines)) == []  # no PRACK can name it
    assert [type(event) for event in calls_of(peer.agent)] == [CallRinging]
    peer.say(peer.response(invite, 183, lines=lines, body=ANSWER))
    peer.say(peer.response(invite, 200))
    assert [event.answer for event in calls_of(peer.agent) if isinstance(event, CallAnswered)] == [ANSWER]


def test_more_telephones_than_one_can_follow_are_left_alone() -> None:
    peer, invite = calling()
    assert sum(len(reliable(peer, invite, 1, tag=f"phone{number}")) for number in range(50)) == 8


# --- UPDATE of the callee before its answer ---------------------------------------------------------------------------


def update(peer: TextPeer, invite: Request, number: int, body: bytes = b"", tag: str = "theirs") -> Response | None:
    peer.call_id, peer.tag = invite.call_id, tag
    heard = peer.say(peer.request("UPDATE", number, to_tag=invite.from_.tag or "", body=body))
    return heard[0] if heard and isinstance(heard[0], Response) else None


def test_an_early_dialog_is_changed_by_update_and_the_call_begins_with_what_it_came_to() -> None:
    peer, invite = calling()
    reliable(peer, invite, 1, body=ANSWER)
    assert update(peer, invite, 1, OTHER) is None  # its user is asked
    assert [type(event) for event in calls_of(peer.agent)] == [EarlyAnswer, CallRinging, CallOffered]
    peer.agent.accept(invite.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.cseq.method) == (200, ANSWER, "UPDATE")
    peer.say(peer.response(invite, 200))
    assert calls_of(peer.agent) == [CallAnswered(invite.call_id, b"", peer.address)]


def test_an_early_offer_while_ours_has_no_answer_is_refused_with_491_and_no_offer_is_welcome() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 180))
    calls_of(peer.agent)
    pending, fine = update(peer, invite, 1, OTHER), update(peer, invite, 2)
    assert pending is not None
    assert fine is not None
    assert (pending.status, fine.status) == (491, 200)
    assert calls_of(peer.agent) == []
    unknown = update(peer, invite, 1, tag="nobody")
    assert unknown is not None
    assert unknown.status == 481


@pytest.mark.parametrize("method", ["BYE", "INVITE", "PRACK"])
def test_nothing_else_is_for_early_dialogs(method: str) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 180))
    peer.call_id, peer.tag = invite.call_id, "theirs"
    assert statuses(peer.say(peer.request(method, 1, to_tag=invite.from_.tag or "", body=OTHER))) == [481]
    peer.say(peer.response(invite, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallRinging, CallAnswered]
