"""The queue of packets by itself: packets of 20 ms at 8 kHz, with numbers that begin just below both wraps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voip.jitter import DelayTarget, PacketQueue, PlayoutCounters, PutResult
from voip.rtp import RtpPacket

CLOCK = 8000
STEP = 160
TICK = 0.02
FIRST_SEQUENCE = 65534
FIRST_TIMESTAMP = 2**32 - 5 * STEP // 2


def packet(index: int, *, pause: int = 0, recovered: bool = False) -> RtpPacket:
    """The index-th packet of the stream; `pause`: ticks of silence before it."""
    sequence, timestamp = FIRST_SEQUENCE + index, FIRST_TIMESTAMP + index * STEP + pause
    return RtpPacket(96, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 1, b"%d" % index, recovered=recovered)


def position(index: int) -> int:
    """Where play-out is when the index-th packet is next; extended as the queue does it."""
    return FIRST_TIMESTAMP + index * STEP


class Table:
    """A queue and what became of each packet put in."""

    def __init__(self) -> None:
        self.counters, self.target = PlayoutCounters(), DelayTarget(0.06, 0.5)
        self.queue = PacketQueue(CLOCK, self.target, self.counters)

    def put(self, index: int, at: float, *, played: int | None = None, pause: int = 0, recovered: bool = False) -> str:
        """`played`: the packet that is next to be heard; None: nothing is played yet."""
        due = None if played is None else position(played)
        return self.queue.put(packet(index, pause=pause, recovered=recovered), at, position=due, step=STEP).name

    def order(self) -> list[int]:
        """What is here, taken out."""
        return [int(self.queue.pop().packet.payload) for _ in range(len(self.queue))]


@pytest.mark.parametrize(
    ("arriving", "order", "outcomes"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], {"QUEUED"}),
        ([3, 1, 2, 0], [0, 1, 2, 3], {"QUEUED"}),
        ([0, 2, 1, 2, 0], [0, 1, 2], {"QUEUED", "DUPLICATE"}),
        ([0, 7], [0, 7], {"QUEUED"}),
    ],
    ids=["in order", "reordered", "duplicated", "with a hole"],
)
def test_packets_come_out_in_order_and_once(arriving: list[int], order: list[int], outcomes: set[str]) -> None:
    table = Table()
    assert {table.put(index, 0.1 + 0.001 * turn) for turn, index in enumerate(arriving)} == outcomes
    assert table.order() == order


@pytest.mark.parametrize(("first", "kept"), [(True, b"itself"), (False, b"sooner")])
def test_a_packet_takes_the_place_of_what_was_rebuilt_for_it(first: bool, kept: bytes) -> None:
    """A copy may be of lower quality; what has come by itself is not replaced by a copy, nor by another one."""
    table = Table()
    table.put(0, 0.0)
    for rebuilt, payload in ((first, b"sooner"), (False, b"itself"), (True, b"later")):
        table.queue.put(replace(packet(1, recovered=rebuilt), payload=payload), 0.06, position=None, step=STEP)
    table.queue.pop()
    assert table.queue.pop().packet.payload == kept
    assert not len(table.queue)


@pytest.mark.parametrize(
    ("index", "at", "played", "outcome", "queued", "held_back"),
    [
        (10, 0.20, 9, "QUEUED", 1, 0),
        (10, 0.20, None, "QUEUED", 1, 0),
        (10, 0.26, 11, "LATE", 0, 1),
        (10, 0.26, 10, "QUEUED", 1, 0),
        (3000, 0.20, 10, "HELD", 0, 1),
        (10, 5.20, 11, "HELD", 0, 1),
    ],
    ids=["before its turn", "before play-out", "after its turn", "at its turn", "from the future", "seconds late"],
)
def test_what_becomes_of_a_packet(
    index: int, at: float, played: int | None, outcome: str, queued: int, held_back: int
) -> None:
    table = Table()
    table.put(0, 0.0)
    table.order()
    assert table.put(index, at, played=played) == outcome
    assert (len(table.queue), table.queue.held_back) == (queued, held_back)


@pytest.mark.parametrize(
    ("late", "adopted"),
    [
        ([(5, 0.30)], None),
        ([(5, 0.30), (6, 0.32)], None),
        ([(5 + i, 0.30 + i * TICK) for i in range(5)], 5),
        ([(5 + i, 0.30 + i * 0.004) for i in range(30)], None),
        ([(500, 0.30), (501, 0.32)], 500),
        ([(500, 0.30), (900, 0.32)], None),
    ],
    ids=["one", "two", "five in a row", "a backlog that is caught up", "another time line", "two that disagree"],
)
def test_a_run_becomes_the_queue_when_it_goes_on(late: list[tuple[int, float]], adopted: int | None) -> None:
    table = Table()
    table.put(0, 0.0)
    table.order()
    for index, at in late:
        table.put(index, at, played=40)
    first = table.queue.adopt_run(STEP)
    assert (None if first is None else first - FIRST_SEQUENCE) == adopted
    assert len(table.queue) == (0 if adopted is None else len(late))


def test_a_run_that_ends_was_late() -> None:
    table = Table()
    table.put(0, 0.0)
    for index in (3, 4):
        table.put(index, 0.2, played=7)
    assert (table.counters.late, table.queue.held_back) == (0, 2)
    assert table.put(8, 8 * TICK, played=7) == "QUEUED"
    assert (table.counters.late, table.queue.held_back) == (2, 0)


@pytest.mark.parametrize(
    ("transits", "fastest"),
    [([0.03, 0.01, 0.02], 0.01), ([0.03, -0.3], 0.03), ([0.03, -0.3, -0.3], -0.3)],
    ids=["the smallest", "one far below", "two far below"],
)
def test_the_fastest_transit_is_believed_in_company(transits: list[float], fastest: float) -> None:
    table = Table()
    for index, transit in enumerate(transits):
        table.put(index, 1.0 + index * TICK + transit)
    assert table.queue.fastest == pytest.approx(1.0 + fastest - FIRST_TIMESTAMP / CLOCK)


def test_a_rebuilt_packet_says_nothing_of_the_fastest() -> None:
    table = Table()
    table.put(0, 0.05)
    table.put(1, 0.0, recovered=True)
    assert table.queue.fastest == pytest.approx(0.05 - FIRST_TIMESTAMP / CLOCK)
    assert table.put(1, 0.06) == PutResult.DUPLICATE.name


def test_packets_that_are_no_sound_are_not_missing() -> None:
    table = Table()
    table.put(0, 0.0)
    for index in (1, 2):
        table.queue.note(packet(index))
    assert table.queue.says_silence
    table.put(4, 4 * TICK)
    table.queue.pop()
    assert table.queue.lost(FIRST_SEQUENCE, position(1), STEP) == 1


def test_after_a_clear_any_numbers_begin_a_stream() -> None:
    table = Table()
    table.put(0, 0.0)
    table.queue.clear()
    assert (len(table.queue), table.queue.fastest) == (0, None)
    assert table.put(0, 0.1) == "QUEUED"
