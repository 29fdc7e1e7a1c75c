"""The benchmarks' wire: what becomes of packets, without any wire. All seeded."""

import json
import math
import random
import statistics
import struct
from dataclasses import replace

import pytest

from tests.bench.fate import Bursts, Independent, Outages, Path
from tests.bench.rows import ROWS, Impairment, Row, Step, find
from tests.bench.running import parse_line
from tests.bench.wire import Wire, dissect, parse_step

PTIME = 0.02
MANY = 60_000


def runs_of_losses(flags: list[bool]) -> list[int]:
    lengths, count = [], 0
    for lost in [*flags, False]:
        if lost:
            count += 1
        elif count:
            lengths.append(count)
            count = 0
    return lengths


def test_independent_losses_have_their_share_and_no_memory() -> None:
    losses = Independent(0.2, random.Random(1))
    flags = [losses.lost(n * PTIME) for n in range(MANY)]
    assert statistics.mean(flags) == pytest.approx(0.2, abs=0.006)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(1 / 0.8, abs=0.03)


@pytest.mark.parametrize(("share", "mean"), [(0.05, 3.0), (0.1, 3.0), (0.2, 8.0)])
def test_bursts_have_their_share_and_mean_length(share: float, mean: float) -> None:
    losses = Bursts(share, mean, random.Random(2))
    flags = [losses.lost(n * PTIME) for n in range(4 * MANY)]
    assert statistics.mean(flags) == pytest.approx(share, rel=0.08)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("step", [0.02, 0.005])
def test_outages_last_as_long_however_many_packets_are_sent_meanwhile(step: float) -> None:
    losses = Outages(0.1, 0.06, random.Random(3))
    flags = [losses.lost(n * step) for n in range(round(3000 / step))]
    assert statistics.mean(flags) == pytest.approx(0.1, rel=0.06)
    # the chance that a Markov chain in continuous time that is bad is bad again one step later
    again = 0.1 + 0.9 * math.exp(-step * (1 / 0.06 + 1 / 0.54))
    expected = 1 / (1 - again)
    assert statistics.mean(runs_of_losses(flags)) == pytest.approx(expected, rel=0.07)


def test_jitter_has_its_mean_and_reorders_only_where_it_may() -> None:
    for reorder in (True, False):
        path = Path([Step(0.0, Impairment(jitter=0.03, reorder=reorder))], 4)
        out = [path.departures(n * PTIME)[0] for n in range(MANY)]
        own = [at - n * PTIME - 0.02 for n, at in enumerate(out)]
        assert min(own) >= 0
        if reorder:
            assert statistics.mean(own) == pytest.approx(0.03, rel=0.03)
            assert statistics.quantiles(own, n=100)[89] == pytest.approx(0.03 * 2.3026, rel=0.03)
        assert (out != sorted(out)) == reorder


def test_duplicates_come_and_losses_do_not() -> None:
    path = Path([Step(0.0, Impairment(loss=0.1, duplicate=0.25))], 5)
    counts = [len(path.departures(n * PTIME)) for n in range(MANY)]
    assert counts.count(0) / MANY == pytest.approx(0.1, abs=0.005)
    assert counts.count(2) / MANY == pytest.approx(0.9 * 0.25, abs=0.008)


def test_the_same_seed_brings_the_same_fate_and_another_another() -> None:
    def fates(seed: int) -> list[list[float]]:
        path = Path(find("loss10-jitter30").steps, seed)
        return [path.departures(n * PTIME) for n in range(500)]

    assert fates(6) == fates(6)
    assert fates(6) != fates(7)


def test_steps_count_from_the_start_that_is_told() -> None:
    path = Path([Step(0.0, Impairment()), Step(1.0, Impairment(loss=1.0)), Step(2.0, Impairment())], 8)
    assert len(path.departures(50.0)) == 1, "time has not begun"
    path.start(100.0)
    path.start(300.0)
    fates = [len(path.departures(100.0 + at)) for at in (0.0, 0.99, 1.0, 1.99, 2.0, 9.0)]
    assert fates == [1, 1, 0, 0, 1, 1]


