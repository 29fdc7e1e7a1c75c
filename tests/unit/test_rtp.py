"""RTP packets against the layouts of RFC 3550 and real captures, numbers across their wraps, reception statistics."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.rtp import MAX_REPAIR_REACH, Packetizer, ReceptionStats, RtpPacket, is_rtcp, unwrap

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "rtp"
PLAIN = RtpPacket(0, 65535, 0xFFFFFFFE, 0x11223344, b"\x01\x02\x03\x04")

# RFC 3550 section 5.1, every option at once; tshark 4.0 reads it as the values in `EVERYTHING` say.
EVERYTHING_HEX = (
    "b2 8b ffff fffffffe 11223344"  # V=2 P X CC=2, M PT=11, sequence number, timestamp, SSRC
    "a1a2a3a4 b1b2b3b4"  # CSRCs
    "bede 0002 10ff0000 22aabbcc"  # header extension: profile, length in words, data
    "01020304 000003"  # payload, padding
)
EVERYTHING = RtpPacket(
    payload_type=11,
    sequence_number=65535,
    timestamp=0xFFFFFFFE,
    ssrc=0x11223344,
    payload=b"\x01\x02\x03\x04",
    marker=True,
    csrcs=(0xA1A2A3A4, 0xB1B2B3B4),
    extension=(0xBEDE, bytes.fromhex("10ff000022aabbcc")),
    padding=b"\x00\x00\x03",
)

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=40),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=16).map(lambda data: data[: len(data) // 4 * 4])),
    padding=st.just(b"") | st.binary(max_size=20).map(lambda data: data + bytes([len(data) + 1])),
)


def media(number: int, *, timestamp: int | None = None, ssrc: int = 1, step: int = 160) -> RtpPacket:
    """The packet with that extended number in a stream whose timestamps wrap where its numbers do."""
    ticks = number * step if timestamp is None else timestamp
    return RtpPacket(0, number & 0xFFFF, ticks & 0xFFFFFFFF, ssrc, b"\xff")


def as_version_2(data: bytes) -> bytes:
    return bytes([data[0] & 0x3F | 0x80]) + data[1:]


def receive_all(numbers: list[int], *, clock_rate: int = 8000) -> ReceptionStats:
    stats = ReceptionStats(clock_rate)
    for index, number in enumerate(numbers):
        stats.count(media(number), index * 0.02)
    return stats


# -- packets ------------------------------------------------------------------------------------------------------


KEPT = bytes.fromhex("80e0fffefffffff0cafe0001010203")
KEPT_WITH_OPTIONS = bytes.fromhex("b1600001000000020000000300000004bede000110ff0000aabb0002")


@pytest.mark.parametrize("datagram", [KEPT, KEPT_WITH_OPTIONS])
def test_a_packet_keeps_the_bytes_that_it_was_parsed_from(datagram: bytes) -> None:
    packet = RtpPacket.parse(datagram)
    assert packet.serialize() is datagram
    assert replace(packet).serialize() == datagram  # made anew, from the fields


def test_a_packet_is_serialized_once() -> None:
    packet = RtpPacket(96, 1, 2, 3, b"payload")
    assert packet.serialize() is packet.serialize()


@pytest.mark.parametrize("datagram", [KEPT, KEPT_WITH_OPTIONS])
@pytest.mark.parametrize(
    "change", [{"payload_type": 5}, {"sequence_number": 9}, {"ssrc": 8}, {"payload": b"other"}, {"csrcs": (7, 8)}]
)
def test_a_changed_copy_has_bytes_of_its_own(datagram: bytes, change: dict[str, Any]) -> None:
    packet = RtpPacket.parse(datagram)
    changed = replace(packet, **change)
    assert RtpPacket.parse(changed.serialize()) == changed
    assert packet.serialize() is datagram
    assert replace(changed, **{name: getattr(packet, name) for name in change}).serialize() == datagram


def test_kept_bytes_are_no_part_of_a_packet() -> None:
    parsed, made = RtpPacket.parse(KEPT), RtpPacket(0x60, 0xFFFE, 0xFFFFFFF0, 0xCAFE0001, b"\1\2\3", True)
    assert (parsed, repr(parsed)) == (made, repr(made))
    with pytest.raises((ValueError, TypeError), match="_datagram"):  # TypeError since Python 3.13
        replace(parsed, _datagram=b"")


def test_a_packet_that_does_not_fit_is_not_kept() -> None:
    packet = RtpPacket(128, 1, 2, 3)
    for _ in range(2):
        with pytest.raises(ValueError, match="payload type"):
            packet.serialize()


def test_a_packet_with_every_option_is_read_and_written_as_the_rfc_lays_it_out() -> None:
    data = bytes.fromhex(EVERYTHING_HEX.replace(" ", ""))
    assert RtpPacket.parse(data) == EVERYTHING
    assert EVERYTHING.serialize() == data


def test_a_plain_packet_is_twelve_octets_and_its_payload() -> None:
    assert PLAIN.serialize() == bytes.fromhex("8000fffffffffffe1122334401020304")
    assert RtpPacket.parse(PLAIN.serialize()) == PLAIN
    assert RtpPacket(0, 1, 2, 3, marker=True).serialize() == bytes.fromhex("808000010000000200000003")


def test_packets_of_a_real_softphone_are_read_as_tshark_reads_them() -> None:
    lines = [line.split() for line in (VECTORS / "pcma_30ms.txt").read_text().splitlines() if line[0] != "#"]
    read = []
    for _, header, payload in lines:
        octet, count = payload.split("x")
        data = bytes.fromhex(header) + bytes.fromhex(octet) * int(count)
        packet = RtpPacket.parse(data)
        assert len(data) + 8 == 260  # the UDP length
        assert packet.serialize() == data
        assert (packet.payload_type, packet.ssrc, len(packet.payload)) == (8, 0xDEE0EE8F, 240)
        read.append((packet.sequence_number, packet.timestamp, packet.marker))
    assert read == [(59133, 240, True), (59134, 480, False), (59135, 720, False)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "shorter than its header"),
        ("8000000100000002000000", "shorter than its header"),
        ("000000010000000200000003", "version 0"),
        ("c00000010000000200000003", "version 3"),
        ("8100000100000002000000030000", "CSRC list"),
        ("90000001000000020000000300", "header extension"),
        ("900000010000000200000003bede0002aabbccdd", "header extension"),
        ("a00000010000000200000003", "padding"),  # the SSRC's last octet is not padding
        ("a0000001000000020000000300", "padding of 0"),
        ("a0000001000000020000000305050505", "padding of 5"),
    ],
)
def test_a_packet_that_ends_too_early_or_contradicts_itself_is_refused(data: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        RtpPacket.parse(bytes.fromhex(data))


def test_a_packet_may_be_all_padding() -> None:
    packet = RtpPacket.parse(bytes.fromhex("a0000001000000020000000304030204"))
    assert (packet.payload, packet.padding) == (b"", b"\x04\x03\x02\x04")
    assert packet.serialize().hex() == "a0000001000000020000000304030204"


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(128, 1, 2, 3),
        RtpPacket(-1, 1, 2, 3),
        RtpPacket(0, 65536, 2, 3),
        RtpPacket(0, 1, 1 << 32, 3),
        RtpPacket(0, 1, 2, 3, csrcs=(1,) * 16),
        RtpPacket(0, 1, 2, 3, csrcs=(-1,)),
        RtpPacket(0, 1, 2, 3, extension=(0, b"abc")),
        RtpPacket(0, 1, 2, 3, padding=b"\x00\x03"),
    ],
)
def test_fields_that_do_not_fit_are_an_error_of_the_caller(packet: RtpPacket) -> None:
    with pytest.raises(ValueError, match=r"header|payload type|CSRC|padding"):
        packet.serialize()


@given(packets)
@settings(deadline=None)
def test_every_packet_survives_the_wire(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.serialize()) == packet


@given(st.binary(max_size=120) | st.binary(min_size=12, max_size=80).map(as_version_2))
@example(b"\x80" * 12)
@example(b"\xb1" * 60)
@settings(deadline=None, max_examples=400)
def test_any_bytes_are_a_packet_that_writes_the_same_bytes_or_a_protocol_error(data: bytes) -> None:
    try:
        packet = RtpPacket.parse(data)
    except ProtocolError:
        return
    assert packet.serialize() == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("80c80006", True),  # sender report
        ("81c90007", True),
        ("80df0000", True),
        ("80c00000", True),
        ("80e00000", False),
        ("80bf0000", False),
        ("8000ffff", False),  # PCMU
        ("8080ffff", False),  # PCMU with marker
        ("00c80006", False),  # no version
        ("80", False),
        ("", False),
    ],
)
def test_rtcp_is_told_from_rtp_by_its_second_octet(data: str, expected: bool) -> None:
    assert is_rtcp(bytes.fromhex(data)) is expected


# -- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "near", "bits", "expected"),
    [
        (0, 65535, 16, 65536),
        (65535, 65536, 16, 65535),
        (65535, 0, 16, -1),
        (3, 65530, 16, 65539),
        (65530, 131075, 16, 131066),
        (32768, 0, 16, -32768),  # equally near: the lower
        (32767, 0, 16, 32767),
        (100, 0xFFFFFF00, 32, (1 << 32) + 100),
        (5, 5, 16, 5),
    ],
)
def test_unwrap_finds_the_nearest_number_with_these_low_bits(value: int, near: int, bits: int, expected: int) -> None:
    assert unwrap(value, near, bits) == expected


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-32768, 32767))
@settings(deadline=None)
def test_unwrap_undoes_wrapping_within_half_the_range(near: int, offset: int) -> None:
    assert unwrap((near + offset) & 0xFFFF, near) == near + offset


def test_sequence_numbers_and_timestamps_of_a_packetizer_wrap() -> None:
    packetizer = Packetizer(7, 11, 65535, 0xFFFFFFFF - 100)
    first, second = packetizer.packetize([b"a"], 160, marker=True) + packetizer.packetize([b"b"], 160)
    assert (first.sequence_number, first.timestamp, first.marker, first.ssrc) == (65535, 0xFFFFFFFF - 100, True, 7)
    assert (second.sequence_number, second.timestamp, second.marker, second.payload_type) == (0, 59, False, 11)


def test_packets_of_one_frame_share_its_timestamp_and_the_last_carries_the_marker() -> None:
    packets = Packetizer(7, 96, 10, 1000).packetize([b"a", b"b"], 3000, marker=True)
    assert [(p.sequence_number, p.timestamp, p.marker) for p in packets] == [(10, 1000, False), (11, 1000, True)]


def test_skipped_media_time_takes_no_sequence_numbers() -> None:
    packetizer = Packetizer(7, 0, 10, 0xFFFFFFFF)
    packetizer.skip(161)
    (packet,) = packetizer.packetize([b"a"], 160)
    assert (packet.sequence_number, packet.timestamp) == (10, 160)


# -- reception statistics -----------------------------------------------------------------------------------------


def test_a_stream_without_loss_is_all_received_across_the_wrap() -> None:
    stats = receive_all(list(range(65500, 65500 + 200)))
    assert (stats.received, stats.expected, stats.lost) == (200, 200, 0)
    assert (stats.duplicate, stats.reordered, stats.loss_runs()) == (0, 0, {"1": 0, "2": 0, "3+": 0})
    assert stats.highest == 65699


def test_before_the_first_packet_nothing_is_expected() -> None:
    stats = ReceptionStats(8000)
    stats.known(5)
    assert (stats.received, stats.expected, stats.lost, stats.jitter, stats.highest) == (0, 0, 0, 0.0, None)
    assert stats.in_window(40000)


def test_extended_numbers_count_the_wraps() -> None:
    stats = ReceptionStats(8000)
    assert [stats.count(media(n), 0.0) for n in (65534, 65536, 65535, 65537)] == [65534, 65536, 65535, 65537]
    for number in range(65538, 3 * 65536):
        stats.count(media(number), 0.0)
    assert stats.highest == 3 * 65536 - 1
    assert stats.lost == 0


def test_holes_are_counted_by_their_length() -> None:
    missing = {65530, 65535, 65536, 65540, 65541, 65542, 65550, 65551, 65552, 65553}
    stats = receive_all([n for n in range(65520, 65560) if n not in missing])
    assert stats.loss_runs() == {"1": 1, "2": 1, "3+": 2}
    assert (stats.expected, stats.received, stats.lost) == (40, 30, 10)


def test_late_packets_close_holes_and_count_as_reordered() -> None:
    stats = receive_all([65533, 65536, 65535, 65534, 65537])
    assert (stats.reordered, stats.lost, stats.duplicate) == (2, 0, 0)
    assert stats.loss_runs() == {"1": 0, "2": 0, "3+": 0}


def test_copies_are_counted_apart_however_they_come() -> None:
    stats = receive_all([65535, 65535, 65536, 65535, 65538, 65537, 65537])
    assert (stats.received, stats.duplicate, stats.reordered, stats.expected, stats.lost) == (4, 3, 1, 4, 0)


def test_a_copy_is_recognised_a_thousand_packets_later() -> None:
    stats = receive_all([*range(64000, 66024), 65000, 65001])
    assert (stats.received, stats.duplicate) == (2024, 2)


def test_what_comes_after_the_memory_has_gone_changes_no_sum() -> None:
    stats = receive_all([n for n in range(60000, 70000) if n != 60500])
    before = (stats.received, stats.expected, stats.lost, stats.duplicate, stats.loss_runs())
    stats.count(media(60500), 300.0)
    stats.count(media(60501), 300.0)
    assert (stats.received, stats.expected, stats.lost, stats.duplicate, stats.loss_runs()) == before


def test_packets_just_before_the_first_one_widen_the_range() -> None:
    stats = receive_all([65537, 65535])
    assert (stats.expected, stats.received, stats.lost, stats.reordered) == (3, 2, 1, 1)


def test_a_repair_packet_proves_packets_before_the_first_and_after_the_last() -> None:
    stats = receive_all([65535, 65536])
    stats.known(65533)
    stats.known(65538)
    stats.known(65536)
    assert (stats.expected, stats.received, stats.lost) == (6, 2, 4)
    assert stats.loss_runs() == {"1": 0, "2": 2, "3+": 0}
    assert stats.highest == 65536


def test_a_proved_packet_that_comes_after_all_is_not_reordered() -> None:
    stats = receive_all([65535])
    stats.known(65537)
    assert [stats.count(media(n), 0.1) for n in (65536, 65537, 65538)] == [65536, 65537, 65538]
    assert (stats.expected, stats.received, stats.reordered, stats.duplicate) == (4, 4, 0, 0)


def test_no_repair_packet_proves_what_is_out_of_its_reach() -> None:
    stats = receive_all([65535, 65600])
    stats.known(65535 - MAX_REPAIR_REACH - 1)
    stats.known(65600 + MAX_REPAIR_REACH + 1)
    assert stats.expected == 66
    stats.known(65600 + MAX_REPAIR_REACH)
    stats.known(65600 + MAX_REPAIR_REACH + 1)  # not from what was only named
    stats.known(65535 - MAX_REPAIR_REACH)
    assert stats.expected == 66 + 2 * MAX_REPAIR_REACH


def test_the_window_of_a_stream_is_that_of_the_rfc() -> None:
    stats = receive_all([65530])
    inside = [65530, 65531, (65530 + 2999) & 0xFFFF, 65530 - 99]
    outside = [(65530 + 3000) & 0xFFFF, 65530 - 100, 30000]
    assert all(stats.in_window(number) for number in inside)
    assert not any(stats.in_window(number) for number in outside)


def test_a_restart_keeps_the_sums_and_never_an_extended_number() -> None:
    stats = receive_all([65530, 65532, 65533])
    stats.known(65535)
    jump = media(20, ssrc=2)
    stats.restart(jump)
    assert (stats.expected, stats.received, stats.lost) == (6, 3, 3)
    first = stats.count(jump, 1.0)
    assert first > 65535 + 2 * MAX_REPAIR_REACH
    assert first & 0xFFFF == 20
    assert stats.count(media(22, ssrc=2), 1.02) == first + 2
    stats.known(first - 1)
    assert (stats.expected, stats.received, stats.lost) == (10, 5, 5)
    assert stats.loss_runs() == {"1": 3, "2": 1, "3+": 0}


def test_restarts_one_after_the_other_lose_nothing() -> None:
    stats = receive_all([1, 2])
    seen = []
    for number in (65535, 0, 40000):
        stats.restart(media(number))
        seen.append(stats.count(media(number), 5.0))
    assert seen == sorted(set(seen))
    assert (stats.expected, stats.received, stats.lost) == (5, 5, 0)


def test_jitter_follows_the_formula_of_the_rfc() -> None:
    stats = ReceptionStats(8000)
    # arrivals in ticks against timestamps 160 apart: D = 0, +40, -40, +80; J += (|D| - J) / 16 (RFC 3550 A.8)
    expected = [0.0, 0.0, 2.5, 4.84375, 9.541015625]
    start = 0x100000000 - 320
    for index, late in enumerate([0, 0, 40, 0, 80]):
        stats.count(media(65534 + index, timestamp=start + 160 * index), 50.0 + (160 * index + late) / 8000)
        assert stats.jitter * 8000 == pytest.approx(expected[index], abs=1e-6)
    assert stats.jitter_max == stats.jitter


def test_jitter_of_a_real_stream_is_what_tshark_says() -> None:
    lines = (VECTORS / "arrivals.txt").read_text().splitlines()
    arrivals = [float(word) for line in lines if line[0] != "#" for word in line.split()]
    stats = ReceptionStats(8000)
    jitter = []
    for index, arrival in enumerate(arrivals):
        stats.count(media(59133 + index, timestamp=240 * (index + 1)), arrival)
        jitter.append(stats.jitter * 1000)
    assert len(arrivals) == 236
    assert min(jitter[1:]) == pytest.approx(0.002, abs=0.0005)
    assert sum(jitter[1:]) / 235 == pytest.approx(0.350, abs=0.0005)
    assert stats.jitter_max * 1000 == pytest.approx(0.829, abs=0.0005)


def test_copies_and_steps_of_the_media_clock_are_no_jitter() -> None:
    stats = receive_all(list(range(65500, 65600)))
    stats.count(media(65599), 60.0)
    stats.count(media(65600, timestamp=0x7FFFFFFF), 2.0)
    stats.count(media(65601, timestamp=0x7FFFFFFF + 160), 2.02)
    assert stats.jitter < 1e-9
    assert stats.jitter_max < 1e-9


@given(
    st.lists(st.integers(-5, 12) | st.integers(-40000, 40000), max_size=60),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_sums_hold_whatever_arrives(steps: list[int], rng: random.Random) -> None:
    stats, number = ReceptionStats(8000), 65500
    for step in steps:
        number += step
        packet = media(number, timestamp=rng.getrandbits(32))
        if not stats.in_window(packet.sequence_number) and rng.random() < 0.5:
            stats.restart(packet)
        extended = stats.count(packet, rng.random() * 1e6)
        assert extended & 0xFFFF == packet.sequence_number
        stats.known(extended + rng.randint(-200, 200))
        assert stats.expected == stats.received + stats.lost
        assert stats.lost >= 0
        runs = stats.loss_runs()
        assert runs["1"] + 2 * runs["2"] + 3 * runs["3+"] <= stats.lost
        assert stats._window.bit_length() < 70000  # bounded by the range of a sequence number
    assert stats.received + stats.duplicate <= len(steps)


def test_loss_of_a_long_stream_is_counted_once_however_often_it_is_read() -> None:
    rng = random.Random(5)
    stats, expected = ReceptionStats(8000), {"1": 0, "2": 0, "3+": 0}
    number, sent = 65000, 0
    while sent < 20000:
        good, hole = rng.randint(1, 200), rng.choice([1, 1, 2, 3, 50])
        for _ in range(good):
            stats.count(media(number), number * 0.02)
            number += 1
        if sent % 7 == 0:
            stats.loss_runs()
        number += hole
        expected[{1: "1", 2: "2"}.get(hole, "3+")] += 1
        sent += good + hole
    stats.count(media(number), number * 0.02)
    assert stats.loss_runs() == expected
    assert stats.expected == number + 1 - 65000
    assert stats._window.bit_length() < 4096


def test_times_of_arrival_are_kept_for_those_alone_who_want_them() -> None:
    asked, not_asked = ReceptionStats(8000, receipts=True), ReceptionStats(8000)
    for number in range(65528, 65544):
        for stats in (asked, not_asked):
            stats.count(media(number), 0.02 * number)
    assert asked.take_receipts() == [(number, 0.02 * number) for number in range(65528, 65544)]
    assert asked.take_receipts() == not_asked.take_receipts() == []
    not_asked.keep_receipts(True)
    asked.keep_receipts(False)
    for stats in (asked, not_asked):
        stats.count(media(65544), 1.0)
    assert asked.take_receipts() == []
    assert not_asked.take_receipts() == [(65544, 1.0)]


def test_another_clock_rate_is_no_jitter() -> None:
    """RFC 7160 section 4.3: timestamps of two clock rates cannot be compared."""
    stats, seconds, timestamp = ReceptionStats(8000), 0.0, 0
    for index in range(60):
        clock_rate = (8000, 48000)[index // 20 % 2]
        stats.set_clock_rate(clock_rate)
        stats.count(RtpPacket(0, index, timestamp, 7, b""), seconds)
        seconds += 0.02
        timestamp += round(0.02 * clock_rate)
    assert stats.jitter_max < 1e-9
    assert (stats.received, stats.expected, stats.epoch) == (60, 60, 0)
