"""Each call is looked at once in a round, and told of once for `--json`; neither takes long at a time."""

from __future__ import annotations

import io
import json
from contextlib import closing
from dataclasses import replace
from typing import cast

import pytest

from tests.support.records import perfect
from voip.calls.call import Call
from voip.calls.records import Records
from voip.calls.rota import LONG_ROUND, MANY, PART, PART_INTERVAL, ROUND, Rota, Statistics
from voip.calls.table import CallTable
from voip.net.loop import EventLoop
from voip.report import CallRecord, Console


def calls(count: int) -> list[Call]:
    return [cast(Call, object()) for _ in range(count)]


@pytest.mark.parametrize("count", [1, PART, PART + 1, MANY, MANY + 1, 500])
def test_a_round_has_each_call_once_in_even_parts(count: int) -> None:
    rota, there, turns, seconds = Rota(), calls(count), list[Call](), 0.0
    while not turns or not rota.begins:
        part = rota.part(there)
        assert 0 < len(part) <= PART
        turns += part
        seconds += rota.pause
    assert turns == there
    assert seconds == pytest.approx(LONG_ROUND if count > MANY else ROUND)


def test_without_calls_there_are_rounds_all_the_same() -> None:
    rota = Rota()
    for _ in range(3):
        assert rota.begins
        assert rota.part([]) == []
        assert rota.pause == ROUND


def test_a_call_that_comes_has_its_turn_in_the_next_round_and_one_that_ends_has_none_there() -> None:
    rota, there = Rota(), calls(2 * PART)
    first = rota.part(there)
    new, gone = calls(1)[0], there[0]
    after = [*there[1:], new]
    assert gone in first
    assert new not in rota.part(after)
    following = rota.part(after) + rota.part(after)
    assert new in following
    assert gone not in following


class Running:
    """A call that is up."""

    def __init__(self, number: int) -> None:
        self.call_id = str(number)

    def snapshot(self, now: float) -> CallRecord:
        return replace(perfect(), end_reason=None, call_id=self.call_id)


class Telling:
    """The statistics of so many calls, in virtual time."""

    def __init__(self, count: int, *, as_json: bool = True) -> None:
        self.now, self.calls, self.data = 0.0, [Running(number) for number in range(count)], io.StringIO()
        self.loop, table = EventLoop(lambda: self.now), cast(CallTable, self.calls)
        self.console = Console(lambda: self.now, as_json=as_json, data=self.data, talk=io.StringIO())
        self.statistics = Statistics(self.loop, table, Records(), self.console)

    def turn(self, seconds: float) -> list[str]:
        """The calls that have been told of by the turn of the loop that comes so many seconds later."""
        self.now += seconds
        self.loop.turn(0.0)
        self.console.pump()
        told = [json.loads(line)["call_id"] for line in self.data.getvalue().splitlines()]
        self.data.truncate(self.data.seek(0))
        return told


def test_a_few_calls_are_told_of_at_once_and_many_in_parts_between_which_datagrams_are_read() -> None:
    few, many = Telling(PART), Telling(2 * PART + 1)
    with closing(few.loop), closing(many.loop):
        few.statistics.tell()
        assert few.turn(0.0) == [str(number) for number in range(PART)]
        many.statistics.tell()
        many.statistics.tell()  # asked for before it is done
        gone = many.calls.pop(PART)
        told = [
            many.turn(0.0),
            many.turn(PART_INTERVAL / 2),
            many.turn(PART_INTERVAL),
            many.turn(PART_INTERVAL),
            many.turn(PART_INTERVAL),
        ]
        assert [len(part) for part in told] == [PART, 0, PART - 1, 1, 0]
        assert gone.call_id not in told[2]
        many.statistics.tell()
        assert len(many.turn(0.0)) == PART


def test_without_json_no_call_is_asked_for_its_figures() -> None:
    telling = Telling(3, as_json=False)
    telling.calls[0].snapshot = None  # type: ignore[assignment,method-assign]
    with closing(telling.loop):
        telling.statistics.tell()
        assert telling.turn(PART_INTERVAL) == []
