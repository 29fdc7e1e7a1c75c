"""Whole calls in virtual time: sender, network, session, receiver. The harness checks the identities all along."""

from __future__ import annotations

import random
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from tests.support.call import Call, CallResult, Link, call, l16, media, noise
from tests.support.negotiated import changed
from voip.codecs import find
from voip.media import Direction
from voip.rtp import RtpPacket

RATE = 8000
SOUND = noise(60)


def part(start: float, end: float) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return SOUND[round(start * RATE) : round(end * RATE)]


def untroubled(result: CallResult) -> None:
    stats = result.stats
    assert result.exact()
    assert (stats.playout.concealed, stats.playout.underruns, stats.playout.resyncs, stats.playout.late) == (0, 0, 0, 0)
    assert stats.playout.longest_gap == 0.0
    assert stats.playout.played == stats.received == stats.expected


# -- a good network ---------------------------------------------------------------------------------------------------


def test_a_clean_call_is_bit_exact_from_first_to_last_sample() -> None:
    result = call(60)
    untroubled(result)
    assert result.stats.playout.delay_max == pytest.approx(0.06, abs=0.011)
    assert result.sender.seconds == pytest.approx(60)


@pytest.mark.parametrize(("rate", "channels", "ptime", "fec"), [(48000, 1, 0.01, "4"), (44100, 2, 0.005, "off")])
def test_a_clean_call_is_bit_exact_in_other_formats(rate: int, channels: int, ptime: float, fec: str) -> None:
    untroubled(call(5.003, agreed=media(l16(rate, channels), ptime=ptime, fec=fec), fec=fec))


def test_reads_that_come_late_and_then_two_in_a_row_disturb_nothing() -> None:
    rng = random.Random(5)
    both = Call()
    both.wobble = lambda block: 0.005 * rng.random() + (0.03 if rng.random() < 0.05 else 0.0)
    both.talk(part(0, 30))
    untroubled(both.end())


def test_a_sink_with_large_blocks_hears_the_same() -> None:
    both = Call(block=0.04)
    both.talk(part(0, 10))
    untroubled(both.end())


# -- loss -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_blocks_of_four_leave_what_the_closed_form_says(loss: float) -> None:
    result = call(120, link=Link(loss=loss, seed=11), fec="4")
    stats = result.stats
    packets = stats.expected
    expected = loss * (1 - (1 - loss) ** 4) * packets  # lost, and another one of its four or the repair packet, too
    # Losses come two and more at a time: a block that fails loses at least two, or one and its repair packet.
    deviation = sqrt(expected * 2)
    assert abs(stats.lost_after_fec - expected) < 3 * deviation
    assert stats.recovered == stats.lost - stats.lost_after_fec > 0.5 * stats.lost
    assert stats.playout.played == stats.received + stats.recovered
    assert (stats.playout.late, stats.playout.underruns, stats.playout.resyncs) == (0, 0, 0)


def test_a_sliding_pattern_repairs_nearly_all_of_a_fifth_lost() -> None:
    stats = call(60, link=Link(loss=0.2, seed=2), fec="sliding:1,2,4/1").stats
    assert stats.lost > 500
    assert stats.lost_after_fec <= 0.005 * stats.expected


def test_one_lost_packet_is_concealed_and_delays_nothing() -> None:
    both = Call(Link(drop=lambda packet: packet.sequence_number == 5))
    both.talk(part(0, 5))
    result = both.end()
    assert result.stats.playout.concealed == 1
    assert result.stats.playout.longest_gap == pytest.approx(0.02)
    assert result.heard_at(4.0) - result.heard_at(0.0) == pytest.approx(4.0)
    assert result.share_missing() < 0.026 / 5 + 1e-9


def test_bursts_of_loss_are_counted_by_length() -> None:
    lost = {3, 10, 11, 20, 21, 22, 23}
    both = Call(Link(drop=lambda packet: packet.sequence_number in lost))
    both.talk(part(0, 3))
    stats = both.end().stats
    assert stats.lost == stats.lost_after_fec == stats.playout.concealed == 7
    assert stats.loss_runs == {"1": 1, "2": 1, "3+": 1}


def test_an_outage_of_the_network_leaves_the_delay_as_it_was() -> None:
    both = Call()
    both.talk(part(0, 5))
    both.link.change(loss=1.0)
    both.talk(part(5, 6))
    both.link.change(loss=0.0)
    both.talk(part(6, 10))
    result = both.end()
    stats = result.stats
    assert (stats.lost, stats.playout.concealed, stats.playout.underruns, stats.playout.resyncs) == (50, 50, 1, 0)
    assert stats.playout.longest_gap == pytest.approx(1.0)
    assert result.delay(9) == result.delay(3)


