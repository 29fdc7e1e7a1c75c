"""What packets that were sent together tell of a narrow line."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from voip.congestion import RateController
from voip.congestion.pairs import APART, KEPT_SECONDS, MEMORY_SECONDS, NarrowLine
from voip.congestion.sent import SentPackets
from voip.stats import PathReport

PTIME, SIZE, REPAIR = 0.02, 100, 130
FIRST = 65_520
"""Numbers of both streams wrap early."""
CLOCK = 5000.0
"""Seconds that the peer's clock is ahead."""


class Stream:
    """Media packets each PTIME, each with a repair packet, over a line that carries `rate` bit/s."""

    def __init__(self, rate: float, *, delay: Callable[[], float] = lambda: 0.0, lost: float = 0.0) -> None:
        self.rate, self._delay, self._lost = rate, delay, lost
        self.packets = SentPackets()
        self.narrow = NarrowLine(self.packets)
        self.control: RateController | None = None
        self.now = self._busy = 0.0
        self._count = 0
        self._rng = random.Random(1)

    def send(self, seconds: float, *, repair: bool = True) -> PathReport:
        """What the report after so long says; every packet that came is in it."""
        came: dict[bool, list[tuple[int, float]]] = {False: [], True: []}
        for _ in range(round(seconds / PTIME)):
            number = FIRST + self._count & 0xFFFF
            for repairs, size in ((False, SIZE), (True, REPAIR))[: 1 + repair]:
                self.packets.add(number, size, self.now, repair=repairs)
                if self.control is not None:
                    self.control.sent(number, size, self.now, repair=repairs)
                self._busy = max(self._busy, self.now) + 8 * size / self.rate
                if self._rng.random() >= self._lost:
                    came[repairs].append((number, self._busy + self._delay() + CLOCK))
            self._count += 1
            self.now += PTIME
        report = PathReport(
            self.now, self._lost, 0, 0, 0.0, receipts=tuple(came[False]), repair_receipts=tuple(came[True])
        )
        self.narrow.report(report)
        return report

    def pause(self, seconds: float) -> None:
        """Nothing is sent."""
        self.now += seconds


@pytest.mark.parametrize("rate", [40e3, 64e3, 96e3, 128e3, 200e3])
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_what_a_narrow_line_carries_is_told_by_the_first_packets(rate: float, lost: float) -> None:
    stream = Stream(rate, lost=lost)
    stream.send(0.24)
    assert stream.narrow.capacity == pytest.approx(rate, rel=0.01)
    assert not stream.narrow.wide
    assert stream.narrow.carries is None


def test_packets_in_a_queue_tell_it_where_there_are_few_pairs_yet() -> None:
    stream = Stream(25e3)
    stream.send(0.02)
    assert stream.narrow.capacity is None
    stream.send(0.12, repair=False)
    assert stream.narrow.capacity == pytest.approx(25e3, rel=0.01)


def test_packets_between_which_those_of_others_were_sent_tell_nothing() -> None:
    """A download beside the call has large packets, and no two of ours that were sent together are kept apart."""
    stream = Stream(256e3)
    stream.send(0.02)
    stream.rate = 20e3  # what is left of it, one packet after the other
    stream.send(0.12, repair=False)
    assert stream.narrow.capacity is None


@pytest.mark.parametrize("rate", [256e3, 1e6, 1e9])
def test_a_line_that_lets_two_packets_out_at_once_is_not_narrow(rate: float) -> None:
    stream = Stream(rate)
    stream.send(2.0)
    assert stream.narrow.capacity is None
    assert stream.narrow.wide
    assert stream.narrow.carries == 8 * REPAIR / APART <= rate


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06])
def test_jitter_is_hardly_ever_taken_for_a_narrow_line(spread: float) -> None:
    wrong = 0
    for seed in range(100):
        rng = random.Random(seed)
        stream = Stream(1e9, delay=lambda rng=rng: rng.expovariate(1 / spread))  # type: ignore[misc]
        stream.send(0.2)
        stream.send(1.0)
        wrong += stream.narrow.capacity is not None
    assert wrong <= 2


