"""The jitter buffer by itself: packets of 20 ms at 8 kHz, 50 in a second, starting just below both wraps."""

from __future__ import annotations

import math
import random

import pytest

from voip.conversation import PATIENCE, Use
from voip.jitter import DelayTarget, Gap, Playout, PutResult, SlidingMinimum
from voip.rtp import RtpPacket

CLOCK = 8000
STEP = 160
TICK = 0.02
FIRST_SEQUENCE = 65534
FIRST_TIMESTAMP = 2**32 - 5 * STEP // 2


def packet(index: int, *, recovered: bool = False, pause: int = 0) -> RtpPacket:
    """The index-th packet of the stream; `pause`: ticks of silence before it."""
    return RtpPacket(
        96,
        (FIRST_SEQUENCE + index) & 0xFFFF,
        (FIRST_TIMESTAMP + index * STEP + pause) & 0xFFFFFFFF,
        1,
        b"%d" % index,
        recovered=recovered,
    )


def buffer(max_delay: float = 0.5) -> Playout:
    return Playout(CLOCK, DelayTarget(0.06, max_delay), step=TICK)


def take(jitter: Playout, now: float) -> RtpPacket | Gap | None:
    """One packet's worth, as the reader does it."""
    item, _ = jitter.get(now)
    if isinstance(item, RtpPacket):
        jitter.advance(STEP)
    return item


def names(items: list[RtpPacket | Gap | None]) -> list[str]:
    return [
        item.payload.decode() if isinstance(item, RtpPacket) else item.reason.name if item else "-" for item in items
    ]


def play(jitter: Playout, arrivals: dict[int, float], until: float, start: float = 0.0) -> list[RtpPacket | Gap | None]:
    """Put packets in when they arrive, take one every 20 ms."""
    heard = []
    waiting = sorted(arrivals.items(), key=lambda arrival: arrival[1])
    for turn in range(round(start / TICK), round(until / TICK)):
        now = turn * TICK
        while waiting and waiting[0][1] <= now:
            index, at = waiting.pop(0)
            jitter.put(packet(index), at)
        heard.append(take(jitter, now))
    return heard


def test_nothing_comes_out_before_the_delay_has_passed() -> None:
    assert names(play(buffer(), {i: i * TICK for i in range(50)}, 0.2)) == ["-", "-", "-", *map(str, range(7))]


def test_packets_play_in_order_across_both_wraps_whatever_the_order_of_arrival() -> None:
    arrivals = {i: i * TICK + (0.045 if i % 3 == 0 and i else 0.0) for i in range(40)}
    assert names(play(buffer(), arrivals, 0.86)) == ["-", "-", "-", *map(str, range(40))]


def test_a_missing_packet_leaves_a_gap_of_its_length_and_delays_nothing() -> None:
    jitter = buffer()
    heard = play(jitter, {i: i * TICK for i in range(20) if i != 7}, 0.4)
    assert names(heard) == ["-", "-", "-", *map(str, range(7)), "LOSS", *map(str, range(8, 17))]
    gap = heard[10]
    assert isinstance(gap, Gap)
    assert gap.samples == STEP
    assert gap.next_packet is not None
    assert gap.next_packet.payload == b"8"
    assert jitter.counters.concealed == 1
    assert jitter.counters.longest_gap == pytest.approx(TICK)


def test_a_late_packet_is_counted_and_not_played() -> None:
    jitter = buffer()
    arrivals = {i: i * TICK for i in range(30)} | {5: 5 * TICK + 0.07}
    assert names(play(jitter, arrivals, 0.3))[7:10] == ["4", "LOSS", "6"]
    assert jitter.counters.late == 1


