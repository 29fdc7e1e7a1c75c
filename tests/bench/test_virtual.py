"""The benchmarks' limits, against what can be counted by hand, and their calls in virtual time."""

import itertools
import random
from dataclasses import replace

import pytest

from tests.bench.figures import conversation
from tests.bench.limits import binomial_tail, block_code, ideal, late, outlasted, streaming_code
from tests.bench.queueing import queue_figures
from tests.bench.rows import Row, find
from tests.bench.virtual import How, best_r, noise, run_row
from tests.support.bottleneck import Arrival, Bottleneck, QueueRecord
from tests.support.network import Impairment, Path, Step

OFF = How(fec=None)


def test_the_binomial_tail_is_what_counting_every_case_gives() -> None:
    for count, share, least in ((3, 0.1, 1), (5, 0.3, 2), (6, 0.2, 6), (4, 0.5, 0)):
        cases = itertools.product((True, False), repeat=count)
        chance = sum(share ** sum(case) * (1 - share) ** (count - sum(case)) for case in cases if sum(case) >= least)
        assert binomial_tail(count, share, least) == pytest.approx(chance)


def test_the_ideal_block_leaves_what_a_simulation_of_it_leaves() -> None:
    rng, share, media, repair = random.Random(1), 0.2, 4, 2
    left = total = 0
    for _ in range(40_000):
        lost = [rng.random() < share for _ in range(media + repair)]
        total += media
        left += sum(lost[:media]) if sum(lost) > repair else 0
    assert block_code(share, media, repair) == pytest.approx(left / total, rel=0.05)
    assert block_code(share, 4, 0) == share


def test_a_streaming_code_knows_all_when_it_has_as_many_equations_as_unknowns() -> None:
    lost = [False, True, True, False, False, False]
    repairs = [0, 0, 0, 1, 1, 0]
    assert streaming_code(lost, repairs, 3) == 0.0
    assert streaming_code(lost, repairs, 2) == pytest.approx(1 / 6), "the first of the two waits for three packets"
    assert streaming_code(lost, repairs, 1) == pytest.approx(2 / 6)
    assert streaming_code([True], [1], 0) == 0.0
    assert streaming_code([False, True], [1, 0], 0) == pytest.approx(1 / 2), "equations of before do not help"


def test_no_code_beats_the_limit_and_more_repair_lowers_it() -> None:
    row = find("loss20")
    shares = [ideal(row, overhead, 3, 1, packets=20_000) for overhead in (0.0, 0.5, 1.0, 2.0)]
    assert shares[0] == pytest.approx(0.2, abs=0.01)
    assert shares == sorted(shares, reverse=True)
    assert shares[3] < 0.003


def test_what_outlasts_the_wait_is_what_a_path_of_outages_lets_nothing_through_for() -> None:
    step, share, outage, wait = 0.002, 0.1, 0.06, 0.08
    path = Path(Impairment(loss=share, outage=outage), "outages")
    passes = [bool(path.departures(n * step)) for n in range(400_000)]
    closed, found = 0, 0
    for went in passes:
        closed = 0 if went else closed + 1
        found += closed > wait / step
    assert found / len(passes) == pytest.approx(outlasted(share, outage, wait), rel=0.1)


def test_no_wait_is_better_than_the_best() -> None:
    for loss, most in ((0.05, 83.0), (0.1, 79.5)):
        best = best_r(loss, 0.06)
        tried = [conversation(100.0 * outlasted(loss, 0.06, wait), 26.5 + 1e3 * wait)["r"] for wait in (0.1, 0.15, 0.3)]
        assert max(tried) <= best <= most
        assert best == pytest.approx(max(tried), abs=1.5)


def test_jitter_is_exponential() -> None:
    assert late(0.0, 0.03) == 1.0
    assert late(0.03, 0.03) == pytest.approx(0.3679, abs=1e-4)
    assert late(0.05, 0.0) == 0.0


def test_a_clean_call_in_virtual_time_is_heard_whole_and_its_figures_agree() -> None:
    row = Row("short", "short", (Step(0.0, Impairment()),), seconds=6.0)
    figures = run_row(row, 1, noise())
    assert figures["missing"] < 5.0, "of six seconds of noise, in which every change of the delay shows"
    assert figures["lost_after_fec_pct"] == 0.0
    assert figures["lost_pct"] == 0.0
    assert figures["rtt_ms"] == pytest.approx(40, abs=12)
    assert 20 < figures["delay"] < 160
    assert 30 < figures["kbps"] < 250
    assert figures["kbps_of_tags"] == pytest.approx(4.0 * (1.0 + figures["overhead"]), rel=0.02), "10 bytes, 50 times"


