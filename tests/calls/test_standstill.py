"""A machine that stands still for some tenths of a second: both ends of a call, then all at once, in virtual time."""

from __future__ import annotations

import pytest

from tests.bench.rows import Row
from tests.bench.virtual import TwoWayCall, noise, pcm
from tests.bench.waves import RATE, stretch
from tests.support.bottleneck import Bottleneck
from tests.support.network import Impairment, Step
from voip import codecs

STILL = (0.15, 0.25, 0.38)
"""Seconds."""
TIMES = 3
"""How often in a call."""
APART = 8.0
"""Seconds from one to the next: less than the queue's memory."""
RECOVERY = 2.0
"""Seconds after which nothing of it may be left in what is sent."""
needs_opus = pytest.mark.skipif(codecs.missing("opus") is not None, reason="needs libopus")


def stalled(seed: int, still: float, impairment: Impairment, latency: float | None = None) -> TwoWayCall:
    """A call that stands still, each time at another moment between two reports; all limits seen RECOVERY later."""
    call = TwoWayCall(Row("still", "still", (Step(0.0, impairment),)), seed, latency=latency)
    sound = pcm(stretch(noise(), APART + TIMES * (APART + 1.0)))
    at = round(APART * RATE)
    call.talk_on(sound[:at])
    for index in range(TIMES):
        length = round(still * RATE)
        call.stand_still(sound[at : at + length])
        pause = round((APART + 0.07 * index + 0.013 * seed) * RATE)
        call.talk_on(sound[at + length : at + length + round(RECOVERY * RATE)])
        congestion = call.sender.stats.congestion
        assert not congestion.full, f"seed {seed}, {still} s"
        assert congestion.limit is None or congestion.limit >= 60e3, f"seed {seed}, {still} s: {call.decisions}"
        call.talk_on(sound[at + length + round(RECOVERY * RATE) : at + pause])
        at += pause
    call.end()
    return call


@needs_opus
@pytest.mark.parametrize("still", STILL)
def test_a_standstill_is_not_taken_for_a_full_line(still: float) -> None:
    for seed in range(6):
        call = stalled(seed, still, Impairment())
        assert call.sender.stats.congestion.times_full == 0, f"seed {seed}: {call.decisions}"


@needs_opus
@pytest.mark.parametrize("still", STILL)
def test_what_a_standstill_puts_into_the_queue_of_a_narrow_line_is_soon_forgotten(still: float) -> None:
    """What was spoken meanwhile is sent at once, which makes a queue for as long as the line needs for it."""
    for seed in range(3):
        stalled(seed, still, Impairment(bottleneck=Bottleneck.lasting(128e3, 1.0)))


@needs_opus
@pytest.mark.parametrize("still", STILL)
def test_a_fixed_delay_that_is_longer_leaves_no_holes(still: float) -> None:
    for seed in range(6):
        heard = stalled(seed, still, Impairment(), latency=0.4).receiver.snapshot().playout
        assert (heard.concealed, heard.late, heard.skipped, heard.underruns) == (0, 0, 0, 0), f"seed {seed}"
