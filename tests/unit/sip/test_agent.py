"""Calls between two user agents in virtual time, on a good network and on bad ones (RFC 3261 sections 9, 12 to 15)."""

from __future__ import annotations

import random
from functools import partial

import pytest

from tests.support.sip_lab import ANSWER, OFFER, Lab, Phone, do_nothing, knows_names, take_everything
from voip.sip import (
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    CallRinging,
    Event,
    IncomingCall,
    PeerAlive,
    parse_message,
)
from voip.sip.probe import PATIENCE

CALLER, CALLEE = "10.0.0.2", "10.0.0.1"
LONG = 200.0
"""Seconds after which everything must have come to rest."""
HOLD, HELD = b"v=0\r\ns=hold\r\n", b"v=0\r\ns=held\r\n"


def pair(lab: Lab, policy: object = take_everything, **options: object) -> tuple[Phone, Phone]:
    return lab.phone(CALLER, **options), lab.phone(CALLEE, policy, **options)  # type: ignore[arg-type]


def at_rest(*phones: Phone) -> None:
    for phone in phones:
        phone.check()
        phone.check_empty()


def established(lab: Lab, **options: object) -> tuple[Phone, Phone, str]:
    caller, callee = pair(lab, **options)
    call_id = caller.call(callee)
    lab.run(1.0)
    assert caller.names() == ["CallAnswered"]
    assert callee.names() == ["IncomingCall", "CallEstablished"]
    return caller, callee, call_id


def test_a_call_is_offered_answered_and_established_and_both_sides_name_it_alike() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    answered, incoming = caller.events[0], callee.events[0]
    assert answered == CallAnswered(call_id, ANSWER, callee.address)
    assert isinstance(incoming, IncomingCall)
    assert (incoming.call_id, incoming.offer, incoming.source) == (call_id, OFFER, caller.address)
    assert callee.events[1] == CallEstablished(call_id, b"")


@pytest.mark.parametrize("side", [0, 1])
def test_either_side_hangs_up(side: int) -> None:
    lab = Lab()
    *phones, call_id = established(lab)
    first, second = phones[side], phones[1 - side]
    first.agent.hang_up(call_id, lab.now, {"X-RTP-Stat": "PS=1"})
    lab.run(LONG)
    assert first.ended() == [CallEnded(call_id, "local-bye", 200, "OK")]
    assert second.ended() == [CallEnded(call_id, "remote-bye", None, "")]
    assert len(lab.sent(first, "BYE")) == 1
    assert any(b"\r\nX-RTP-Stat: PS=1\r\n" in data for _, _, _, data in lab.trace)
    at_rest(*phones)


@pytest.mark.parametrize("side", [0, 1])
def test_bye_and_the_response_to_it_say_what_each_user_has_to_tell_at_that_moment(side: int) -> None:
    lab = Lab()
    said: list[tuple[str, float]] = []

    def tell(call_id: str) -> dict[str, str]:
        said.append((call_id, lab.now))
        return {"X-RTP-Stat": f"PS={len(said)}"}

    *phones, call_id = established(lab, bye_headers=tell)
    lab.run(5.0)
    begin = lab.now
    phones[side].agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    messages = [parse_message(data) for _, _, _, data in lab.trace]
    told = [(message.cseq.method, message.headers.get("X-RTP-Stat")) for message in messages[-2:]]
    assert told == [("BYE", "PS=1"), ("BYE", "PS=2")]
    assert said == [(call_id, begin), (call_id, begin + lab.delay)]
    assert not any(message.headers.get("X-RTP-Stat") for message in messages[:-2])
    at_rest(*phones)


def test_when_both_hang_up_at_once_both_byes_are_answered_200() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    for phone in (caller, callee):
        phone.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    assert [phone.ended()[0].reason for phone in (caller, callee)] == ["local-bye", "local-bye"]
    assert [len(lab.sent(phone, "SIP/2.0 200")) for phone in (caller, callee)] == [1, 2]
    assert not any(lab.sent(phone, "SIP/2.0 4") for phone in (caller, callee))
    at_rest(caller, callee)


