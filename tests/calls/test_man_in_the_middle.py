"""Whole calls of both programs in virtual time, and a man in the middle of all that they say: signalling and media.

`Scene` and `Party` state what must hold whatever is done: no exception, nothing played that is not authentic where the
call is told to be encrypted, and an end of both sides that is true.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.fuzz.middle import FORGE, LINE, TALK, disturbed, misdeed
from tests.fuzz.target import joined
from tests.support.meddling import strip
from tests.support.virtual_calls import ALL_TERMS, CALLER, ELSEWHERE, SIP_PORT, Endpoint, Scene, Terms
from voip.errors import EXIT_AUTHENTICATION, EXIT_OK, EXIT_REJECTED
from voip.rtp import RtpPacket
from voip.sdp import SrtpRule

PLANS = 60
"""Random plans that are tried here; `make fuzz ARGS="call call-password"` tries more."""
LINES = (b"", b"a=sendonly", b"a=inactive", b"c=IN IP4 0.0.0.0", b"m=audio 0 RTP/AVP 0", b"CSeq: 2 BYE", b"Expires: 0")


def whole(terms: Terms) -> Scene:
    """A call that nothing disturbs."""
    return disturbed(terms, b"")


def outcomes(scene: Scene) -> list[int]:
    return [outcome.status for party in scene.parties for outcome in party.outcomes]


@pytest.mark.parametrize("terms", ALL_TERMS)
def test_undisturbed_both_hear_each_other_and_see_the_same_string(terms: Terms) -> None:
    scene = whole(terms)
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]
    encrypted = terms.srtp is not SrtpRule.OFF
    strings = [[event["string"] for event in party.events("short-string")] for party in scene.parties]
    assert strings[0] == strings[1]
    assert len(strings[0]) == encrypted
    for party in scene.parties:
        assert party.heard > 20
        assert not party.forged
        assert len(party.keys) == encrypted


def test_a_password_proves_the_peer_and_another_one_ends_the_call() -> None:
    scene = whole(Terms(passwords=("correct horse", "correct horse")))
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]
    assert all("peer proved by password" in party.said and party.heard > 10 for party in scene.parties)
    scene = whole(Terms(passwords=("correct horse", "battery staple")))
    assert outcomes(scene) == [EXIT_AUTHENTICATION, EXIT_AUTHENTICATION]
    assert not any(party.heard or party.keys for party in scene.parties)


def test_repair_packets_are_encrypted_too_and_repair() -> None:
    scene, numbers = Scene(), list[int]()

    def meddle(data: bytes, source: Endpoint, destination: Endpoint) -> None:
        """Every fifth packet of the caller's media is lost."""
        if source[0] == CALLER and source[1] != SIP_PORT and data[0] >= 0x80 and not 192 <= data[1] <= 223:
            numbers.append(len(data))
            if len(numbers) % 5 == 0:
                return
        scene.wires.carry(data, source, destination)

    scene.wires.meddle = meddle
    scene.dial()
    scene.run(TALK)
    scene.finish()
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]
    (record,) = scene.callee.records
    assert record.rx is not None
    assert record.rx.recovered > 1
    assert scene.callee.forged == 0


def without_encryption(terms: Terms) -> Scene:
    """A proxy takes all of it out of the descriptions, of offer and answer."""
    scene = Scene(terms)

    def meddle(data: bytes, source: Endpoint, destination: Endpoint) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        if body.startswith(b"v=0"):
            body = strip(body, b"a=fingerprint", b"a=setup", b"a=tls-id", b"a=crypto").replace(
                b"UDP/TLS/RTP/SAVP", b"RTP/AVP"
            )
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length"))
        scene.wires.carry(head + end + body, source, destination)

    scene.wires.meddle = meddle
    scene.dial()
    scene.run(TALK)
    scene.finish()
    return scene


