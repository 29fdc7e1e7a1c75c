"""Forward error correction by XOR parity: patterns, their choice, and the schemes that put it on the wire (RFC 8627).

A scheme is a module with an encoder and a decoder; the name that SDP negotiates selects it here.
"""

from __future__ import annotations

from voip.fec.control import FecController
from voip.fec.flexfec import FlexFecDecoder, FlexFecEncoder
from voip.fec.pattern import Pattern, parse_pattern

__all__ = [
    "FLEXFEC",
    "FecController",
    "FlexFecDecoder",
    "FlexFecEncoder",
    "Pattern",
    "create_decoder",
    "create_encoder",
    "parse_pattern",
]

FLEXFEC = "flexfec"
"""The encoding name of RFC 8627 section 5.1."""


def create_encoder(
    scheme: str | None,
    pattern: Pattern | None,
    *,
    payload_type: int | None,
    ssrc: int,
    media_ssrc: int,
    sequence_number: int,
) -> FlexFecEncoder | None:
    """The encoder of a negotiated scheme; None where none was agreed to or there is no pattern to send."""
    if scheme != FLEXFEC or payload_type is None or pattern is None:
        return None
    return FlexFecEncoder(
        pattern, payload_type=payload_type, ssrc=ssrc, media_ssrc=media_ssrc, sequence_number=sequence_number
    )


def create_decoder(
    scheme: str | None, *, payload_type: int | None, media_ssrc: int | None, media_payload_types: frozenset[int]
) -> FlexFecDecoder | None:
    """The decoder of a negotiated scheme; None where none was agreed to."""
    if scheme != FLEXFEC or payload_type is None:
        return None
    return FlexFecDecoder(media_ssrc=media_ssrc, media_payload_types=media_payload_types, fec_payload_type=payload_type)