def test_a_lossy_call_in_virtual_time_loses_as_it_should_and_repairs() -> None:
    row = Row("short", "short", (Step(0.0, Impairment(loss=0.2)),), seconds=10.0)
    figures = run_row(row, 2, None)
    assert figures["lost_pct"] == pytest.approx(20, abs=7)
    assert figures["lost_after_fec_pct"] < 3.0
    assert figures["overhead"] > 0.9
    assert figures["ideal_pct"] <= figures["no_fec_pct"] == pytest.approx(20.0)
    assert run_row(row, 2, None) == figures, "everything comes from the seed"


def test_a_call_that_a_line_just_carries_leaves_its_queue_empty_and_one_that_it_does_not_is_told() -> None:
    enough = run_row(replace(find("line64-1000"), seconds=10.0), 1, None, OFF)
    assert enough["queue_p95_ms"] < 30
    assert (enough["drops"], enough["drops_pct"], enough["short_after_s"]) == (0, 0.0, 0.0)
    line = Impairment(bottleneck=Bottleneck.lasting(12e3, 1.0))  # less than the least bit rate
    full = run_row(Row("short", "short", (Step(0.0, line),), seconds=10.0), 1, None, OFF)
    assert full["queue_p50_ms"] == pytest.approx(910, abs=40)  # the next packet does not fit
    assert full["queue_max_ms"] <= 1000
    assert full["drops"] > 0
    assert full["short_after_s"] is None
    assert full["drops_pct"] == pytest.approx(100.0 * (1 - 12 / full["kbps_over_time"][-1]), abs=8)
    assert full["delay"] > 350
    assert full["r"] < enough["r"]


def test_a_row_with_tcp_has_one_and_it_takes_what_the_call_leaves() -> None:
    figures = run_row(replace(find("line256-tcp"), seconds=20.0), 1, None, OFF)
    assert 170 < figures["tcp_kbps"] < 256 - 0.9 * figures["kbps"]
    assert figures["queue_p50_ms"] > 200


def test_two_calls_share_a_line_and_each_has_its_figures() -> None:
    row = Row(
        "two", "two", (Step(0.0, Impairment(bottleneck=Bottleneck.lasting(64e3, 0.5))),), seconds=14.0, second=4.0
    )
    figures = run_row(row, 1, None, OFF)
    later = figures["second"]
    assert figures["kbps"] == pytest.approx(later["kbps"], rel=0.6), "each leaves some to the other"
    assert 45 < figures["kbps"] + later["kbps"] < 80
    assert figures["queue_over_time_ms"][0] < 50, "there was only one"
    assert later["queue_p50_ms"] < 200, "neither fills the line"
    assert len(later["kbps_over_time"]) == 2
    assert run_row(row, 1, None, OFF) == figures, "everything comes from the seed"


def test_the_queue_of_a_row_with_steps_is_told_for_its_settled_spans_and_from_its_first_step_on() -> None:
    row = find("line-steps")
    record = QueueRecord()
    for second in range(150):
        wait = 0.4 if 30 <= second < 34 else 0.7 if second < 5 else 0.02
        record.arrivals.append(Arrival(500.0 + second, 1250, wait, second in (31, 70)))
    figures = queue_figures(row, record)
    assert (figures["queue_p50_ms"], figures["queue_p95_ms"], figures["queue_max_ms"]) == (20.0, 20.0, 700.0)
    assert figures["drops"] == 2
    assert figures["drops_pct"] == pytest.approx(100.0 / (25 + 55 + 55))
    assert figures["short_after_s"] == 4.0
    assert figures["again_s"] == 3.0
    assert figures["kbps_over_time"] == [pytest.approx(10.0)] * 30
    assert figures["queue_over_time_ms"][:2] == [700.0, 20.0]


def test_ratings_of_a_conversation_are_those_of_the_formulas() -> None:
    """docs/quality.md: Ro 129, Ie 13, Bpl 6.7, M 129, all of it divided by 1.29."""
    still = conversation(0.0, 80.0)
    assert still["r"] == pytest.approx(116 / 1.29)
    assert still["mos_cq"] == pytest.approx(
        1 + 0.035 * still["r"] + still["r"] * (still["r"] - 60) * (100 - still["r"]) * 7e-6
    )
    lossy = conversation(6.7, 80.0)
    assert lossy["r"] == pytest.approx((116 - 116 / 2) / 1.29)
    late = conversation(0.0, 380.0)  # 400 ms with the wire: X = 2
    impairment = 25 * ((1 + 2**6) ** (1 / 6) - 3 * (1 + (2 / 3) ** 6) ** (1 / 6) + 2)
    assert late["r"] == pytest.approx((116 - impairment) / 1.29)
    assert conversation(0.0, None) == {"r": None, "mos_cq": None}
