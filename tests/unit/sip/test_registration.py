"""Registrations in virtual time: RFC 3261 section 10, RFC 3581 behind a NAT, RFC 5626 section 4.5 after failures."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.registering import ASK, REGISTRAR, answer, only, refreshed, registering
from tests.support.sip_lab import OFFER, TextPeer, events_of
from voip.sip import (
    Address,
    CallEnded,
    IncomingCall,
    Registered,
    RegistrationFailed,
    Request,
    Response,
    UserAgent,
    parse_message,
)
from voip.sip.auth import parse_credentials


def test_it_is_known_since_when_the_registrar_is_silent() -> None:
    peer, agent = registering()
    began = peer.now
    first = only(peer.hear())
    assert agent.registrar_silent_since == began
    peer.wait(3.0)
    assert agent.registrar_silent_since == began  # copies of the request begin nothing anew
    peer.hear()
    challenged_at = peer.now
    (second,) = answer(peer, first, 401, ASK.format("n1", ""))
    assert agent.registrar_silent_since == pytest.approx(challenged_at, abs=0.1)
    answer(peer, second)
    assert agent.registrar_silent_since is None
    agent.register(peer.now)
    assert agent.registrar_silent_since == peer.now
    (third,) = [message for message in peer.hear() if isinstance(message, Request)]
    answer(peer, third, 503, "")
    assert agent.registrar_silent_since is None


def test_a_registrar_that_is_not_found_yet_is_silent_too_and_one_that_is_left_is_not() -> None:
    peer, agent = registering("sip:pbx.example")
    assert agent.registrar_silent_since == peer.now
    agent.unregister(peer.now)
    assert agent.registrar_silent_since is None
    assert UserAgent(rng=random.Random(1), local=lambda remote: ("10.0.0.1", 5060)).registrar_silent_since is None


def test_a_change_of_address_does_not_wait_for_an_answer_that_goes_to_the_old_one() -> None:
    hosts = ["10.0.0.1"]
    peer, agent = registering(hosts=hosts)
    first = only(peer.hear())
    agent.register(peer.now)
    assert peer.hear() == []  # its answer can still come
    hosts.append("10.0.0.2")
    agent.register(peer.now)
    second = only(peer.hear())
    assert second.cseq.number == first.cseq.number + 1
    assert second.via[0].host == "10.0.0.2"
    answer(peer, second)
    assert events_of(agent) == [Registered("sip:alice@10.0.0.9:5099", 300, "sip:alice@10.0.0.2:6000")]


def test_a_registration_has_all_that_the_standard_asks_for() -> None:
    peer, agent = registering()
    first = only(peer.hear())
    assert str(first.uri) == "sip:10.0.0.9:5099"  # 10.2: the domain, without a user
    assert (str(first.from_.uri), str(first.to.uri)) == ("sip:alice@10.0.0.9:5099", "sip:alice@10.0.0.9:5099")
    assert first.to.tag is None
    assert first.from_.tag
    assert first.headers.lines("Contact") == ["<sip:alice@10.0.0.1:6000>"]
    assert first.headers.get("Expires") == "300"
    again = only(answer(peer, first, 401, ASK.format("n1", "")))  # type: ignore[arg-type]
    assert (again.call_id, again.from_.tag, again.cseq.number) == (first.call_id, first.from_.tag, 2)
    assert parse_credentials(again.headers.get("Authorization") or "").uri == "sip:10.0.0.9:5099"
    assert answer(peer, again) == []
    assert events_of(agent) == [Registered("sip:alice@10.0.0.9:5099", 300, "sip:alice@10.0.0.1:6000")]


def test_it_is_refreshed_in_time_with_the_nonce_that_is_known() -> None:
    delays = []
    peer, _ = registering()
    request = only(answer(peer, only(peer.hear()), 401, ASK.format("n1", "")))  # type: ignore[arg-type]
    for number in range(2, 12):
        proof = parse_credentials(request.headers.get("Authorization") or "")
        assert (proof.nonce, proof.count) == ("n1", number - 1)
        lines = "Contact: <sip:other@10.0.0.77>;expires=9, <sip:alice@10.0.0.1:6000>;expires=60\r\nExpires: 3600\r\n"
        assert answer(peer, request, 200, lines) == []
        delay, request = refreshed(peer, 60.0)
        delays.append(delay)
    assert all(30.0 <= delay <= 54.0 for delay in delays)
    assert max(delays) - min(delays) > 5.0, "not all at the same share of the time"


@pytest.mark.parametrize(
    ("lines", "granted"),
    [
        ("Contact: <sip:alice@10.0.0.1:6000>;expires=7\r\nExpires: 900\r\n", 7),
        ("Contact: <sip:someone@10.0.0.1>;expires=7\r\nExpires: 900\r\n", 900),
        # What a border controller has made of our contact, alone or beside those of other telephones.
        ("Contact: <sip:alice@198.51.100.7:61234>;expires=6\r\n", 6),
        ("Contact: <sip:alice@198.51.100.7:61234>;expires=6\r\nExpires: 900\r\n", 6),
        ("Contact: <sip:alice@198.51.100.9>;expires=3000, <sip:alice@198.51.100.7>;expires=6\r\n", 6),
        ("Contact: <sip:x-1@198.51.100.9>;expires=3000, <sip:x-2@198.51.100.7>;expires=6\r\n", 6),
        ("Contact: <sip:alice@198.51.100.9>;expires=6, <sip:alice@10.0.0.1:6000>;expires=50\r\n", 50),
        ("Contact: <sip:alice@198.51.100.9>;expires=soon\r\n", 300),
        ("Contact: <sip:alice@10.0.0.1:6000;expires=7>\r\n", 7),
        ("Contact: sip:alice@10.0.0.1:6000;EXPIRES=7\r\n", 7),
        ('m: <sip:%61lice@10.0.0.1:6000> ; expires = "7"\r\nExpires: 900\r\n', 7),
        ('Contact: <sip:alice@10.0.0.1:6000>;pub-gruu="sip:a@b;gr=<x>";expires=7\r\n', 7),
        ("Contact: *\r\nExpires: 7 (seconds)\r\n", 7),
        ("Expires: Thu, 01 Dec 2094 16:00:00 GMT\r\n", 300),
        ("", 300),
        ("Expires: tomorrow\r\n", 300),
        ("Expires: 99999999999\r\n", 300),
        ("Expires: 4294967295\r\n", 86400),
    ],
)
def test_the_registrar_says_how_long_it_lasts(lines: str, granted: int) -> None:
    peer, agent = registering()
    answer(peer, only(peer.hear()), 200, lines)
    (event,) = events_of(agent)
    assert isinstance(event, Registered)
    assert event.expires == granted


def test_calls_pass_the_service_route_of_the_registrar_and_registrations_do_not() -> None:
    peer, agent = registering()
    lines = "Expires: 300\r\nService-Route: <sip:edge@10.0.0.51:5071;lr>, <sip:@>, <sip:home@10.0.0.52;lr>\r\n"
    answer(peer, only(peer.hear()), 200, lines)
    events_of(agent)
    for target, routes, place in (
        ("sip:bob@10.0.0.9:5099", ["<sip:edge@10.0.0.51:5071;lr>", "<sip:home@10.0.0.52;lr>"], ("10.0.0.51", 5071)),
        ("sip:bob@10.0.0.77", [], ("10.0.0.77", 5060)),  # the telephone on the desk is not beyond the registrar
    ):
        agent.invite(target, OFFER, peer.now)
        ((data, destination),) = agent.messages_to_send(peer.now)
        invite = parse_message(data)
        assert invite.headers.lines("Route") == routes
        assert destination[1:] == place
    _, again = refreshed(peer, 300.0)
    assert "Route" not in again.headers
    answer(peer, again)  # names none any more
    agent.invite("sip:bob@10.0.0.9:5099", OFFER, peer.now)
    assert [message.headers.lines("Route") for message in peer.hear()] == [[]]


@pytest.mark.parametrize("status", [200, 403, 0])
def test_a_call_waits_for_the_first_response_of_the_registrar_but_not_for_ever(status: int) -> None:
    peer, agent = registering()
    register = only(peer.hear())
    agent.invite("sip:bob@10.0.0.9:5099", OFFER, peer.now)
    assert peer.hear() == []
    if status:
        sent = answer(peer, register, status, "Service-Route: <sip:edge@10.0.0.51;lr>\r\n")
    else:
        heard = [(after, message) for after, message in peer.wait(2.5) if isinstance(message, Request)]
        sent = [message for after, message in heard if message.method == "INVITE" and after >= 2.0]
    invite = sent[0]
    assert invite.method == "INVITE"
    assert ("Route" in invite.headers) == (status == 200)
    agent.invite("sip:carol@10.0.0.9:5099", OFFER, peer.now)
    assert [message.method for message in peer.hear() if isinstance(message, Request)] == ["INVITE"]


def test_a_call_that_is_given_up_before_it_begins_is_never_made() -> None:
    peer, agent = registering()
    register = only(peer.hear())
    call_id = agent.invite("sip:bob@10.0.0.9:5099", OFFER, peer.now)
    agent.hang_up(call_id, peer.now)
    assert answer(peer, register) == []
    assert [event.reason for event in events_of(agent) if isinstance(event, CallEnded)] == ["cancelled"]


def test_a_telephone_that_is_called_by_its_address_does_not_wait_for_the_registrar() -> None:
    peer, agent = registering()
    peer.hear()
    agent.invite("sip:bob@10.0.0.77", OFFER, peer.now)
    assert [message.method for message in peer.hear() if isinstance(message, Request)] == ["INVITE"]


def test_a_registrar_with_patience_is_asked_for_more() -> None:
    peer, agent = registering()
    again = only(answer(peer, only(peer.hear()), 423, "Min-Expires: 1800\r\n"))  # type: ignore[arg-type]
    assert again.headers.get("Expires") == "1800"
    assert answer(peer, again, 423, "Min-Expires: 1800\r\n") == []  # it never has enough
    (event,) = events_of(agent)
    assert isinstance(event, RegistrationFailed)
    assert event.status == 423


def test_a_wrong_password_is_told_and_a_stale_nonce_is_not_one() -> None:
    peer, agent = registering()
    request = only(answer(peer, only(peer.hear()), 401, ASK.format("n1", "")))  # type: ignore[arg-type]
    request = only(answer(peer, request, 401, ASK.format("n2", ",stale=true")))  # type: ignore[arg-type]
    assert parse_credentials(request.headers.get("Authorization") or "").nonce == "n2"
    assert answer(peer, request, 401, ASK.format("n3", "")) == []
    (event,) = events_of(agent)
    assert isinstance(event, RegistrationFailed)
    assert (event.status, event.reason) == (401, "Unauthorized")


def test_it_is_taken_back_at_the_end() -> None:
    peer, agent = registering()
    answer(peer, only(answer(peer, only(peer.hear()), 401, ASK.format("n1", ""))))  # type: ignore[arg-type]
    assert agent.registering
    agent.unregister(peer.now)
    last = only(peer.hear())
    assert (last.headers.get("Expires"), last.headers.lines("Contact")) == ("0", ["<sip:alice@10.0.0.1:6000>"])
    agent.unregister(peer.now)
    agent.register(peer.now)
    assert peer.hear() == []
    agent.send_pending_byes(peer.now)
    assert [message.serialize() for message in peer.hear()] == [last.serialize()]
    last = only(answer(peer, last, 401, ASK.format("n2", "")))  # type: ignore[arg-type]
    assert last.headers.get("Expires") == "0"
    answer(peer, last)
    assert not agent.registering
    peer.wait(60.0)
    assert (len(agent._core.timers), len(agent._core.clients)) == (0, 0)


def test_what_may_be_registered_is_taken_back_and_what_is_not_needs_no_goodbye() -> None:
    peer, agent = registering()
    only(peer.hear())  # its answer is still to come
    agent.unregister(peer.now)
    assert only(peer.hear()).headers.get("Expires") == "0"
    peer.wait(33.0)
    assert not agent.registering
    peer, agent = registering()
    answer(peer, only(peer.hear()), 404, "")
    agent.unregister(peer.now)
    assert (peer.hear(), agent.registering) == ([], False)


def test_behind_a_nat_the_address_that_the_registrar_sees_is_registered() -> None:
    peer, agent = registering()
    first = only(peer.hear())
    first.headers.set("Via", str(first.via[0]).replace(";rport", ";received=192.0.2.1;rport=40000"))
    second = only(answer(peer, first))  # type: ignore[arg-type]
    assert second.headers.lines("Contact") == ["<sip:alice@192.0.2.1:40000>", "<sip:alice@10.0.0.1:6000>;expires=0"]
    second.headers.set("Via", str(second.via[0]).replace(";rport", ";received=192.0.2.1;rport=40001"))
    assert answer(peer, second) == []  # this NAT has another port for each packet: once in a while is enough
    (event,) = events_of(agent)
    assert isinstance(event, Registered)
    assert event.contact == "sip:alice@192.0.2.1:40000"
    agent.invite("sip:bob@10.0.0.9:5099", OFFER, peer.now)  # and calls by that way say so too
    (invite,) = peer.hear()
    assert invite.headers.get("Contact") == "<sip:alice@192.0.2.1:40001>"
    _, third = refreshed(peer, 300.0)
    assert third.headers.lines("Contact") == ["<sip:alice@192.0.2.1:40001>", "<sip:alice@192.0.2.1:40000>;expires=0"]


@pytest.mark.parametrize(("protocol", "transport"), [("tcp", ";transport=tcp"), ("udp", "")])
def test_the_port_of_a_connection_is_no_contact_unless_it_is_a_nats(protocol: str, transport: str) -> None:
    for received, expected in (("10.0.0.1", "10.0.0.1:6000"), ("192.0.2.1", "192.0.2.1:40000")):
        peer, agent = registering(f"sip:10.0.0.9:5099{transport}")
        peer.address = REGISTRAR._replace(protocol=protocol)
        first = only(peer.hear())
        port = "6000" if received == "10.0.0.1" and protocol == "udp" else "40000"
        first.headers.set("Via", str(first.via[0]).replace(";rport", f";received={received};rport={port}"))
        for second in answer(peer, first):
            answer(peer, second)
        (event,) = events_of(agent)
        assert isinstance(event, Registered)
        assert event.contact == f"sip:alice@{expected}{transport}"


def test_a_nats_mapping_is_kept_open_between_refreshes() -> None:
    peer, agent = registering()
    answer(peer, only(peer.hear()), 200, "Expires: 3600\r\n")
    sent, began = [], peer.now
    while (due := agent.next_timer()) is not None and due < began + 600.0:
        agent.handle_timer(due)
        sent += [(due - began, data, destination) for data, destination in agent.messages_to_send(due)]
    assert {(data, destination) for _, data, destination in sent} == {(b"\r\n\r\n", REGISTRAR)}
    assert 20 <= len(sent) <= 25
    peer, agent = registering("sip:10.0.0.9:5099;transport=tcp")  # whose connections have keep-alives of their own
    peer.address = REGISTRAR._replace(protocol="tcp")
    answer(peer, only(peer.hear()))
    peer.now = agent.next_timer() or 0.0
    assert peer.now > began + 149.0


@settings(deadline=None, max_examples=300)
@given(
    st.integers(200, 699),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Expires", "Min-Expires", "Retry-After", "Contact", "WWW-Authenticate", "Authentication-Info"]
            ),
            st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40)
            | st.integers(0, 2**40).map(str)
            | st.sampled_from(["<sip:alice@10.0.0.1:6000>;expires=x", "*", ASK.format("n", ""), 'nextnonce="\\""']),
        ),
        max_size=6,
    ),
)
def test_no_answer_of_a_registrar_breaks_it_or_makes_it_hurry(status: int, fields: list[tuple[str, str]]) -> None:
    peer, agent = registering()
    request = only(peer.hear())
    response = request.response(status, None, "reg")
    for name, value in fields:
        response.headers.add(name, value.strip())
    peer.now += 0.1
    agent.receive(response.serialize(), peer.address, peer.now)
    said = len(agent.messages_to_send(peer.now))
    assert said <= 1
    due = agent.next_timer()
    assert due is not None
    assert due > peer.now
    assert agent.registering


def test_calls_come_through_the_registrar_whoever_else_may_call() -> None:
    peer, agent = registering(allowed=lambda host: False)
    answer(peer, only(peer.hear()))
    events_of(agent)
    peer.say(peer.request("INVITE", body=OFFER))
    assert [type(event) for event in events_of(agent)] == [IncomingCall]
    stranger = TextPeer(agent, "10.0.0.66")
    (refusal,) = stranger.say(stranger.request("INVITE", body=OFFER))
    assert isinstance(refusal, Response)
    assert refusal.status == 403


def test_we_call_in_the_name_of_our_account() -> None:
    peer, agent = registering("sip:10.0.0.9:5099")
    answer(peer, only(peer.hear()))
    agent.invite("sip:bob@10.0.0.9", OFFER, peer.now)  # at home there: its port is the registrar's
    agent.invite("sip:carol@10.0.0.66", OFFER, peer.now)
    (home, here), (away, there) = agent.messages_to_send(peer.now)
    assert (here, there) == (REGISTRAR, Address("udp", "10.0.0.66", 5060))
    assert str(parse_message(home).from_.uri) == str(parse_message(away).from_.uri) == "sip:alice@10.0.0.9:5099"


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_what_is_outside_of_dialogs_passes_the_proxies() -> None:
    peer, agent = registering("sip:pbx.example", ("sip:10.0.0.9:5099", "sip:10.0.0.8;transport=tcp;lr"))
    routes = ["<sip:10.0.0.9:5099;lr>", "<sip:10.0.0.8;transport=tcp;lr>"]
    ((data, destination),) = agent.messages_to_send(peer.now)
    register = parse_message(data)
    assert isinstance(register, Request)
    assert (destination, register.headers.lines("Route"), str(register.uri)) == (REGISTRAR, routes, "sip:pbx.example")
    answer(peer, register)
    agent.invite("sip:bob@elsewhere.example", OFFER, peer.now)
    ((data, destination),) = agent.messages_to_send(peer.now)
    invite = parse_message(data)
    assert isinstance(invite, Request)
    assert (destination, invite.headers.lines("Route")) == (REGISTRAR, routes)
    assert str(invite.uri) == "sip:bob@elsewhere.example"
    (ack,) = [message for message in peer.say(peer.response(invite, 486)) if isinstance(message, Request)]
    assert ack.headers.lines("Route") == routes  # 17.1.1.3


def test_a_cancel_takes_the_way_of_its_invite() -> None:
    peer, agent = registering(proxies=("sip:10.0.0.9:5099",))
    answer(peer, only(peer.hear()))
    call_id = agent.invite("sip:bob@10.0.0.66", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 180))
    agent.hang_up(call_id, peer.now)
    ((data, destination),) = agent.messages_to_send(peer.now)
    cancel = parse_message(data)
    assert (destination, cancel.headers.lines("Route")) == (REGISTRAR, ["<sip:10.0.0.9:5099;lr>"])


RECORDED = "Record-Route: <sip:10.0.0.7:5070;lr>, <sip:10.0.0.9:5099{}>\r\n"


@pytest.mark.parametrize(
    ("first", "uri", "routes"),
    [
        (";lr", "sip:text@10.0.0.9:5099", ["<sip:10.0.0.9:5099;lr>", "<sip:10.0.0.7:5070;lr>"]),
        ("", "sip:10.0.0.9:5099", ["<sip:10.0.0.7:5070;lr>", "<sip:text@10.0.0.9:5099>"]),  # 12.2.1.1: strict
    ],
)
def test_in_a_dialog_the_route_is_what_the_proxies_have_recorded(first: str, uri: str, routes: list[str]) -> None:
    peer, agent = registering(proxies=("sip:10.0.0.9:5099",))
    answer(peer, only(peer.hear()))
    call_id = agent.invite("sip:bob@10.0.0.66", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    sent = []
    agent.receive(peer.response(invite, 200, lines=RECORDED.format(first), body=OFFER), peer.address, peer.now)
    sent += agent.messages_to_send(peer.now)
    agent.reinvite(call_id, OFFER, peer.now)
    sent += agent.messages_to_send(peer.now)
    change = parse_message(sent[-1][0])
    assert isinstance(change, Request)
    agent.receive(peer.response(change, 200, body=OFFER), peer.address, peer.now)  # which records nothing: 12.2.1.2
    sent += agent.messages_to_send(peer.now)
    agent.hang_up(call_id, peer.now)
    sent += agent.messages_to_send(peer.now)
    requests = [parse_message(data) for data, _ in sent]
    assert [request.method for request in requests if isinstance(request, Request)] == ["ACK", "INVITE", "ACK", "BYE"]
    assert {destination for _, destination in sent} == {REGISTRAR}
    for request in requests:
        assert isinstance(request, Request)
        assert (str(request.uri), request.headers.lines("Route")) == (uri, routes)


def test_who_calls_us_through_proxies_is_answered_and_hung_up_through_them() -> None:
    peer, agent = registering()
    answer(peer, only(peer.hear()))
    events_of(agent)
    peer.say(peer.request("INVITE", lines=RECORDED.format(";lr"), body=OFFER))
    (incoming,) = events_of(agent)
    assert isinstance(incoming, IncomingCall)
    agent.accept(incoming.call_id, OFFER, peer.now)
    (ok,) = peer.hear()
    assert isinstance(ok, Response)
    assert [str(route) for route in ok.record_routes] == ["<sip:10.0.0.7:5070;lr>", "<sip:10.0.0.9:5099;lr>"]
    peer.say(peer.request("ACK", to_tag=ok.to.tag or ""))
    agent.hang_up(incoming.call_id, peer.now)
    ((data, destination),) = agent.messages_to_send(peer.now)
    bye = parse_message(data)
    assert destination == Address("udp", "10.0.0.7", 5070)  # 12.1.1: as they stood, the nearest first
    assert bye.headers.lines("Route") == ["<sip:10.0.0.7:5070;lr>", "<sip:10.0.0.9:5099;lr>"]


def test_after_a_redirect_by_way_of_the_proxy_only_the_proxy_is_shown_proof() -> None:
    peer, agent = registering(proxies=("sip:10.0.0.9:5099",))
    answer(peer, only(peer.hear()))
    agent.invite("sip:bob@10.0.0.66", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    asked = 'Proxy-Authenticate: Digest realm="proxy",nonce="{}",qop="auth"{}\r\n'
    *_, second = peer.say(peer.response(invite, 407, lines=asked.format("p1", "")))
    assert isinstance(second, Request)
    moved = peer.response(second, 302).replace(b"Contact: <sip:text@10.0.0.9:5099>", b"Contact: <sip:eve@10.0.0.67>")
    *_, third = peer.say(moved)
    assert isinstance(third, Request)
    assert len(third.headers.lines("Proxy-Authorization")) == 1
    heard = peer.say(peer.response(third, 401, lines=ASK.format("e1", "")))  # relayed from where nobody sent us
    assert [message.method for message in heard if isinstance(message, Request)] == ["ACK"]
