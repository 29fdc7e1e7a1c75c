"""G.722 at 64 kbit/s (RFC 3551 section 4.5.2): wide-band speech that nearly every desk phone supports.

Its RTP clock runs at 8000 Hz, by a mistake of RFC 1890 that stays for the sake of old phones, while the sound has 16000
samples a second: an octet is two samples and one tick.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from voip.codecs.codec import Codec, Encoder, Implementation
from voip.dsp import Concealer, Pcm
from voip.errors import VoipError

SAMPLE_RATE = 16000
CLOCK_RATE = 8000
BITRATE = 64000
"""Bit/s; the modes of 56000 and 48000 have no payload format of their own."""
INSTALL = "G.722 needs its library: pip install G722"


class G722(Implementation):
    """The one format that there is: 8000/1 on the wire."""

    static: Mapping[int, tuple[int, int]] = {9: (CLOCK_RATE, 1)}

    def __init__(self) -> None:
        super().__init__("G722")

    def missing(self) -> str | None:
        """None if the library is here, else how to get it."""
        return None if importlib.util.find_spec("G722") is not None else INSTALL

    def complete(self, codec: Codec) -> Codec | None:
        """The format that an rtpmap names; None for all but 8000/1."""
        if (codec.clock_rate, codec.channels) != (CLOCK_RATE, 1):
            return None
        return replace(codec, sample_rate=SAMPLE_RATE)

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """Clock rate and channels to offer: the only ones there are."""
        return ((CLOCK_RATE, 1),)

    def encoder(self, codec: Codec, source_rate: int) -> G722Encoder:
        """A new encoder, for the format's own rate."""
        return G722Encoder()

    def decoder(self, codec: Codec) -> G722Decoder:
        """A new decoder."""
        return G722Decoder()

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples."""
        return (samples + 1) // 2


class _Native(Protocol):
    """What we use of the library's object."""

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """An octet for two samples."""

    def decode(self, payload: bytes) -> Sequence[int]:
        """Two samples for an octet."""


def _library() -> _Native:
    """Both halves of the codec, their memories empty; VoipError without the library."""
    try:
        module = importlib.import_module("G722")
    except ImportError as error:
        raise VoipError(INSTALL) from error
    return cast(_Native, module.G722(SAMPLE_RATE, BITRATE, use_numpy=False))


class G722Encoder(Encoder):
    """Two samples to an octet: four bits of difference in each, split by bands."""

    def __init__(self) -> None:
        """VoipError without the library."""
        super().__init__(SAMPLE_RATE)
        self._native = _library()

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples; silence makes their number even."""
        samples = pcm[:, 0]
        if len(samples) % 2:
            samples = np.append(samples, np.int16(0))
        return self._native.encode(np.ascontiguousarray(samples))


class G722Decoder:
    """Octets to samples. Its predictors recover within milliseconds after a gap, which is concealed."""

    def __init__(self) -> None:
        """VoipError without the library."""
        self._native = _library()
        self._concealer = Concealer(1, SAMPLE_RATE)

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload: any octets are some sound."""
        samples = np.asarray(self._native.decode(payload), np.int16)
        return self._concealer.join(samples.reshape(-1, 1))

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples that continue the last ones, fading."""
        return self._concealer.conceal(samples)
