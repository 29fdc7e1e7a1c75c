"""Packets on their way to a capture: their order, their times, what finds no room, a file that cannot be written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.pcapng import read_capture
from voip.net.capture import HELD_BYTES, OVERHEAD, InOrder, PacketCapture
from voip.net.capture_file import CaptureFile, Flow, Packet
from voip.net.steady_clock import SteadyClock

FLOW, PEER = Flow(("192.0.2.1", 5004), signalling=False), ("198.51.100.7", 40000)
NOON = 1_790_000_000.0


def fail(reason: str) -> None:
    raise AssertionError(reason)


def stopped_clock() -> SteadyClock:
    return SteadyClock(lambda: 0.0, lambda: NOON)


def packet(at: float, number: int, payload: bytes = b"") -> Packet:
    return Packet(at, number, FLOW, PEER, payload, True, (0, 0))


# --- order ------------------------------------------------------------------------------------------------------------


def test_packets_are_written_by_their_time_whoever_notes_them_first(tmp_path: Path) -> None:
    capture = PacketCapture(tmp_path / "call.pcapng", "voip", fail, clock=stopped_clock())
    for at in (3, 1, 2, 0, 2, 1):
        capture.note(NOON + at, FLOW, PEER, b"%d" % at, inbound=True)
    capture.close()
    found = read_capture(tmp_path / "call.pcapng")
    assert found.payloads == [b"0", b"1", b"1", b"2", b"2", b"3"]
    assert [seen.at - NOON for seen in found.packets] == [0, 1, 1, 2, 2, 3]
    assert (capture.stats.packets, capture.stats.dropped, capture.stats.error) == (6, 0, None)
    assert (found.noticed, found.dropped) == (6, 0)
    assert capture.written_bytes < (tmp_path / "call.pcapng").stat().st_size + 1


def test_those_of_one_moment_stay_as_they_were_noted() -> None:
    order = InOrder()
    for number in (4, 1, 3, 2, 0):
        order.add(packet(NOON, number))
    assert [each.number for each in order.take(NOON)] == [0, 1, 2, 3, 4]


def test_a_packet_is_held_back_until_its_time_and_one_that_is_behind_it_gets_the_time_before() -> None:
    order = InOrder()
    order.add(packet(1.0, 0))
    order.add(packet(3.0, 1))
    assert [each.at for each in order.take(2.0)] == [1.0]
    order.add(packet(0.5, 2))
    order.add(packet(2.5, 3))
    assert [(each.at, each.number) for each in order.take(2.6)] == [(1.0, 2), (2.5, 3)]
    assert [each.number for each in order.take(9.0)] == [1]


def test_no_more_is_held_back_than_there_is_room() -> None:
    order, size = InOrder(), 10_000
    count = 3 * HELD_BYTES // (size + OVERHEAD)
    for number in range(count):
        order.add(packet(float(number), number, bytes(size)))
    taken = len(list(order.take(0.0)))
    assert count // 2 < taken < count * 3 // 4


# --- what finds no room -----------------------------------------------------------------------------------------------


def test_what_finds_no_room_is_dropped_and_counted_and_nobody_waits(tmp_path: Path) -> None:
    """The clock stands still, so that everything is held back until the end, as behind a disk that stalls."""
    capture = PacketCapture(
        tmp_path / "call.pcapng", "voip", fail, clock=stopped_clock(), max_waiting=10 * (100 + OVERHEAD)
    )

    def note() -> None:
        for _ in range(200):
            capture.note(NOON, FLOW, PEER, bytes(100), inbound=False)

    threads = [threading.Thread(target=note) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 600 - 13 <= capture.stats.dropped <= 590, "three threads may find the same room"
    capture.close()
    told, found = capture.stats, read_capture(tmp_path / "call.pcapng")
    assert told.packets + told.dropped == 600
    assert len(found.packets) == told.packets >= 10
    assert (found.noticed, found.dropped) == (600, told.dropped)


# --- a file that cannot be written ------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_ends_the_capture_and_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    capture = PacketCapture(tmp_path / "nowhere" / "call.pcapng", "voip", told.append, clock=stopped_clock())
    for _ in range(3):
        capture.note(NOON, FLOW, PEER, b"x", inbound=True)
    capture.close()
    assert told == ["No such file or directory"]
    capture.note(NOON, FLOW, PEER, b"x", inbound=True)
    stats = capture.stats
    assert (stats.packets, stats.dropped, stats.error) == (0, 4, "No such file or directory")


def test_what_comes_after_the_failure_is_counted_and_does_not_wait(tmp_path: Path) -> None:
    failed = threading.Event()
    capture = PacketCapture(tmp_path / "nowhere" / "call.pcapng", "voip", lambda reason: failed.set())
    capture.note(capture.clock.now() - 60.0, FLOW, PEER, b"x", inbound=True)
    assert failed.wait(60.0), "without waiting for the end"
    for _ in range(10_000):
        capture.note(capture.clock.now(), FLOW, PEER, bytes(1000), inbound=True)
    assert capture.stats.dropped == 10_001
    capture.close()
    assert capture.stats.dropped == 10_001


class StuckFile(CaptureFile):
    """On a disk that does not respond until it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "voip")
        self.responds = threading.Event()

    def append(self, packets: Sequence[Packet]) -> None:
        self.responds.wait(60.0)
        super().append(packets)


def test_a_disk_that_does_not_respond_is_not_waited_for_at_the_end(tmp_path: Path) -> None:
    told, file = list[str](), StuckFile(tmp_path / "call.pcapng")
    capture = PacketCapture(file.path, "voip", told.append, clock=stopped_clock(), file=file, patience=0.2)
    capture.note(NOON, FLOW, PEER, b"x", inbound=True)
    capture.close()
    assert told == ["the disk has not responded for 0.2 s"]
    assert (capture.stats.packets, capture.stats.dropped) == (0, 1)
    file.responds.set()


# --- the clock --------------------------------------------------------------------------------------------------------


class Clocks:
    """A monotonic clock and a wall clock, which can be set."""

    def __init__(self) -> None:
        self.passed, self.ahead, self.step = 100.0, NOON, 0.0

    def monotonic(self) -> float:
        self.passed += self.step
        return self.passed

    def wall(self) -> float:
        return self.passed + self.ahead


def test_times_go_on_steadily_when_the_wall_clock_is_set() -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.monotonic, clocks.wall)
    assert clock.now() == pytest.approx(NOON + 100.0, abs=1e-3)
    for step in (-3600.0, +7200.0, -2.0, +0.5):
        clocks.passed += 1.0
        before = clock.now()
        clocks.ahead += step
        clock.look()
        assert clock.now() == before
        stamp = clocks.wall() - 0.25  # of the kernel, a quarter of a second ago
        assert clock.stamped(stamp) == pytest.approx(before - 0.25, abs=1e-3)
        assert clock.of_monotonic(clocks.passed) == before


@pytest.mark.parametrize("waited", [-3600.0, -0.5, 11.0, 3600.0])
def test_a_stamp_that_cannot_be_is_taken_for_now(waited: float) -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.monotonic, clocks.wall)
    assert clock.stamped(clocks.wall() - waited) == clock.now()


def test_a_thread_that_comes_in_between_two_looks_at_the_clocks_is_not_taken_for_a_step() -> None:
    clocks = Clocks()
    clock = SteadyClock(clocks.monotonic, clocks.wall)
    clocks.step = 0.1  # seconds that another thread runs between any two looks
    clock.look()
    clocks.step = 0.0
    assert clock.stamped(clocks.wall() - 0.25) == pytest.approx(clock.now() - 0.25, abs=1e-3)
