"""Clock drift: estimated through jitter, queues and other routes; corrected without the delay running away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voip.jitter import DriftCorrection, DriftEstimator

Times = NDArray[np.float64]
BEGIN = 1e5
"""A monotonic clock counts from some other time."""
RTP_BEGIN = 89478.4
"""Seconds after which a timestamp of 48 kHz wraps, nearly."""
OWN_NOISE = 0.0002
"""Seconds that operating systems add."""


def observed(
    ppm: float, seconds: float, jitter: float, seed: int, queue: Callable[[Times], Times] | None = None
) -> list[tuple[float, float]]:
    """Transit and arrival of 50 packets a second, in order of arrival."""
    random = np.random.default_rng(seed)
    sent = np.arange(round(seconds * 50)) / 50
    time = sent / (1 + ppm * 1e-6)
    arrival = time + 0.02 + np.abs(random.normal(0, OWN_NOISE, len(sent))) + random.exponential(jitter, len(sent))
    if queue is not None:
        arrival += queue(time)
    order = np.argsort(arrival)
    arrival += BEGIN
    return list(zip((arrival - sent - RTP_BEGIN)[order].tolist(), arrival[order].tolist(), strict=True))


def estimates(observations: list[tuple[float, float]]) -> tuple[DriftEstimator, list[tuple[float, float]]]:
    """The estimator in the end; and every estimate with the time since the first packet."""
    estimator, said = DriftEstimator(), []
    for value, at in observations:
        estimator.add(value, at)
        if estimator.ppm is not None:
            said.append((at - BEGIN, estimator.ppm))
    return estimator, said


@pytest.mark.parametrize("ppm", [-200, -37, 0, 5, 100, 200])
@pytest.mark.parametrize("seed", range(3))
def test_a_clean_link_tells_the_drift_within_15_s_and_exactly_in_30(seed: int, ppm: float) -> None:
    estimator, said = estimates(observed(ppm, 30, 0.0, seed))
    assert said[0][0] < 15
    assert all(estimate == pytest.approx(ppm, abs=10) for _, estimate in said)
    assert estimator.ppm == pytest.approx(ppm, abs=3)


@pytest.mark.parametrize("ppm", [-200, -37, 0, 100])
@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_30_ms_hides_the_drift_for_a_minute_at_most(seed: int, ppm: float) -> None:
    estimator, said = estimates(observed(ppm, 60, 0.03, seed))
    assert estimator.ppm == pytest.approx(ppm, abs=15)
    assert all(estimate == pytest.approx(ppm, abs=25) for _, estimate in said)
    assert estimator.error is not None
    assert estimator.error < DriftEstimator.CERTAIN


def test_nothing_is_said_before_it_is_known() -> None:
    estimator, said = estimates(observed(100, 9, 0.0, 1))
    assert not said
    assert estimator.ppm is None
    assert not estimates(observed(100, 15, 0.06, 1))[1]
    assert DriftEstimator().ppm is None
    assert DriftEstimator().error is None


def other_route(after: float, more: float) -> Callable[[Times], Times]:
    return lambda time: np.where(time > after, more, 0.0)


ROUTES = {
    "longer": other_route(60, 0.06),
    "shorter": lambda time: other_route(60, -0.06)(time) + 0.06,
    "a little longer": other_route(30, 0.005),
    "soon": other_route(5, 0.06),
    "every 30 s": lambda time: 0.06 * (time // 30 % 2),
    "every 7 s": lambda time: 0.06 * (time // 7 % 2),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("seed", range(2))
def test_another_route_is_not_drift(seed: int, route: str) -> None:
    estimator, said = estimates(observed(80, 180, 0.0003, seed, ROUTES[route]))
    assert all(estimate == pytest.approx(80, abs=12) for _, estimate in said)
    assert all(estimate == pytest.approx(80, abs=6) for at, estimate in said if at > 90)
    assert estimator.ppm == pytest.approx(80, abs=4)


def test_queues_that_last_for_seconds_are_not_drift() -> None:
    random = np.random.default_rng(7)
    busy = {second for start in range(0, 180, 10) for second in range(start, start + int(random.integers(0, 8)))}
    depth = random.uniform(0.005, 0.1, 180)

    def queue(time: Times) -> Times:
        return np.array([depth[int(t) // 10] if int(t) in busy else 0.0 for t in time])

    estimator, said = estimates(observed(-50, 180, 0.0003, 3, queue))
    assert all(estimate == pytest.approx(-50, abs=20) for _, estimate in said)
    assert estimator.ppm == pytest.approx(-50, abs=3)


def test_a_queue_that_fills_for_good_is_not_believed() -> None:
    assert not estimates(observed(0, 60, 0.0, 1, lambda time: time / 100))[1]


def test_a_pause_of_the_stream_does_not_matter() -> None:
    packets = [(value, at) for value, at in observed(120, 400, 0.001, 4) if not 40 < at - BEGIN < 300]
    estimator, said = estimates(packets)
    assert all(estimate == pytest.approx(120, abs=12) for _, estimate in said)
    assert estimator.ppm == pytest.approx(120, abs=3)


def test_after_a_reset_the_old_stream_is_forgotten() -> None:
    estimator, _ = estimates(observed(100, 60, 0.0, 1))
    estimator.reset()
    assert estimator.ppm is None
    for value, at in observed(-100, 60, 0.0, 2):
        estimator.add(value - 500.0, at + 70)
    assert estimator.ppm == pytest.approx(-100, abs=3)


def test_the_same_packets_give_the_same_estimate_whatever_the_clocks_began_with() -> None:
    packets = observed(60, 60, 0.01, 5)
    shifted = [(value + 12345.0, at + 4567.0) for value, at in packets]
    first, second = estimates(packets)[0].ppm, estimates(shifted)[0].ppm
    assert first is not None
    assert second == pytest.approx(first, abs=0.01)


def test_a_clock_as_good_as_ours_is_never_corrected() -> None:
    correction = DriftCorrection()
    assert {correction.update(ppm, 0.02, at) for at, ppm in enumerate([None, 0.0, 9.0, -9.0])} == {1.0}


def test_the_ratio_moves_slowly_and_within_bounds() -> None:
    correction, before = DriftCorrection(), 1.0
    for tick in range(1000):
        ratio = correction.update(900.0, 0.5, tick * 0.1)
        assert 0.0 <= ratio - before <= DriftCorrection.SLEW * 0.1 + 1e-12
        before = ratio
    assert before == pytest.approx(1 + DriftCorrection.MAX_CORRECTION)
    assert correction.update(900.0, 0.5, 1e6) - 1 <= DriftCorrection.MAX_CORRECTION


def test_a_drift_that_is_no_longer_known_is_let_go_slowly() -> None:
    correction = DriftCorrection()
    for second in range(30):
        correction.update(100.0, 0.0, second)
    assert correction.ratio == pytest.approx(1.0001)
    assert correction.update(None, 0.0, 30) > 1.00005
    for second in range(31, 60):
        correction.update(None, 0.0, second)
    assert correction.ratio == 1.0


@pytest.mark.parametrize("ppm", [-200.0, 60.0, 200.0])
def test_the_delay_stays_for_eight_hours(ppm: float) -> None:
    """Packets of 60 ms with 5 ms of jitter; the delay is what the ratio leaves of the drift."""
    random = np.random.default_rng(11)
    estimator, correction = DriftEstimator(), DriftCorrection()
    step, delay, worst, late = 0.06, 0.0, 0.0, 0.0
    jitter = random.exponential(0.005, 480_000).tolist()
    for number in range(480_000):
        sent = number * step
        now = BEGIN + sent / (1 + ppm * 1e-6)
        estimator.add(now + jitter[number] - sent, now + jitter[number])
        delay += step * (ppm * 1e-6 - (correction.ratio - 1.0))
        if number % 16 == 0:
            correction.update(estimator.ppm, delay + jitter[number] * 0.2, now)
        worst = max(worst, abs(delay))
        late = max(late, abs(delay)) if now - BEGIN > 600 else late
    assert worst < 0.015
    assert late < 0.003
