"""SIP messages between peers and workers: whole user agents behind one `Distributor`, in virtual time."""

from __future__ import annotations

import random

from tests.support.worker_lab import OURS, PBX, SDP
from voip.net import Frame, SendFailed
from voip.sip import Address, CallEnded, CallEstablished, IncomingCall, UserAgent
from voip.sip.guard import REQUEST_BURST, STRANGER_BURST, TRUSTED_BURST
from voip.workers import Distributor, Placement


def invite(call_id: str) -> bytes:
    lines = (
        "INVITE sip:x@10.0.0.9 SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{call_id}",
        "From: <sip:a@10.0.0.1>;tag=1",
        "To: <sip:x@10.0.0.9>",
        f"Call-ID: {call_id}",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
        "Contact: <sip:a@10.0.0.1>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(SDP)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + SDP


class Parent:
    """A distributor and what it has sent to each worker."""

    def __init__(self, *shares: int, trusted: bool = False) -> None:
        self.frames: list[list[Frame]] = [[] for _ in shares]
        self.placement = Placement(shares)
        self.full: set[int] = set()
        self.distributor = Distributor(
            self.placement,
            self._send,
            may_call=lambda host: host.startswith("10."),
            trusted=lambda host: trusted,
            now=lambda: 0.0,
            workers=len(shares),
        )
        for worker in range(len(shares)):
            self.distributor.started(worker)

    def _send(self, worker: int, frame: Frame) -> bool:
        if worker in self.full:
            return False
        self.frames[worker].append(frame)
        return True

    def receive(self, data: bytes, source: Address = PBX, now: float = 0.0) -> list[int]:
        """The workers that got a frame."""
        before = [len(frames) for frames in self.frames]
        self.distributor.receive(data, source, now)
        return [number for number, frames in enumerate(self.frames) if len(frames) > before[number]]


class Site:
    """A parent whose workers are user agents, and a telephone exchange that calls them."""

    def __init__(self, *shares: int) -> None:
        self.parent, self.now = Parent(*shares, trusted=True), 0.0
        self.agents = [self._agent(number, max_calls=share) for number, share in enumerate(shares)]
        self.pbx = UserAgent(rng=random.Random(99), local=lambda remote: (PBX.host, PBX.port), max_calls=99)
        self._handled, self._calls = [0] * len(shares), [frozenset[str]()] * len(shares)
        self.ended: list[CallEnded] = []
        self.answered: list[int] = []

    def _agent(self, number: int, max_calls: int) -> UserAgent:
        return UserAgent(rng=random.Random(number), local=lambda remote: (OURS.host, OURS.port), max_calls=max_calls)

    def call(self) -> str:
        call_id = self.pbx.invite("sip:x@10.0.0.9", SDP, self.now)
        self.run()
        return call_id

    def run(self) -> None:
        """Until nothing is under way."""
        busy = True
        while busy:
            busy = self._exchange()
            for number, agent in enumerate(self.agents):
                busy |= self._work(number, agent)
            for data, address in self.parent.distributor.messages_to_send(self.now):
                busy = True
                assert address == PBX
                self.pbx.receive(data, OURS, self.now)

    def _exchange(self) -> bool:
        messages = self.pbx.messages_to_send(self.now)
        for data, _ in messages:
            self.parent.distributor.receive(data, PBX, self.now)
        while (event := self.pbx.next_event()) is not None:
            if isinstance(event, CallEnded):
                self.ended.append(event)
        return bool(messages)

    def _work(self, number: int, agent: UserAgent) -> bool:
        frames, self.parent.frames[number] = self.parent.frames[number], []
        for (kind, *fields), body in frames:
            assert kind == "message"
            self._handled[number] += 1
            agent.receive(body, Address(*fields), self.now)
        told, acknowledged = [], []
        while (event := agent.next_event()) is not None:
            if isinstance(event, IncomingCall):
                agent.accept(event.call_id, SDP, self.now)
                self.answered.append(number)
            elif isinstance(event, CallEstablished):
                acknowledged.append(event.call_id)
        told += [Frame(("message", *address, ""), data) for data, address in agent.messages_to_send(self.now)]
        calls, before = agent.taking_room, self._calls[number]
        self._calls[number] = calls
        state = Frame(("state", self._handled[number], [*(calls - before)], [*(before - calls)], acknowledged))
        self.parent.distributor.take(number, [*told, state])
        return bool(frames or told)


def test_calls_of_one_exchange_are_shared_and_end_in_both_directions() -> None:
    site = Site(2, 2)
    calls = [site.call() for _ in range(4)]
    assert sorted(site.answered) == [0, 0, 1, 1]
    assert site.parent.placement.calls == [2, 2]
    site.pbx.hang_up(calls[0], site.now)
    site.run()
    assert sum(site.parent.placement.calls) == 3
    ours = next(iter(site.agents[0].taking_room or site.agents[1].taking_room))
    for agent in site.agents:
        agent.hang_up(ours, site.now)  # its BYE gets a response by way of the parent
    site.run()
    assert sum(site.parent.placement.calls) == 2
    assert {event.reason for event in site.ended} == {"local-bye", "remote-bye"}


def test_the_call_beyond_the_sum_of_all_shares_is_busy_and_none_before() -> None:
    site = Site(2, 1)
    for _ in range(3):
        site.call()
    assert site.parent.placement.calls == [2, 1]
    site.call()
    assert [(event.reason, event.status) for event in site.ended] == [("rejected", 486)]
    assert site.parent.placement.calls == [2, 1]


def test_a_call_that_ends_makes_room_for_another() -> None:
    site = Site(1, 1)
    for _ in range(10):
        call = site.call()
        site.pbx.hang_up(call, site.now)
        site.run()
    assert [event.reason for event in site.ended] == ["local-bye"] * 10
    assert {*site.answered} <= {0, 1}


def test_the_calls_of_a_worker_that_died_are_answered_481_by_the_others() -> None:
    site = Site(2, 2)
    call = site.call()
    dead = site.answered[0]
    lost = site.parent.distributor.lost(dead)
    assert lost == tuple(site.agents[dead].taking_room)
    site.agents[dead] = UserAgent(rng=random.Random(7), local=lambda remote: (OURS.host, OURS.port))
    site.pbx.hang_up(call, site.now)
    site.run()
    assert [event.reason for event in site.ended] == ["local-bye"]
    assert site.parent.placement.calls == [0, 0]


def test_new_requests_of_a_host_are_limited_for_all_workers_together() -> None:
    """As by one process: not the limit of each worker, added up."""
    parent = Parent(500, 500)
    passed = sum(bool(parent.receive(invite(f"c{n}"))) for n in range(500))
    assert passed == REQUEST_BURST
    assert parent.distributor.dropped.limited == 500 - REQUEST_BURST


def test_a_trusted_host_may_set_up_more_and_a_stranger_less() -> None:
    trusted = Parent(500, 500, trusted=True)
    assert sum(bool(trusted.receive(invite(f"c{n}"))) for n in range(500)) == TRUSTED_BURST
    stranger = Address("udp", "192.0.2.7", 5060)
    assert sum(bool(trusted.receive(invite(f"s{n}"), stranger)) for n in range(500)) == STRANGER_BURST


def test_copies_of_a_request_go_to_the_same_worker_and_are_not_limited_as_new_ones() -> None:
    parent = Parent(5, 5)
    first = parent.receive(invite("a"))
    for n in range(50):
        assert parent.receive(invite("a"), now=n / 2) == first


def test_responses_and_acks_that_belong_to_nothing_reach_no_worker_and_are_counted() -> None:
    parent = Parent(5, 5)
    response = b"SIP/2.0 200 OK\r\nCall-ID: zz\r\n\r\n"
    assert parent.receive(response) == parent.receive(invite("b").replace(b"INVITE", b"ACK")) == []
    assert parent.distributor.dropped.stray == 2
    assert parent.receive(b"\r\n\r\n") == []
    assert parent.distributor.dropped.stray == 2


def test_the_response_to_a_request_of_a_worker_goes_to_it() -> None:
    parent = Parent(5, 5)
    asked = b"OPTIONS sip:a@10.0.0.1 SIP/2.0\r\ni : own\r\n\r\n"
    parent.distributor.take(1, [Frame(("message", *PBX, ""), asked)])
    assert parent.distributor.messages_to_send(0.0) == [(asked, PBX)]
    assert parent.receive(b"SIP/2.0 200 OK\r\nCALL-ID:own\r\n\r\n") == [1]


def test_what_nothing_can_be_read_of_goes_to_some_worker_within_the_limits() -> None:
    parent = Parent(5, 5)
    assert len(parent.receive(b"INVITE nonsense\r\n\r\n")) == 1


def test_without_a_worker_and_with_one_that_does_not_read_messages_are_counted() -> None:
    parent = Parent(5, 5)
    parent.full = {0, 1}
    assert parent.receive(invite("a")) == []
    assert parent.distributor.dropped.unplaced == 1
    assert parent.placement.worker_of("a", 0.0) is None
    parent.distributor.lost(0)
    parent.distributor.lost(1)
    assert parent.receive(invite("b")) == []
    assert parent.distributor.dropped.unplaced == 2


def test_all_workers_are_told_what_becomes_of_connections_and_datagrams() -> None:
    parent, tls = Parent(5, 5), Address("tls", "10.0.0.1", 5061)
    parent.distributor.transport_failed(tls, 0.0, "gone")
    parent.distributor.connection_closed(tls, 0.0)
    parent.distributor.on_send_failed(SendFailed(PBX, "refused", closed=True))
    wanted = [("failed", *tls, "gone"), ("closed", *tls), ("refused", PBX.host, PBX.port, "refused", True)]
    assert [[frame.fields for frame in frames] for frames in parent.frames] == [wanted, wanted]


def test_a_connection_is_needed_while_a_call_is_over_it() -> None:
    parent, tcp = Parent(5, 5), Address("tcp", "10.0.0.1", 33333)
    (worker,) = parent.receive(invite("a"), tcp)
    assert not parent.distributor.needs(tcp)
    parent.distributor.take(worker, [Frame(("state", 1, ["a"], [], []))])
    assert parent.distributor.needs(tcp)
    other = tcp._replace(port=44444)
    parent.receive(invite("a").replace(b"INVITE", b"UPDATE"), other)
    assert parent.distributor.needs(other)
    parent.distributor.take(worker, [Frame(("state", 2, [], ["a"], []))])
    assert not parent.distributor.needs(other)


def test_a_certificate_has_to_be_for_whom_the_worker_says() -> None:
    parent, tls = Parent(5), Address("tls", "10.0.0.1", 5061)
    assert parent.distributor.server_name(tls) == "10.0.0.1"
    parent.distributor.take(0, [Frame(("message", *tls, "pbx.example"), b"BYE x SIP/2.0\r\n\r\n")])
    assert parent.distributor.server_name(tls) == "pbx.example"


def test_hosts_whose_calls_were_acknowledged_are_not_shut_out_by_a_flood_of_others() -> None:
    parent = Parent(500, 500)
    friend = Address("udp", "10.0.7.7", 5060)
    (worker,) = parent.receive(invite("friend"), friend)
    parent.distributor.take(worker, [Frame(("state", 1, ["friend"], [], ["friend"]))])
    for n in range(2000):
        parent.receive(invite(f"flood-{n}"), Address("udp", f"10.1.{n % 200}.1", 5060))
    assert parent.receive(invite("flood"), Address("udp", "10.2.0.1", 5060)) == []
    assert len(parent.receive(invite("again"), friend)) == 1
