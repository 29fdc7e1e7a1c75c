"""XOR FEC against hostile repair packets, and how much it leaves lost: the decoder against a model of its own."""

from __future__ import annotations

import math
import random
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fec_packets import (
    FIRST_NUMBER,
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
    positions_of,
    rebuilt,
    repair_of,
    repair_over,
)
from tests.support.fec_simulation import (
    Outcome,
    Peeler,
    burst_loss,
    random_loss,
    residual_loss,
    simulate,
    simulate_jitter,
)
from voip.errors import ProtocolError
from voip.fec import FlexFecDecoder, Pattern
from voip.fec.decoder import REPAIR_RING
from voip.fec.flexfec import mask_bytes, parse_repair
from voip.fec.memory import MEDIA_RING
from voip.rtp import RtpPacket


def forged(lost: int, positions: tuple[int, ...], body: bytes, *, timestamp: int, flags: int = 0) -> RtpPacket:
    """A repair packet whose parity makes of the packet `lost` what the forger likes."""
    parity = bytearray(8 + max(len(body), 40))
    parity[0:8] = bytes([flags, MEDIA_TYPE, *len(body).to_bytes(2, "big"), *timestamp.to_bytes(4, "big")])
    parity[8 : 8 + len(body)] = body
    for i in positions:
        if i != lost:
            octets = media(i).serialize()
            known = bytes([octets[0] & 0x3F, octets[1], 0, len(octets) - 12]) + octets[4:8] + octets[12:]
            parity[: len(known)] = bytes(a ^ b for a, b in zip(parity, known, strict=False))
    base = media(positions[0]).sequence_number.to_bytes(2, "big")
    mask = mask_bytes(tuple(i - positions[0] for i in positions))
    return repair_of(bytes(parity[:8]) + base + mask + bytes(parity[8:]))


# -- hostile input ----------------------------------------------------------------------------------------

HEADER = "0060002800000000"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("00", id="a01 one byte"),
        pytest.param("ffff", id="a02 a count of 65535"),
        pytest.param("ffff" + "ab" * 60, id="a02 a count of 65535 and more"),
        pytest.param("", id="empty"),
        pytest.param(HEADER, id="no mask"),
        pytest.param(HEADER + "fffa40", id="half a mask"),
        pytest.param(HEADER + "fffac000" + "80", id="half of a second mask block"),
        pytest.param(HEADER + "fffac000" + "80000001" + "00" * 7, id="half of a third mask block"),
        pytest.param(HEADER + "fffa0000" + "00" * 40, id="empty mask"),
        pytest.param(HEADER + "fffa8000" + "00000000" + "00" * 40, id="empty long mask"),
        pytest.param("80" + HEADER[2:] + "fffa4000" + "00" * 40, id="R bit"),
        pytest.param("40" + HEADER[2:] + "fffa0000" + "00" * 40, id="F bit without L and D"),
        pytest.param(HEADER + "fffa4000" + "00" * 1489, id="larger than any packet"),
        pytest.param(HEADER + "8000" + "4000" + "00" * 40, id="far from the stream"),
    ],
)
def test_a_repair_packet_that_makes_no_sense_is_counted_and_dropped(payload: str) -> None:
    decoder = decoder_with(0, 1, 3)
    assert feed(decoder, [repair_of(bytes.fromhex(payload))]) == []
    assert (decoder.rejected, decoder.recovered, decoder.last_named) == (1, 0, ())
    assert len(rebuilt(feed(decoder, [repair_over([media(i) for i in range(4)])]))) == 1


@pytest.mark.parametrize("csrcs", [(), (MEDIA_SSRC + 1,), (MEDIA_SSRC, MEDIA_SSRC), (REPAIR_SSRC, MEDIA_SSRC)])
def test_a_repair_packet_for_other_streams_is_rejected(csrcs: tuple[int, ...]) -> None:
    decoder = decoder_with(0, 1, 3)
    repair = replace(repair_over([media(i) for i in range(4)]), csrcs=csrcs)
    assert feed(decoder, [repair]) == []
    assert decoder.rejected == 1


