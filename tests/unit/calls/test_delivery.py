"""Which figures prove that a call brought no sound, and which prove nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from tests.support.call import media
from voip.calls.call import Call
from voip.calls.delivery import check_delivery, judge
from voip.errors import EXIT_NO_MEDIA, EXIT_OK
from voip.media import Direction, KeyAgreement, Security
from voip.report import CallRecord
from voip.sip import CallEnded
from voip.stats import PathReport, ReceiverStats, SenderStats, SessionStats

NOW = 1000.0
SENT = SenderStats(packets=1000, seconds=20.0)
REPORT = PathReport(at=NOW - 2.0, fraction_lost=0.0, cumulative_lost=0, highest=900, jitter=0.0)


def record(direction: Direction = Direction.SENDONLY, **fields: object) -> CallRecord:
    call = CallRecord("id", "sip:b@192.0.2.1", incoming=False, media=media(direction=direction), network=SessionStats())
    return replace(call, **fields)  # type: ignore[arg-type]


def status(call: CallRecord, *, responded: bool = True) -> int:
    return check_delivery(call, responded=responded, now=NOW).status


def sender(network: SessionStats, *, responded: bool = True) -> int:
    return status(record(tx=SENT, network=network), responded=responded)


@pytest.mark.parametrize("direction", [Direction.RECVONLY, Direction.SENDRECV])
def test_not_one_packet_is_no_success(direction: Direction) -> None:
    assert status(record(direction, rx=ReceiverStats())) == EXIT_NO_MEDIA
    assert status(record(direction, rx=ReceiverStats(received=1, expected=1))) == EXIT_OK


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.INACTIVE])
def test_nothing_is_missed_where_nothing_was_to_come(direction: Direction) -> None:
    assert status(record(direction, rx=ReceiverStats())) == EXIT_OK


def test_a_call_without_media_is_judged_by_its_end_alone() -> None:
    assert status(record(media=None)) == EXIT_OK


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, EXIT_OK), (3.0, EXIT_NO_MEDIA)])
def test_a_call_that_never_got_its_keys_is_no_success_unless_it_was_over_at_once(seconds: float, expected: int) -> None:
    secured = replace(media(direction=Direction.SENDONLY), security=Security(KeyAgreement.DTLS))
    assert status(record(media=secured, tx=SenderStats(), duration=seconds)) == expected


def test_a_peer_without_rtcp_proves_nothing() -> None:
    assert sender(SessionStats()) == EXIT_OK


def test_a_media_port_that_was_closed_all_the_time() -> None:
    assert sender(SessionStats(icmp_errors=7, icmp_at=NOW - 1, icmp_since=NOW - 19.9)) == EXIT_NO_MEDIA


def test_a_media_port_that_was_closed_at_first_or_sends_is_there() -> None:
    assert sender(SessionStats(icmp_errors=7, icmp_at=NOW - 18, icmp_since=NOW - 19.9)) == EXIT_OK
    assert sender(SessionStats(icmp_errors=7, icmp_at=NOW - 1, icmp_since=NOW - 5)) == EXIT_OK
    assert sender(SessionStats(icmp_errors=7, icmp_at=NOW - 1, icmp_since=NOW - 19.9, bytes=160)) == EXIT_OK
    short = SENT._replace(packets=20, seconds=0.4)
    refused = SessionStats(icmp_errors=7, icmp_at=NOW - 0.1, icmp_since=NOW - 0.4)
    assert status(record(tx=short, network=refused)) == EXIT_OK


def test_a_media_port_that_opened_late_or_closed_a_little_before_the_bye_was_there() -> None:
    refused = SessionStats(icmp_errors=7, icmp_at=NOW, icmp_since=NOW - 1)
    assert sender(replace(refused, path=REPORT, path_packets=900)) == EXIT_OK


@pytest.mark.parametrize(("reports", "expected"), [(0, EXIT_OK), (1, EXIT_OK), (2, EXIT_NO_MEDIA)])
def test_reports_that_tell_of_no_source(reports: int, expected: int) -> None:
    assert sender(SessionStats(rtcp=3, empty_reports=reports)) == expected


def test_reports_about_nothing_prove_nothing_in_a_short_call() -> None:
    short = SENT._replace(packets=50, seconds=1.0)
    assert status(record(tx=short, network=SessionStats(rtcp=2, empty_reports=2))) == EXIT_OK


def test_a_peer_that_was_killed_before_the_end() -> None:
    """The BYE is not acknowledged, and ICMP, or a report that is long overdue, tells that it did not only get lost."""
    stale = replace(REPORT, at=NOW - 9.0)
    killed = SessionStats(icmp_errors=100, path=stale, path_packets=600)
    outcome = check_delivery(record(tx=SENT, network=killed), responded=False, now=NOW)
    assert outcome.status == EXIT_NO_MEDIA
    assert "last 400 packets" in outcome.error
    assert sender(replace(killed, icmp_errors=0), responded=False) == EXIT_NO_MEDIA
    assert sender(replace(killed, icmp_errors=0, path=REPORT), responded=False) == EXIT_OK  # the 200 was lost
    assert sender(killed, responded=True) == EXIT_OK


@dataclass
class Closed:
    """A call that is over, as its judgement sees it."""

    ending: CallEnded
    failure: None = None
    signalled: bool = True
    established: float = 0.0
    unacknowledged: bool = False
    ended: float = NOW


def test_a_peer_that_was_started_again_and_does_not_know_the_call_is_one_to_call_again() -> None:
    forgotten = CallEnded("id", "timeout", 481, "Call/Transaction Does Not Exist")
    hung_up = CallEnded("id", "remote-bye", None, "")
    for ending, passing in ((forgotten, True), (hung_up, False)):
        for network, expected in (
            (SessionStats(icmp_errors=7, path=REPORT, path_packets=900), EXIT_OK),
            (SessionStats(icmp_errors=7, icmp_at=NOW, icmp_since=NOW - 20), EXIT_NO_MEDIA),
        ):
            outcome = judge(cast(Call, Closed(ending)), record(tx=SENT, network=network), NOW)
            assert (outcome.status, outcome.passing) == (expected, passing)
