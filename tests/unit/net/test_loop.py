"""The event loop by a clock that the test moves: when participants are asked, and in which order things run."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from voip.errors import DeviceError, NetworkError, VoipError
from voip.net.failures import Failures
from voip.net.loop import PAUSE, EventLoop


class Clock:
    now = 100.0


class Participant:
    """Has one timer, and notes what it is asked."""

    def __init__(self, log: list[str], due: float | None = None) -> None:
        self.log, self.due = log, due

    def next_timer(self) -> float | None:
        return self.due

    def handle_timer(self, now: float) -> None:
        self.log.append(f"timer at {now:g}")
        self.due = None

    def flush(self) -> None:
        self.log.append("flush")


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop(lambda: Clock.now)
    yield loop
    loop.close()
    Clock.now = 100.0


def test_participants_are_flushed_after_posted_calls_and_after_timers(loop: EventLoop) -> None:
    log: list[str] = []
    loop.add(Participant(log, due=101.0))
    loop.post(log.append, "posted")
    loop.turn(0.0)
    assert log == ["posted", "flush"]
    Clock.now = 101.5
    loop.call_later(0.0, partial(log.append, "called later"))
    loop.turn(0.0)
    assert log[2:] == ["called later", "timer at 101.5", "flush"]
    loop.turn(0.0)
    assert len(log) == 5


def test_a_socket_alone_leaves_nothing_to_flush(loop: EventLoop) -> None:
    """Media comes a hundred times a second: code that reads signalling calls `flush` itself."""
    log: list[str] = []
    loop.add(Participant(log))
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        loop.register(ours, lambda: log.append(ours.recv(100).decode()))
        theirs.send(b"media")
        loop.turn(1.0)
        assert log == ["media"]
        loop.unregister(ours)
        loop.unregister(ours)  # ignored
        theirs.send(b"more")
        loop.turn(0.0)
    assert log == ["media"]


def test_a_participant_that_has_left_is_asked_nothing(loop: EventLoop) -> None:
    log: list[str] = []
    participant = Participant(log, due=100.0)
    loop.add(participant)
    loop.remove(participant)
    loop.remove(participant)  # ignored
    loop.post(log.append, "posted")
    loop.turn(0.0)
    assert log == ["posted"]


def test_calls_run_in_the_order_of_their_times(loop: EventLoop) -> None:
    log: list[str] = []
    for delay in (0.2, 0.1, 0.3, 0.1):
        loop.call_later(delay, partial(log.append, f"{delay}"))
    Clock.now += 0.25
    loop.turn(0.0)
    assert log == ["0.1", "0.1", "0.2"]


# --- failures ---------------------------------------------------------------------------------------------------------


class Failing(Participant):
    """Its timer fails and stays due; sending fails, too."""

    def handle_timer(self, now: float) -> None:
        self.log.append(f"timer at {now:g}")
        raise TypeError("a timer")

    def flush(self) -> None:
        raise KeyError("a message")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def guarded(told: list[str]) -> Iterator[EventLoop]:
    loop = EventLoop(lambda: Clock.now, Failures(lambda level, text: told.append(text) if level == 0 else None).run)
    yield loop
    loop.close()
    Clock.now = 100.0


def fail() -> None:
    raise TypeError("the attack")


def test_a_failing_posted_call_timer_or_participant_costs_only_itself(guarded: EventLoop, told: list[str]) -> None:
    log: list[str] = []
    guarded.add(Failing(log, due=100.0))
    guarded.add(Participant(log, due=100.0))
    guarded.post(fail)
    guarded.post(log.append, "posted")
    guarded.call_later(0.0, fail)
    guarded.call_later(0.0, partial(log.append, "called later"))
    guarded.turn(0.0)
    assert [entry for entry in log if entry != "flush"] == ["posted", "called later", "timer at 100", "timer at 100"]
    assert len(told) == 3  # one line per place: fail, the timer, the message
    for _ in range(20):
        guarded.turn(0.0)
    assert log.count("timer at 100") == 2, "a timer that fails is not called again at once"
    Clock.now = 100.0 + PAUSE
    guarded.turn(0.0)
    assert log[-2:] == ["timer at 100.1", "flush"]


def test_a_failing_socket_is_left_alone_for_a_while_and_read_again(guarded: EventLoop, told: list[str]) -> None:
    ours, theirs = socket.socketpair()
    read: list[bytes] = []

    def on_ready() -> None:
        read.append(ours.recv(10, socket.MSG_PEEK))
        fail()

    guarded.register(ours, on_ready)
    theirs.send(b"x")
    for _ in range(20):
        guarded.turn(0.0)
    assert read == [b"x"]
    Clock.now += PAUSE
    for _ in range(3):
        guarded.turn(0.0)
    assert read == [b"x", b"x"]
    assert len(told) == 1
    guarded.unregister(ours)
    ours.close()
    theirs.close()


def test_a_socket_that_its_owner_closed_while_failing_is_not_read_again(guarded: EventLoop) -> None:
    ours, theirs = socket.socketpair()

    def on_ready() -> None:
        guarded.unregister(ours)
        ours.close()
        fail()

    guarded.register(ours, on_ready)
    theirs.send(b"x")
    guarded.turn(0.0)
    Clock.now += PAUSE
    guarded.turn(0.0)
    guarded.turn(0.0)
    theirs.close()


@pytest.mark.parametrize("error", [DeviceError("no card"), NetworkError("no route"), VoipError("--sdp")])
def test_what_is_meant_to_end_the_program_still_does(guarded: EventLoop, error: VoipError) -> None:
    def end() -> None:
        raise error

    guarded.post(end)
    with pytest.raises(type(error)):
        guarded.turn(0.0)
