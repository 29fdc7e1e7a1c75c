"""Numbers and media times by order and time of arrival."""

from __future__ import annotations

import random

import pytest

from voip.formats.arrivals import ArrivalClock, Place

RATE, SAMPLES = 44100, 1024
LENGTH = SAMPLES / RATE


def placed(arrivals: list[float], first: int = 0) -> list[Place]:
    clock = ArrivalClock(RATE, first)
    return [clock.place(SAMPLES, 1, at) for at in arrivals]


def test_what_comes_evenly_is_numbered_and_timed_without_a_hole() -> None:
    assert placed([index * LENGTH for index in range(500)], 7) == [Place(7 + n, n * SAMPLES) for n in range(500)]


@pytest.mark.parametrize("lost", [1, 2, 3, 9])
def test_a_hole_in_time_is_a_hole_in_numbers(lost: int) -> None:
    times = [index * LENGTH for index in range(300) if not 100 <= index < 100 + lost]
    found = placed(times)
    assert found[-1] == Place(299, 299 * SAMPLES)
    assert found[101 if lost <= 3 else 103].sequence - found[99].sequence >= lost


def test_a_pause_is_time_without_numbers() -> None:
    times = [index * LENGTH for index in range(100)] + [30.0 + index * LENGTH for index in range(100)]
    found = placed(times)
    assert found[-1].sequence == 199
    assert found[-1].timestamp / RATE == pytest.approx(30.0 + 99 * LENGTH, abs=LENGTH)


def test_what_was_held_back_and_comes_all_at_once_was_not_lost() -> None:
    for stall in (0.2, 0.5, 3.0):
        times = [max(index * LENGTH, 2.0 + stall if index * LENGTH > 2.0 else 0.0) for index in range(400)]
        assert placed(times)[-1] == Place(399, 399 * SAMPLES)


@pytest.mark.parametrize("mean", [0.001, 0.005, 0.03])
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.1])
def test_the_time_line_keeps_up_with_the_sender_whatever_is_late_or_lost(mean: float, loss: float) -> None:
    rng = random.Random(f"{mean} {loss}")
    sent = [index * LENGTH for index in range(3000) if rng.random() >= loss]
    arrivals = sorted(at + rng.expovariate(1 / mean) for at in sent)
    clock = ArrivalClock(RATE, 0)
    lags = [at - clock.place(SAMPLES, 1, at).timestamp / RATE for at in arrivals]
    assert min(lags) > -0.1  # never ahead of the sender by more than a few datagrams ...
    assert max(lags[500:]) < 0.15 + 10 * mean  # ... and never further behind it than jitter puts it


def test_clocks_that_drift_lose_nothing() -> None:
    for ppm in (-200, 200):
        assert placed([index * LENGTH * (1 + ppm * 1e-6) for index in range(20000)])[-1].sequence == 19999


def test_a_short_datagram_at_the_end_of_a_sound_hides_no_loss_and_is_none() -> None:
    clock = ArrivalClock(RATE, 0)
    for index in range(100):
        clock.place(SAMPLES, 1, index * LENGTH)
    assert clock.place(272, 1, 100 * LENGTH) == Place(100, 100 * SAMPLES)


def test_datagrams_of_several_packets_take_as_many_numbers() -> None:
    clock = ArrivalClock(12000, 0)
    first, second = clock.place(17 * 1024, 17, 0.0), clock.place(17 * 1024, 17, 17 * 1024 / 12000)
    assert (first, second) == (Place(0, 0), Place(17, 17 * 1024))
    assert clock.place(16 * 1024, 16, 3 * 17 * 1024 / 12000).sequence in range(48, 52)  # one was lost
