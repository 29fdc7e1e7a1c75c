"""Copies at a low bit rate as a choice of the controller: what they leave missing, and when they are chosen."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.support.fec_model import outages, random_losses
from voip.fec import Agreed, FecController, Pattern, parse_pattern
from voip.fec.channel import Channel
from voip.fec.copies import DEGRADED, MIN_MISSING, CopiesRung, copies_ladder
from voip.fec.prediction import ladder
from voip.fec.red import RedEncoder, unwrap
from voip.rtp import MAX_DATAGRAM, RtpPacket
from voip.stats import Arrivals, PathReport

PTIME = 0.02
FIRST = 65500
PACKETS = 400_000
MEDIA_SIZE, REPAIR_SIZE = 100, 124
"""Bytes of Opus at 24 kbit/s in packets of 20 ms, and of its repair packets."""


def simulated(distances: tuple[int, ...], lost: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """The share of packets that are lost with all that repeat them."""
    reach = max(distances)
    gone = lost[: len(lost) - reach].copy()
    for distance in distances:
        gone &= lost[distance : len(lost) - reach + distance]
    return float(gone.mean())


@pytest.mark.parametrize("distances", [(2,), (6,), (1, 3), (4, 8)])
@pytest.mark.parametrize("outage", [0.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_what_copies_leave_is_what_a_simulation_leaves(distances: tuple[int, ...], outage: float, loss: float) -> None:
    rng = np.random.default_rng(3)
    lost = (outages(rng, loss, outage, 1, PACKETS) if outage else random_losses(rng, loss, 1, PACKETS))[0]
    share = simulated(distances, lost)
    rung, channel = CopiesRung(Pattern.copies(distances)), Channel(loss, outage)
    left = rung.left(channel, 12)
    assert left == pytest.approx(share, rel=0.15, abs=1e-4)
    runs = (loss - left) / max(1.0, outage)  # each of which is not as good as the packets themselves
    assert rung.missing(channel, 12) == pytest.approx(left + DEGRADED * runs + MIN_MISSING)


def test_a_copy_that_comes_after_the_turn_is_none() -> None:
    rung, one = CopiesRung(Pattern.copies((4, 8))), CopiesRung(Pattern.copies((4,)))
    channel = Channel(0.1, outage=3.0)
    assert rung.missing(channel, 7.9) == one.missing(channel, 7.9) > rung.missing(channel, 8.0)
    assert rung.left(channel, 3.9) == pytest.approx(0.1, rel=1e-3)


def test_a_copy_stands_in_for_a_late_packet() -> None:
    rng = np.random.default_rng(4)
    delays = rng.exponential(2.0, PACKETS)
    late = (delays[:-2] > 5.0) & (delays[2:] > 3.0)
    predicted = CopiesRung(Pattern.copies((2,))).missing(Channel(0.0, jitter=2.0), 5.0)
    assert predicted == pytest.approx(float(late.mean()), rel=0.1)


def test_a_burst_of_packets_between_repair_packets_lasts_as_many_frames_without_them() -> None:
    """Three packets in a row are one frame while each has two repair packets, and three frames where it has none."""
    rung = CopiesRung(Pattern.copies((3, 6)))
    before, after = Channel(0.1, outage=1.0, burst=3.0), Channel(0.1, outage=3.0, burst=3.0)
    assert rung.missing(before, 8) == rung.missing(after, 8)


def test_the_ladder_has_both_kinds_in_order_of_their_bits() -> None:
    rungs = ladder()
    assert [r.pattern.overhead for r in rungs] == sorted(r.pattern.overhead for r in rungs)
    copies = [rung for rung in rungs if rung.pattern.copy_bitrate is not None]
    assert [rung.pattern for rung in copies] == sorted(
        (rung.pattern for rung in copies_ladder()), key=lambda pattern: pattern.overhead
    )
    for rung in copies:
        assert parse_pattern(str(rung.pattern)) == rung.pattern
    two = Pattern.copies((4, 8))
    assert two.overhead * REPAIR_SIZE == pytest.approx(2 * (30 + 4))  # 12 kbit/s in 20 ms, and its header


def steered(
    *,
    copies: bool,
    loss: float,
    outage: float,
    max_rate: float = 200e3,
    saves_bits: bool = False,
    seconds: int = 40,
) -> FecController:
    """A controller after a call over outages in time. A peer that waits 160 ms tells of them once a second."""
    control = FecController(max_rate, ptime=PTIME, saves_bits=saves_bits)
    control.set_limits(Agreed(copies=copies))
    rng = random.Random(6)
    lost, left, media, repair = False, 0.0, 0, 0
    for second in range(seconds):
        arrived: tuple[list[bool], list[bool]] = ([], [])
        first = media, repair
        for _ in range(50):
            left -= 1.0
            while left <= 0.0:
                lost = not lost
                left += rng.expovariate(1.0 / (outage if lost else outage * (1.0 - loss) / loss))
            control.sent((FIRST + media) & 0xFFFF, MEDIA_SIZE, second + 0.02 * (media % 50), repair=False)
            media += 1
            arrived[0].append(not lost)
            pattern = control.pattern
            if pattern is not None and pattern.copy_bitrate is None and media % pattern.every == 0:
                for _ in pattern.sets:
                    control.sent((FIRST + repair) & 0xFFFF, REPAIR_SIZE, second + 0.02, repair=True)
                    repair += 1
                    arrived[1].append(not lost)
        told = (Arrivals((FIRST + first[i]) & 0xFFFF, tuple(arrived[i])) for i in (0, 1))
        report = PathReport(second + 1.0, loss, 0, FIRST + media - 1, 0.0, media=next(told), repair=next(told))
        control.report(replace(report, delay_max=0.16))
    return control


def test_copies_are_chosen_where_they_leave_as_little_for_fewer_bits() -> None:
    pattern = steered(copies=True, saves_bits=True, loss=0.1, outage=3.0).pattern
    assert pattern is not None
    assert pattern.copy_bitrate is not None
    assert pattern.overhead < 1.0


def test_whole_copies_are_chosen_where_there_is_room_for_them_unless_bits_are_to_be_saved() -> None:
    pattern = steered(copies=True, loss=0.1, outage=3.0).pattern
    assert pattern is not None
    assert pattern.kind == (True, 2)


@pytest.mark.parametrize(("outage", "whole"), [(5.0, True), (3.0, False)])
def test_whole_copies_are_chosen_sooner_where_outages_leave_no_doubt(outage: float, whole: bool) -> None:
    pattern = steered(copies=True, loss=0.1, outage=outage, max_rate=1e6, seconds=2).pattern
    assert pattern is not None
    assert pattern.repeats_whole is whole


def test_copies_are_chosen_where_the_bits_suffice_for_nothing_else() -> None:
    limited, plain = (steered(copies=which, loss=0.1, outage=3.0, max_rate=30e3).pattern for which in (True, False))
    assert limited is not None
    assert limited.copy_bitrate is not None
    assert plain is None or plain.copy_bitrate is None


def test_a_peer_that_takes_no_copies_is_sent_none() -> None:
    pattern = steered(copies=False, loss=0.1, outage=3.0).pattern
    assert pattern is not None
    assert pattern.copy_bitrate is None


def test_random_loss_is_not_left_to_copies() -> None:
    for loss in (0.1, 0.2):
        wanted = [rung for rung in ladder() if rung.missing(Channel(loss), 8) < 5e-4]
        assert all(rung.pattern.copy_bitrate is None for rung in wanted)
        assert wanted


def test_the_largest_packets_of_all_have_room_for_copies() -> None:
    for rung in copies_ladder():
        assert len(rung.pattern.sets) * (30 + 4) + MEDIA_SIZE < MAX_DATAGRAM


@pytest.mark.parametrize(
    ("text", "exact", "kind"),
    [("copies:3w,7w", 2, (True, 2)), ("copies:2w,4@12k", 1, (True, 1)), ("copies:4,8@12k", 0, (True, 0))],
)
def test_copies_may_be_whole(text: str, exact: int, kind: tuple[bool, int]) -> None:
    pattern = parse_pattern(text)
    assert pattern is not None
    assert (str(pattern), pattern.exact, pattern.kind) == (text, exact, kind)
    assert pattern.reduced == (exact < len(pattern.sets))
    assert pattern.copies_size(0.02, 60.0) == 2 * 4 + exact * 60 + (2 - exact) * 30
    assert pattern.copies_size(0.02, 20.0) == 2 * 24, "a copy is never larger than the packet"


@pytest.mark.parametrize("text", ["copies:3,7w", "copies:w", "copies:3ww"])
def test_whole_copies_come_before_those_at_a_low_bit_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"copies|number"):
        parse_pattern(text)


def test_of_whole_copies_and_others_the_nearest_are_left_out_first() -> None:
    pattern = Pattern.copies((2, 4, 6), exact=1)
    assert [str(pattern.farthest(copies)) for copies in (3, 2, 1)] == [
        "copies:2w,4,6@12k",
        "copies:4,6@12k",
        "copies:6@12k",
    ]


def test_each_packet_carries_what_the_pattern_says_of_those_before() -> None:
    encoder = RedEncoder(Pattern.copies((1, 3), exact=1), payload_type=98)
    packets = [RtpPacket(96, (65534 + i) & 0xFFFF, 960 * i, 1, bytes([i]) * 60) for i in range(6)]
    sent = [encoder.carry(packet, copy=bytes([100 + i]) * 30) for i, packet in enumerate(packets)]
    blocks = [[block.payload for block in unwrap(packet)[1]] for packet in sent]
    assert blocks[0] == []
    assert blocks[1] == [bytes([0]) * 60]
    assert blocks[5] == [bytes([102]) * 30, bytes([4]) * 60]
