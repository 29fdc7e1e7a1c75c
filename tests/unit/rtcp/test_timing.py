"""When reports go out: randomised, soon at first and when loss begins, and within the share of the bandwidth."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.support.rtcp_lab import Call, Link
from voip.rtcp.timing import (
    BANDWIDTH_SHARE,
    EARLY_AFTER,
    MIN_SESSION_BANDWIDTH,
    MINIMUM,
    ReportTimer,
)

SMALL = 100.0  # bytes: the minimum interval counts, not the share


def intervals(timer: ReportTimer, size: float, count: int, now: float = 50.0) -> list[float]:
    """Seconds between reports of this size."""
    timer.start(now)
    moments: list[float] = []
    while len(moments) < count:
        assert timer.next is not None
        now = max(now, timer.next)
        if timer.is_due(now):
            timer.sent(round(size), now)
            moments.append(now)
    return [after - before for before, after in pairwise(moments)]


def test_intervals_are_spread_around_the_minimum() -> None:
    timer, minimum = ReportTimer(random.Random(3)), MINIMUM
    found = intervals(timer, SMALL, 2000)
    assert min(found) >= 0.5 * minimum / 1.2183
    assert max(found) <= 1.5 * minimum / 1.2182
    assert sum(found) / len(found) == pytest.approx(minimum, rel=0.12)
    assert max(found) - min(found) > 0.6 * minimum


@pytest.mark.parametrize("bandwidth", [8000.0, MIN_SESSION_BANDWIDTH, 256_000.0])
def test_large_reports_take_their_share_of_the_bandwidth_and_no_more(bandwidth: float) -> None:
    timer = ReportTimer(random.Random(4))
    timer.set_session_bandwidth(bandwidth)
    found = intervals(timer, 2000, 500)[100:]
    both_ways = 2 * 2000 * 8 * len(found) / sum(found)
    assert both_ways <= 1.02 * BANDWIDTH_SHARE * max(bandwidth, MIN_SESSION_BANDWIDTH)
    assert both_ways >= 0.8 * BANDWIDTH_SHARE * max(bandwidth, MIN_SESSION_BANDWIDTH)


def test_the_average_size_follows_the_reports_of_both_sides() -> None:
    timer = ReportTimer(random.Random(5))
    timer.start(0.0)
    for _ in range(100):
        timer.sent(300, 1.0)
        timer.received(100)
    assert timer.average_size == pytest.approx(200, abs=10)


def test_what_was_planned_is_reconsidered_when_reports_have_grown() -> None:
    timer = ReportTimer(random.Random(6))
    timer.start(0.0)
    timer.sent(100, 0.5)  # the first report asks for no share of the bandwidth
    planned = timer.next
    assert planned is not None
    for _ in range(100):
        timer.received(20_000)
    assert not timer.is_due(planned)
    assert timer.next is not None
    assert timer.next > planned + 10


def test_nothing_is_due_before_the_start() -> None:
    timer = ReportTimer(random.Random(7))
    assert timer.next is None
    assert not timer.is_due(1e9)
    timer.hurry(5.0)
    assert timer.next is None


def test_what_was_sent_before_there_was_anything_to_report_was_no_first_report() -> None:
    """While keys are exchanged: the next one is due as soon after the first packet as a first one."""
    for seed in range(20):
        timer = ReportTimer(random.Random(seed))
        timer.begin_anew(0.0)
        assert timer.next is None, "it has not begun"
        timer.start(0.0)
        timer.sent(150, 0.3)
        timer.begin_anew(0.35)
        assert timer.next is not None
        assert 0.35 + 0.1 <= timer.next <= 0.35 + 0.31


def test_one_report_between_two_regular_ones_may_be_early() -> None:
    timer = ReportTimer(random.Random(18))
    timer.start(0.0)
    assert timer.next is not None
    timer.hurry(0.0)  # the first report is soon enough
    timer.sent(150, timer.next)
    last = timer.next - 0.0
    timer.sent(150, 10.0)
    timer.hurry(10.05)
    early = timer.next
    assert 10.0 + EARLY_AFTER <= early <= 10.0 + EARLY_AFTER + 0.2
    assert timer.is_due(early)
    timer.sent(150, early)
    regular = timer.next
    assert regular - 10.0 >= 2 * 2 * timer.average_size / (BANDWIDTH_SHARE * MIN_SESSION_BANDWIDTH / 8) - 1e-9
    timer.hurry(early + 0.01)
    assert timer.next == regular  # not twice in a row
    assert last > 0.0


def test_early_reports_take_no_more_than_the_share() -> None:
    timer = ReportTimer(random.Random(9))
    now, count = 0.0, 0
    timer.start(now)
    while now < 2000.0:
        now += 0.01
        timer.hurry(now)
        if timer.is_due(now):
            timer.sent(230, now)
            count += 1
    assert 2 * 230 * 8 * count / now <= 1.05 * BANDWIDTH_SHARE * MIN_SESSION_BANDWIDTH


# -- in a call --------------------------------------------------------------------------------------------------------


def moments(call: Call, who: str) -> list[float]:
    return [moment - call.began for moment, end, _ in call.reports if end == who]


def gaps(found: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(found)]


@pytest.mark.parametrize("seed", range(1, 9))
def test_both_ends_report_within_a_second_and_never_pause_for_longer_than_one(seed: int) -> None:
    call = Call(Link(), Link(), seed=10 * seed)
    call.run(60)
    for who in ("near", "far"):
        found = moments(call, who)
        assert found[0] < 1.0 + call.forth.delay
        assert max(gaps(found)) <= 1.0


@pytest.mark.parametrize("seed", range(1, 9))
def test_when_loss_begins_it_is_reported_within_a_second_and_then_more_often_than_every_second(seed: int) -> None:
    begins = 30.0 + 0.13 * seed
    rng = random.Random(seed)
    call = Call(Link(lose=lambda index: index * 0.02 > begins and rng.random() < 0.2), Link(), seed=seed)
    call.run(60)
    shown = next(index for index in call.lost) * 0.02
    told = next(report for report in call.told if report.cumulative_lost)
    assert told.at - call.began - shown < 1.0 + 0.1
    since = [moment for moment in moments(call, "far") if moment > begins]
    assert 0.6 < sum(gaps(since)) / len(gaps(since)) < 1.0


def test_reports_cost_less_than_3000_bits_per_second_each_way() -> None:
    for loss in (0.0, 0.3):
        rng = random.Random(2)
        call = Call(Link(lose=lambda index, loss=loss, rng=rng: rng.random() < loss), Link())  # type: ignore[misc]
        call.run(120)
        for who in ("near", "far"):
            size = sum(len(data) + 28 for _, end, data in call.reports if end == who)
            assert 8 * size / 120 < 3000
