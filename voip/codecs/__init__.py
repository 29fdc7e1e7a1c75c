"""Audio codecs and their names on the wire (RFC 3551 sections 4.5 and 6, RFC 8866 section 6.6).

To add one, write a module with what `Implementation` lists and put it into MODULES.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from voip.codecs import pcm as _pcm
from voip.dsp import Pcm

__all__ = ["NAMES", "Codec", "Decoder", "Encoder", "Pcm", "find", "offerable", "static"]


class Encoder(Protocol):
    """Sound to payloads, for one stream."""

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples."""


class Decoder(Protocol):
    """Payloads to sound, for one stream, in playing order."""

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload, joined smoothly to a concealed hole before it; ProtocolError if undecodable."""

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """That many samples in place of a lost payload; the payload after the hole may help where it is known."""


@dataclass(frozen=True)
class Codec:
    """One payload format: what a=rtpmap says of it, and how to make its encoder and decoder.

    clock_rate counts RTP timestamps, sample_rate is that of the sound. payload_type is the static number of RFC 3551
    or None for a dynamic one.
    """

    name: str
    clock_rate: int
    sample_rate: int
    channels: int
    payload_type: int | None = None
    fmtp: str = ""
    default_ptime: float = 0.02

    def encoder(self) -> Encoder:
        """A fresh encoder."""
        return _module(self.name).encoder(self)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return _module(self.name).decoder(self)

    def encoded_size(self, samples: int) -> int:
        """Payload bytes for that many samples (of all channels): an upper bound."""
        return _module(self.name).encoded_size(self, samples)

    def __str__(self) -> str:
        return f"{self.name}/{self.clock_rate}/{self.channels}"


class Implementation(Protocol):
    """What a codec module provides."""

    @property
    def NAMES(self) -> tuple[str, ...]:
        """Encoding names in order of preference."""

    @property
    def STATIC(self) -> Mapping[int, tuple[str, int, int]]:
        """Static payload types: name, clock rate, channels."""

    def sample_rate(self, name: str, clock_rate: int, channels: int) -> int | None:
        """The rate of the sound in this format; None if there is no such format."""

    def encoder(self, codec: Codec) -> Encoder:
        """A fresh encoder."""

    def decoder(self, codec: Codec) -> Decoder:
        """A fresh decoder."""

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Upper bound of payload bytes."""


MODULES: tuple[Implementation, ...] = (_pcm,)

NAMES = tuple(name for module in MODULES for name in module.NAMES)
"""Encoding names that are known, in order of preference."""

COMMON_L16 = ((48000, 1), (44100, 1), (16000, 1), (8000, 1))
"""Rates and channels of L16 that are offered besides the device's own: what other programs are able to take."""


def find(name: str, clock_rate: int, channels: int) -> Codec | None:
    """The codec with this encoding name (in any case), clock rate and channels; None if it is not known."""
    for module in MODULES:
        for known in module.NAMES:
            if known.lower() == name.lower():
                sample_rate = module.sample_rate(known, clock_rate, channels)
                if sample_rate is None:
                    return None
                number = _static_number(module, (known, clock_rate, channels))
                return Codec(known, clock_rate, sample_rate, channels, number)
    return None


def static(payload_type: int) -> Codec | None:
    """The codec with this static payload type (RFC 3551 section 6); None if it is not known."""
    for module in MODULES:
        if payload_type in module.STATIC:
            return find(*module.STATIC[payload_type])
    return None


def offerable(names: Sequence[str], sample_rate: int, channels: int) -> list[Codec]:
    """What to offer for these codec names, in their order, when the device has this rate and these channels.

    L16 comes at the device's own rate first, then at COMMON_L16. ValueError for a name that is not known.
    """
    found: list[Codec] = []
    for name in names:
        if name.upper() not in NAMES:
            raise ValueError(f"unknown codec {name!r}; known: {', '.join(NAMES).lower()}")
        formats = ((sample_rate, channels), *COMMON_L16) if name.upper() == "L16" else ((8000, 1),)
        for clock_rate, count in formats:
            codec = find(name, clock_rate, count)
            if codec and codec not in found:
                found.append(codec)
    return found


def _static_number(module: Implementation, description: tuple[str, int, int]) -> int | None:
    return next((number for number, known in module.STATIC.items() if known == description), None)


def _module(name: str) -> Implementation:
    return next(module for module in MODULES if name in module.NAMES)
