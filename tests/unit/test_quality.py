"""The E-model against published values and against figures computed apart from it."""

from __future__ import annotations

import pytest

from voip import codecs, quality
from voip.quality import Equipment, Heard, Loss, Trend, rate
from voip.stats import PlayoutStats, ReceiverStats

PLAIN, CONCEALED = Equipment(0.0, 4.3, wideband=False), Equipment(0.0, 25.1, wideband=False)
"""G.711 without and with the concealment of its appendix I (G.113)."""

VECTORS = [  # delay in ms, loss in percent, R and MOS without concealment, R and MOS with it
    (100, 0, 93.2, 4.41, 93.2, 4.41),
    (0, 0.5, 83.3, 4.14, 91.3, 4.37),
    (100, 1, 75.3, 3.83, 89.6, 4.33),
    (100, 2, 63.0, 3.26, 86.2, 4.23),
    (100, 5, 42.1, 2.17, 77.4, 3.92),
    (100, 10, 26.8, 1.48, 66.1, 3.41),
    (150, 0, 93.0, 4.41, 93.0, 4.41),
    (150, 5, 42.0, 2.16, 77.3, 3.92),
    (200, 0, 90.2, 4.34, 90.2, 4.34),
    (200, 5, 39.1, 2.02, 74.4, 3.79),
    (300, 0, 78.4, 3.96, 78.4, 3.96),
    (300, 5, 27.4, 1.50, 62.7, 3.24),
    (400, 0, 69.1, 3.56, 69.1, 3.56),
    (400, 5, 18.1, 1.20, 53.3, 2.75),
]


@pytest.mark.parametrize(("delay", "percent", "plain_r", "plain_mos", "r", "mos"), VECTORS)
def test_reference_values(delay: float, percent: float, plain_r: float, plain_mos: float, r: float, mos: float) -> None:
    for equipment, wanted_r, wanted_mos in ((PLAIN, plain_r, plain_mos), (CONCEALED, r, mos)):
        found = rate(equipment, Loss(percent), delay / 1e3)
        assert found.r_cq == pytest.approx(wanted_r, abs=0.051)
        assert found.mos_cq == pytest.approx(wanted_mos, abs=0.0051)


@pytest.mark.parametrize(
    ("delay", "points"), [(100, 0.0), (150, 0.16), (200, 3.04), (250, 8.92), (300, 14.76), (400, 24.07)]
)
def test_points_that_delay_costs(delay: float, points: float) -> None:
    assert quality.delay_impairment(delay / 1e3) == pytest.approx(points, abs=0.0051)


def test_listening_quality_leaves_the_delay_out() -> None:
    found = rate(CONCEALED, Loss(5.0), 0.4)
    assert found.mos_lq == pytest.approx(3.92, abs=0.0051)
    assert found.mos_lq > found.mos_cq


@pytest.mark.parametrize(("r", "mos"), [(-5, 1.0), (0, 1.0), (3, 1.0), (6.4, 1.0), (50, 2.575), (100, 4.5), (110, 4.5)])
def test_mos_has_its_ends(r: float, mos: float) -> None:
    assert quality.mos(r) == pytest.approx(mos, abs=0.001)


def test_losses_in_bursts_are_worse_than_random_ones() -> None:
    assert rate(CONCEALED, Loss(5.0, 2.5)).mos_lq < rate(CONCEALED, Loss(5.0)).mos_lq
    assert quality.burst_ratio(30, 10, 10.0) == pytest.approx(2.7)
    assert quality.burst_ratio(0, 0, 0.0) == 1.0


def test_of_our_own_codecs_the_share_that_was_not_heard_decides() -> None:
    for equipment in quality.EQUIPMENT.values():
        assert rate(equipment, Loss(5.0, 2.5)) == rate(equipment, Loss(5.0))


def test_nothing_heard_is_the_worst_that_there_is_in_both_bands() -> None:
    for codec in (codecs.static(0), codecs.find("opus", 48000, 2), codecs.find("L16", 48000, 1)):
        assert codec is not None
        found = rate(quality.equipment_of(codec), Loss(100.0, 500.0))
        assert found.mos_lq < 1.1
        assert found.r_lq >= 0.0


