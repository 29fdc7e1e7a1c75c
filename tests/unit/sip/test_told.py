"""What is dropped or passed over is told, and not too often."""

from __future__ import annotations

import pytest

from tests.support.sip_lab import ANSWER, TextPeer, calling, events_of, text_agent
from voip.sip import (
    CallAnswered,
    CallEstablished,
    CallOffered,
    FieldsPassedOver,
    IncomingCall,
    MessageUnreadable,
    Request,
    RequestEchoed,
)

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"


def test_a_response_of_ours_that_cannot_be_read_is_told() -> None:
    peer, invite = calling()
    bad = peer.response(invite, 200, body=ANSWER).replace(b"CSeq: 1", b"CSeq: one")
    peer.say(bad)
    assert events_of(peer.agent) == [
        MessageUnreadable(peer.address, "SIP/2.0 200 OK", "malformed CSeq 'one INVITE'", expected=True)
    ]
    stranger = TextPeer(peer.agent, "10.0.0.66")
    stranger.say(bad.replace(invite.via[0].branch.encode() if invite.via[0].branch else b"", b"z9hG4bKother"))
    stranger.say(b"GET / HTTP/1.1\r\n\r\n")
    told = events_of(peer.agent)
    assert [(e.start, e.expected) for e in told if isinstance(e, MessageUnreadable)] == [
        ("SIP/2.0 200 OK", False),
        ("GET / HTTP/1.1", False),
    ]
    assert peer.agent.stats.malformed == 3


def test_a_peer_that_sends_our_request_back_is_an_echo_and_no_caller() -> None:
    peer, invite = calling()
    assert peer.say(invite.serialize()) == []
    assert events_of(peer.agent) == [RequestEchoed(peer.address, invite.start_line()[:60])]
    assert peer.agent.stats.ignored == 1
    sent = peer.say(peer.response(invite, 200, body=ANSWER))  # a forged echo ends nothing
    assert [message.method for message in sent if isinstance(message, Request)] == ["ACK"]


def test_a_request_that_a_proxy_sends_back_to_us_is_no_echo() -> None:
    peer, invite = calling()
    via = b"Via: SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bKproxy\r\nVia:"
    looped = invite.serialize().replace(b"Via:", via, 1)
    peer.say(looped)
    assert not any(isinstance(event, RequestEchoed) for event in events_of(peer.agent))


def test_what_responds_without_sip_where_a_response_is_awaited_is_told() -> None:
    peer, _ = calling()
    peer.say(b"\xff\x00 what is this?")
    (told,) = events_of(peer.agent)
    assert isinstance(told, MessageUnreadable)
    assert (told.not_sip, told.expected) == (True, False)
    TextPeer(peer.agent, "10.0.0.66").say(b"what is this?")
    (other,) = events_of(peer.agent)
    assert isinstance(other, MessageUnreadable)
    assert not other.not_sip


def test_of_a_flood_of_garbage_a_few_are_told_and_all_are_counted() -> None:
    peer = TextPeer(text_agent())
    told = 0
    for number in range(1000):
        peer.say(b"SIP/2.0 200 OK\r\n\r\n", 1000.0 + number / 10)
        told += len(events_of(peer.agent))
    assert 10 <= told <= 14
    assert peer.agent.stats.malformed == 1000


def test_what_is_passed_over_is_told_and_counted_and_the_call_comes_up() -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=SDP, lines="X Call Type: inbound\r\nnonsense\r\n"))
    problems = ("no header field: 'X Call Type: inbound'", "no header field: 'nonsense'")
    passed, incoming = events_of(peer.agent)
    assert passed == FieldsPassedOver(peer.address, "INVITE sip:anyone@10.0.0.1 SIP/2.0", problems)
    assert isinstance(incoming, IncomingCall)
    assert peer.agent.stats.passed_over == 2


@pytest.mark.parametrize(
    "line",
    [
        "Call Quality: good",
        "nonsense",
        "Max-Forwards: -1",
        'Call-Info: <http://"x>;;=',
        'P-Asserted-Identity: "Anna <sip:1@@x>',
        "Record-Route: <sip:p;lr",
        "Session-Expires: soon",
        "Retry-After: never",
        "Allow: ,,;",
        "Require: ,",
    ],
)
@pytest.mark.parametrize("status", [180, 200])
def test_a_call_is_set_up_whatever_field_of_a_response_is_bent(status: int, line: str) -> None:
    peer, invite = calling()
    for each in (180, 200):
        sent = peer.say(
            peer.response(invite, each, lines=f"{line}\r\n" if each == status else "", body=ANSWER * (each == 200))
        )
    assert [message.method for message in sent if isinstance(message, Request)] == ["ACK"]
    assert any(isinstance(event, CallAnswered) for event in events_of(peer.agent))


def test_a_two_hundred_without_a_contact_that_can_be_read_is_acknowledged_where_the_invite_went() -> None:
    peer, invite = calling()
    data = peer.response(invite, 200, body=ANSWER).replace(b"Contact: <sip:text@", b"Contact: <sip:@")
    (ack,) = peer.say(data)
    assert isinstance(ack, Request)
    assert (ack.method, str(ack.uri)) == ("ACK", "sip:text@10.0.0.9:5099")


def test_a_call_is_put_on_hold_without_a_contact() -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=SDP))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in events_of(peer.agent)] == [IncomingCall, CallEstablished]
    for number, contact in ((2, ""), (3, "Contact: <sip:@>\r\n"), (4, "Contact: <tel:+1>\r\n")):
        peer.say(peer.request("INVITE", number, to_tag=tag, contact=False, lines=contact, body=SDP))
        assert CallOffered(peer.call_id, SDP) in events_of(peer.agent)
        peer.agent.accept(peer.call_id, ANSWER, peer.now)
        (ok,) = peer.hear()
        assert ok.body == ANSWER
        peer.say(peer.request("ACK", number, to_tag=tag))
    peer.agent.hang_up(peer.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    assert str(bye.uri) == "sip:text@10.0.0.9:5099"