def test_a03_parity_longer_than_the_media_is_used_only_as_far_as_it_says() -> None:
    decoder = decoder_with(0, 1, 3)
    honest = repair_over([media(i) for i in range(4)])
    padded = repair_of(honest.payload + bytes(100))
    assert rebuilt(feed(decoder, [padded])) == [media(2).serialize()]
    decoder = decoder_with(0, 1, 3)
    assert feed(decoder, [repair_of(honest.payload + b"\x01" * 100)]) == []
    assert decoder.rejected == 1


def test_parity_shorter_than_the_media_is_rejected() -> None:
    decoder = decoder_with(0, 1, 3)
    honest = repair_over([media(i) for i in range(4)])
    assert feed(decoder, [repair_of(honest.payload[:-1])]) == []
    assert decoder.rejected == 1


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        pytest.param(40, {"timestamp": media(2).timestamp + 1}, id="timestamp out of step"),
        pytest.param(40, {"timestamp": media(1).timestamp - 1}, id="timestamp of before"),
        pytest.param(40, {"timestamp": media(3).timestamp + 1}, id="timestamp of later"),
        pytest.param(40, {"timestamp": (media(2).timestamp + (1 << 31)) & 0xFFFFFFFF}, id="timestamp far away"),
        pytest.param(3, {"flags": 0x0F}, id="more CSRCs than bytes"),
        pytest.param(3, {"flags": 0x10}, id="extension longer than the packet"),
        pytest.param(0, {"flags": 0x20}, id="padding of nothing"),
    ],
)
def test_forged_parity_whose_result_does_not_fit_the_stream_is_rejected(size: int, changes: dict[str, int]) -> None:
    decoder = decoder_with(0, 1, 3)
    arguments = {"timestamp": media(2).timestamp} | changes
    assert feed(decoder, [forged(2, (0, 1, 2, 3), b"\xaa" * size, **arguments)]) == []
    assert (decoder.rejected, decoder.recovered) == (1, 0)
    assert feed(decoder, [media(2)]) == [media(2)]


def test_a_forged_payload_type_is_rejected() -> None:
    decoder = FlexFecDecoder(
        media_ssrc=MEDIA_SSRC, media_payload_types=frozenset({MEDIA_TYPE + 1}), fec_payload_type=REPAIR_TYPE
    )
    packets = [media(i) for i in range(4)]
    assert rebuilt(feed(decoder, [*packets[:3], repair_over(packets)])) == []
    assert decoder.rejected == 1


def test_a_newest_packet_out_of_step_waits_for_the_next_to_vouch_for_it() -> None:
    """After a pause of the sender the first packet is lost: only its successor shows that the leap is true."""
    packets = [media(i) for i in range(6)]
    packets[3:] = [replace(packet, timestamp=(packet.timestamp + 50 * STEP) & 0xFFFFFFFF) for packet in packets[3:]]
    encoder = encoder_of("sliding:0,1/1")
    repairs = [encoder.protect(packet)[0] for packet in packets]
    decoder = new_decoder()
    assert rebuilt(feed(decoder, [*packets[:3], repairs[3]])) == []
    assert rebuilt(feed(decoder, [packets[4]])) == [packets[3].serialize()]
    assert decoder.rejected == 0


def test_a_forged_newest_packet_that_leaps_ahead_is_never_given_out() -> None:
    decoder = decoder_with(0, 1, 2)
    leap = forged(3, (1, 2, 3), b"\xaa" * 40, timestamp=(media(3).timestamp + 1000 * STEP) & 0xFFFFFFFF)
    assert feed(decoder, [leap]) == []
    assert feed(decoder, [media(4)]) == [media(4)]
    assert (decoder.rejected, decoder.recovered) == (1, 0)
    assert not decoder._waiting


def test_a_packet_that_was_received_is_never_replaced() -> None:
    decoder = decoder_with(0, 1, 2, 3)
    assert feed(decoder, [forged(2, (0, 1, 2, 3), b"\xaa" * 40, timestamp=media(2).timestamp)]) == []
    packets = [media(i) for i in range(2, 5)]
    assert rebuilt(feed(decoder, [repair_over(packets)])) == [media(4).serialize()]


def test_a_real_packet_displaces_one_rebuilt_from_forged_parity() -> None:
    decoder = decoder_with(0, 1, 3)
    feed(decoder, [forged(2, (0, 1, 2, 3), b"\xaa" * 40, timestamp=media(2).timestamp), media(2)])
    assert rebuilt(feed(decoder, [repair_over([media(2), media(3), media(4)])])) == [media(4).serialize()]


