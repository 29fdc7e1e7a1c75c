"""RTCP on the wire: layouts of RFC 3550 section 6 and RFC 3611 section 4, octet by octet, and whatever else comes."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.rtcp.packets import (
    MAX_LOST,
    MIN_LOST,
    Goodbye,
    NotCompound,
    Packet,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse,
    serialize,
)
from voip.rtcp.xr import (
    MAX_SPAN,
    ExtendedReport,
    LossRle,
    ReferenceEcho,
    ReferenceTime,
    StatisticsSummary,
    VoipMetrics,
)
from voip.stats import Arrivals

BLOCK = ReportBlock(0xCAFE0001, 0x40, -2, 0x0001FFFF, 33, 0xB7058000, 0x00054000)
BLOCK_BYTES = "cafe0001 40fffffe 0001ffff 00000021 b7058000 00054000"
EMPTY_REPORT = "80c90001 00000001"

LAYOUTS: list[tuple[str, Packet]] = [
    (EMPTY_REPORT, ReceiverReport(1)),
    (f"81c90007 12345678 {BLOCK_BYTES}", ReceiverReport(0x12345678, (BLOCK,))),
    (
        f"81c8000c 12345678 b44db705 20000000 fffffff0 00000064 00004e20 {BLOCK_BYTES}",
        SenderReport(0x12345678, 0xB44DB70520000000, 0xFFFFFFF0, 100, 20_000, (BLOCK,)),
    ),
    ("81ca0003 00000005 01046162 63640000", SourceDescription(((5, "abcd"),))),
    ("81ca0003 00000005 01056162 63646500", SourceDescription(((5, "abcde"),))),
    ("81ca0004 00000005 01066162 63646566 00000000", SourceDescription(((5, "abcdef"),))),  # a zero has to follow
    ("82cb0002 00000005 00000006", Goodbye((5, 6))),
    ("80cf0004 00000001 04000002 b44db705 20000000", ExtendedReport(1, (ReferenceTime(0xB44DB70520000000),))),
    (
        "80cf0005 00000001 05000003 00000005 b7052000 00008000",
        ExtendedReport(1, (ReferenceEcho(((5, 0xB7052000, 0x8000),)),)),
    ),
    (
        # 40 arrived, then a bit vector: arrived, lost twice, arrived 12 times
        "80cf0005 00000001 01000003 cafe0001 fff00027 4028cfff",
        ExtendedReport(1, (LossRle(0xCAFE0001, 0xFFF0, 0x0027, (0x4028, 0xCFFF)),)),
    ),
    (
        "80cf000b 00000001 06c00009 cafe0001 fff00010 00000003 00000001" + "00" * 20,
        ExtendedReport(1, (StatisticsSummary(0xCAFE0001, 0xFFF0, 0x0010, 3, 1),)),
    ),
    (
        "80cf000a 00000001 07000008 cafe0001 05014010 00780bb8 00180032 7f7f7f10 7f7f7f7f f000003c 00780190",
        ExtendedReport(1, (VoipMetrics(0xCAFE0001, 5, 1, 64, 16, 120, 3000, 24, 50, 60, 120, 400),)),
    ),
    (
        # with a level of -20 dBm0, R 85, MOS-LQ 4.4, MOS-CQ 4.2
        "80cf000a 00000001 07000008 cafe0001 05014010 00780bb8 00180032 ec7f7f10 557f2c2a f000003c 00780190",
        ExtendedReport(1, (VoipMetrics(0xCAFE0001, 5, 1, 64, 16, 120, 3000, 24, 50, 60, 120, 400, 0xEC, 85, 44, 42),)),
    ),
]


@pytest.mark.parametrize(("data", "packet"), LAYOUTS)
def test_each_packet_has_the_layout_of_its_rfc(data: str, packet: Packet) -> None:
    wire = bytes.fromhex(data)
    assert serialize([packet]).hex() == wire.hex()
    assert parse(wire, reduced_size=True) == [packet]


def test_a_compound_is_its_packets_in_order_and_unknown_ones_are_read_over() -> None:
    unknown = bytes.fromhex("81ce0002 00000001 00000002") + bytes.fromhex("80cc0003 00000001 6e616d65 00000000")
    wire = bytes.fromhex(EMPTY_REPORT) + unknown + serialize([Goodbye((1,))])
    assert parse(wire) == [ReceiverReport(1), Goodbye((1,))]


BARESIP_REPORT = (
    "81c8000c 23248cfa eeabf0ec 7df43c7d 00000000 00000000 00000000"
    "871445e9 00000000 00000a3d 00000002 f0ebf106 00008d0e"
    "81ca0008 23248cfa 01187369703a70656572403132372e302e302e313a32323030300000"
)
BARESIP_BYE = (
    "81cb0003 23248cfa 0441646a6f000000 81ca0008 23248cfa 01187369703a70656572403132372e302e302e313a32323030300000"
)
BARESIP_PING = "80cc0003 23248cfa 50494e47 504f4e47"


def test_what_a_phone_really_sent_is_read() -> None:
    block = ReportBlock(0x871445E9, 0, 0, 2621, 2, 0xF0EBF106, 0x8D0E)
    name = SourceDescription(((0x23248CFA, "sip:peer@127.0.0.1:22000"),))
    report = SenderReport(0x23248CFA, 0xEEABF0EC7DF43C7D, 0, 0, 0, (block,))
    assert parse(bytes.fromhex(BARESIP_REPORT)) == [report, name]
    for lone in (BARESIP_BYE, BARESIP_PING):
        with pytest.raises(NotCompound):
            parse(bytes.fromhex(lone))
    assert parse(bytes.fromhex(BARESIP_BYE), reduced_size=True) == [Goodbye((0x23248CFA,)), name]
    assert parse(bytes.fromhex(BARESIP_PING), reduced_size=True) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("", "not whole words"),
        ("80c900", "not whole words"),
        ("80c90001", "longer than its datagram"),
        ("40c90001 00000001", "version 1"),
        ("80ca0000", "begins with type 202"),
        ("81c90001 00000001", "inside its 1 blocks"),
        ("80c80001 00000001", "sender information"),
        ("80c90000", "before its SSRC"),
        (f"a0c90002 00000001 00000004 {EMPTY_REPORT}", "padding before the last"),
        ("a0c90002 00000001 00000003", "padding of 3"),
        ("a0c90002 00000001 00000000", "padding of 0"),
        ("a0c90002 00000001 00000010", "padding of 16"),
        (f"{EMPTY_REPORT} 81ca0003 00000005 01080000", "longer than its datagram"),
        (f"{EMPTY_REPORT} 81ca0002 00000005 01086162", "inside an item"),
        (f"{EMPTY_REPORT} 81ca0002 00000005 01026162", "no end"),
        (f"{EMPTY_REPORT} 82cb0001 00000005", "inside its 2 sources"),
        (f"{EMPTY_REPORT} 80cf0000", "before its SSRC"),
        (f"{EMPTY_REPORT} 80cf0002 00000001 04000002", "inside a block"),
    ],
)
def test_what_breaks_a_rule_of_validity_is_refused_whole(data: str, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        parse(bytes.fromhex(data))


def test_padding_of_the_last_packet_is_left_out() -> None:
    assert parse(bytes.fromhex(f"{EMPTY_REPORT} a1cb0002 00000005 00000004")) == [ReceiverReport(1), Goodbye((5,))]


def test_only_where_it_was_agreed_may_a_compound_begin_with_something_else() -> None:
    goodbye = serialize([Goodbye((5,))])
    assert parse(goodbye, reduced_size=True) == [Goodbye((5,))]
    with pytest.raises(ProtocolError):
        parse(goodbye)


@pytest.mark.parametrize(
    ("lost", "told"),
    [(0, 0), (-1, -1), (1 << 23, MAX_LOST), (1 << 40, MAX_LOST), (-(1 << 30), MIN_LOST)],
)
def test_the_number_of_lost_packets_stops_at_the_ends_of_24_bits(lost: int, told: int) -> None:
    data = serialize([ReceiverReport(1, (ReportBlock(2, 255, lost, 0, 0),))])
    (report,) = parse(data)
    assert isinstance(report, ReceiverReport)
    assert report.blocks[0].cumulative_lost == told
    assert report.blocks[0].fraction_lost == 255


def test_counts_and_extended_numbers_wrap_at_32_bits() -> None:
    big = (1 << 32) + 5
    report = SenderReport(1, 0, 0, big, big, (ReportBlock(2, 0, 0, big, big),))
    (read,) = parse(serialize([report]))
    assert isinstance(read, SenderReport)
    assert (read.packets, read.octets, read.blocks[0].highest, read.blocks[0].jitter) == (5, 5, 5, 5)


def test_a_packet_cannot_count_more_than_31_of_anything() -> None:
    blocks = (ReportBlock(2, 0, 0, 0, 0),) * 32
    assert len(parse(serialize([ReceiverReport(1, blocks[:31])]))) == 1
    with pytest.raises(ValueError, match="count of 32"):
        serialize([ReceiverReport(1, blocks)])
    with pytest.raises(ValueError, match="256"):
        serialize([SourceDescription(((1, "x" * 256),))])


# -- loss run lengths -------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=20),
)
def test_loss_patterns_survive_the_wire(first: int, runs: list[tuple[bool, int]]) -> None:
    flags = tuple(flag for flag, count in runs for _ in range(count))[:MAX_SPAN]
    block = LossRle.of(7, Arrivals(first, flags))
    (report,) = parse(serialize([ExtendedReport(1, (block,))]), reduced_size=True)
    assert isinstance(report, ExtendedReport)
    (read,) = report.blocks
    assert isinstance(read, LossRle)
    assert read.arrivals() == Arrivals(first, flags)
    assert (read.begin, (read.end - read.begin) & 0xFFFF) == (first, len(flags))


def test_a_pattern_takes_a_bit_per_packet_and_long_runs_take_one_chunk() -> None:
    rng = random.Random(1)
    flags = tuple(rng.random() > 0.1 for _ in range(300))
    assert len(LossRle.of(1, Arrivals(65500, flags)).chunks) <= 21
    assert len(LossRle.of(1, Arrivals(65500, (True,) * 4000)).chunks) == 1


@pytest.mark.parametrize(
    "block",
    [
        LossRle(1, 0, 100, (0x4032,)),  # 50 of 100
        LossRle(1, 0, 100, ()),
        LossRle(1, 0, 100, (0, 0x4064)),  # a null chunk ends the list
        LossRle(1, 5, 4, (0x7FFF,) * 4),  # the longest span there is
        LossRle(1, 0, 50, (0x4064,), thinning=1),
    ],
)
def test_a_block_that_does_not_say_what_became_of_each_packet_says_nothing(block: LossRle) -> None:
    assert block.arrivals() is None


def test_what_reaches_beyond_the_last_packet_is_cut() -> None:
    assert LossRle(1, 65535, 1, (0x4064,)).arrivals() == Arrivals(65535, (True, True))
    assert LossRle(1, 3, 3, ()).arrivals() == Arrivals(3, ())


def test_blocks_of_unknown_type_or_strange_length_are_read_over() -> None:
    strange = bytes.fromhex("04000001 00000001") + bytes.fromhex("ff000000") + bytes.fromhex("07000001 00000001")
    strange += bytes.fromhex("05000002 00000001 00000001") + bytes.fromhex("01000001 00000001")
    body = bytes.fromhex("00000009") + strange + ReferenceTime(77).serialize()
    wire = bytes.fromhex("80cf") + struct.pack("!H", len(body) // 4) + body
    assert parse(wire, reduced_size=True) == [ExtendedReport(9, (ReferenceTime(77),))]


# -- whatever comes ---------------------------------------------------------------------------------------------------


def read(data: bytes) -> None:
    """A value or ProtocolError; what is read can be read again once it is written."""
    for reduced_size in (False, True):
        try:
            packets = parse(data, reduced_size=reduced_size)
        except ProtocolError:
            continue
        if any(isinstance(part, SourceDescription) and "\ufffd" in str(part) for part in packets):
            continue
        again = parse(serialize(packets), reduced_size=True) if packets else []
        assert len(again) == len(packets)
        for part in packets:
            for block in part.blocks if isinstance(part, ExtendedReport) else ():
                if isinstance(block, LossRle):
                    arrivals = block.arrivals()
                    assert arrivals is None or len(arrivals.flags) <= MAX_SPAN


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_protocol_error(data: bytes) -> None:
    read(data)


@settings(max_examples=500)
@given(
    st.lists(
        st.tuples(st.sampled_from([200, 201, 202, 203, 204, 207, 210]), st.integers(0, 63), st.binary(max_size=80))
    )
)
def test_any_well_framed_packets_are_a_value_or_a_protocol_error(parts: list[tuple[int, int, bytes]]) -> None:
    data = b""
    for packet_type, first, body in parts:
        body = body[: len(body) // 4 * 4]
        data += struct.pack("!BBH", 0x80 | first, packet_type, len(body) // 4) + body
    read(data)


@settings(max_examples=500)
@given(st.integers(0, len(LAYOUTS) - 1), st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 100))
def test_a_known_packet_with_a_wrong_octet_or_end_is_a_value_or_a_protocol_error(
    index: int, position: int, value: int, cut: int
) -> None:
    wire = bytearray(bytes.fromhex(EMPTY_REPORT + LAYOUTS[index][0]))
    wire[position % len(wire)] = value
    read(bytes(wire))
    read(bytes(wire[: len(wire) - cut]))
