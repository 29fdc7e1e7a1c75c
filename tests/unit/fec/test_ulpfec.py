"""ULPFEC: header, masks, encoder, decoder, and the numbers of the media among which its packets count (RFC 5109)."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fec_packets import (
    FIRST_NUMBER,
    FIRST_TIMESTAMP,
    MEDIA_SSRC,
    MEDIA_TYPE,
    REPAIR_TYPE,
    STEP,
    captured,
    new_ulpfec_decoder,
    pattern_of,
)
from voip.errors import ProtocolError
from voip.fec import MediaNumbers, UlpFecDecoder, UlpFecEncoder
from voip.fec.decoder import REPAIR_RING
from voip.fec.memory import MEDIA_RING
from voip.fec.ulpfec import MAX_LEVELS, fitting, mask_bytes, mask_positions, parse_repair
from voip.rtp import MAX_DATAGRAM, Packetizer, RtpPacket


def stream(text: str, packets: int, *, seed: int = 1, longest: int = 160) -> list[RtpPacket]:
    """Media and repair packets in the order of sending, across the wraps of number and timestamp."""
    numbers = Packetizer(MEDIA_SSRC, MEDIA_TYPE, FIRST_NUMBER, FIRST_TIMESTAMP)
    encoder = UlpFecEncoder(pattern_of(text), payload_type=REPAIR_TYPE, numbers=numbers)
    rng = random.Random(seed)
    sent: list[RtpPacket] = []
    for i in range(packets):
        (packet,) = numbers.packetize([rng.randbytes(rng.randint(1, longest))], STEP, marker=i % 7 == 0)
        sent += [packet, *encoder.protect(packet)]
    return sent + encoder.flush()


def is_repair(packet: RtpPacket) -> bool:
    return packet.payload_type == REPAIR_TYPE


def feed(decoder: UlpFecDecoder, packets: list[RtpPacket]) -> list[bytes]:
    """What is rebuilt, after a trip over the wire."""
    found = [out for packet in packets for out in decoder.receive(RtpPacket.parse(packet.serialize()))]
    return [packet.serialize() for packet in found if packet.recovered]


# -- the header -------------------------------------------------------------------------------------------


def packet_of(marker: bool, payload_type: int, number: int, timestamp: int, length: int) -> RtpPacket:
    return RtpPacket(payload_type, number, timestamp, 2, bytes([number]) * length, marker)


EXAMPLE = [  # the four packets of RFC 5109 section 10.1, with payloads of our own
    packet_of(True, 11, 8, 3, 200),
    packet_of(False, 18, 9, 5, 140),
    packet_of(False, 11, 10, 7, 100),
    packet_of(False, 18, 11, 9, 340),
]
EXAMPLE_HEADER = bytes.fromhex("00 80 0008 00000008 0174 0154 f000")
"""By the field layout of sections 7.3 and 7.4: E L P X CC, M and PT (11 xor 18 twice is 0), SN base 8, TS 3^5^7^9 = 8,
length 200^140^100^340 = 372; protection length 340; the first four bits of the mask."""


def encoded(packets: list[RtpPacket]) -> RtpPacket:
    """The repair packet over all of these."""
    numbers = Packetizer(packets[0].ssrc, 0, packets[0].sequence_number, 0)
    encoder = UlpFecEncoder(pattern_of(str(len(packets))), payload_type=REPAIR_TYPE, numbers=numbers)
    repairs = []
    for packet in packets:
        assert numbers.take_number() == packet.sequence_number
        repairs += encoder.protect(packet)
    (repair,) = repairs
    return repair


def test_the_header_is_that_of_the_standard() -> None:
    repair = encoded(EXAMPLE)
    assert repair.payload[: len(EXAMPLE_HEADER)] == EXAMPLE_HEADER
    assert len(repair.payload) == len(EXAMPLE_HEADER) + 340
    assert repair.payload[len(EXAMPLE_HEADER)] == 8 ^ 9 ^ 10 ^ 11
    assert repair.payload[-1] == 11
    assert (repair.ssrc, repair.sequence_number, repair.timestamp) == (2, 12, 9)
    header = parse_repair(repair.payload)
    assert (header.base, header.positions, header.body) == (8, (0, 1, 2, 3), 340)


def test_a_mask_of_48_bits_sets_the_l_bit() -> None:
    repair = encoded([packet_of(False, 11, 8 + i, 3 + 2 * i, 10) for i in range(17)])
    assert repair.payload[0] == 0x40
    assert repair.payload[12:18].hex() == "ffff80000000"
    assert parse_repair(repair.payload).positions == tuple(range(17))


@pytest.mark.parametrize(
    ("positions", "mask"),
    [((0,), "8000"), ((0, 1), "c000"), ((0, 15), "8001"), ((0, 16), "800080000000"), ((0, 47), "800000000001")],
)
def test_masks_are_as_short_as_can_be(positions: tuple[int, ...], mask: str) -> None:
    assert mask_bytes(positions).hex() == mask
    assert mask_positions(bytes.fromhex(mask)) == positions


HEADER = "0060fffa000000000028"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="empty"),
        pytest.param(HEADER, id="no level"),
        pytest.param(HEADER + "0000c0", id="half a mask"),
        pytest.param("40" + HEADER[2:] + "0000c000", id="half a long mask"),
        pytest.param(HEADER + "00000000", id="empty mask"),
        pytest.param(HEADER + "0029c000" + "00" * 40, id="level of more than is there"),
        pytest.param(HEADER + "0027c000" + "00" * 40, id="a byte behind the level"),
        pytest.param(HEADER + "05d1c000" + "00" * 1489, id="larger than any packet"),
        pytest.param(HEADER + "0000c000" * (MAX_LEVELS + 1), id="more levels than anybody sends"),
    ],
)
def test_what_is_no_repair_packet_is_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        parse_repair(bytes.fromhex(payload))


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_any_bytes_are_a_repair_packet_or_a_protocol_error(payload: bytes) -> None:
    try:
        header = parse_repair(payload)
    except ProtocolError:
        return
    assert header.positions
    assert header.body <= len(payload)


# -- levels -----------------------------------------------------------------------------------------------


def test_levels_of_one_mask_rebuild_the_whole_packet() -> None:
    packets = stream("4", 4)
    repair = packets.pop()
    body = repair.payload[14:]
    levels = b"".join(len(part).to_bytes(2, "big") + b"\xf0\x00" + part for part in (body[:10], body[10:]))
    repair = replace(repair, payload=repair.payload[:10] + levels)
    decoder = new_ulpfec_decoder()
    assert feed(decoder, [*packets[:2], packets[3], repair]) == [packets[2].serialize()]


def test_a_packet_that_level_0_does_not_hold_is_rejected_and_one_that_it_holds_is_rebuilt() -> None:
    sizes = (20, 60, 60, 60)
    packets = [packet_of(False, MEDIA_TYPE, 8 + i, STEP * i, size) for i, size in enumerate(sizes)]
    repair = encoded(packets)
    level_1 = (40).to_bytes(2, "big") + b"\x60\x00" + bytes(40)  # another mask: over the second and the third
    level_0 = (20).to_bytes(2, "big") + b"\xf0\x00" + repair.payload[14:34]
    repair = replace(repair, payload=repair.payload[:10] + level_0 + level_1)
    for lost, rebuilt in ((0, [packets[0].serialize()]), (1, [])):
        decoder = new_ulpfec_decoder()
        assert feed(decoder, [*(packet for i, packet in enumerate(packets) if i != lost), repair]) == rebuilt
        assert decoder.rejected == (not rebuilt)


# -- GStreamer --------------------------------------------------------------------------------------------


def test_packets_of_gstreamer_are_rebuilt_whichever_is_lost() -> None:
    packets = captured("gstreamer-ulpfec.txt")
    media = [packet for packet in packets if packet.payload_type == 26]
    assert len(packets) - len(media) == 4
    for lost in media:
        decoder = new_ulpfec_decoder(26, 100, 3000)
        assert feed(decoder, [packet for packet in packets if packet is not lost]) == [lost.serialize()]
        assert decoder.rejected == 0


def test_what_gstreamer_sends_is_what_we_would_send() -> None:
    """The same masks over the same packets; GStreamer's sets are {0, 1} and {2, 3} of each frame of four packets."""
    packets = captured("gstreamer-ulpfec.txt")
    for frame in (packets[:6], packets[6:]):
        for pair, repair in ((frame[:2], frame[4]), (frame[2:4], frame[5])):
            assert encoded(pair).payload == repair.payload


