"""One report of several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.records import received
from voip.report import call_object, final_report
from voip.report.objects import figures_object
from voip.report.total import total_of
from voip.workers import Merging

MOMENT = "2026-01-01T00:00:00Z"


def record(number: int, since: float, duration: float) -> Any:  # noqa: ANN401
    return replace(received(), call_id=f"c{number}", since=since, duration=duration)


def told(merging: Merging, worker: int, event: str, **fields: object) -> bool:
    line = {"schema": 1, "t": 1.0, "event": event, "call_id": None, **fields}
    return merging.take(worker, line, 10.0, MOMENT)


def test_the_sums_are_those_of_one_process_with_the_same_calls() -> None:
    calls = [record(1, 0.0, 10.0), record(2, 5.0, 10.0), record(3, 20.0, 1.5)]
    merging = Merging()
    for number, call in enumerate(calls):
        assert not told(merging, number % 2, "record", since=call.since, **call_object(call))
    wanted = final_report("receiver", "1", 0, None, tuple(calls))
    assert list(merging.calls) == wanted["calls"]
    assert figures_object(merging.total) == figures_object(total_of(calls))
    assert merging.total.at_a_time == 2


def test_events_are_passed_on_but_for_those_of_a_worker_itself() -> None:
    merging = Merging()
    passed = {
        kind: told(merging, 0, kind, peer="sip:a@b", codec="PCMU", **{"message": ""})
        for kind in ("warning", "established", "dtmf", "ended", "refused", "listening", "device", "error")
    }
    assert [kind for kind, is_told in passed.items() if not is_told] == ["listening", "device", "error"]


def test_calls_of_a_worker_that_dies_keep_the_figures_that_were_told_last() -> None:
    merging, call = Merging(), record(1, 3.0, 4.0)
    for worker, call_id in ((0, "c1"), (0, "c2"), (1, "c3")):
        told(merging, worker, "established", call_id=call_id, peer="sip:a@b", codec="PCMU/8000", encryption=None)
    told(merging, 0, "stats", interval={"seconds": 1}, **call_object(call))
    lost = {each["call_id"]: each for each in merging.lost(0, 15.0)}
    assert set(lost) == {"c1", "c2"}
    assert {each["end_reason"] for each in lost.values()} == {"worker-died"}
    assert {each["duration_s"] for each in lost.values()} == {5.0}
    assert lost["c1"]["rx"] == call_object(call)["rx"]
    assert lost["c2"]["rx"] is None
    assert (lost["c2"]["codec"], lost["c2"]["start"]) == ("PCMU/8000", MOMENT)
    assert {frozenset(each) for each in lost.values()} == {frozenset(call_object(call))}
    assert merging.total.calls == merging.total.with_media == 2
    assert merging.lost(0, 16.0) == []


def test_a_call_that_was_told_as_over_is_not_lost_with_its_worker() -> None:
    merging, call = Merging(), record(1, 3.0, 4.0)
    told(merging, 0, "established", call_id="c1", peer="sip:a@b", codec="PCMU/8000", encryption=None)
    told(merging, 0, "record", since=3.0, **call_object(call))
    assert merging.lost(0, 15.0) == []
    assert [each["end_reason"] for each in merging.calls] == [call.end_reason]


def test_what_processes_have_used_is_added_up_and_unknown_stays_unknown() -> None:
    merging = Merging()
    for worker, cpu in ((0, 1.5), (1, 2.25)):
        system = {"cpu_s": cpu, "max_rss_kb": 100}
        told(merging, worker, "report", system=system, devices=[{"description": "null"}], total={"limited": 3})
    assert merging.system({"cpu_s": 1.0, "max_rss_kb": 50}) == {"cpu_s": 4.75, "max_rss_kb": 250}
    assert merging.limited == 6
    assert len(merging.devices) == 2
    assert merging.workers(3, {0: 1, 1: 2}) == [
        {"worker": 1, "starts": 1, "cpu_s": 1.5, "max_rss_kb": 100},
        {"worker": 2, "starts": 2, "cpu_s": 2.25, "max_rss_kb": 100},
        {"worker": 3, "starts": 0, "cpu_s": None, "max_rss_kb": None},
    ]
    assert Merging().limited is None
