"""Whole calls of SRTP in virtual time: they sound as those in clear, repair included, and nothing forged is heard."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.support.call import SENDER, Call, Link, call, is_media, media, noise
from tests.support.encrypted import EncryptedCall
from voip.rtp import RtpPacket
from voip.srtp import Profile

SECONDS = 10.0


@pytest.mark.parametrize("profile", Profile)
def test_every_sample_is_heard_as_it_was_sent(profile: Profile) -> None:
    encrypted = EncryptedCall(profile=profile)
    encrypted.talk(noise(SECONDS))
    assert encrypted.end().exact()


def test_the_sound_is_that_of_a_call_in_clear_on_the_same_bad_line() -> None:
    def played(kind: type[Call]) -> tuple[np.ndarray, int]:
        one = kind(Link(loss=0.05, burst=2.0, jitter=0.01, seed=9))
        one.talk(noise(SECONDS))
        result = one.end()
        return result.heard, result.stats.lost

    (clear, lost_clear), (secret, lost_secret) = played(Call), played(EncryptedCall)
    assert lost_clear == lost_secret > 0
    assert abs(len(clear) - len(secret)) <= 160


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("fec", ["2", "sliding:0,1,3/1"])
def test_repair_works_under_encryption_as_in_clear_at_10_percent_loss(profile: Profile, fec: str) -> None:
    clear = call(SECONDS, link=Link(loss=0.1, seed=5), fec=fec, latency=0.2)
    encrypted = EncryptedCall(Link(loss=0.1, seed=5), fec=fec, profile=profile, latency=0.2)
    encrypted.talk(noise(SECONDS))
    secret = encrypted.end()
    assert secret.stats.lost == clear.stats.lost > 20
    assert secret.stats.recovered == clear.stats.recovered > 0.65 * secret.stats.lost
    assert secret.share_missing() == pytest.approx(clear.share_missing(), abs=0.005)
    assert encrypted.session.stats.unauthenticated == 0


@pytest.mark.parametrize("scheme", ["ulpfec", "ulpfec red", "red"])
def test_the_other_schemes_of_repair_are_within_encryption_too(scheme: str) -> None:
    lost = random.Random(3)
    pattern = "1"
    encrypted = EncryptedCall(agreed=media(fec=pattern, scheme=scheme), fec=pattern, latency=0.2)
    encrypted.link.drop = lambda packet: lost.random() < 0.1
    encrypted.talk(noise(SECONDS))
    stats = encrypted.end().stats
    assert stats.lost > 20
    assert stats.recovered > 0.7 * stats.lost


def test_nothing_of_the_sound_is_on_the_wire() -> None:
    encrypted = EncryptedCall(fec="2")
    sound = noise(2.0)
    encrypted.talk(sound)
    pieces = {sound[start : start + 8].astype(">i2").tobytes() for start in range(0, len(sound) - 8, 8)}
    wire = b"".join(encrypted.on_the_wire)
    assert not [piece for piece in pieces if piece in wire]


def test_streams_that_begin_below_the_wrap_and_go_on_beyond_it_are_heard() -> None:
    """The sender's first number is in the lower half; 700 s later it wraps, here at once."""
    encrypted = EncryptedCall(fec="2")
    encrypted.sender._packetizer.sequence_number = 65500
    encrypted.talk(noise(SECONDS))
    numbers = [RtpPacket.parse(data).sequence_number for data in encrypted.on_the_wire]
    assert 65535 in numbers
    assert encrypted.end().exact()


def test_first_numbers_leave_room_for_lost_packets_before_a_wrap() -> None:
    encrypted = EncryptedCall(fec="2")
    encrypted.talk(noise(0.2))
    first = {RtpPacket.parse(data).ssrc: RtpPacket.parse(data).sequence_number for data in encrypted.on_the_wire[::-1]}
    assert len(first) == 2
    assert all(number < 0x8000 for number in first.values())


# --- attacks ----------------------------------------------------------------------------------------------------------


def test_another_key_is_silence() -> None:
    encrypted = EncryptedCall(sent_by=3)
    encrypted.talk(noise(3.0))
    encrypted.wait(1.0)
    assert not np.any(np.concatenate(encrypted.heard))
    assert encrypted.session.stats.unauthenticated == len(encrypted.on_the_wire)
    assert encrypted.session.remote == SENDER


def test_tampered_packets_are_lost_packets() -> None:
    rng = random.Random(8)
    encrypted = EncryptedCall(fec="2", latency=0.2)
    send, tampered = encrypted.link.send, 0

    def tamper(datagram: bytes, now: float) -> None:
        nonlocal tampered
        if rng.random() < 0.1:
            tampered += is_media(RtpPacket.parse(datagram))
            changed = bytearray(datagram)
            changed[rng.randrange(12, len(changed))] ^= 1 << rng.randrange(8)
            datagram = bytes(changed)
        send(datagram, now)

    encrypted.link.send = tamper  # type: ignore[method-assign]
    encrypted.talk(noise(SECONDS))
    stats = encrypted.end().stats
    assert stats.lost == tampered > 20
    assert stats.recovered > 0.7 * tampered


def test_a_replay_of_all_that_was_said_is_not_heard_again() -> None:
    encrypted = EncryptedCall()
    encrypted.talk(noise(3.0))
    encrypted.wait(0.5)
    before = encrypted.receiver.stats.received
    for start in range(len(encrypted.on_the_wire)):
        encrypted.link.send(encrypted.on_the_wire[start], encrypted.now)
        encrypted.wait(0.02)
    assert encrypted.receiver.snapshot().received == before
    assert encrypted.session.stats.replayed == len(encrypted.on_the_wire)
    assert not np.any(np.concatenate(encrypted.heard[-100:]))