def test_packets_that_were_held_back_say_nothing() -> None:
    """A receiver that stood still reads at once what came meanwhile, and the line is as narrow as before."""
    stream = Stream(64e3)
    stream.send(0.5)
    report = stream.send(0.5)
    at_once = tuple((number, report.at + CLOCK) for number, _ in report.receipts)
    repairs = tuple((number, report.at + CLOCK) for number, _ in report.repair_receipts)
    stream.narrow.report(PathReport(report.at + 1.0, 0.0, 0, 0, 0.0, receipts=at_once, repair_receipts=repairs))
    assert stream.narrow.capacity == pytest.approx(64e3, rel=0.01)


def test_what_a_sender_that_stood_still_sends_at_once_tells_the_same() -> None:
    packets = SentPackets()
    narrow = NarrowLine(packets)
    for number in range(12):
        packets.add(number, SIZE, 3.0, repair=False)
    report = PathReport(4.0, 0.0, 0, 0, 0.0, receipts=tuple((n, 3.0 + n * 8 * SIZE / 50e3) for n in range(12)))
    narrow.report(report)
    assert narrow.capacity == pytest.approx(50e3, rel=0.01)


def test_a_line_that_becomes_wider_or_narrower_is_seen_by_the_next_pairs() -> None:
    stream = Stream(64e3)
    stream.send(1.0)
    stream.pause(MEMORY_SECONDS + 2.0)
    stream.rate = 128e3
    stream.send(1.0)
    assert stream.narrow.capacity == pytest.approx(128e3, rel=0.01)
    stream.rate = 1e6
    stream.send(1.0)
    assert stream.narrow.capacity is None


def test_it_holds_for_minutes_without_pairs_and_not_for_ever() -> None:
    stream = Stream(64e3)
    stream.send(1.0)
    for _ in range(9):
        stream.pause(30.0)
        stream.send(1.0, repair=False)
    assert stream.narrow.capacity == pytest.approx(64e3, rel=0.01)
    stream.pause(30.0)
    stream.send(1.0, repair=False)
    assert stream.narrow.capacity is None


def test_a_queue_that_lets_as_much_through_makes_it_hold_longer() -> None:
    stream = Stream(64e3)
    stream.send(1.0)
    stream.pause(KEPT_SECONDS - 10.0)
    stream.narrow.confirm(60e3, stream.now)
    stream.pause(20.0)
    stream.send(1.0, repair=False)
    assert stream.narrow.capacity == pytest.approx(64e3, rel=0.01)


def test_receipts_of_packets_that_were_not_sent_say_nothing() -> None:
    narrow = NarrowLine(SentPackets())
    narrow.report(PathReport(1.0, 0.0, 0, 0, 0.0, receipts=tuple((n, 0.03 * n) for n in range(20))))
    assert narrow.capacity is None


# --- what the controller makes of it ----------------------------------------------------------------------------------


def test_the_limit_is_what_the_line_carries_before_it_was_ever_full() -> None:
    stream = Stream(96e3, lost=0.1)
    stream.control = control = RateController()
    for _ in range(40):
        control.report(stream.send(1.0))
    assert control.figures.times_full == 0
    assert control.limit == pytest.approx(0.95 * 96e3, rel=0.02)  # and no more is tried: pairs go on to tell it
    assert control.limited_by == "line"


def test_a_line_that_the_first_packets_fill_is_emptied_with_the_first_report() -> None:
    stream = Stream(64e3)  # of 92 kbit/s
    stream.control = control = RateController(floor=5e3)
    control.report(stream.send(0.24))
    assert control.figures.full
    assert control.limit == pytest.approx(0.6 * 64e3, rel=0.02)


def test_a_line_that_turns_out_wide_is_used_again() -> None:
    stream = Stream(96e3)
    stream.control = control = RateController()
    control.report(stream.send(0.5))
    assert control.limit == pytest.approx(0.95 * 96e3, rel=0.02)
    stream.rate = 1e7
    for _ in range(120):
        control.report(stream.send(1.0))
    assert control.limit is not None
    assert control.limit > 1.5 * 96e3
