"""RTCP between two ends in virtual time: what is reported is what the network did, and when it is known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rtcp_lab import (
    FIRST_NUMBER,
    LISTENER_SSRC,
    NTP_OFFSET,
    PTIME,
    RECEIVER,
    REPAIR_SSRC,
    SENDER,
    SSRC,
    STEP,
    Call,
    Link,
)
from voip.quality import Rating
from voip.rtcp.packets import (
    Goodbye,
    Packet,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse,
    serialize,
)
from voip.rtcp.roundtrip import RoundTrip, ntp_time
from voip.rtcp.xr import ExtendedReport, LossRle, ReferenceEcho, ReferenceTime, StatisticsSummary, VoipMetrics
from voip.sdp.reports import parse_extended_reports
from voip.stats import BurstFigures, Levels, PlayoutStats, ReceiverStats

TEN_PERCENT = 0.1


def random_loss(share: float, seed: int = 5) -> Link:
    rng = random.Random(seed)
    return Link(lose=lambda index: rng.random() < share)


def find(compound: list[Packet], kind: type) -> list[object]:
    """All packets, or blocks of extended reports, of one kind."""
    parts: list[object] = list(compound)
    for packet in compound:
        parts += packet.blocks if isinstance(packet, ExtendedReport) else ()
    return [part for part in parts if isinstance(part, kind)]


def reported(compound: list[Packet]) -> list[int]:
    """The SSRCs that the report blocks of a compound are about."""
    return [block.ssrc for part in compound if isinstance(part, SenderReport | ReceiverReport) for block in part.blocks]


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("forth", "back"), [(0.0, 0.0), (0.03, 0.03), (0.1, 0.02), (0.4, 0.5)])
def test_both_ends_learn_the_round_trip_within_a_millisecond(forth: float, back: float) -> None:
    call = Call(Link(delay=forth), Link(delay=back))
    call.run(10)
    for exchange in (call.near_rtcp, call.far_rtcp):
        for measured in (exchange.round_trip.last, exchange.round_trip.minimum, exchange.round_trip.steady):
            assert measured == pytest.approx(forth + back, abs=0.001)
    assert call.told[-1].rtt == pytest.approx(forth + back, abs=0.001)


def test_a_side_that_only_receives_learns_it_by_its_reference_time_alone() -> None:
    call = Call(Link(), Link(delay=0.05), rtcp_xr=parse_extended_reports(["rcvr-rtt=all"]))
    call.run(5)
    assert call.far_rtcp.round_trip.last == pytest.approx(0.08, abs=0.001)
    plain = Call(Link(), Link(delay=0.05), rtcp_xr=parse_extended_reports([]))
    plain.run(5)
    assert plain.near_rtcp.round_trip.last == pytest.approx(0.08, abs=0.001)
    assert plain.far_rtcp.round_trip.last is None


def test_what_is_read_late_by_a_process_that_stood_still_measures_no_round_trip_at_either_end() -> None:
    call = Call(Link(delay=0.03), Link(delay=0.03))
    call.run(10)
    resumed = call.now + 5.0
    waiting = [datagram for tick in range(1, 50) for datagram in call.near.rtcp_to_send(call.now + tick / 10)]
    assert len(waiting) > 3
    for datagram in waiting:
        call.far.receive_datagram(datagram, SENDER, resumed)
    for datagram in call.far.rtcp_to_send(resumed):
        call.near.receive_datagram(datagram, RECEIVER, resumed + 0.03)
    for exchange in (call.near_rtcp, call.far_rtcp):
        assert exchange.round_trip.last == pytest.approx(0.06, abs=0.001)
    call.now = resumed
    call.run(3)
    assert call.near_rtcp.round_trip.last == pytest.approx(0.06, abs=0.001)


def test_the_sender_learns_exactly_what_was_lost() -> None:
    call = Call(random_loss(TEN_PERCENT), Link())
    call.run(60)
    call.sending = False
    call.run(5)
    path = call.told[-1]
    assert len(call.lost) > 250
    assert path.cumulative_lost == call.far.reception.lost == sum(i < 2999 for i in call.lost)
    assert path.highest == call.far.reception.epoch_highest
    shares = [report.fraction_lost for report in call.told]
    assert sum(shares) / len(shares) == pytest.approx(TEN_PERCENT, abs=0.02)
    assert call.near.stats.path == path
    assert path.cumulative_lost / call.near.stats.path_packets == pytest.approx(len(call.lost) / 3000, abs=0.0005)


def test_loss_patterns_of_both_streams_say_of_each_packet_what_became_of_it() -> None:
    call = Call(random_loss(TEN_PERCENT), Link(rtcp_loss=0.3))
    call.run(30)
    told: dict[int, bool] = {}
    repairs: list[bool] = []
    for report in call.told:
        assert report.media is not None
        for index, flag in enumerate(report.media.flags):
            told[(report.media.first + index - FIRST_NUMBER) & 0xFFFF] = flag
        repairs += report.repair.flags if report.repair else ()
    missed = [index for index, flag in told.items() if not flag]
    assert missed == [index for index in call.lost if index in told]
    assert len(told) > 0.7 * call.far.reception.expected  # although three reports in ten were lost
    assert len(repairs) > 300
    assert all(repairs)


def test_packets_under_way_are_not_called_lost() -> None:
    call = Call(Link(jitter=0.03), Link())
    call.run(30)
    flags = [flag for report in call.told[3:] for flag in (report.media.flags if report.media else ())]
    assert len(flags) > 1000
    assert flags.count(False) < 0.005 * len(flags)
    assert call.told[-1].jitter == pytest.approx(0.03, rel=0.5)


def test_the_fraction_and_the_jitter_are_those_of_the_rfc() -> None:
    call = Call(Link(lose=lambda index: index % 4 == 3), Link())
    call.run(20)
    assert call.told[-1].fraction_lost == pytest.approx(0.25, abs=0.02)
    assert call.told[-1].jitter == 0.0
    twice = Call(Link(copies=2), Link())
    twice.run(20)
    assert (twice.told[-1].fraction_lost, twice.told[-1].cumulative_lost) == (0.0, 0)


def test_sender_reports_tell_what_was_sent_and_pair_both_clocks() -> None:
    call = Call(Link(), Link())
    call.run(10)
    reports = [
        (at, part)
        for at, compound in call.compounds("near")
        for part in compound
        if isinstance(part, SenderReport) and part.ssrc == SSRC
    ]
    assert len(reports) == len(call.compounds("near"))
    for at, report in reports:
        assert report.ssrc == SSRC
        assert report.octets == 160 * report.packets
        assert report.ntp / 2**32 == pytest.approx(at + NTP_OFFSET, abs=1e-5)
    (begin, first), (end, last) = reports[0], reports[-1]
    assert (last.timestamp - first.timestamp) & 0xFFFFFFFF == pytest.approx((end - begin) * STEP / PTIME, abs=2)
    assert all(isinstance(compound[0], ReceiverReport) for _, compound in call.compounds("far"))


def test_who_has_stopped_sending_sends_receiver_reports_again() -> None:
    call = Call(Link(), Link())
    call.run(5)
    call.sending = False
    call.run(12)
    kinds = [type(compound[0]) for _, compound in call.compounds("near")]
    assert kinds[0] is SenderReport
    assert kinds[-1] is ReceiverReport
    assert call.compounds("near")[-1][0] > call.now - 3  # it goes on reporting


def test_voip_metrics_tell_how_the_listener_fares() -> None:
    call = Call(random_loss(TEN_PERCENT), Link(), buffer_limit=0.4)
    call.heard = ReceiverStats(
        received=900,
        expected=1000,
        recovered=60,
        bursts=BurstFigures(burst_density=0.25, gap_density=0.03, burst_length=8.0, gap_length=100.0),
        playout=PlayoutStats(late=60, discarded=50, delay=0.06, delay_max=0.12, target=0.05, wait_max=0.3),
    )
    call.run(20)
    path = call.told[-1]
    assert (path.delay, path.delay_max, path.wait_max) == (0.05, 0.4, 0.3)
    (metrics,) = find(call.compounds("far")[-1][1], VoipMetrics)
    assert isinstance(metrics, VoipMetrics)
    assert metrics.discard_rate / 256 == pytest.approx(0.05, abs=0.005)
    assert (metrics.loss_rate, metrics.round_trip, metrics.end_system_delay) == (10, 60, 80)  # after FEC: 40 of 1000
    assert (metrics.burst_density, metrics.gap_density) == (64, 7)
    assert (metrics.burst_duration, metrics.gap_duration) == (160, 2000)


def test_voip_metrics_are_zeros_before_the_first_packet() -> None:
    call = Call(Link(lose=lambda index: True), Link())
    call.heard = ReceiverStats()
    call.far.start_reports(call.now)
    call.run(2)
    (metrics,) = find(call.compounds("far")[0][1], VoipMetrics)
    assert metrics == VoipMetrics(SSRC)
    unannounced = Call(Link(lose=lambda index: True), Link(), rtcp_mux=True)
    parameters = unannounced.far_rtcp.parameters
    unannounced.far_rtcp.update(replace(parameters, remote_ssrc=None))
    unannounced.heard = ReceiverStats()
    unannounced.far.start_reports(unannounced.now)
    unannounced.run(2)
    assert not find(unannounced.compounds("far")[0][1], VoipMetrics)


def test_voip_metrics_carry_the_rating_and_the_level_and_the_peer_takes_them() -> None:
    delays: list[float] = []

    def rating(stats: ReceiverStats, delay: float) -> Rating:
        delays.append(delay)
        return Rating(r_lq=120.0, r_cq=110.0, mos_lq=4.44, mos_cq=4.21, method="", wideband=True)

    call = Call(Link(delay=0.03), Link(delay=0.03), rating=rating)
    quiet = Levels(samples=2000, energy=1000 * 10**-2.6, peak=0.3, silent=1000)  # half of it silence, -26 dBFS the rest
    call.heard = ReceiverStats(received=1000, expected=1000, playout=PlayoutStats(delay=0.06), levels=quiet)
    call.run(20)
    (metrics,) = find(call.compounds("far")[-1][1], VoipMetrics)
    assert isinstance(metrics, VoipMetrics)
    assert metrics.signal_level == 256 - 20
    assert (metrics.r_factor, metrics.mos_lq, metrics.mos_cq) == (85, 44, 42)
    assert delays[-1] == pytest.approx(0.02 + 0.06 + 0.03, abs=0.002)
    path = call.told[-1]
    assert (path.r, path.mos_lq, path.mos_cq, path.discarded) == (85.0, 4.4, 4.2, 0.0)


def test_what_nothing_is_known_of_is_127_and_never_taken_for_a_figure() -> None:
    call = Call(Link(), Link())
    call.heard = ReceiverStats(received=1000, expected=1000)
    call.run(20)
    (metrics,) = find(call.compounds("far")[-1][1], VoipMetrics)
    assert isinstance(metrics, VoipMetrics)
    assert (metrics.signal_level, metrics.r_factor, metrics.mos_lq, metrics.mos_cq) == (127, 127, 127, 127)
    path = call.told[-1]
    assert (path.r, path.mos_lq, path.mos_cq) == (None, None, None)


def test_blocks_are_sent_only_as_the_peer_wants_them() -> None:
    for wanted, kinds in (
        ("pkt-loss-rle", {LossRle}),
        ("stat-summary=loss", {StatisticsSummary}),
        ("voip-metrics", {VoipMetrics}),
        ("rcvr-rtt=all", {ReferenceTime}),
        ("unheard-of", set[type]()),
    ):
        call = Call(Link(), Link(), rtcp_xr=parse_extended_reports([wanted]))
        call.heard = ReceiverStats(received=1, expected=1)
        call.run(1.5)
        sent = call.compounds("far")[0][1]
        assert {type(block) for block in find(sent, object) if type(block) in kinds} == kinds
        assert bool(find(sent, ExtendedReport)) == bool(kinds)


def test_the_summary_counts_lost_and_duplicate_packets() -> None:
    call = Call(Link(lose=lambda index: index % 10 == 5, copies=2), Link())
    call.run(10)
    (summary,) = find(call.compounds("far")[-1][1], StatisticsSummary)
    assert isinstance(summary, StatisticsSummary)
    span = (summary.end - summary.begin) & 0xFFFF
    assert summary.lost == pytest.approx(span / 10, abs=1)
    assert summary.duplicate == pytest.approx(0.9 * span, abs=3)


# -- names and ends ---------------------------------------------------------------------------------------------------


def test_every_compound_has_a_cname_and_every_tenth_that_of_all_sources() -> None:
    call = Call(Link(), Link())
    call.run(20)
    described = [find(compound, SourceDescription) for _, compound in call.compounds("near")]
    own = SourceDescription(((SSRC, "near"),))
    both = SourceDescription(((SSRC, "near"), (REPAIR_SSRC, "near")))
    assert described[:12] == [[both], *[[own]] * 9, [both], [own]]
    assert all(
        find(compound, SourceDescription) == [SourceDescription(((LISTENER_SSRC, "far"),))]
        for _, compound in call.compounds("far")
    )


def test_the_repair_stream_has_sender_reports_of_its_own() -> None:
    call = Call(Link(), Link())
    call.run(30)
    full = [(moment, find(compound, SenderReport)) for moment, compound in call.compounds("near")][::10]
    assert len(full) >= 3
    for moment, reports in full[1:]:
        media, repair = reports
        assert isinstance(media, SenderReport)
        assert isinstance(repair, SenderReport)
        assert (media.ssrc, repair.ssrc) == (SSRC, REPAIR_SSRC)
        assert (media.ntp, media.timestamp) == (repair.ntp, repair.timestamp)  # here both streams have one clock
        assert repair.packets == pytest.approx((moment - call.began) / PTIME / 2, abs=2)
        assert repair.blocks == ()
    about_repair = [
        block
        for _, compound in call.compounds("far")
        for part in find(compound, ReceiverReport)
        if isinstance(part, ReceiverReport)
        for block in part.blocks
        if block.ssrc == REPAIR_SSRC
    ]
    assert about_repair[-1].lsr != 0


def test_the_sender_report_of_the_repair_stream_counts_by_its_own_clock() -> None:
    call = Call(Link(), Link(), fec_clock_rate=48000)
    call.run(3)
    before = call.sent
    call.sending = False
    call.sent = before._replace(fec_timestamp=1000, fec_timestamp_at=call.now - 0.5)
    last = call.near.final_report(call.now)
    _, repair = find(parse(last[0]), SenderReport)
    assert isinstance(repair, SenderReport)
    assert repair.timestamp == 1000 + 24000


def test_blocks_are_about_streams_that_were_heard_since_the_last_report() -> None:
    call = Call(Link(), Link())
    call.run(5)
    assert reported(call.compounds("far")[-1][1]) == [SSRC, REPAIR_SSRC]
    call.sending = False
    call.run(10)
    silent = [compound for moment, compound in call.compounds("far") if moment > call.began + 8]
    assert len(silent) >= 2
    assert all(reported(compound) == [] for compound in silent)
    call.sending, call._next_packet = True, call.now
    call.run(5)
    assert reported(call.compounds("far")[-1][1]) == [SSRC, REPAIR_SSRC]
    call.sending = False
    call.run(5)
    (last,) = call.far.final_report(call.now)
    assert reported(parse(last)) == [SSRC, REPAIR_SSRC]  # the figures at the end, should the last report be lost


def test_who_sends_no_media_echoes_no_reference_time_where_only_senders_may() -> None:
    for expected in (True, False):
        call = Call(Link(), Link())
        far = call.far_rtcp
        far.update(replace(far.parameters, echoes="all" if expected else "sender"))
        call.run(10)
        assert bool([found for _, compound in call.compounds("far") for found in find(compound, ReferenceEcho)]) == (
            expected
        )
        assert [found for _, compound in call.compounds("near") for found in find(compound, ReferenceEcho)]
    call = Call(Link(), Link())
    call.far_rtcp.update(replace(call.far_rtcp.parameters, echo_bytes=12))  # a block with one echo has 16
    call.run(10)
    assert not [found for _, compound in call.compounds("far") for found in find(compound, ReferenceEcho)]


def test_loss_patterns_keep_to_the_size_that_the_peer_names() -> None:
    call = Call(random_loss(0.3), Link())
    call.far_rtcp.update(replace(call.far_rtcp.parameters, loss_rle_bytes=24))
    call.run(10)
    blocks = [found for _, compound in call.compounds("far") for found in find(compound, LossRle)]
    assert len(blocks) > 5
    for block in blocks:
        assert isinstance(block, LossRle)
        assert len(block.serialize()) <= 24
    about_media = [block for block in blocks if isinstance(block, LossRle) and block.ssrc == SSRC]
    newest = about_media[-1]
    assert (newest.end - newest.begin) & 0xFFFF >= 30  # the newest packets that fit
    assert (newest.end - about_media[-2].end) & 0xFFFF < 200


@pytest.mark.parametrize("wanted", ["loss", "dup", "jitt", "loss dup jitt", "TTL", "loss HL"])
def test_the_summary_has_the_fields_that_the_peer_names(wanted: str) -> None:
    call = Call(Link(lose=lambda index: index % 10 == 5, jitter=0.01, copies=2), Link())
    call.far_rtcp.update(replace(call.far_rtcp.parameters, summary_fields=frozenset(wanted.split())))
    call.run(10)
    found = find(call.compounds("far")[-1][1], StatisticsSummary)
    if wanted == "TTL":
        assert found == []
        return
    (summary,) = found
    assert isinstance(summary, StatisticsSummary)
    assert (summary.lost is not None) == ("loss" in wanted)
    assert (summary.duplicate is not None) == ("dup" in wanted)
    assert (summary.jitter is not None) == ("jitt" in wanted)
    if summary.jitter is not None:
        least, greatest, mean, deviation = (ticks / 8000 for ticks in summary.jitter)
        assert 0.0 <= least < mean < greatest <= 0.05
        assert mean == pytest.approx(call.far.reception.jitter, rel=0.6)
        assert 0.0 < deviation < greatest


def test_the_last_compound_has_the_last_figures_and_bye_and_ends_nothing() -> None:
    call = Call(Link(lose=lambda index: index >= 498), Link())
    call.run(10)
    (last,) = call.far.final_report(call.now)
    call.carry_report("far", last)
    assert call.far.final_report(call.now) == []
    (goodbye,) = find(call.compounds("far")[-1][1], Goodbye)
    assert goodbye == Goodbye((LISTENER_SSRC,))
    call.run(5)
    assert call.near_rtcp.peer_left
    assert call.told[-1].highest == call.far.reception.epoch_highest
    assert [who for moment, who, _ in call.reports if moment > call.now - 4.9].count("near") > 1
    assert all(who == "near" for moment, who, _ in call.reports if moment > call.now - 4.9)


def test_a_peer_that_says_bye_is_told_at_once_and_once_what_became_of_its_last_packets() -> None:
    call = Call(random_loss(TEN_PERCENT), Link())
    call.run(20)
    call.sending = False
    (last,) = call.near.final_report(call.now)
    for _ in range(3):
        call.carry_report("near", last)
    said = call.now
    call.run(0.1)
    assert call.told[-1].cumulative_lost == len(call.lost) == call.far.reception.lost
    assert call.told[-1].at == pytest.approx(said + 0.06)
    assert len([moment for moment in moments_of(call, "far") if moment > said]) == 1


def test_a_call_too_short_for_a_report_ends_with_one_and_without_bye() -> None:
    call = Call(Link(lose=lambda index: index == 3), Link())
    call.run(0.15)
    assert moments_of(call, "far") == []
    (last,) = call.far.final_report(call.now)
    call.carry_report("far", last)
    call.run(0.1)
    assert find(call.compounds("far")[0][1], Goodbye) == []
    assert call.told[-1].cumulative_lost == 1
    near = call.near.final_report(call.now)
    assert len(near) == 1
    call.carry_report("near", near[0])
    assert find(call.compounds("near")[-1][1], Goodbye) == [Goodbye((SSRC, REPAIR_SSRC))]


def moments_of(call: Call, who: str) -> list[float]:
    return [moment for moment, end, _ in call.reports if end == who]


def test_nothing_is_sent_before_media_or_after_the_end_or_to_a_peer_on_hold() -> None:
    call = Call(Link(), Link(), one_media=False)
    call.sending = False
    call.run(10)
    assert call.reports == []
    assert call.far.final_report(call.now) == []
    held = Call(Link(), Link())
    held.far.update(replace(held.far.media, remote=("0.0.0.0", 5000), rtcp_mux=False, remote_rtcp=("0.0.0.0", 5001)))
    assert held.far.rtcp_destination is None
    assert held.far.next_timer() is None


# -- odd and hostile --------------------------------------------------------------------------------------------------


def test_blocks_about_others_and_echoes_of_nothing_are_ignored() -> None:
    call = Call(Link(), Link())
    call.run(2)
    told, trip = len(call.told), call.near_rtcp.round_trip.last
    strange = ReceiverReport(7, (ReportBlock(0xDEAD, 255, 8_000_000, 5, 9, 1, 1),))
    call.near.receive_datagram(serialize([strange]), RECEIVER, call.now)
    assert (len(call.told), call.near_rtcp.round_trip.last) == (told, trip)
    forged = ReceiverReport(7, (ReportBlock(SSRC, 255, -5, 0xFFFFFFFF, 0xFFFFFFFF, 0x12345678, 0xFFFFFFFF),))
    call.near.receive_datagram(serialize([forged]), RECEIVER, call.now)
    assert call.near_rtcp.round_trip.last == trip
    assert call.told[-1].jitter <= 10.0


def test_reports_that_were_overtaken_or_came_twice_tell_nothing_new() -> None:
    call = Call(Link(), Link(copies=2))
    call.run(20)
    assert len(call.told) <= len(call.compounds("far"))
    newest = call.told[-1]
    old = ReceiverReport(LISTENER_SSRC, (ReportBlock(SSRC, 0, 0, newest.highest - 5, 0),))
    call.near.receive_datagram(serialize([old]), RECEIVER, call.now)
    assert call.told[-1] is newest


def test_rtcp_of_strangers_is_foreign_and_that_of_the_port_above_is_the_peers() -> None:
    call = Call(Link(), Link(), rtcp_mux=False)
    data = serialize([ReceiverReport(LISTENER_SSRC, (ReportBlock(SSRC, 0, 0, 5, 0),))])
    for source in (("198.51.100.1", 6000), ("192.0.2.2", 6002), ("192.0.2.2", 5999)):
        call.near.receive_datagram(data, source, call.now)
    assert (call.near.stats.foreign, call.near.stats.rtcp, call.told) == (3, 0, [])
    call.near.receive_datagram(data, ("192.0.2.2", 6001), call.now)
    assert (call.near.stats.rtcp, len(call.told)) == (1, 1)
    assert call.near.rtcp_destination == ("192.0.2.2", 6001)
    named = replace(call.near.media, remote_rtcp=("192.0.2.77", 7007))
    call.near.update(named)
    assert call.near.rtcp_destination == ("192.0.2.77", 7007)
    call.near.receive_datagram(data, ("192.0.2.77", 7007), call.now)
    assert call.near.stats.rtcp == 2


def test_malformed_rtcp_is_counted_and_no_sign_of_life() -> None:
    call = Call(Link(), Link())
    call.run(1)
    heard = call.near.last_heard
    for data in (
        bytes.fromhex("80c9000700000001"),
        bytes.fromhex("a1c9000100000001"),
        bytes.fromhex("80c8000100000001"),
    ):
        assert call.near.receive_datagram(data, RECEIVER, call.now + 1) == []
    assert (call.near.stats.malformed, call.near.last_heard) == (3, heard)


def test_a_stream_that_begins_anew_is_reported_anew() -> None:
    call = Call(Link(), Link())
    call.run(3)
    assert call.far.reception.epoch == 1
    for index in range(8):
        packet = call_packet(index)
        call.now += PTIME
        call.far.receive_datagram(packet, ("192.0.2.1", 5000), call.now + 2)
    assert call.far.reception.epoch == 2
    block = call.far_rtcp.media.report(call.now + 3, 0.0, 0, 0)
    assert block is not None
    assert (block.cumulative_lost, block.fraction_lost, block.highest) == (0, 0, 20_007)


def call_packet(index: int) -> bytes:
    """A packet of our sender's, far from those before."""
    return bytes.fromhex("8000") + (20_000 + index).to_bytes(2, "big") + bytes(4) + SSRC.to_bytes(4, "big") + bytes(160)


