"""The least delay of play-out, by what is lost, what repairs it and what the user has asked for."""

from __future__ import annotations

import pytest

from tests.support.call import media
from voip.conversation import Use
from voip.jitter.floor import (
    BURSTY_DELAY,
    CLEAN_DELAY,
    FEC_MARGIN,
    LOSSY_DELAY,
    NEXT_MARGIN,
    OUTAGE_DELAY,
    PUNCTUAL_DELAY,
    RESERVE,
    TALK_LONGEST_DELAY,
    TALK_OUTAGE_DELAY,
    DelayFloor,
)
from voip.jitter.losses import MEMORY
from voip.media import NegotiatedMedia
from voip.rtp import ReceptionStats, RtpPacket

FRAME = 0.02
PAIRS, RUNS = {7, 8, 31, 32, 52, 53, 77, 78}, {7, 8, 9, 52, 53, 54, 55}
REPAIRED, BARE = media(fec="sliding:0,1,3"), media(fec="off")


def seen(
    lost: set[int],
    *,
    latency: float | None = None,
    repair_wait: float = 0.0,
    use: Use = Use.CONVERSATION,
    spread: float | None = None,
) -> DelayFloor:
    """Ten seconds of a stream, of which packets with these places in each hundred are lost."""
    stats, floor = ReceptionStats(8000), DelayFloor(latency, use)
    for index in range(500):
        if index % 100 not in lost:
            stats.count(RtpPacket(96, index, 160 * index, 1), index * FRAME)
        if index % 5 == 0:
            floor.look(stats, repair_wait, index * FRAME, spread)
    return floor


@pytest.mark.parametrize(
    ("lost", "agreed", "seconds"),
    [
        (set(), REPAIRED, CLEAN_DELAY),
        ({7}, BARE, FRAME + NEXT_MARGIN),
        ({7}, REPAIRED, LOSSY_DELAY),
        ({7, 31, 52, 77}, REPAIRED, LOSSY_DELAY),
        (PAIRS, REPAIRED, BURSTY_DELAY),
        (RUNS, REPAIRED, OUTAGE_DELAY),
    ],
    ids=["nothing", "without FEC", "one", "single ones", "pairs", "long runs"],
)
def test_what_is_lost_decides_where_people_listen(lost: set[int], agreed: NegotiatedMedia, seconds: float) -> None:
    assert seen(lost, use=Use.LISTENING).seconds(agreed, 10.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("lost", "repair_wait", "seconds"),
    [
        (set(), 0.24, CLEAN_DELAY),
        ({7}, 0.24, LOSSY_DELAY),
        (PAIRS, 0.0, BURSTY_DELAY),
        (PAIRS, 0.24, BURSTY_DELAY),
        (PAIRS, 0.08, 0.08 + FEC_MARGIN),
        (PAIRS, 0.02, LOSSY_DELAY),
        (RUNS, 0.0, TALK_OUTAGE_DELAY),
        (RUNS, 0.18, 0.18 + FEC_MARGIN),
        (RUNS, 0.24, TALK_LONGEST_DELAY),
        (RUNS, 0.12, 0.12 + FEC_MARGIN),
    ],
)
def test_a_conversation_waits_for_what_the_sender_has_chosen_and_not_too_long(
    lost: set[int], repair_wait: float, seconds: float
) -> None:
    assert seen(lost, repair_wait=repair_wait).seconds(REPAIRED, 10.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("spread", "seconds"),
    [(0.0, PUNCTUAL_DELAY), (0.008, 0.008 + RESERVE), (CLEAN_DELAY, CLEAN_DELAY), (1.0, CLEAN_DELAY)],
)
def test_packets_that_all_take_the_same_time_ask_for_less_but_not_where_some_are_lost(
    spread: float, seconds: float
) -> None:
    assert seen(set(), spread=spread).seconds(REPAIRED, 10.0) == pytest.approx(seconds)
    assert seen({7}, spread=spread).seconds(REPAIRED, 10.0) == LOSSY_DELAY


def test_what_was_lost_long_ago_does_not_count() -> None:
    assert seen({7}).seconds(REPAIRED, 10.0 + MEMORY) == CLEAN_DELAY


@pytest.mark.parametrize(
    ("latency", "repair_wait", "agreed", "seconds"),
    [
        (0.06, 0.0, BARE, 0.06),
        (0.06, 0.1, BARE, 0.06),
        (0.3, 0.0, REPAIRED, 0.3),
        (0.01, 0.0, REPAIRED, REPAIRED.repair_window - FRAME + FEC_MARGIN),
    ],
    ids=["as given", "no FEC, no wait", "long enough", "longer for repair"],
)
def test_a_latency_that_is_given_is_kept_unless_repair_takes_longer(
    latency: float, repair_wait: float, agreed: NegotiatedMedia, seconds: float
) -> None:
    floor = seen({7, 8, 9}, latency=latency, repair_wait=repair_wait)
    assert floor.seconds(agreed, 10.0) == pytest.approx(seconds)
    assert (floor.first, floor.adapts) == (None, False)