# -- encoder and decoder ----------------------------------------------------------------------------------


def test_repair_packets_take_numbers_of_the_media() -> None:
    sent = stream("4", 9)
    assert [is_repair(packet) for packet in sent[:10]] == [False] * 4 + [True] + [False] * 4 + [True]
    assert [packet.sequence_number for packet in sent] == [(FIRST_NUMBER + i) & 0xFFFF for i in range(len(sent))]
    assert is_repair(sent[-1])  # the ninth packet is covered at the end
    assert {packet.ssrc for packet in sent} == {MEDIA_SSRC}
    assert len(max((packet.serialize() for packet in stream("4", 9, longest=1140)), key=len)) <= MAX_DATAGRAM


@pytest.mark.parametrize("text", ["1", "4", "48", "sliding:0,1,3/2", "sliding:0,1+0,2/1", "sliding:0,6,12/1"])
def test_any_packet_that_is_lost_alone_is_rebuilt(text: str) -> None:
    sent = stream(text, 96)
    for lost in sent[: 60 if text == "48" else 30]:
        if not is_repair(lost):
            decoder = new_ulpfec_decoder()
            assert feed(decoder, [packet for packet in sent if packet is not lost]) == [lost.serialize()]
            assert decoder.rejected == 0


def test_a_pattern_may_change_between_any_two_packets() -> None:
    numbers = Packetizer(MEDIA_SSRC, MEDIA_TYPE, FIRST_NUMBER, FIRST_TIMESTAMP)
    encoder = UlpFecEncoder(pattern_of("4"), payload_type=REPAIR_TYPE, numbers=numbers)
    sent = []
    for i in range(60):
        if i % 7 == 0:
            encoder.set_pattern((pattern_of("3"), pattern_of("sliding:0,1/1"), None, pattern_of("5"))[i // 7 % 4])
        (packet,) = numbers.packetize([bytes([i]) * 50], STEP)
        sent += [packet, *encoder.protect(packet)]
    assert sorted(packet.sequence_number - FIRST_NUMBER & 0xFFFF for packet in sent) == list(range(len(sent)))
    lost = sent[0]
    decoder = new_ulpfec_decoder()
    assert feed(decoder, sent[1:]) == [lost.serialize()]
    assert decoder.rejected == 0


@pytest.mark.parametrize("text", ["49", "sliding:0,30/1", "sliding:0,20+0,3/1"])
def test_a_pattern_that_no_mask_can_say_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"mask|block"):
        fitting(pattern_of(text))
    assert fitting(pattern_of("48")) == pattern_of("48")
    assert fitting(None) is None


def test_a_repair_packet_of_another_ssrc_and_sequence_is_understood_too() -> None:
    """RFC 5109 section 7.2 lets the FEC stream have both of its own."""
    packets = [packet_of(False, MEDIA_TYPE, 8 + i, STEP * i, 60) for i in range(4)]
    repair = replace(encoded(packets), ssrc=99, sequence_number=4711)
    assert feed(new_ulpfec_decoder(), [*packets[:2], packets[3], repair]) == [packets[2].serialize()]


@pytest.mark.parametrize(
    ("place", "bits"),
    [
        pytest.param(6, 0x20, id="timestamp"),
        pytest.param(8, 0x20, id="length"),
        pytest.param(1, 0x20, id="payload type"),
        pytest.param(0, 0x10, id="extension"),
    ],
)
def test_what_does_not_fit_the_stream_is_rejected(place: int, bits: int) -> None:
    packets = [packet_of(False, MEDIA_TYPE, 8 + i, STEP * i, 60) for i in range(6)]
    repair = encoded(packets[1:5])
    payload = bytearray(repair.payload)
    payload[place] ^= bits
    repair = replace(repair, payload=bytes(payload))
    decoder = new_ulpfec_decoder()
    assert feed(decoder, [*packets[:2], *packets[3:], repair]) == []
    assert (decoder.rejected, decoder.recovered) == (1, 0)


def test_repair_packets_between_do_not_make_a_timestamp_wrong() -> None:
    """Two of three neighbours lost, repair packets lost as well: steps of time need not be steps of number."""
    sent = stream("1", 40)
    media = [packet for packet in sent if not is_repair(packet)]
    for lost in combinations(range(4, 12), 2):
        gone = [media[i] for i in lost]
        decoder = new_ulpfec_decoder()
        keep = [packet for i, packet in enumerate(sent) if packet not in gone and (not is_repair(packet) or i % 5)]
        feed(decoder, keep)
        assert decoder.rejected == 0


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=60), st.booleans()), max_size=40))
@settings(deadline=None, max_examples=50)
def test_nothing_that_comes_raises_or_grows(packets: list[tuple[int, bytes, bool]]) -> None:
    decoder = new_ulpfec_decoder()
    for number, payload, repair in packets:
        packet = RtpPacket(REPAIR_TYPE if repair else MEDIA_TYPE, number, number * STEP, MEDIA_SSRC, payload)
        for found in decoder.receive(packet):
            assert found.payload_type == MEDIA_TYPE
    assert len(decoder._media) == MEDIA_RING
    assert len(decoder._repairs) == REPAIR_RING


