"""Forward error correction: XOR parity and repetition; patterns, their choice, and the schemes that put it on the wire.

FlexFEC (RFC 8627) is the scheme of this program, with copies by RED (RFC 2198) between two of it; ULPFEC (RFC 5109) and
RED alone are for peers that know no other.
A scheme is a module with an encoder and a decoder; the name that SDP negotiates selects it in `create_encoder` and
`create_decoder`.

    what is sent                                        what arrives
pattern     which packets a repair packet covers    memory      which packets are here, and what would fit
encoder     parity over the packets sent            decoder     parity over the packets received
            flexfec, ulpfec, red    one scheme each, both ways
            combined                flexfec, or red in its place
            xor                     parity of whole packets
control     which pattern to send now               numbering   numbers of the media alone, for ULPFEC
channel     what the reports say of the path
prediction  what a pattern leaves lost on a path
tables      its data, by tools/make_fec_tables.py
copies      the same for copies, by a formula

A new scheme: a module like flexfec, its name in voip.media.FEC_SCHEMES, a line in both functions here, and its lines of
SDP in voip.sdp.
"""

from __future__ import annotations

from voip.fec import red, ulpfec
from voip.fec.combined import CombinedEncoder
from voip.fec.control import Agreed, FecController
from voip.fec.decoder import ParityDecoder
from voip.fec.encoder import FecEncoder, NoFec
from voip.fec.flexfec import FlexFecDecoder, FlexFecEncoder
from voip.fec.numbering import MediaNumbers
from voip.fec.pattern import Pattern, parse_pattern
from voip.fec.prediction import ladder_window
from voip.fec.red import RedDecoder, RedEncoder
from voip.fec.ulpfec import UlpFecDecoder, UlpFecEncoder
from voip.media import FLEXFEC, RED, ULPFEC
from voip.rtp import Packetizer

__all__ = [
    "Agreed",
    "FecController",
    "FecEncoder",
    "FlexFecDecoder",
    "FlexFecEncoder",
    "MediaNumbers",
    "NoFec",
    "ParityDecoder",
    "Pattern",
    "RedDecoder",
    "RedEncoder",
    "UlpFecDecoder",
    "UlpFecEncoder",
    "create_decoder",
    "create_encoder",
    "ladder_window",
    "parse_pattern",
    "red",
    "ulpfec",
]


def create_encoder(
    scheme: str | None,
    pattern: Pattern | None,
    *,
    payload_type: int | None,
    ssrc: int,
    sequence_number: int,
    numbers: Packetizer,
    red_payload_type: int | None = None,
    clock_rate: int | None = None,
    media_clock_rate: int | None = None,
) -> FecEncoder | None:
    """The encoder of a negotiated scheme; None where none was agreed to or there is no pattern to send.

    `ssrc` and `sequence_number` are for repair packets of a stream of their own; `numbers` is what numbers the media.
    `clock_rate`: Hz of the timestamps of repair packets, where the media's has `media_clock_rate`; None: both the same.
    """
    if pattern is None:
        return None
    if scheme == RED and red_payload_type is not None:
        return RedEncoder(pattern, payload_type=red_payload_type)
    if payload_type is None:
        return None
    if scheme == ULPFEC:
        return UlpFecEncoder(pattern, payload_type=payload_type, numbers=numbers, red_payload_type=red_payload_type)
    if scheme == FLEXFEC:
        parity = FlexFecEncoder(
            None if red_payload_type is not None else pattern,
            payload_type=payload_type,
            ssrc=ssrc,
            media_ssrc=numbers.ssrc,
            sequence_number=sequence_number,
            clock_rate=clock_rate,
            media_clock_rate=media_clock_rate,
        )
        if red_payload_type is None:
            return parity
        return CombinedEncoder(pattern, parity, RedEncoder(None, payload_type=red_payload_type))
    return None


def create_decoder(
    scheme: str | None,
    *,
    payload_type: int | None,
    media_ssrc: int | None,
    media_payload_types: frozenset[int],
    step: int | None = None,
) -> ParityDecoder | None:
    """The decoder of repair packets; None where none were agreed to. `step`: ticks that a packet should last."""
    if payload_type is None:
        return None
    if scheme == FLEXFEC:
        return FlexFecDecoder(
            media_ssrc=media_ssrc, media_payload_types=media_payload_types, fec_payload_type=payload_type
        )
    if scheme == ULPFEC:
        return UlpFecDecoder(
            media_ssrc=media_ssrc,
            media_payload_types=media_payload_types,
            fec_payload_type=payload_type,
            step=step,
            shared_numbers=True,
        )
    return None
