"""The matrix in virtual time: whole calls with everything at its default, and the bounds that they must keep.

Opus, adaptive FEC and play-out, RTCP both ways. What a call sounds like is measured by `make bench`; here it counts how
much of what was sent was never heard, and what the delay was.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.bench.figures import conversation
from tests.bench.rows import ROWS, STEPS, Row, find
from tests.bench.virtual import TwoWayCall, noise
from tests.bench.waves import RATE, stretch
from voip.codecs import static
from voip.dsp import Pcm
from voip.stats import ReceiverStats

STEADY = ROWS[:-1]
"""The rows of one condition throughout."""
SEEDS = 20
OTHER_SEEDS = (2, 3, 4, 5)
"""Calls beside the first whose medians are the delay and the bit rate of a row with jitter: single ones are up to 10 ms
and 14 kbit/s apart."""
BEYOND_BUFFER = 0.0265
"""Seconds of mouth-to-ear delay that are not the jitter buffer's: a packet, and the encoder's look-ahead of 6.5 ms."""
GOOD_R = 80
"""R at least where packets are lost or late by chance: users are satisfied (ITU-T G.109)."""
MOST_LATE = 1
"""Seeds of twenty that may wait longer than twice the bound: of 30 % random loss one does, for 0.4 s."""
MOST_LOST = 1
"""Seeds of twenty that may miss more than twice the bound, of 30 s: in one a burst of thirteen packets takes 0.7 %."""
NO_PAUSES = 1.15
"""Times the bound that the delay may be here: the sound is noise, in which there is nowhere to shorten it unheard."""


def talk(call: TwoWayCall, seconds: float) -> float:
    """Talk; the median of the jitter buffer's delay, looked at each second."""
    delays = []
    everything = sound(seconds)
    for at in range(0, len(everything), RATE):
        call.talk_on(everything[at : at + RATE])
        delays.append(call.receiver.stats.playout.delay or 0.0)
    call.talk(everything[:0])
    return float(np.median(delays))


def sound(seconds: float) -> Pcm:
    return np.clip(np.rint(stretch(noise(), seconds) * 32768), -32768, 32767).astype(np.int16)


def missing(stats: ReceiverStats) -> float:
    """Percent of the packets sent that were never heard."""
    return 100.0 * (stats.expected - stats.playout.played) / stats.expected


def made_up(stats: ReceiverStats) -> float:
    """Percent of what was heard that no packet brought."""
    return 100.0 * stats.playout.concealed_seconds / (stats.playout.played_seconds + stats.playout.concealed_seconds)


def check_sums(stats: ReceiverStats) -> None:
    assert stats.expected == stats.received + stats.lost
    assert stats.lost == stats.recovered + stats.lost_after_fec


@pytest.mark.slow
@pytest.mark.parametrize("row", STEADY, ids=[row.name for row in STEADY])
def test_a_minute_of_opus_keeps_the_bounds_of_its_row_from_the_first_packet_on(row: Row) -> None:
    call = TwoWayCall(row, seed=1, encrypted=False)  # as the bounds of the bit rates are meant
    delay = talk(call, row.seconds)
    stats, bounds = call.receiver.snapshot(), row.bounds
    check_sums(stats)
    if bounds.missing is not None:
        assert missing(stats) <= 0.75 * bounds.missing
        assert made_up(stats) <= bounds.missing + 0.5
    else:
        assert missing(stats) <= 0.1
    varies = row.impairment.jitter or row.impairment.burst > 1
    others = [TwoWayCall(row, seed, encrypted=False) for seed in OTHER_SEEDS if varies]
    delays = [delay, *(talk(each, row.seconds) for each in others)]
    if bounds.delay is not None:
        assert float(np.median(delays)) + BEYOND_BUFFER <= NO_PAUSES * bounds.delay / 1e3
    if not row.impairment.outage and row.impairment.burst <= 1:
        heard_late = 1e3 * (delay + BEYOND_BUFFER)
        assert conversation(max(missing(stats), made_up(stats)), heard_late)["r"] >= GOOD_R
    if bounds.kbps is not None:
        rates = [8e-3 * each.forth.ip_bytes / row.seconds for each in (call, *others)]
        assert float(np.median(rates)) <= bounds.kbps
    network = call.near.stats
    assert network.rtt is not None
    if not row.impairment.jitter:
        assert network.rtt == pytest.approx(2 * row.impairment.delay, abs=0.003)


@pytest.mark.slow
@pytest.mark.parametrize("row", STEADY, ids=[row.name for row in STEADY])
def test_none_of_twenty_seeds_is_worse_than_twice_the_bound(row: Row) -> None:
    pcmu = static(0)
    assert pcmu is not None
    short, late, lost = replace(row, seconds=30.0), list[int](), list[int]()
    for seed in range(100, 100 + SEEDS):
        call = TwoWayCall(short, seed, codec=pcmu)
        delay = talk(call, short.seconds)
        stats = call.receiver.snapshot()
        check_sums(stats)
        bound = row.bounds.missing or 0.25
        assert missing(stats) <= 3 * bound, f"seed {seed}"
        lost += [seed] * (missing(stats) > 2 * bound)
        if row.bounds.delay is not None:
            late += [seed] * (delay + BEYOND_BUFFER > 2 * row.bounds.delay / 1e3)
    assert len(late) <= MOST_LATE, f"seeds {late}"
    assert len(lost) <= MOST_LOST, f"seeds {lost}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_loss_that_comes_and_goes_is_answered_within_three_seconds_and_forgotten_within_a_minute(seed: int) -> None:
    begins, ends = (step.at for step in STEPS[1:])
    row = find("steps")
    call = TwoWayCall(row, seed)
    speech = sound(1.0)
    sizes = [0]
    for _ in range(round(row.seconds)):
        call.talk_on(speech)
        sizes.append(call.forth.ip_bytes)
    rates = [8e-3 * (after - before) for before, after in pairwise(sizes)]
    calm = float(np.mean(rates[round(begins) - 10 : round(begins)]))
    assert calm < 70
    up = next(second for second in range(round(begins), len(rates)) if rates[second] > 1.5 * calm)
    assert up + 1 - begins <= 4, "in the second after the third, at the latest, more is sent"
    assert float(np.mean(rates[-5:])) < 1.1 * calm
    assert rates[round(ends) + 1] > 1.2 * calm, "what protects is not given up at once"
