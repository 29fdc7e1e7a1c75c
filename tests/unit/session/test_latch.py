"""Whose packets count: peers behind a NAT, strangers who send along, peers that move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.session_lab import (
    NAT,
    PEER,
    PTIME,
    REPAIR_TYPE,
    SENDER_REPORT,
    SSRC,
    STRANGER,
    Wire,
    packet,
    repair,
    wire,
)
from voip.media import Direction
from voip.rtp import RtpPacket
from voip.session import Address

# -- symmetric RTP: a peer behind a NAT ---------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [None, SSRC])
def test_a_peer_behind_a_nat_is_heard_from_its_first_packet_at_its_fifth(announced: int | None) -> None:
    w = wire(remote_ssrc=announced)
    assert w.stream(range(4), NAT) == []
    assert w.session.remote == PEER
    assert w.stream([4], NAT) == [0, 1, 2, 3, 4]
    assert w.session.remote == NAT
    assert w.stream(range(5, 10), NAT) == [5, 6, 7, 8, 9]
    assert (w.session.stats.foreign, w.session.stats.bytes) == (0, 10 * 172)
    assert w.session.reception.jitter < 1e-9  # held packets keep their own arrival times


def test_repair_packets_that_come_with_the_first_words_are_not_lost() -> None:
    w = wire()
    w.stream([0, 1], NAT)
    w.send(repair(), NAT, after=0.0)
    w.stream([2, 3, 4], NAT)
    assert [p.payload_type for p in w.passed] == [0, 0, REPAIR_TYPE, 0, 0, 0]


def test_a_burst_of_five_packets_is_not_yet_a_stream() -> None:
    w = wire()
    for index in range(8):
        assert w.send(packet(index), NAT, after=0.001) == []
    w.now = 100.08
    assert w.stream([8], NAT) == list(range(9))


def test_a_few_lost_packets_and_a_late_one_do_not_spoil_a_run() -> None:
    w = wire()
    assert w.stream([0, 2, 1, 5, 6], NAT) == []
    assert w.stream([7], NAT) == [0, 2, 1, 5, 6, 7]


@pytest.mark.parametrize("ahead", [4, 1000, 32768])
def test_a_run_with_a_hole_begins_again(ahead: int) -> None:
    w = wire()
    w.stream(range(4), NAT)
    assert w.stream(range(4, 8), NAT, ahead=ahead) == []
    assert w.stream([8], NAT, ahead=ahead) == [4, 5, 6, 7, 8]


def test_timestamps_out_of_step_are_no_stream() -> None:
    w = wire()
    for index in range(40):
        assert w.send(replace(packet(index), timestamp=index * index), NAT) == []
        assert w.send(replace(packet(index), timestamp=1000), STRANGER) == []


def test_a_stream_faster_than_time_is_not_believed() -> None:
    w = wire()
    for index in range(1000):
        assert w.send(packet(index), NAT, after=0.001) == []


def test_two_addresses_at_once_are_both_left_waiting() -> None:
    w = wire()
    for index in range(20):
        assert w.send(packet(index), NAT) == []
        assert w.send(packet(index), STRANGER, after=0.0) == []
    assert w.session.stats.foreign == 40
    assert w.stream(range(20, 26), NAT) == list(range(20, 26))


def test_another_ssrc_than_announced_is_not_believed_from_another_address() -> None:
    w = wire(remote_ssrc=SSRC)
    assert w.stream(range(30), STRANGER, ssrc=9) == []
    for index in range(5):  # nor does it stand in the way of the announced one
        assert w.stream([index], STRANGER, ssrc=9) == []
        w.now -= PTIME
        w.stream([index], NAT)
    assert [p.ssrc for p in w.passed] == [SSRC] * 5
    assert w.session.remote == NAT


def test_a_run_that_the_network_held_up_begins_again() -> None:
    w = wire()
    w.stream([0, 1, 2], NAT)
    w.now += 0.6
    assert w.stream([3, 4, 5, 6], NAT) == []
    assert w.stream([7], NAT) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("remote", [("0.0.0.0", 5004), ("192.0.2.10", 0), ("::", 9)])
def test_without_a_signalled_address_a_stream_earns_its_place(remote: Address) -> None:
    w = wire(remote=remote)
    assert w.session.remote == remote
    assert w.stream(range(5), PEER) == [0, 1, 2, 3, 4]
    assert w.session.remote == PEER


def test_who_only_sends_is_not_led_elsewhere_by_packets_nobody_asked_for() -> None:
    w = wire(direction=Direction.SENDONLY)
    assert w.stream(range(100), STRANGER) == []
    assert w.session.remote == PEER
    assert w.stream(range(100, 103)) == [100, 101, 102]


# -- strangers ----------------------------------------------------------------------------------------------------

ATTACKS = {"other-ssrc": (0xBAD, 0), "same-sequence": (SSRC, 0), "sequence-ahead": (SSRC, 3)}


def inject(w: Wire, index: int, ssrc: int, ahead: int, source: Address = STRANGER) -> None:
    forged = replace(packet(index, ssrc=ssrc, ahead=ahead), payload=b"stranger")
    w.send(forged, source, after=0.0)


def strangers(w: Wire) -> int:
    return sum(p.payload == b"stranger" for p in w.passed)


@pytest.mark.parametrize("announced", [None, SSRC])
@pytest.mark.parametrize(("ssrc", "ahead"), ATTACKS.values(), ids=ATTACKS)
def test_s1_a_stranger_who_sends_along_gets_nothing_through(ssrc: int, ahead: int, announced: int | None) -> None:
    w = wire(remote_ssrc=announced)
    inject(w, 0, ssrc, ahead)
    inject(w, 1, ssrc, ahead)  # before the peer's first packet
    heard = []
    for index in range(2, 200):
        heard += w.stream([index])
        inject(w, index, ssrc, ahead)
    assert heard == list(range(2, 200))
    assert (strangers(w), w.session.remote) == (0, PEER)
    assert w.session.stats.foreign == 200


@pytest.mark.parametrize("announced", [None, SSRC])
@pytest.mark.parametrize(("ssrc", "ahead"), ATTACKS.values(), ids=ATTACKS)
def test_s1_a_stranger_who_came_first_is_silenced_by_the_peer(ssrc: int, ahead: int, announced: int | None) -> None:
    w = wire(remote_ssrc=announced)
    for index in range(20):
        w.now += PTIME
        inject(w, index, ssrc, ahead)
    before, heard = strangers(w), []
    assert before == 0 or ssrc == SSRC or announced is None
    for index in range(20, 200):
        heard += w.stream([index])
        inject(w, index, ssrc, ahead)
    assert heard == list(range(20, 200))
    assert (strangers(w), w.session.remote) == (before, PEER)


@pytest.mark.parametrize("pause", [0.3, 3.0])
@pytest.mark.parametrize(("ssrc", "ahead"), ATTACKS.values(), ids=ATTACKS)
def test_s1_a_stranger_in_a_silence_is_gone_when_the_peer_speaks_again(ssrc: int, ahead: int, pause: float) -> None:
    w = wire(remote_ssrc=SSRC)
    w.stream(range(50))
    silent = round(pause / PTIME)
    for index in range(50, 50 + silent):
        w.now += PTIME
        inject(w, index, ssrc, ahead)
    before, heard = strangers(w), []
    assert before == 0 or (
        ssrc == SSRC and pause >= 0.5
    )  # who hears the peer can sound like it, as long as it is silent
    for index in range(50 + silent, 300):
        heard += w.stream([index])
        inject(w, index, ssrc, ahead)
    assert heard == [index & 0xFF for index in range(50 + silent, 300)]
    assert (strangers(w), w.session.remote) == (before, PEER)


@pytest.mark.parametrize(("ssrc", "ahead"), ATTACKS.values(), ids=ATTACKS)
def test_s1_a_peer_behind_a_nat_is_safe_once_it_is_latched(ssrc: int, ahead: int) -> None:
    w = wire()
    heard = w.stream(range(5), NAT)
    for index in range(5, 200):
        heard += w.stream([index], NAT)
        inject(w, index, ssrc, ahead)
    assert heard == list(range(200))
    assert (strangers(w), w.session.remote) == (0, NAT)


def test_rtcp_and_garbage_of_strangers_are_foreign_and_no_sign_of_life() -> None:
    w = wire()
    w.stream(range(3))
    heard = w.session.last_heard
    w.send(SENDER_REPORT, STRANGER)
    w.send(bytes(200), STRANGER)
    assert (w.session.stats.foreign, w.session.stats.rtcp, w.session.last_heard) == (2, 0, heard)


# -- a peer that moves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [PEER, NAT])
def test_s2_a_new_nat_binding_is_accepted_within_700_ms(start: Address) -> None:
    w = wire()
    w.stream(range(50), start)
    moved_at = w.now
    new = ("198.51.100.7", 40001)
    index = 50
    while not w.stream([index], new):
        index += 1
    assert 0.5 <= w.now - moved_at <= 0.7
    assert w.session.remote == new
    assert w.stream(range(index + 1, index + 20), new) == list(range(index + 1, index + 20))
    assert w.stream(range(5), start) == ([] if start == NAT else [0, 1, 2, 3, 4])


def test_s2_nobody_moves_a_peer_that_speaks() -> None:
    w = wire()
    for index in range(300):
        w.stream([index])
        inject(w, index, SSRC, 1)
    assert (strangers(w), w.session.remote) == (0, PEER)


@pytest.mark.parametrize(
    ("index", "ahead", "ticks"),
    [
        (50, 600, 0),  # sequence number too far on
        (50, -40, 0),  # and behind
        (50, 0, 8000),  # timestamps a second ahead of the clock
        (50, 0, -4000),
    ],
)
def test_s2_who_does_not_go_on_where_the_peer_stopped_waits_a_full_second(index: int, ahead: int, ticks: int) -> None:
    w = wire()
    w.stream(range(50))
    stopped_at = w.now
    passed: list[RtpPacket] = []
    while not passed and w.now < stopped_at + 2:
        moved = packet(index, ahead=ahead)
        passed = w.send(replace(moved, timestamp=(moved.timestamp + ticks) & 0xFFFFFFFF), NAT)
        index += 1
    assert 1.0 <= w.now - stopped_at <= 1.1


def test_a_peer_that_has_spoken_keeps_its_ssrc_wherever_it_goes() -> None:
    w = wire()
    w.stream(range(50))
    w.now += 5.0
    assert w.stream(range(50, 150), STRANGER, ssrc=9) == []
    assert w.session.remote == PEER


def test_any_word_of_the_peer_stops_a_takeover() -> None:
    w = wire()
    w.stream(range(50))
    for index in range(50, 200):
        w.send(packet(index), NAT)
        if index % 20 == 0:
            w.send(SENDER_REPORT, after=0.0)
    assert {p.payload[0] for p in w.passed} == set(range(50))


# -- no signalling --------------------------------------------------------------------------------------------------


def test_without_signalling_the_first_who_sends_is_the_peer_and_stays_it_while_it_speaks() -> None:
    w = wire(remote=("0.0.0.0", 0))
    assert w.session.rtcp_destination is None
    assert w.stream([0], PEER) == [0]
    assert w.session.remote == PEER
    for index in range(1, 40):
        assert w.send(packet(index, ssrc=0xBAD), STRANGER, after=0.0) == []
        assert w.stream([index], PEER) == [index]
    # RTCP may come from any port of its host: some tools take whatever port is free.
    w.send(SENDER_REPORT, (PEER[0], 6000))
    w.send(SENDER_REPORT, STRANGER)
    assert (w.session.stats.rtcp, w.session.stats.foreign) == (1, 40)


@pytest.mark.parametrize(("number", "taken"), [(97, True), (111, True), (8, False)])
def test_without_signalling_a_dynamic_number_is_the_one_that_comes_first(number: int, taken: bool) -> None:
    w = wire(remote=("0.0.0.0", 0), payload_type=96, fec=None, fec_payload_type=None)
    for index in range(3):
        w.send(replace(packet(index), payload_type=number))
        w.send(replace(packet(index), payload_type=99 if taken else 13))
    assert [p.payload_type for p in w.passed if p.payload_type != 99] == ([96] * 3 if taken else [])
    assert w.session.stats.unknown_payload_type == (3 if taken else 6)
