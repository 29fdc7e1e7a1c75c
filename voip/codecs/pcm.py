"""Codecs without memory: L16 (RFC 3551 section 4.5.11), PCMU and PCMA (section 4.5.14, ITU-T G.711)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from voip.codecs.codec import Codec, Encoder, Implementation
from voip.dsp import Concealer, Pcm
from voip.errors import ProtocolError

RATES = range(8000, 192001)
"""Sample rates that a device or a resampler can reasonably be asked for."""
CHANNELS = range(1, 3)
"""Mono and stereo."""

_BIG_ENDIAN = np.dtype(">i2")
_G711_PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8}
"""RFC 3551 section 6, table 4."""
_SIGN = 0x80
_EXPONENT_SHIFT = 4
_MANTISSA = 0x0F

# mu-law, ITU-T G.711 table 2: 14-bit magnitudes, a bias that makes all segments start at a power of two.
_MU_BIAS = 33
_MU_CLIP = 8158  # louder is coded as the largest magnitude
_MU_INVERT = 0xFF
_MU_SEGMENT_ENDS = np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF])

# A-law, ITU-T G.711 table 1: 13-bit magnitudes, even bits inverted on the wire.
_A_INVERT = 0x55
_A_SEGMENT_ENDS = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF])


COMMON_L16 = ((48000, 1), (44100, 1))
"""Rates and channels of L16 offered besides the device's own: what other programs are able to take. Lower rates
have better codecs, and each format makes an INVITE longer, which over UDP has a limit (RFC 3261 section 18.1.1)."""


class L16(Implementation):
    """16-bit samples as they are."""

    static: Mapping[int, tuple[int, int]] = {10: (44100, 2), 11: (44100, 1)}

    def __init__(self) -> None:
        super().__init__("L16")

    def complete(self, codec: Codec) -> Codec | None:
        """The format that an rtpmap names; None if its rate or its channels are out of range."""
        return _within_range(codec)

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """Clock rates and channels to offer: the device's own first, then COMMON_L16."""
        return ((sample_rate, channels), *COMMON_L16)

    def encoder(self, codec: Codec, source_rate: int) -> L16Encoder:
        """A new encoder, for the format's own rate."""
        return L16Encoder(codec.sample_rate)

    def decoder(self, codec: Codec) -> L16Decoder:
        """A new decoder."""
        return L16Decoder(codec)

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples."""
        return samples * codec.channels * _BIG_ENDIAN.itemsize


class G711(Implementation):
    """PCMU or PCMA, by name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.static = {_G711_PAYLOAD_TYPES[name]: (8000, 1)}

    def complete(self, codec: Codec) -> Codec | None:
        """The format that an rtpmap names; None if its rate or its channels are out of range."""
        return _within_range(codec)

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """Clock rate and channels to offer: what a telephone knows."""
        return ((8000, 1),)

    def encoder(self, codec: Codec, source_rate: int) -> G711Encoder:
        """A new encoder, for the format's own rate."""
        return G711Encoder(codec)

    def decoder(self, codec: Codec) -> G711Decoder:
        """A new decoder."""
        return G711Decoder(codec)

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples."""
        return samples * codec.channels


def _within_range(codec: Codec) -> Codec | None:
    return codec if codec.clock_rate in RATES and codec.channels in CHANNELS else None


class L16Encoder(Encoder):
    """Samples as big-endian words, channels interleaved."""

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples."""
        return pcm.astype(_BIG_ENDIAN).tobytes()


class G711Encoder(Encoder):
    """One byte per sample by table, channels interleaved."""

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec.sample_rate)
        self._table = encode_table(codec.name)

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples."""
        return self._table[pcm.astype(np.uint16)].tobytes()


class _Decoder:
    """What decoders without memory share: concealment by repetition."""

    def __init__(self, codec: Codec) -> None:
        self._channels = codec.channels
        self._concealer = Concealer(codec.channels, codec.sample_rate)

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples that continue the last ones, fading."""
        return self._concealer.conceal(samples)


class L16Decoder(_Decoder):
    """Big-endian words to samples."""

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload; ProtocolError if it ends within a sample."""
        if len(payload) % (2 * self._channels):
            raise ProtocolError(f"L16 payload of {len(payload)} bytes ends within a sample")
        words = np.frombuffer(payload, _BIG_ENDIAN).reshape(-1, self._channels)
        return self._concealer.join(words.astype(np.int16))


class G711Decoder(_Decoder):
    """Bytes to samples by table."""

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec)
        self._table = decode_table(codec.name)

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload; ProtocolError if it ends within the channels of a sample."""
        if len(payload) % self._channels:
            raise ProtocolError(f"G.711 payload of {len(payload)} bytes ends within a sample")
        samples = self._table[np.frombuffer(payload, np.uint8)]
        return self._concealer.join(samples.reshape(-1, self._channels))


@cache
def encode_table(name: str) -> NDArray[np.uint8]:
    """65536 codes, indexed by a 16-bit sample taken as unsigned."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return _mu_encode(samples) if name == "PCMU" else _a_encode(samples)


@cache
def decode_table(name: str) -> NDArray[np.int16]:
    """256 samples, indexed by the code."""
    codes = np.arange(256, dtype=np.int32)
    return _mu_decode(codes) if name == "PCMU" else _a_decode(codes)


def _mu_encode(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    magnitude = np.minimum(np.abs(samples >> 2), _MU_CLIP) + _MU_BIAS
    segment = np.searchsorted(_MU_SEGMENT_ENDS, magnitude)
    code = (segment << _EXPONENT_SHIFT) | ((magnitude >> (segment + 1)) & _MANTISSA)
    sign = np.where(samples < 0, _SIGN, 0)
    return np.asarray((code | sign) ^ _MU_INVERT, np.uint8)


def _mu_decode(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    plain = codes ^ _MU_INVERT
    segment = (plain & ~_SIGN) >> _EXPONENT_SHIFT
    magnitude = ((((plain & _MANTISSA) << 1) + _MU_BIAS) << segment) - _MU_BIAS
    return np.where(plain & _SIGN, -4 * magnitude, 4 * magnitude).astype(np.int16)


def _a_encode(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    reduced = samples >> 3
    magnitude = np.where(reduced < 0, ~reduced, reduced)
    segment = np.searchsorted(_A_SEGMENT_ENDS, magnitude)
    code = (segment << _EXPONENT_SHIFT) | ((magnitude >> np.maximum(segment, 1)) & _MANTISSA)
    sign = np.where(samples < 0, 0, _SIGN)
    return np.asarray((code | sign) ^ _A_INVERT, np.uint8)


def _a_decode(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    plain = codes ^ _A_INVERT
    segment = (plain & ~_SIGN) >> _EXPONENT_SHIFT
    step = ((plain & _MANTISSA) << 1) + 1  # the middle of the interval
    magnitude = np.where(segment == 0, step, (step + 32) << np.maximum(segment - 1, 0))
    return np.where(plain & _SIGN, 8 * magnitude, -8 * magnitude).astype(np.int16)
