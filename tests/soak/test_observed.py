"""What a row of a soak tells of the memory of the receiver."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from tests.soak.observed import MOST_GROWTH, Memory, Row, Sample, resident, watched
from tests.support.processes import PATIENCE, Receiver

START = Sample(
    time=10.0,
    processor=1.0,
    memory=70_000_000,
    descriptors=11,
    threads=3,
    expected=500,
    lost=1,
    concealed_ms=20.0,
)


def test_a_row_tells_of_memory_at_the_start_after_a_minute_at_most_and_at_the_end() -> None:
    memory = Memory([(1.0, 70_100_000), (60.5, 71_000_000), (61.5, 79_000_000), (90.0, 75_000_000)])
    after = replace(START, time=110.0, processor=6.0, memory=76_000_000, expected=5500, lost=51, concealed_ms=420.0)
    row = Row("invites", "INVITE 100000", START, after, memory)
    assert row.line.split() == [
        *("invites", "100", "5000", "1.000", "400", "5.0", "70.0", "+1.0", "+9.0", "+6.0", "11", "3"),
        *("INVITE", "100000"),
    ]
    assert row.growth > MOST_GROWTH
    assert len(row.line) - len("INVITE 100000") > Row.HEAD.index("thr")


def test_a_phase_of_less_than_a_minute_says_nothing_of_the_first() -> None:
    row = Row("tcp", "", START, replace(START, time=20.0), Memory([(1.0, 70_000_000)]))
    assert row.line.split()[7] == "-"


def test_memory_is_that_of_the_process() -> None:
    here = cast(Receiver, SimpleNamespace(pid=os.getpid()))
    assert resident(here) > 1_000_000
    deadline = time.monotonic() + PATIENCE
    with watched(here, interval=0.001) as memory:
        while len(memory.looks) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
    assert len(memory.looks) >= 2
    assert memory.looks[0][0] <= memory.looks[-1][0]
    assert memory.most > 1_000_000
