"""The bottleneck worked out by hand: rates that change, what shares it, and what its record says of the queue."""

from __future__ import annotations

import statistics

import pytest

from tests.support.bottleneck import Arrival, Bottleneck, DropTail, QueueRecord
from tests.support.call import Link
from tests.support.network import Impairment, Path, Step, Wire, line_of
from tests.support.tcp_model import SEGMENT, Cubic

PTIME = 0.02


def fates(record: QueueRecord) -> list[tuple[int, bool]]:
    """Milliseconds that each packet found before it, and whether it was dropped."""
    return [(round(1e3 * arrival.wait), arrival.dropped) for arrival in record.arrivals]


def offered(line: DropTail, at: float, size: int = 100) -> float | None:
    return line.transmit(at, size, QueueRecord())


def test_a_packet_whose_transmission_meets_a_change_of_the_rate_is_sent_at_both() -> None:
    line = DropTail([(0.0, Bottleneck(8000, 1000)), (1.0, Bottleneck(800, 1000)), (2.0, Bottleneck(80000, 1000))])
    line.start(10.0)
    assert offered(line, 10.95) == pytest.approx(11.5), "50 bytes at 1000 a second, 50 at 100"
    assert line.backlog(10.95) == pytest.approx(100)
    assert line.backlog(11.0) == pytest.approx(50)
    assert line.backlog(11.25) == pytest.approx(25)
    assert line.wait(11.25) == pytest.approx(0.25)
    assert offered(line, 11.5) == pytest.approx(12.005), "50 bytes until the second change, 50 at 10000 a second"


def test_a_slower_rate_stretches_the_queue_that_is_there_and_its_own_length_holds_for_what_comes() -> None:
    line = DropTail([(0.0, Bottleneck.lasting(256e3, 1.0)), (30.0, Bottleneck.lasting(64e3, 1.0))])
    line.start(0.0)
    for _ in range(200):  # 20 000 bytes: 625 ms at 256 kbit/s
        assert offered(line, 30.0 - 1e-9) is not None
    assert line.wait(30.0) == pytest.approx(2.5, abs=0.01)
    assert offered(line, 30.0) is None, "8000 bytes fit"
    assert offered(line, 31.5) is None, "8000 bytes wait"
    assert offered(line, 31.6) == pytest.approx(32.5125, abs=0.001)


def test_the_schedule_waits_for_its_start() -> None:
    line = DropTail([(0.0, Bottleneck(8000, 1000)), (1.0, Bottleneck(800, 1000))])
    assert offered(line, 5.0) == pytest.approx(5.1)
    line.start(6.0)
    line.start(60.0)
    assert offered(line, 6.0) == pytest.approx(6.1)
    assert offered(line, 7.0) == pytest.approx(8.0)


def test_where_a_bottleneck_ends_all_that_waits_is_out_and_what_comes_passes_at_once() -> None:
    line = DropTail([(0.0, Bottleneck(8000, 1000)), (1.0, None), (2.0, Bottleneck(8000, 50))])
    line.start(0.0)
    assert offered(line, 0.95, 800) == pytest.approx(1.0)
    assert offered(line, 1.5, 800) == 1.5
    assert line.backlog(1.5) == 0.0
    assert offered(line, 2.0) == pytest.approx(2.1)
    assert offered(line, 2.05, 1) is None, "the queue of the third is shorter"


def test_two_paths_share_a_line_and_each_knows_its_own_packets() -> None:
    line = DropTail([(0.0, Bottleneck(8000, 250))])
    first, second = (Path(Impairment(delay=delay), line=line) for delay in (0.5, 0.0))
    assert first.departures(0.0, 100) == pytest.approx([0.6])
    assert second.departures(0.0, 100) == pytest.approx([0.2])
    assert first.departures(0.0, 100) == [], "200 bytes wait, one of which is the other's"
    assert second.departures(0.1, 100) == pytest.approx([0.3])
    assert fates(first.queue) == [(0, False), (200, True)]
    assert fates(second.queue) == [(100, False), (100, False)]


def test_losses_before_the_bottleneck_leave_it_empty() -> None:
    rates = [(0.0, Bottleneck(8000, 1000))]
    first = Path(Impairment(loss=1.0, loss_first=True), line=DropTail(rates))
    after = Path(Impairment(loss=1.0), line=DropTail(rates))
    for path in (first, after):
        assert path.departures(0.0, 100) == []
    assert first.line is not None
    assert after.line is not None
    assert first.line.backlog(0.0) == 0.0
    assert after.line.backlog(0.0) == pytest.approx(100)
    assert (len(first.queue.arrivals), len(after.queue.arrivals)) == (0, 1)


def test_a_path_takes_the_line_of_its_steps_and_starts_it() -> None:
    steps = [Step(0.0, Impairment(delay=0.0)), Step(1.0, Impairment(delay=0.0, bottleneck=Bottleneck(8000, 1000)))]
    path = Path(steps)
    path.start(5.0)
    assert path.departures(5.5, 100) == [5.5]
    assert path.departures(6.0, 100) == pytest.approx([6.1])
    assert Path(Impairment()).line is None
    with pytest.raises(ValueError, match="steps"):
        path.change(bottleneck=1.0)


def test_a_wire_and_a_link_pass_repair_packets_and_reports_through_the_bottleneck_too() -> None:
    report, repair = bytes([0x80, 201, 0, 1, 0, 0, 0, 1]), bytes([0x80, 97]) + bytes(10)
    link = Link(line=DropTail([(0.0, Bottleneck(8000, 1000))]), delay=0.0)
    link.send(report, 0.0)
    link.send(repair, 0.0)
    assert [at for _, at in link.deliver(1.0)] == pytest.approx([0.036, 0.076])
    assert [arrival.size for arrival in link.queue.arrivals] == [36, 40]


