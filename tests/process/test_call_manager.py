"""One manager that dials and answers, with real sockets and threads in this process: what a page with buttons needs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from tests.support.processes import free_ports
from voip import cli
from voip.calls import Answer, CallManager, CallTable, Outcome
from voip.engine import Shutdown, Worker, together
from voip.media import Direction
from voip.net import Network
from voip.report import CallRecord
from voip.sip import SipUri

pytestmark = pytest.mark.process

PATIENCE = 20.0
"""Seconds that anything here may take on a busy machine."""
LOOPBACK = "127.0.0.1"


@dataclass
class GoesOn:
    """A program that no end of a call ends."""

    over: list[tuple[CallRecord, Outcome]] = field(default_factory=list)

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        self.over.append((record, outcome))

    def on_account_refused(self, error: str) -> None:
        raise AssertionError(error)


@dataclass
class Phone:
    network: Network
    port: int
    manager: CallManager
    policy: GoesOn

    @property
    def uri(self) -> SipUri:
        return SipUri.parse(f"sip:{LOOPBACK}:{self.port}")

    def dial(self, other: Phone) -> None:
        self.network.loop.post(self.manager.dial, other.uri)

    def hang_up(self, record: CallRecord) -> None:
        self.network.loop.post(self.manager.hang_up, record.call_id)

    def up(self, *, incoming: bool) -> list[CallRecord]:
        """Calls in which sound goes both ways."""
        return [
            record
            for record in self.manager.records
            if record.incoming is incoming and record.end_reason is None and _flows(record)
        ]


def _flows(record: CallRecord) -> bool:
    return record.rx is not None and record.rx.received > 0 and record.tx is not None and record.tx.packets > 0


@contextlib.contextmanager
def phone(*more: str, answer: Answer = Answer.AUTO) -> Iterator[Phone]:
    """A phone that sends a tone and plays to nowhere."""
    arguments = ["-i", "tone", "-o", "null", "--two-way", "--bind", LOOPBACK, "-c", "pcmu", "-q", *more]
    options = cli.sender_options(arguments)
    shutdown, console, policy = Shutdown(), cli.make_console(options), GoesOn()
    capture = cli.open_capture(options, console, shutdown, answers=True)
    playback = cli.open_playback(options, console, shutdown)
    network = cli.make_network(options, console)
    port, calls = network.sip.listen(0), CallTable(network.loop.now)
    agent = cli.make_user_agent(options, network, calls, max_calls=4)
    settings = replace(cli.make_call_settings(options, Direction.SENDRECV, capture.source), answer=answer, name="test")
    audio = cli.make_streams(options, network, console, playback=playback, capture=capture)
    manager = CallManager(network, agent, calls, audio, console, settings, policy)
    workers = [
        Worker("network", shutdown, network.loop.run, shutdown.stopped),
        Worker("capture", shutdown, capture.run, shutdown.requested, shutdown.stopped),
        Worker("playback", shutdown, playback.run, shutdown.stopped),
    ]
    with together(workers):
        try:
            yield Phone(network, port, manager, policy)
            assert not shutdown.requested(), shutdown.error
        finally:
            network.loop.post(manager.hang_up_all)
            wait(lambda: manager.idle)
            shutdown.request()
            shutdown.stop()
            network.loop.post(lambda: None)
    network.close()


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_manager_dials_and_answers_beside_each_other() -> None:
    with phone() as one, phone() as other:
        one.dial(other)
        other.dial(one)
        for side in (one, other):
            wait(lambda side=side: side.up(incoming=True) and side.up(incoming=False))  # type: ignore[misc]
        (dialled,) = one.up(incoming=False)
        one.hang_up(dialled)
        wait(lambda: other.policy.over)
        assert [(record.end_reason, outcome) for record, outcome in other.policy.over] == [("remote-bye", Outcome())]
        assert len(one.up(incoming=True)) == len(other.up(incoming=False)) == 1


def test_calls_are_started_and_stopped_one_after_the_other_and_each_has_sound() -> None:
    with phone() as one, phone() as other:
        for number in range(3):
            one.dial(other)
            wait(partial(one.up, incoming=False))
            one.hang_up(one.up(incoming=False)[0])
            wait(lambda number=number: len(one.policy.over) == number + 1)  # type: ignore[misc]
            wait(lambda number=number: len(other.policy.over) == number + 1)  # type: ignore[misc]
        assert [record.end_reason for record, _ in one.policy.over] == ["local-bye"] * 3
        assert all(_flows(record) for record, _ in one.policy.over + other.policy.over)
        assert one.manager.idle


def test_a_call_rings_until_it_is_answered_where_that_is_not_automatic() -> None:
    with phone() as one, phone(answer=Answer.ASK) as other:
        one.dial(other)
        wait(lambda: other.manager.records)
        (ringing,) = other.manager.records
        time.sleep(0.2)
        assert ringing.media is None
        assert not one.up(incoming=False)
        other.network.loop.post(other.manager.answering.answer, ringing.call_id)
        other.network.loop.post(other.manager.answering.answer, ringing.call_id)  # twice is once
        wait(partial(other.up, incoming=True))
        wait(partial(one.up, incoming=False))


def test_a_call_that_rings_can_be_refused() -> None:
    with phone() as one, phone(answer=Answer.ASK) as other:
        one.dial(other)
        wait(lambda: other.manager.records)
        other.hang_up(other.manager.records[0])
        wait(lambda: one.policy.over)
        record, outcome = one.policy.over[0]
        assert (record.end_reason, outcome.status) == ("rejected", 6)
        assert "486" in outcome.error


def test_a_call_for_which_there_is_no_port_is_over_and_the_others_go_on() -> None:
    ports = free_ports()[1]
    with phone("--rtp-port", f"{ports[0]}-{ports[1]}") as one, phone() as other:
        one.dial(other)
        wait(partial(one.up, incoming=False))
        one.dial(other)
        wait(lambda: one.policy.over)
        outcome = one.policy.over[0][1]
        assert (outcome.status, "--rtp-port" in outcome.error) == (4, True)
        assert len(one.up(incoming=False)) == 1