def test_what_became_of_a_packet_is_told() -> None:
    jitter = buffer()
    assert jitter.put(packet(0), 0.0) is PutResult.QUEUED
    assert jitter.put(packet(0), 0.001) is PutResult.DUPLICATE
    for i in range(1, 10):
        jitter.put(packet(i), i * TICK)
    for turn in range(10):
        take(jitter, turn * TICK)
    assert jitter.put(packet(3), 0.2) is PutResult.DUPLICATE
    assert jitter.put(packet(-1), 0.2) is PutResult.LATE
    assert jitter.put(packet(500), 0.2) is PutResult.HELD


def test_a_rebuilt_packet_plays_and_its_original_is_then_a_duplicate() -> None:
    jitter = buffer()
    for i in (0, 1, 3, 4):
        jitter.put(packet(i), i * TICK)
    assert jitter.put(packet(2, recovered=True), 0.081) is PutResult.QUEUED
    assert jitter.put(packet(2), 0.082) is PutResult.DUPLICATE
    assert names([take(jitter, 0.06 + i * TICK) for i in range(5)]) == ["0", "1", "2", "3", "4"]


def test_a_packet_rebuilt_too_late_is_late_once() -> None:
    jitter = buffer()
    for i in range(8):
        if i != 2:
            jitter.put(packet(i), i * TICK)
    for turn in range(8):
        take(jitter, turn * TICK)
    assert jitter.put(packet(2, recovered=True), 0.15) is PutResult.LATE
    assert jitter.put(packet(2), 0.15) is PutResult.DUPLICATE
    assert jitter.counters.late == 1


def test_a_hole_in_the_timestamps_without_a_missing_packet_is_a_pause() -> None:
    jitter = buffer()
    for i in range(4):
        jitter.put(packet(i), i * TICK)
    heard = []
    for turn in range(45):
        now = turn * TICK
        if turn == 24:
            jitter.put(packet(4, pause=20 * STEP), now)
        heard.append(take(jitter, now))
    assert heard[27] is not None
    assert names(heard)[3:8] == ["0", "1", "2", "3", "UNDERRUN"]
    assert names(heard)[24:28] == ["PAUSE", "PAUSE", "PAUSE", "4"]
    assert (jitter.counters.concealed, jitter.counters.underruns) == (0, 0)


def test_nothing_counts_after_the_last_packet() -> None:
    jitter = buffer()
    play(jitter, {i: i * TICK for i in range(10)}, 2.0)
    counters = jitter.counters
    assert (counters.concealed, counters.underruns, counters.longest_gap) == (0, 0, 0.0)


def test_after_the_end_everything_here_is_played_holes_included() -> None:
    jitter = buffer()
    for i in (0, 1, 2, 5):
        jitter.put(packet(i), i * TICK)
    jitter.finish()
    assert not jitter.drained
    heard = [take(jitter, 0.06 + i * TICK) for i in range(7)]
    assert names(heard) == ["0", "1", "2", "LOSS", "LOSS", "5", "-"]
    assert jitter.drained


def test_after_the_end_a_stream_of_rebuilt_packets_alone_is_played_too() -> None:
    jitter = buffer()
    for index in range(3):
        assert jitter.put(packet(index, recovered=True), 0.02 * index) is PutResult.QUEUED
    jitter.finish()
    played = [take(jitter, 1.0 + 0.02 * index) for index in range(4)]
    assert names(played[:3]) == ["0", "1", "2"]
    assert played[3] is None
    assert jitter.drained


def test_one_packet_from_elsewhere_moves_nothing() -> None:
    jitter = buffer()
    arrivals: dict[int, float] = {i: i * TICK for i in range(100)}
    heard = play(jitter, {i: at for i, at in arrivals.items() if i < 50}, 1.0)
    jitter.put(packet(3000), 1.0)
    heard += play(jitter, {i: at for i, at in arrivals.items() if i >= 50}, 2.0, start=1.0)
    assert names(heard) == ["-", "-", "-", *map(str, range(97))]
    assert (jitter.counters.late, jitter.counters.resyncs) == (1, 0)


