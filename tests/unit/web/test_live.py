"""What the page shows of calls agrees with the report, and is forgotten in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.records import received, sent
from voip.media import Direction
from voip.report import CallRecord, EventLog, call_object
from voip.report.events import MOST_EVENTS
from voip.stats import Levels, PathReport, ReceiverStats, SenderStats, SessionStats
from voip.web.live import HISTORY, RECENTLY_ENDED, History, call_state, meters, sample, shown


def running(call: CallRecord, call_id: str = "a@b", duration: float = 10.0) -> CallRecord:
    return replace(call, call_id=call_id, end_reason=None, duration=duration)


def test_a_call_is_shown_by_the_figures_of_its_report() -> None:
    call = received()
    state = call_state(call)
    assert {name: state[name] for name in call_object(call)} == call_object(call)
    assert state["verdict"]
    assert not state["rings"]


def test_a_call_without_media_rings() -> None:
    assert call_state(CallRecord(call_id="1", peer="sip:bob@192.0.2.2", incoming=True))["rings"]


def test_a_sample_is_of_the_last_second_alone() -> None:
    old = ReceiverStats(received=900, expected=1000, recovered=100, jitter=0.002)
    new = replace(old, received=945, expected=1050, recovered=103, jitter=0.003)
    before = running(replace(received(), rx=old, network=SessionStats(ip_bytes=100_000)), duration=20.0)
    now = replace(before, rx=new, network=SessionStats(ip_bytes=110_000, rtt=0.04), duration=21.0)
    found = sample(now, before)
    assert found["loss"] == 10.0
    assert found["left"] == 4.0
    assert found["rx"] == 80.0
    assert (found["jitter"], found["rtt"]) == (3.0, 40.0)
    assert (found["media"], found["repair"]) == (None, None)


def test_what_is_sent_is_parted_into_media_and_repair() -> None:
    tx = SenderStats(ip_bytes=20_000, payload_bytes=6_000, fec_payload_bytes=2_000)
    call = running(replace(sent(), tx=tx, rx=None, network=None), duration=1.0)
    found = sample(call, None)
    assert (found["media"], found["repair"]) == (120.0, 40.0)
    assert found["loss"] is None


def test_meters_show_what_is_loud_now() -> None:
    loud, still = Levels(samples=48_000, energy=480.0), Levels(samples=96_000, energy=480.0)
    before = running(replace(received(), rx=ReceiverStats(levels=loud)))
    now = replace(before, rx=ReceiverStats(levels=still))
    assert meters(before, None) == {"rx": -20.0, "tx": None}
    assert meters(now, before) == {"rx": None, "tx": None}


@pytest.mark.parametrize(("lost", "packets", "percent"), [(10, 100, 5.0), (30, 100, 25.0), (0, 100, 0.0)])
def test_loss_there_is_what_the_peer_reported_since(lost: int, packets: int, percent: float) -> None:
    def network(lost: int, packets: int) -> SessionStats:
        return SessionStats(path=PathReport(0.0, 0.0, lost, packets, 0.001), path_packets=packets)

    before = running(replace(sent(), rx=None, network=network(5, 0)), duration=1.0)
    now = replace(before, network=network(max(5, lost), packets), duration=2.0)
    assert sample(now, before)["loss"] == percent


def test_history_is_of_five_minutes_and_of_calls_that_are_shown() -> None:
    history = History()
    for second in range(HISTORY + 50):
        history.look([running(received(), duration=float(second + 1))], float(second))
    (samples,) = history.since(float("-inf")).values()
    assert len(samples) == HISTORY
    assert [at for at, _ in history.since(HISTORY + 47.0)["a@b"]] == [HISTORY + 48.0, HISTORY + 49.0]
    history.look([running(received(), call_id="other")], 1000.0)
    assert list(history.since(float("-inf"))) == ["other"]


def test_a_record_that_has_not_changed_is_no_sample() -> None:
    history = History()
    for now in (1.0, 2.0):
        history.look([running(received())], now)
    assert [at for at, _ in history.since(0.0)["a@b"]] == [1.0]


def test_all_samples_of_a_call_together_are_its_report() -> None:
    history, figures = History(), [(0, 0), (3, 2), (10, 4), (12, 12), (12, 12)]
    for second, (lost, recovered) in enumerate(figures):
        expected = 50 * (second + 1)
        rx = ReceiverStats(received=expected - lost, expected=expected, recovered=recovered)
        over = "remote-bye" if second == len(figures) - 1 else None
        call = replace(received(), call_id="a@b", rx=rx, duration=float(second + 1), end_reason=over)
        for moment in (0.0, 0.5):
            history.look([call], second + moment)
    (samples,) = history.since(float("-inf")).values()
    assert len(samples) == len(figures)
    assert sum(each["lost"] or 0 for _, each in samples) == rx.lost == 12
    assert sum(each["missing"] or 0 for _, each in samples) == rx.lost_after_fec


def test_a_call_that_had_ended_before_is_no_sample() -> None:
    history = History()
    history.look([received()], 1.0)
    assert history.since(0.0) == {}


def test_a_call_on_hold_says_so() -> None:
    call = running(received())
    assert call.media is not None
    assert not call_state(call)["held"]
    assert call_state(replace(call, media=replace(call.media, direction=Direction.INACTIVE)))["held"]


def test_of_ended_calls_the_last_are_shown() -> None:
    ended = [replace(received(), call_id=str(number)) for number in range(10)]
    found = shown([*ended, running(received(), call_id="up")])
    assert [call.call_id for call in found] == ["7", "8", "9", "up"][-RECENTLY_ENDED - 1 :]


def test_events_are_told_once_to_each_and_the_oldest_are_forgotten() -> None:
    log = EventLog()
    for number in range(MOST_EVENTS + 7):
        log.add({"event": str(number)})
    found = log.since(0)
    assert len(found) == MOST_EVENTS
    assert found[0] == (8, {"event": "7"})
    assert log.since(found[-1][0]) == []
