"""The event loop by a clock that the test moves: when participants are asked, and in which order things run."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from voip.net.loop import EventLoop


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