def test_spared_packets_are_only_delayed() -> None:
    path = Path([Step(0.0, Impairment(loss=1.0, jitter=0.1))], 9)
    assert path.departures(1.0, spared=True) == [1.02]
    assert path.departures(1.0) == []


def udp(payload: bytes, source: int = 5004, target: int = 5006) -> bytes:
    length = 28 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, bytes(4), bytes(4))
    return header + struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def rtp(payload_type: int, sequence: int = 7, timestamp: int = 9, marker: bool = False) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type | marker << 7, sequence, timestamp, 1) + bytes(20)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (udp(rtp(96)), "rtp 96"),
        (udp(rtp(97, marker=True)), "rtp 97"),
        (udp(struct.pack("!BBHI", 0x80, 200, 6, 1)), "rtcp"),
        (udp(struct.pack("!BBHI", 0x81, 207, 6, 1)), "rtcp"),
        (udp(b"INVITE sip:a SIP/2.0", 40000, 5060), "sip"),
        (udp(rtp(96)[:11]), "other"),
        (udp(b""), "other"),
        (b"", "other"),
        (b"\x45", "other"),
        (b"\x4f" + bytes(40), "other"),
    ],
)
def test_packets_are_told_apart(data: bytes, kind: str) -> None:
    assert dissect(data, frozenset({5060})).kind == kind


def test_sequence_and_timestamp_are_read() -> None:
    packet = dissect(udp(rtp(96, 65535, 2**32 - 1)), frozenset())
    assert (packet.sequence, packet.timestamp, packet.ports) == (65535, 2**32 - 1, (5004, 5006))


def test_every_packet_is_counted_once_by_direction_and_kind() -> None:
    class Log:
        text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

    log = Log()
    wire = Wire((-1, -2), find("loss20").steps, seed=10, log=log)  # type: ignore[arg-type]
    forth, back = wire._forth, wire._back
    for n in range(1000):
        wire.offer(forth, udp(rtp(96, n, n * 960)), n * PTIME)
        wire.offer(forth, udp(b"BYE", 5060, 5060), n * PTIME)
    wire.offer(back, udp(struct.pack("!BBHI", 0x80, 201, 6, 1)), 3.0)
    summary = json.loads(json.dumps(wire.summary()))
    kinds = summary["near>far"]["kinds"]
    assert set(kinds) == {"rtp 96", "sip"}
    assert kinds["rtp 96"]["packets"] == 1000
    assert kinds["rtp 96"]["bytes"] == 1000 * len(udp(rtp(96)))
    assert kinds["rtp 96"]["dropped"] == pytest.approx(200, abs=45)
    assert kinds["sip"]["dropped"] == 0
    assert summary["far>near"]["kinds"]["rtcp"]["packets"] == 1
    lines = [parse_line(line) for line in log.text.splitlines()]
    assert len(lines) == 1001, "SIP is not in the log"
    assert sum(not line.delays for line in lines if line.kind == "rtp 96") == kinds["rtp 96"]["dropped"]
    assert lines[3].timestamp == 3 * 960
    assert lines[-1].direction == "far>near"


def test_a_step_on_the_command_line_changes_what_it_names() -> None:
    first = Impairment(loss=0.1, jitter=0.03)
    assert parse_step("60:loss=0.2", first) == Step(60.0, Impairment(loss=0.2, jitter=0.03))
    with pytest.raises(ValueError, match="speed"):
        parse_step("60:speed=1", first)


def test_rows_are_named_once_and_found() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(find(row.name) is row for row in ROWS)
    with pytest.raises(ValueError, match="clean"):
        find("unknown")


def test_the_loss_of_a_row_is_that_over_its_whole_length() -> None:
    assert find("steps").loss == pytest.approx(0.2 / 3)
    assert replace(find("steps"), seconds=30.0).loss == 0.0
    assert replace(find("steps"), seconds=80.0).loss == pytest.approx(0.05)
    assert Row("r", "r", (Step(0.0, Impairment(loss=0.3)),)).loss == pytest.approx(0.3)
