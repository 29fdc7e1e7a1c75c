"""The timers of many media ports, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from voip.net.failures import Failures
from voip.net.loop import FEW_STREAMS, GATHER, GATHERED, PAUSE, EventLoop
from voip.net.media_timers import FEW_PORTS, LOOK_GAP, MediaTimers

MANY = FEW_PORTS + 1


class Time:
    """The clock of a loop, and what it sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, list[float]()

    def clock(self) -> float:
        return self.now


class Port:
    """Has a timer each `period` seconds, and notes when it was called."""

    def __init__(self, due: float | None, period: float = 1e9, fail: Callable[[], object] = lambda: None) -> None:
        self.due, self.period, self.fail = due, period, fail
        self.called: list[float] = []
        self.asked = 0

    def next_timer(self) -> float | None:
        self.asked += 1
        return self.due

    def handle_timer(self, now: float) -> None:
        self.called.append(now)
        self.fail()
        assert self.due is not None
        self.due += self.period


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def loop(time: Time) -> Iterator[EventLoop]:
    loop = EventLoop(time.clock, Failures(lambda level, text: None).run, time.slept.append)
    yield loop
    loop.close()


def test_the_timers_of_few_ports_are_met_to_the_moment(time: Time, loop: EventLoop) -> None:
    timers, ports = MediaTimers(loop, Failures(lambda level, text: None).run), [Port(None), Port(100.3), Port(100.2)]
    for port in ports:
        timers.add(port)
    assert timers.next_timer() == 100.2
    time.now = 100.25
    loop.turn(0.0)
    assert [port.called for port in ports] == [[], [], [100.25]]
    assert timers.next_timer() == 100.3


def test_the_timers_of_many_ports_are_looked_at_now_and_then_and_met_soon(time: Time, loop: EventLoop) -> None:
    timers, ports = MediaTimers(loop, Failures(lambda level, text: None).run), [Port(100.001, 1.0)]
    ports += [Port(None) for _ in range(MANY)]
    for port in ports:
        timers.add(port)
    for _ in range(1000):  # one second, a wake-up for each millisecond
        time.now += 0.001
        loop.turn(0.0)
    assert len(ports[0].called) == 1
    assert ports[0].called[0] - 100.001 <= LOOK_GAP
    assert ports[1].asked <= 1.0 / LOOK_GAP + 1


def test_a_port_that_has_left_is_not_called_and_one_that_fails_is_left_alone(time: Time, loop: EventLoop) -> None:
    def fail() -> None:
        raise TypeError("the attack")

    timers = MediaTimers(loop, Failures(lambda level, text: None).run)
    gone, failing, other = Port(100.0), Port(100.0, 0.0, fail), Port(100.0)
    for port in (gone, failing, other):
        timers.add(port)
    timers.remove(gone)
    timers.remove(gone)  # ignored
    for _ in range(10):
        loop.turn(0.0)
    assert (gone.called, failing.called, other.called) == ([], [100.0], [100.0])
    time.now = 100.0 + PAUSE
    loop.turn(0.0)
    assert failing.called == [100.0, 100.0 + PAUSE]


def test_datagrams_gather_only_where_there_are_many_streams(time: Time, loop: EventLoop) -> None:
    timers, ports = MediaTimers(loop, Failures(lambda level, text: None).run), [Port(None) for _ in range(FEW_STREAMS)]
    for port in ports:
        timers.add(port)
        timers.add(port)  # it is one
    loop.post(lambda: None)
    loop.turn(0.0)
    assert (loop.gathering, time.slept) == (0.0, [])
    one_more = Port(None)
    timers.add(one_more)
    loop.post(lambda: None)
    loop.turn(0.0)
    assert (loop.gathering, time.slept) == (GATHERED, [GATHER])
    timers.remove(one_more)
    timers.remove(one_more)
    assert loop.gathering == 0.0
