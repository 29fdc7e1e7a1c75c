"""The second encoder of a stream: what later packets repeat of each, at a lower bit rate (RFC 2198 section 1)."""

from __future__ import annotations

from voip.codecs import Codec, Encoder
from voip.dsp import Pcm
from voip.fec import Pattern
from voip.media import FLEXFEC, RED, NegotiatedMedia


class CopyEncoder:
    """Encodes the sound of each packet once more, while a pattern asks for copies of a lower bit rate than it has.

    It begins anew with each such time: what was said before it need not be decoded.
    """

    def __init__(self, codec: Codec, source_rate: int) -> None:
        """`codec` and `source_rate` (Hz) of the first encoder: both take the same sound."""
        self._codec, self._source_rate = codec, source_rate
        self._bitrate: int | None = None
        self._encoder: Encoder | None = None

    def encode(self, pcm: Pcm, pattern: Pattern | None, first: Encoder) -> bytes | None:
        """What is to be repeated of this packet of the `first` encoder; None: nothing, or the packet itself."""
        bitrate = pattern.copy_bitrate if pattern is not None and pattern.reduced else None
        if bitrate is not None and first.bitrate is not None and first.bitrate <= bitrate:
            bitrate = None
        if bitrate != self._bitrate:
            self._bitrate = bitrate
            self._encoder = None if bitrate is None else self._codec.copy_encoder(bitrate, self._source_rate)
        return None if self._encoder is None else self._encoder.encode(pcm)


def kinds_of(media: NegotiatedMedia) -> tuple[bool, bool]:
    """Whether repair packets may be sent, and whether packets may repeat others at a lower bit rate.

    RED alone sends no repair packets; of a format without lower bit rates it repeats as many packets in their place.
    """
    able = media.audio.codec.implementation.makes_copies and media.red_payload_type is not None
    copies = able and media.fec in (FLEXFEC, RED)
    return media.fec != RED or not copies, copies
