"""Numbers and media times by order and time of arrival."""

from __future__ import annotations

import random

import pytest

from voip.formats.arrivals import ArrivalClock, Arrived, Place

RATE, SAMPLES = 44100, 1024
LENGTH = SAMPLES / RATE


def placed(arrivals: list[float], first: int = 0) -> list[Place]:
    clock: ArrivalClock[None] = ArrivalClock(RATE, first)
    return [place for at in arrivals for place, _ in clock.place(Arrived(SAMPLES, 1, at, None))]


def test_what_comes_evenly_is_numbered_and_timed_without_a_hole() -> None:
    assert placed([index * LENGTH for index in range(500)], 7) == [Place(7 + n, n * SAMPLES) for n in range(500)]


@pytest.mark.parametrize("lost", [1, 2, 3, 9])
def test_a_hole_in_time_is_a_hole_in_numbers(lost: int) -> None:
    times = [index * LENGTH for index in range(300) if not 100 <= index < 100 + lost]
    found = placed(times)
    assert found[-1] == Place(299, 299 * SAMPLES)
    assert found[100].sequence - found[99].sequence == 1 + lost


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
    lags = [at - place.timestamp / RATE for at, place in zip(arrivals, placed(arrivals), strict=False)]
    assert min(lags) > -0.1  # never ahead of the sender by more than a few datagrams ...
    assert max(lags[500:]) < 0.15 + 10 * mean  # ... and never further behind it than jitter puts it


def test_clocks_that_drift_lose_nothing() -> None:
    for ppm in (-200, 200):
        assert placed([index * LENGTH * (1 + ppm * 1e-6) for index in range(20000)])[-1].sequence == 19999


def test_a_loss_is_where_it_was_and_a_moment_of_standing_still_is_none() -> None:
    lost = placed([index * LENGTH for index in range(300) if index != 100])
    assert [place.sequence for place in lost] == [*range(100), *range(101, 300)]
    late = placed([index * LENGTH + (0.02 if index == 100 else 0.0) for index in range(300)])
    assert [place.sequence for place in late] == [*range(300)]


def test_a_short_datagram_at_the_end_of_a_sound_is_no_loss() -> None:
    clock: ArrivalClock[None] = ArrivalClock(RATE, 0)
    for index in range(100):
        clock.place(Arrived(SAMPLES, 1, index * LENGTH, None))
    assert clock.place(Arrived(272, 1, 99 * LENGTH + 272 / RATE, None)) == [(Place(100, 100 * SAMPLES), None)]


def test_datagrams_of_several_packets_take_as_many_numbers() -> None:
    clock: ArrivalClock[int] = ArrivalClock(12000, 0)
    length = 17 * 1024 / 12000
    found = [clock.place(Arrived(17 * 1024, 17, at * length, at)) for at in (0, 1, 3, 4)]
    numbers = (0, 1, 3, 4)  # so long a datagram does not wait for the next one
    assert found == [[(Place(17 * number, 17 * 1024 * number), number)] for number in numbers]
