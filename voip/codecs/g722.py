"""G.722 at 64 kbit/s (RFC 3551 section 4.5.2): wide-band speech that nearly every desk phone knows.

Its RTP clock runs at 8000 Hz, by a mistake of RFC 1890 that stays for the sake of old phones, while the sound has 16000
samples a second: an octet is two samples and one tick.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from voip.dsp import Concealer, Pcm
from voip.errors import VoipError

if TYPE_CHECKING:
    from voip.codecs import Codec

STATIC: Mapping[int, tuple[str, int, int]] = {9: ("G722", 8000, 1)}
"""RFC 3551 section 6, table 4."""

SAMPLE_RATE = 16000
CLOCK_RATE = 8000
BITRATE = 64000
"""Bit/s; the modes of 56000 and 48000 have no payload format of their own."""
INSTALL = "G.722 needs its library: pip install G722"


def missing() -> str | None:
    """None if the library is here, else how to get it."""
    return None if importlib.util.find_spec("G722") is not None else INSTALL


def complete(codec: Codec) -> Codec | None:
    """The format that an rtpmap names; None for all but 8000/1."""
    if (codec.clock_rate, codec.channels) != (CLOCK_RATE, 1):
        return None
    return replace(codec, sample_rate=SAMPLE_RATE)


def formats(name: str, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
    """Clock rate and channels to offer: the only ones there are."""
    return ((CLOCK_RATE, 1),)


def understands(codec: Codec, fmtp: str) -> bool:
    """It has no parameters."""
    return True


def offered(codec: Codec, sample_rate: int, channels: int, bitrate: int | None) -> Codec:
    """The format itself: it has no parameters."""
    return codec


def negotiated(codec: Codec, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
    """The format itself: it has no parameters."""
    return codec


def encoder(codec: Codec, source_rate: int) -> G722Encoder:
    """A fresh encoder, for the format's own rate."""
    return G722Encoder()


def decoder(codec: Codec) -> G722Decoder:
    """A fresh decoder."""
    return G722Decoder()


def encoded_size(codec: Codec, samples: int) -> int:
    """Payload bytes for that many samples."""
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


class G722Encoder:
    """Two samples to an octet: four bits of difference in each, split by bands."""

    sample_rate = SAMPLE_RATE

    def __init__(self) -> None:
        """VoipError without the library."""
        self._native = _library()

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples; silence makes their number even."""
        samples = pcm[:, 0]
        if len(samples) % 2:
            samples = np.append(samples, np.int16(0))
        return self._native.encode(np.ascontiguousarray(samples))

    def set_loss(self, fraction: float, *, in_band_fec: bool) -> None:
        """Losses change nothing: there is no redundancy to add."""


class G722Decoder:
    """Octets to samples. Its predictors find their way back within milliseconds after a hole, which is concealed."""

    def __init__(self) -> None:
        """VoipError without the library."""
        self._native = _library()
        self._concealer = Concealer(1, SAMPLE_RATE)

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload: any octets are some sound."""
        samples = np.asarray(self._native.decode(payload), np.int16)
        return self._concealer.join(samples.reshape(-1, 1))

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """That many samples that continue what was heard last, fading."""
        return self._concealer.conceal(samples)
