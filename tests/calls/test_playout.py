"""Play-out that finds its own delay: whole calls in virtual time with nothing asked for."""

from __future__ import annotations

import pytest

from tests.support.call import Call, CallResult, Link, check_unaltered, noise
from voip.jitter.floor import CLEAN_DELAY, PUNCTUAL_DELAY
from voip.jitter.pace import BAND, CLOSE

RATE = 8000
SOUND = noise(60)
STRONG = "sliding:0,1,3+0,2,5/1"
"""Two repair packets after each packet."""
LIGHT = "3"
SNAPSHOTS = 9
"""A second of them: one each 110 ms, as blocks of 10 ms make it."""


def automatic(link: Link | None = None, fec: str = LIGHT) -> Call:
    return Call(link, fec=fec, latency=None)


def talk(both: Call, start: float, end: float) -> None:
    both.talk(SOUND[round(start * RATE) : round(end * RATE)])


def share(result: CallResult) -> float:
    """The share of the sound that was made up, in place of what was sent or in addition to it."""
    return result.stats.playout.concealed_seconds / (len(result.sent) / result.rate)


def settles(result: CallResult, after: float) -> bool:
    """Whether the delay is near the least ones `after` seconds into the call, and stays there."""
    last = [stats.playout.delay for stats in result.snapshots[round(after * SNAPSHOTS) : -SNAPSHOTS]]
    assert len(last) > SNAPSHOTS, "the call is too short to tell"
    return all(buffer is not None and PUNCTUAL_DELAY - CLOSE <= buffer <= CLEAN_DELAY + BAND for buffer in last)


def test_on_a_good_network_the_delay_shrinks_to_the_least_and_nothing_is_made_up() -> None:
    both = automatic()
    talk(both, 0, 25)
    result = both.end()
    stats = result.stats
    check_unaltered(stats)
    assert stats.playout.played == stats.expected
    assert settles(result, after=15)


def test_one_packet_rebuilt_late_is_waited_for() -> None:
    both = automatic(Link(drop=lambda packet: packet.payload_type == 96 and packet.sequence_number == 599))
    talk(both, 0, 60)
    result = both.end()
    stats = result.stats
    assert (stats.lost, stats.recovered) == (1, 1)
    assert stats.playout.played == stats.expected
    assert stats.playout.concealed_seconds <= 0.03
    assert settles(result, after=52)


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_30_ms_needs_80_ms_at_most_with_two_repair_packets_each(seed: int) -> None:
    both = automatic(Link(jitter=0.03, seed=seed), STRONG)
    talk(both, 0, 60)
    result = both.end()
    assert share(result) < 0.005
    assert result.stats.playout.delay_mean is not None
    assert result.stats.playout.delay_mean < 0.085
    assert result.stats.playout.late <= 3
    assert (result.stats.playout.skipped, result.stats.playout.resyncs) == (0, 0)


def test_the_delay_rises_when_jitter_begins_and_falls_when_it_ends() -> None:
    both = automatic()
    talk(both, 0, 10)
    both.link.change(jitter=0.03)
    talk(both, 10, 25)
    risen = both.receiver.snapshot().playout.delay
    both.link.change(jitter=0.0)
    talk(both, 0, 55)
    result = both.end()
    assert risen is not None
    assert 0.1 < risen < 0.3
    assert settles(result, after=75)
    assert result.stats.playout.resyncs == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_lost_is_hardly_missed_and_costs_no_delay(seed: int) -> None:
    both = automatic(Link(loss=0.2, seed=seed), STRONG)
    talk(both, 0, 60)
    result = both.end()
    assert result.stats.lost > 500
    assert result.stats.lost_after_fec < 0.003 * result.stats.expected
    assert result.stats.playout.delay_mean is not None
    assert result.stats.playout.delay_mean < 0.085


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("who", ["sender", "sender that catches up", "receiver", "receiver of a file", "network"])
def test_after_a_freeze_sound_is_back_at_once_and_the_delay_within_five_seconds(who: str, seconds: float) -> None:
    both = automatic()
    talk(both, 0, 10)
    if who == "sender":
        both.wait(seconds)
    elif who == "sender that catches up":
        both.wait(seconds)
        both.speak(SOUND[10 * RATE : round((10 + seconds) * RATE)])
    elif who == "network":
        both.link.block(both.now + seconds)
    else:
        during = SOUND[10 * RATE : round((10 + seconds) * RATE)]
        both.freeze(seconds, during, catch_up=who == "receiver of a file")
    frozen, played = both.now, both.receiver.snapshot().playout.played
    if who == "network":
        both.wait(seconds)
    both.talk(SOUND[20 * RATE : round(20.2 * RATE)])
    assert both.receiver.snapshot().playout.played > played, "no sound after 200 ms"
    both.talk(SOUND[round(20.2 * RATE) : 30 * RATE])
    result = both.end()
    assert both.now > frozen
    assert result.stats.playout.resyncs <= 1
    assert settles(result, after=15 + seconds)
    assert result.stats.playout.played > (30 - 10) / 0.02 - seconds / 0.02 - 10


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [200.0, -200.0, 50.0])
def test_a_drifting_clock_is_measured_and_followed_so_that_nothing_is_left_out_or_made_up(ppm: float) -> None:
    both = Call(fec=LIGHT, latency=None, skew_ppm=ppm, sink=(48000, 1))
    for _ in range(10):
        both.talk(SOUND)
    stats = both.receiver.snapshot()
    assert stats.clock_ppm == pytest.approx(ppm, abs=3)
    check_unaltered(stats)
    settled = [snapshot.playout.delay for snapshot in both.snapshots[1200:] if snapshot.playout.delay is not None]
    target = stats.playout.target
    assert target is not None
    assert max(abs(buffer - target) for buffer in settled) <= 0.010


def test_jitter_of_30_ms_is_followed_without_any_repair() -> None:
    both = automatic(Link(jitter=0.03, seed=2), "off")
    talk(both, 0, 10)
    adapted = both.receiver.snapshot()
    talk(both, 10, 60)
    stats = both.end().stats
    assert stats.playout.late - adapted.playout.late < 0.005 * 2500
    assert stats.playout.concealed_seconds - adapted.playout.concealed_seconds < 0.005 * 50
    assert (stats.lost, stats.playout.skipped - adapted.playout.skipped, stats.playout.resyncs) == (0, 0, 0)
