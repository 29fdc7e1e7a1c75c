"""The DTLS side of two calls over a network in virtual time: keys, proofs, and what later descriptions change."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from tests.support.dtls_lab import certificate
from tests.support.dtls_parties import ALICE, BOB, NAT, Party, World, begin, pair
from voip.calls.dtls import DtlsIdentity
from voip.dtls.guesses import FREE, MAX_WAIT
from voip.dtls.proof import NO_PASSWORD, OTHER_PASSWORD
from voip.media import IceCredentials, IceTerms
from voip.net import MediaTransport
from voip.srtp.association import Role


def test_with_ice_a_handshake_waits_for_the_address_that_is_selected() -> None:
    """The address of the description is a default, or none at all."""
    world, alice, bob = pair()
    ice = IceTerms(IceCredentials("ours", "p" * 22), IceCredentials("theirs", "q" * 22))
    alice.agree("bob", BOB)
    bob.agree("alice", NAT, ice=ice)
    world.run(2.0)
    assert (bob.keys, alice.keys) == (0, 0)
    bob.dtls.aim(ALICE)
    world.run(1.0)
    assert (bob.keys, alice.keys) == (1, 1)
    assert bob.media is not None
    assert bob.media.remote == NAT  # the call says where media goes
    assert not bob.failures


def test_both_get_keys_and_the_same_string() -> None:
    world, alice, bob = pair()
    begin(world, alice, bob)
    ours, theirs = alice.security.keys, bob.security.keys
    assert ours is not None
    assert theirs is not None
    assert (ours.local, ours.remote) == (theirs.remote, theirs.local)
    assert alice.strings == bob.strings
    assert len(alice.strings) == 1
    assert alice.security.proved == bob.security.proved == "certificate"


@pytest.mark.parametrize("password", [None, "secret"])
def test_the_loop_is_asked_to_call_only_while_there_is_something_to_repeat(password: str | None) -> None:
    """The last flight is repeated for half a minute; then hundreds of calls cost the loop nothing on its wake-ups."""
    world, alice, bob = pair(password, password)
    alice.agree("bob", BOB)
    bob.agree("alice", ALICE)
    assert world.participants
    world.run(40.0)
    assert (alice.keys, bob.keys) == (1, 1)
    assert not world.participants
    alice.agree("bob", BOB, "y" * 22)
    bob.agree("alice", ALICE, "y" * 22)
    assert world.participants
    world.run(40.0)
    assert (alice.keys, bob.keys) == (2, 2)
    assert not world.participants


def test_the_same_terms_again_keep_the_keys_and_others_bring_new_ones() -> None:
    world, alice, bob = pair()
    begin(world, alice, bob)
    before = alice.security.keys
    assert alice.agree("bob", BOB).keys == before
    assert alice.agree("bob", ("0.0.0.0", 5000)).keys == before, "on hold"
    world.run(1.0)
    assert (alice.keys, bob.keys) == (1, 1)
    assert alice.agree("bob", BOB, "y" * 22).keys is None
    assert bob.agree("alice", ALICE, "y" * 22).keys is None
    world.run(1.0)
    assert (alice.keys, bob.keys) == (2, 2)
    assert alice.security.keys not in (None, before)


def test_sound_goes_where_a_peer_behind_a_nat_has_proved_itself() -> None:
    world, alice, bob = pair(at=NAT)
    begin(world, alice, bob)
    assert alice.media is not None
    assert alice.media.remote == NAT
    again = alice.agree("bob", BOB)
    assert again.keys is not None
    assert alice.media.remote == NAT
    moved = ("192.0.2.77", 5000)
    alice.agree("bob", moved)
    assert alice.media.remote == moved, "it says itself where it is now"


def test_the_same_password_brings_keys() -> None:
    world, alice, bob = pair("secret", "secret")
    begin(world, alice, bob)
    assert (alice.keys, bob.keys) == (1, 1)
    assert alice.security.proved == bob.security.proved == "password"
    assert not alice.strings


def test_another_password_brings_none_and_says_so() -> None:
    world, alice, bob = pair("secret", "guess")
    begin(world, alice, bob)
    assert (alice.keys, bob.keys) == (0, 0)
    assert bob.failures == [(OTHER_PASSWORD, True)]
    assert len(alice.failures) == 1
    assert "password" in alice.failures[0][0]
    assert alice.security.keys is None


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_password_that_only_one_side_knows_brings_it_no_keys(who: str) -> None:
    world, alice, bob = pair("secret", None) if who == "alice" else pair(None, "secret")
    begin(world, alice, bob)
    world.run(6.0)
    knows = alice if who == "alice" else bob
    assert knows.keys == 0
    assert knows.failures == [(NO_PASSWORD, True)]


def test_the_wrong_certificate_brings_no_keys() -> None:
    world, alice, bob = pair()
    alice.agree("mallory", BOB)
    bob.agree("alice", ALICE)
    world.run(1.0)
    assert alice.keys == 0
    assert alice.failures[0][1] is True
    assert "certificate" in alice.failures[0][0]
    world.run(20.0)
    assert alice.security.keys is None


def test_the_end_is_told() -> None:
    world, alice, bob = pair()
    begin(world, alice, bob)
    bob.dtls.close()
    world.run(1.0)
    assert alice.closed == 1
    alice.dtls.close()
    assert not world.participants


def test_after_wrong_guesses_a_proof_waits_and_succeeds_all_the_same() -> None:
    identity = DtlsIdentity(certificate("alice"), "secret")
    world = World()
    for number in range(FREE + 4):
        alice = Party(world, f"alice{number}", Role.SERVER, ALICE, identity)
        mallory = Party(world, f"bob{number}", Role.CLIENT, BOB, DtlsIdentity(certificate("bob"), f"guess {number}"))
        begin(world, alice, mallory)
        world.run(10.0)
        assert alice.keys == 0
        assert alice.failures
    alice = Party(world, "alice", Role.SERVER, ALICE, identity)
    bob = Party(world, "bob", Role.CLIENT, BOB, DtlsIdentity(certificate("bob"), "secret"))
    begin(world, alice, bob)
    assert alice.keys == 0, "it waits"
    world.run(MAX_WAIT)
    assert (alice.keys, bob.keys) == (1, 1)


def test_media_without_dtls_is_left_alone() -> None:
    world, alice, _ = pair()
    alice.agree("bob", BOB)
    assert alice.media is not None
    plain = replace(alice.media, security=None)
    assert alice.dtls.agree(plain, cast(MediaTransport, alice.port)) is plain
    assert world.participants == [alice.dtls]


def test_what_failed_before_the_answer_is_told_again_with_it_and_another_peer_has_its_chance() -> None:
    world, alice, bob = pair()
    alice.agree("mallory", BOB)
    bob.agree("alice", ALICE)
    world.run(1.0)
    assert len(alice.failures) == 1
    alice.agree("mallory", BOB)
    world.run(0.1)
    assert len(alice.failures) == 2
    carol = Party(world, "carol", Role.CLIENT, NAT, DtlsIdentity(certificate("carol")))
    alice.agree("carol", NAT)
    carol.agree("alice", ALICE)
    world.run(1.0)
    assert (alice.keys, carol.keys) == (1, 1)


@pytest.mark.parametrize(("word", "waits", "begins"), [(None, 0.1, 0.12), ("secret", 0.18, 0.16)])
def test_keys_are_there_soon_after_the_answer(word: str | None, waits: float, begins: float) -> None:
    """On a path of 20 ms each way, seconds after both have the descriptions."""
    world, alice, bob = pair(word, word)
    alice.agree("bob", BOB)
    bob.agree("alice", ALICE)
    start, seen = world.time, dict[str, float]()
    while world.time < start + 1.0:
        world.run(0.001)
        for name, party in (("waits", alice), ("begins", bob)):
            if party.keys:
                seen.setdefault(name, world.time - start)
    assert seen["waits"] == pytest.approx(waits, abs=0.005)
    assert seen["begins"] == pytest.approx(begins, abs=0.005)
