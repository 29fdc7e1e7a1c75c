"""What became of each packet: bursts and gaps of what was not heard (RFC 3611 section 4.7.2), and runs in a row."""

from __future__ import annotations

import pytest

from voip.jitter import DelayTarget, Gap, Playout
from voip.jitter.bursts import Bursts
from voip.rtp import RtpPacket
from voip.stats import BurstFigures

EXAMPLE = "11110111111111111111111X111X1011110111111111111111111X111111111"
"""Of RFC 3611 section 4.7.2: 1 received, 0 lost, X discarded. It calls them 64 packets and prints 63."""
CLOCK, STEP, PTIME, DELAY = 8000, 80, 0.01, 0.06
FIRST_SEQUENCE, FIRST_TIMESTAMP = 65520, 2**32 - 20 * STEP


def feed(bursts: Bursts, pattern: str) -> None:
    """From text: o heard, x missing, a number stands for so many that are heard."""
    for word in pattern.split():
        if word.isdigit():
            word = "o" * int(word)
        for letter in word:
            if letter == "o":
                bursts.hear()
            else:
                bursts.miss()


def of(pattern: str) -> Bursts:
    bursts = Bursts()
    for letter in pattern:
        if letter == "1":
            bursts.hear()
        else:
            bursts.miss()
    return bursts


def played(became: str, *, extra: float = 0.0) -> Playout:
    """A stream of which packet i is on time (1), lost (0), or comes `extra` seconds after its turn (X)."""
    jitter = Playout(CLOCK, DelayTarget(DELAY, 0.5), step=PTIME)
    arrivals = []
    for index, letter in enumerate(became):
        late = DELAY + 0.02 + extra if letter == "X" else 0.0
        if letter != "0":
            arrivals.append((index * PTIME + late, index))
    arrivals.sort()
    for turn in range(len(became) + 30):
        now = turn * PTIME
        while arrivals and arrivals[0][0] <= now + 1e-9:
            at, index = arrivals.pop(0)
            number = (FIRST_SEQUENCE + index) & 0xFFFF
            jitter.put(RtpPacket(0, number, (FIRST_TIMESTAMP + index * STEP) & 0xFFFFFFFF, 1, b"x"), at)
        item, _ = jitter.get(now)
        if isinstance(item, RtpPacket):
            jitter.advance(STEP)
        else:
            assert item is None or isinstance(item, Gap)
    return jitter


def test_a_packet_missing_alone_belongs_to_a_gap_and_those_less_than_16_apart_to_a_burst() -> None:
    bursts = Bursts()
    feed(bursts, "100 x 100")
    assert bursts.figures() == (0.0, 1 / 201, 0.0, 201.0)
    feed(bursts, "x 15 x 100")
    assert bursts.figures() == (2 / 17, 1 / 301, 17.0, 301 / 2)
    feed(bursts, "xx 16 x 16 x")  # a burst of two, then two that are too far apart
    density, gap_density, length, gap = bursts.figures()
    assert (density, length) == (4 / 19, 19 / 2)
    assert (gap_density, gap) == (3 / 335, 335 / 3)


def test_nothing_missing_is_one_gap_and_nothing_heard_yet_is_nothing() -> None:
    bursts = Bursts()
    assert bursts.figures() == (0.0, 0.0, 0.0, 0.0)
    feed(bursts, "50")
    assert bursts.figures() == (0.0, 0.0, 0.0, 50.0)
    feed(bursts, "xxx")
    assert bursts.figures().burst_density == 1.0


def test_several_at_once_are_the_same_as_one_by_one() -> None:
    at_once, one_by_one = Bursts(), Bursts()
    for heard, missing in ((5, 1), (3, 4), (20, 2), (16, 1), (15, 7), (100, 0), (1, 3)):
        for _ in range(heard):
            at_once.hear()
            one_by_one.hear()
        at_once.miss(missing)
        for _ in range(missing):
            one_by_one.miss()
    assert at_once.figures() == one_by_one.figures()
    assert (at_once.missing, at_once.runs) == (one_by_one.missing, one_by_one.runs) == (18, 6)


def test_the_example_of_the_rfc_has_the_figures_of_the_rfc() -> None:
    figures = of(EXAMPLE).figures()
    assert figures.burst_length * 10 == 120
    assert int(figures.burst_density * 256 + 0.5) in (84, 85)  # the RFC prints 84 for a third of 256
    assert int(figures.gap_density * 256) == 10
    assert figures.gap_length * 10 * 2 == pytest.approx(520, abs=10)  # its text: the mean of two gaps, its figure: both


def test_play_out_judges_lost_and_late_packets_alike_as_the_example_does() -> None:
    jitter = played(EXAMPLE)
    counters = jitter.counters
    assert counters.bursts.figures() == of(EXAMPLE).figures()
    assert (counters.bursts.missing, counters.bursts.runs) == (6, 6)
    assert (counters.late, counters.discarded) == (3, 3)


def test_runs_are_of_packets_in_a_row_whether_lost_or_late() -> None:
    counters = played("1" * 20 + "00X" + "1" * 20 + "0" + "1" * 20).counters
    assert (counters.bursts.missing, counters.bursts.runs) == (4, 2)


def test_an_outage_is_one_run_of_all_the_packets_of_it() -> None:
    counters = played("1" * 20 + "0" * 40 + "1" * 20).counters
    assert (counters.bursts.missing, counters.bursts.runs) == (40, 1)
    assert counters.bursts.figures() == BurstFigures(1.0, 0.0, 40.0, 20.0)


def test_what_follows_the_last_packet_heard_is_not_judged() -> None:
    assert played("1" * 20 + "0" * 10).counters.bursts.missing == 0
