"""The benchmarks' wire: what becomes of packets, without any wire. All seeded."""

import argparse
import io
import json
import socket
import struct
import sys
import threading
from dataclasses import replace

import pytest

from tests.bench import bulk
from tests.bench.queueing import record_of, tcp_figures
from tests.bench.rows import ALL, FULL_LINES, ROWS, Row, find, matching, selected
from tests.bench.running import parse_line
from tests.bench.wire import Wire, add_options, dissect, parse_step, steps_of
from tests.support.bottleneck import Bottleneck
from tests.support.network import Impairment, Step

PTIME = 0.02
_LINGER = "hh" if sys.platform == "win32" else "ii"  # struct linger


def udp(payload: bytes, source: int = 5004, target: int = 5006) -> bytes:
    length = 28 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, bytes(4), bytes(4))
    return header + struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(payload: bytes, target: int = 5900) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, bytes(4), bytes(4))
    return header + struct.pack("!HHIIBBHHH", 40000, target, 0, 0, 0x50, 16, 1000, 0, 0) + payload


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
        (tcp(bytes(20)), "tcp"),
        (tcp(bytes(20), 5060), "sip"),
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
    log = io.StringIO()
    wire = Wire((-1, -2), find("loss20").steps, seed=10, log=log)
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
    lines = [parse_line(line) for line in log.getvalue().splitlines()]
    assert len(lines) == 1001, "SIP is not in the log"
    assert sum(not line.delays for line in lines if line.kind == "rtp 96") == kinds["rtp 96"]["dropped"]
    assert lines[3].timestamp == 3 * 960
    assert lines[-1].direction == "far>near"


def test_the_log_has_what_each_packet_met_at_the_bottleneck_and_whose_it_was() -> None:
    log = io.StringIO()
    there = (Step(0.0, Impairment(bottleneck=Bottleneck(8 * 1000, 1640))),)
    wire = Wire((-1, -2), there, log=log, back=(Step(0.0, Impairment()),))
    packet = udp(rtp(96))
    for _ in range(2):
        wire.offer(wire._forth, packet, 1.0)
    wire.offer(wire._forth, tcp(bytes(1460)), 1.0)
    wire.offer(wire._forth, packet, 1.0)
    wire.offer(wire._back, udp(rtp(96), 5006, 5004), 1.0)
    first, second, third, back = (parse_line(line) for line in log.getvalue().splitlines())
    own = len(packet) / 1000
    assert (first.wait, first.full, first.far_port) == (0.0, False, 5006)
    assert first.delays[0] == pytest.approx(own + 0.02)
    assert second.wait == pytest.approx(own)
    assert third.wait == pytest.approx(2 * own + 1.5)
    assert (second.full, third.full, third.delays) == (False, True, ())
    assert (back.wait, back.full, back.far_port) == (None, False, 5006)
    record = record_of([first, second, third, back])
    assert (len(record.arrivals), record.dropped) == (3, 1)
    assert wire.summary()["near>far"]["kinds"]["tcp"]["bytes"] == 1500


def test_what_is_lost_before_the_bottleneck_has_met_no_queue() -> None:
    log = io.StringIO()
    lossy = Impairment(loss=1.0, loss_first=True, bottleneck=Bottleneck(8000, 1000))
    wire = Wire((-1, -2), (Step(0.0, lossy),), log=log)
    wire.offer(wire._forth, udp(rtp(96)), 1.0)
    assert parse_line(log.getvalue()).wait is None


def test_the_command_line_makes_a_bottleneck_that_changes_and_one_of_its_own_for_the_way_back() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    words = ["--rate-kbps", "256", "--queue-ms", "1000", "--step", "30:rate=64", "--step", "90:rate=256,queue=200"]
    there, back = steps_of(parser.parse_args(words))
    rates = [(step.at, step.impairment.bottleneck) for step in there]
    assert rates == [(0.0, Bottleneck(256e3, 32e3)), (30.0, Bottleneck(64e3, 8e3)), (90.0, Bottleneck(256e3, 6.4e3))]
    assert back == there
    there, back = steps_of(parser.parse_args([*words, "--back-rate-kbps", "40"]))
    assert {step.impairment.bottleneck for step in back} == {Bottleneck(40e3, 5e3)}
    assert steps_of(parser.parse_args([*words, "--back-rate-kbps", "0"]))[1][0].impairment.bottleneck is None
    assert steps_of(parser.parse_args(["--row", "line-steps"]))[0] == find("line-steps").steps
    with pytest.raises(ValueError, match="both rate and queue"):
        parse_step("3:rate=64", Impairment())