# -- jitter, reordering, duplicates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fec", ["off", "4"])
def test_reordering_by_30_ms_of_jitter_costs_less_than_half_a_percent(fec: str) -> None:
    both = Call(Link(jitter=0.03, seed=2), fec=fec)
    both.talk(part(0, 10))
    adapted = both.receiver.snapshot()
    for _ in range(2):
        both.talk(part(10, 60))
    stats = both.end().stats
    assert stats.playout.late - adapted.playout.late < 0.005 * 5000
    assert stats.playout.played - adapted.playout.played > 0.995 * 5000
    assert (stats.lost, stats.playout.resyncs) == (0, 0)


def test_the_delay_comes_down_again_when_the_jitter_ends() -> None:
    both = Call(Link(jitter=0.03))
    both.talk(part(0, 15))
    risen = both.receiver.snapshot().playout.delay
    both.link.change(jitter=0.0)
    both.talk(part(0, 60))
    stats = both.end().stats
    assert risen is not None
    assert risen > 0.12
    assert stats.playout.delay is not None
    assert stats.playout.delay <= 0.06 + 0.02
    assert stats.playout.resyncs == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_tenth_lost_and_30_ms_of_jitter_leave_little_missing_at_120_ms(seed: int) -> None:
    result = call(60, link=Link(loss=0.1, jitter=0.03, seed=seed), fec="sliding:0,1,3+0,2/1")
    assert result.share_missing() <= 0.02
    assert result.stats.playout.delay_max is not None
    assert result.stats.playout.delay_max <= 0.12
    assert result.stats.lost_after_fec < 0.005 * result.stats.expected


def test_duplicates_cost_nothing() -> None:
    result = call(20, link=Link(duplicate=0.3))
    assert result.exact()
    assert result.stats.duplicate > 200
    assert result.stats.received == result.stats.expected == 1000


def test_a_stall_of_the_network_does_not_raise_the_delay() -> None:
    both = Call()
    both.talk(part(0, 5))
    both.link.block(both.now + 0.25)
    both.talk(part(5, 15))
    result = both.end()
    assert result.stats.playout.late == result.stats.playout.concealed == 10
    assert result.stats.playout.resyncs == 0
    assert result.stats.playout.target == 0.06
    assert result.delay(6) == result.delay(4)


@pytest.mark.parametrize(("before", "after"), [(0.02, 0.3), (0.3, 0.02), (0.02, 2.0), (0.8, 0.02)])
def test_a_new_route_is_followed_at_once(before: float, after: float) -> None:
    both = Call(Link(delay=before))
    both.talk(part(0, 5))
    both.link.change(delay=after)
    both.talk(part(5, 15))
    result = both.end()
    assert result.stats.playout.resyncs == 1
    assert result.delay(after + 6) == pytest.approx(after + 0.06, abs=0.021)
    assert result.share_missing() < 0.02 + max(before - after, 0.0) / 15
    assert result.stats.playout.target == 0.06


def test_a_late_duplicate_before_a_pause_does_not_silence_the_stream() -> None:
    both = Call()
    kept: list[bytes] = []

    def keep(packet: RtpPacket) -> bool:
        kept.append(packet.serialize())
        return False

    both.link.drop = keep
    both.talk(part(0, 2))
    both.wait(0.05)
    for packet in both.session.receive_datagram(kept[-10], ("192.0.2.1", 40000), both.now):
        both.receiver.put(packet, both.now)
    both.wait(0.5)
    both.talk(part(2, 6))
    result = both.end()
    assert result.stats.duplicate == 1
    assert result.heard_at(2.0) - 2.55 < 0.2
    assert result.delay(5.5) - 0.55 == pytest.approx(0.08, abs=0.021)


