"""Early media, changes of a session and host names, as telephones and PBXs write them beside the letter of the RFCs.

Early media: RFC 3261 section 13.2.2.1, RFC 3264 section 8, RFC 6337 section 3. Changes: RFC 3261 section 14.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.sip_lab import ANSWER, OFFER, TextPeer, calling, calls_of, text_agent, up
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallOffered,
    CallReanswered,
    CallRinging,
    EarlyAnswer,
    Request,
    ResolveUri,
    Response,
    UserAgent,
    parse_message,
)

OTHER = b"v=0\r\ns=other\r\n"
Change = Callable[[bytes], bytes]


def without(name: str) -> Change:
    """Without the header field of that name."""
    return lambda data: b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(name.encode() + b":"))


def untagged(data: bytes) -> bytes:
    return data.replace(b";tag=theirs", b"")


def replaced(old: str, new: str) -> Change:
    return lambda data: data.replace(old.encode(), new.encode())


def answers(peer: TextPeer) -> list[bytes]:
    """What counts as the answer, early and in the end."""
    return [event.answer for event in calls_of(peer.agent) if isinstance(event, EarlyAnswer | CallAnswered)]


# --- early media ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [untagged, without("Contact"), without("Content-Length"), replaced("183 Session Progress", "183 ")],
    ids=["no tag", "no Contact", "no Content-Length", "no reason"],
)
def test_early_media_of_a_sloppy_183_is_heard_and_the_call_goes_on(change: Change) -> None:
    peer, invite = calling()
    assert peer.say(change(peer.response(invite, 183, body=OTHER))) == []
    (ack,) = peer.say(peer.response(invite, 200, body=ANSWER))
    assert isinstance(ack, Request)
    assert (ack.method, ack.to.tag) == ("ACK", "theirs")
    assert answers(peer) == [OTHER, ANSWER]


@pytest.mark.parametrize("early", [180, 181, 182, 183, 199])
def test_early_media_comes_with_any_provisional_response(early: int) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, early, body=OTHER))
    assert answers(peer) == [OTHER]


def test_a_description_in_a_100_is_none() -> None:
    """It is of the hop, not of the telephone (RFC 3261 section 8.2.6.1)."""
    peer, invite = calling()
    peer.say(peer.response(invite, 100, body=OTHER))
    assert answers(peer) == []


def test_a_200_without_a_description_means_the_one_that_came_early() -> None:
    """Old PBXs, and gateways of ISUP, send it once."""
    peer, invite = calling()
    peer.say(peer.response(invite, 183, body=ANSWER))
    peer.say(peer.response(invite, 200))
    assert answers(peer) == [ANSWER, ANSWER]


def test_descriptions_that_follow_each_other_early_are_each_heard() -> None:
    """An announcement of one server, then the ringing tone of another, then the telephone."""
    peer, invite = calling()
    for body in (OTHER, ANSWER):
        peer.say(peer.response(invite, 183, body=body))
    peer.say(peer.response(invite, 200, body=OTHER))
    assert answers(peer) == [OTHER, ANSWER, OTHER]


def test_ringing_after_early_media_does_not_take_it_away() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 183, body=ANSWER))
    peer.say(peer.response(invite, 180))
    kinds = [type(event) for event in calls_of(peer.agent)]
    assert kinds.count(EarlyAnswer) == 1
    assert CallRinging in kinds
    assert CallEnded not in kinds


def test_early_media_of_a_call_that_is_refused_then_ends() -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 183, body=OTHER))
    (ack,) = peer.say(peer.response(invite, 486))
    assert isinstance(ack, Request)
    assert [event.status for event in calls_of(peer.agent) if isinstance(event, CallEnded)] == [486]


# --- a change of the session ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines", ["", "Contact: *\r\n", "Contact: <tel:+4912345>\r\n", "Contact: nobody\r\n", "m:\r\n"]
)
def test_a_re_invite_without_a_usable_contact_changes_the_session_and_not_the_place(lines: str) -> None:
    peer = TextPeer(text_agent())
    tag = up(peer, OFFER)
    peer.say(peer.request("INVITE", 2, to_tag=tag, body=OTHER, contact=False, lines=lines))
    assert calls_of(peer.agent) == [CallOffered(peer.call_id, OTHER)]
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    assert isinstance(answer, Response)
    assert answer.status == 200
    peer.say(peer.request("ACK", 2, to_tag=tag, contact=False))
    peer.agent.hang_up(peer.call_id, peer.now)
    ((data, destination),) = peer.agent.messages_to_send(peer.now)
    assert destination == peer.address
    assert data.startswith(b"BYE sip:text@10.0.0.9:5099 ")


def test_a_re_invite_without_an_offer_and_without_a_contact_gets_ours() -> None:
    peer = TextPeer(text_agent())
    tag = up(peer, OFFER)
    peer.say(peer.request("INVITE", 2, to_tag=tag, contact=False))
    assert calls_of(peer.agent) == [CallOffered(peer.call_id, b"")]
    peer.agent.accept(peer.call_id, OFFER, peer.now)
    peer.hear()
    peer.say(peer.request("ACK", 2, to_tag=tag, body=ANSWER, contact=False))
    assert [event.answer for event in calls_of(peer.agent) if isinstance(event, CallReanswered)] == [ANSWER]


@pytest.mark.parametrize("change", [without("Contact"), without("Content-Length"), replaced("200 OK", "200 ")])
def test_a_sloppy_200_to_our_change_is_acknowledged_and_counts(change: Change) -> None:
    peer, invite = calling()
    peer.say(peer.response(invite, 200, body=ANSWER))
    calls_of(peer.agent)
    peer.agent.reinvite(invite.call_id, OFFER, peer.now)
    (again,) = peer.hear()
    assert isinstance(again, Request)
    (ack,) = peer.say(change(peer.response(again, 200, body=OTHER)))
    assert isinstance(ack, Request)
    assert (ack.method, str(ack.uri)) == ("ACK", "sip:text@10.0.0.9:5099")
    assert [event.answer for event in calls_of(peer.agent) if isinstance(event, CallReanswered)] == [OTHER]


# --- host names -------------------------------------------------------------------------------------------------------

NAMES = ["phone.example", "Phone.Example", "phone.example.", "sip_gw.example", "gw-1", "xn--tlphone-bya.example"]


@pytest.mark.parametrize("name", NAMES)
def test_a_contact_with_a_host_name_is_looked_up_or_answered_where_the_call_came_from(name: str) -> None:
    peer = TextPeer(text_agent())
    peer.say(peer.request("INVITE", body=OFFER, contact=False, lines=f"Contact: <sip:text@{name}:6000>\r\n"))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = next(each for each in peer.hear() if isinstance(each, Response) and each.status == 200).to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    peer.agent.hang_up(peer.call_id, peer.now)
    ((data, destination),) = peer.agent.messages_to_send(peer.now)
    assert destination == peer.address
    assert data.startswith(f"BYE sip:text@{name}:6000 ".encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_via_with_a_host_name_is_answered_where_the_request_came_from(name: str) -> None:
    """RFC 3261 section 18.2.2 by way of `received`, which section 18.2.1 adds for a name."""
    peer = TextPeer(text_agent())
    request = peer.request("INVITE", body=OFFER).replace(b"UDP 10.0.0.9:5099", f"UDP {name}:6000".encode())
    peer.agent.receive(request, peer.address, peer.now)
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    sent = [(parse_message(data), to) for data, to in peer.agent.messages_to_send(peer.now)]
    assert {to for _, to in sent} == {peer.address}
    assert all(message.via[0].params["received"] == "10.0.0.9" for message, _ in sent)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_with_a_host_name_is_looked_up_once_and_named_in_the_request(name: str) -> None:
    agent = UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060))
    agent.invite(f"sip:bob@{name}", OFFER, 0.0)
    (wanted,) = calls_of(agent)
    assert isinstance(wanted, ResolveUri)
    agent.resolved(wanted.uri, [Address("udp", "10.0.0.9", 5060)], 0.0)
    ((data, destination),) = agent.messages_to_send(0.0)
    assert destination == Address("udp", "10.0.0.9", 5060)
    assert data.startswith(b"INVITE sip:bob@")
    assert name.encode() in data.split(b"\r\n")[0]
