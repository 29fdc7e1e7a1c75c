"""SIP over reliable transports in virtual time: the timers that do not run, where messages go, what a failure means."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, OFFER, Lab, TextPeer, calls_of, do_nothing
from tests.support.transaction_lab import Bench, request
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallEstablished,
    IncomingCall,
    PeerAlive,
    Request,
    Response,
    UserAgent,
    parse_message,
)
from voip.sip.timers import GIVE_UP, T1
from voip.sip.transaction import FALL_BACK_AFTER, InviteClient, InviteServer, NonInviteClient, NonInviteServer, State

PEER = Address("tcp", "10.0.0.9", 5099)
NEAR, FAR = "10.0.0.1", "10.0.0.2"
LARGE = OFFER + b"a=x\r\n" * 300
LOCAL_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class ByTcp(Bench):
    """One transaction over TCP."""

    def client(self, method: str) -> InviteClient | NonInviteClient:
        kind = InviteClient if method == "INVITE" else NonInviteClient
        transaction = kind(self.wire, request(method, via="SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1"), PEER, self.owner)
        transaction.start(0.0)
        self.collect()
        return transaction

    def collect(self) -> None:
        self.sent += [(self.now, data) for data, _ in self.wire.outbox]
        self.wire.outbox.clear()


def agent_at(host: str = NEAR, **options: object) -> UserAgent:
    def local(remote: Address) -> tuple[str, int]:
        return host, LOCAL_PORTS[remote.protocol]

    return UserAgent(rng=random.Random(3), local=local, **options)  # type: ignore[arg-type]


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_a_request_is_sent_once_and_given_up_by_timers_b_and_f(method: str) -> None:
    bench = ByTcp()
    bench.client(method)
    bench.run(100.0)
    assert bench.times() == [0]
    assert bench.owner.gave_up == [GIVE_UP]


@pytest.mark.parametrize(("method", "status"), [("INVITE", 486), ("BYE", 200)])
def test_a_client_that_was_answered_is_over_at_once(method: str, status: int) -> None:
    bench = ByTcp()
    transaction = bench.client(method)
    bench.answer(transaction, status)
    assert bench.owner.heard == [status]
    assert transaction.state is State.TERMINATED
    assert len(bench.times(b"ACK")) == (method == "INVITE")
    assert len(bench.wire.timers) == 0


def test_a_client_that_was_accepted_takes_the_other_branches_for_timer_m() -> None:
    bench = ByTcp()
    transaction = bench.client("INVITE")
    bench.answer(transaction, 200)
    bench.run(GIVE_UP - 0.1)
    bench.answer(transaction, 200)
    assert bench.owner.heard == [200, 200]
    bench.run(GIVE_UP)
    assert transaction.state is State.TERMINATED


def test_a_refusal_is_not_repeated_and_forgotten_with_its_ack_or_by_timer_h() -> None:
    for acknowledged in (True, False):
        bench = ByTcp()
        server = InviteServer(bench.wire, request("INVITE", via="SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKx"), PEER, 0.0)
        bench.respond(server, 486)
        bench.run(5.0)
        assert bench.times() == [0]
        if acknowledged:
            assert server.acknowledge(5.0)
            assert len(bench.wire.timers) == 0
        bench.run(GIVE_UP)
        assert server.state is State.TERMINATED


def test_another_server_is_over_when_it_has_answered() -> None:
    bench = ByTcp()
    server = NonInviteServer(bench.wire, request("BYE", via="SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKx"), PEER)
    bench.respond(server, 200)
    assert bench.times() == [0]
    assert server.state is State.TERMINATED
    assert len(bench.wire.timers) == 0


def test_a_failed_transport_ends_a_client_at_once_and_an_answered_one_does_not_mind() -> None:
    waiting, answered = ByTcp(), ByTcp()
    first, second = waiting.client("INVITE"), answered.client("INVITE")
    answered.answer(second, 200)
    for transaction in (first, second):
        transaction.transport_failed("refused", 1.0)
    assert (waiting.owner.gave_up, first.failure, first.state) == ([1.0], "refused", State.TERMINATED)
    assert (answered.owner.gave_up, second.state) == ([], State.ACCEPTED)


# --- whole calls ------------------------------------------------------------------------------------------------------


def up(lab: Lab, params: str = ";transport=tcp", scheme: str = "sip") -> tuple[str, list[Address]]:
    """A call from the first phone to the second, that then says BYE; its id and where everything went."""
    near, far = lab.phone(NEAR), lab.phone(FAR)
    call_id = near.call(far, scheme=scheme, params=params)
    lab.run(1.0)
    assert near.names() == ["CallAnswered"], near.events
    assert far.names() == ["IncomingCall", "CallEstablished"]
    far.agent.hang_up(call_id, lab.now)
    lab.run(100.0)
    assert near.names()[-1] == far.names()[-1] == "CallEnded"
    for phone in (near, far):
        phone.check()
        phone.check_empty()
    return call_id, [destination for _, _, destination, _ in lab.trace]


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_call_keeps_to_the_protocol_of_its_target(protocol: str) -> None:
    lab = Lab(listening={NEAR, FAR}, loss=1.0)
    _, destinations = up(lab, f";transport={protocol}")
    assert {destination.protocol for destination in destinations} == {protocol}
    messages = [parse_message(data, stream=True) for *_, data in lab.trace]
    assert [getattr(message, "method", None) or getattr(message, "status", 0) for message in messages] == [
        "INVITE",
        200,
        "ACK",
        "BYE",
        200,
    ]
    assert {message.via[0].protocol for message in messages} == {protocol.upper()}
    contacts = [contact.uri for message in messages for contact in message.contacts]
    assert [getattr(uri, "params", {}).get("transport") for uri in contacts] == [protocol, protocol]


def test_a_sips_call_is_over_tls_and_its_contacts_are_sips() -> None:
    lab = Lab(listening={NEAR, FAR}, loss=1.0)
    _, destinations = up(lab, "", "sips")
    assert {destination.protocol for destination in destinations} == {"tls"}
    contacts = [str(contact.uri) for *_, data in lab.trace for contact in parse_message(data).contacts]
    assert contacts == [f"sips:anonymous@{NEAR}:5060", f"sips:anonymous@{FAR}:5060"]


@pytest.mark.parametrize(("protocol", "status"), [("udp", 416), ("tcp", 416), ("tls", 200)])
def test_a_sips_request_is_served_over_tls_alone(protocol: str, status: int) -> None:
    peer = TextPeer(agent_at(), protocol=protocol)
    (answer,) = peer.say(peer.request("OPTIONS", uri="sips:anyone@10.0.0.1"))
    assert isinstance(answer, Response)
    assert answer.status == status


def test_a_2xx_is_repeated_until_its_ack_over_tcp_too() -> None:
    peer = TextPeer(agent_at(), protocol="tcp")
    peer.say(peer.request("INVITE", body=OFFER))
    (incoming,) = calls_of(peer.agent)
    assert isinstance(incoming, IncomingCall)
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    peer.hear()
    times = [time for time, message in peer.wait(10.0) if isinstance(message, Response)]
    assert times == pytest.approx([0.5, 1.5, 3.5, 7.5])


def test_a_refused_connection_ends_the_call_at_once_and_says_why() -> None:
    lab = Lab()
    near, far = lab.phone(NEAR), lab.phone(FAR)
    near.call(far, params=";transport=tcp")
    lab.run(1.0)
    (end,) = near.ended()
    assert (end.reason, end.phrase) == ("network", "refused")
    assert near.times[-1] - 1000.0 == pytest.approx(lab.delay)
    lab.run(100.0)
    near.check_empty()


def test_what_a_uri_cannot_be_reached_by_is_told() -> None:
    lab = Lab()
    near, far = lab.phone(NEAR), lab.phone(FAR)
    near.call(far, params=";transport=ws")
    lab.run(1.0)
    assert [end.reason for end in near.ended()] == ["network"]


def test_a_redirect_never_leads_from_sips_to_sip() -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tls")
    agent.invite("sips:b@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    moved = invite.response(302, None, "t")
    moved.headers.add("Contact", "<sip:b@10.0.0.7>")
    assert [message.start_line()[:3] for message in peer.say(moved.serialize())] == ["ACK"]
    (end,) = calls_of(agent)
    assert isinstance(end, CallEnded)
    assert (end.reason, end.status) == ("rejected", 302)


# --- large requests (18.1.1) ------------------------------------------------------------------------------------------


def call_with(lab: Lab, offer: bytes) -> tuple[list[Address], list[str]]:
    """Where the INVITEs of a call with this offer went, and what became of it."""
    near, far = lab.phone(NEAR), lab.phone(FAR)
    call_id = near.agent.invite(f"sip:anyone@{FAR}", offer, lab.now)
    near.begun.add(call_id)
    lab.run(5.0)
    near.agent.hang_up(call_id, lab.now)
    lab.run(100.0)
    for phone in (near, far):
        phone.check()
        phone.check_empty()
    invites = [(to, data) for _, source, to, data in lab.trace if data.startswith(b"INVITE")]
    for destination, data in invites:
        assert parse_message(data).via[0].protocol == destination.protocol.upper()
    return [destination for destination, _ in invites], near.names()


def test_a_small_request_goes_by_udp_and_a_large_one_by_tcp() -> None:
    assert call_with(Lab(listening={NEAR, FAR}), OFFER) == (
        [Address("udp", FAR, 5060)],
        ["CallAnswered", "CallEnded"],
    )
    destinations, events = call_with(Lab(listening={NEAR, FAR}), LARGE)
    assert destinations == [Address("tcp", FAR, 5060)]
    assert events == ["CallAnswered", "CallEnded"]


def test_a_request_that_is_a_little_too_large_is_written_with_short_names() -> None:
    """Many telephones know UDP alone."""
    lab = Lab(listening={NEAR, FAR})
    destinations, _ = call_with(lab, OFFER + b"a=x:" + bytes(850) + b"\r\n")
    assert destinations == [Address("udp", FAR, 5060)]
    (invite,) = [data for *_, data in lab.trace if data.startswith(b"INVITE")]
    assert 1250 < len(invite) <= 1300
    assert b"\r\nl: " in invite


def test_a_large_request_goes_by_udp_after_all_where_tcp_is_refused() -> None:
    destinations, events = call_with(Lab(), LARGE)
    assert destinations == [Address("tcp", FAR, 5060), Address("udp", FAR, 5060)]
    assert events == ["CallAnswered", "CallEnded"]


def test_a_large_request_goes_by_udp_after_all_where_tcp_is_swallowed() -> None:
    lab = Lab(dark={FAR})
    destinations, events = call_with(lab, LARGE)
    assert destinations == [Address("tcp", FAR, 5060), Address("udp", FAR, 5060)]
    assert events == ["CallAnswered", "CallEnded"]
    times = [time for time, *_, data in lab.trace if data.startswith(b"INVITE")]
    assert times[1] - times[0] == pytest.approx(FALL_BACK_AFTER)


def test_after_the_fall_back_the_timers_of_udp_run() -> None:
    lab = Lab()
    near = lab.phone(NEAR)
    near.agent.invite(f"sip:anyone@{FAR}", LARGE, lab.now, timeout=60.0)
    lab.run(60.0)
    times = [time - 1000.0 - lab.delay for time, _, to, _ in lab.trace if to.protocol == "udp"]
    assert times == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    (end,) = near.ended()
    assert end.reason == "no-answer"


def test_a_cancel_goes_the_way_that_its_invite_went() -> None:
    lab = Lab()
    near, far = lab.phone(NEAR), lab.phone(FAR, do_nothing)
    call_id = near.agent.invite(f"sip:anyone@{FAR}", LARGE, lab.now)
    lab.run(1.0)
    near.agent.hang_up(call_id, lab.now)
    lab.run(1.0)
    (cancel,) = [parse_message(data) for *_, data in lab.trace if data.startswith(b"CANCEL")]
    invite = [parse_message(data) for *_, data in lab.trace if data.startswith(b"INVITE")][-1]
    assert str(cancel.via[0]) == str(invite.via[0])
    assert cancel.via[0].protocol == "UDP"
    assert [end.reason for end in far.ended()] == ["cancelled"]


# --- connections ------------------------------------------------------------------------------------------------------


def established(peer: TextPeer) -> str:
    """A call of this peer that is up; our tag in it."""
    peer.say(peer.request("INVITE", body=OFFER))
    (incoming,) = calls_of(peer.agent)
    assert isinstance(incoming, IncomingCall)
    peer.agent.accept(incoming.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    assert [type(event) for event in calls_of(peer.agent)] == [CallEstablished]
    return answer.to.tag or ""


def test_answers_and_requests_go_back_by_the_connection_while_it_is_open() -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tcp", port=40_000, listens=5099)
    established(peer)
    assert agent.needs(peer.address)
    agent.ping(peer.call_id, peer.now)
    ((ping, destination),) = agent.messages_to_send(peer.now)
    assert destination == peer.address
    assert b"SIP/2.0/TCP 10.0.0.1:5060;rport;alias;" in ping
    agent.connection_closed(peer.address, peer.now)
    agent.hang_up(peer.call_id, peer.now)
    ((bye, destination),) = agent.messages_to_send(peer.now)
    assert bye.startswith(b"BYE")
    assert destination == Address("tcp", "10.0.0.9", 5099)


@pytest.mark.parametrize(("params", "protocol"), [("", "tcp"), (";transport=udp", "udp"), (";transport=tcp", "tcp")])
def test_a_contact_that_leaves_the_protocol_open_is_reached_as_the_call_was(params: str, protocol: str) -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tcp")
    agent.invite("sip:b@10.0.0.9:5099;transport=tcp", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    data = peer.response(invite, 200, body=ANSWER)
    agent.receive(data.replace(b"5099>\r\n", f"5099{params}>\r\n".encode()), peer.address, peer.now)
    ((ack, destination),) = agent.messages_to_send(peer.now)
    assert ack.startswith(b"ACK")
    assert destination == peer.address._replace(protocol=protocol)


def test_a_proxys_connection_is_not_taken_for_the_peers() -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tcp", port=40_000, listens=5099)
    peer.say(
        peer.request("INVITE", body=OFFER, lines="Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKother\r\n"),
    )
    (incoming,) = calls_of(agent)
    assert isinstance(incoming, IncomingCall)
    agent.accept(incoming.call_id, ANSWER, peer.now)
    (answer,) = peer.hear()
    peer.say(peer.request("ACK", to_tag=answer.to.tag or ""))
    agent.hang_up(peer.call_id, peer.now)
    ((_, destination),) = agent.messages_to_send(peer.now)
    assert destination == Address("tcp", "10.0.0.9", 5099)


def test_an_answer_whose_connection_is_gone_goes_where_the_via_says() -> None:
    for failed in (False, True):
        agent = agent_at()
        peer = TextPeer(agent, protocol="tcp", port=40_000, listens=5099)
        peer.say(peer.request("INVITE", body=OFFER))
        if failed:
            agent.transport_failed(peer.address, peer.now, "reset")
        else:
            agent.connection_closed(peer.address, peer.now)
        agent.accept(peer.call_id, ANSWER, peer.now)
        ((_, destination),) = agent.messages_to_send(peer.now)
        assert destination == Address("tcp", "10.0.0.9", 5099)
        assert set(_sent_within(agent, peer.now, 5 * T1)) == {destination}


def _sent_within(agent: UserAgent, now: float, seconds: float) -> list[Address]:
    end, found = now + seconds, []
    while (due := agent.next_timer()) is not None and due <= end:
        agent.handle_timer(due)
        found += [destination for _, destination in agent.messages_to_send(due)]
    assert found
    return found


def test_a_failure_elsewhere_is_no_matter() -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tcp")
    call_id = agent.invite("sip:b@10.0.0.9:5099;transport=tcp", OFFER, peer.now)
    peer.hear()
    for other in (Address("tcp", "10.0.0.9", 5098), Address("tls", "10.0.0.9", 5099), Address("udp", "10.0.0.9", 5099)):
        agent.transport_failed(other, peer.now, "refused")
    assert calls_of(agent) == []
    agent.transport_failed(peer.address, peer.now, "refused")
    assert calls_of(agent) == [CallEnded(call_id, "network", None, "refused")]


def test_a_call_that_is_up_outlives_its_connection() -> None:
    agent = agent_at()
    peer = TextPeer(agent, protocol="tcp")
    call_id = agent.invite("sip:b@10.0.0.9:5099;transport=tcp", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    peer.say(peer.response(invite, 200, body=ANSWER))
    agent.transport_failed(peer.address, peer.now, "reset")
    agent.ping(call_id, peer.now)
    (ping,) = peer.hear()
    assert isinstance(ping, Request)
    peer.say(peer.response(ping, 200))
    assert [type(event) for event in calls_of(agent)] == [CallAnswered, PeerAlive]


def test_a_message_without_a_length_is_good_in_a_datagram_and_refused_in_a_stream() -> None:
    for protocol, status in (("udp", 200), ("tcp", 400)):
        peer = TextPeer(agent_at(), protocol=protocol)
        data = peer.request("OPTIONS").replace(b"Content-Length: 0\r\n", b"")
        (answer,) = peer.say(data)
        assert isinstance(answer, Response)
        assert answer.status == status


def test_the_name_that_was_dialled_is_the_one_that_a_certificate_has_to_be_for() -> None:
    agent = agent_at()
    agent.invite("sips:b@phone.example", OFFER, 1000.0)
    (asked,) = calls_of(agent)
    agent.resolved(asked.uri, [Address("tls", "10.0.0.9", 5061)], 1000.0)  # type: ignore[union-attr]
    ((_, destination),) = agent.messages_to_send(1000.0)
    assert agent.server_name(destination) == "phone.example"
    assert agent.server_name(Address("tls", "10.0.0.8", 5061)) == "10.0.0.8"


def test_a_public_caller_need_not_be_taken_for_a_forger_where_it_has_connected() -> None:
    copies = {}
    for protocol in ("udp", "tcp"):
        peer = TextPeer(agent_at(), host="8.8.4.4", protocol=protocol)
        peer.say(peer.request("INVITE", body=OFFER))
        peer.agent.accept(peer.call_id, ANSWER, peer.now)
        peer.hear()
        copies[protocol] = len(peer.wait(20.0))
    assert copies["udp"] < copies["tcp"]
