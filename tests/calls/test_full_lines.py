"""Calls on full lines in virtual time: what waits in the queue, what it drops, and what is left to others.

The rows of the benchmarks (`tests.bench.rows.FULL_LINES`) with everything at its default, for twenty seeds: none may be
worse than twice what the row asks for. What the speech is like is measured by `make bench`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.bench.queueing import queue_figures
from tests.bench.rows import FULL_LINES, Row, find
from tests.bench.virtual import TwoWayCall, noise, pcm, talk_both
from tests.bench.waves import stretch
from tests.support.bottleneck import Bottleneck
from tests.support.network import Impairment, Step
from voip import codecs
from voip.congestion import CircuitBreaker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(codecs.missing("opus") is not None, reason="only Opus can send less"),
]
SEEDS = 20
FAIR_SEEDS = 5
SECONDS = 25.0
"""Of a call: five in which a rate is found, and twenty that count."""
LINE_SECONDS = 3.0
"""Of packets whose mean size counts for RFC 8083's line: the reports of as long a time make it (`MIN_SECONDS`)."""
BURST_SECONDS = 0.5
"""Between two reports that may tell how much is sent: in less, a few packets more or fewer count."""
STEADY = [row for row in FULL_LINES if row.name.endswith("-1000")]
"""With a queue that is long enough to be felt: ten times the bound."""


def talk(row: Row, seed: int) -> TwoWayCall:
    call = TwoWayCall(row, seed)
    call.talk(pcm(stretch(noise(), row.seconds)))
    return call


def check_breaker(call: TwoWayCall, seed: int) -> None:
    """RFC 8083 section 4.3, from the reports of the peer and what went onto the wire: never beyond the line that the
    newest report tells, from when the sender has it until it has the next."""
    breaker, record = CircuitBreaker(), call.forth.path.queue
    begin, told = record.arrivals[0].at, 0.0
    for report in call.reports:
        now = report.at - begin
        if breaker.line < math.inf and now - told >= BURST_SECONDS:
            sent = sum(arrival.size for arrival in record.between(told, now))
            assert 8 * sent / (now - told) <= breaker.line, f"seed {seed}, at {now:.1f} s"
        told = now
        sizes = [arrival.size for arrival in record.between(now - LINE_SECONDS, now)]
        if report.rtt is not None and sizes:
            breaker.report(report.at, report.fraction_lost, report.rtt, sum(sizes) / len(sizes))


def check(row: Row, call: TwoWayCall, seed: int) -> None:
    """The queue of the row's bounds, twice."""
    check_breaker(call, seed)
    figures, bounds = queue_figures(row, call.forth.path.queue), row.bounds
    if bounds.queue is not None:
        assert figures["queue_p95_ms"] <= 2 * bounds.queue, f"seed {seed}"
    if bounds.drops is not None:
        assert figures["drops_pct"] <= 2 * bounds.drops, f"seed {seed}"


@pytest.mark.parametrize("row", STEADY, ids=[row.name for row in STEADY])
def test_no_seed_fills_the_queue_of_a_line(row: Row) -> None:
    short = replace(row, seconds=SECONDS)
    for seed in range(SEEDS):
        check(short, talk(short, seed), seed)


def test_random_losses_on_a_narrow_line_do_not_fill_it() -> None:
    row = find("line96-loss10")  # whole: more FEC may be tried once, and 2 s of a queue are a tenth of a short call
    for seed in range(SEEDS):
        check(row, talk(row, seed), seed)


def test_a_line_that_becomes_narrow_is_emptied() -> None:
    row = find("line-steps")
    wide, narrow, _ = row.steps
    short = replace(row, steps=(wide, replace(narrow, at=10.0)), seconds=30.0)
    assert short.bounds.again is not None
    for seed in range(SEEDS):
        call = talk(short, seed)
        check_breaker(call, seed)
        again = queue_figures(short, call.forth.path.queue)["again_s"]
        assert again is not None, f"seed {seed}"
        assert again <= 2 * short.bounds.again, f"seed {seed}"


def test_a_tcp_beside_a_call_keeps_its_share() -> None:
    row = replace(find("line256-tcp"), seconds=SECONDS)
    assert row.bounds.tcp is not None
    for seed in range(SEEDS):
        call = talk(row, seed)
        assert call.lines.tcp is not None
        begin = call.lines.tcp.begun or 0.0
        assert call.lines.tcp.kbps(begin, begin + row.seconds) >= row.bounds.tcp / 2, f"seed {seed}"
        check_breaker(call, seed)


def test_two_calls_share_a_line_that_is_too_narrow_for_both_as_they_are() -> None:
    row = replace(find("line96-two"), seconds=SECONDS, second=5.0)
    for seed in range(SEEDS):
        first = TwoWayCall(row, seed)
        second = TwoWayCall(row, seed + 1000, lines=first.lines, begin=5.0)
        talk_both(first, pcm(stretch(noise(), SECONDS)), second, pcm(stretch(noise(), SECONDS - 5.0)))
        rates = [call.forth.path.queue.kbps(at, at + 10.0) for call, at in ((first, 14.0), (second, 9.0))]
        assert max(rates) <= 3 * min(rates), f"seed {seed}"
        check(row, first, seed)


def test_after_a_minute_two_calls_have_a_quarter_of_what_both_send_at_least() -> None:
    """The one that is there first has no advantage that lasts: 64 kbit/s do not suffice for both at full quality."""
    row = Row("two", "two", (Step(0.0, Impairment(bottleneck=Bottleneck.lasting(64e3, 1.0))),), seconds=80.0)
    for seed in range(FAIR_SEEDS):
        first = TwoWayCall(row, seed)
        second = TwoWayCall(row, seed + 1000, lines=first.lines, begin=10.0)
        talk_both(first, pcm(stretch(noise(), row.seconds)), second, pcm(stretch(noise(), row.seconds - 10.0)))
        rates = [call.forth.path.queue.kbps(at, at + 10.0) for call, at in ((first, 70.0), (second, 60.0))]
        assert 1 / 4 <= rates[0] / sum(rates) <= 3 / 4, f"seed {seed}: {rates}"