# -- numbers of the media ---------------------------------------------------------------------------------


def placed(packets: list[RtpPacket], keep: list[bool] | None = None) -> list[int | None]:
    """What becomes of each media packet's number, relative to the first; None for those that are not here."""
    numbers = MediaNumbers(STEP)
    first: int | None = None
    found: list[int | None] = []
    for i, packet in enumerate(packets):
        here = keep is None or keep[i]
        if is_repair(packet):
            if here:
                numbers.repair(packet)
            continue
        if not here:
            found.append(None)
            continue
        number = numbers.place(packet).sequence_number
        first = number - len(found) if first is None else first
        found.append((number - first) & 0xFFFF)
    return found


@pytest.mark.parametrize("text", ["1", "4", "sliding:0,1,3/2", "sliding:0,1+0,2/1"])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4])
def test_media_is_numbered_as_if_there_were_no_repair_packets(text: str, loss: float) -> None:
    rng = random.Random(5)
    sent = stream(text, 2000)
    keep = [i == 0 or rng.random() >= loss for i in range(len(sent))]
    for i, number in enumerate(placed(sent, keep)):
        assert number in (None, i)


def test_late_packets_get_the_number_that_was_left_for_them() -> None:
    sent = stream("2", 60)
    order = list(range(len(sent)))
    rng = random.Random(2)
    for i in range(1, len(order) - 6, 3):
        order[i], order[i + rng.randint(1, 5)] = order[i + rng.randint(1, 5)], order[i]
    order = list(dict.fromkeys(order))
    numbers = MediaNumbers(STEP)
    media = [packet for packet in sent if not is_repair(packet)]
    given_numbers = {}
    for i in order:
        if is_repair(sent[i]):
            numbers.repair(sent[i])
        else:
            given_numbers[media.index(sent[i])] = numbers.place(sent[i]).sequence_number
    assert all((number - given_numbers[0]) & 0xFFFF == i for i, number in given_numbers.items())


