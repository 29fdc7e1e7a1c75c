"""The tables of methods and of the states of a call: that they are whole, and that what is derived from them fits."""

from __future__ import annotations

import random

import pytest

from tests.support.sip_lab import ANSWER, TextPeer, events_of
from voip.sip import IncomingCall, Request, UserAgent
from voip.sip.call_state import ALLOWED, MOVES, Action, CallState, Trigger, next_state
from voip.sip.methods import ALLOW, METHODS, Where, is_served, methods_in, needs_dialog, refusal_of


def test_allow_names_what_is_served_in_the_order_of_the_table() -> None:
    assert ALLOW == ("Allow", "INVITE,ACK,BYE,CANCEL,OPTIONS,PRACK,UPDATE,INFO,MESSAGE")
    assert {name for name in METHODS if is_served(name)} == set(ALLOW[1].split(","))
    assert {name for name in METHODS if needs_dialog(name)} == {"BYE", "PRACK", "UPDATE", "INFO"}


@pytest.mark.parametrize(("method", "status"), [("REFER", 405), ("PUBLISH", 405), ("BREW", 501)])
def test_a_standard_that_is_not_served_is_not_allowed_all_else_is_not_implemented(method: str, status: int) -> None:
    assert not is_served(method)
    assert refusal_of(method) == status


def test_every_method_of_a_place_has_its_handler_there() -> None:
    agent = UserAgent(rng=random.Random(1), local=lambda remote: ("10.0.0.1", 5060))
    TextPeer(agent).say(TextPeer(agent).request("INVITE", body=ANSWER))
    (call,) = agent._calls
    assert set(call._handlers) == methods_in(Where.DIALOG)
    assert methods_in(Where.EARLY) <= methods_in(Where.DIALOG)
    assert set(agent._dispatcher._outside) == methods_in(Where.OUTSIDE)


def test_every_state_has_its_rows() -> None:
    assert set(ALLOWED) == set(MOVES) == set(CallState)
    assert {action for allowed in ALLOWED.values() for action in allowed.actions} == set(Action)
    assert {trigger for moves in MOVES.values() for trigger in moves} == set(Trigger)


def test_every_state_is_reached_and_ends() -> None:
    reached = {CallState.CALLING, CallState.INCOMING}
    for _ in CallState:
        reached |= {after for state in reached for after in MOVES[state].values()}
    assert reached == set(CallState)
    assert all(next_state(state, Trigger.END) is CallState.TERMINATED for state in CallState)


def test_what_a_state_does_not_list_leaves_it_as_it_is() -> None:
    for state in CallState:
        for trigger in set(Trigger) - set(MOVES[state]):
            assert next_state(state, trigger) is state


def test_a_request_that_the_state_does_not_allow_gets_481() -> None:
    agent = UserAgent(rng=random.Random(1), local=lambda remote: ("10.0.0.1", 5060))
    peer = TextPeer(agent)
    peer.say(peer.request("INVITE", body=ANSWER))
    (incoming,) = (event for event in events_of(agent) if isinstance(event, IncomingCall))
    agent.accept(incoming.call_id, ANSWER, peer.now)
    (accepted,) = peer.hear()
    tag = accepted.to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    (call,) = agent._calls
    states = [call.leg.state]
    agent.hang_up(call.call_id, peer.now)
    (bye,) = peer.hear()
    assert isinstance(bye, Request)
    assert [*states, call.leg.state] == [CallState.CONFIRMED, CallState.ENDING]
    for number, method in enumerate(["INVITE", "UPDATE", "OPTIONS", "INFO", "PRACK", "BYE"], start=2):
        (response,) = peer.say(peer.request(method, number, to_tag=tag))
        allowed = method in ALLOWED[CallState.ENDING].requests and method != "PRACK"  # there is nothing to acknowledge
        assert response.start_line() == ("SIP/2.0 200 OK" if allowed else "SIP/2.0 481 Call/Transaction Does Not Exist")
        if method == "INVITE":
            peer.say(peer.request("ACK", number, to_tag=tag))