@given(st.binary(max_size=80), st.lists(st.sampled_from([MEDIA_SSRC, 0]), max_size=2))
@settings(deadline=None)
def test_any_repair_payload_is_harmless(payload: bytes, csrcs: list[int]) -> None:
    decoder = decoder_with(0, 1, 3, 4)
    for packet in feed(decoder, [repair_of(payload, csrcs=tuple(csrcs))]):
        assert (packet.ssrc, packet.payload_type) == (MEDIA_SSRC, MEDIA_TYPE)
    try:
        header = parse_repair(payload)
    except ProtocolError:
        assert decoder.rejected == 1
    else:
        assert all(a < b for a, b in pairwise(header.positions))
    assert len(rebuilt(feed(decoder, [media(5), media(6), repair_over([media(i) for i in range(5, 8)])]))) == 1


def test_no_wrong_bit_moves_a_packet_in_time() -> None:
    packets = [media(i, size=10) for i in range(6)]
    honest = repair_over(packets[:4]).payload
    given_out = 0
    for bit in range(8 * len(honest)):
        payload = bytearray(honest)
        payload[bit // 8] ^= 0x80 >> bit % 8
        out = feed(new_decoder(), [packets[0], packets[1], packets[3], repair_of(bytes(payload)), *packets[4:]])
        for packet in (found for found in out if found.recovered):
            given_out += 1
            assert packet.sequence_number == packets[2].sequence_number
            assert packet.timestamp == packets[2].timestamp
            assert len(packet.payload) <= 10
    assert given_out < 8 * (10 + 3)  # the body itself, flags and little more: no parity protects a parity


def test_memory_stays_bounded_under_a_flood_of_repair_packets() -> None:
    decoder = decoder_with(*range(20))
    rng = random.Random(1)
    mask = bytes.fromhex("ffffffffffffffffffffffffffff")
    header = bytes([0, MEDIA_TYPE, 0, 40]) + bytes(4)

    def flood(count: int) -> None:
        for _ in range(count):
            if rng.random() < 0.02:  # every 50th names 110 packets, the others a few
                payload = header + media(rng.randrange(5, 150)).serialize()[2:4] + mask
            else:
                start = rng.randrange(21, 250)
                payload = header + media(start).serialize()[2:4] + rng.choice([b"\x60\x00", b"\x50\x01"])
            decoder.receive(repair_of(payload + bytes(40)))

    flood(5_000)
    tracemalloc.start()
    flood(5_000)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    flood(90_000)
    assert sum(map(len, decoder._waiting.values())) <= REPAIR_RING * 111
    assert len(decoder._waiting) <= MEDIA_RING
    assert len(decoder._media) == MEDIA_RING
    assert len(decoder._repairs) == REPAIR_RING
    assert before < 5e6
    assert decoder.recovered == 0


# -- how much stays lost ----------------------------------------------------------------------------------


def standard_error(outcome: Outcome, deadline: float, *, parts: int = 25) -> float:
    """Of the residual loss, from the spread between parts of the run: losses come in clusters."""
    size = len(outcome.waits) // parts
    shares = [Outcome(outcome.waits[i * size : (i + 1) * size]).residual(deadline) for i in range(parts)]
    mean = sum(shares) / parts
    return math.sqrt(sum((share - mean) ** 2 for share in shares) / (parts - 1) / parts)


def block_residual(size: int, rate: float) -> float:
    """A lost packet of a block stays lost unless all the others and the repair packet arrive."""
    return rate * (1.0 - (1.0 - rate) ** size)


@pytest.mark.parametrize(("size", "rate", "noted"), [(4, 0.05, 0.0092), (4, 0.10, 0.035), (10, 0.05, 0.020)])
def test_a_block_loses_what_the_closed_form_says(size: int, rate: float, noted: float) -> None:
    outcome = simulate(Pattern.block(size), random_loss(rate, random.Random(2)), 60_000)
    expected = block_residual(size, rate)
    assert expected == pytest.approx(noted, rel=0.02)
    assert abs(outcome.residual(size - 1) - expected) < 3 * standard_error(outcome, size - 1)


@pytest.mark.parametrize(
    ("text", "deadline", "rate", "expected"),
    [
        ("sliding:0,1,3/1", 3, 0.10, 0.0005),
        ("sliding:0,1,3/1", 3, 0.20, 0.0071),
        ("sliding:1,3,7/1", 11, 0.20, 0.0038),
        ("sliding:0,1,3/2", 3, 0.05, 0.0018),
        ("sliding:0,1,3/2", 3, 0.10, 0.0095),
    ],
)
def test_sliding_sets_lose_as_little_as_they_are_known_to(
    text: str, deadline: int, rate: float, expected: float
) -> None:
    outcome = simulate(pattern_of(text), random_loss(rate, random.Random(4)), 60_000)
    rounding = 0.05 * expected
    assert abs(outcome.residual(deadline) - expected) < 3 * standard_error(outcome, deadline) + rounding


@pytest.mark.parametrize(
    ("text", "rate", "bound"), [("sliding:1,2,4/1", 0.20, 0.005), ("sliding:0,1,3/1", 0.20, 0.005), ("4", 0.05, 0.0105)]
)
def test_waiting_for_the_span_of_a_pattern_is_enough(text: str, rate: float, bound: float) -> None:
    pattern = pattern_of(text)
    assert residual_loss(pattern, rate, pattern.span) <= bound


def test_sliding_sets_beat_blocks_in_bursts() -> None:
    assert residual_loss(pattern_of("sliding:1,3,7/1"), 0.10, 11, burst=3.0) < 0.006
    assert residual_loss(pattern_of("4"), 0.10, 3, burst=3.0) > 0.07


@pytest.mark.parametrize(
    ("text", "delay", "bound"), [("sliding:0,1,3/1", 0.1, 0.005), ("sliding:0,1+0,2/1", 0.07, 0.003)]
)
def test_fec_fills_what_jitter_makes_late(text: str, delay: float, bound: float) -> None:
    """10 % loss and exponential jitter of 30 ms with reordering; without FEC 10 % and more are missing at any delay."""
    rng = random.Random(3)
    lose = random_loss(0.10, rng)
    outcome = simulate_jitter(pattern_of(text), lose, lambda: rng.expovariate(1 / 0.03), 20_000)
    assert outcome.residual(delay) < bound


@pytest.mark.parametrize("text", ["4", "10", "sliding:0,1,3/1", "sliding:1,2,4/1", "sliding:0,1,3+0,2,5/1"])
@pytest.mark.parametrize("burst", [1.0, 3.0])
def test_the_decoder_rebuilds_exactly_what_can_be_rebuilt(text: str, burst: float) -> None:
    """A model that knows only sets of numbers says which packets follow from those that arrived."""
    rng = random.Random(7)
    lose = random_loss(0.15, rng) if burst == 1.0 else burst_loss(0.15, burst, rng)
    encoder, decoder, peeler = encoder_of(text), new_decoder(), Peeler()
    feed(decoder, [media(0, size=20)])
    peeler.add([0])
    for i in range(1_500):
        packet = media(i, size=20 + i % 5)
        for sent in (packet, *encoder.protect(packet)):
            if lose():
                continue
            members = [i] if sent is packet else positions_of(sent)
            out = feed(decoder, [sent])
            expected = set(peeler.add(members)) | ({i} if sent is packet else set())
            assert {(found.sequence_number - FIRST_NUMBER) & 0xFFFF for found in out} == expected
            for found in out:
                index = (found.sequence_number - FIRST_NUMBER) & 0xFFFF
                assert found.serialize() == media(index, size=20 + index % 5).serialize()
    assert decoder.rejected == 0


def test_a21_nothing_is_special_where_the_numbers_wrap() -> None:
    """Twice round all sequence numbers: every fourth packet is lost, every one is rebuilt."""
    encoder, decoder = encoder_of("4"), new_decoder()
    for i in range(2 * 65536 + 8):
        packet = RtpPacket(MEDIA_TYPE, (FIRST_NUMBER + i) & 0xFFFF, i * STEP & 0xFFFFFFFF, MEDIA_SSRC, b"12345678")
        for sent in (packet, *encoder.protect(packet)):
            if sent is not packet or i % 4 != 1:
                decoder.receive(sent)
    assert decoder.recovered == (2 * 65536 + 8) // 4
    assert decoder.rejected == 0
