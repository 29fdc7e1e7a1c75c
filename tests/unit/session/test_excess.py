"""Floods as the peer: what is worked on is bounded, and the rest is counted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support.rtcp_lab import EVERYTHING, SSRC, medias
from tests.support.session_lab import PTIME, REPAIR_TYPE, SENDER_REPORT, Wire, media, packet, repair, wire
from voip.rtcp import ReportSources
from voip.rtcp.packets import ReceiverReport, ReportBlock, serialize
from voip.session import RtpSession
from voip.session.rate import REPAIR_BURST, REPAIR_RATE, RTCP_BURST, RTCP_RATE, Allowance
from voip.stats import PathReport


def test_an_allowance_is_a_rate_and_a_burst_and_counts_what_it_refuses() -> None:
    allowance = Allowance(10.0, 20.0)
    assert sum(allowance.take(5.0) for _ in range(100)) == 20
    assert [allowance.take(5.0 + tick / 100) for tick in range(1, 101)].count(True) == 10
    assert allowance.refused == 170
    assert sum(allowance.take(1000.0) for _ in range(100)) == 20
    assert not allowance.take(900.0), "a clock that goes back gives nothing"


def report(number: int) -> bytes:
    return serialize([ReceiverReport(5, (ReportBlock(SSRC, 9, 9, number, 0),))])


def test_s15_a_flood_of_reports_costs_no_more_than_ten_a_second() -> None:
    near, _ = medias()
    told: list[PathReport] = []
    session = RtpSession(near, cname="x", rng=random.Random(1), reports=ReportSources(on_report=told.append))
    seconds, rate = 10, 2000
    for number in range(seconds * rate):
        session.receive_datagram(report(number), near.remote, 100.0 + number / rate)
    assert EVERYTHING is near.rtcp_xr
    assert len(told) <= RTCP_BURST + seconds * RTCP_RATE + 1
    assert told[-1].highest >= seconds * rate - rate / RTCP_RATE - 1, "the newest are among them"
    assert session.stats.rtcp == seconds * rate
    assert session.stats.excess == seconds * rate - len(told)
    assert session.last_heard is not None


def test_reports_at_the_rate_of_the_standard_are_all_read() -> None:
    near, _ = medias()
    told: list[PathReport] = []
    session = RtpSession(near, cname="x", rng=random.Random(1), reports=ReportSources(on_report=told.append))
    for number in range(600):
        session.receive_datagram(report(number), near.remote, 100.0 + number / 5)
    assert (len(told), session.stats.excess) == (600, 0)


def test_rtcp_that_is_malformed_or_of_strangers_takes_nothing_from_the_peer() -> None:
    w = wire()
    for _ in range(1000):
        w.send(SENDER_REPORT, ("203.0.113.66", 5005), after=0.0)
    w.send(SENDER_REPORT)
    assert (w.session.stats.foreign, w.session.stats.rtcp, w.session.stats.excess) == (1000, 1, 0)


@pytest.mark.parametrize("known", [True, False])
def test_s15_a_flood_of_repair_packets_is_cut_to_what_a_pattern_can_send(known: bool) -> None:
    w = Wire(RtpSession(media(remote_fec_ssrc=repair().ssrc if known else None)))
    w.stream(range(5))
    passed = 0
    for number in range(20_000):  # in a second
        passed += len(w.send(replace(repair(), sequence_number=number & 0xFFFF), after=1 / 20_000))
    assert passed <= REPAIR_BURST + REPAIR_RATE / PTIME + 1
    assert w.session.stats.excess == 20_000 - passed
    assert w.stream(range(5, 60)) == list(range(5, 60)), "media is not touched"


def test_a_repair_packet_for_each_packet_and_the_burst_after_a_freeze_all_pass() -> None:
    w = wire()
    passed = 0
    for index in range(200):
        w.stream([index])
        passed += len(w.send(replace(repair(), sequence_number=index), after=0.0))
        passed += len(w.send(replace(repair(), sequence_number=index), after=0.0))
    assert passed == 400
    w.now += 5.0
    for index in range(200, 450):
        w.send(packet(index), after=0.0)
        passed += len(w.send(replace(repair(), sequence_number=index), after=0.0))
    assert passed == 650
    assert w.session.stats.excess == 0
    assert REPAIR_TYPE in {p.payload_type for p in w.passed}
