"""Adaptive FEC: estimate of the path, choice of the pattern, and the whole loop in virtual time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.support.call import FEC_PAYLOAD_TYPE, Wrapping, noise
from tests.support.call import media as agreed_media
from tests.support.fec_loop import Loop, gilbert, independent, lossless, outage
from tests.support.fec_model import known_at, missing, outages, random_losses
from tests.support.fec_packets import FIRST_NUMBER, encoder_of, media
from tests.support.fec_simulation import residual_loss
from tools import make_fec_tables
from tools.measure_auto import ROWS
from voip.audio import AudioSender
from voip.audio.encoding import StreamEncoder
from voip.fec import Agreed, FecController, Pattern, parse_pattern
from voip.fec.channel import Channel, ChannelEstimator
from voip.fec.control import (
    REPORT_SILENCE,
    SILENCE_PATTERN,
    START_PATTERN,
    UNREPORTED_PATTERN,
    WIDE_START_PATTERN,
)
from voip.fec.flexfec import parse_repair
from voip.fec.prediction import Rung, ladder
from voip.fec.tables import LOSSES, OUTAGES, PREDICTED, WAITS
from voip.media import NegotiatedMedia
from voip.rtp import RtpPacket
from voip.stats import Arrivals, PathReport

PTIME = 0.02
FIRST = 65500


def pattern_of(text: str) -> Pattern:
    pattern = parse_pattern(text)
    assert pattern is not None
    return pattern


def overhead(control: FecController) -> float:
    return control.pattern.overhead if control.pattern is not None else 0.0


def estimated(losses: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], *, jitter: float = 0.0) -> Channel:
    """What an estimator makes of (packets per frame, frames) of losses, reported once a second."""
    estimator = ChannelEstimator(PTIME)
    packets, frames = losses.shape
    for frame in range(frames):
        for position in range(packets):
            number = FIRST + frame if position == 0 else FIRST + frame * (packets - 1) + position
            estimator.sent(number & 0xFFFF, repair=position > 0)
        if frame % 50 == 49:
            first = max(0, frame - 99)
            window = ~losses[:, first : frame + 1]
            media = Arrivals((FIRST + first) & 0xFFFF, tuple(window[0].tolist()))
            start = (FIRST + first * (packets - 1) + 1) & 0xFFFF
            repair = Arrivals(start, tuple(window[1:].T.ravel().tolist()))
            estimator.report(PathReport(frame * PTIME, 0.0, 0, FIRST + frame, jitter, media=media, repair=repair))
    return estimator.channel


# -- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["4", "sliding:0,1,3/2", "sliding:0,2,3/1", "sliding:0,1+0,2,3/1"])
def test_the_fast_model_agrees_with_the_slow_one(text: str) -> None:
    pattern = pattern_of(text)
    rng = np.random.default_rng(5)
    for rate in (0.2, 0.4):
        lost = random_losses(rng, rate, 1 + len(pattern.sets), 60_000)
        (share,) = missing(known_at(pattern, lost, 0.0), [5.0])
        assert share == pytest.approx(residual_loss(pattern, rate, 5, packets=60_000), rel=0.15, abs=2.5e-3)


def test_outages_last_and_lose_what_they_should() -> None:
    lost = outages(np.random.default_rng(3), 0.1, 3.0, 2, 400_000)[0]
    assert lost.mean() == pytest.approx(0.1, rel=0.05)
    again = lost[1:][lost[:-1]].mean()
    assert again == pytest.approx(0.1 + 0.9 * np.exp(-1 / (3.0 * 0.9)), rel=0.03)


@pytest.mark.parametrize("text", ["4", "sliding:0,2,3/1", "sliding:0,12+0,1,3,9/1"])
def test_the_table_is_what_its_generator_computes(text: str) -> None:
    computed = make_fec_tables.tables(pattern_of(text), 60_000, seed=9)
    for new, old in zip(computed, PREDICTED[text], strict=True):
        for fresh, stored in zip(new, old, strict=True):
            for i in range(0, len(stored), 2):
                known, found = int(stored[i : i + 2]), int(fresh[i : i + 2])
                assert abs(known - found) <= 5 or min(known, found) > 50, (text, i)  # 20 is a factor of ten


def test_the_ladder_is_that_of_the_generator_and_ordered_by_cost() -> None:
    assert set(PREDICTED) == set(make_fec_tables.LADDER)
    costs = [rung.pattern.overhead for rung in ladder()]
    assert costs == sorted(costs)
    assert all(str(pattern_of(text)) == text for text in PREDICTED)


def test_a_prediction_lies_between_its_neighbours_and_grows_with_loss() -> None:
    for rung in ladder():
        for wait in WAITS:
            shares = [rung.missing(Channel(loss), wait) for loss in (0.0, *LOSSES, 0.15, 0.25, 1.0)]
            assert all(0.0 < share <= 1.0 for share in shares)
            assert rung.missing(Channel(0.15), wait) <= rung.missing(Channel(0.3), wait) * 1.1
            assert rung.missing(Channel(0.1, outage=99.0), wait) == rung.missing(Channel(0.1, OUTAGES[-1]), wait)


def test_jitter_below_a_quarter_of_a_packet_does_not_count() -> None:
    rung = ladder()[3]
    assert rung.missing(Channel(0.05, jitter=0.25), 3) == rung.missing(Channel(0.05), 3)
    assert rung.missing(Channel(0.05, jitter=1.0), 3) > rung.missing(Channel(0.05), 3)


def test_a_wait_shorter_than_the_table_finds_no_repair_in_time() -> None:
    assert ladder()[-1].missing(Channel(0.1), 0.5) >= 0.1


# -- the path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packets", [2, 3])
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4])
def test_random_loss_is_recognised(rate: float, packets: int) -> None:
    channel = estimated(random_losses(np.random.default_rng(1), rate, packets, 1000))
    assert channel.loss == pytest.approx(rate, rel=0.2)
    assert channel.outage == 0.0
    assert channel.burst == pytest.approx(1 / (1 - rate), rel=0.1)


@pytest.mark.parametrize("mean", [1.0, 3.0])
def test_outages_are_recognised_with_their_length(mean: float) -> None:
    rng = np.random.default_rng(8)
    channels = [estimated(outages(rng, 0.1, mean, 3, 1000)) for _ in range(6)]
    assert np.mean([channel.loss for channel in channels]) == pytest.approx(0.1, rel=0.3)
    assert np.mean([channel.outage for channel in channels]) == pytest.approx(mean, rel=0.3)


def test_bursts_within_frames_are_outages_if_short_ones() -> None:
    loses = gilbert(0.1, 3.0, random.Random(4))
    lost = np.array([[loses(0.0) for _ in range(3)] for _ in range(1000)]).T
    channel = estimated(lost)
    assert channel.burst == pytest.approx(3.0, rel=0.2)
    assert 0.5 <= channel.outage < 1.5


def test_what_a_later_report_brings_in_is_no_loss() -> None:
    estimator = ChannelEstimator(PTIME)
    for number in range(100):
        estimator.sent(number, repair=False)
    late = tuple(number < 90 for number in range(100))  # 90 to 99 are still under way
    estimator.report(PathReport(1.0, 0.1, 10, 99, 0.05, media=Arrivals(0, late)))
    estimator.report(PathReport(2.0, 0.0, 0, 99, 0.05, media=Arrivals(50, (True,) * 50)))
    for number in range(100, 200):
        estimator.sent(number, repair=False)
    estimator.report(PathReport(3.0, 0.0, 0, 199, 0.05, media=Arrivals(80, (True,) * 120)))
    assert estimator.channel.loss == 0.0
    assert estimator.channel.jitter == pytest.approx(2.5)


def test_a_report_without_a_loss_pattern_counts_by_its_fraction() -> None:
    estimator = ChannelEstimator(PTIME)
    for second in range(10):
        for number in range(50):
            estimator.sent(second * 50 + number, repair=False)
        estimator.report(PathReport(float(second), 0.1, 5 * second, 0xFFFFFFF0 + 50 * second & 0xFFFFFFFF, 0.0))
    assert estimator.channel.loss == pytest.approx(0.1)
    assert estimator.channel.outage == 0.0


def test_more_repair_packets_than_a_frame_can_tell_apart_are_passed_over() -> None:
    estimator = ChannelEstimator(PTIME)
    for frame in range(3):
        estimator.sent(FIRST + frame, repair=False)
        for number in range(100):
            estimator.sent(100 * frame + number, repair=True)
    media, repair = Arrivals(FIRST, (True, False, True)), Arrivals(0, (True,) * 300)
    estimator.report(PathReport(0.1, 0.0, 0, FIRST + 2, 0.0, media=media, repair=repair))
    assert estimator.judged.sent == 2 * (1 + 62)  # the third frame's may still be under way
    assert (estimator.judged.lost, estimator.judged.runs) == (1, 1)


def test_arrivals_of_packets_never_sent_mean_nothing() -> None:
    estimator = ChannelEstimator(PTIME)
    for number in range(100):
        estimator.sent(number, repair=False)
    flags = (False,) * 5000
    estimator.report(PathReport(1.0, 0.0, 0, 0, 0.0, media=Arrivals(1000, flags), repair=Arrivals(0, flags)))
    assert estimator.channel.loss == 0.0
    assert estimator.judged.sent == 0


# -- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_each_path_leaves_as_little_missing_as_it_should(name: str) -> None:
    row = ROWS[name]
    outcome = row.run(1, 60.0)
    assert outcome.missing(row.delay) <= row.limit
    assert outcome.rate <= (65e3 if name == "clean" else 180e3)
    assert len(outcome.changes) <= 9


def test_up_within_three_seconds_and_all_given_back_within_a_minute() -> None:
    loop = Loop(back=independent(0.2, random.Random(2)))
    loop.run(60.0)
    light = overhead(loop.control)
    assert light <= 1 / 3
    loop.wire = independent(0.2, random.Random(3))
    loop.run(3.0)
    assert overhead(loop.control) >= 1.0
    loop.run(57.0)
    assert overhead(loop.control) >= 1.5
    loop.wire = lossless
    outcome = loop.run(15.0)
    assert overhead(loop.control) > light  # not at once
    outcome = loop.run(45.0)
    assert overhead(loop.control) == light
    downs = [at for at, reason in outcome.changes if " down " in reason and at > 120.0]
    assert len(downs) >= 3  # step by step


@pytest.mark.parametrize("name", ["random 5", "random 20", "outages 5", "jitter 30"])
def test_a_steady_path_gets_a_steady_pattern(name: str) -> None:
    row = ROWS[name]
    loop = Loop(row.wire(random.Random(5)), jitter=row.jitter, seed=5)
    loop.run(20.0)
    before = len(loop.outcome.changes)
    loop.run(60.0)
    assert len(loop.outcome.changes) - before <= 4


def test_one_lost_packet_is_rebuilt_by_the_light_pattern_within_60_ms() -> None:
    loop = Loop()
    loop.run(20.0)
    assert overhead(loop.control) <= 1 / 3
    fates = [number % 50 == 0 for number in range(625)]  # packets of media and repair, one by one
    loop.wire = lambda now: bool(fates) and fates.pop()
    loop.run(8.0)
    assert loop.outcome.missing(0.06) == 0.0
    assert len(loop.peer.known) == len(loop.outcome.sent)


@pytest.mark.parametrize("most", [0.0, 3e3, 12e3, 30e3, 60e3, 100e3])
def test_repair_packets_never_pass_the_maximum(most: float) -> None:
    outcome = Loop(independent(0.3, random.Random(6)), max_rate=most).run(20.0)
    for second in range(19):
        assert outcome.repair_rate(second, second + 1.0) <= most * 1.1  # the edges of the second
    assert outcome.repair_rate(0.0, 20.0) <= most


def test_larger_packets_get_fewer_repair_packets() -> None:
    control = FecController(200e3)
    assert control.sent(0, 120, 0.0, repair=False) is None
    reasons = [control.sent(number, 1000, number * PTIME, repair=False) for number in range(1, 200)]
    assert any(reason is not None and "200 kbit/s" in reason for reason in reasons)
    assert 0.0 < overhead(control) * (1000 + 16) * 8 / 0.02 <= 200e3
    reason = FecController(1e3).sent(0, 1000, 0.0, repair=False)
    assert reason is not None
    assert "FEC off" in reason


def test_without_any_report_a_sensible_pattern_stays() -> None:
    loop = Loop(independent(0.05, random.Random(7)))
    loop.reports = False
    outcome = loop.run(REPORT_SILENCE + 1.0)
    assert str(loop.control.pattern) == UNREPORTED_PATTERN
    assert overhead(loop.control) == pattern_of(START_PATTERN).overhead  # as much as before
    loop.run(20.0)
    assert len(outcome.changes) == 1
    loop.reports = True
    loop.run(3.0)
    assert overhead(loop.control) >= 0.5  # goes on by what it hears


def test_reports_that_stop_are_a_hint_of_loss() -> None:
    loop = Loop()
    loop.run(10.0)
    assert overhead(loop.control) <= 1 / 3
    loop.back = lambda now: True
    loop.run(REPORT_SILENCE + 2.0)
    assert str(loop.control.pattern) == SILENCE_PATTERN
    loop.back = lossless
    loop.run(40.0)
    assert overhead(loop.control) <= 1 / 3


def test_a_peer_that_reports_seldom_is_not_missed() -> None:
    control = FecController(200e3)
    lines = []
    for frame in range(3000):
        now = frame * PTIME
        lines.append(control.sent(frame, 100, now, repair=False))
        if frame % 350 == 200:  # every 7 s
            control.report(PathReport(now, 0.0, 0, frame, 0.0))
    assert [line for line in lines if line is not None] == []


def test_a_stream_that_rests_expects_no_report() -> None:
    control = FecController(200e3)
    for frame in range(200):
        now = frame * PTIME
        control.sent(frame, 100, now, repair=False)
        if frame % 50 == 49:
            control.report(PathReport(now, 0.0, 0, frame, 0.0, media=Arrivals(0, (True,) * frame)))
    assert control.sent(200, 100, 100.0, repair=False) is None
    assert control.sent(201, 100, 101.0 + REPORT_SILENCE - 1.1, repair=False) is None


def test_lost_reports_do_not_stall_it() -> None:
    loop = Loop(independent(0.2, random.Random(8)), back=independent(0.5, random.Random(9)))
    outcome = loop.run(60.0)
    assert outcome.missing(0.1) <= 0.006


def test_the_peers_longest_delay_bounds_the_reach() -> None:
    loses = outage(0.1, 0.06, random.Random(10))
    free, bounded = (Loop(loses, seed=2) for _ in range(2))
    bounded.delay_max = 0.1
    free.run(20.0)
    bounded.run(20.0)
    assert free.control.pattern is not None
    assert free.control.pattern.reach > 5
    assert bounded.control.pattern is not None
    assert bounded.control.pattern.reach <= 5


def test_each_decision_is_one_line_that_says_why() -> None:
    outcome = ROWS["random 5"].run(2, 30.0)
    assert outcome.changes
    for _, reason in outcome.changes:
        assert reason.startswith("FEC ")
        assert "\n" not in reason
        assert "loss in bursts of" in reason
        assert "predicted missing" in reason


def test_hostile_reports_do_not_raise() -> None:
    rng = random.Random(11)
    control = FecController(200e3)
    for frame in range(2000):
        control.sent(frame & 0xFFFF, rng.randrange(1, 2000), frame * PTIME, repair=False)
        control.sent(rng.getrandbits(16), 100, frame * PTIME, repair=True)
        if rng.random() < 0.2:
            arrivals = [Arrivals(rng.getrandbits(16), tuple(rng.random() < 0.5 for _ in range(600))) for _ in range(2)]
            control.report(
                PathReport(
                    at=frame * PTIME + rng.uniform(-1, 1),
                    fraction_lost=rng.random(),
                    cumulative_lost=rng.getrandbits(24),
                    highest=rng.getrandbits(32),
                    jitter=rng.choice([0.0, 1e-3, 1.0, 1e5]),
                    media=rng.choice([None, arrivals[0]]),
                    repair=rng.choice([None, arrivals[1]]),
                    delay_max=rng.choice([None, 0.0, 0.06, 60.0]),
                )
            )
    assert isinstance(control.pattern, Pattern)


def test_a_new_packet_time_is_a_new_path() -> None:
    control = FecController(200e3)
    control.set_ptime(0.04, 140.0)
    assert control.channel == Channel(0.0)
    assert control.ptime == 0.04


def test_rungs_know_their_pattern() -> None:
    assert all(isinstance(rung, Rung) and isinstance(rung.pattern, Pattern) for rung in ladder())


# -- the sender ------------------------------------------------------------------------------------------------------


def test_changing_patterns_leave_no_packet_uncovered_and_send_no_burst() -> None:
    rng = random.Random(12)
    patterns = [rung.pattern for rung in ladder()]
    encoder = encoder_of(START_PATTERN)
    covered: set[int] = set()
    count = 3000
    for index in range(count):
        sets = len(encoder.pattern.sets) if encoder.pattern else 0
        if rng.random() < 0.1:
            pattern = rng.choice(patterns)
            encoder.set_pattern(pattern)
            sets = len(pattern.sets)
        repairs = encoder.protect(media(index))
        assert len(repairs) <= sets + 1
        covered |= {(index - (FIRST_NUMBER + index - number) % 0x10000) for r in repairs for number in numbers(r)}
    covered |= {count - 1 - (FIRST_NUMBER + count - 1 - n) % 0x10000 for r in encoder.flush() for n in numbers(r)}
    assert covered == set(range(count))


def numbers(repair: RtpPacket) -> list[int]:
    """The sequence numbers that a repair packet covers."""
    header = parse_repair(repair.payload)
    return [header.base + position & 0xFFFF for position in header.positions]


def adaptive_sender(agreed: NegotiatedMedia, lines: list[str], max_rate: float = 200e3) -> AudioSender:
    control = FecController(max_rate, ptime=agreed.audio.ptime)
    return AudioSender(agreed, sample_rate=8000, channels=1, rng=Wrapping(1), control=control, on_decision=lines.append)


def arrivals_of(packets: list[RtpPacket], payload_type: int, lost: random.Random | None) -> Arrivals:
    mine = [packet for packet in packets if packet.payload_type == payload_type]
    return Arrivals(mine[0].sequence_number, tuple(lost is None or lost.random() >= 0.2 for _ in mine))


def talk(source: AudioSender, start: float, seconds: float, lost: random.Random | None = None) -> list[RtpPacket]:
    """Speak for a while, and report on all of it at its end."""
    datagrams = [
        data for i in range(round(seconds / PTIME)) for data in source.write(noise(PTIME, seed=i), start + i * PTIME)
    ]
    packets = [RtpPacket.parse(data) for data in datagrams]
    source.report(
        PathReport(
            at=start + seconds,
            fraction_lost=0.2 if lost else 0.0,
            cumulative_lost=0,
            highest=0,
            jitter=0.0,
            media=arrivals_of(packets, 96, lost),
            repair=arrivals_of(packets, FEC_PAYLOAD_TYPE, lost),
        )
    )
    return packets


def repair_share(packets: list[RtpPacket]) -> float:
    repairs = sum(packet.payload_type == FEC_PAYLOAD_TYPE for packet in packets)
    return repairs / (len(packets) - repairs)


def test_a_sender_starts_with_half_a_copy_comes_down_on_a_clean_path_and_goes_up_with_loss() -> None:
    lines: list[str] = []
    source = adaptive_sender(agreed_media(fec="4"), lines, max_rate=1e6)
    assert repair_share(talk(source, 0.0, 1.0)) == pytest.approx(0.5, abs=0.02)
    talk(source, 1.0, 3.0)
    assert repair_share(talk(source, 4.0, 4.0)) == pytest.approx(0.25, abs=0.02)
    talk(source, 8.0, 2.0, random.Random(1))
    assert repair_share(talk(source, 10.0, 2.0, random.Random(2))) >= 1.5
    assert [line.split(":")[0].split(" to ")[0] for line in lines][:2] == ["FEC down", "FEC up"]


@pytest.mark.parametrize(("carries", "taken"), [(None, False), (100e3, False), (208e3, True)])
def test_a_copy_of_each_packet_is_sent_at_first_where_the_line_carries_twice_that(
    carries: float | None, taken: bool
) -> None:
    loop = Loop()
    loop.control.set_limits(Agreed(), carries=carries)
    outcome = loop.run(10.0)
    patterns = [str(pattern) for _, pattern in outcome.patterns]
    assert (WIDE_START_PATTERN in patterns) == taken
    assert overhead(loop.control) <= 1 / 3
    assert any("the line carries more" in reason for _, reason in outcome.changes) == taken


def test_a_pattern_against_outages_stays_for_a_while_without_one() -> None:
    """They may come back, and each change of the delay is heard: a shorter wait has to be as good for 8 s."""
    loop = Loop(outage(0.05, 0.06, random.Random(3)))
    outcome = loop.run(20.0)
    last = loop.control.pattern
    assert last is not None
    assert last.reach >= 6
    assert len(outcome.changes) <= 5


def test_the_figures_say_what_protects_and_why() -> None:
    lines: list[str] = []
    source = adaptive_sender(agreed_media(fec="4"), lines, max_rate=1e6)
    source.write(noise(PTIME), 0.0)
    assert (source.stats.fec_pattern, source.stats.fec_reason) == (START_PATTERN, None)
    for second in range(20):
        talk(source, 1.0 + second, 1.0, random.Random(second))
    assert source.stats.fec_reason == lines[-1]
    assert f" to {source.stats.fec_pattern} (" in lines[-1]
    plain = adaptive_sender(agreed_media(), [])
    plain.write(noise(PTIME), 0.0)
    assert (plain.stats.fec_pattern, plain.stats.fec_reason) == (None, None)


def test_a_peer_without_repair_packets_gets_none_and_no_word_of_them() -> None:
    lines: list[str] = []
    source = adaptive_sender(agreed_media(), lines)
    assert repair_share(talk_plain(source)) == 0.0
    assert lines == []


def test_a_peer_that_agrees_to_repair_packets_later_gets_what_the_reports_ask_for() -> None:
    source = adaptive_sender(agreed_media(), [])
    talk_plain(source)
    source.update(agreed_media(fec="4"))
    assert source._fec.pattern == source._steering.pattern is not None


def talk_plain(source: AudioSender) -> list[RtpPacket]:
    source.report(PathReport(0.0, 0.0, 0, 65535, 0.0))
    datagrams = [data for i in range(400) for data in source.write(noise(PTIME), i * PTIME)]
    source.report(PathReport(8.0, 0.03, 12, 65935, 0.0))
    datagrams += source.write(noise(PTIME), 8.0)
    return [RtpPacket.parse(data) for data in datagrams]


def test_an_encoder_hears_of_losses_that_no_repair_packet_makes_good(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, bool]] = []

    def set_loss(self: StreamEncoder, fraction: float, *, in_band_fec: bool) -> None:
        told.append((fraction, in_band_fec))

    monkeypatch.setattr(StreamEncoder, "set_loss", set_loss)
    for fec in ("off", "4"):
        talk_plain(adaptive_sender(agreed_media(fec=fec), []))
    assert told == [(0.0, True), (0.03, True), (0.0, True)]


def test_the_figures_of_a_sender_count_payloads_and_name_a_moment() -> None:
    source = adaptive_sender(agreed_media(fec="4"), [], max_rate=1e6)
    packets = talk(source, 100.0, 1.0)
    repairs = [packet for packet in packets if packet.payload_type == FEC_PAYLOAD_TYPE]
    plain = [packet for packet in packets if packet.payload_type == 96]
    assert source.stats.payload_bytes == sum(len(packet.payload) for packet in plain)
    assert source.stats.fec_payload_bytes == sum(len(packet.payload) for packet in repairs)
    assert source.stats.timestamp == plain[-1].timestamp
    assert source.stats.timestamp_at == pytest.approx(100.98)


def test_longer_packets_are_as_large_as_they_are_said_to_be() -> None:
    """Not as large as those before them: 23 kbit/s would seem to leave room for repair packets."""
    for size, fits in ((160.0, False), (60.0, True)):
        control = FecController(200e3)
        for number in range(200):
            control.sent(number, 100, number * 0.02, repair=False)
        control.set_limits(Agreed(bandwidth=23e3))
        control.set_ptime(0.06, size)
        control.sent(200, round(size), 4.0, repair=False)
        assert (control.pattern is not None) is fits


def test_the_small_packets_of_a_pause_make_no_room_for_more_repair() -> None:
    chosen = []
    for size in (40, 100):
        control = FecController(200e3)
        control.set_limits(Agreed(bandwidth=91e3), 100)
        for number in range(40):
            control.sent(number, size, number * 0.02, repair=False)
        media = Arrivals(0, tuple(number % 5 > 0 for number in range(40)))
        control.report(PathReport(0.8, 0.2, 8, 39, 0.0, media=media))
        assert control.pattern is not None
        chosen.append(control.pattern.overhead)
    assert chosen[0] <= chosen[1] <= 51 / (8 * 124 / 20)


def test_a_call_that_begins_with_a_pause_gets_no_more_repair_than_speech_leaves_room_for() -> None:
    """49 kbit/s, of which speech takes 46: packets of silence of 26 would leave room for a third of a repair packet."""
    control = FecController(200e3)
    control.set_limits(Agreed(bandwidth=49_000.0), usual=116.0)
    for number in range(50):
        control.sent(number, 64, 0.02 * number, repair=False)
    assert control.pattern is None
