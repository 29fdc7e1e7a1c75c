"""The transaction machines of RFC 3261 section 17 against the timer tables of the standard, and a lone user agent."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.transaction_lab import PEER, Bench, request
from voip.sip.address import Address
from voip.sip.message import Request, parse_message
from voip.sip.timers import GIVE_UP, LINGER, SPARE_ENTRIES, T1, T4, Timers
from voip.sip.transaction import (
    InviteClient,
    InviteServer,
    NonInviteServer,
    Servers,
    State,
    client_key,
    note_source,
    reply_address,
    server_key,
)

INVITE_TIMES = [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
OTHER_TIMES = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_an_unanswered_invite_is_sent_at_the_times_of_timer_a_and_given_up_by_timer_b() -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    bench.run(100.0)
    assert bench.times() == INVITE_TIMES
    assert bench.owner.gave_up == [GIVE_UP]
    assert transaction.state is State.TERMINATED
    assert len(bench.wire.timers) == 0


def test_an_unanswered_bye_is_sent_at_the_times_of_timer_e_and_given_up_by_timer_f() -> None:
    bench = Bench()
    bench.client("BYE")
    bench.run(100.0)
    assert bench.times() == OTHER_TIMES
    assert bench.owner.gave_up == [GIVE_UP]


def test_after_a_provisional_answer_an_invite_waits_for_ever_and_other_requests_are_repeated_each_t2() -> None:
    invite, other = Bench(), Bench()
    for bench, method in ((invite, "INVITE"), (other, "OPTIONS")):
        transaction = bench.client(method)
        bench.run(0.1)
        bench.answer(transaction, 100)
        bench.run(40.0)
        assert bench.owner.heard == [100]
    assert invite.times() == [0]
    assert invite.owner.gave_up == []
    assert other.times() == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert other.owner.gave_up == [GIVE_UP]


@pytest.mark.parametrize("status", [302, 401, 486, 503, 603])
def test_each_copy_of_a_refusal_of_an_invite_is_acknowledged_and_told_once_until_timer_d(status: int) -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    for now in (0.2, 0.7, 1.7):
        bench.run(now)
        bench.answer(transaction, status)
    assert bench.owner.heard == [status]
    assert bench.times(b"ACK") == [0.2, 0.7, 1.7]
    assert bench.times(b"INVITE") == [0]
    bench.run(0.2 + GIVE_UP)
    assert transaction.state is State.TERMINATED


def test_the_ack_of_a_refusal_is_built_from_the_invite_and_the_to_of_the_response() -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    bench.answer(transaction, 486)
    ack = parse_message(bench.sent[-1][1])
    assert isinstance(ack, Request)
    assert [str(via) for via in ack.via] == [str(transaction.request.via[0])]
    assert ack.headers.get("Route") == "<sip:proxy.example;lr>"
    assert (ack.to.tag, ack.from_.tag, str(ack.cseq), ack.body) == ("b", "a", "1 ACK", b"")
    assert str(ack.uri) == str(transaction.request.uri)


def test_every_2xx_of_an_invite_is_told_and_acknowledged_by_nobody_here() -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    for _ in range(3):
        bench.answer(transaction, 200)
    bench.answer(transaction, 486)
    bench.answer(transaction, 180)
    assert bench.owner.heard == [200, 200, 200]
    assert bench.times() == [0]
    bench.run(GIVE_UP)
    assert transaction.state is State.TERMINATED


def test_a_final_answer_to_another_request_is_told_once_and_absorbed_for_t4() -> None:
    bench = Bench()
    transaction = bench.client("BYE")
    bench.run(0.6)
    for _ in range(3):
        bench.answer(transaction, 200)
    assert bench.owner.heard == [200]
    bench.run(0.6 + T4)
    assert transaction.state is State.TERMINATED
    assert bench.times() == [0, 0.5]


def test_a_hushed_invite_is_not_repeated_but_its_answer_is_told() -> None:
    bench = Bench()
    transaction = bench.client("INVITE")
    cast(InviteClient, transaction).stop_retransmitting()
    bench.run(20.0)
    bench.answer(transaction, 200)
    assert bench.times() == [0]
    assert bench.owner.heard == [200]


def invite_server(bench: Bench) -> InviteServer:
    return InviteServer(bench.wire, request("INVITE", via="SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bKx"), PEER, bench.now)


def other_server(bench: Bench) -> NonInviteServer:
    return NonInviteServer(bench.wire, request("BYE", via="SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bKx"), PEER)


def test_100_is_sent_after_200_ms_and_only_to_whom_nothing_else_was_sent() -> None:
    silent, quick = Bench(), Bench()
    invite_server(silent)
    quick.respond(invite_server(quick), 180)
    for bench in (silent, quick):
        bench.run(10.0)
    assert [(time, data[:11]) for time, data in silent.sent] == [(0.2, b"SIP/2.0 100")]
    assert [(time, data[:11]) for time, data in quick.sent] == [(0, b"SIP/2.0 180")]


def test_a_refusal_is_repeated_by_timer_g_until_timer_h() -> None:
    bench = Bench()
    transaction = invite_server(bench)
    bench.respond(transaction, 486)
    bench.run(100.0)
    assert bench.times() == OTHER_TIMES
    assert transaction.state is State.TERMINATED
    assert len(bench.wire.timers) == 0


def test_the_ack_ends_the_repetition_of_a_refusal_and_timer_i_the_transaction() -> None:
    bench = Bench()
    transaction = invite_server(bench)
    bench.respond(transaction, 486)
    bench.run(1.0)
    assert transaction.acknowledge(1.0)
    assert transaction.acknowledge(1.1)
    transaction.repeated(bench.now)
    bench.collect()
    bench.run(1.0 + T4)
    assert bench.times() == [0, 0.5]
    assert transaction.state is State.TERMINATED


def test_a_repeated_invite_gets_the_last_response_again_but_not_a_2xx() -> None:
    bench = Bench()
    transaction = invite_server(bench)
    transaction.repeated(bench.now)
    assert not bench.wire.outbox
    bench.respond(transaction, 180)
    transaction.repeated(bench.now)
    bench.collect()
    assert len(bench.sent) == 2
    bench.respond(transaction, 200)
    transaction.repeated(bench.now)
    bench.collect()
    assert len(bench.sent) == 3
    assert not transaction.acknowledge(0.1)
    bench.respond(transaction, 486)
    assert len(bench.sent) == 3
    bench.run(GIVE_UP)
    assert transaction.state is State.TERMINATED


def test_who_may_have_missed_our_last_word_is_waited_for_a_little() -> None:
    bye, again, refused = Bench(), Bench(), Bench()
    bye.respond(other_server(bye), 200)
    assert bye.wire.linger_until == LINGER
    server = other_server(again)
    again.respond(server, 200)
    server.repeated(0.6)
    assert again.wire.linger_until == 0.6 + 2 * LINGER
    client = refused.client("INVITE")
    refused.answer(client, 486)
    assert refused.wire.linger_until == LINGER


def test_a_repeated_bye_gets_its_response_again_until_timer_j() -> None:
    bench = Bench()
    transaction = other_server(bench)
    bench.respond(transaction, 200)
    transaction.repeated(bench.now)
    bench.collect()
    bench.respond(transaction, 500)
    assert [data[:11] for _, data in bench.sent] == [b"SIP/2.0 200"] * 2
    bench.run(GIVE_UP)
    assert transaction.state is State.TERMINATED


@pytest.mark.parametrize("late", [0.0, 3.0, 70.0])
def test_timers_that_are_late_cause_no_burst(late: float) -> None:
    bench = Bench()
    bench.client("INVITE")
    bench.wire.timers.run(0.5 + late)
    assert len(bench.wire.outbox) <= 1


def test_timers_run_in_order_and_forget_what_was_cleared() -> None:
    timers, done = Timers(), []
    owner = object()
    timers.set(owner, "b", 2.0, lambda now: done.append("b"))
    timers.set(owner, "a", 1.0, lambda now: done.append("a"))
    timers.set(owner, "c", 3.0, lambda now: done.append("c"))
    timers.set(owner, "a", 1.5, lambda now: done.append("a again"))
    timers.clear(owner, "c", "never set")
    assert timers.next() == 1.5
    timers.run(1.4)
    assert done == []
    timers.run(9.0)
    assert done == ["a again", "b"]
    assert timers.next() is None


def test_timers_that_are_set_anew_or_cleared_leave_no_more_behind_than_there_are() -> None:
    timers, done = Timers(), list[float]()
    busy, owners = object(), [object() for _ in range(100)]
    for n in range(5000):
        timers.set(busy, "refresh", 1000.0 + n, done.append)
        timers.set(owners[n % 100], "give up", 2000.0 + n, done.append)
        if n % 3 == 0:
            timers.clear_all(owners[n % 100])
    assert len(timers) <= 101
    assert len(timers._queue) <= 2 * len(timers) + SPARE_ENTRIES
    assert timers.next() == 5999.0
    for owner in owners:
        timers.clear(owner, "give up")
    timers.clear(busy, "refresh")
    assert (len(timers), timers.next()) == (0, None)
    timers.run(9999.0)
    assert done == []


def test_a_timer_that_sets_itself_anew_runs_once_at_a_time() -> None:
    timers, done = Timers(), list[float]()

    def again(now: float) -> None:
        done.append(now)
        timers.set(timers, "again", now + 1.0, again)

    timers.set(timers, "again", 1.0, again)
    for now in (0.5, 1.0, 1.5, 7.0):
        timers.run(now)
    assert done == [1.0, 7.0]
    assert timers.next() == 8.0


def test_server_transactions_are_found_by_key_and_by_call_until_they_are_over() -> None:
    bench, servers = Bench(), Servers()
    first, second = other_server(bench), other_server(bench)
    servers.add(first)
    assert (servers.get(first.key), [*servers.of_call(first.request.call_id)]) == (first, [first])
    servers.add(second)  # the same request: in its place
    servers.remove(first)  # too late
    assert (servers.get(first.key), len(servers)) == (second, 1)
    servers.remove(second)
    servers.remove(second)
    assert (servers.get(first.key), len(servers), [*servers.of_call(first.request.call_id)]) == (None, 0, [])


def test_responses_go_to_the_source_port_if_rport_was_given_else_to_the_port_of_the_via() -> None:
    source = Address("udp", "192.0.2.7", 4444)
    for via, port in [
        ("SIP/2.0/UDP 10.1.1.1:5070;rport;branch=z9hG4bKa", 4444),
        ("SIP/2.0/UDP 10.1.1.1:5070;branch=z9hG4bKa", 5070),
        ("SIP/2.0/UDP phone.example;branch=z9hG4bKa", 5060),
        ("SIP/2.0/UDP phone.example;maddr=198.51.100.1;branch=z9hG4bKa", 5060),
    ]:
        assert reply_address(request("BYE", via=via).via[0], source) == Address("udp", "192.0.2.7", port)


def test_received_and_rport_are_filled_in_where_the_standard_asks_for_them() -> None:
    source = Address("udp", "192.0.2.7", 4444)
    for via, expected in [
        ("SIP/2.0/UDP 10.1.1.1:5070;rport;branch=z9hG4bKa", {"received": "192.0.2.7", "rport": "4444"}),
        ("SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bKa", {"received": "192.0.2.7", "rport": "4444"}),
        ("SIP/2.0/UDP 10.1.1.1:5070;branch=z9hG4bKa", {"received": "192.0.2.7"}),
        ("SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa", {}),
    ]:
        made = request("BYE", via=f"{via}, SIP/2.0/UDP next.example;branch=z9hG4bKb")
        note_source(made, source)
        first, second = made.response(200).via
        assert first.params == {"branch": "z9hG4bKa", **expected}
        assert second.params == {"branch": "z9hG4bKb"}


def test_ack_and_cancel_are_matched_as_the_standard_says() -> None:
    via = "SIP/2.0/UDP Host.example:5060;branch=z9hG4bKa"
    invite = server_key(request("INVITE", via=via))
    assert server_key(request("ACK", via=via.replace("Host", "hOST"))) == invite
    assert server_key(request("CANCEL", via=via)) == (*invite[:-1], "CANCEL")
    assert server_key(request("INVITE", via=via.replace("5060", "5061"))) != invite
    old = "SIP/2.0/UDP host.example;branch=1"  # RFC 2543: the branch means nothing
    assert server_key(request("ACK", via=old)) == server_key(request("INVITE", via=old))
    assert server_key(request("INVITE", via=old, number=2)) != server_key(request("INVITE", via=old))


def test_responses_are_matched_by_branch_and_method() -> None:
    made = request("CANCEL")
    assert client_key(made.via[0], "CANCEL") == ("z9hG4bKone", "CANCEL")
    assert T1 == 0.5
