"""The calling side against answers as telephones and proxies give them (RFC 3261 sections 8.1, 9.1, 13.2)."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calls_of
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallReanswered,
    CallRinging,
    Credentials,
    EarlyAnswer,
    Event,
    PeerAlive,
    Request,
    Response,
    UserAgent,
    parse_message,
)

CHALLENGE = 'WWW-Authenticate: Digest realm="lab",nonce="4bd1f0d7c5a14c0e",qop="auth",algorithm=MD5\r\n'


def calling(timeout: float = 10.0, target: str = "", **options: object) -> tuple[TextPeer, Request]:
    """A caller, and the INVITE that it sends to the peer."""
    agent = UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 6000), accepts_calls=False, **options)  # type: ignore[arg-type]
    peer = TextPeer(agent)
    agent.invite(target or "sip:text@10.0.0.9:5099", OFFER, peer.now, timeout=timeout, display='A "b"')
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    return peer, invite


def requests(messages: list[Request | Response]) -> list[str]:
    return [message.method for message in messages if isinstance(message, Request)]


def ends(peer: TextPeer) -> list[tuple[str, int | None]]:
    return [(event.reason, event.status) for event in calls_of(peer.agent) if isinstance(event, CallEnded)]


def one(messages: list[Request | Response]) -> Request:
    (message,) = messages
    assert isinstance(message, Request)
    return message


def test_the_invite_has_all_that_the_standard_asks_for() -> None:
    peer, invite = calling()
    assert (invite.method, str(invite.uri), str(invite.cseq)) == ("INVITE", "sip:text@10.0.0.9:5099", "1 INVITE")
    via = invite.via[0]
    assert (via.host, via.port, "rport" in via.params) == ("10.0.0.1", 6000, True)
    assert (via.branch or "").startswith("z9hG4bK")
    assert len((via.branch or "").removeprefix("z9hG4bK")) >= 16  # hex digits: 64 bits
    assert len(invite.from_.tag or "") >= 16
    assert len(invite.call_id) >= 16
    assert invite.to.tag is None
    assert invite.from_.display == 'A "b"'
    assert invite.max_forwards == 70
    assert str(invite.contacts[0].uri) == "sip:anonymous@10.0.0.1:6000"
    assert invite.headers.lines("Allow") == ["INVITE,ACK,BYE,CANCEL,OPTIONS,PRACK,UPDATE,INFO,MESSAGE"]
    assert invite.headers.get_all("Supported") == ["100rel", "timer"]
    assert (invite.content_type, invite.body) == ("application/sdp", OFFER)
    assert b"\r\nContent-Length: 14\r\n" in invite.serialize()
    assert peer.wait(0.4) == []


def test_nothing_in_a_request_can_be_guessed_from_the_one_before() -> None:
    seen: set[str] = set()
    agent = UserAgent(rng=random.Random(1), local=lambda remote: ("10.0.0.1", 6000))
    for _ in range(50):
        agent.invite("sip:10.0.0.9", OFFER, 0.0)
        ((data, _),) = agent.messages_to_send(0.0)
        invite = parse_message(data)
        seen |= {invite.via[0].branch or "", invite.from_.tag or "", invite.call_id}
    assert len(seen) == 150


def test_a_telephone_that_rings_and_answers() -> None:
    peer, invite = calling()
    assert peer.say(peer.response(invite, 100)) == []
    assert peer.say(peer.response(invite, 180)) == []
    assert peer.say(peer.response(invite, 180)) == []
    assert peer.wait(25.0) == []
    ack = one(peer.say(peer.response(invite, 200, body=ANSWER)))
    assert (ack.method, str(ack.cseq), ack.to.tag) == ("ACK", "1 ACK", "theirs")
    assert str(ack.uri) == "sip:text@10.0.0.9:5099"
    assert ack.via[0].branch != invite.via[0].branch
    call_id = invite.call_id
    assert calls_of(peer.agent) == [
        CallRinging(call_id, 180, "Ringing"),
        CallAnswered(call_id, ANSWER, peer.address),
    ]


def test_early_media_makes_no_second_session() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 183, body=ANSWER))
    peer.say(peer.response(invite, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [EarlyAnswer, CallRinging, CallAnswered]


def test_each_repeated_200_gets_the_same_ack() -> None:
    peer, invite = calling()
    answer = peer.response(invite, 200, body=ANSWER)
    acks = [peer.say(answer) for _ in range(4)]
    assert acks == acks[:1] * 4
    assert len(calls_of(peer.agent)) == 1


def test_telephones_that_answer_too_are_acknowledged_and_hung_up_once() -> None:
    peer, invite = calling()
    assert requests(peer.say(peer.response(invite, 200, tag="first"))) == ["ACK"]
    other = peer.response(invite, 200, tag="second")
    ack, bye = peer.say(other)
    assert requests([ack, bye]) == ["ACK", "BYE"]
    assert ack.to.tag == bye.to.tag == "second"
    assert peer.say(other) == [ack]
    assert isinstance(bye, Request)
    peer.say(peer.response(bye, 200))
    assert [type(event) for event in calls_of(peer.agent)] == [CallAnswered]
    for number in range(50):
        peer.say(peer.response(invite, 200, tag=f"t{number}"))
    assert len(peer.agent._core.clients) < 16


def test_a_route_is_followed_from_the_answer_on() -> None:
    peer, invite = calling()
    route = "Record-Route: <sip:192.0.2.2:5070;lr>, <sip:192.0.2.1;lr>\r\n"
    peer.agent.receive(peer.response(invite, 200, lines=route), peer.address, peer.now)
    ((data, destination),) = peer.agent.messages_to_send(peer.now)
    ack = parse_message(data)
    assert ack.headers.get_all("Route") == ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2:5070;lr>"]
    assert destination == Address("udp", "192.0.2.1", 5060)


def test_an_answer_without_a_usable_contact_is_acknowledged_where_the_call_went() -> None:
    for contact in (b"<tel:+4912345>", b"*"):
        peer, invite = calling()
        data = peer.response(invite, 200).replace(b"<sip:text@10.0.0.9:5099>\r\nContent", contact + b"\r\nContent")
        assert str(one(peer.say(data)).uri) == "sip:text@10.0.0.9:5099"


@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("tag", ["tag", "tag=", " ; tag;x=y"])
def test_a_tag_without_a_value_is_not_repeated(status: int, tag: str) -> None:
    peer, invite = calling()
    response = peer.response(invite, status, tag="theirs")
    ack = one(peer.say(response.replace(b"tag=theirs", tag.encode())))
    assert (ack.method, ack.passed_over) == ("ACK", [])
    assert (str(ack.to.uri), "tag" in ack.to.params) == (str(invite.to.uri), False)


@pytest.mark.parametrize("status", [404, 408, 480, 486, 488, 500, 503, 600, 603])
def test_a_refusal_is_acknowledged_and_told(status: int) -> None:
    peer, invite = calling()
    ack = one(peer.say(peer.response(invite, status)))
    assert ack.method == "ACK"
    assert ack.via[0].branch == invite.via[0].branch
    assert peer.say(peer.response(invite, status)) == [ack]
    assert ends(peer) == [("rejected", status)]


# --- redirects --------------------------------------------------------------------------------------------------------


def test_one_redirect_is_followed_with_the_same_call_id_and_the_next_number() -> None:
    peer, invite = calling()
    contact = "Contact: <tel:+49>, <sip:moved@10.0.0.9:7000;method=BYE?Subject=x>\r\n"
    data = peer.response(invite, 302, lines=contact).replace(b"Contact: <sip:text@10.0.0.9:5099>\r\n", b"")
    peer.agent.receive(data, peer.address, peer.now)
    (ack, _), (again, destination) = peer.agent.messages_to_send(peer.now)
    second = parse_message(again)
    assert ack.startswith(b"ACK ")
    assert isinstance(second, Request)
    assert str(second.uri) == "sip:moved@10.0.0.9:7000"
    assert destination == Address("udp", "10.0.0.9", 7000)
    assert (second.call_id, str(second.cseq), second.body) == (invite.call_id, "2 INVITE", OFFER)
    assert str(second.to) == str(invite.to)
    peer.say(peer.response(second, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallAnswered]


def test_a_second_redirect_is_one_too_many() -> None:
    peer, invite = calling()
    _, second = peer.say(peer.response(invite, 302))
    assert isinstance(second, Request)
    assert requests(peer.say(peer.response(second, 302))) == ["ACK"]
    assert ends(peer) == [("redirect-loop", 302)]


def redirected(peer: TextPeer, invite: Request, contacts: str) -> list[Request | Response]:
    """What follows a 302 with these."""
    data = peer.response(invite, 302).replace(
        b"<sip:text@10.0.0.9:5099>\r\nContent", contacts.encode() + b"\r\nContent"
    )
    return peer.say(data)


def tried(peer: TextPeer, invite: Request | Response, status: int) -> list[str]:
    """The places that are called one after the other while each responds with this status."""
    places = []
    while isinstance(invite, Request) and invite.method == "INVITE":
        places.append(str(invite.uri))
        sent = peer.say(peer.response(invite, status))
        invite = sent[-1]
    return places


CONTACTS = "<sip:a@10.0.0.21>;q=0.1, sip:b@10.0.0.22;q=1.00, <sip:c@10.0.0.23>;q=0.9, <tel:+1>, sip:b@10.0.0.22"


def test_the_places_of_a_redirect_are_tried_by_falling_preference() -> None:
    peer, invite = calling()
    _, second = redirected(peer, invite, CONTACTS)
    places = tried(peer, second, 486)
    assert places == ["sip:b@10.0.0.22", "sip:c@10.0.0.23", "sip:a@10.0.0.21"]
    assert ends(peer) == [("rejected", 486)]


def test_the_next_place_is_tried_where_one_does_not_respond() -> None:
    peer, invite = calling()
    redirected(peer, invite, "<sip:a@10.0.0.21>;q=0.5, <sip:b@10.0.0.22>;q=0.4")
    sent = [message for _, message in peer.wait(15.0) if isinstance(message, Request)]
    last = sent[-1]
    assert (last.method, str(last.uri), str(last.cseq)) == ("INVITE", "sip:b@10.0.0.22", "3 INVITE")
    peer.say(peer.response(last, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallAnswered]


def test_who_is_busy_everywhere_is_not_called_elsewhere() -> None:
    peer, invite = calling()
    _, second = redirected(peer, invite, CONTACTS)
    assert len(tried(peer, second, 600)) == 1
    assert ends(peer) == [("rejected", 600)]


def test_redirects_lead_to_four_places_at_most_and_to_none_twice() -> None:
    peer, invite = calling()
    contacts = ", ".join(f"<sip:{number}@10.0.0.21>" for number in range(9))
    _, second = redirected(peer, invite, contacts)
    assert len(tried(peer, second, 404)) == 4
    assert ends(peer) == [("rejected", 404)]

    peer, invite = calling()
    _, second = redirected(peer, invite, "<sip:a@10.0.0.21>, <sip:b@10.0.0.22>")
    assert isinstance(second, Request)
    _, third = redirected(peer, second, "<sip:a@10.0.0.21>, <sip:c@10.0.0.23>;q=0.5")
    assert isinstance(third, Request)
    assert str(third.uri) == "sip:c@10.0.0.23"
    assert tried(peer, third, 480) == ["sip:c@10.0.0.23", "sip:b@10.0.0.22"]
    assert ends(peer) == [("rejected", 480)]


def test_a_preference_that_is_none_counts_as_the_highest() -> None:
    peer, invite = calling()
    _, second = redirected(peer, invite, "<sip:a@10.0.0.21>;q=0.5, <sip:b@10.0.0.22>;q=high, <sip:c@10.0.0.23>;q=nan")
    assert tried(peer, second, 404) == ["sip:b@10.0.0.22", "sip:c@10.0.0.23", "sip:a@10.0.0.21"]


@pytest.mark.parametrize(
    "contacts",
    [
        "<sip:b@10.0.0.22>;q=.5, <sip:a@10.0.0.21>;q=0.9",
        "<sip:b@10.0.0.22>;q=0.1234, <sip:a@10.0.0.21>;q=1.",
        '<sip:b@10.0.0.22>;Q="0.1", sip:a@10.0.0.21;user=phone',
    ],
    ids=["without its zero", "of more digits", "in quotes"],
)
def test_a_preference_is_read_however_it_is_written(contacts: str) -> None:
    peer, invite = calling()
    _, second = redirected(peer, invite, contacts)
    assert tried(peer, second, 404) == ["sip:a@10.0.0.21", "sip:b@10.0.0.22"]


def test_a_user_who_hangs_up_after_a_redirect_calls_nobody_else() -> None:
    peer, invite = calling()
    _, second = redirected(peer, invite, CONTACTS)
    assert isinstance(second, Request)
    peer.say(peer.response(second, 180))
    peer.agent.hang_up(invite.call_id, peer.now)
    assert requests(peer.hear()) == ["CANCEL"]
    assert requests(peer.say(peer.response(second, 487))) == ["ACK"]
    assert [reason for reason, _ in ends(peer)] == ["cancelled"]


def test_a_redirect_to_nowhere_is_a_refusal() -> None:
    for contact in (b"<tel:+4912345>", b"<sip:moved@10.0.0.9;transport=ws>"):
        peer, invite = calling()
        data = peer.response(invite, 302).replace(b"<sip:text@10.0.0.9:5099>\r\nContent", contact + b"\r\nContent")
        assert requests(peer.say(data)) == ["ACK"]
        assert ends(peer) == [("rejected", 302)]


# --- challenges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "asked", "answered"),
    [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")],
)
def test_a_challenge_is_answered_once_with_the_credentials_given(status: int, asked: str, answered: str) -> None:
    peer, invite = calling(credentials=Credentials("alice", "secret"))
    lines = CHALLENGE.replace("WWW-Authenticate", asked)
    ack, second = peer.say(peer.response(invite, status, lines=lines))
    assert requests([ack, second]) == ["ACK", "INVITE"]
    assert isinstance(second, Request)
    proof = second.headers.get(answered) or ""
    assert 'username="alice"' in proof
    assert 'realm="lab"' in proof
    assert "secret" not in proof
    assert (second.call_id, second.from_.tag, str(second.cseq)) == (invite.call_id, invite.from_.tag, "2 INVITE")
    peer.say(peer.response(second, 200, body=ANSWER))
    assert [type(event) for event in calls_of(peer.agent)] == [CallAnswered]
    assert requests(peer.say(peer.response(second, status, lines=lines))) == []


def test_the_ack_of_a_2xx_has_the_credentials_of_its_invite() -> None:
    peer, invite = calling(credentials=Credentials("alice", "secret"))
    _, second = peer.say(peer.response(invite, 401, lines=CHALLENGE))
    assert isinstance(second, Request)
    ack = one(peer.say(peer.response(second, 200)))
    assert ack.headers.get("Authorization") == second.headers.get("Authorization")


def test_a_second_challenge_means_that_the_credentials_are_wrong() -> None:
    peer, invite = calling(credentials=Credentials("alice", "wrong"))
    _, second = peer.say(peer.response(invite, 401, lines=CHALLENGE))
    assert isinstance(second, Request)
    assert requests(peer.say(peer.response(second, 401, lines=CHALLENGE))) == ["ACK"]
    assert ends(peer) == [("rejected", 401)]


@pytest.mark.parametrize("lines", ["", "WWW-Authenticate: Basic realm=x\r\n", "WWW-Authenticate: Digest\r\n"])
def test_a_challenge_that_cannot_be_answered_is_a_refusal(lines: str) -> None:
    peer, invite = calling(credentials=Credentials("alice", "secret"))
    assert requests(peer.say(peer.response(invite, 401, lines=lines))) == ["ACK"]
    assert ends(peer) == [("rejected", 401)]


def test_without_credentials_a_challenge_is_a_refusal() -> None:
    peer, invite = calling()
    assert requests(peer.say(peer.response(invite, 401, lines=CHALLENGE))) == ["ACK"]
    assert ends(peer) == [("rejected", 401)]


def test_credentials_go_only_to_the_host_that_was_dialled_and_only_for_our_own_requests() -> None:
    peer, invite = calling(credentials=Credentials("alice", "secret"))
    data = peer.response(invite, 302).replace(b"<sip:text@10.0.0.9:5099>\r\nContent", b"<sip:x@192.0.2.66>\r\nContent")
    _, second = peer.say(data)
    assert isinstance(second, Request)
    assert requests(peer.say(peer.response(second, 401, lines=CHALLENGE))) == ["ACK"]
    assert ends(peer) == [("rejected", 401)]

    peer, invite = calling(credentials=Credentials("alice", "secret"))
    stranger = parse_message(invite.serialize().replace(b"z9hG4bK", b"z9hG4bKnot"))
    assert isinstance(stranger, Request)
    assert peer.say(peer.response(stranger, 401, lines=CHALLENGE)) == []
    peer.say(peer.response(invite, 200))
    peer.agent.hang_up(invite.call_id, peer.now)
    bye = one(peer.hear())
    forged = peer.response(bye, 407, lines=CHALLENGE.replace("WWW-Authenticate", "Proxy-Authenticate"))
    peer.agent.receive(forged, Address("udp", "192.0.2.66", 5060), peer.now)
    assert peer.hear() == []
    assert all(b"Authorization" not in message.serialize() for _, message in peer.wait(40.0))


ELSEWHERE = "192.0.2.66"


@pytest.mark.parametrize("lines", ["Contact", "Record-Route"])
@pytest.mark.parametrize("tag", ["theirs", "another"])
def test_no_request_of_a_call_carries_credentials_to_a_host_that_the_callee_names(lines: str, tag: str) -> None:
    """The ACK repeats the credentials of its INVITE (22.1), and once did so wherever the 200 sent it."""
    peer, invite = calling(credentials=Credentials("alice", "secret"))
    _, second = peer.say(peer.response(invite, 401, lines=CHALLENGE))
    assert isinstance(second, Request)
    assert "Authorization" in second.headers
    data = peer.response(second, 200, body=ANSWER)
    if lines == "Contact":
        data = data.replace(b"<sip:text@10.0.0.9:5099>\r\nContent", f"<sip:x@{ELSEWHERE}>\r\nContent".encode())
    else:
        data = data.replace(b"\r\nContent", f"\r\nRecord-Route: <sip:{ELSEWHERE};lr>\r\nContent".encode(), 1)
    assert ELSEWHERE.encode() in data
    agent = peer.agent
    agent.receive(data, peer.address, peer.now)
    if tag != "theirs":  # a second telephone that has taken the call: its ACK and BYE are the same kind
        agent.receive(data.replace(b"tag=theirs", b"tag=another"), peer.address, peer.now)
    agent.reinvite(invite.call_id, OFFER, peer.now)
    agent.ping(invite.call_id, peer.now)
    sent = agent.messages_to_send(peer.now)
    agent.hang_up(invite.call_id, peer.now)
    sent += agent.messages_to_send(peer.now)
    elsewhere = [message for message, address in sent if address.host == ELSEWHERE]
    assert {message.split(b" ")[0] for message in elsewhere} >= {b"ACK", b"INVITE", b"OPTIONS"}
    assert all(b"uthorization" not in message for message in elsewhere)


# --- giving up --------------------------------------------------------------------------------------------------------


def test_a_cancel_is_the_image_of_its_invite() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 180))
    peer.agent.hang_up(invite.call_id, peer.now, {"Reason": "SIP;cause=487"})
    cancel = one(peer.hear())
    assert (cancel.method, str(cancel.uri), str(cancel.cseq)) == ("CANCEL", str(invite.uri), "1 CANCEL")
    for name in ("Via", "From", "To", "Call-ID"):
        assert cancel.headers.lines(name) == invite.headers.lines(name)
    assert cancel.headers.get("Reason") == "SIP;cause=487"
    assert peer.say(peer.response(cancel, 200)) == []
    assert requests(peer.say(peer.response(invite, 487))) == ["ACK"]
    assert ends(peer) == [("cancelled", None)]


def test_a_cancel_waits_for_a_provisional_answer_where_the_callee_is_known_to_be_there() -> None:
    peer, invite = calling()
    _, second = peer.say(peer.response(invite, 302))
    assert isinstance(second, Request)
    peer.agent.hang_up(invite.call_id, peer.now)
    assert peer.hear() == []
    assert ends(peer) == []
    assert requests(peer.say(peer.response(second, 100))) == ["CANCEL"]
    peer.say(peer.response(second, 487))
    assert ends(peer) == [("cancelled", None)]


def test_a_cancel_without_a_response_is_sent_once_more_before_the_program_ends() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 180))
    peer.agent.hang_up(invite.call_id, peer.now)
    cancel = one(peer.hear())
    peer.agent.send_pending_byes(peer.now)
    assert one(peer.hear()).serialize() == cancel.serialize()
    peer.say(peer.response(cancel, 200))
    peer.agent.send_pending_byes(peer.now)
    assert peer.hear() == []


def test_a_telephone_that_takes_the_call_after_all_is_hung_up() -> None:
    peer, invite = calling(timeout=3.0)
    assert requests([message for _, message in peer.wait(3.0)]) == ["INVITE", "INVITE"]
    assert ends(peer) == [("no-answer", None)]
    assert peer.wait(20.0) == []
    ack, bye = peer.say(peer.response(invite, 200))
    assert requests([ack, bye]) == ["ACK", "BYE"]
    assert calls_of(peer.agent) == []


def test_a_telephone_that_begins_to_ring_when_the_caller_has_gone_is_cancelled() -> None:
    peer, invite = calling(timeout=3.0)
    peer.wait(4.0)
    assert requests(peer.say(peer.response(invite, 180))) == ["CANCEL"]
    assert requests(peer.say(peer.response(invite, 487))) == ["ACK"]
    assert ends(peer) == [("no-answer", None)]


@pytest.mark.parametrize(("timeout", "expected"), [(10.0, 35.0), (60.0, 65.0)])
def test_a_telephone_that_rings_has_thirty_seconds_or_the_timeout_if_that_is_longer(
    timeout: float, expected: float
) -> None:
    peer, invite = calling(timeout=timeout)
    peer.say(peer.response(invite, 100))
    assert peer.wait(5.0) == []
    peer.say(peer.response(invite, 180))
    ((after, cancel), *_) = peer.wait(70.0)
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert after == pytest.approx(expected - 5.0)


def test_a_bye_of_the_callee_is_answered_and_stops_the_call() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    peer.tag, peer.call_id = "theirs", invite.call_id
    (answer,) = peer.say(peer.request("BYE", to_tag=invite.from_.tag or ""))
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert ends(peer) == [("remote-bye", None)]


def test_our_change_of_the_session_is_acknowledged_each_time_and_told_once() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    second = one(peer.hear())
    assert (second.method, second.to.tag, second.cseq.number) == ("INVITE", "theirs", 2)
    answer = peer.response(second, 200, body=ANSWER)
    acks = [peer.say(answer) for _ in range(3)]
    assert acks == acks[:1] * 3
    changed: list[Event] = [event for event in calls_of(peer.agent) if isinstance(event, CallReanswered)]
    assert changed == [CallReanswered(invite.call_id, ANSWER)]


@pytest.mark.parametrize("status", [408, 481])
def test_a_change_that_finds_no_call_ends_it(status: int) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    second = one(peer.hear())
    assert requests(peer.say(peer.response(second, status))) == ["ACK", "BYE"]
    assert ends(peer) == [("timeout", status)]


def test_a_callee_that_says_100_to_a_change_and_then_nothing_does_not_keep_the_call_for_ever() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    peer.say(peer.response(one(peer.hear()), 100))
    peer.agent.hang_up(invite.call_id, peer.now)
    bye = one(peer.hear())
    peer.say(peer.response(bye, 200))
    peer.wait(100.0)
    assert peer.agent.next_timer() is None
    assert not peer.agent._core.clients


@pytest.mark.parametrize(
    ("status", "told"),
    [
        *((status, [PeerAlive]) for status in (200, 405, 488, 501, 503)),
        *((status, [CallEnded]) for status in (408, 481)),
    ],
)
def test_a_response_to_options_shows_life_unless_it_says_that_the_dialog_is_gone(status: int, told: list[type]) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    calls_of(peer.agent)
    peer.agent.ping(invite.call_id, peer.now)
    peer.say(peer.response(one(peer.hear()), status))
    assert [type(event) for event in calls_of(peer.agent)] == told