def test_wideband_has_a_scale_of_its_own_and_r_of_100_for_the_wire() -> None:
    best = rate(Equipment(0.0, 10.0, wideband=True), Loss(0.0))
    assert (best.r_lq, best.mos_lq) == (129.0, 4.5)
    assert best.r_of_100 == pytest.approx(100.0)
    assert rate(CONCEALED, Loss(0.0)).r_of_100 == pytest.approx(93.2)


def test_l16_of_telephones_is_narrowband_and_an_unknown_codec_has_a_rating_too() -> None:
    narrow, wide = codecs.find("L16", 8000, 1), codecs.find("L16", 16000, 1)
    assert narrow is not None
    assert wide is not None
    assert not quality.equipment_of(narrow).wideband
    assert quality.equipment_of(wide).wideband


def test_what_is_an_estimate_says_so() -> None:
    assert Equipment(0.0, 25.1, wideband=False).method == "G.107 estimate Ie=0 Bpl=25.1"
    assert Equipment(14.5, 7.8, wideband=True).method == "G.107.1 estimate Ie=14.5 Bpl=7.8"


def received(played: float, missed: float, lost: int = 0, runs: int = 0) -> ReceiverStats:
    playout = PlayoutStats(played_seconds=played, concealed_seconds=missed / 2, silent_seconds=missed / 2)
    return ReceiverStats(playout=playout, missing_packets=lost, missing_runs=runs)


def test_all_that_was_not_heard_counts_as_lost() -> None:
    playout = PlayoutStats(played_seconds=94.0, concealed_seconds=1.0, silent_seconds=2.0, unheard_seconds=3.0)
    assert Heard.of(ReceiverStats(playout=playout)).loss == Loss(6.0, 1.0)
    in_bursts = Heard.of(received(90.0, 10.0, 30, 10)).loss
    assert in_bursts is not None
    assert in_bursts.burst_ratio == pytest.approx(2.7)
    assert Heard.of(ReceiverStats()).loss is None


def test_without_fec_the_packets_that_it_rebuilt_would_be_missing() -> None:
    playout = PlayoutStats(played_seconds=99.0, concealed_seconds=1.0)
    runs = {"1": 40, "2": 15, "3+": 10}
    rx = ReceiverStats(received=900, expected=1000, recovered=90, playout=playout, loss_runs=runs)
    loss = quality.without_fec(rx)
    assert loss is not None
    assert loss.percent == pytest.approx(10.0)
    assert loss.burst_ratio == pytest.approx(100 / 65 * 0.9)
    assert quality.without_fec(ReceiverStats()) is None


def test_the_worst_ten_seconds_are_found_wherever_they_lie() -> None:
    codec = codecs.static(0)
    assert codec is not None
    trend = Trend()
    played = missed = 0.0
    for quarter in range(4 * 60):
        now = quarter / 4
        bad = 23.0 <= now < 33.0
        played, missed = played + (0.2 if bad else 0.25), missed + (0.05 if bad else 0.0)
        trend.feed(codec, received(played, missed), None, now)
        if now < 9.0:
            assert trend.figures.worst_mos is None
    worst = rate(quality.equipment_of(codec), Loss(20.0)).mos_lq
    assert trend.figures.worst_mos == pytest.approx(worst, abs=0.05)


def test_a_call_that_is_looked_at_seldom_has_its_worst_stretch_too() -> None:
    codec = codecs.static(0)
    assert codec is not None
    trend = Trend()
    for minute in range(5):
        trend.feed(codec, received(60.0 * minute, float(minute)), None, 60.0 * minute)
    assert trend.figures.worst_mos is not None


def test_means_over_the_call() -> None:
    codec = codecs.static(0)
    assert codec is not None
    trend = Trend()
    for second, rtt in enumerate([None, 0.04, 0.08]):
        trend.feed(codec, ReceiverStats(), rtt, float(second))
    assert trend.figures.rtt_mean == pytest.approx(0.06)
    assert trend.figures.rtt_max == 0.08
