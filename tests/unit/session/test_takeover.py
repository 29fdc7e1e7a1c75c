"""Another SSRC from the peer's own address, which anybody can write into a packet: two lost packets give it nothing."""

from __future__ import annotations

import random

import pytest

from tests.support.session_lab import PTIME, SSRC, packet, wire

FORGED = 0xBAD


@pytest.mark.parametrize("announced", [None, SSRC])
@pytest.mark.parametrize("lost", [2, 3, 10])
def test_s4_a_stream_that_goes_on_after_a_loss_is_back_at_its_first_packet(lost: int, announced: int | None) -> None:
    w = wire(remote_ssrc=announced)
    heard = []
    for index in range(300):
        if not 100 <= index < 100 + lost:
            heard += w.stream([index])
        else:
            w.now += PTIME
        w.send(packet(index, ssrc=FORGED), after=0.001)
        w.now -= 0.001
    came = [index & 0xFF for index in range(300) if not 100 <= index < 100 + lost]
    peers = [p for p in w.passed if p.ssrc == SSRC]
    assert [p.payload[0] for p in peers] == came
    assert len(w.passed) - len(peers) <= lost + 2
    assert len(heard) <= len(w.passed)


def test_s4_after_one_attempt_short_silences_give_another_ssrc_nothing() -> None:
    w, rng = wire(), random.Random(4)
    lost = {index for index in range(20, 1000) if rng.random() < 0.2} | {10, 11, 12}
    for index in range(1000):
        if index in lost:
            w.now += PTIME
        else:
            w.stream([index])
        w.send(packet(index, ssrc=FORGED), after=0.001)
        w.now -= 0.001
    peers = [p for p in w.passed if p.ssrc == SSRC]
    assert len(peers) == 1000 - len(lost)
    assert len(w.passed) - len(peers) <= 4


def test_s7_a_peer_whose_ssrc_changes_is_heard_from_its_first_packet_whether_or_not_it_was_contested() -> None:
    w = wire()
    w.stream(range(20))
    assert w.stream(range(20, 30), ssrc=9) == list(range(20, 30))
    assert w.stream(range(30, 40)) == list(range(30, 40)), "back, as after music on hold"
    heard = w.stream(range(40, 80), ssrc=10)
    assert heard[-1] == 79
    assert len(heard) >= 15
    assert w.session.ssrc == 10


def test_a_copy_or_a_late_packet_of_the_old_stream_does_not_bring_it_back() -> None:
    w = wire()
    w.stream(range(20))
    w.stream(range(20, 30), ssrc=9)
    for index in (18, 19):
        w.send(packet(index), after=0.001)
    assert w.session.ssrc == 9
    assert w.stream([30], ssrc=9) == [30]