def test_extended_numbers_count_the_cycles_since_the_first() -> None:
    call = Call(Link(), Link())
    call.run(2)
    assert call.told[-1].highest > 0x10000 > FIRST_NUMBER


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([200, 201, 202, 203, 207]), st.integers(0, 31), st.binary(max_size=120)), max_size=6
    )
)
def test_no_rtcp_whatever_breaks_a_call(parts: list[tuple[int, int, bytes]]) -> None:
    call = Call(Link(), Link())
    call.run(1.2)
    data = b""
    for packet_type, count, body in parts:
        body = body[: len(body) // 4 * 4].replace(b"\0\0\0\1", SSRC.to_bytes(4, "big"))
        data += bytes((0x80 | count, packet_type)) + (len(body) // 4).to_bytes(2, "big") + body
    for session, source in ((call.near, RECEIVER), (call.far, ("192.0.2.1", 5000))):
        assert session.receive_datagram(data, source, call.now) == []
    call.run(3)
    assert call.near_rtcp.round_trip.last == pytest.approx(0.06, abs=0.001)


block_numbers = st.one_of(st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF]))


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[block_numbers] * 5), st.integers(0, 255), st.lists(st.integers(0, 0xFFFF), max_size=20))
def test_absurd_figures_about_our_stream_break_nothing(
    numbers: tuple[int, ...], fraction: int, chunks: list[int]
) -> None:
    call = Call(Link(), Link())
    call.run(1.2)
    lost, highest, jitter, last, delay = numbers
    report = ReceiverReport(
        1, (ReportBlock(SSRC, fraction, lost % (1 << 24) - (1 << 23), highest, jitter, last, delay),)
    )
    extended = ExtendedReport(1, (LossRle(SSRC, highest & 0xFFFF, jitter & 0xFFFF, tuple(chunks)), ReferenceTime(lost)))
    call.near.receive_datagram(serialize([report, extended]), RECEIVER, call.now)
    call.run(2)
    trip = call.near_rtcp.round_trip
    assert trip.minimum is not None
    assert 0.0 <= trip.minimum <= 0.061
    for told in call.told:
        assert 0.0 <= told.fraction_lost <= 1.0
        assert 0.0 <= told.jitter <= 10.0


# -- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [0.0, 65535.9999, 65536.0 * 3 - 0.02, 2**32 - 0.5])
def test_round_trips_are_measured_across_the_wraps_of_ntp_time(second: float) -> None:
    trip = RoundTrip()
    trip.mark(ntp_time(second))
    sent = (ntp_time(second) >> 16) & 0xFFFFFFFF
    assert trip.echo(sent, 0x8000, ntp_time(second + 0.5 + 0.08)) == pytest.approx(0.08, abs=0.0001)


def test_a_round_trip_below_nothing_is_nothing_and_an_absurd_one_is_not_believed() -> None:
    trip = RoundTrip()
    trip.mark(ntp_time(100.0))
    sent = (ntp_time(100.0) >> 16) & 0xFFFFFFFF
    assert trip.echo(sent, 0x10000, ntp_time(100.99)) == 0.0
    assert trip.echo(sent, 0, ntp_time(200.0)) is None
    assert trip.echo(sent, 0xFFFFFFFF, ntp_time(100.0)) == pytest.approx(0.0, abs=0.001)
    assert trip.echo(sent + 1, 0, ntp_time(100.1)) is None