def test_what_a_tcp_connection_has_brought_is_counted_until_it_is_reset() -> None:
    taken: list[list[bulk.Sample]] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=lambda: taken.append(bulk.serve(server)))
        thread.start()
        client = socket.create_connection(server.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
        client.sendall(bytes(100_000))
        client.close()
        thread.join(10)
    (samples,) = taken
    assert samples[0][1] == 0
    assert samples[-1][1] <= 100_000
    assert sorted(samples) == samples


def test_the_rate_of_a_tcp_connection_counts_headers() -> None:
    samples = [(10.0, 0), (11.0, 14480), (12.0, 14480), (13.0, 43440)]
    assert bulk.kbps(samples, 10.0, 13.0) == pytest.approx(30 * 1500 * 8e-3 / 3)
    assert bulk.kbps(samples, 11.0, 12.5) == 0.0
    assert bulk.kbps([], 0.0, 1.0) == 0.0


def test_the_rate_beside_a_call_is_of_its_own_time() -> None:
    parts = ("10.000000", "near>far", "rtp 96", 1, 0, 60, "20.000", 5006, "", 0)
    log = [parse_line("\t".join(map(str, parts)))]
    samples = [(0.0, 0), (9.0, 1_000_000), (15.0, 1_144_800), (70.1, 9_000_000)]
    row = find("line256-tcp")
    assert tcp_figures(row, samples, log) == {"tcp_kbps": pytest.approx(100 * 1500 * 8e-3 / 60)}
    assert tcp_figures(row, samples, []) == {}


def test_a_step_on_the_command_line_changes_what_it_names() -> None:
    first = Impairment(loss=0.1, jitter=0.03)
    assert parse_step("60:loss=0.2", first) == Step(60.0, Impairment(loss=0.2, jitter=0.03))
    with pytest.raises(ValueError, match="speed: a step"):
        parse_step("60:speed=1", first)


def test_rows_are_named_once_and_found() -> None:
    assert len({row.name for row in ALL}) == len(ALL) == len(ROWS) + len(FULL_LINES)
    assert all(find(row.name) is row for row in ALL)
    with pytest.raises(ValueError, match="clean"):
        find("unknown")


def test_rows_are_selected_by_patterns_each_once_and_all_without() -> None:
    assert [row.name for row in matching("line96-?*0")] == ["line96-200", "line96-1000", "line96-2000", "line96-loss10"]
    assert matching("clean") == (find("clean"),)
    with pytest.raises(ValueError, match="no row 'line95"):
        matching("line95-*")
    assert selected([matching("*5"), matching("loss5")]) == [find("loss5"), find("burst5"), find("outage5")]
    assert selected(None) == list(ALL)
    assert selected(None, ROWS) == list(ROWS)


def test_only_rows_with_a_bottleneck_are_full_lines_and_settle_after_each_step() -> None:
    assert [row for row in ALL if row.full_line] == list(FULL_LINES)
    assert find("line-steps").settled == [(5.0, 30.0), (35.0, 90.0), (95.0, 150.0)]
    assert replace(find("line-steps"), seconds=34.0).settled == [(5.0, 30.0)]
    two = find("line96-two")
    assert two.settled == [(5.0, 10.0), (15.0, 60.0)]
    assert (two.of_second.settled, two.of_second.seconds) == ([(5.0, 50.0)], 50.0)
    assert find("line40-200").way_back == find("line40-200").steps


def test_the_loss_of_a_row_is_that_over_its_whole_length() -> None:
    assert find("steps").loss == pytest.approx(0.2 / 3)
    assert replace(find("steps"), seconds=30.0).loss == 0.0
    assert replace(find("steps"), seconds=80.0).loss == pytest.approx(0.05)
    assert Row("r", "r", (Step(0.0, Impairment(loss=0.3)),)).loss == pytest.approx(0.3)