def waits(*values: float, dropped: int = 0) -> QueueRecord:
    """One packet each second."""
    record = QueueRecord()
    fates = [False] * (len(values) - dropped) + [True] * dropped
    record.arrivals += [
        Arrival(7.0 + at, 125, wait, fate) for at, (wait, fate) in enumerate(zip(values, fates, strict=True))
    ]
    return record


def test_a_record_tells_waits_drops_and_rate_of_any_span() -> None:
    record = waits(*(0.1 * n for n in range(10)), dropped=2)
    assert record.percentile(0.5) == pytest.approx(0.4)
    assert record.percentile(0.95) == pytest.approx(0.9)
    assert record.percentile(0.5, since=5.0, until=8.0) == pytest.approx(0.6)
    assert record.percentile(0.5, since=10.0) is None
    assert record.dropped == 2
    assert record.drop_share() == pytest.approx(0.2)
    assert record.drop_share(since=8.0) == 1.0
    assert record.kbps(2.0, 6.0) == pytest.approx(1.0)


def test_a_queue_is_short_when_it_has_stayed_so() -> None:
    assert waits(*[0.0] * 8).below_after() == 0.0
    assert waits(0.5, 0.5, 0.5, *[0.0] * 8).below_after() == 2.0
    assert waits(0.5, 0.0, 0.0, 0.5, *[0.0] * 8).below_after() == 3.0, "two seconds were not enough"
    assert waits(0.5, 0.0, 0.0, 0.5, *[0.0] * 8).below_after(hold=2.0) == 0.0
    assert waits(0.5, *[0.0] * 6, 0.5, 0.5).below_after() == 0.0, "what comes later is not asked for"
    assert waits(*[0.0] * 8, 0.5, 0.5, *[0.05] * 8).below_after(since=8.0) == 1.0
    assert waits(*[0.5] * 8).below_after() is None
    assert waits(*[0.0] * 8, *[0.5] * 8).below_after(since=8.0) is None
    assert waits(0.5, *[0.0] * 8).below_after(until=4.0) is None, "too short to tell"
    assert waits(*[0.5] * 8).below_after(limit=0.6) == 0.0


def test_a_call_alone_is_recorded_with_the_wait_that_arithmetic_gives() -> None:
    wire = Wire(Path(Impairment(delay=0.0, bottleneck=Bottleneck.lasting(64e3, 1.0))))
    for n in range(3000):  # 80 kbit/s into 64
        wire.send(bytes(172), n * PTIME)
    queue = wire.path.queue
    assert queue.kbps(10.0, 60.0) == pytest.approx(80.0)
    assert queue.drop_share(since=10.0) == pytest.approx(0.2, abs=0.01)
    # a packet takes 25 ms: one that finds 980 ms has no room, and the next four find 960, 965, 970 and 975
    settled = {round(1e3 * arrival.wait): arrival.dropped for arrival in queue.between(10.0)}
    assert settled == {960: False, 965: False, 970: False, 975: False, 980: True}
    assert queue.below_after() is None


def tcp_alone(rate: float, queue: float, seconds: float) -> tuple[Cubic, DropTail]:
    tcp = Cubic()
    line = DropTail([(0.0, Bottleneck.lasting(rate, queue))], beside=[tcp])
    line.advance(0.0)
    line.advance(seconds)
    return tcp, line


@pytest.mark.parametrize("queue", [0.2, 1.0, 2.0])
def test_a_long_lived_tcp_fills_the_line(queue: float) -> None:
    tcp, _ = tcp_alone(256e3, queue, 60.0)
    assert tcp.kbps(60.0) > 0.9 * 256
    assert tcp.kbps(60.0) <= 256
    assert tcp.lost > 0, "it finds the end of the queue"
    assert tcp.timeouts <= 2


def test_its_window_after_a_loss_is_what_was_kept_and_grows_back_as_the_cubic_function_says() -> None:
    """Without a queue to be filled: the round trip is constant, 100 ms, and one segment of a window of 100 is lost."""
    tcp = Cubic(base=0.1)
    tcp._threshold = 100.0
    drops = {200}
    count = 0

    def offer(now: float, size: int) -> float | None:
        nonlocal count
        assert size == SEGMENT
        count += 1
        return None if count in drops else now

    tcp.begin(0.0)
    sizes: list[tuple[float, float]] = []
    while tcp.due < 20.0:
        now = tcp.due
        tcp.act(offer)
        sizes.append((now, tcp.window))
    at = next(i for i, (_, window) in enumerate(sizes) if i and window < 0.75 * sizes[i - 1][1])
    moment, before = sizes[at][0], sizes[at - 1][1]
    assert sizes[at][1] == pytest.approx(0.7 * before)
    back = (0.3 * before / 0.4) ** (1 / 3)
    again = next(time for time, window in sizes[at:] if window >= 0.995 * before)
    assert again - moment == pytest.approx(back, rel=0.25)


def test_a_call_beside_tcp_waits_in_its_queue_and_loses_what_it_overflows() -> None:
    tcp = Cubic()
    steps = [Step(0.0, Impairment(bottleneck=Bottleneck.lasting(256e3, 0.5)))]
    wire = Wire(Path(steps, line=line_of(steps, beside=[tcp])))
    for n in range(3000):  # 80 kbit/s
        wire.send(bytes(172), n * PTIME)
    queue = wire.path.queue
    median = queue.percentile(0.5, since=10.0)
    assert median is not None
    assert 0.2 < median <= 0.5
    assert 0 < queue.dropped < 0.1 * 3000
    assert 100 < tcp.kbps(60.0) < 180
    assert statistics.mean(arrival.wait for arrival in queue.between(10.0)) < 0.5
