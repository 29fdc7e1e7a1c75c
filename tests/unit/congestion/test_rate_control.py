"""How much is sent over a line that is full: the controller alone, and whole calls over a bottleneck."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.bench.rows import Row
from tests.bench.virtual import TwoWayCall, noise
from tests.bench.waves import stretch
from tests.support.bottleneck import Bottleneck, DropTail, QueueRecord
from tests.support.network import Impairment, Path, Step, Wire
from tests.support.tcp_model import Cubic
from voip import codecs
from voip.congestion import CircuitBreaker, QueueEstimator, RateController, allowed_rate
from voip.congestion.breaker import PERSISTENT_SECONDS
from voip.congestion.queue import MEMORY_SECONDS
from voip.stats import Arrivals, PathReport

PTIME, SIZE = 0.02, 100
FIRST = 65_500
"""Sequence numbers begin just below the wrap."""
needs_opus = pytest.mark.skipif(codecs.missing("opus") is not None, reason="needs libopus")


def report(at: float, receipts: list[tuple[int, float]], *, lost: float = 0.0, **more: object) -> PathReport:
    found = [(number & 0xFFFF, when) for number, when in receipts]
    return PathReport(at, lost, 0, FIRST, 0.0, receipts=tuple(found), **more)  # type: ignore[arg-type]


class Line:
    """Packets of SIZE bytes each PTIME through a line, reported each second with every fourth receipt."""

    def __init__(self, control: RateController, transit: float = 1234.5) -> None:
        """`transit`: what the clocks differ by, and the line takes."""
        self.control, self.transit = control, transit
        self.number, self.now, self.busy = FIRST, 0.0, 0.0
        self.lines: list[str] = []

    def run(self, seconds: float, rate: float = math.inf, *, share: float = 1.0, lost: float = 0.0) -> None:
        """The line carries `rate` bit/s; `share` of the packets is sent, and each report tells of so many lost."""
        receipts = []
        for index in range(round(seconds / PTIME)):
            if int((index + 1) * share + 1e-9) > int(index * share + 1e-9):
                self.control.sent(self.number & 0xFFFF, SIZE, self.now, repair=False)
                self.busy = max(self.busy, self.now) + 8 * SIZE / rate
                if self.number % 4 == 0:
                    receipts.append((self.number, self.busy + self.transit))
                self.number += 1
            self.now += PTIME
            if (index + 1) % 50 == 0:
                told = report(self.now, [each for each in receipts if each[1] < self.now + 1e6], lost=lost)
                line = self.control.report(told)
                self.lines += [line] if line else []
                receipts = []


def test_a_line_that_is_wide_enough_is_left_alone() -> None:
    line = Line(control := RateController())
    line.run(20.0, 1e6)
    assert line.lines == []
    assert control.limit == 95e3
    assert control.figures.limited_by == "untried"
    assert control.figures.queue == pytest.approx(0.0, abs=1e-3)
    assert control.figures.times_full == 0


def test_a_queue_that_grows_is_emptied_and_the_rate_held_below_what_the_line_carries() -> None:
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.run(1.0, 30e3)  # 10 of the 40 kbit/s too many: a third of a second of queue each second
    assert control.figures.full
    assert control.limit == pytest.approx(0.6 * 30e3, rel=0.1)
    assert control.figures.limited_by == "line"
    line.run(3.0, 30e3, share=0.4)
    assert not control.figures.full
    assert control.limit == pytest.approx(0.85 * 30e3, rel=0.1)
    assert control.figures.times_full == 1
    assert control.figures.queue_max is not None
    assert 0.2 < control.figures.queue_max < 1.0
    assert "the line is full" in line.lines[0]
    assert "the line is free" in line.lines[-1]


def test_what_is_held_rises_only_while_it_is_used() -> None:
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.run(1.0, 30e3)
    line.run(3.0, 30e3, share=0.4)
    held = control.limit
    line.run(30.0, 30e3, share=0.4)
    assert control.limit == held
    line.run(12.0, 1e6, share=0.6)
    assert control.limit is not None
    assert held is not None
    assert held < control.limit < 1.6 * held


@pytest.mark.parametrize(("came", "bounded"), [(30e3, False), (37e3, True)])
def test_little_that_came_through_is_not_taken_for_all_that_the_line_carries(came: float, bounded: bool) -> None:
    """Another stream may have had the rest of it; what suffices for good sound is more cautious."""
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.run(3.0 if bounded else 1.0, came)
    line.run(3.0, came, share=0.4)
    assert not control.figures.full
    line.run(25.0, 1e6, share=0.9 if bounded else 0.7)
    assert control.limit is not None
    assert (control.limit < came) is bounded


def test_a_queue_that_stays_though_less_is_sent_is_another_s() -> None:
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    for _ in range(3):  # it grows, then stays
        line.transit += 0.1
        line.run(1.0, 1e6)
    line.run(4.0, 1e6, share=0.5)
    assert control.limit == 60e3
    assert any("others keep the line full" in text for text in line.lines)


def test_a_path_that_has_become_longer_is_no_queue_in_the_end() -> None:
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.transit += 0.2
    line.run(30.0, 1e6)
    assert control.figures.queue == pytest.approx(0.0, abs=1e-3)
    assert control.limit == 95e3


@pytest.mark.parametrize("lost", [0.05, 0.12, 0.4])
def test_a_full_queue_of_constant_length_never_becomes_the_path(lost: float) -> None:
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.transit += 0.5
    for _ in range(15):
        line.run(10.0, 1e6, lost=lost)
        assert control.limit is not None
        assert control.limit <= 60e3
        assert control.figures.queue == pytest.approx(0.5, abs=0.01)


def test_a_queue_that_drops_all_the_time_is_not_left_to_others_for_ever() -> None:
    """Two calls that each take the other for a TCP would keep it full, and one of them small."""
    line = Line(control := RateController(floor=5e3))
    line.run(5.0, 1e6)
    line.transit += 0.5
    line.run(25.0, 1e6, lost=0.05)
    shared = next(index for index, text in enumerate(line.lines) if "others keep the line full" in text)
    assert any("the line is full" in text for text in line.lines[shared:])
    assert control.limit is not None
    assert control.limit < 60e3


def test_a_longer_path_that_loses_no_more_than_the_one_before_is_no_queue_in_the_end() -> None:
    line, rng = Line(control := RateController(floor=5e3)), np.random.default_rng(1)
    for _ in range(30):
        line.run(1.0, 1e6, lost=rng.binomial(50, 0.1) / 50)
    line.transit += 0.5
    for _ in range(60):
        line.run(1.0, 1e6, lost=rng.binomial(50, 0.1) / 50)
    assert control.figures.queue == pytest.approx(0.0, abs=1e-3)
    assert control.limit == 95e3


def test_without_receipt_times_a_full_queue_is_no_longer_path_either() -> None:
    control = RateController(floor=5e3)
    for second in range(150):
        for index in range(50):
            control.sent(second * 50 + index & 0xFFFF, SIZE, second + index * PTIME, repair=False)
        long = second >= 5
        control.report(PathReport(second + 1.0, 0.1 if long else 0.0, 0, 0, 0.0, rtt=0.55 if long else 0.05))
    assert control.figures.queue == pytest.approx(0.5)
    assert control.limit is not None
    assert control.limit <= 60e3


def test_packets_that_were_held_back_and_come_at_once_are_no_queue() -> None:
    control = RateController()
    for number in range(200):
        control.sent(FIRST + number & 0xFFFF, SIZE, number * PTIME, repair=False)
    calm = [(FIRST + n, n * PTIME + 9.0) for n in range(0, 100, 4)]
    control.report(report(2.0, calm))
    frozen = [(FIRST + n, max(n * PTIME, 4.0) + 9.0) for n in range(100, 200, 4)]
    assert control.report(report(4.1, frozen)) is None
    assert not control.figures.full


def test_what_was_sent_at_once_makes_a_queue_that_is_no_reason_to_send_less() -> None:
    """The process stood still for 0.4 s; the line lets out one packet each 8 ms."""
    for at_once in (True, False):
        control = RateController()
        sent = [170 if at_once and 150 <= number < 170 else number for number in range(200)]
        for number, slot in enumerate(sent):
            control.sent(FIRST + number & 0xFFFF, SIZE, slot * PTIME, repair=False)
        control.report(report(3.0, [(FIRST + n, n * PTIME + 9.0) for n in range(0, 148, 4)]))
        late = [(FIRST + n, sent[n] * PTIME + 9.0 + (n - 149) * 0.008) for n in range(152, 168, 2)]
        control.report(report(3.7, late))
        assert control.figures.full is not at_once


def test_loss_without_a_queue_is_no_reason_to_send_less() -> None:
    control = RateController()
    for number in range(1000):
        control.sent(FIRST + number & 0xFFFF, SIZE, number * PTIME, repair=False)
        if number % 50 == 49:
            receipts = [(FIRST + n, n * PTIME + 9.0) for n in range(number - 49, number + 1, 4) if n % 3]
            assert control.report(report(number * PTIME, receipts, lost=0.3, rtt=0.05)) is None
    assert not control.figures.full


def test_without_receipt_times_the_rise_of_the_round_trip_counts() -> None:
    control = RateController(floor=5e3)
    for second, trip in enumerate([0.05, 0.05, 0.05, 0.15]):
        for index in range(50):
            control.sent(second * 50 + index, SIZE, second + index * PTIME, repair=False)
        control.report(PathReport(second + 1.0, 0.0, 0, 0, 0.0, rtt=trip))
    assert control.figures.full
    assert control.limit is not None
    assert control.limit < 40e3


def test_the_queue_is_what_is_beyond_the_least_transit_of_a_minute() -> None:
    queue = QueueEstimator()
    for number in range(8):
        queue.sent(number * 4, SIZE, number * 0.08, repair=False)
    passage = queue.report(report(1.0, [(n * 4, n * 0.08 + 5.0 + 0.01 * n) for n in range(8)]))
    assert passage is not None
    assert passage.begin == pytest.approx(0.0, abs=0.011)
    assert passage.end == pytest.approx(0.05, abs=0.011)  # the second least of some, the least of few
    for number in range(8, 16):
        queue.sent(number * 4, SIZE, MEMORY_SECONDS + number * 0.08, repair=False)
    late = [(n * 4, MEMORY_SECONDS + n * 0.08 + 5.5) for n in range(8, 16)]
    passage = queue.report(report(MEMORY_SECONDS + 2.0, late))
    assert passage is not None
    assert passage.end == pytest.approx(0.0)  # the old least is forgotten


def test_what_arrived_counts_by_bytes_of_both_streams() -> None:
    queue = QueueEstimator()
    for number in range(40):
        queue.sent(number, SIZE, number * PTIME, repair=False)
        queue.sent(1000 + number, SIZE, number * PTIME, repair=True)
    half = PathReport(
        1.0, 0.0, 0, 0, 0.0,
        media=Arrivals(0, (True,) * 40),
        repair=Arrivals(1000, (False,) * 40),
        receipts=tuple((n, n * PTIME + 5.0) for n in range(0, 40, 4)),
    )  # fmt: skip
    passage = queue.report(half)
    assert passage is not None
    assert passage.rate == pytest.approx(40e3, rel=0.05)  # of 80


def test_numbers_that_were_never_sent_say_nothing() -> None:
    assert QueueEstimator().report(report(1.0, [(n, 5.0) for n in range(8)])) is None


@pytest.mark.parametrize(("trip", "lost", "kbps"), [(0.041, 0.2, 593), (0.2, 0.2, 122), (0.2, 0.3, 99)])
def test_the_line_is_ten_times_what_tcp_would_send(trip: float, lost: float, kbps: float) -> None:
    """Packets of 111 bytes; by hand from RFC 8083 section 4.3."""
    assert allowed_rate(111, trip, lost) / 1e3 == pytest.approx(kbps, rel=0.01)
    assert math.isinf(allowed_rate(111, trip, 0.0))


def test_a_stream_that_cannot_go_below_the_line_ends() -> None:
    breaker = CircuitBreaker()
    tripped = []
    for second in range(20):
        breaker.report(float(second), 0.6, 1.5, 111)
        tripped.append(breaker.trips(float(second), 25e3))
    assert breaker.line < 25e3
    assert tripped.index(True) == pytest.approx(3 + PERSISTENT_SECONDS, abs=1)
    breaker.report(20.0, 0.0, 0.05, 111)
    assert not CircuitBreaker().trips(0.0, 1e9)


# --- whole calls ------------------------------------------------------------------------------------------------------


def call(steps: list[Step], seconds: float, line: DropTail | None = None) -> tuple[TwoWayCall, QueueRecord]:
    row = Row("full", "full", tuple(steps), seconds=seconds)
    both = TwoWayCall(row, 1)
    if line is not None:
        both.forth = Wire(Path(row.steps, "1 near", line=line))
    both.talk(np.clip(np.rint(stretch(noise(), seconds) * 32768), -32768, 32767).astype(np.int16))
    return both, both.forth.path.queue


def full(kbps: float, seconds: float, **more: float) -> Impairment:
    return replace(Impairment(**more), bottleneck=Bottleneck.lasting(kbps * 1e3, seconds))  # type: ignore[arg-type]


@needs_opus
@pytest.mark.parametrize("queue", [0.2, 2.0])
@pytest.mark.parametrize("kbps", [64, 96])
def test_a_narrow_line_is_not_filled(kbps: float, queue: float) -> None:
    _, record = call([Step(0.0, full(kbps, queue))], 20.0)
    waited = record.percentile(0.95, 5.0)
    assert waited is not None
    assert waited <= 0.1
    assert record.drop_share(5.0) <= 0.005


@needs_opus
def test_a_line_that_becomes_narrow_is_emptied_within_seconds() -> None:
    _, record = call([Step(0.0, full(256, 1.0)), Step(10.0, full(40, 1.0))], 25.0)
    waited = record.percentile(0.95, 17.0)
    assert waited is not None
    assert waited <= 0.2


@needs_opus
def test_beside_tcp_a_call_keeps_its_sound_and_leaves_tcp_its_half() -> None:
    tcp = Cubic()
    both, record = call(
        [Step(0.0, Impairment())], 30.0, DropTail([(0.0, Bottleneck.lasting(256e3, 0.3))], beside=[tcp])
    )
    assert tcp.acknowledged * 1500 * 8 / 30.0 >= 128e3
    assert record.kbps(10.0, 30.0) >= 35.0
    stats = both.receiver.snapshot()
    assert stats.lost_after_fec / stats.expected < 0.02
