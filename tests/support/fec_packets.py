"""Media and repair packets for the FEC tests: a stream that starts just below the wraps of its numbers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from voip.fec import FlexFecDecoder, FlexFecEncoder, Pattern, UlpFecDecoder, parse_pattern
from voip.fec.flexfec import parse_repair
from voip.rtp import RtpPacket

MEDIA_SSRC, REPAIR_SSRC = 0x11223344, 0x55667788
MEDIA_TYPE, REPAIR_TYPE = 96, 122
FIRST_NUMBER = 65530
FIRST_TIMESTAMP = 0xFFFFFFFF - 2000
STEP = 480
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "fec"


def media(index: int, *, size: int = 40) -> RtpPacket:
    """The packet at this place of a stream that starts just below the wraps of its numbers."""
    payload = random.Random(index).randbytes(size)
    number, timestamp = (FIRST_NUMBER + index) & 0xFFFF, (FIRST_TIMESTAMP + index * STEP) & 0xFFFFFFFF
    return RtpPacket(MEDIA_TYPE, number, timestamp, MEDIA_SSRC, payload, marker=index % 7 == 0)


def pattern_of(text: str) -> Pattern:
    pattern = parse_pattern(text)
    assert pattern is not None
    return pattern


def encoder_of(text: str) -> FlexFecEncoder:
    return FlexFecEncoder(
        pattern_of(text),
        payload_type=REPAIR_TYPE,
        ssrc=REPAIR_SSRC,
        media_ssrc=MEDIA_SSRC,
        sequence_number=65534,
    )


def new_decoder(media_ssrc: int | None = MEDIA_SSRC) -> FlexFecDecoder:
    return FlexFecDecoder(
        media_ssrc=media_ssrc, media_payload_types=frozenset({MEDIA_TYPE}), fec_payload_type=REPAIR_TYPE
    )


def repair_over(packets: list[RtpPacket]) -> RtpPacket:
    """One repair packet over all of these consecutive packets."""
    encoder = encoder_of(f"sliding:{','.join(str(offset) for offset in range(len(packets)))}/{len(packets)}")
    repairs = [repair for packet in packets for repair in encoder.protect(packet)]
    assert len(repairs) == 1
    return repairs[0]


def positions_of(repair: RtpPacket, start: int = FIRST_NUMBER) -> list[int]:
    """The places in the stream that a repair packet covers."""
    header = parse_repair(repair.payload)
    return [(header.base + position - start) & 0xFFFF for position in header.positions]


def feed(decoder: FlexFecDecoder, packets: Iterable[RtpPacket]) -> list[RtpPacket]:
    """Everything that comes out, after a trip over the wire."""
    return [found for packet in packets for found in decoder.receive(RtpPacket.parse(packet.serialize()))]


def decoder_with(*indices: int) -> FlexFecDecoder:
    """A decoder that has received the media packets of these places."""
    decoder = new_decoder()
    feed(decoder, [media(index) for index in indices])
    return decoder


def repair_of(payload: bytes, *, csrcs: tuple[int, ...] = (MEDIA_SSRC,)) -> RtpPacket:
    """A repair packet that holds just this."""
    return RtpPacket(REPAIR_TYPE, 1, 0, REPAIR_SSRC, payload, csrcs=csrcs)


def rebuilt(packets: list[RtpPacket]) -> list[bytes]:
    return [packet.serialize() for packet in packets if packet.recovered]


def captured(name: str) -> list[RtpPacket]:
    lines = (VECTORS / name).read_text().splitlines()
    return [RtpPacket.parse(bytes.fromhex(line)) for line in lines if not line.startswith("#")]


def new_ulpfec_decoder(media_type: int = MEDIA_TYPE, repair_type: int = REPAIR_TYPE, step: int = STEP) -> UlpFecDecoder:
    return UlpFecDecoder(
        media_ssrc=None,
        media_payload_types=frozenset({media_type}),
        fec_payload_type=repair_type,
        step=step,
        shared_numbers=True,
    )
