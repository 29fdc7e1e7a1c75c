"""The called side against requests as telephones, strangers and careless programs send them (RFC 3261 section 8)."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of, events_of
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    IncomingCall,
    PeerAlive,
    Request,
    RequestRefused,
    Response,
    UserAgent,
    parse_message,
)
from voip.sip.probe import PATIENCE

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"


def receiver(**options: object) -> UserAgent:
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060), **options)  # type: ignore[arg-type]


def statuses(messages: list[Request | Response]) -> list[int]:
    return [message.status for message in messages if isinstance(message, Response)]


def requests_of(peer: TextPeer) -> list[Request]:
    return [message for message in peer.hear() if isinstance(message, Request)]


def ring(peer: TextPeer, **options: object) -> Response | None:
    """INVITE; the 200 of a user who takes the call."""
    peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKinvite", **options))  # type: ignore[arg-type]
    call_id = next((e.call_id for e in calls_of(peer.agent) if isinstance(e, IncomingCall)), None)
    if call_id is None:
        return None
    peer.agent.accept(call_id, ANSWER, peer.now)
    answer = peer.hear()[0]
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (200, ANSWER)
    return answer


def up(peer: TextPeer) -> str:
    """A call that is established; our tag in it."""
    answer = ring(peer)
    assert answer is not None
    tag = answer.to.tag
    assert tag is not None
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in calls_of(peer.agent)] == [CallEstablished]
    return tag


# --- outside of dialogs -----------------------------------------------------------------------------------------------


def test_options_is_answered_with_what_is_understood_here() -> None:
    peer = TextPeer(receiver())
    (answer,) = peer.say(peer.request("OPTIONS", lines="Accept: application/sdp\r\nUser-Agent: sipp 3.6\r\n"))
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert "INVITE" in answer.headers.get_all("Allow")
    assert answer.to.tag
    assert answer.via[0].received == "10.0.0.9"
    assert answer.via[0].rport == 5099


@pytest.mark.parametrize(
    ("method", "status"), [("REGISTER", 405), ("SUBSCRIBE", 405), ("PUBLISH", 405), ("REFER", 405), ("FOO", 501)]
)
def test_other_methods_are_refused_with_what_is_allowed(method: str, status: int) -> None:
    peer = TextPeer(receiver())
    (answer,) = peer.say(peer.request(method))
    assert isinstance(answer, Response)
    assert answer.status == status
    assert answer.headers.lines("Allow") == ["INVITE,ACK,BYE,CANCEL,OPTIONS,PRACK,UPDATE,INFO,MESSAGE"]
    (refused,) = events_of(peer.agent)
    assert isinstance(refused, RequestRefused)
    assert refused == RequestRefused(peer.address, method, status, "sip:text@10.0.0.9:5099", refused.reason)
    assert refused.reason in ("Method Not Allowed", "Not Implemented")
    assert statuses(peer.say(peer.request("OPTIONS", 2))) == [200]


@pytest.mark.parametrize(
    ("options", "lines", "status", "reason"),
    [
        ({"allowed": lambda host: False}, "", 403, "this address may not call"),
        ({"max_calls": 0}, "", 486, "busy"),
        ({"accepts_calls": False}, "", 480, "no calls are taken"),
        ({}, "Require: gruu\r\n", 420, "requires gruu"),
        ({}, "Require: ,, gruu,\r\n", 420, "requires gruu"),
        ({}, "Content-Encoding: gzip\r\n", 415, "body is encoded: gzip"),
        ({}, "CSeq: 1 INVITE\r\n", 400, "more than one CSeq"),
    ],
)
def test_a_refused_call_is_told_with_its_caller_and_the_reason(
    options: dict[str, object], lines: str, status: int, reason: str
) -> None:
    peer = TextPeer(receiver(**options))
    assert statuses(peer.say(peer.request("INVITE", body=SDP, lines=lines))) == [status]
    assert events_of(peer.agent) == [RequestRefused(peer.address, "INVITE", status, "sip:text@10.0.0.9:5099", reason)]


def test_the_cancel_of_another_request_is_too_late_but_known() -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request("OPTIONS", branch="z9hG4bKoptions"))) == [200]
    assert statuses(peer.say(peer.request("CANCEL", branch="z9hG4bKoptions", contact=False))) == [200]
    assert statuses(peer.say(peer.request("CANCEL", branch="z9hG4bKnone", contact=False))) == [481]


def test_an_unknown_extension_that_is_required_is_named_as_unsupported() -> None:
    peer = TextPeer(receiver())
    (answer,) = peer.say(peer.request("INVITE", body=SDP, lines="Require: nothingSupportsThis, norThis\r\n"))
    assert isinstance(answer, Response)
    assert answer.status == 420
    assert answer.headers.get("Unsupported") == "nothingSupportsThis"
    assert answer.headers.get_all("Unsupported") == ["nothingSupportsThis", "norThis"]


@pytest.mark.parametrize("uri", ["sips:anyone@10.0.0.1", "tel:+4912345", "http://10.0.0.1/"])
def test_other_uri_schemes_are_refused_with_416(uri: str) -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request("INVITE", uri=uri, body=SDP))) == [416]


def test_any_user_part_is_answered() -> None:
    for uri in ("sip:10.0.0.1", "sip:nobody@10.0.0.1", "sip:some%20one@house.example;transport=udp"):
        peer = TextPeer(receiver())
        assert ring(peer, uri=uri) is not None


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ("Content-Type: text/plain\r\n", ("Accept", "application/sdp")),
        ("Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", ("Accept-Encoding", "identity")),
        ("", ("Accept", "application/sdp")),
    ],
)
def test_a_body_that_is_not_understood_is_refused_with_what_would_be(lines: str, field: tuple[str, str]) -> None:
    peer = TextPeer(receiver())
    data = peer.request("INVITE", lines=lines).replace(b"Content-Length: 0", b"Content-Length: 5") + b"hello"
    (answer,) = peer.say(data)
    assert isinstance(answer, Response)
    assert answer.status == 415
    assert answer.headers.get(field[0]) == field[1]


def test_an_invite_without_a_place_to_send_requests_to_is_malformed() -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request("INVITE", body=SDP, contact=False))) == [400]


@pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS"])
def test_requests_of_an_unknown_dialog_are_refused_with_481(method: str) -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request(method, 2, to_tag="nobodyknows", body=SDP))) == [481]


def test_a_bye_or_cancel_of_a_stranger_is_refused_with_481_and_an_ack_with_silence() -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request("BYE"))) == [481]
    assert statuses(peer.say(peer.request("CANCEL"))) == [481]
    assert peer.say(peer.request("ACK")) == []
    assert peer.agent.stats.ignored == 1


def test_a12_words_in_the_wrong_place_start_and_end_no_call() -> None:
    peer = TextPeer(receiver())
    assert statuses(peer.say(peer.request("OPTIONS", lines="Allow: INVITE, ACK\r\n"))) == [200]
    cancel = peer.request("CANCEL", cseq="INVITE")  # its CSeq is of another method: malformed
    assert statuses(peer.say(cancel)) == [400]
    assert peer.say(b"I love INVITEs") == []
    assert peer.say(b"BYE x") == []
    assert calls_of(peer.agent) == []
    tag = up(peer)
    bye = peer.request("BYE", 2, to_tag=tag, lines="Allow: INVITE, ACK, BYE\r\n")
    assert statuses(peer.say(bye)) == [200]
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["remote-bye"]


def test_keep_alives_and_stray_responses_are_ignored() -> None:
    peer = TextPeer(receiver())
    for data in (b"\r\n\r\n", b"\0", b"", b"\r\n"):
        assert peer.say(data) == []
    request = parse_message(peer.request("OPTIONS"))
    assert isinstance(request, Request)
    assert peer.say(peer.response(request, 200)) == []
    assert peer.agent.stats.ignored == 1


def test_a_malformed_request_is_answered_400_as_far_as_it_can_be() -> None:
    peer = TextPeer(receiver())
    good = peer.request("OPTIONS")
    assert statuses(peer.say(good.replace(b"Content-Length: 0", b"Content-Length: -1"))) == [400]
    assert statuses(peer.say(good.replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia"))) == [505]
    assert peer.say(good.replace(b"Via:", b"Vai:")) == []
    assert peer.agent.stats.malformed == 3


# --- a call and its repetitions ---------------------------------------------------------------------------------------


def test_a_repeated_invite_is_the_same_call() -> None:
    peer = TextPeer(receiver(hears=lambda call_id: True))  # by its media, it is no forged source
    invite = peer.request("INVITE", body=SDP, branch="z9hG4bKinvite")
    for _ in range(3):
        assert peer.say(invite) == []
    (incoming,) = calls_of(peer.agent)
    assert isinstance(incoming, IncomingCall)
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert peer.say(invite) == []
    assert [str(message.to) for _, message in peer.wait(4.0)] == [str(answer.to)] * 3
    assert calls_of(peer.agent) == []


def test_the_same_invite_by_another_way_is_merged_with_482_and_makes_no_second_call() -> None:
    peer = TextPeer(receiver(max_calls=5))
    ring(peer)
    assert statuses(peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKother"))) == [482]
    assert calls_of(peer.agent) == []


def test_a_caller_with_the_call_id_of_another_is_another_caller() -> None:
    peer = TextPeer(receiver(max_calls=2))
    up(peer)
    peer.tag = "another"
    peer.say(peer.request("INVITE", body=SDP))
    (incoming,) = calls_of(peer.agent)
    assert isinstance(incoming, IncomingCall)
    assert incoming.call_id != peer.call_id


def test_100_comes_when_the_user_thinks_for_200_ms() -> None:
    peer = TextPeer(receiver())
    peer.say(peer.request("INVITE", body=SDP))
    ((after, trying),) = peer.wait(30.0)
    assert isinstance(trying, Response)
    assert (round(after, 6), trying.status, trying.to.tag) == (0.2, 100, None)


def test_the_200_is_repeated_until_the_ack() -> None:
    peer = TextPeer(receiver(hears=lambda call_id: True))  # by its media, it is no forged source
    answer = ring(peer)
    assert answer is not None
    assert [round(after, 6) for after, _ in peer.wait(8.0)] == [0.5, 1.5, 3.5, 7.5]
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert peer.wait(60.0) == []
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert [type(event) for event in calls_of(peer.agent)] == [CallEstablished]


def test_an_ack_with_the_branch_of_the_invite_is_taken_too() -> None:
    peer = TextPeer(receiver())
    answer = ring(peer)
    assert answer is not None
    peer.say(peer.request("ACK", to_tag=answer.to.tag or "", branch="z9hG4bKinvite"))
    assert [type(event) for event in calls_of(peer.agent)] == [CallEstablished]


def test_without_an_ack_the_call_is_hung_up_after_64_t1() -> None:
    peer = TextPeer(receiver(hears=lambda call_id: True))  # by its media, it is no forged source
    ring(peer)
    heard = peer.wait(32.0)
    assert [round(after, 6) for after, _ in heard] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5, 32.0]
    bye = heard[-1][1]
    assert isinstance(bye, Request)
    assert bye.method == "BYE"
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["no-ack"]
    assert peer.say(bye.response(200).serialize()) == []
    peer.wait(100.0)
    assert calls_of(peer.agent) == []
    assert peer.agent.next_timer() is None


def test_who_hangs_up_before_the_ack_says_bye_only_after_it() -> None:
    peer = TextPeer(receiver())
    answer = ring(peer)
    assert answer is not None
    peer.agent.hang_up(peer.call_id, peer.now, {"Reason": "SIP;cause=200"})
    assert peer.hear() == []
    (bye,) = peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert isinstance(bye, Request)
    assert (bye.method, bye.headers.get("Reason")) == ("BYE", "SIP;cause=200")
    peer.say(bye.response(200).serialize())
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["local-bye"]


def test_who_hung_up_while_the_ack_is_missing_is_free_for_the_next_caller() -> None:
    agent = receiver()
    gone = TextPeer(agent)
    ring(gone)
    agent.hang_up(gone.call_id, gone.now)
    assert ring(TextPeer(agent, "10.0.0.10")) is not None


def test_a_program_that_must_end_before_the_ack_says_bye_at_once() -> None:
    peer = TextPeer(receiver())
    ring(peer)
    peer.agent.hang_up(peer.call_id, peer.now)
    peer.agent.send_pending_byes(peer.now)
    assert {message.method for message in peer.hear() if isinstance(message, Request)} == {"BYE"}


def test_a_bye_before_the_ack_ends_the_call() -> None:
    peer = TextPeer(receiver())
    answer = ring(peer)
    assert answer is not None
    assert statuses(peer.say(peer.request("BYE", 2, to_tag=answer.to.tag or ""))) == [200]
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["remote-bye"]
    assert peer.wait(20.0) == []


def test_a_late_offer_is_answered_in_the_ack() -> None:
    peer = TextPeer(receiver())
    peer.say(peer.request("INVITE"))
    (incoming,) = calls_of(peer.agent)
    assert isinstance(incoming, IncomingCall)
    assert incoming.offer == b""
    peer.agent.accept(incoming.call_id, OFFER, peer.now)
    (answer,) = peer.hear()
    assert answer.body == OFFER
    peer.say(peer.request("ACK", to_tag=answer.to.tag or "", body=SDP))
    assert calls_of(peer.agent) == [CallEstablished(incoming.call_id, SDP)]


def hang_up(peer: TextPeer, answer: Response) -> tuple[Request, Address]:
    """The BYE in a call that has this 200, and where it goes."""
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    peer.agent.hang_up(peer.call_id, peer.now)
    ((data, destination),) = peer.agent.messages_to_send(peer.now)
    bye = parse_message(data)
    assert isinstance(bye, Request)
    return bye, destination


def test_the_route_of_a_call_through_proxies_is_kept() -> None:
    peer = TextPeer(receiver())
    route = "Record-Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2:5070;lr>\r\n"
    answer = ring(peer, lines=route)
    assert answer is not None
    assert answer.headers.get_all("Record-Route") == ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2:5070;lr>"]
    bye, destination = hang_up(peer, answer)
    assert str(bye.uri) == "sip:text@10.0.0.9:5099"
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2:5070;lr>"]
    assert destination == Address("udp", "192.0.2.1", 5060)


def test_a_strict_router_gets_its_own_uri_in_the_request_line() -> None:
    peer = TextPeer(receiver())
    answer = ring(peer, lines="Record-Route: <sip:192.0.2.1>, <sip:192.0.2.2;lr>\r\n")
    assert answer is not None
    bye, destination = hang_up(peer, answer)
    assert str(bye.uri) == "sip:192.0.2.1"
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.2;lr>", "<sip:text@10.0.0.9:5099>"]
    assert destination == Address("udp", "192.0.2.1", 5060)


@pytest.mark.parametrize(
    ("contact", "destination"),
    [
        ("<sip:text@10.0.0.77:6000>", ("10.0.0.77", 6000)),
        ("<sip:text@[2001:db8::7]>", ("2001:db8::7", 5060)),
        ("<sip:text@phone.example:6000>", ("10.0.0.9", 5099)),
        ("<sip:text@0.0.0.0:6000>", ("10.0.0.9", 5099)),
    ],
)
def test_requests_go_to_the_contact_or_where_it_is_no_address_to_where_messages_came_from(
    contact: str, destination: tuple[str, int]
) -> None:
    peer = TextPeer(receiver())
    answer = ring(peer, contact=False, lines=f"Contact: {contact}\r\n")
    assert answer is not None
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    peer.agent.hang_up(peer.call_id, peer.now)
    ((_, address),) = peer.agent.messages_to_send(peer.now)
    assert (address.host, address.port) == destination


def test_a_caller_behind_a_nat_is_answered_where_its_packets_come_from() -> None:
    peer = TextPeer(receiver())
    inside = peer.request("INVITE", body=SDP).replace(b"10.0.0.9:5099", b"192.168.1.5:5060")
    peer.say(inside)
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    ((data, address),) = peer.agent.messages_to_send(peer.now)
    assert address == peer.address
    tag = parse_message(data).to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag).replace(b"10.0.0.9:5099", b"192.168.1.5:5060"))
    peer.agent.hang_up(peer.call_id, peer.now)
    ((data, address),) = peer.agent.messages_to_send(peer.now)
    assert address == peer.address
    assert data.startswith(b"BYE sip:text@192.168.1.5:5060 ")


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_change_that_is_refused_does_not_move_the_peer(method: str) -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    moved = peer.request(method, 2, to_tag=tag, body=SDP, contact=False, lines="Contact: <sip:moved@10.0.0.99>\r\n")
    peer.say(moved)
    assert [type(event) for event in calls_of(peer.agent)] == [CallOffered]
    peer.agent.reject(peer.call_id, 488, peer.now)
    peer.hear()
    peer.agent.ping(peer.call_id, peer.now)
    (options,) = requests_of(peer)
    assert str(options.uri) == "sip:text@10.0.0.9:5099"
    peer.say(peer.response(options, 200))
    peer.say(moved.replace(b"CSeq: 2", b"CSeq: 3").replace(b"branch=z9hG4bK", b"branch=z9hG4bKagain"))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    peer.hear()
    peer.agent.hang_up(peer.call_id, peer.now)
    assert [str(bye.uri) for bye in requests_of(peer)] == ["sip:moved@10.0.0.99"]


# --- CANCEL -----------------------------------------------------------------------------------------------------------


def test_cancel_before_the_answer_gets_200_and_the_invite_487() -> None:
    peer = TextPeer(receiver())
    peer.say(peer.request("INVITE", body=SDP, branch="z9hG4bKinvite"))
    cancelled, terminated = peer.say(peer.request("CANCEL", branch="z9hG4bKinvite", contact=False))
    assert statuses([cancelled, terminated]) == [200, 487]
    assert str(cancelled.cseq) == "1 CANCEL"
    assert str(terminated.cseq) == "1 INVITE"
    assert cancelled.to.tag == terminated.to.tag
    assert calls_of(peer.agent)[1:] == [CallEnded(peer.call_id, "cancelled", 487, "Request Terminated")]
    peer.say(peer.request("ACK", branch="z9hG4bKinvite", to_tag=terminated.to.tag or ""))
    assert peer.wait(40.0) == []
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    assert peer.hear() == []


def test_cancel_after_the_answer_has_no_effect() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    assert statuses(peer.say(peer.request("CANCEL", branch="z9hG4bKinvite"))) == [200]
    assert calls_of(peer.agent) == []
    assert statuses(peer.say(peer.request("BYE", 2, to_tag=tag))) == [200]


# --- within the call --------------------------------------------------------------------------------------------------


def test_a_repeated_bye_gets_its_200_again_and_a_new_one_481() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    bye = peer.request("BYE", 2, to_tag=tag)
    assert statuses(peer.say(bye) + peer.say(bye)) == [200, 200]
    assert statuses(peer.say(peer.request("BYE", 3, to_tag=tag))) == [481]
    assert len(calls_of(peer.agent)) == 1
    peer.wait(40.0)
    assert statuses(peer.say(peer.request("BYE", 4, to_tag=tag))) == [481]


def test_a_request_older_than_the_last_is_refused_with_500() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    assert statuses(peer.say(peer.request("OPTIONS", 9, to_tag=tag))) == [200]
    assert statuses(peer.say(peer.request("OPTIONS", 8, to_tag=tag))) == [500]
    assert calls_of(peer.agent) == []
    # But a BYE ends the call whatever its number: one forged request would shut out all that the peer may say.
    assert statuses(peer.say(peer.request("BYE", 8, to_tag=tag))) == [200]


def test_hold_and_resume_are_reported_and_answered() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    for number, direction in ((2, b"a=sendonly\r\n"), (3, b"a=sendrecv\r\n")):
        peer.say(peer.request("INVITE", number, to_tag=tag, body=SDP + direction))
        assert calls_of(peer.agent) == [CallOffered(peer.call_id, SDP + direction)]
        peer.agent.accept(peer.call_id, ANSWER, peer.now)
        (answer,) = peer.hear()
        assert isinstance(answer, Response)
        assert (answer.status, answer.to.tag, answer.body) == (200, tag, ANSWER)
        assert len(peer.wait(1.0)) == 1
        peer.say(peer.request("ACK", number, to_tag=tag))
        assert peer.wait(40.0) == []
    assert calls_of(peer.agent) == []


def test_an_offer_while_another_is_open_is_told_to_try_again() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    assert peer.say(peer.request("INVITE", 2, to_tag=tag, body=SDP)) == []
    (answer,) = peer.say(peer.request("INVITE", 3, to_tag=tag, body=SDP))
    assert isinstance(answer, Response)
    assert answer.status == 500
    assert 0 <= int(answer.headers.get("Retry-After") or "") <= 10


def test_an_offer_while_ours_is_open_gets_491() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    peer.agent.reinvite(peer.call_id, OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    assert statuses(peer.say(peer.request("INVITE", 2, to_tag=tag, body=SDP))) == [491]
    (ack,) = peer.say(peer.response(invite, 200, body=SDP))
    assert isinstance(ack, Request)
    assert (ack.method, ack.cseq.number) == ("ACK", invite.cseq.number)
    assert peer.say(peer.response(invite, 200, body=SDP)) == [ack]
    assert calls_of(peer.agent) == [CallReanswered(peer.call_id, SDP)]


def test_our_offer_that_is_refused_with_491_is_made_again() -> None:
    peer = TextPeer(receiver())
    up(peer)
    peer.agent.reinvite(peer.call_id, OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    (ack,) = peer.say(peer.response(invite, 491))
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    heard = [message for _, message in peer.wait(2.0) if isinstance(message, Request)]
    assert heard[0].method == "INVITE"
    assert heard[0].cseq.number == invite.cseq.number + 1


def test_a_cancelled_offer_leaves_the_call_as_it_was() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    peer.say(peer.request("INVITE", 2, to_tag=tag, body=SDP, branch="z9hG4bKsecond"))
    assert statuses(peer.say(peer.request("CANCEL", 2, branch="z9hG4bKsecond"))) == [200, 487]
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    assert peer.hear() == []
    assert statuses(peer.say(peer.request("BYE", 3, to_tag=tag))) == [200]


def test_a_changed_offer_that_nobody_acknowledges_ends_the_call() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    peer.say(peer.request("INVITE", 2, to_tag=tag, body=SDP))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    peer.wait(32.0)
    assert [event.reason for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == ["no-ack"]


def test_a_changed_contact_is_where_requests_go_from_then_on() -> None:
    peer = TextPeer(receiver())
    tag = up(peer)
    peer.address = Address("udp", "10.0.0.10", 7000)
    peer.say(peer.request("INVITE", 2, to_tag=tag, body=SDP))
    peer.wait(PATIENCE)  # nothing responds at the old place
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    peer.hear()
    peer.say(peer.request("ACK", 2, to_tag=tag))
    peer.agent.ping(peer.call_id, peer.now)
    ((_, destination),) = peer.agent.messages_to_send(peer.now)
    assert destination == peer.address


@pytest.mark.parametrize(("status", "alive"), [(200, True), (405, True), (481, False)])
def test_a_ping_shows_a_peer_that_answers_anything_but_481_to_be_alive(status: int, alive: bool) -> None:
    peer = TextPeer(receiver())
    up(peer)
    peer.agent.ping(peer.call_id, peer.now)
    (options,) = peer.hear()
    assert isinstance(options, Request)
    assert options.method == "OPTIONS"
    peer.say(peer.response(options, status))
    expected = (
        PeerAlive(peer.call_id) if alive else CallEnded(peer.call_id, "timeout", 481, options.response(481).reason)
    )
    assert calls_of(peer.agent) == [expected]


@pytest.mark.parametrize("status", [200, 401, 408, 481, 500])
def test_any_answer_to_our_bye_ends_the_call(status: int) -> None:
    peer = TextPeer(receiver())
    up(peer)
    peer.agent.hang_up(peer.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    lines = 'WWW-Authenticate: Digest realm="r",nonce="n"\r\n' if status == 401 else ""
    assert peer.say(peer.response(bye, status, lines=lines)) == []
    assert [(event.reason, event.status) for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == [
        ("local-bye", status)
    ]
    assert CallAnswered not in {type(event) for event in events_of(peer.agent)}