def test_the_second_packet_of_another_time_line_is_believed_at_once() -> None:
    jitter = buffer()
    play(jitter, {i: i * TICK for i in range(50)}, 1.0)
    heard = play(jitter, {i + 3000: i * TICK for i in range(50, 100)}, 1.2, start=1.0)
    assert "3050" in names(heard)[:5]
    assert jitter.counters.resyncs == 1


def test_timestamps_early_by_a_little_are_believed_only_in_company() -> None:
    jitter = buffer()
    play(jitter, {i: i * TICK for i in range(50)}, 1.0)
    jitter.put(packet(70), 1.0)
    play(jitter, {i: i * TICK for i in range(50, 60)}, 1.2, start=1.0)
    assert jitter.delay == pytest.approx(0.06)


def test_an_overlap_of_timestamps_is_not_played_twice() -> None:
    jitter = buffer()
    for i in range(10):
        jitter.put(packet(i, pause=-i * 8), i * 0.019)
    heard = [take(jitter, 0.06 + i * TICK) for i in range(12)]
    assert names(heard)[:9] == [str(i) for i in range(9)]


def test_memory_is_bounded_against_a_flood() -> None:
    jitter = buffer()
    for i in range(20000):
        jitter.put(packet(i * 7919 % 65536, pause=i * 104729), 0.0001 * i)
        if i % 100 == 0:
            take(jitter, 0.0001 * i)
    assert len(jitter._queue) + jitter._queue.held_back <= 2048 + 1


def test_the_delay_never_aims_past_its_maximum() -> None:
    target = DelayTarget(0.06, 0.1)
    arrivals = {i: i * TICK + (0.3 if i % 5 == 0 else 0.0) for i in range(500)}
    play(Playout(CLOCK, target, step=TICK), arrivals, 10.0)
    assert target.value == 0.1


def test_the_target_rises_only_after_a_miss_and_falls_slowly() -> None:
    target = DelayTarget(0.06, 0.5)
    for i in range(1000):
        target.add(5.0 + (0.2 if i % 20 == 0 else 0.0), i * 0.01)
    assert not target.update(5.0, 10.0, 0.0)
    assert target.value == 0.06
    target.missed()
    assert target.update(5.0, 10.0, 0.0)
    assert target.value == pytest.approx(0.2 + DelayTarget.MARGIN)
    calm = DelayTarget.WINDOW + 1.0
    for i in range(1000, 1000 + round(100 * calm)):
        target.add(5.0, i * 0.01)
    assert target.value == pytest.approx(0.2 + DelayTarget.MARGIN)
    target.update(5.0, 20.0, 0.0)
    assert target.value == pytest.approx(0.2 + DelayTarget.MARGIN - 10 * DelayTarget.FALL)


def test_the_target_does_not_wait_for_what_is_rarely_late() -> None:
    target = DelayTarget(0.02, 0.5)
    for i in range(1000):
        target.add(5.0 + (0.06 if i % 50 == 0 else 0.0) + (0.4 if i == 500 else 0.0), i * 0.02)
    target.missed()
    target.update(5.0, 20.0, 0.0)
    assert target.value == pytest.approx(0.06 + DelayTarget.MARGIN)


def test_the_spread_is_that_of_the_last_half_minute_and_not_told_of_few_packets() -> None:
    target = DelayTarget(0.02, 0.5)
    for i in range(2 * DelayTarget.MIN_SPREAD_PACKETS):
        target.add(5.0 + (0.008 if i == 7 else 0.0), i * 0.02)
        target.update(5.0, i * 0.02, 0.0)
        assert (target.spread is None) == (i + 1 < DelayTarget.MIN_SPREAD_PACKETS)
    assert target.spread == pytest.approx(0.008)
    target.add(5.0, 7 * 0.02 + DelayTarget.WINDOW + 0.01)
    assert target.spread == 0.0


