"""The proxy by RFC 3261 section 16, step by step, with telephones made of text."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import DOMAIN, HERE, REALM, Scene, Telephone, credentials, register, status_of
from voip.directory.location import MAX_CONTACTS
from voip.directory.proxy import MAX_BREADTH
from voip.directory.response_context import TIMER_C
from voip.sip import Address, Request, Response
from voip.sip.message import DEFAULT_MAX_FORWARDS
from voip.sip.timers import GIVE_UP

BOB, ALICE = "127.0.0.9", "127.0.0.8"


class Called(Scene):
    """Bob at one telephone, and alice who calls him."""

    def __init__(self, protocol: str = "udp", callers: str = "udp", **more: object) -> None:
        super().__init__("bob", "alice", **more)  # type: ignore[arg-type]
        self.bob = self.register("bob", BOB, 5070, protocol)
        self.alice = self.phone("alice", ALICE, 5080, callers)

    def call(self, *lines: str, **more: object) -> Request:
        """Alice's INVITE, as it comes to Bob."""
        self.say(self.alice, self.alice.invite("bob", *lines, call_id="call", **more))
        return self.request_to(self.bob)

    def answered(self, invite: Request, code: int = 200) -> Response:
        self.say(self.bob, self.bob.respond(invite, code))
        (response,) = self.heard(self.alice)
        assert isinstance(response, Response)
        return response


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


# --- several contacts -----------------------------------------------------------------------------------------------


class Forked(Scene):
    """Bob at so many telephones, of this preference each."""

    def __init__(self, *qualities: float, method: str = "INVITE") -> None:
        super().__init__("bob", "alice")
        self.phones = [self.phone("bob", BOB, 5070 + number) for number, _ in enumerate(qualities)]
        for phone, q in zip(self.phones, qualities, strict=True):
            line = f"Contact: <sip:bob@{BOB}:{phone.source.port}>;q={q}"
            assert status_of(self.ask(phone, register(phone, line, contact=False))) == 200
        self.alice = self.phone("alice", ALICE, 5080)
        self.say(self.alice, self.alice.request(method, f"sip:bob@{DOMAIN}", call_id="call", branch="z9hG4bKcall"))

    def invites(self) -> list[Request | None]:
        """What each has got."""
        found: list[Request | None] = []
        for phone in self.phones:
            heard = [each for each in self.heard(phone) if isinstance(each, Request)]
            assert len(heard) <= 1
            found.append(heard[0] if heard else None)
        return found

    def respond(self, number: int, request: Request | None, code: int, *lines: str) -> None:
        assert request is not None
        phone = self.phones[number]
        self.say(phone, phone.respond(request, code, *lines))

    def methods(self, number: int) -> list[str]:
        return [each.method for each in self.heard(self.phones[number]) if isinstance(each, Request)]


def test_all_contacts_ring_and_when_one_answers_the_others_stop() -> None:
    scene = Forked(1.0, 1.0, 1.0)
    invites = scene.invites()
    branches = {each.via[0].branch for each in invites if each is not None}
    assert len(branches) == 3
    for number in (0, 1):
        scene.respond(number, invites[number], 180)
    assert scene.statuses(scene.alice) == [180, 180]
    scene.respond(1, invites[1], 200)
    assert scene.statuses(scene.alice) == [200]
    assert [scene.methods(number) for number in range(3)] == [["CANCEL"], [], []]
    scene.respond(2, invites[2], 180)  # it was not heard before
    assert scene.methods(2) == ["CANCEL"]
    for number in (0, 2):
        scene.respond(number, invites[number], 487)
        assert scene.methods(number) == ["ACK"]
    assert 487 not in scene.statuses(scene.alice)
    scene.wait(GIVE_UP + 6)
    assert scene.at_rest()


def test_two_that_answer_at_the_same_time_both_reach_the_caller() -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    for number in (0, 1):
        scene.respond(number, invites[number], 200)
    first, second = scene.heard(scene.alice)
    assert {first.to.tag, second.to.tag} == {"tag-bob-5070", "tag-bob-5071"}


