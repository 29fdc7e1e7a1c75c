"""The benchmarks' limits, against what can be counted by hand, and their calls in virtual time."""

import itertools
import random

import pytest

from tests.bench.limits import binomial_tail, block_code, ideal, late, streaming_code
from tests.bench.rows import Row, find
from tests.bench.virtual import noise, run_row
from tests.support.network import Impairment, Step


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


def test_a_lossy_call_in_virtual_time_loses_as_it_should_and_repairs() -> None:
    row = Row("short", "short", (Step(0.0, Impairment(loss=0.2)),), seconds=10.0)
    figures = run_row(row, 2, None)
    assert figures["lost_pct"] == pytest.approx(20, abs=7)
    assert figures["lost_after_fec_pct"] < 3.0
    assert figures["overhead"] > 0.9
    assert figures["ideal_pct"] <= figures["no_fec_pct"] == pytest.approx(20.0)
    assert run_row(row, 2, None) == figures, "everything comes from the seed"
