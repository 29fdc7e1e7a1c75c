"""The one bad network: the figures of each impairment, what a seed repeats, and the bottleneck worked out by hand."""

import math
import random
import statistics

import pytest

from tests.support.bottleneck import Bottleneck
from tests.support.network import Gilbert, Impairment, Independent, Outages, Path, Step, Wire

PTIME = 0.02
MANY = 60_000


def runs_of_losses(flags: list[bool]) -> list[int]:
    lengths, count = [], 0
    for lost in [*flags, False]:
        if lost:
            count += 1
        elif count:
            lengths.append(count)
            count = 0
    return lengths


def test_independent_losses_have_their_share_and_no_memory() -> None:
    losses = Independent(0.2, random.Random(1))
    flags = [losses.lost(n * PTIME) for n in range(MANY)]
    assert statistics.mean(flags) == pytest.approx(0.2, abs=0.006)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(1 / 0.8, abs=0.03)


@pytest.mark.parametrize(("share", "mean"), [(0.05, 3.0), (0.1, 3.0), (0.2, 8.0)])
def test_bursts_have_their_share_and_mean_length(share: float, mean: float) -> None:
    losses = Gilbert(share, mean, random.Random(2), settled=True)
    flags = [losses.lost(n * PTIME) for n in range(4 * MANY)]
    assert statistics.mean(flags) == pytest.approx(share, rel=0.08)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("step", [0.02, 0.005])
def test_outages_last_as_long_however_many_packets_are_sent_meanwhile(step: float) -> None:
    losses = Outages(0.1, 0.06, random.Random(3), settled=True)
    flags = [losses.lost(n * step) for n in range(round(3000 / step))]
    assert statistics.mean(flags) == pytest.approx(0.1, rel=0.06)
    # the chance that a Markov chain in continuous time that is bad is bad again one step later
    again = 0.1 + 0.9 * math.exp(-step * (1 / 0.06 + 1 / 0.54))
    expected = 1 / (1 - again)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(expected, rel=0.07)


def test_jitter_has_its_mean_and_reorders_only_where_it_may() -> None:
    for reorder in (True, False):
        path = Path(Impairment(jitter=0.03, reorder=reorder), 4)
        out = [path.departures(n * PTIME)[0] for n in range(MANY)]
        own = [at - n * PTIME - 0.02 for n, at in enumerate(out)]
        assert min(own) >= 0
        if reorder:
            assert statistics.mean(own) == pytest.approx(0.03, rel=0.03)
            assert statistics.quantiles(own, n=100)[89] == pytest.approx(0.03 * 2.3026, rel=0.03)
        assert (out != sorted(out)) == reorder


def test_duplicates_come_and_losses_do_not() -> None:
    path = Path(Impairment(loss=0.1, duplicate=0.25), 5)
    counts = [len(path.departures(n * PTIME)) for n in range(MANY)]
    assert counts.count(0) / MANY == pytest.approx(0.1, abs=0.005)
    assert counts.count(2) / MANY == pytest.approx(0.9 * 0.25, abs=0.008)


def test_the_same_seed_brings_the_same_fate_and_another_another() -> None:
    def fates(seed: int) -> list[list[float]]:
        path = Path(Impairment(loss=0.1, jitter=0.03), seed)
        return [path.departures(n * PTIME) for n in range(500)]

    assert fates(6) == fates(6)
    assert fates(6) != fates(7)


def test_steps_count_from_the_start_that_is_told() -> None:
    path = Path([Step(0.0, Impairment()), Step(1.0, Impairment(loss=1.0)), Step(2.0, Impairment())], 8)
    assert len(path.departures(50.0)) == 1, "time has not begun"
    path.start(100.0)
    path.start(300.0)
    fates = [len(path.departures(100.0 + at)) for at in (0.0, 0.99, 1.0, 1.99, 2.0, 9.0)]
    assert fates == [1, 1, 0, 0, 1, 1]


def test_spared_packets_are_only_delayed() -> None:
    path = Path(Impairment(loss=1.0, jitter=0.1), 9)
    assert path.departures(1.0, spared=True) == [1.02]
    assert path.departures(1.0) == []


def test_delays_do_not_change_what_is_lost() -> None:
    still, shaky = Path(Impairment(loss=0.2), 10), Path(Impairment(loss=0.2, jitter=0.05, duplicate=0.2), 10)
    for n in range(2000):
        assert bool(still.departures(n * PTIME)) == bool(shaky.departures(n * PTIME))


def test_with_one_source_of_random_numbers_losses_and_delays_are_drawn_packet_by_packet() -> None:
    path, rng = Path(Impairment(loss=0.3, jitter=0.05, delay=0.01), rng=random.Random(11)), random.Random(11)
    for n in range(200):
        expected = [] if rng.random() < 0.3 else [n * PTIME + 0.01 + rng.expovariate(1 / 0.05)]
        assert path.departures(n * PTIME) == pytest.approx(expected)