def test_a_packet_that_waited_for_our_threads_counts_as_later_than_the_block_that_it_missed() -> None:
    """It arrived 30 ms before it was there: the blocks of those 30 ms were taken without it."""
    target = DelayTarget(0.06, 0.5)
    jitter = Playout(CLOCK, target, step=TICK)
    for i in range(DelayTarget.MIN_SPREAD_PACKETS + 1):
        jitter.put(packet(i), i * TICK)
        take(jitter, i * TICK + (0.03 if i == 99 else 0.0))  # so that packet 100 arrives before this one is taken
    assert target.spread == pytest.approx(0.03 - TICK)


def needed(late: list[float]) -> float:
    """What packets need that came so late, one each 20 ms."""
    target = DelayTarget(0.02, 0.5)
    for i, seconds in enumerate(late):
        target.add(5.0 + seconds, i * 0.02)
    target.missed()
    target.update(5.0, len(late) * 0.02, 0.0)
    return target.needed


def test_of_few_packets_the_tail_is_guessed_as_far_as_the_latest_makes_likely() -> None:
    """Each fifth was 50 ms late, none later: an exponential distribution would end at two and a half times that."""
    bounded = [0.05 if i % 5 == 0 else 0.0 for i in range(300)]
    assert needed(bounded) == pytest.approx(0.05 * math.log(DelayTarget.RESOLVED) / math.log(300), rel=0.01)
    rng = random.Random(4)
    spread = sorted(rng.expovariate(1 / 0.02) for _ in range(300))
    assert needed(spread) >= 0.95 * DelayTarget.TAIL * spread[269]


def test_the_sliding_minimum_forgets_what_is_old() -> None:
    minimum = SlidingMinimum(1.0)
    assert minimum.value is None
    for at, value, expected in ((0.0, 3.0, 3.0), (0.5, 2.0, 2.0), (1.0, 4.0, 2.0), (1.6, 5.0, 4.0), (9.0, 7.0, 7.0)):
        minimum.add(value, at)
        assert minimum.value == expected


def waiting(use: Use, *, waits: tuple[tuple[float, float], ...]) -> float:
    """The target after a minute in which these shares of the packets were rebuilt so many seconds after the others."""
    target = DelayTarget(0.06, 0.5, use=use)
    for i in range(1600):
        late, passed = 0.0, 0.0
        for share, wait in waits:
            if passed <= (i * 0.618034) % 1.0 < passed + share:
                late = wait
            passed += share
        target.add(5.0 + late, i * 0.02, rebuilt=late > 0.0)
    target.missed()
    target.update(5.0, 32.0, 0.0)
    return target.value


def test_a_conversation_waits_for_much_but_not_for_the_last_of_it() -> None:
    waits = ((0.04, 0.12), (0.006, 0.3))
    assert waiting(Use.CONVERSATION, waits=waits) == pytest.approx(0.12 + DelayTarget.MARGIN)
    assert waiting(Use.LISTENING, waits=waits) == pytest.approx(0.3 + DelayTarget.MARGIN)
    much = ((0.04, 0.3),)
    assert waiting(Use.CONVERSATION, waits=much) == pytest.approx(0.3 + DelayTarget.MARGIN)


def test_what_repair_took_with_another_pattern_is_forgotten() -> None:
    target = DelayTarget(0.06, 0.5)
    for i in range(1000):
        target.add(5.0 + (0.2 if i % 10 == 0 else 0.0), i * 0.02, rebuilt=i % 10 == 0)
    target.forget_repair()
    target.missed()
    target.update(5.0, 20.0, 0.0)
    assert target.needed == 0.0
    target.add(5.0, 60.0)  # and what is too old still goes, in both orders
    history = target._history
    assert len(history.ordered) == len(history.arrived) == len(history) == 1


def test_who_listens_says_that_it_waits_as_long_as_it_may() -> None:
    assert DelayTarget(0.06, 0.5, use=Use.LISTENING).wait_max == 0.5
    assert DelayTarget(0.06, 0.5).wait_max == PATIENCE
    assert DelayTarget(0.06, 0.1).wait_max == 0.1
    assert DelayTarget(0.4, 0.5).wait_max == 0.4
