"""Proofs of the peer over an association: a shared password, a short string; with loss, strangers and hostile bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.dtls.proof import (
    ALPHABET,
    NO_PASSWORD,
    OTHER_PASSWORD,
    PASSWORD_TIMEOUT,
    STRING_TIMEOUT,
    PasswordProof,
    Proof,
    ShortString,
    State,
)
from voip.srtp.association import Role

CHANNEL = b"c" * 96
STEP = 0.02


def password(role: Role, word: str = "correct horse", channel: bytes = CHANNEL, seed: int = 0) -> PasswordProof:
    return PasswordProof(word, role, channel, random.Random(f"{role}{seed}"))


def string(role: Role, channel: bytes = CHANNEL, seed: int = 0) -> ShortString:
    return ShortString(role, channel, random.Random(f"{role}{seed}"))


def talk(
    client: Proof,
    server: Proof,
    seconds: float = 6.0,
    *,
    lost: Callable[[], bool] = lambda: False,
    server_begins: float = 0.0,
) -> list[bytes]:
    """Let both talk, one message a step in each direction at most late by one step. What was sent."""
    now, wire = 0.0, []
    client.begin(now)
    started = False
    while now < seconds:
        if not started and now >= server_begins:
            server.begin(now)
            started = True
        for one, other in ((client, server), (server, client)):
            for message in one.messages_to_send():
                wire.append(message)
                if not lost() and (started or other is client):
                    other.receive(message)
        now += STEP
        for one in (client, server):
            due = one.next_timer()
            if due is not None and due <= now:
                one.handle_timer(now)
    return wire


def test_the_same_password_proves_both() -> None:
    client, server = password(Role.CLIENT), password(Role.SERVER)
    wire = talk(client, server)
    assert (client.state, server.state) == (State.PROVED, State.PROVED)
    assert len(wire) == 3
    assert not [message for message in wire if b"correct horse" in message]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", [password, string])
def test_loss_is_made_good(seed: int, kind: Callable[..., Proof]) -> None:
    rng = random.Random(seed)
    client, server = kind(Role.CLIENT), kind(Role.SERVER)
    talk(client, server, lost=lambda: rng.random() < 0.2, server_begins=0.1)
    assert (client.state, server.state) == (State.PROVED, State.PROVED)
    assert client.text == server.text


def test_another_password_fails_on_both_sides() -> None:
    client, server = password(Role.CLIENT, "a"), password(Role.SERVER, "b")
    talk(client, server)
    assert (client.state, client.text) == (State.FAILED, OTHER_PASSWORD)
    assert (server.state, server.text) == (State.FAILED, NO_PASSWORD)


def test_a_peer_without_a_password_fails_in_time() -> None:
    client = password(Role.CLIENT)
    talk(client, string(Role.SERVER), seconds=PASSWORD_TIMEOUT + 0.1)
    assert (client.state, client.text) == (State.FAILED, NO_PASSWORD)


def test_a_man_in_the_middle_who_passes_the_messages_on_is_found() -> None:
    """Both ends know the password, but their channels are two."""
    client, server = password(Role.CLIENT, channel=b"x" * 96), password(Role.SERVER, channel=b"y" * 96)
    talk(client, server)
    assert client.state is State.FAILED
    assert server.state is State.FAILED


def test_each_association_takes_one_guess() -> None:
    server = password(Role.SERVER, "z")
    server.begin(0.0)
    for guess in "abcdefxyz":
        client = password(Role.CLIENT, guess)
        client.begin(0.0)
        server.receive(client.messages_to_send()[0])
        for message in server.messages_to_send():
            client.receive(message)
        for message in client.messages_to_send():
            server.receive(message)
        assert client.state is not State.PROVED
    assert server.state is State.OPEN


def test_our_own_messages_sent_back_prove_nothing() -> None:
    for role in Role:
        proof = password(role)
        proof.begin(0.0)
        for _ in range(4):
            for message in proof.messages_to_send():
                proof.receive(message)
                swapped = bytearray(message)
                swapped[13] ^= ord("A") ^ ord("B")
                proof.receive(bytes(swapped))
        assert proof.state is not State.PROVED


def test_what_is_sent_says_nothing_of_the_password_to_who_tries_others() -> None:
    """Without the secrets of one side no message can be told from one of another password: all are random."""
    first = talk(password(Role.CLIENT, "a", seed=1), password(Role.SERVER, "a", seed=1))
    again = talk(password(Role.CLIENT, "a", seed=2), password(Role.SERVER, "a", seed=2))
    assert not {*first} & {*again}


def test_the_short_string_is_the_same_on_both_sides() -> None:
    client, server = string(Role.CLIENT), string(Role.SERVER)
    talk(client, server)
    assert client.text == server.text
    assert len(client.text) == 4
    assert {*client.text} <= {*ALPHABET}


def test_short_strings_of_two_channels_differ_but_by_chance() -> None:
    same = 0
    for seed in range(300):
        client, server = string(Role.CLIENT, b"x" * 96, seed), string(Role.SERVER, b"y" * 96, seed)
        talk(client, server, 0.2)
        same += client.text == server.text != ""
    assert same == 0


def test_a_number_that_was_not_committed_to_is_no_string() -> None:
    server = string(Role.SERVER)
    server.begin(0.0)
    committed, chosen = string(Role.CLIENT, seed=1), string(Role.CLIENT, seed=2)
    committed.begin(0.0)
    chosen.begin(0.0)
    server.receive(committed.messages_to_send()[0])
    number = server.messages_to_send()[0]
    chosen.messages_to_send()
    chosen.receive(number)
    server.receive(chosen.messages_to_send()[0])
    assert server.state is State.FAILED


def test_phones_that_know_no_string_are_asked_for_a_while() -> None:
    client = string(Role.CLIENT)
    client.begin(0.0)
    sent = len(client.messages_to_send())
    while (due := client.next_timer()) is not None:
        client.handle_timer(due)
        sent += len(client.messages_to_send())
    assert client.state is State.FAILED
    assert due is None
    assert sent <= 12
    assert STRING_TIMEOUT == 5.0


MESSAGE = st.binary(max_size=120) | st.builds(
    lambda kind, body: b"voip-proof-1" + bytes([kind]) + body,
    st.sampled_from((1, 2, 3, 0x11, 0x12, 0x13, 0x14)),
    st.binary(max_size=120)
    | st.binary(min_size=32, max_size=32)
    | st.binary(min_size=32, max_size=32).map(lambda body: b"A" + body)
    | st.binary(min_size=64, max_size=64).map(lambda body: b"B" + body)
    | st.sampled_from([side + bytes(32) for side in (b"A", b"B")] + [b"B\x01" + bytes(31), b"B\x01" + bytes(63)]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MESSAGE, max_size=6), st.sampled_from(list(Role)), st.booleans())
def test_hostile_messages_prove_nothing(messages: list[bytes], role: Role, by_password: bool) -> None:
    proof: Proof = password(role) if by_password else string(role)
    proof.begin(0.0)
    proof.messages_to_send()
    sent = 0
    for message in messages:
        proof.receive(message)
        sent += len(proof.messages_to_send())
    assert sent <= len(messages)
    assert not by_password or proof.state is not State.PROVED
