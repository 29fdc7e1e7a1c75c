"""The torture test messages of RFC 4475: answered, taken or dropped as the RFC says, and read for what they mean."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.support.sip_lab import ANSWER, TextPeer, calls_of, events_of
from tests.support.torture import CALL, DROPPED, MESSAGES, OUTCOMES, OVER_STREAMS, UNFINISHED, message
from voip.sip import (
    Address,
    CallEstablished,
    IncomingCall,
    Request,
    RequestRefused,
    ResolveUri,
    Response,
    SipUri,
    UserAgent,
    parse_message,
)

HERE = ("10.0.0.1", 5060)


def agent() -> UserAgent:
    return UserAgent(rng=random.Random(7), local=lambda remote: HERE)


def ordinary_call(receiver: UserAgent, now: float) -> None:
    """A call of a telephone that knows how: it comes up and ends."""
    peer = TextPeer(receiver, "10.0.0.77")
    peer.now, peer.call_id, peer.branches = now, f"ordinary{now}", itertools.count(int(now) * 10)
    peer.say(peer.request("INVITE", body=ANSWER))
    receiver.accept(peer.call_id, ANSWER, now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in calls_of(receiver)] == [IncomingCall, CallEstablished]
    (answer,) = peer.say(peer.request("BYE", 2, to_tag=tag))
    assert isinstance(answer, Response)
    assert answer.status == 200
    calls_of(receiver)


def read(name: str) -> Request:
    request = parse_message(message(name))
    assert isinstance(request, Request)
    return request


def answer(name: str, protocol: str = "udp") -> Response | None:
    """What one of us answers to this message; None if nothing."""
    receiver = agent()
    receiver.receive(message(name), Address(protocol, "10.0.0.9", 5060), 1000.0)
    for event in calls_of(receiver):
        assert isinstance(event, IncomingCall)
        receiver.accept(event.call_id, ANSWER, 1000.0)
    sent = receiver.messages_to_send(1000.0)
    assert len(sent) <= 1
    if not sent:
        return None
    # Always back to the sender, whatever host the message claims to be from.
    assert sent[0][1][:2] == (protocol, "10.0.0.9")
    response = parse_message(sent[0][0])
    assert isinstance(response, Response)
    return response


def test_all_messages_are_here() -> None:
    assert len(OUTCOMES) == 49
    assert {path.stem for path in MESSAGES.glob("*.dat")} == set(OUTCOMES)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("name", OUTCOMES)
def test_each_message_is_answered_as_the_rfc_says_and_a_call_works_afterwards(name: str, protocol: str) -> None:
    receiver = agent()
    whole = protocol == "udp" or name in UNFINISHED  # these are more than a framer would let through
    status = OUTCOMES[name].status if whole else OVER_STREAMS.get(name, OUTCOMES[name]).status
    receiver.receive(message(name), Address(protocol, "10.0.0.9", 5060), 1000.0)
    events = events_of(receiver)
    sent = [int(data.split()[1]) for data, _ in receiver.messages_to_send(1000.0)]  # with To and From as malformed
    calls = [event for event in events if isinstance(event, IncomingCall)]
    if OUTCOMES[name].section in ("3.1.1.3", "3.1.1.7", "3.1.2.12") or (name == "inv2543" and status == CALL):
        assert len(calls) == 1
        assert sent == []
        receiver.reject(calls[0].call_id, 486, 1000.0)
    else:
        assert not calls
        assert sent == ([] if status == DROPPED else [status])
        refused = [event.status for event in events if isinstance(event, RequestRefused)]
        assert refused == ([status] if status >= 300 else [])
    events_of(receiver)
    receiver.messages_to_send(1000.0)
    ordinary_call(receiver, 1001.0)
    while (due := receiver.next_timer()) is not None:
        receiver.handle_timer(due)


def test_one_of_us_takes_all_of_them_one_after_the_other() -> None:
    receiver, answered = agent(), []
    for number, name in enumerate(OUTCOMES):
        now = 1000.0 + number
        receiver.receive(message(name), Address("udp", f"10.0.1.{number}", 5060), now)
        for event in events_of(receiver):
            if isinstance(event, IncomingCall):
                receiver.reject(event.call_id, 480, now)
        events_of(receiver)
        answered += [name for data, to in receiver.messages_to_send(now) if to.host == f"10.0.1.{number}"]
        ordinary_call(receiver, now)
        receiver.messages_to_send(now)
    assert set(OUTCOMES) - set(answered) == {name for name, outcome in OUTCOMES.items() if outcome.status == DROPPED}


# --- what the valid ones mean -----------------------------------------------------------------------------------------


def test_wsinv_is_unfolded_and_its_numbers_have_leading_zeros() -> None:
    request = read("wsinv")
    assert (request.to.tag, request.from_.tag, request.from_.display) == ("1918181833n", "98asjd8", 'J Rosenberg \\"')
    assert (request.max_forwards, request.cseq.number, request.cseq.method) == (68, 9, "INVITE")
    vias = [(via.protocol, via.host, via.branch) for via in request.via]
    assert vias == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert request.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert request.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert request.contacts[0].params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert isinstance(request.routes[0].uri, SipUri)
    assert request.routes[0].uri.params == {"lr": None, "unknownwith": "value", "unknown-no-value": None}
    assert request.headers.get("Subject") == ""
    assert len(request.body) == 150


def test_intmeth_has_all_characters_and_comes_back_as_it_went() -> None:
    request = read("intmeth")
    assert request.method == request.cseq.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert request.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert request.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert request.from_.params["fromparam''~+*_!.-%"] == "работающий"
    assert request.from_.tag == "_token~1'+`*%!-."
    assert request.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    response = answer("intmeth")
    assert response is not None
    assert response.headers.lines("To")[0].startswith(request.headers.lines("To")[0])
    for name in ("From", "Call-ID", "CSeq"):
        assert response.headers.lines(name) == request.headers.lines(name)
    assert "INVITE" in response.headers.get_all("Allow")


def test_escapes_stay_escapes() -> None:
    request = read("esc01")
    assert isinstance(request.uri, SipUri)
    assert (request.uri.scheme, request.uri.user, request.uri.host) == (
        "sip",
        "sips%3Auser%40example.com",
        "example.net",
    )
    assert isinstance(request.to.uri, SipUri)
    assert request.to.uri.username == "user"
    contact = request.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert contact.username == "caller"
    assert str(contact) == "sip:cal%6Cer@host5.example.net;%6c%72;n%61me=v%61lue%25%34%31"
    assert b"\0" not in read("escnull").serialize()
    assert [str(contact.uri) for contact in read("escnull").contacts] == [
        "sip:%00@host5.example.com",
        "sip:%00%00@host5.example.com",
    ]
    assert [str(contact.uri) for contact in read("esc02").contacts] == [
        "sip:alias1@host1.example.com",
        "sip:alias3@host3.example.com",
    ]


def test_names_users_and_transports_are_read_as_they_are_meant() -> None:
    assert read("lwsdisp").from_.display == "caller"
    semiuri = read("semiuri").uri
    assert isinstance(semiuri, SipUri)
    assert (semiuri.user, semiuri.params) == ("user;par=u%40example.net", {})
    assert [via.protocol for via in read("transports").via] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]
    assert len(read("longreq").via) == 34
    assert len(read("mpart01").body) == 553
    assert read("mpart01").body.endswith(b"--7a9cbec02ceef655--\r\n")
    unreason = parse_message(message("unreason"))
    assert isinstance(unreason, Response)
    assert unreason.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    noreason = parse_message(message("noreason"))
    assert isinstance(noreason, Response)
    assert (noreason.status, noreason.reason) == (100, "")
    cparam01, cparam02 = (read(name).contacts[0] for name in ("cparam01", "cparam02"))
    assert (cparam01.params, str(cparam01.uri)) == ({"unknownparam": None}, "sip:+19725552222@gw1.example.net")
    assert (cparam02.params, str(cparam02.uri)) == ({}, "sip:+19725552222@gw1.example.net;unknownparam")
    regescrt = read("regescrt").contacts[0].uri
    assert isinstance(regescrt, SipUri)
    assert regescrt.headers == {"Route": "%3Csip:sip.example.com%3E"}


# --- what the answers say ---------------------------------------------------------------------------------------------


def test_all_vias_go_back_in_their_order() -> None:
    for name in ("longreq", "transports", "wsinv"):
        response = answer(name)
        assert response is not None
        assert [(v.protocol, v.host) for v in response.via] == [(v.protocol, v.host) for v in read(name).via]


def test_refusals_say_what_would_do() -> None:
    bext01, invut = answer("bext01"), answer("invut")
    assert bext01 is not None
    assert bext01.headers.get_all("Unsupported") == ["nothingSupportsThis", "nothingSupportsThisEither"]
    assert invut is not None
    assert invut.headers.get_all("Accept") == ["application/sdp"]


def test_two_requests_whose_branches_name_nothing_are_two() -> None:
    peer = TextPeer(agent())
    first = message("badbranch")
    other = first.replace(b"badbranch.sadonfo", b"another.sadonfo")
    receiver = peer.agent
    tags = []
    for data in (first, other, first):
        receiver.receive(data, peer.address, 1000.0)
        ((sent, _),) = receiver.messages_to_send(1000.0)
        tags.append(parse_message(sent).to.tag)
    assert tags[0] == tags[2] != tags[1]


def test_a_caller_of_rfc_2543_without_tag_branch_and_contact_can_be_talked_to() -> None:
    receiver = agent()
    peer = Address("udp", "10.0.0.9", 5060)
    receiver.receive(message("inv2543"), peer, 1000.0)
    (call,) = calls_of(receiver)
    assert isinstance(call, IncomingCall)
    receiver.accept(call.call_id, ANSWER, 1000.0)
    ((data, destination),) = receiver.messages_to_send(1000.0)
    assert destination == peer
    tag = parse_message(data).to.tag
    head = message("inv2543").partition(b"Content-Type")[0].replace(b"INVITE", b"ACK")
    ack = head.replace(b"user=phone\r\nCall-ID", b"user=phone;tag=%s\r\nCall-ID" % (tag or "").encode()) + b"\r\n"
    receiver.receive(ack, peer, 1000.1)
    assert [type(event) for event in calls_of(receiver)] == [ResolveUri, CallEstablished]  # of the maddr in its route
    receiver.hang_up(call.call_id, 1001.0)
    ((data, destination),) = receiver.messages_to_send(1001.0)
    bye = parse_message(data)
    assert isinstance(bye, Request)
    assert (bye.method, bye.to.tag, destination) == ("BYE", None, peer)
    assert [str(route) for route in bye.routes] == ["<sip:+13035551111@ift.client.example.net;user=phone>"]