# -- freezes, pauses, jumps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
def test_a_frozen_sender_is_heard_again_within_200_ms(seconds: float) -> None:
    both = Call()
    both.talk(part(0, 5))
    both.wait(seconds)
    both.talk(part(5, 12))
    result = both.end()
    assert result.heard_at(5.0) - (5 + seconds) < 0.02 + 0.2
    assert result.delay(9 + seconds) - seconds == pytest.approx(0.08, abs=0.021)
    assert result.stats.playout.resyncs == 1
    assert result.stats.playout.underruns == 1
    assert result.stats.playout.target == 0.06


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
def test_a_sender_that_catches_up_after_a_freeze_keeps_its_time(seconds: float) -> None:
    both = Call()
    both.talk(part(0, 5))
    both.wait(seconds)
    both.speak(part(5, 5 + seconds))
    both.talk(part(5 + seconds, 12))
    result = both.end()
    assert result.delay(8 + seconds) == result.delay(3)
    assert result.heard_at(5 + seconds) - (5 + seconds) < 0.2
    assert result.stats.playout.target == 0.06


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
def test_a_frozen_receiver_is_back_at_its_delay_within_half_a_second(seconds: float) -> None:
    both = Call()
    both.talk(part(0, 5))
    both.freeze(seconds, part(5, 5 + seconds))
    both.talk(part(5 + seconds, 15))
    result = both.end()
    # What is heard is shorter by the freeze: nothing was asked for in it.
    assert result.delay(5.6) + seconds == pytest.approx(0.08, abs=0.021)
    assert result.stats.playout.resyncs == 1
    assert result.stats.playout.target == 0.06
    assert result.share_missing() == pytest.approx(seconds / 15, abs=0.005)
    assert result.stats.playout.skipped == pytest.approx(seconds / 0.02, abs=2)
    assert (
        result.stats.playout.played + result.stats.playout.skipped + result.stats.playout.late == result.stats.received
    )


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
def test_a_frozen_receiver_that_writes_a_file_catches_up_without_a_mark(seconds: float) -> None:
    both = Call()
    both.talk(part(0, 5))
    both.freeze(seconds, part(5, 5 + seconds), catch_up=True)
    both.talk(part(5 + seconds, 10))
    untroubled(both.end())


def test_hold_and_resumption_are_silence_and_no_fault() -> None:
    both = Call()
    both.talk(part(0, 3))
    both.sender.update(replace(both.media, direction=Direction.INACTIVE))
    both.talk(part(3, 5))
    both.sender.update(both.media)
    both.talk(part(5, 8))
    result = both.end()
    stats = result.stats
    assert (stats.playout.concealed, stats.playout.underruns, stats.playout.resyncs, stats.lost) == (0, 0, 0, 0)
    assert result.delay(7) == result.delay(2)
    silence = result.heard[round(3.2 * RATE) : round(5.0 * RATE)]
    assert not silence.any()


def test_a_jump_of_500_packets_plays_on_at_once() -> None:
    both = Call()
    both.talk(part(0, 3))
    packetizer = both.sender._packetizer
    packetizer.sequence_number = (packetizer.sequence_number + 500) & 0xFFFF
    packetizer.skip(500 * 160)
    both.talk(part(3, 8))
    result = both.end()
    assert result.heard_at(3.0) - 3.0 < 0.2
    assert result.delay(6) == result.delay(2)
    assert result.stats.playout.resyncs == 1
    assert result.stats.playout.concealed <= 5


@pytest.mark.parametrize("silence", [0.0, 2.0])
@pytest.mark.parametrize("new_ssrc", [False, True])
def test_a_restarted_sender_plays_within_200_ms(new_ssrc: bool, silence: float) -> None:
    both = Call()
    both.talk(part(0, 3))
    both.wait(silence)
    both.sender = both.new_sender(random.Random(99))
    if new_ssrc:
        both.sender.update(replace(both.media, ssrc=0x77777777))
    both.talk(part(3, 8))
    result = both.end()
    assert result.heard_at(3.0) - 3.0 - silence < 0.2
    assert result.delay(6 + silence) - silence == pytest.approx(0.08, abs=0.021)
    assert result.stats.playout.resyncs == 1
    assert result.stats.lost == 0


def test_fec_goes_on_after_a_restart() -> None:
    both = Call(Link(loss=0.05, seed=4), fec="4")
    both.talk(part(0, 10))
    before = both.receiver.snapshot()
    both.sender = both.new_sender(random.Random(7))
    both.talk(part(10, 30))
    stats = both.end().stats
    assert stats.recovered - before.recovered > 0.6 * (stats.lost - before.lost)


# -- the stream's own form --------------------------------------------------------------------------------------------


def test_packets_of_changing_length_play_without_a_seam() -> None:
    both = Call()
    for i, ptime in enumerate((0.02, 0.01, 0.03, 0.02)):
        both.sender.update(changed(both.media, ptime=ptime))
        both.talk(part(2 * i, 2 * i + 1.98))
    result = both.end()
    assert result.exact()
    assert result.stats.playout.concealed == 0


