"""Whole calls of user agents by name through the directory, in virtual time, on a network that loses, repeats and
overtakes by a seed."""

from __future__ import annotations

import pytest

from tests.support.directory_lab import HERE, DirectoryNode, directory_in
from tests.support.sip_lab import OFFER, Lab, Phone, take_everything
from voip.sip import (
    CallAnswered,
    CallEnded,
    CallEstablished,
    Credentials,
    Registered,
    RegistrationFailed,
    SipUri,
    TextSent,
)

USERS = {"alice": "hers", "bob": "his", "carol": "own"}
PORT = 5060


def user(lab: Lab, name: str, host: str) -> Phone:
    """A user agent that registers at the directory."""
    account = SipUri("sip", name, HERE, PORT)
    phone = lab.phone(
        host,
        take_everything,
        user=name,
        credentials=Credentials(name, USERS[name]),
        account=account,
        registrar=SipUri("sip", None, HERE, PORT),
    )
    phone.agent.register(lab.now)
    return phone


def house(seed: int = 1, **network: float) -> tuple[Lab, DirectoryNode, Phone, Phone]:
    """A directory, and alice and bob, who are registered."""
    lab = Lab(seed=seed, **network)  # type: ignore[arg-type]
    node = directory_in(lab, USERS, seed)
    alice, bob = user(lab, "alice", "10.0.0.8"), user(lab, "bob", "10.0.0.9")
    lab.run(40.0)
    for phone in (alice, bob):
        assert phone.of(Registered), phone.events
    return lab, node, alice, bob


def call(lab: Lab, caller: Phone, name: str) -> str:
    call_id = caller.agent.invite(f"sip:{name}@{HERE}:{PORT}", OFFER, lab.now, timeout=30.0)
    caller.begun.add(call_id)
    return call_id


def at_rest(lab: Lab, node: DirectoryNode) -> None:
    """Nothing is kept of calls that are long over."""
    for phone in lab.phones.values():
        if isinstance(phone, Phone):
            phone.agent.unregister(lab.now)
    lab.run(80.0)
    core = node.agent._core
    assert (len(core.clients), len(core.servers), len(node.agent.dialogs)) == (0, 0, 0)


def test_a_call_by_name_is_set_up_and_ended_and_leaves_nothing() -> None:
    lab, node, alice, bob = house()
    call_id = call(lab, alice, "bob")
    lab.run(2.0)
    assert alice.of(CallAnswered)
    assert bob.of(CallEstablished)
    assert node.agent.dialogs.is_in_call("bob")
    assert node.agent.dialogs.is_in_call("Alice")
    alice.agent.hang_up(call_id, lab.now)
    lab.run(2.0)
    assert not node.agent.dialogs.is_in_call("bob")
    assert [event.reason for event in bob.ended()] == ["remote-bye"]
    at_rest(lab, node)


def test_media_of_signalling_passes_the_directory_alone() -> None:
    """Neither side sends a message to the other."""
    lab, _, alice, bob = house()
    call(lab, alice, "bob")
    lab.run(60.0)
    assert alice.of(CallAnswered)
    pairs = {frozenset((source.host, destination.host)) for _, source, destination, _ in lab.trace}
    assert frozenset((alice.address.host, bob.address.host)) not in pairs


def test_the_callee_hangs_up_through_it_too() -> None:
    lab, node, alice, bob = house()
    call_id = call(lab, alice, "bob")
    lab.run(2.0)
    bob.agent.hang_up(call_id, lab.now)
    lab.run(2.0)
    assert [event.reason for event in alice.ended()] == ["remote-bye"]
    at_rest(lab, node)


def test_a_caller_who_gives_up_while_it_rings_ends_it_there() -> None:
    lab = Lab()
    node = directory_in(lab, USERS, 1)
    alice, bob = user(lab, "alice", "10.0.0.8"), user(lab, "bob", "10.0.0.9")
    bob.policy = lambda phone, event: None
    lab.run(5.0)
    call_id = call(lab, alice, "bob")
    lab.run(2.0)
    alice.agent.hang_up(call_id, lab.now)
    lab.run(2.0)
    assert len(alice.ended()) == len(bob.ended()) == 1
    at_rest(lab, node)


def test_a_text_by_name_arrives() -> None:
    lab, _, alice, bob = house()
    alice.agent.send_page(SipUri("sip", "bob", HERE, PORT), "hello", lab.now)
    lab.run(2.0)
    assert [event.delivered for event in alice.of(TextSent) if isinstance(event, TextSent)] == [True]
    assert any(getattr(event, "text", "") == "hello" for event in bob.events)


def test_a_wrong_password_is_not_registered() -> None:
    lab = Lab()
    directory_in(lab, {**USERS, "bob": "another"}, 1)
    bob = user(lab, "bob", "10.0.0.9")
    lab.run(20.0)
    assert bob.of(RegistrationFailed)
    assert not bob.of(Registered)


@pytest.mark.parametrize("seed", range(12))
def test_on_a_bad_network_each_call_is_set_up_or_said_not_to_be_and_ends_on_both_sides(seed: int) -> None:
    lab, node, alice, bob = house(seed, loss=0.15, duplicate=0.1, delay=0.05, jitter=0.03)
    call_id = call(lab, alice, "bob")
    lab.run(35.0)
    assert bool(alice.of(CallAnswered)) == bool(bob.of(CallEstablished))
    (bob if seed % 2 else alice).agent.hang_up(call_id, lab.now)
    lab.run(70.0)
    for phone in (alice, bob):
        phone.check()
    assert len(alice.of(CallEnded)) == 1
    at_rest(lab, node)


def test_most_calls_on_a_bad_network_are_set_up() -> None:
    up = 0
    for seed in range(12):
        lab, _, alice, bob = house(seed, loss=0.15, duplicate=0.1, delay=0.05, jitter=0.03)
        call(lab, alice, "bob")
        lab.run(35.0)
        up += bool(alice.of(CallAnswered) and bob.of(CallEstablished))
    assert up == 12