@pytest.mark.parametrize(
    ("codes", "best"),
    [
        ((486, 404), 486),
        ((480, 486), 486),
        ((408, 480), 408),
        ((486, 302), 302),
        ((503, 486), 486),
        ((500, 486), 486),
        ((500, 503), 500),
        ((486, 415), 415),
        ((404, 600), 600),
        ((503, 503), 500),
    ],
)
def test_the_best_of_their_refusals_goes_back_when_all_are_there(codes: tuple[int, int], best: int) -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    for number, code in enumerate(codes):
        assert scene.statuses(scene.alice) == []
        scene.respond(number, invites[number], code)
    assert scene.statuses(scene.alice) == [best]


def test_one_that_declines_for_all_stops_the_others() -> None:
    scene = Forked(1.0, 1.0, 0.5)
    invites = scene.invites()
    scene.respond(0, invites[0], 180)
    scene.heard(scene.alice)
    scene.respond(1, invites[1], 603)
    assert "CANCEL" in scene.methods(0)
    assert scene.statuses(scene.alice) == []
    scene.respond(0, invites[0], 487)
    assert scene.statuses(scene.alice) == [603]
    assert scene.methods(2) == []


def test_the_challenges_of_all_are_gathered() -> None:
    scene = Forked(1.0, 1.0)
    invites = scene.invites()
    scene.respond(0, invites[0], 401, 'WWW-Authenticate: Digest realm="a", nonce="1"')
    scene.respond(1, invites[1], 407, 'Proxy-Authenticate: Digest realm="b", nonce="2"')
    (response,) = scene.heard(scene.alice)
    assert response.headers.lines("WWW-Authenticate") == ['Digest realm="a", nonce="1"']
    assert response.headers.lines("Proxy-Authenticate") == ['Digest realm="b", nonce="2"']


def test_those_of_a_lower_preference_are_tried_after_the_others() -> None:
    scene = Forked(0.2, 0.9, 0.9)
    low, *high = scene.invites()
    assert low is None
    scene.respond(1, high[0], 486)
    assert scene.invites()[0] is None
    scene.respond(2, high[1], 404)
    (invite,) = [each for each in scene.heard(scene.phones[0]) if isinstance(each, Request)]
    scene.respond(0, invite, 200)
    assert scene.statuses(scene.alice) == [200]


def test_a_cancel_stops_all_and_no_more_are_tried() -> None:
    scene = Forked(1.0, 1.0, 0.1)
    invites = scene.invites()
    for number in (0, 1):
        scene.respond(number, invites[number], 180)
    scene.say(scene.alice, scene.alice.request("CANCEL", f"sip:bob@{DOMAIN}", call_id="call", branch="z9hG4bKcall"))
    assert [scene.methods(number) for number in range(3)] == [["CANCEL"], ["CANCEL"], []]
    for number in (0, 1):
        scene.respond(number, invites[number], 487)
    assert scene.statuses(scene.alice) == [180, 180, 200, 487]
    assert scene.methods(2) == []


def test_of_a_text_to_several_the_first_answer_goes_back_alone() -> None:
    scene = Forked(1.0, 1.0, method="MESSAGE")
    requests = scene.invites()
    for number in (0, 1):
        scene.respond(number, requests[number], 200)
    assert scene.statuses(scene.alice) == [200]
    assert [scene.methods(number) for number in (0, 1)] == [[], []]


