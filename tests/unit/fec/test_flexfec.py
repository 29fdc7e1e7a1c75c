"""XOR FEC: patterns, the FlexFEC header, encoder and decoder (RFC 8627)."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fec_packets import (
    FIRST_NUMBER,
    FIRST_TIMESTAMP,
    MEDIA_SSRC,
    MEDIA_TYPE,
    REPAIR_SSRC,
    REPAIR_TYPE,
    STEP,
    encoder_of,
    feed,
    media,
    new_decoder,
    pattern_of,
    positions_of,
    rebuilt,
    repair_over,
)
from voip.errors import ProtocolError
from voip.fec import FlexFecEncoder, RedEncoder, UlpFecEncoder, create_decoder, create_encoder, parse_pattern
from voip.fec.flexfec import mask_bytes, mask_positions, parse_repair
from voip.fec.memory import MEDIA_RING
from voip.rtp import MAX_DATAGRAM, Packetizer, RtpPacket

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "fec"


# -- patterns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sets", "every"),
    [
        ("4", ((0, 1, 2, 3),), 4),
        ("1", ((0,),), 1),
        ("48", (tuple(range(48)),), 48),
        ("sliding:1,2,4/1", ((1, 2, 4),), 1),
        ("sliding:4,1,2", ((1, 2, 4),), 1),
        ("sliding:0,1,3+0,2,5/1", ((0, 1, 3), (0, 2, 5)), 1),
        ("sliding {1,2,4} every 1", ((1, 2, 4),), 1),
        ("Sliding {0,1,3} {0, 2, 5} every 2", ((0, 1, 3), (0, 2, 5)), 2),
        ("sliding {0,109}", ((0, 109),), 1),
    ],
)
def test_a_pattern_is_read_from_its_text(text: str, sets: tuple[tuple[int, ...], ...], every: int) -> None:
    pattern = pattern_of(text)
    assert (pattern.sets, pattern.every) == (sets, every)
    assert parse_pattern(str(pattern)) == pattern


@pytest.mark.parametrize("text", ["off", "none", "0", " OFF "])
def test_no_fec_is_no_pattern(text: str) -> None:
    assert parse_pattern(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "49", "-1", "4.5", "auto", "²", "9" * 5000),
        *("sliding:", "sliding:1,,2", "sliding:0,110", "sliding:1/0", "sliding:1/111", "sliding:1/x", "sliding:1+/1"),
        *("sliding:0+1+2+3+4+5", "sliding {} every 1", "sliding {1} every"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is for people
        parse_pattern(text)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"sliding[: ][{}0-9,+/ every]{0,30}", fullmatch=True))
@settings(deadline=None)
def test_any_text_is_a_pattern_or_a_value_error(text: str) -> None:
    try:
        pattern = parse_pattern(text)
    except ValueError:
        return
    assert pattern is None or parse_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(
    ("text", "span", "overhead"),
    [
        ("1", 0, 1.0),
        ("4", 3, 0.25),
        ("10", 9, 0.1),
        ("sliding:0,1,3/2", 3, 0.5),
        ("sliding:0,1/1", 2, 1.0),
        ("sliding:0,1,3/1", 5, 1.0),
        ("sliding:1,2,4/1", 8, 1.0),
        ("sliding:1,3,7/1", 12, 1.0),
        ("sliding:2/1", 2, 1.0),
        ("sliding:0,1+0,2/1", 2, 2.0),
    ],
)
def test_a_pattern_knows_what_it_costs(text: str, span: int, overhead: float) -> None:
    pattern = pattern_of(text)
    assert (pattern.span, pattern.window, pattern.overhead) == (span, span + 1, overhead)


# -- the header -------------------------------------------------------------------------------------------


def mask_vectors() -> list[tuple[int, bytes, tuple[int, ...]]]:
    lines = (VECTORS / "masks.txt").read_text().splitlines()
    fields = [line.split() for line in lines if not line.startswith("#")]
    return [(int(base), bytes.fromhex(mask), tuple(map(int, named.split(",")))) for base, mask, named in fields]


@pytest.mark.parametrize(("base", "mask", "positions"), mask_vectors())
def test_masks_read_and_write_as_another_implementation_has_them(
    base: int, mask: bytes, positions: tuple[int, ...]
) -> None:
    payload = bytes.fromhex("007babcd01234567") + base.to_bytes(2, "big") + mask + bytes(4)
    header = parse_repair(payload)
    assert (header.base, header.positions, header.body) == (base, positions, 4)
    assert mask_bytes(positions) == mask
    assert mask_positions(mask) == positions
    for length in range(len(payload) - 4):
        with pytest.raises(ProtocolError):
            parse_repair(payload[:length])


def golden() -> tuple[list[RtpPacket], RtpPacket]:
    lines = (line.split(maxsplit=1) for line in (VECTORS / "repair.txt").read_text().splitlines() if line[0] != "#")
    packets = [RtpPacket.parse(bytes.fromhex(octets)) for _, octets in lines]
    return packets[:3], packets[3]


def test_the_golden_repair_packet_is_written_byte_for_byte() -> None:
    packets, expected = golden()
    encoder = encoder_of("3")
    encoder.sequence_number = 42
    [repair] = [repair for packet in packets for repair in encoder.protect(packet)]
    assert repair.timestamp == packets[-1].timestamp
    assert replace(repair, timestamp=expected.timestamp).serialize() == expected.serialize()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_the_golden_repair_packet_gives_each_of_its_packets_back(lost: int) -> None:
    packets, repair = golden()
    out = feed(new_decoder(), [*packets[:lost], *packets[lost + 1 :], repair])
    assert rebuilt(out) == [packets[lost].serialize()]


def slow_repair_payload(packets: list[RtpPacket]) -> bytes:
    """RFC 8627 section 6.2, word for word and bit by bit, for packets in ascending order within one short mask."""
    strings = []
    for packet in packets:
        octets = packet.serialize()
        bits = "".join(f"{octet:08b}" for octet in octets)
        strings.append(bits[0:16] + f"{len(octets) - 12:016b}" + bits[32:64] + bits[96:])
    longest = max(map(len, strings))
    columns = zip(*(bits.ljust(longest, "0") for bits in strings), strict=True)
    parity = "".join(str(sum(map(int, column)) % 2) for column in columns)
    base = packets[0].sequence_number
    named = {(packet.sequence_number - base) % 65536 for packet in packets}
    mask = "0" + "".join("1" if i in named else "0" for i in range(15))
    whole = "00" + parity[2:64] + f"{base:016b}" + mask + parity[64:]
    return int(whole, 2).to_bytes(len(whole) // 8, "big")


@st.composite
def any_media(draw: st.DrawFn, number: int) -> RtpPacket:
    extension = draw(st.none() | st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=3).map(lambda data: data * 4)))
    padding = draw(st.integers(0, 9))
    return RtpPacket(
        MEDIA_TYPE,
        number & 0xFFFF,
        (FIRST_TIMESTAMP + (number - FIRST_NUMBER) * STEP) & 0xFFFFFFFF,
        MEDIA_SSRC,
        draw(st.binary(max_size=60)),
        marker=draw(st.booleans()),
        csrcs=tuple(draw(st.lists(st.integers(0, 0xFFFFFFFF), max_size=4))),
        extension=extension,
        padding=bytes([*[7] * (padding - 1), padding]) if padding else b"",
    )


@given(st.data())
@settings(deadline=None)
def test_any_packet_is_rebuilt_bit_for_bit_whichever_is_lost(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 15))
    start = data.draw(st.integers(65520, 65550))
    packets = [data.draw(any_media(start + i)) for i in range(size)]
    repair = repair_over(packets)
    assert repair.payload == slow_repair_payload(packets)
    assert (repair.csrcs, repair.marker, repair.ssrc) == ((MEDIA_SSRC,), False, REPAIR_SSRC)
    for lost in range(size):
        others = [packet for packet in packets if packet is not packets[lost]]
        out = feed(new_decoder(), [*others, repair])
        assert rebuilt(out) == [packets[lost].serialize()]
        assert [packet for packet in out if not packet.recovered] == others


@pytest.mark.parametrize(("reach", "size"), [(14, 2), (15, 6), (45, 6), (46, 14), (109, 14)])
def test_a_mask_is_as_long_as_it_must_be(reach: int, size: int) -> None:
    encoder = encoder_of(f"sliding:0,3,{reach}/1")
    packets = [media(i) for i in range(reach + 1)]
    repairs = [encoder.protect(packet)[0] for packet in packets]
    assert len(repairs[-1].payload) == 8 + 2 + size + len(packets[0].payload)
    assert positions_of(repairs[-1]) == [0, reach - 3, reach]
    out = feed(new_decoder(), [*packets[1:], repairs[-1]])
    assert rebuilt(out) == [packets[0].serialize()]


# -- the encoder ------------------------------------------------------------------------------------------


def test_a_block_pattern_sends_one_repair_packet_after_each_block() -> None:
    encoder = encoder_of("4")
    counts = [len(encoder.protect(media(i))) for i in range(12)]
    assert counts == [0, 0, 0, 1] * 3


def test_repair_packets_have_numbers_of_their_own_and_the_timestamp_of_their_sending() -> None:
    encoder = encoder_of("sliding:1,2/1")
    repairs = [repair for i in range(6) for repair in encoder.protect(media(i))]
    assert [repair.sequence_number for repair in repairs] == [65534, 65535, 0, 1, 2]
    assert [repair.timestamp for repair in repairs] == [media(i).timestamp for i in range(1, 6)]


def test_a_sliding_pattern_covers_at_the_start_only_what_exists() -> None:
    encoder = encoder_of("sliding:0,1,3+0,2,5/1")
    covered = [[positions_of(repair) for repair in encoder.protect(media(i))] for i in range(6)]
    assert covered[:3] == [[[0]], [[0, 1], [1]], [[1, 2], [0, 2]]]
    assert covered[3:] == [[[0, 2, 3], [1, 3]], [[1, 3, 4], [2, 4]], [[2, 4, 5], [0, 3, 5]]]


def test_the_largest_media_packet_still_fits_one_datagram_with_its_repair() -> None:
    encoder = encoder_of("sliding:0,109/1")
    packets = [media(i, size=1160 - 12) for i in range(110)]
    assert max(len(repair.serialize()) for packet in packets for repair in encoder.protect(packet)) <= MAX_DATAGRAM


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("text", ["4", "10", "sliding:1,2,4/1", "sliding:0,6,12,18,24/5", "sliding:0,1,3+0,2,5/1"])
def test_the_end_of_a_stream_is_covered_like_the_rest(text: str, count: int) -> None:
    encoder = encoder_of(text)
    repairs = [repair for i in range(count) for repair in encoder.protect(media(i))]
    tail = encoder.flush()
    assert len(tail) <= 5
    named = {index for repair in repairs + tail for index in positions_of(repair)}
    assert named == set(range(count))
    assert encoder.flush() == []
    for lost in range(count):
        out = feed(new_decoder(), [*(media(i) for i in range(count) if i != lost), *repairs, *tail])
        assert rebuilt(out) == [media(lost).serialize()]


def test_the_pattern_can_change_between_any_two_packets() -> None:
    encoder = encoder_of("10")
    repairs = [repair for i in range(7) for repair in encoder.protect(media(i))]
    encoder.set_pattern(pattern_of("2"))
    repairs += [repair for i in range(7, 9) for repair in encoder.protect(media(i))]
    encoder.set_pattern(None)
    repairs += [repair for i in range(9, 11) for repair in encoder.protect(media(i))]
    assert [positions_of(repair) for repair in repairs] == [list(range(7)), [7, 8]]


def test_a_new_stream_is_not_mixed_with_the_old_one() -> None:
    encoder = encoder_of("sliding:0,1,2/1")
    for i in range(5):
        encoder.protect(media(i))
    [repair] = encoder.protect(media(40_000))
    assert positions_of(repair) == [40_000]


def test_schemes_are_made_by_the_name_that_was_negotiated() -> None:
    numbers = Packetizer(MEDIA_SSRC, MEDIA_TYPE, 1, 1)

    def encoder(scheme: str | None, pattern: str | None, **types: int | None) -> object:
        wanted = pattern_of(pattern) if pattern else None
        terms = {"payload_type": REPAIR_TYPE} | types
        return create_encoder(scheme, wanted, ssrc=REPAIR_SSRC, sequence_number=1, numbers=numbers, **terms)

    assert isinstance(encoder("flexfec", "4"), FlexFecEncoder)
    assert isinstance(encoder("ulpfec", "4"), UlpFecEncoder)
    assert isinstance(encoder("red", "4", payload_type=None, red_payload_type=98), RedEncoder)
    assert encoder(None, "4") is None
    assert encoder("flexfec", None) is None
    assert encoder("red", "4") is None
    types = frozenset({MEDIA_TYPE})
    assert create_decoder("flexfec", payload_type=REPAIR_TYPE, media_ssrc=None, media_payload_types=types) is not None
    assert create_decoder("flexfec", payload_type=None, media_ssrc=None, media_payload_types=types) is None


# -- the decoder ------------------------------------------------------------------------------------------


def test_one_repaired_packet_helps_to_repair_others() -> None:
    encoder = encoder_of("sliding:0,1,3/1")
    repairs = {i: encoder.protect(media(i))[0] for i in range(12)}
    decoder = new_decoder()
    feed(decoder, [media(i) for i in (0, 1, 2, 6, 7, 8, 9)])
    assert feed(decoder, [repairs[4], repairs[5]]) == []
    out = feed(decoder, [repairs[6]])  # covers 3, 5, 6
    assert out == []
    out = feed(decoder, [media(3)])
    assert [packet.serialize() for packet in out] == [media(i).serialize() for i in (3, 4, 5)]
    assert [packet.recovered for packet in out] == [False, True, True]
    assert decoder.recovered == 2


def test_the_order_of_arrival_does_not_matter() -> None:
    encoder = encoder_of("sliding:0,1,3/1")
    wire = [packet for i in range(60) for packet in (media(i), *encoder.protect(media(i)))]
    for seed in range(20):
        rng = random.Random(seed)
        arrived = [packet for packet in wire[:1] + wire[1:] if rng.random() > 0.2]
        rng.shuffle(arrived)
        decoder = new_decoder()
        out = feed(decoder, arrived)
        assert decoder.rejected == 0
        assert all(
            packet.serialize() == media((packet.sequence_number - FIRST_NUMBER) & 0xFFFF).serialize() for packet in out
        )


def test_duplicates_change_nothing() -> None:
    encoder = encoder_of("4")
    wire = [packet for i in range(8) for packet in (media(i), *encoder.protect(media(i)))]
    kept = [packet for packet in wire if packet not in (media(2), media(5))]
    decoder = new_decoder()
    out = feed(decoder, [packet for packet in kept for _ in range(3)])
    assert decoder.recovered == 2
    assert sorted(rebuilt(out)) == sorted([media(2).serialize(), media(5).serialize()])
    assert len(out) == 3 * 6 + 2


def test_a_rebuilt_packet_that_arrives_after_all_is_given_back_and_not_rebuilt_again() -> None:
    packets = [media(i) for i in range(4)]
    repair = repair_over(packets)
    decoder = new_decoder()
    assert len(rebuilt(feed(decoder, [*packets[:3], repair]))) == 1
    assert feed(decoder, [packets[3]]) == [packets[3]]
    assert feed(decoder, [repair, repair]) == []
    assert decoder.recovered == 1


def test_a_repair_packet_tells_which_packets_exist() -> None:
    packets = [media(i) for i in range(4, 8)]
    decoder = new_decoder()
    feed(decoder, [media(0), repair_over(packets)])
    assert decoder.last_named == (65534, 65535, 0, 1)
    feed(decoder, [media(1)])
    assert not decoder.last_named


def test_packets_before_the_first_that_arrived_are_rebuilt_too() -> None:
    encoder = encoder_of("4")
    [repair] = [repair for i in range(4) for repair in encoder.protect(media(i))]
    out = feed(new_decoder(None), [repair, media(1), media(2), media(3)])
    assert rebuilt(out) == [media(0).serialize()]


def test_a_repair_packet_may_come_first_of_all() -> None:
    decoder = new_decoder(None)
    stale = repair_over([media(i) for i in range(30_000, 30_004)])
    assert feed(decoder, [stale, media(0), media(1), media(3)]) == [media(0), media(1), media(3)]
    out = feed(decoder, [repair_over([media(i) for i in range(4)])])
    assert rebuilt(out) == [media(2).serialize()]


def test_old_packets_are_forgotten_without_harm() -> None:
    repair = repair_over([media(i) for i in range(4)])
    decoder = new_decoder()
    feed(decoder, [media(i) for i in range(1, MEDIA_RING)])
    assert feed(decoder, [repair]) == []
    assert feed(decoder, [media(0)]) == [media(0)]
    assert decoder.recovered == 0


def test_a_jump_back_heals_with_the_second_packet() -> None:
    encoder = encoder_of("4")
    decoder = new_decoder()
    feed(decoder, [media(20_000 + i) for i in range(10)])
    wire = [packet for i in range(12) for packet in (media(i), *encoder.protect(media(i)))]
    out = feed(decoder, [packet for packet in wire if packet != media(6)])
    assert media(6).serialize() in rebuilt(out)


def test_one_stray_packet_far_away_disturbs_nothing() -> None:
    packets = [media(i) for i in range(4)]
    decoder = new_decoder()
    out = feed(decoder, [packets[0], media(30_000), packets[1], packets[2], repair_over(packets)])
    assert rebuilt(out) == [packets[3].serialize()]


def test_a_new_source_starts_afresh() -> None:
    packets = [media(i) for i in range(4)]
    decoder = new_decoder()
    feed(decoder, packets)
    packets = [replace(packet, ssrc=77) for packet in packets]
    repair = replace(repair_over(packets), csrcs=(77,))
    assert rebuilt(feed(decoder, [*packets[1:], repair])) == [packets[0].serialize()]
    assert feed(decoder, [repair_over([media(i) for i in range(4)])]) == []
    assert decoder.rejected == 1


def test_after_ten_seconds_of_nothing_repair_goes_on() -> None:
    encoder = encoder_of("4")
    wire = [(i, packet) for i in range(1600) for packet in (media(i), *encoder.protect(media(i)))]
    lost = [media(i) for i in range(1, 1600, 4)]
    out = feed(new_decoder(), [packet for i, packet in wire if not 300 <= i < 1300 and packet not in lost])
    assert len(rebuilt(out)) == (1600 - 1000) // 4