def test_where_a_proxy_takes_encryption_out_the_call_goes_on_in_clear_and_says_so() -> None:
    scene = without_encryption(Terms())
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]
    for party in scene.parties:
        assert party.heard > 20
        assert "not encrypted" in party.said
        assert not party.events("short-string")


@pytest.mark.parametrize("terms", [Terms(srtp=SrtpRule.REQUIRED), Terms(passwords=("a word", "a word"))])
def test_where_encryption_is_required_the_call_is_refused_instead(terms: Terms) -> None:
    scene = without_encryption(terms)
    assert outcomes(scene) == [EXIT_REJECTED]
    assert not any(party.heard for party in scene.parties)


def forged(terms: Terms) -> Scene:
    """Packets with the caller's address, SSRC and numbers, before each of its own."""
    scene, numbers = Scene(terms), list[int]()

    def meddle(data: bytes, source: Endpoint, destination: Endpoint) -> None:
        if source[0] == CALLER and source[1] != SIP_PORT and data[0] == 0x80 and not 192 <= data[1] <= 223:
            real = RtpPacket.parse(data[:-16] if scene.caller.keys else data)
            numbers.append(real.sequence_number)
            scene.wires.carry(replace(real, payload=b"\x55" * 160).serialize(), source, destination)
            scene.wires.carry(data, source, destination, 0.001)
        else:
            scene.wires.carry(data, source, destination)

    scene.wires.meddle = meddle
    scene.dial()
    scene.run(TALK)
    scene.finish()
    assert len(numbers) > 10
    return scene


def test_forged_packets_are_played_in_clear_alone() -> None:
    """The first half shows that the second can fail: without keys there is no way to tell."""
    assert forged(Terms(srtp=SrtpRule.OFF)).callee.forged > 10
    scene = forged(Terms())
    assert scene.callee.forged == 0
    assert scene.callee.heard > 20
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]


def test_what_a_stranger_sends_ends_nothing() -> None:
    scene = Scene()

    def meddle(data: bytes, source: Endpoint, destination: Endpoint) -> None:
        scene.wires.carry(data, source, destination)
        scene.wires.carry(data, (ELSEWHERE, 6666), destination)

    scene.wires.meddle = meddle
    scene.dial()
    scene.run(TALK)
    scene.finish()
    assert outcomes(scene) == [EXIT_OK, EXIT_OK]
    assert all(party.heard > 20 and not party.forged for party in scene.parties)


def test_a_peer_that_vanishes_is_said_to_have_vanished() -> None:
    scene = Scene()
    scene.dial()
    scene.run(TALK)
    scene.wires.meddle = lambda data, source, destination: None
    scene.run(20.0, lambda: scene.is_over)
    scene.finish()
    assert EXIT_OK not in outcomes(scene)
    assert {record.end_reason for party in scene.parties for record in party.records} == {"media-timeout"}


def plan(rng: random.Random) -> bytes:
    """Misdeeds of all kinds, at any time."""
    misdeeds = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.randrange(FORGE + 2)
        change = rng.choice(LINES) if kind == LINE else rng.randbytes(rng.choice((0, 1, 2, 5, 20)))
        misdeeds.append(misdeed(kind, rng.randrange(20), rng.randrange(2000), change))
    return joined(*misdeeds)


@pytest.mark.parametrize("part", range(4))
def test_random_misdeeds_lead_to_no_exception_no_forged_sound_and_no_lie(part: int) -> None:
    for seed in range(part, PLANS, 4):
        disturbed(ALL_TERMS[seed % len(ALL_TERMS)], plan(random.Random(seed)))


def test_random_misdeeds_do_not_get_past_a_password() -> None:
    for seed in range(12):
        words = ("correct horse", "correct horse" if seed % 2 else "battery staple")
        scene = disturbed(Terms(passwords=words), plan(random.Random(1000 + seed)))
        assert not any(party.forged for party in scene.parties)
        assert seed % 2 or not any(party.heard for party in scene.parties)
