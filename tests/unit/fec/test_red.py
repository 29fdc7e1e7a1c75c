"""RED: its blocks, packets that repeat earlier ones, and RED as what carries ULPFEC (RFC 2198)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fec_packets import FIRST_NUMBER, FIRST_TIMESTAMP, MEDIA_SSRC, MEDIA_TYPE, STEP, captured, pattern_of
from voip.errors import ProtocolError
from voip.fec import RedDecoder, RedEncoder, red
from voip.fec.memory import MEDIA_RING
from voip.fec.red import MAX_BLOCK, MAX_BLOCKS, MAX_OFFSET, Block
from voip.rtp import MAX_DATAGRAM, Packetizer, RtpPacket

RED_TYPE = 121


def new_decoder(step: int = STEP) -> RedDecoder:
    return RedDecoder(media_ssrc=None, media_payload_types=frozenset({MEDIA_TYPE}), step=step)


def stream(
    copies: int, packets: int, *, size: int = 60, pauses: frozenset[int] = frozenset()
) -> tuple[list[RtpPacket], list[RtpPacket]]:
    """What was packetized and what is sent for it, across the wraps of number and timestamp."""
    numbers = Packetizer(MEDIA_SSRC, MEDIA_TYPE, FIRST_NUMBER, FIRST_TIMESTAMP)
    encoder = RedEncoder(red.repetition(copies), payload_type=RED_TYPE)
    media, sent = [], []
    for i in range(packets):
        if i in pauses:
            numbers.skip(STEP * 5 // 2)
        media += numbers.packetize([random.Random(i).randbytes(size)], STEP, marker=not i)
        sent.append(encoder.carry(media[-1]))
    return media, sent


def feed(decoder: RedDecoder, packets: list[RtpPacket]) -> list[bytes]:
    found = []
    for packet in packets:
        carried, blocks = red.unwrap(RtpPacket.parse(packet.serialize()))
        found += [rebuilt.serialize() for rebuilt in decoder.receive(carried, blocks)]
    return found


# -- the format -------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_standard() -> None:
    """F, PT 7, 14 bits of offset, 10 of length; then F = 0 and PT 5: the shape of the example of section 4."""
    payload = serialized = red.serialize([Block(7, 0x1234, b"lpc")], Block(5, 0, b"dvi"))
    assert payload.hex() == "87" + f"{0x1234 << 10 | 3:06x}" + "05" + b"lpcdvi".hex()
    assert red.parse(serialized) == ([Block(7, 0x1234, b"lpc")], Block(5, 0, b"dvi"))
    largest = Block(127, MAX_OFFSET, bytes(MAX_BLOCK))
    assert red.serialize([largest], Block(0, 0, b""))[:5].hex() == "ffffffff00"


def test_a_block_that_does_not_fit_its_header_is_refused() -> None:
    for block in (Block(7, MAX_OFFSET + 1, b""), Block(7, 0, bytes(MAX_BLOCK + 1))):
        with pytest.raises(ValueError, match="RED block"):
            red.serialize([block], Block(5, 0, b""))


@pytest.mark.parametrize(
    "payload", ["", "87", "870000", "87000001", "8700000105", "80000000" * (MAX_BLOCKS + 1) + "00", "80000002" + "0041"]
)
def test_what_is_no_red_packet_is_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        red.parse(bytes.fromhex(payload))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_red_packet_or_a_protocol_error(payload: bytes) -> None:
    try:
        blocks, last = red.parse(payload)
    except ProtocolError:
        return
    assert red.serialize(blocks, last) == payload


def test_packets_of_gstreamer_are_read() -> None:
    """PCMU (0) and ULPFEC (100) by turns, each with the packet before: its age is 32 ticks, or 0 behind parity."""
    packets = [red.unwrap(packet) for packet in captured("gstreamer-red.txt")]
    assert [packet.payload_type for packet, _ in packets[:7]] == [0, 0, 100, 0, 0, 100, 0]
    assert [[(block.payload_type, block.offset) for block in blocks] for _, blocks in packets[:4]] == [
        [],
        [(0, 32)],
        [(0, 0)],
        [(100, 32)],
    ]
    assert packets[1][1][0].payload == packets[0][0].payload
    assert packets[3][1][0].payload == packets[2][0].payload


# -- repetition -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_a_run_of_as_many_losses_as_copies_is_made_good(copies: int) -> None:
    media, sent = stream(copies, 40)
    decoder = new_decoder()
    lost = range(10, 10 + copies)
    rebuilt = feed(decoder, [packet for i, packet in enumerate(sent) if i not in lost])
    assert rebuilt == [media[i].serialize() for i in lost]
    assert (decoder.recovered, decoder.rejected, decoder.reach) == (copies, 0, copies)


def test_a_packet_that_comes_after_its_copy_is_not_rebuilt_twice() -> None:
    _, sent = stream(2, 12)
    sent[5], sent[6] = sent[6], sent[5]
    decoder = new_decoder()
    assert len(feed(decoder, sent)) == 1
    assert (decoder.recovered, decoder.rejected) == (1, 0)


def test_copies_across_a_pause_harm_nothing() -> None:
    media, sent = stream(1, 40, pauses=frozenset({9, 20}))
    decoder = new_decoder()
    lost = (4, 14, 30)
    assert feed(decoder, [packet for i, packet in enumerate(sent) if i not in lost]) == [
        media[i].serialize() for i in lost
    ]
    assert decoder.rejected == 0


@pytest.mark.parametrize(("size", "copies"), [(60, 3), (300, 2), (550, 1), (590, 0), (1140, 0)])
def test_copies_are_left_out_where_they_do_not_fit(size: int, copies: int) -> None:
    _, sent = stream(3, 8, size=size)
    assert max(len(packet.serialize()) for packet in sent) <= MAX_DATAGRAM
    assert {len(red.unwrap(packet)[1]) for packet in sent[3:]} == {copies}


def test_payloads_up_to_the_limit_leave_room_for_all_copies() -> None:
    for copies in (1, 2, 5):
        _, sent = stream(copies, 8, size=red.payload_limit(copies))
        assert len(red.unwrap(sent[-1])[1]) == copies


def test_without_a_pattern_packets_stay_as_they_are() -> None:
    encoder = RedEncoder(None, payload_type=RED_TYPE)
    packet = RtpPacket(MEDIA_TYPE, 1, 0, MEDIA_SSRC, b"sound")
    assert encoder.carry(packet) is packet
    encoder.set_pattern(red.repetition(1))
    following = encoder.carry(RtpPacket(MEDIA_TYPE, 2, STEP, MEDIA_SSRC, b"more"))
    assert red.unwrap(following)[1] == [Block(MEDIA_TYPE, STEP, b"sound")]
    assert (encoder.blocks, encoder.protect(packet), encoder.flush()) == (1, [], [])


@pytest.mark.parametrize(
    ("pattern", "copies"),
    [("sliding:1/1", (1,)), ("sliding:1+3/1", (1, 3)), ("4", (1,)), ("sliding:0,1+0,2/1", (1, 2))],
)
def test_of_a_pattern_that_red_cannot_send_its_cost_is_kept(pattern: str, copies: tuple[int, ...]) -> None:
    assert red.copies_of(pattern_of(pattern)) == copies


@pytest.mark.parametrize("copies", [0, 6])
def test_too_many_copies_and_none_are_refused(copies: int) -> None:
    with pytest.raises(ValueError, match="repeated packets"):
        red.repetition(copies)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(Block(MEDIA_TYPE, STEP - 1, b"x"), id="between two packets"),
        pytest.param(Block(MEDIA_TYPE, 0, b"x"), id="no age"),
        pytest.param(Block(MEDIA_TYPE + 1, 2 * STEP, b"x"), id="another payload type"),
        pytest.param(Block(MEDIA_TYPE, 2 * STEP, b""), id="empty"),
    ],
)
def test_a_block_that_does_not_fit_the_stream_is_rejected(block: Block) -> None:
    media, _ = stream(1, 10)
    decoder = new_decoder()
    for i in (0, 1, 2, 4):
        decoder.receive(media[i], [])
    assert decoder.receive(media[5], [block]) == []
    assert (decoder.rejected, decoder.recovered) == (1, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 65535), st.integers(0, 0xFFFFFFFF), st.integers(0, MAX_OFFSET), st.binary(max_size=4)),
        max_size=40,
    )
)
@settings(deadline=None)
def test_nothing_that_comes_raises_or_grows(packets: list[tuple[int, int, int, bytes]]) -> None:
    decoder = new_decoder()
    for number, timestamp, offset, payload in packets:
        packet = RtpPacket(MEDIA_TYPE, number, timestamp, MEDIA_SSRC)
        for found in decoder.receive(packet, [Block(MEDIA_TYPE, offset, payload)]):
            assert found.payload_type == MEDIA_TYPE
    assert len(decoder._media) == MEDIA_RING