def test_the_breadth_of_a_request_is_shared_out_and_ends() -> None:
    scene = Forked(1.0, 1.0)
    assert [each.headers.get("Max-Breadth") for each in scene.invites() if each] == [str(MAX_BREADTH // 2)] * 2
    request = scene.alice.request("OPTIONS", f"sip:bob@{DOMAIN}", "Max-Breadth: 1")
    assert scene.ask(scene.alice, request).status == 440
    assert MAX_CONTACTS <= MAX_BREADTH


# --- Route (16.4) ---------------------------------------------------------------------------------------------------


def test_a_route_to_us_is_taken_out_and_the_name_decides() -> None:
    scene = Called()
    assert scene.call(f"Route: <sip:{HERE};lr>").routes == []


@pytest.mark.parametrize(
    "route",
    [
        "<sip:elsewhere.test;lr>",
        f"<sip:{HERE};lr>, <sip:elsewhere.test;lr>",
        f"<sip:forged@{HERE};lr>, <sip:elsewhere.test;lr>",
    ],
)
def test_a_route_to_others_is_no_way_through_here(route: str) -> None:
    scene = Called()
    assert scene.ask(scene.alice, scene.alice.invite("bob", f"Route: {route}")).status == 403


@pytest.mark.parametrize("token", ["", "forged@", "dWRwIDUwODAgMTI3LjAuMC44@", "%00@", "é@"])
def test_a_route_that_was_not_made_here_leads_nowhere(token: str) -> None:
    scene = Called()
    uri = "sip:victim@127.0.0.77:5060"
    request = scene.alice.request("OPTIONS", uri, f"Route: <sip:{token}{HERE};lr>", to=f"<{uri}>;tag=x")
    assert scene.ask(scene.alice, request).status == 403


def test_what_comes_through_a_strict_router_finds_its_way() -> None:
    scene = Called()
    answer = scene.answered(scene.call())
    first, second = [str(each.uri) for each in reversed(answer.record_routes)]
    contact = str(answer.contacts[0].uri)
    to = answer.headers.lines("To")[0]
    ack = scene.alice.request("ACK", first, f"Route: <{second}>, <{contact}>", call_id="call", to=to)
    scene.say(scene.alice, ack)
    request = scene.request_to(scene.bob)
    assert (str(request.uri), request.routes) == (contact, [])


def test_a_strict_router_behind_us_gets_its_own_uri() -> None:
    scene = Called()
    invite = scene.call()
    scene.say(scene.bob, scene.bob.respond(invite, 200, "Record-Route: <sip:127.0.0.9:5070>"))
    (answer,) = scene.heard(scene.alice)
    route = ", ".join(str(each) for each in [*reversed(answer.record_routes[:2])])
    to = answer.headers.lines("To")[0]
    lines = f"Route: {route}, <sip:127.0.0.9:5070>"
    scene.say(scene.alice, scene.alice.request("BYE", "sip:bob@10.9.9.9", lines, call_id="call", to=to, number=2))
    request = scene.request_to(scene.bob)
    assert (str(request.uri), [str(each.uri) for each in request.routes]) == (
        "sip:127.0.0.9:5070",
        ["sip:bob@10.9.9.9"],
    )


def test_an_ack_that_belongs_to_nothing_goes_nowhere() -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request("ACK", f"sip:bob@{DOMAIN}", to=f"<sip:bob@{DOMAIN}>;tag=x"))
    assert scene.silence()
    assert scene.server.stats.ignored == 1


def test_a_response_that_belongs_to_nothing_goes_nowhere() -> None:
    scene = Called()
    invite = scene.call()
    invite.headers.set("Via", f"SIP/2.0/UDP {HERE};branch=z9hG4bKnothing, SIP/2.0/UDP {ALICE};branch=z9hG4bKcall")
    scene.say(scene.bob, scene.bob.respond(invite, 200))
    assert scene.silence()
    assert scene.server.stats.ignored == 1


def test_over_tls_a_name_is_told_where_the_certificate_has_one() -> None:
    scene = Called("tls", "tls", tls_name="sip.directory.test")
    invite = scene.call()
    assert {each.uri.host for each in invite.record_routes if not isinstance(each.uri, str)} == {"sip.directory.test"}


def test_a_secure_name_is_called_over_tls_alone() -> None:
    scene = Called("udp", "tls")
    request = scene.alice.request("INVITE", f"sips:bob@{DOMAIN}")
    assert scene.ask(scene.alice, request).status == 480
    secure = scene.register("bob", BOB, 5075, "tls")
    scene.say(scene.alice, scene.alice.request("INVITE", f"sips:bob@{DOMAIN}"))
    invite = scene.request_to(secure)
    assert {each.uri.scheme for each in invite.record_routes if not isinstance(each.uri, str)} == {"sips"}


# --- who may call ---------------------------------------------------------------------------------------------------


def asking() -> tuple[Scene, Telephone, Telephone]:
    """A directory that asks callers for passwords, bob and alice."""
    scene = Scene(passwords={"bob": "his", "alice": "hers"}, asks_callers=True)
    bob, alice = scene.phone("bob", BOB, 5070), scene.phone("alice", ALICE, 5080)
    challenge = scene.ask(bob, register(bob))
    scene.ask(bob, register(bob, credentials(challenge, "bob", "his", "REGISTER"), number=2))
    return scene, bob, alice


def test_a_caller_is_asked_for_its_password_only_if_the_directory_is_told_to() -> None:
    scene, bob, alice = asking()
    challenge = scene.ask(alice, alice.invite())
    assert challenge.status == 407
    line = credentials(challenge, "alice", "hers", "INVITE")
    scene.say(alice, alice.invite("bob", line, number=2))
    invite = scene.request_to(bob)
    assert "Proxy-Authorization" not in invite.headers  # nobody else's business


def test_credentials_for_other_realms_stay() -> None:
    scene, bob, alice = asking()
    challenge = scene.ask(alice, alice.invite())
    other = f'Proxy-Authorization: Digest username="a", realm="not {REALM}", nonce="1", uri="sip:x", response="2"'
    scene.say(alice, alice.invite("bob", other, credentials(challenge, "alice", "hers", "INVITE"), number=2))
    assert len(scene.request_to(bob).headers.lines("Proxy-Authorization")) == 1


def test_nobody_calls_in_the_name_of_another() -> None:
    scene, _, _ = asking()
    mallory = scene.phone("mallory", "127.0.0.66", 5066)
    in_her_name = mallory.invite("bob").replace(
        f"From: <sip:mallory@{mallory.says.address}>".encode(), f"From: <sip:alice@{DOMAIN}>".encode()
    )
    challenge = scene.ask(mallory, in_her_name)
    line = credentials(challenge, "bob", "his", "INVITE")
    again = in_her_name.replace(b"Max-Forwards", line.encode() + b"\r\nMax-Forwards").replace(
        b"branch=", b"branch=z9hG4bK2"
    )
    assert scene.ask(mallory, again).status == 403


@pytest.mark.parametrize("agent", ["friendly-scanner", "sipvicious 0.3"])
def test_a_scanner_gets_no_response(agent: str) -> None:
    scene = Called()
    scene.say(scene.alice, scene.alice.request("OPTIONS", f"sip:100@{DOMAIN}", f"User-Agent: {agent}"))
    assert scene.silence()
    assert scene.server.stats.limited == 1


def test_a_flood_of_a_stranger_is_cut_off_and_a_user_is_not_disturbed() -> None:
    scene = Called()
    stranger = scene.phone("x", "203.0.113.5", 5060)
    for _ in range(1000):
        scene.say(stranger, stranger.request("OPTIONS", f"sip:bob@{DOMAIN}"))
    assert scene.server.stats.limited > 900
    scene.heard(scene.bob)
    assert scene.call().method == "INVITE"


def test_what_cannot_be_read_is_refused_where_it_can_be() -> None:
    scene = Called()
    broken = scene.alice.invite().replace(b"\r\nTo: ", b"\r\nMax-Forwards: 1\r\nTo: ")
    assert scene.ask(scene.alice, broken.replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE")).status == 400
    scene.say(scene.alice, b"no SIP at all, but long enough")
    assert scene.silence()
    assert scene.server.stats.malformed == 2
