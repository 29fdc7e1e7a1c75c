"""The proxy by RFC 3261 section 16, step by step, with telephones made of text."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import (
    ALICE,
    BOB,
    DOMAIN,
    HERE,
    Called,
    Scene,
    register,
)
from voip.directory.response_context import TIMER_C
from voip.sip import Address, Request, Response
from voip.sip.message import DEFAULT_MAX_FORWARDS
from voip.sip.timers import GIVE_UP

# --- what a request must be like (16.3) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:carol@directory.test", 404),
        ("sip:directory.test", 404),
        ("sip:alice@directory.test", 480),
        ("sip:bob@elsewhere.test", 403),
        ("sip:bob@127.0.0.1:9999", 403),
        ("sip:bob@127.0.0.77", 403),
        ("sip:bob@directory.test;maddr=127.0.0.77", 403),
        ("tel:+123", 416),
    ],
)
def test_what_is_not_for_a_name_of_ours_is_refused(uri: str, status: int) -> None:
    scene = Called()
    assert scene.ask(scene.alice, scene.alice.request("INVITE", uri)).status == status


@pytest.mark.parametrize("uri", ["sip:bob@directory.test", "sip:BOB@127.0.0.1", "sip:%62ob@DIRECTORY.test:5060"])
def test_a_name_is_found_however_it_is_written(uri: str) -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request("OPTIONS", uri))
    assert str(scene.request_to(scene.bob).uri) == f"sip:bob@{BOB}:5070"


def without(data: bytes, line: bytes, instead: bytes = b"") -> bytes:
    assert line in data
    return data.replace(line, instead)


MAX_FORWARDS = b"Max-Forwards: 70\r\n"


def test_max_forwards_goes_down_and_ends_at_0() -> None:
    scene = Called()
    request = scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}")
    scene.say(scene.alice, request)
    assert scene.request_to(scene.bob).max_forwards == 69
    scene.say(scene.alice, without(scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}"), MAX_FORWARDS))
    assert scene.request_to(scene.bob).max_forwards == DEFAULT_MAX_FORWARDS
    last = without(scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}"), MAX_FORWARDS, b"Max-Forwards: 0\r\n")
    assert scene.ask(scene.alice, last).status == 483


def test_a_request_that_comes_back_with_the_same_aim_is_a_loop() -> None:
    scene = Called()
    sent = scene.call()
    back = Request("INVITE", f"sip:bob@{DOMAIN}", sent.headers.copy(), sent.body)
    back.headers.remove("Record-Route")
    via = f"SIP/2.0/UDP {BOB}:5070;branch=z9hG4bKback, {', '.join(sent.headers.lines('Via'))}"
    back.headers.set("Via", via)
    assert scene.ask(scene.bob, back.serialize()).status == 482


def test_a_request_that_comes_back_with_another_aim_is_none() -> None:
    scene = Called()
    scene.register("alice", ALICE, 5081)
    sent = scene.call()
    back = Request("INVITE", f"sip:alice@{DOMAIN}", sent.headers.copy(), sent.body)
    via = f"SIP/2.0/UDP {BOB}:5070;branch=z9hG4bKback, {', '.join(sent.headers.lines('Via'))}"
    back.headers.set("Via", via)
    scene.say(scene.bob, back.serialize())
    assert scene.statuses(scene.bob) == []
    assert scene.request_to(scene.phone("alice", ALICE, 5081)).hops == 4


def test_what_a_proxy_would_have_to_know_is_420() -> None:
    scene = Called()
    request = scene.alice.invite("bob", "Proxy-Require: foo, bar")
    response = scene.ask(scene.alice, request)
    assert (response.status, response.headers.get_all("Unsupported")) == (420, ["foo", "bar"])


def test_what_the_callee_has_to_know_is_none_of_its_business() -> None:
    scene = Called()
    assert scene.call("Require: something-new", "X-Unknown: a, b").headers.get("Require") == "something-new"


def test_options_of_the_directory_itself_are_answered() -> None:
    scene = Called()
    response = scene.ask(scene.alice, scene.alice.request("OPTIONS", f"sip:{DOMAIN}"))
    assert response.status == 200
    assert scene.silence()


# --- what is sent on (16.6) -----------------------------------------------------------------------------------------


def test_the_copy_has_all_that_came_and_what_a_proxy_adds() -> None:
    scene = Called()
    invite = scene.alice.invite("bob", "Subject: hello", "X-Unknown: a, b", call_id="call")
    scene.say(scene.alice, invite)
    copy = scene.request_to(scene.bob)
    assert str(copy.uri) == f"sip:bob@{BOB}:5070"
    assert copy.body == b"v=0\r\n"
    assert [via.host for via in copy.via] == [HERE, ALICE]
    assert copy.via[1].received == ALICE
    assert copy.via[1].rport == 5080
    assert (copy.headers.get("Subject"), copy.headers.get("X-Unknown")) == ("hello", "a, b")
    assert (copy.call_id, copy.cseq.number) == ("call", 1)


def test_a_copy_has_one_via_more_if_an_empty_line_comes_before_the_first() -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.invite("bob").replace(b"Via:", b"Via:\r\nVia:", 1))
    assert [via.received for via in scene.request_to(scene.bob).via] == [None, ALICE]


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "FETCH"])
def test_any_method_passes_known_or_not_and_its_response_comes_back(method: str) -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request(method, f"sip:bob@{DOMAIN}", body=b"hello"))
    request = scene.request_to(scene.bob)
    assert (request.method, request.body) == (method, b"hello")
    scene.say(scene.bob, scene.bob.respond(request, 202, "X-Kept: yes"))
    (response,) = scene.heard(scene.alice)
    assert isinstance(response, Response)
    assert (response.status, response.hops, response.headers.get("X-Kept")) == (202, 1, "yes")
    scene.wait(GIVE_UP + 6)
    assert scene.at_rest()


def test_a_contact_by_name_is_looked_up() -> None:
    scene = Scene("bob")
    bob = scene.phone("bob", BOB, 5070)
    scene.ask(bob, register(bob, "Contact: <sip:bob@phone.test:5070>", contact=False))
    alice = scene.phone("alice", ALICE, 5080)
    scene.say(alice, alice.invite())
    (event,) = [each for each in scene.events if type(each).__name__ == "ResolveUri"]
    scene.server.resolved(event.uri, [bob.source], scene.now)  # type: ignore[union-attr]
    scene.say(alice, b"\r\n")
    assert str(scene.request_to(bob).uri) == "sip:bob@phone.test:5070"


def test_a_contact_that_cannot_be_found_is_not_reachable() -> None:
    scene = Scene("bob")
    bob = scene.phone("bob", BOB, 5070)
    scene.ask(bob, register(bob, "Contact: <sip:bob@phone.test:5070>", contact=False))
    alice = scene.phone("alice", ALICE, 5080)
    scene.say(alice, alice.invite())
    scene.wait(10.2)
    assert scene.statuses(alice) == [100, 500]


# --- a call ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("callers", ["udp", "tcp", "tls"])
def test_a_dialog_goes_through_from_any_transport_to_any_other(callers: str, protocol: str) -> None:
    scene = Called(protocol, callers)
    invite = scene.call()
    assert invite.via[0].protocol == protocol.upper()
    assert scene.answered(invite, 180).status == 180
    answer = scene.answered(invite)
    assert len(answer.record_routes) == 2
    caller_route = [str(each) for each in reversed(answer.record_routes)]
    callee_route = [str(each) for each in invite.record_routes]
    assert f"transport={callers}" in caller_route[0]  # each side is told the transport that it has
    assert f"transport={protocol}" in callee_route[0]
    to = answer.headers.lines("To")[0]
    contact = str(answer.contacts[0].uri)
    for method in ("ACK", "INFO"):
        scene.say(
            scene.alice,
            scene.alice.request(method, contact, f"Route: {', '.join(caller_route)}", call_id="call", to=to, number=2),
        )
        request = scene.request_to(scene.bob)
        assert (request.method, str(request.uri), request.routes) == (method, contact, [])
        assert not request.record_routes
    assert scene.answered(request).status == 200
    bye = scene.bob.request(
        "BYE",
        str(invite.contacts[0].uri),
        f"Route: {', '.join(callee_route)}",
        call_id="call",
        to=invite.headers.lines("From")[0],
    )
    assert scene.server.dialogs.is_in_call("bob")
    scene.say(scene.bob, bye)
    request = scene.request_to(scene.alice)
    assert (request.method, request.routes) == ("BYE", [])
    scene.say(scene.alice, scene.alice.respond(request, 200))
    assert scene.statuses(scene.bob) == [200]
    assert not len(scene.server.dialogs)
    scene.wait(GIVE_UP + 6)
    assert scene.at_rest()


def test_both_sides_behind_nats_are_reached_where_they_came_from() -> None:
    scene = Scene("bob")
    bob = scene.phone("bob", "192.168.1.5", 5060, source=Address("udp", "127.0.0.9", 40_001))
    alice = scene.phone("alice", "192.168.1.5", 5060, source=Address("udp", "127.0.0.8", 40_002))
    scene.ask(bob, register(bob))
    scene.say(alice, alice.invite(call_id="call"))
    invite = scene.request_to(bob)
    scene.say(bob, bob.respond(invite, 200))
    (answer,) = scene.heard(alice)
    assert isinstance(answer, Response)
    route = ", ".join(str(each) for each in reversed(answer.record_routes))
    to = answer.headers.lines("To")[0]
    scene.say(alice, alice.request("ACK", "sip:bob@192.168.1.5:5060", f"Route: {route}", call_id="call", to=to))
    assert scene.request_to(bob).method == "ACK"
    back = ", ".join(str(each) for each in invite.record_routes)
    sender = invite.headers.lines("From")[0]
    scene.say(bob, bob.request("BYE", "sip:alice@192.168.1.5:5060", f"Route: {back}", call_id="call", to=sender))
    assert scene.request_to(alice).method == "BYE"


def test_a_repeated_2xx_goes_back_each_time() -> None:
    scene = Called()
    invite = scene.call()
    for _ in range(3):
        assert scene.answered(invite).status == 200


def test_a_refusal_is_acknowledged_here_and_repeated_until_the_caller_acknowledges() -> None:
    scene = Called()
    invite = scene.call()
    refusal = scene.answered(invite, 486)
    assert refusal.status == 486
    assert scene.request_to(scene.bob).method == "ACK"
    scene.wait(0.6)
    assert scene.statuses(scene.alice) == [486]
    branch = invite.via[1].branch or ""
    uri, to = f"sip:bob@{DOMAIN}", refusal.headers.lines("To")[0]
    scene.say(scene.alice, scene.alice.request("ACK", uri, call_id="call", to=to, branch=branch))
    scene.wait(GIVE_UP + 6)
    assert scene.statuses(scene.alice) == []
    assert scene.statuses(scene.bob) == []
    assert scene.at_rest()


def test_a_copy_of_the_invite_is_not_sent_on_twice() -> None:
    scene = Called()
    invite = scene.alice.invite(call_id="call", branch="z9hG4bKsame")
    scene.say(scene.alice, invite)
    scene.say(scene.alice, invite)
    assert len(scene.heard(scene.bob)) == 1
    scene.wait(0.3)
    assert scene.statuses(scene.alice) == [100]


def test_a_callee_that_is_silent_is_408_and_a_request_that_is_no_invite_gets_nothing() -> None:
    scene = Called()
    scene.call()
    scene.wait(GIVE_UP + 0.2)
    assert scene.statuses(scene.alice) == [100, 408]
    scene.heard(scene.bob)
    scene.say(scene.alice, scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}"))
    scene.heard(scene.alice)
    scene.wait(GIVE_UP + 1)
    assert "OPTIONS" not in {message.cseq.method for message in scene.heard(scene.alice)}


def test_a_callee_that_cannot_be_reached_is_500_at_once() -> None:
    scene = Called("tcp")
    scene.say(scene.alice, scene.alice.invite())
    scene.server.transport_failed(scene.bob.source, scene.now, "refused")
    scene.say(scene.alice, b"\r\n")
    assert scene.statuses(scene.alice) == [500]


def test_a_closed_connection_is_no_end_where_the_contact_can_be_called() -> None:
    scene = Scene("bob")
    source = Address("tcp", BOB, 40_000)
    bob = scene.phone("bob", BOB, 5070, "tcp", source=source)
    scene.ask(bob, register(bob))
    alice = scene.phone("alice", ALICE, 5080)
    scene.say(alice, alice.invite())
    scene.server.transport_failed(source, scene.now, "closed")
    scene.say(alice, b"\r\n")
    direct = scene.phone("bob", BOB, 5070, "tcp")
    assert scene.request_to(direct).method == "INVITE"
    assert scene.request_to(bob).method == "INVITE"


def test_a_503_of_the_callee_is_500_for_the_caller() -> None:
    scene = Called()
    assert scene.answered(scene.call(), 503).status == 500


def test_a_ringing_telephone_is_given_up_at_last() -> None:
    scene = Called()
    invite = scene.call()
    assert scene.answered(invite, 180).status == 180
    scene.wait(TIMER_C - 0.2)
    assert scene.heard(scene.bob) == []
    scene.wait(0.4)
    cancel = scene.request_to(scene.bob)
    assert (cancel.method, cancel.via[0].branch) == ("CANCEL", invite.via[0].branch)
    scene.say(scene.bob, scene.bob.respond(cancel, 200))
    assert scene.answered(invite, 487).status == 487


def test_each_sign_of_life_of_the_callee_begins_timer_c_anew() -> None:
    scene = Called()
    invite = scene.call()
    for _ in range(3):
        assert scene.answered(invite, 180).status == 180
        scene.wait(TIMER_C - 1)
    assert scene.heard(scene.bob) == []


# --- CANCEL ---------------------------------------------------------------------------------------------------------


def cancel(scene: Called, branch: str = "z9hG4bKcall") -> None:
    scene.say(scene.alice, scene.alice.request("CANCEL", f"sip:bob@{DOMAIN}", call_id="call", branch=branch))


def test_a_cancel_is_answered_here_and_sent_on() -> None:
    scene = Called()
    invite = scene.call(branch="z9hG4bKcall")
    assert scene.answered(invite, 180).status == 180
    cancel(scene)
    assert scene.statuses(scene.alice) == [200]
    sent = scene.request_to(scene.bob)
    assert (sent.method, str(sent.uri), sent.via[0].branch) == ("CANCEL", str(invite.uri), invite.via[0].branch)
    assert sent.hops == 1
    scene.say(scene.bob, scene.bob.respond(sent, 200))
    assert scene.answered(invite, 487).status == 487


def test_a_cancel_waits_for_the_first_response_of_the_callee() -> None:
    scene = Called()
    invite = scene.call(branch="z9hG4bKcall")
    cancel(scene)
    assert scene.heard(scene.bob) == []
    scene.heard(scene.alice)
    scene.say(scene.bob, scene.bob.respond(invite, 180))
    assert scene.request_to(scene.bob).method == "CANCEL"
    scene.say(scene.bob, scene.bob.respond(invite, 180))
    assert scene.heard(scene.bob) == []


def test_a_callee_that_answers_all_the_same_is_heard() -> None:
    scene = Called()
    invite = scene.call(branch="z9hG4bKcall")
    scene.answered(invite, 180)
    cancel(scene)
    scene.heard(scene.alice)
    assert scene.answered(invite).status == 200


def test_a_callee_that_does_not_end_the_call_is_given_up() -> None:
    scene = Called()
    invite = scene.call(branch="z9hG4bKcall")
    scene.answered(invite, 180)
    cancel(scene)
    scene.heard(scene.alice)
    scene.wait(GIVE_UP + 1)
    assert scene.statuses(scene.alice)[0] == 487


def test_a_cancel_of_nothing_is_481() -> None:
    scene = Called()
    cancel(scene)
    assert scene.statuses(scene.alice) == [481]