def test_a_pause_of_the_sender_is_no_hole() -> None:
    sent = stream("1", 20)
    sent[20:] = [replace(packet, timestamp=(packet.timestamp + 50 * STEP) & 0xFFFFFFFF) for packet in sent[20:]]
    assert placed(sent) == list(range(20))


def test_another_packet_time_is_learnt_from_packets_in_a_row() -> None:
    sent = stream("4", 80)
    first = sent[0].timestamp
    slow = [(first + ((packet.timestamp - first) & 0xFFFFFFFF) * 2) & 0xFFFFFFFF for packet in sent]
    sent = [replace(packet, timestamp=timestamp) for packet, timestamp in zip(sent, slow, strict=True)]
    keep = [not (i > 30 and i % 11 == 0) for i in range(len(sent))]
    for i, number in enumerate(placed(sent, keep)):
        assert number in (None, i)


def test_a_jump_and_another_stream_begin_far_from_the_last_number() -> None:
    numbers = MediaNumbers(STEP)
    packet = RtpPacket(MEDIA_TYPE, 100, 0, MEDIA_SSRC)
    first = numbers.place(packet).sequence_number
    jumped = numbers.place(RtpPacket(MEDIA_TYPE, 20000, STEP, MEDIA_SSRC)).sequence_number
    other = numbers.place(RtpPacket(MEDIA_TYPE, 20001, STEP, MEDIA_SSRC + 1)).sequence_number
    assert (jumped - first) & 0xFFFF == (other - jumped) & 0xFFFF == 1 << 15


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 0xFFFFFFFF), st.sampled_from("mrn")), max_size=60))
@settings(deadline=None)
def test_any_stream_can_be_numbered(packets: list[tuple[int, int, str]]) -> None:
    numbers = MediaNumbers(STEP)
    for number, timestamp, kind in packets:
        packet = RtpPacket(MEDIA_TYPE, number, timestamp, MEDIA_SSRC)
        if kind == "m":
            assert numbers.place(packet).timestamp == timestamp
        elif kind == "r":
            numbers.repair(packet)
        else:
            assert all(0 <= found <= 0xFFFF for found in numbers.named((number, number + 1 & 0xFFFF)))


def test_the_extension_bit_is_ignored_as_section_7_3_wants() -> None:
    for first in ("00", "80"):
        header = parse_repair(bytes.fromhex(first + HEADER[2:] + "0028c000" + "11" * 40))
        assert (header.base, header.positions, header.body) == (0xFFFA, (0, 1), 40)
    plain, extended = (
        parse_repair(bytes.fromhex(first + HEADER[2:] + "0028c000" + "11" * 40)) for first in ("00", "80")
    )
    assert plain == extended