def test_a_bye_that_nobody_answers_ends_the_call_after_timer_f() -> None:
    lab = Lab()
    caller, _, call_id = established(lab)
    lab.drop = lambda data, source, destination: True
    start = lab.now
    caller.agent.hang_up(call_id, start)
    lab.run(LONG)
    assert [round(time - start, 3) for time in lab.sent(caller, "BYE")] == [
        0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5
    ]  # fmt: skip
    assert caller.times[-1] - start == 32.0
    assert caller.ended() == [CallEnded(call_id, "local-bye", None, "")]
    caller.check_empty()


def test_a_pending_bye_is_sent_once_more_before_the_program_ends_and_an_answered_one_is_not() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    caller.agent.hang_up(call_id, lab.now)
    caller.agent.send_pending_byes(lab.now)
    lab.run(0.1)
    assert len(lab.sent(caller, "BYE")) == 2
    caller.agent.send_pending_byes(lab.now)
    lab.run(LONG)
    assert len(lab.sent(caller, "BYE")) == 2
    at_rest(caller, callee)


@pytest.mark.parametrize(("timeout", "copies", "end"), [(60.0, 7, 32.0), (10.0, 5, 10.0)])
def test_a_caller_gives_up_a_dead_address_by_its_timeout_or_timer_b(timeout: float, copies: int, end: float) -> None:
    lab = Lab()
    caller = lab.phone(CALLER)
    nobody = lab.phone(CALLEE)
    del lab.phones[nobody.address]
    start = lab.now
    call_id = caller.call(nobody, timeout=timeout)
    lab.run(LONG)
    assert [time - start for time in lab.sent(caller, "INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5][:copies]
    tried = f"INVITE sent {copies} times in {end:g} s to UDP port {nobody.address.port}"
    assert caller.events == [CallEnded(call_id, "no-answer", None, tried)]
    assert caller.times == [start + end]
    at_rest(caller)


def ringing(phone: Phone, event: Event) -> None:
    if isinstance(event, IncomingCall):
        phone.agent.ring(event.call_id, phone.lab.now)


def test_a_callee_that_rings_for_ever_is_cancelled_after_thirty_seconds() -> None:
    lab = Lab()
    caller, callee = pair(lab, ringing)
    start = lab.now
    call_id = caller.call(callee, timeout=5.0)
    lab.run(LONG)
    assert caller.events == [CallRinging(call_id, 180, "Ringing"), CallEnded(call_id, "no-answer", 180, "Ringing")]
    assert caller.times[1] - start == pytest.approx(30.04)
    assert [event.reason for event in callee.ended()] == ["cancelled"]
    at_rest(caller, callee)


def test_a_callee_that_says_only_100_is_cancelled_after_the_timeout() -> None:
    lab = Lab()
    caller, callee = pair(lab, do_nothing)
    start = lab.now
    call_id = caller.call(callee, timeout=5.0)
    lab.run(LONG)
    assert caller.events == [CallEnded(call_id, "no-answer", None, "")]
    assert caller.times[0] - start == pytest.approx(5.02)
    assert len(lab.sent(callee, "SIP/2.0 100")) == 1
    assert lab.sent(callee, "SIP/2.0 100")[0] - start == pytest.approx(0.21)
    assert [event.status for event in callee.ended()] == [487]
    at_rest(caller, callee)


def test_hanging_up_while_it_rings_cancels() -> None:
    lab = Lab()
    caller, callee = pair(lab, ringing)
    call_id = caller.call(callee)
    lab.at(3.0, lambda: caller.agent.hang_up(call_id, lab.now))
    lab.at(3.0, lambda: caller.agent.hang_up(call_id, lab.now))
    lab.run(LONG)
    assert caller.ended() == [CallEnded(call_id, "cancelled", None, "")]
    assert callee.ended() == [CallEnded(call_id, "cancelled", 487, "Request Terminated")]
    assert [len(lab.sent(caller, method)) for method in ("CANCEL", "ACK", "BYE")] == [1, 1, 0]
    at_rest(caller, callee)


def test_hanging_up_before_anything_was_heard_ends_at_once_and_a_late_answer_gets_ack_and_bye() -> None:
    lab = Lab(delay=0.2)
    caller, callee = pair(lab)
    call_id = caller.call(callee)
    lab.run(0.1)
    caller.agent.hang_up(call_id, lab.now)
    lab.run(0.001)
    assert caller.ended() == [CallEnded(call_id, "cancelled", None, "")]
    lab.run(LONG)
    assert [len(lab.sent(caller, method)) for method in ("INVITE", "CANCEL", "ACK", "BYE")] == [1, 0, 1, 1]
    assert [event.reason for event in callee.ended()] == ["remote-bye"]
    at_rest(caller, callee)


def test_hanging_up_before_anything_was_heard_cancels_when_the_callee_rings_after_all() -> None:
    lab = Lab(delay=0.2)
    caller, callee = pair(lab, ringing)
    call_id = caller.call(callee)
    lab.run(0.1)
    caller.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    assert len(lab.sent(caller, "CANCEL")) == 1
    assert [event.reason for event in callee.ended()] == ["cancelled"]
    at_rest(caller, callee)


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up_and_the_end_is_told_once() -> None:
    lab = Lab(delay=0.2)

    def slow(phone: Phone, event: Event) -> None:
        ringing(phone, event)
        if isinstance(event, IncomingCall):
            lab.at(1.0, lambda: phone.agent.accept(event.call_id, ANSWER, lab.now))

    caller, callee = pair(lab, slow)
    call_id = caller.call(callee)
    lab.at(1.2, lambda: caller.agent.hang_up(call_id, lab.now))
    lab.run(LONG)
    assert caller.ended() == [CallEnded(call_id, "cancelled", None, "")]
    assert callee.names() == ["IncomingCall", "CallEstablished", "CallEnded"]
    assert [len(lab.sent(caller, method)) for method in ("CANCEL", "ACK", "BYE")] == [1, 1, 1]
    assert caller.of(CallAnswered) == []
    at_rest(caller, callee)


def test_a_callee_that_cannot_be_cancelled_is_given_up_after_64_t1() -> None:
    lab = Lab()
    caller, callee = pair(lab, ringing)
    call_id = caller.call(callee)
    lab.run(1.0)
    lab.drop = lambda data, source, destination: True
    caller.agent.hang_up(call_id, lab.now)
    lab.run(31.0)
    assert caller.ended() == []
    lab.run(1.0)
    assert [event.reason for event in caller.ended()] == ["cancelled"]
    lab.run(LONG)
    at_rest(caller)


@pytest.mark.parametrize("status", [404, 480, 486, 488, 503, 603])
def test_a_rejected_call_ends_on_both_sides_with_its_status(status: int) -> None:
    lab = Lab()

    def refuse(phone: Phone, event: Event) -> None:
        if isinstance(event, IncomingCall):
            phone.agent.reject(event.call_id, status, lab.now, "Not today")

    caller, callee = pair(lab, refuse)
    call_id = caller.call(callee)
    lab.run(LONG)
    assert caller.ended() == callee.ended() == [CallEnded(call_id, "rejected", status, "Not today")]
    at_rest(caller, callee)


def test_hanging_up_an_incoming_call_refuses_it() -> None:
    lab = Lab()

    def refuse(phone: Phone, event: Event) -> None:
        if isinstance(event, IncomingCall):
            phone.agent.hang_up(event.call_id, lab.now)

    caller, callee = pair(lab, refuse)
    caller.call(callee)
    lab.run(LONG)
    assert [(event.reason, event.status) for event in caller.ended()] == [("rejected", 486)]
    at_rest(caller, callee)


def test_a_second_caller_is_busy_until_the_first_has_gone() -> None:
    lab = Lab()
    first, callee, first_id = established(lab)
    second = lab.phone("10.0.0.3")
    second.call(callee)
    lab.run(1.0)
    assert [(event.reason, event.status) for event in second.ended()] == [("rejected", 486)]
    first.agent.hang_up(first_id, lab.now)
    lab.run(1.0)
    again = second.call(callee)
    lab.run(1.0)
    assert CallAnswered(again, ANSWER, callee.address) in second.events
    second.agent.hang_up(again, lab.now)
    lab.run(LONG)
    at_rest(first, second, callee)


def test_a_call_whose_peer_is_gone_makes_room_for_a_new_one() -> None:
    lab = Lab()
    callee = lab.phone(CALLEE, replaceable=lambda call_id, source, caller: source.host == CALLER)
    first, second = lab.phone(CALLER, port=6000), lab.phone(CALLER, port=6001)
    first.call(callee)
    lab.run(1.0)
    del lab.phones[first.address]
    second.call(callee)
    lab.run(1.0 + PATIENCE)  # the first is asked whether it is there
    assert [event.reason for event in callee.ended()] == ["timeout"]
    assert second.names() == ["CallAnswered"]
    assert len(callee.of(CallEstablished)) == 2


def test_as_many_calls_as_allowed_and_no_more() -> None:
    lab = Lab()
    callee = lab.phone(CALLEE, max_calls=3)
    callers = [lab.phone(f"10.0.1.{number}") for number in range(5)]
    for caller in callers:
        caller.call(callee)
    lab.run(1.0)
    assert [caller.names() for caller in callers] == [["CallAnswered"]] * 3 + [["CallEnded"]] * 2
    for caller in callers[:3]:
        caller.agent.hang_up(next(iter(caller.begun)), lab.now)
    lab.run(LONG)
    at_rest(callee, *callers)


def test_a_hundred_calls_one_after_the_other_leave_nothing_behind() -> None:
    lab = Lab()
    callee = lab.phone(CALLEE)
    callers = [lab.phone(CALLER, port=6000 + number) for number in range(5)]
    for number in range(100):
        caller = callers[number % 5]
        call_id = caller.call(callee)
        lab.run(0.3)
        assert isinstance(caller.events[-1], CallAnswered), number
        caller.agent.hang_up(call_id, lab.now)
        lab.run(0.1)
        assert len(callee.agent._calls) <= 9
        assert len(callee.agent._core.servers) <= 64
    lab.run(LONG)
    at_rest(callee, *callers)


def test_an_agent_that_takes_no_calls_and_one_that_does_not_know_the_caller_say_so() -> None:
    lab = Lab()
    sender = lab.phone("10.0.0.5", accepts_calls=False)
    choosy = lab.phone("10.0.0.6", allowed=lambda host: host != CALLER)
    caller = lab.phone(CALLER)
    caller.call(sender)
    caller.call(choosy)
    lab.run(LONG)
    assert [(event.reason, event.status) for event in caller.ended()] == [("rejected", 480), ("rejected", 403)]
    assert sender.begun == choosy.begun == set()
    at_rest(sender, choosy, caller)


# --- changes within a call --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
def test_either_side_changes_the_session(side: int) -> None:
    lab = Lab()
    *phones, call_id = established(lab)
    first, second = phones[side], phones[1 - side]
    first.agent.reinvite(call_id, HOLD, lab.now)
    lab.run(1.0)
    assert first.of(CallReanswered) == [CallReanswered(call_id, ANSWER)]
    assert second.of(CallOffered) == [CallOffered(call_id, HOLD)]
    first.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    at_rest(*phones)


def test_a_late_offer_within_a_call_is_answered_in_the_ack() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    caller.agent.reinvite(call_id, b"", lab.now)
    lab.run(1.0)
    assert callee.of(CallOffered) == [CallOffered(call_id, b"")]
    assert caller.of(CallReanswered) == [CallReanswered(call_id, OFFER)]
    assert callee.of(CallReanswered) == [CallReanswered(call_id, b"")]


def test_a_refused_change_leaves_the_call_as_it_was() -> None:
    lab = Lab()

    def stubborn(phone: Phone, event: Event) -> None:
        if isinstance(event, CallOffered):
            phone.agent.reject(event.call_id, 488, lab.now)
        else:
            take_everything(phone, event)

    caller, callee = pair(lab, stubborn)
    call_id = caller.call(callee)
    lab.run(1.0)
    caller.agent.reinvite(call_id, HOLD, lab.now)
    lab.run(10.0)
    assert caller.names() == ["CallAnswered", "RequestRefused"]
    caller.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    at_rest(caller, callee)


def test_two_offers_that_cross_are_both_made_in_the_end() -> None:
    lab = Lab(delay=0.1)
    caller, callee, call_id = established(lab)
    for phone in (caller, callee):
        phone.agent.reinvite(call_id, HOLD, lab.now)
    lab.run(10.0)
    assert [len(lab.sent(phone, "SIP/2.0 491")) for phone in (caller, callee)] == [1, 1]
    for phone in (caller, callee):
        assert phone.of(CallOffered) == [CallOffered(call_id, HOLD)]
        assert phone.of(CallReanswered) == [CallReanswered(call_id, ANSWER)]
    caller.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    at_rest(caller, callee)


def test_a_change_that_nobody_answers_ends_the_call() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    del lab.phones[callee.address]
    caller.agent.reinvite(call_id, HOLD, lab.now)
    lab.run(LONG)
    assert [(event.reason, event.status) for event in caller.ended()] == [("timeout", 408)]
    assert lab.sent(caller, "BYE")
    at_rest(caller)


def test_a_call_that_ends_while_an_offer_is_open_ends_well() -> None:
    lab = Lab()

    def thinks_long(phone: Phone, event: Event) -> None:
        if isinstance(event, IncomingCall):
            take_everything(phone, event)

    for hanging_up in (0, 1):
        caller, callee = pair(lab, thinks_long)
        call_id = caller.call(callee)
        lab.run(1.0)
        caller.agent.reinvite(call_id, HOLD, lab.now)
        lab.run(1.0)
        (caller, callee)[hanging_up].agent.hang_up(call_id, lab.now)
        lab.run(0.1)
        callee.agent.accept(call_id, HELD, lab.now)
        lab.run(LONG)
        at_rest(caller, callee)


def test_a_ping_is_answered_and_silence_tells_nothing() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    for phone in (caller, callee):
        phone.agent.ping(call_id, lab.now)
    lab.run(1.0)
    assert caller.of(PeerAlive) == callee.of(PeerAlive) == [PeerAlive(call_id)]
    del lab.phones[callee.address]
    for _ in range(10):
        caller.agent.ping(call_id, lab.now)
        lab.run(10.0)
    assert caller.of(PeerAlive) == [PeerAlive(call_id)]
    assert caller.ended() == []


def test_a_ping_to_a_peer_that_has_forgotten_the_call_ends_it() -> None:
    lab = Lab()
    caller, _, call_id = established(lab)
    lab.phone(CALLEE)  # restarted
    caller.agent.ping(call_id, lab.now)
    lab.run(LONG)
    assert [(event.reason, event.status) for event in caller.ended()] == [("timeout", 481)]
    at_rest(caller)


def test_every_order_for_an_unknown_or_ended_call_is_a_quiet_no_op() -> None:
    lab = Lab()
    caller, callee, call_id = established(lab)
    caller.agent.hang_up(call_id, lab.now)
    lab.run(1.0)
    for name in (call_id, "never heard of"):
        for phone in (caller, callee):
            sent = len(lab.trace)
            phone.agent.accept(name, ANSWER, lab.now)
            phone.agent.reject(name, 486, lab.now)
            phone.agent.reinvite(name, HOLD, lab.now)
            phone.agent.ping(name, lab.now)
            phone.agent.ring(name, lab.now)
            phone.agent.hang_up(name, lab.now)
            phone.agent.send_pending_byes(lab.now)
            lab.run(0.1)
            assert len(lab.trace) == sent
    lab.run(LONG)
    at_rest(caller, callee)


def test_a_host_name_is_called_where_it_can_be_resolved_and_reported_where_not() -> None:
    lab = Lab()
    callee = lab.phone(CALLEE)
    knows = lab.phone(CALLER, policy=knows_names({"house.example": [callee.address]}))
    knows_not = lab.phone("10.0.0.3", policy=knows_names({}))
    first = knows.agent.invite("sip:house.example", OFFER, lab.now)
    second = knows_not.agent.invite("sip:house.example", OFFER, lab.now)
    lab.run(1.0)
    assert knows.events[1:] == [CallAnswered(first, ANSWER, callee.address)]
    assert knows_not.events[1:] == [CallEnded(second, "network", None, "cannot find the host house.example")]


def test_calls_work_over_ipv6() -> None:
    lab = Lab()
    caller, callee = lab.phone("2001:db8::2"), lab.phone("2001:db8::1")
    call_id = caller.agent.invite("sip:[2001:db8::1]", OFFER, lab.now)
    caller.begun.add(call_id)
    lab.run(1.0)
    callee.agent.hang_up(call_id, lab.now)
    lab.run(LONG)
    assert caller.names() == ["CallAnswered", "CallEnded"]
    at_rest(caller, callee)


def test_a_call_to_oneself_is_two_calls() -> None:
    lab = Lab()
    phone = lab.phone(CALLER)
    call_id = phone.call(phone)
    lab.run(1.0)
    assert sorted(phone.names()) == ["CallAnswered", "IncomingCall"] or "RequestRefused" in phone.names()
    for name in list(phone.begun):
        phone.agent.hang_up(name, lab.now)
    lab.run(LONG)
    assert call_id in phone.begun
    at_rest(phone)


# --- bad networks -----------------------------------------------------------------------------------------------------


def at_its_time(lab: Lab, phone: Phone, order: str, *args: object) -> None:
    getattr(phone.agent, order)(*args, lab.now)


def live_through(seed: int) -> None:
    """One call with a random course on a random network: both sides end it, once, and forget it."""
    course = random.Random(seed)
    lab = Lab(
        seed=seed,
        loss=course.choice([0.0, 0.1, 0.2, 0.3]),
        duplicate=course.choice([0.0, 0.2]),
        delay=course.choice([0.001, 0.1, 0.4]),
        jitter=course.choice([0.0, 0.05, 0.7]),
    )
    answer_after = course.choice([0.0, 0.0, 0.5, 3.0])

    def user(phone: Phone, event: Event) -> None:
        if isinstance(event, IncomingCall) and answer_after:
            phone.agent.ring(event.call_id, lab.now)
            lab.at(answer_after, lambda: phone.agent.accept(event.call_id, ANSWER, lab.now))
        else:
            take_everything(phone, event)

    caller, callee = pair(lab, user)
    call_id = caller.call(callee, timeout=30.0)
    for phone in course.sample([caller, callee], course.choice([0, 1, 2])):
        lab.at(course.uniform(2.0, 8.0), partial(at_its_time, lab, phone, "reinvite", call_id, HOLD))
        lab.at(course.uniform(2.0, 8.0), partial(at_its_time, lab, phone, "ping", call_id))
    together = course.uniform(0.0, 10.0)
    for phone in course.choice([[caller], [callee], [caller, callee]]):
        lab.at(together, partial(at_its_time, lab, phone, "hang_up", call_id))
    lab.at(60.0, lambda: caller.agent.hang_up(call_id, lab.now))
    lab.run(60.0 + 2 * LONG)
    at_rest(caller, callee)


@pytest.mark.parametrize("block", range(10))
def test_whatever_the_network_does_both_sides_end_each_call_exactly_once(block: int) -> None:
    for seed in range(60 * block, 60 * (block + 1)):
        live_through(seed)


@pytest.mark.parametrize("seed", range(5))
def test_at_30_percent_loss_calls_still_come_up_and_end_by_bye(seed: int) -> None:
    lab = Lab(seed=seed, loss=0.3, duplicate=0.1, jitter=0.1)
    callee = lab.phone(CALLEE, max_calls=20)
    callers = [lab.phone(f"10.0.1.{number}") for number in range(20)]
    for caller in callers:
        caller.call(callee, timeout=32.0)
    lab.run(32.0)
    up = [caller for caller in callers if caller.of(CallAnswered)]
    assert len(up) >= 19
    for caller in up:
        caller.agent.hang_up(next(iter(caller.begun)), lab.now)
    lab.run(LONG)
    reasons = [caller.ended()[0].reason for caller in up]
    assert reasons == ["local-bye"] * len(up)
    assert {event.reason for event in callee.ended()} <= {"remote-bye", "no-ack"}
    at_rest(callee, *callers)