def test_silence_suppression_is_a_pause_not_a_loss() -> None:
    both = Call()
    both.talk(part(0, 2))
    both.sender._packetizer.skip(RATE // 2)
    both.wait(0.5)
    both.talk(part(2, 4))
    result = both.end()
    stats = result.stats
    assert (stats.playout.concealed, stats.playout.underruns, stats.lost, stats.playout.resyncs) == (0, 0, 0, 0)
    assert result.heard_at(2.0) - 2.5 - result.heard_at(0.0) < 0.005  # a cross-fade
    assert result.delay(3.5) == pytest.approx(result.delay(1) + 0.5)


def test_undecodable_payloads_are_concealed() -> None:
    both = Call()
    both.talk(part(0, 1))
    for datagram in both.sender.write(part(1, 1.02), both.now):
        packet = RtpPacket.parse(datagram)
        both.link.send(replace(packet, payload=packet.payload[:-1]).serialize(), both.now)
    both.wait(0.02)
    both.talk(part(1.02, 2))
    stats = both.end().stats
    assert (stats.playout.played, stats.playout.concealed, stats.received) == (99, 1, 100)


def test_another_codec_takes_over_in_the_middle() -> None:
    pcmu, pcma = find("PCMU", 8000, 1), find("PCMA", 8000, 1)
    assert pcmu is not None
    assert pcma is not None
    both = Call(agreed=media(pcmu, payload_type=0))
    both.talk(part(0, 2))
    both.wait(0.1)
    after = media(pcma, payload_type=8)
    both.sender.update(after)
    both.session.update(after)
    both.receiver.update(after)
    both.talk(part(2, 4))
    stats = both.end().stats
    assert stats.received == stats.expected == stats.playout.played == 200


# -- what became of each packet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean_run", [1.0, 3.0])
def test_missing_packets_are_those_lost_after_fec_and_those_too_late(mean_run: float) -> None:
    for fec in ("off", "4"):
        stats = call(30, link=Link(loss=0.1, burst=mean_run, jitter=0.015, seed=9), fec=fec).stats
        assert stats.lost > 100
        assert stats.missing_packets == pytest.approx(stats.lost_after_fec + stats.playout.discarded, abs=2)
        assert 0 < stats.missing_runs <= stats.missing_packets
        if fec == "off":
            assert stats.missing_packets / stats.missing_runs == pytest.approx(1.11 if mean_run == 1 else 3, rel=0.25)


def test_what_fec_rebuilds_in_time_is_not_missing_and_makes_no_burst() -> None:
    link = Link(drop=lambda packet: packet.payload_type == 96 and packet.sequence_number % 8 == 2)
    stats = call(20, link=link, fec="4", latency=0.12).stats
    assert stats.lost == stats.recovered > 100
    assert (stats.missing_packets, stats.missing_runs, stats.playout.discarded) == (0, 0, 0)
    assert stats.bursts.burst_density == stats.bursts.gap_density == 0.0


# -- packets of a payload type that was not agreed on -----------------------------------------------------------------


@pytest.mark.parametrize("fec", ["off", "4"])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_packets_of_an_unknown_type_are_neither_lost_nor_concealed(fec: str, loss: float) -> None:
    both = Call(Link(loss=loss, seed=4), fec=fec, latency=0.12)
    sender, taken = both.sender, 0
    both.talk(part(0, 1))
    for index in range(300):
        both.talk(part(1 + index * 0.02, 1.02 + index * 0.02))
        if index % 10 == 9:
            number = sender._packetizer.take_number()
            payload_type, timestamp = 19 if index % 20 == 9 else 126, sender._packetizer.timestamp
            unknown = RtpPacket(payload_type, number, timestamp, both.media.ssrc, b"@")
            both.link.send(unknown.serialize(), both.now)
            taken += 1
    result = both.end()
    stats = result.stats
    assert stats.expected == 350 + taken
    if not loss:
        assert (stats.lost, stats.missing_packets, stats.playout.concealed) == (0, 0, 0)
        assert result.exact()
    else:
        assert stats.lost == pytest.approx(both.link.lost, abs=2)
        assert stats.missing_packets <= stats.lost_after_fec + stats.playout.discarded + 2
    assert both.session.stats.unknown_payload_type == pytest.approx(taken, abs=taken * loss * 3)


def test_sound_that_bears_the_number_of_an_unknown_packet_is_heard() -> None:
    both = Call()
    both.talk(part(0, 1))
    for index in range(50):
        data = RtpPacket(126, both.sender._packetizer.sequence_number, 1, both.media.ssrc, b"@").serialize()
        both.link.send(data, both.now)
        both.talk(part(1 + index * 0.02, 1.02 + index * 0.02))
    result = both.end()
    assert result.exact()
    assert (result.stats.playout.played, result.stats.playout.concealed) == (100, 0)
