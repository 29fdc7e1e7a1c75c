"""All three headers of RFC 8627 against a second implementation, and when repair packets say that they were sent."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fec_packets import (
    MEDIA_SSRC,
    MEDIA_TYPE,
    REPAIR_SSRC,
    REPAIR_TYPE,
    STEP,
    decoder_with,
    encoder_of,
    feed,
    media,
    new_decoder,
    pattern_of,
    rebuilt,
    repair_of,
)
from tests.support.strict_flexfec import Sender, named, recover
from voip.errors import ProtocolError
from voip.fec import FlexFecDecoder, FlexFecEncoder, NoFec
from voip.fec.flexfec import parse_repair
from voip.fec.memory import HALF_RING
from voip.fec.prediction import ladder
from voip.rtp import ReceptionStats, RtpPacket


def any_media(index: int) -> RtpPacket:
    """A packet with all that RTP allows: CSRCs, header extension, padding, marker, any length."""
    rng = random.Random(index)
    packet = replace(media(index), payload=rng.randbytes(rng.randrange(90)))
    if index % 5 == 0:
        packet.csrcs = tuple(rng.getrandbits(32) for _ in range(rng.randrange(1, 4)))
    if index % 3 == 0:
        packet.extension = (0xBEDE, rng.randbytes(4 * rng.randrange(3)))
    if index % 4 == 0:
        count = rng.randrange(1, 5)
        packet.padding = bytes(count - 1) + bytes([count])
    return packet


def wire(indices: list[int] | range) -> list[bytes]:
    return [any_media(index).serialize() for index in indices]


def strict() -> Sender:
    return Sender(REPAIR_TYPE, REPAIR_SSRC, MEDIA_SSRC)


def take(datagrams: list[bytes]) -> tuple[FlexFecDecoder, list[bytes]]:
    """A decoder that was given these, and what it rebuilt."""
    decoder = new_decoder()
    out = [found for data in datagrams for found in decoder.receive(RtpPacket.parse(data))]
    return decoder, rebuilt(out)


# -- ours and a second implementation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["4", "sliding:0,1,3/1", "sliding:0,1,8+0,2,3,12/1", "sliding:0,20,44/1", "sliding:0,30,109/1"]
)
def test_a_second_implementation_rebuilds_ours(text: str) -> None:
    encoder, sent, rng = encoder_of(text), dict[int, bytes](), random.Random(8627)
    count = 0
    for index in range(150):
        packet = any_media(index)
        sent[packet.sequence_number] = packet.serialize()
        for repair in encoder.protect(packet):
            data = repair.serialize()
            gone = rng.choice(named(data))
            received = {number: known for number, known in sent.items() if number != gone}
            assert recover(data, received) == sent[gone]
            count += 1
    assert count >= 37


@pytest.mark.parametrize("width", [3, 30, 100])
def test_masks_of_a_second_implementation_are_understood(width: int) -> None:
    rng, sent = random.Random(width), wire(range(130))
    for _ in range(20):
        start = rng.randrange(130 - width)
        chosen = sorted({start, start + width - 1, *rng.sample(range(start, start + width), min(3, width))})
        gone = rng.choice(chosen)
        repair = strict().flexible([sent[index] for index in chosen])
        _, out = take([data for index, data in enumerate(sent) if index != gone] + [repair])
        assert out == [sent[gone]]


@pytest.mark.parametrize(("columns", "rows"), [(4, 0), (4, 1), (1, 0), (1, 1), (10, 0), (100, 1)])
def test_a_row_of_l_packets_rebuilds_one_of_them(columns: int, rows: int) -> None:
    sent = wire(range(columns + 20))
    for gone in {10, 10 + columns // 2, 10 + columns - 1}:
        repair = strict().fixed(sent[10 : 10 + columns], columns, rows)
        decoder, out = take([data for index, data in enumerate(sent) if index != gone] + [repair])
        assert out == [sent[gone]]
        assert decoder.rejected == 0


@pytest.mark.parametrize(("columns", "rows"), [(4, 3), (1, 5), (10, 10), (127, 2), (2, 100)])
def test_a_column_of_every_lth_packet_rebuilds_one_of_them(columns: int, rows: int) -> None:
    places = [10 + columns * row for row in range(rows)]
    sent = wire(range(places[-1] + 10))
    for gone in {places[0], places[rows // 2], places[-1]}:
        repair = strict().fixed([sent[place] for place in places], columns, rows)
        decoder, out = take([data for index, data in enumerate(sent) if index != gone] + [repair])
        assert out == [sent[gone]]
        assert decoder.rejected == 0


def test_rows_and_columns_together_rebuild_what_neither_can() -> None:
    columns, rows = 5, 4
    sent, sender = wire(range(columns * rows)), strict()
    by_row = [sender.fixed(sent[row * columns : (row + 1) * columns], columns, 1) for row in range(rows)]
    by_column = [sender.fixed(sent[column::columns], columns, rows) for column in range(columns)]
    gone = {5, 6, 10, 11, 12}  # two in each of two rows and columns, and one more
    left = [data for index, data in enumerate(sent) if index not in gone | {1}]
    _, out = take([*left, *by_row, *by_column])
    assert set(out) == {sent[1], sent[12]}  # a square of four stays: no parity tells them apart
    gone = {5, 6, 11, 12, 18}  # a staircase falls, step by step
    _, out = take([data for index, data in enumerate(sent) if index not in gone] + by_row + by_column)
    assert set(out) == {sent[index] for index in gone}


def test_a_retransmission_is_the_packet_itself() -> None:
    sent = wire(range(40))
    for gone in range(15, 21):  # CSRCs, extension, padding, marker, each at least once
        decoder, out = take([data for index, data in enumerate(sent) if index != gone])
        assert out == []
        packets = decoder.receive(RtpPacket.parse(strict().retransmission(sent[gone])))
        assert [packet.serialize() for packet in packets] == [sent[gone]]
        assert packets[0].recovered
        assert decoder.last_named == (packets[0].sequence_number,)
        assert decoder.receive(RtpPacket.parse(strict().retransmission(sent[gone]))) == []
        assert (decoder.recovered, decoder.rejected) == (1, 0)


def test_a_retransmission_completes_what_parity_lacked() -> None:
    sent, sender = wire(range(20)), strict()
    row = sender.fixed(sent[8:12], 4, 0)
    arrived = [data for index, data in enumerate(sent) if index not in (9, 10)]
    _, out = take([*arrived, row, sender.retransmission(sent[9])])
    assert out == [sent[9], sent[10]]


def test_a_repair_packet_of_several_sources_is_used_where_it_names_packets_of_one() -> None:
    sent = wire(range(20))
    arrived = sent[:11] + sent[12:]
    nothing = struct.pack("!HH", 77, 0)
    something = struct.pack("!HH", 77, 0x4000)
    decoder, out = take([*arrived, strict().flexible(sent[10:13], other_sources={0xABCD: nothing, 0xABCE: nothing})])
    assert (out, decoder.rejected) == ([sent[11]], 0)
    decoder, out = take([*arrived, strict().flexible(sent[10:13], other_sources={0xABCD: something})])
    assert (out, decoder.rejected) == ([], 1)


# -- hostile ----------------------------------------------------------------------------------------------------------

HEADER = "60002800000000"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("40" + HEADER, id="no block"),
        pytest.param("40" + HEADER + "fffa04", id="half a block"),
        pytest.param("40" + HEADER + "fffa0000" + "00" * 40, id="L=0 D=0 is reserved"),
        pytest.param("40" + HEADER + "fffa0005" + "00" * 40, id="L=0 D=5 is nothing"),
        pytest.param("40" + HEADER + "fffaffff" + "00" * 40, id="L=255 D=255 is beyond any window"),
        pytest.param("40" + HEADER + "fffa8003" + "00" * 40, id="L=128 D=3 is one packet too far"),
        pytest.param("40" + HEADER + "80000400" + "00" * 40, id="far from the stream"),
        pytest.param("40" + HEADER + "fffa0400" + "00" * 1489, id="larger than any packet"),
        pytest.param("c0" + "60fffc000000001122334400", id="R=1 F=1 is reserved"),
        pytest.param("80" + "60fffc0000000011223300", id="retransmission of eleven bytes"),
        pytest.param("80" + "60fffc00000000" + "99999999" + "00" * 40, id="retransmission of another source"),
        pytest.param("80" + "60800000000000" + "11223344" + "00" * 40, id="retransmission from far away"),
        pytest.param("80" + "60fffc00000000" + "11223344" + "00" * 1489, id="retransmission larger than any packet"),
        pytest.param("80" + "60fffc00000000" + "11223344" + "00" * 40, id="retransmission that fits no time"),
        pytest.param("8f" + "60fffcfffffccd" + "11223344" + "00" * 40, id="retransmission that ends in its CSRCs"),
    ],
)
def test_a_repair_packet_of_the_wider_grammar_that_makes_no_sense_is_counted_and_dropped(payload: str) -> None:
    decoder = decoder_with(0, 1, 3, 4)
    repair = RtpPacket(REPAIR_TYPE, 1, 0, REPAIR_SSRC, bytes.fromhex(payload), csrcs=(MEDIA_SSRC,))
    assert [packet for packet in feed(decoder, [repair]) if packet.recovered] == []
    assert (decoder.rejected, decoder.recovered) == (1, 0)


def test_a_retransmission_never_takes_the_place_of_what_arrived() -> None:
    decoder = decoder_with(*range(5))
    forged = replace(media(3), payload=b"forged")
    again = RtpPacket.parse(strict().retransmission(forged.serialize()))
    assert decoder.receive(again) == []
    assert decoder.recovered == 0


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFF))
@settings(deadline=None)
def test_any_l_and_d_name_ascending_numbers_within_the_ring_or_none(columns: int, rows: int, base: int) -> None:
    payload = bytes([0x40, 96]) + bytes(6) + struct.pack("!HBB", base, columns, rows) + bytes(20)
    try:
        header = parse_repair(payload, (1,))
    except ProtocolError:
        assert columns == 0 or columns * (rows - 1) >= HALF_RING
        return
    step, count = (1, columns) if rows < 2 else (columns, rows)
    assert header.positions == tuple(range(0, count * step, step))
    assert header.positions[-1] < HALF_RING


@given(
    st.sampled_from([0x00, 0x40, 0x80, 0xC0]),
    st.binary(max_size=90),
    st.lists(st.sampled_from([MEDIA_SSRC, 0, 1, 2]), max_size=4),
)
@settings(deadline=None)
def test_any_repair_packet_of_any_kind_is_harmless(kind: int, payload: bytes, csrcs: list[int]) -> None:
    decoder = decoder_with(0, 1, 3, 4)
    payload = bytes([payload[0] & 0x3F | kind]) + payload[1:] if payload else payload
    for packet in feed(decoder, [repair_of(payload, csrcs=tuple(csrcs))]):
        assert (packet.ssrc, packet.payload_type) == (MEDIA_SSRC, MEDIA_TYPE)
    sent = [media(index).serialize() for index in range(5, 8)]
    row = RtpPacket.parse(strict().fixed(sent, 3, 0))
    assert rebuilt(feed(decoder, [media(5), media(6), row])) == [sent[2]]


def test_memory_stays_bounded_under_a_flood_of_long_rows_and_columns() -> None:
    decoder, rng = decoder_with(*range(20)), random.Random(1)
    for _ in range(20_000):
        columns, rows = rng.choice([(255, 0), (200, 1), (2, 100), (1, 255), (85, 3), (3, 0)])
        base = media(rng.randrange(1, 250)).sequence_number
        payload = bytes([0x40, MEDIA_TYPE, 0, 40]) + bytes(4) + struct.pack("!HBB", base, columns, rows) + bytes(40)
        decoder.receive(repair_of(payload))
    assert len(decoder._waiting) <= 2 * HALF_RING
    assert sum(map(len, decoder._waiting.values())) <= 256 * (HALF_RING + 1)
    assert decoder.recovered == 0


# -- when it was sent -------------------------------------------------------------------------------------------------


def jitter_of(repairs: list[tuple[RtpPacket, float]], clock_rate: int) -> float:
    """What a peer computes of repair packets on a perfect wire (RFC 3550 A.8)."""
    stats = ReceptionStats(clock_rate)
    for repair, sent_at in repairs:
        stats.count(RtpPacket.parse(repair.serialize()), sent_at)
    return stats.jitter


def test_repair_packets_of_every_rung_of_the_ladder_have_the_time_of_their_sending() -> None:
    for rung in ladder():
        encoder = FlexFecEncoder(rung.pattern, payload_type=98, ssrc=2, media_ssrc=1, sequence_number=0)
        repairs = [
            (repair, index * 0.02)
            for index in range(300)
            for repair in encoder.protect(RtpPacket(96, index, index * 960, 1, bytes(60)))
        ]
        assert all(repair.timestamp == round(sent_at * 48000) for repair, sent_at in repairs)
        assert jitter_of(repairs, 48000) == pytest.approx(0.0, abs=1e-9)


def test_what_an_old_pattern_leaves_open_is_stamped_when_it_goes_out() -> None:
    encoder = encoder_of("10")
    for index in range(4):
        encoder.protect(media(index))
    encoder.set_pattern(pattern_of("4"))
    (repair,) = encoder.protect(media(4))
    assert repair.timestamp == media(4).timestamp
    encoder.set_pattern(None)
    (repair,) = encoder.flush()
    assert repair.timestamp == media(4).timestamp


@pytest.mark.parametrize(("rate", "media_rate"), [(48000, 8000), (8000, 48000), (44100, 8000), (90000, 44100)])
def test_the_clock_of_repair_packets_is_that_of_their_rtpmap(rate: int, media_rate: int) -> None:
    encoder = FlexFecEncoder(
        pattern_of("sliding:0,1/1"),
        payload_type=98,
        ssrc=2,
        media_ssrc=1,
        sequence_number=0,
        clock_rate=rate,
        media_clock_rate=media_rate,
    )
    step = media_rate // 50
    repairs = [
        (repair, index * 0.02)
        for index in range(400)
        for repair in encoder.protect(
            RtpPacket(0, index, (0xFFFFFFFF - 7 * step + index * step) & 0xFFFFFFFF, 1, bytes(60))
        )
    ]
    advance = (repairs[-1][0].timestamp - repairs[0][0].timestamp) & 0xFFFFFFFF
    assert advance == pytest.approx(399 * 0.02 * rate, abs=1)
    assert jitter_of(repairs, rate) < 1.5 / rate


def test_an_event_has_the_time_of_its_beginning_and_its_repair_packet_that_of_sending() -> None:
    encoder, time = encoder_of("1"), media(0).timestamp
    for index in range(5):
        event = replace(media(index), timestamp=time)
        (repair,) = encoder.protect(event, (time + index * STEP) & 0xFFFFFFFF)
        assert repair.timestamp == (time + index * STEP) & 0xFFFFFFFF
    assert NoFec(None).protect(media(0), 5) == []
