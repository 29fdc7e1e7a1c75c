"""What is remembered of packets: in order of time, sorted, bounded, and in few bytes."""

from __future__ import annotations

import random
import tracemalloc

from voip.jitter.delays import DelayTarget
from voip.jitter.history import SeenNumbers, TransitHistory


def test_both_orders_are_those_of_the_packets_that_are_left() -> None:
    rng, history, model = random.Random(3), TransitHistory(), list[tuple[float, float, bool]]()
    for n in range(2000):
        at, transit, rebuilt = n * 0.02, rng.choice([5.0, 5.001, 5.5]) + rng.random() / 10, rng.random() < 0.2
        history.add(at, transit, rebuilt=rebuilt)
        model.append((at, transit, rebuilt))
        history.trim(at - 3.0, 120)
        model = [entry for entry in model if entry[0] >= at - 3.0][-120:]
        if n == 1500:
            history.keep(lambda at, rebuilt: not rebuilt)
            model = [entry for entry in model if not entry[2]]
        assert len(history) == len(model)
    assert list(history.ordered) == sorted(transit for _, transit, _ in model)
    assert list(history.arrived) == sorted(transit for _, transit, rebuilt in model if not rebuilt)
    assert 0 < len(history.arrived) < len(history.ordered)
    history.clear()
    assert (len(history), len(history.ordered), len(history.arrived)) == (0, 0, 0)


def test_a_number_is_new_once_with_each_timestamp_until_a_whole_round_later() -> None:
    seen = SeenNumbers(1024)
    assert seen.add(65530, 160)
    assert not seen.add(65530, 160)
    assert seen.add(65530, 320), "another time line of the same numbers"
    assert all(seen.add(65530 + n, 320 + 160 * n) for n in range(1, 1024))
    assert not seen.add(65530, 320)
    assert seen.add(65530 + 1024, 320 + 160 * 1024)
    assert seen.add(65530, 320), "a round later it is forgotten"
    assert seen.add(-5, 7), "numbers before the first may be negative"
    assert not seen.add(-5, 7)
    seen.clear()
    assert seen.add(65530, 320)


def test_half_a_minute_of_packets_takes_less_than_a_hundred_thousand_bytes() -> None:
    rng = random.Random(4)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        target, seen = DelayTarget(0.02, 0.5), SeenNumbers(1024)
        for n in range(3000):
            target.add(5.0 + rng.random() / 100, n * 0.02)
            seen.add(n, n * 960)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 1500 * 8 < taken < 100_000


def test_once_all_rebuilt_packets_are_forgotten_those_that_arrived_are_all_there_are() -> None:
    history = TransitHistory()
    for n, rebuilt in enumerate([False, True, False, True, False, False]):
        history.add(float(n), 0.5 - 0.1 * n, rebuilt=rebuilt)
    assert len(history.arrived) == 4
    history.trim(2.0, 100)
    assert (len(history.ordered), len(history.arrived)) == (4, 3)
    history.trim(4.0, 100)
    assert history.arrived is history.ordered
    history.add(6.0, 0.2, rebuilt=True)
    history.add(7.0, 0.1, rebuilt=False)
    assert list(history.arrived) == sorted([0.5 - 0.4, 0.5 - 0.5, 0.1])
