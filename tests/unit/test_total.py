"""All calls of a run together."""

from __future__ import annotations

from dataclasses import replace

from tests.support.records import received, sent
from voip.report import CallRecord, total_text
from voip.report.objects import total_object
from voip.report.total import total_of


def call(since: float, duration: float) -> CallRecord:
    return replace(received(), since=since, duration=duration)


def test_counts_are_sums_over_all_calls() -> None:
    calls = [received(), received(), sent()]
    rx, tx = received().rx, sent().tx
    assert rx is not None
    assert tx is not None
    total = total_of(calls)
    assert (total.received, total.expected, total.recovered) == (2 * rx.received, 2 * rx.expected, 2 * rx.recovered)
    assert (total.lost, total.lost_after_fec) == (2 * rx.lost, 2 * rx.lost_after_fec)
    assert total.sent == sum(each.tx.packets for each in calls if each.tx is not None)
    assert total.duration == sum(each.duration for each in calls)
    assert (total.calls, total.with_media) == (3, 3)


def test_calls_at_a_time_are_those_that_overlap() -> None:
    assert total_of([call(0, 10), call(10, 5), call(15, 1)]).at_a_time == 1  # one after the other
    assert total_of([call(0, 10), call(9.9, 5), call(3, 1)]).at_a_time == 2
    assert total_of([call(0, 10), call(1, 9), call(2, 8)]).at_a_time == 3
    assert total_of([replace(received(), since=None)]).at_a_time is None
    assert total_of([]).at_a_time is None


def test_the_line_is_for_several_calls_alone() -> None:
    assert total_text([]) is None
    assert total_text([call(0, 10)]) is None
    assert total_text([call(0, 10), CallRecord("refused", "sip:x", incoming=True)]) is None
    line = total_text([call(0, 10), call(5, 10)])
    assert line is not None
    assert line.startswith("in total: 2 calls, 20.0 s together   up to 2 at a time   received ")
    assert "at a time" not in (total_text([call(0, 10), call(20, 10)]) or "at a time")


def test_what_is_not_known_is_null() -> None:
    told = total_object([])
    assert (told["at_a_time"], told["limited"]) == (None, None)
    assert total_object([], 7)["limited"] == 7