def test_a_channel_that_has_not_settled_starts_good() -> None:
    begun = [Gilbert(0.5, 50.0, random.Random(seed)).lost(0.0) for seed in range(400)]
    settled = [Gilbert(0.5, 50.0, random.Random(seed), settled=True).lost(0.0) for seed in range(400)]
    assert statistics.mean(begun) < 0.05
    assert statistics.mean(settled) == pytest.approx(0.5, abs=0.08)
    assert not any(Outages(0.5, 50.0, random.Random(seed)).lost(0.0) for seed in range(400))


def test_a_path_may_change_while_it_is_used() -> None:
    path = Path(Impairment(delay=0.02), 12)
    assert path.departures(1.0) == [1.02]
    path.change(delay=0.5)
    assert path.departures(1.0) == [1.5]
    path.change(loss=1.0)
    assert path.departures(1.0) == []
    path.change(loss=0.0, duplicate=1.0)
    assert path.departures(1.0) == [1.5, 1.5]


def bottleneck(queue: float = 300, **more: float) -> Path:
    """1000 bytes per second."""
    return Path(Impairment(delay=0.0, bottleneck=Bottleneck(8000, queue), **more), 13)  # type: ignore[arg-type]


def test_a_bottleneck_sends_one_packet_after_the_other_and_drops_what_does_not_fit() -> None:
    path = bottleneck()
    out = [path.departures(5.0, 100) for _ in range(5)]
    assert out[:3] == [pytest.approx([5.1]), pytest.approx([5.2]), pytest.approx([5.3])]
    assert out[3:] == [[], []], "300 bytes wait"
    assert path.departures(5.05, 100) == [], "250 bytes wait"
    assert path.departures(5.05, 50) == pytest.approx([5.35]), "a smaller one fits"
    assert path.departures(5.15, 100) == pytest.approx([5.45]), "200 bytes wait"
    assert path.departures(9.0, 100) == pytest.approx([9.1]), "it has been idle"


def test_an_idle_bottleneck_takes_a_packet_larger_than_its_queue() -> None:
    path = bottleneck(queue=50)
    assert path.departures(0.0, 200) == pytest.approx([0.2])
    assert path.departures(0.1, 1) == []


def test_a_bottleneck_comes_before_delay_and_duplication_and_what_is_spared_does_not_meet_it() -> None:
    path = bottleneck(duplicate=1.0)
    path.change(delay=0.5)
    assert path.departures(0.0, 100) == pytest.approx([0.6, 0.6])
    assert path.departures(0.0, 100, spared=True) == [0.5]
    assert path.departures(0.0, 100) == pytest.approx([0.7, 0.7])


def test_what_is_lost_after_the_bottleneck_has_used_it() -> None:
    path = bottleneck(loss=1.0)
    assert path.departures(0.0, 100) == []
    path.change(loss=0.0)
    assert path.departures(0.0, 100) == pytest.approx([0.2])


def test_too_much_for_a_bottleneck_is_lost_in_proportion_and_waits_for_the_whole_queue() -> None:
    path = Path(Impairment(delay=0.0, bottleneck=Bottleneck.lasting(64000, 0.08)), 14)
    fates = [(n * PTIME, path.departures(n * PTIME, 200)) for n in range(5000)]  # 80 kbit/s
    late = fates[100:]
    assert statistics.mean(not out for _, out in late) == pytest.approx(0.2, abs=0.01)
    waits = [out[0] - sent for sent, out in late if out]
    assert max(waits) <= 0.08 + 1e-9
    assert min(waits) > 0.05


def test_a_wire_carries_datagrams_in_order_of_arrival() -> None:
    wire = Wire(Path(Impairment(delay=0.02), 15))
    assert wire.send(b"slow", 1.0)
    wire.path.change(delay=0.001)
    assert wire.send(b"fast", 1.01)
    assert not wire.send(b"never", 1.01, drop=lambda: True)
    assert wire.next_delivery() == pytest.approx(1.011)
    assert list(wire.deliver(1.0109)) == []
    assert [datagram for datagram, _ in wire.deliver(1.5)] == [b"fast", b"slow"]
    assert wire.next_delivery() is None
    assert wire.ip_bytes == 4 + 4 + 5 + 3 * 28


def test_a_blocked_wire_delivers_at_once_what_has_waited() -> None:
    wire = Wire(Path(Impairment(delay=0.02), 16))
    wire.blocked_until = 2.0
    for n in range(3):
        wire.send(bytes([n]), 1.0 + n)
    assert list(wire.deliver(1.9)) == []
    assert wire.next_delivery() == 2.0
    assert [arrival for _, arrival in wire.deliver(2.03)] == [2.0, pytest.approx(2.02)]
    assert [arrival for _, arrival in wire.deliver(4.0)] == [pytest.approx(3.02)]


def test_a_wire_with_a_bottleneck_counts_the_headers() -> None:
    wire = Wire(Path(Impairment(delay=0.0, bottleneck=Bottleneck(8000, 1000)), 17))
    wire.send(bytes(72), 1.0)
    assert [arrival for _, arrival in wire.deliver(1.2)] == pytest.approx([1.1])
