"""Audio codecs and their names on the wire (RFC 3551 sections 4.5 and 6, RFC 8866 section 6.6).

To add one, write a module with what `Implementation` lists and put it into IMPLEMENTATIONS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from voip.codecs import aac as _aac
from voip.codecs import g722 as _g722
from voip.codecs import opus as _opus
from voip.codecs import pcm as _pcm
from voip.dsp import Pcm

__all__ = ["DEFAULT", "NAMES", "Codec", "Decoder", "Encoder", "Pcm", "find", "missing", "offerable", "static"]


class Encoder(Protocol):
    """Sound to payloads, for one stream."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of the sound that it takes."""

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples."""

    def set_loss(self, fraction: float, *, in_band_fec: bool) -> None:
        """Prepare for losses of this fraction of packets that nothing else repairs; by in-band FEC, where there is one.

        May be called between any two payloads.
        """


class Decoder(Protocol):
    """Payloads to sound, for one stream, in playing order."""

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload, joined smoothly to a concealed hole before it; ProtocolError if undecodable."""

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """That many samples in place of lost payloads; the payload right behind them may help, where it is known."""


@dataclass(frozen=True)
class Codec:
    """One payload format: what a=rtpmap says of it, and how to make its encoder and decoder.

    clock_rate counts RTP timestamps; sample_rate and channels are those of the sound. payload_type is the static number
    of RFC 3551 or None for a dynamic one. rtpmap_channels is what a=rtpmap says where that is not channels. fmtp are
    our format parameters, remote_fmtp the peer's. bitrate (bit/s) and packet_times (seconds) are None where the format
    leaves no choice, or any. ends_frames: the marker bit says that a packet ends a frame (RFC 3640 section 3.1), and
    not that it begins a talk spurt (RFC 3551 section 4.1). held: samples that the encoder keeps until more come, which
    has to be silence when the sound has ended.
    """

    name: str
    clock_rate: int
    sample_rate: int
    channels: int
    payload_type: int | None = None
    fmtp: str = ""
    default_ptime: float = 0.02
    rtpmap_channels: int | None = None
    remote_fmtp: str = ""
    bitrate: int | None = None
    packet_times: tuple[float, ...] | None = None
    ends_frames: bool = False
    held: int = 0

    def encoder(self, source_rate: int | None = None) -> Encoder:
        """A fresh encoder, for sound that has that many samples a second if the format can take it as it is."""
        return _module(self.name).encoder(self, source_rate or self.sample_rate)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return _module(self.name).decoder(self)

    def encoded_size(self, samples: int) -> int:
        """Payload bytes for that many samples (of all channels): an upper bound."""
        return _module(self.name).encoded_size(self, samples)

    def negotiated(self, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """What the parameters of both sides make of this format; `ours` is the codec that we are willing to use.

        `sends`: whether we send at all.
        """
        return _module(self.name).negotiated(self, ours, remote_fmtp, sends=sends)

    @property
    def label(self) -> str:
        """What people call it: `opus`, `aac`."""
        return _LABELS.get(self.name, self.name.lower())

    def __str__(self) -> str:
        return f"{self.name}/{self.clock_rate}/{self.rtpmap_channels or self.channels}"


class Implementation(Protocol):
    """What a codec module provides."""

    @property
    def STATIC(self) -> Mapping[int, tuple[str, int, int]]:
        """Static payload types: name, clock rate, channels."""

    def missing(self) -> str | None:
        """None if it works here, else a line that says what to install."""

    def complete(self, codec: Codec) -> Codec | None:
        """The codec as an rtpmap names it, completed by what its name implies; None if there is no such format."""

    def formats(self, name: str, sample_rate: int, channels: int) -> Sequence[tuple[int, int]]:
        """Clock rate and channels (as of rtpmap) of the formats to offer when the device has this rate and channels."""

    def understands(self, codec: Codec, fmtp: str) -> bool:
        """Whether a stream with these parameters of the peer's can be decoded."""

    def offered(self, codec: Codec, sample_rate: int, channels: int, bitrate: int | None) -> Codec:
        """The codec with the parameters to offer when the device has this rate and these channels."""

    def negotiated(self, codec: Codec, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """What both sides' parameters make of the format."""

    def encoder(self, codec: Codec, source_rate: int) -> Encoder:
        """A fresh encoder; for sound of that rate, if there is one."""

    def decoder(self, codec: Codec) -> Decoder:
        """A fresh decoder."""

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Upper bound of payload bytes."""


IMPLEMENTATIONS: Mapping[str, Implementation] = {
    "opus": _opus,
    "L16": _pcm,
    "G722": _g722,
    "PCMU": _pcm,
    "PCMA": _pcm,
    "mpeg4-generic": _aac,
}
"""Encoding names, in order of preference, and who makes them: what sounds best first, but no phone knows AAC."""

_LABELS = {"mpeg4-generic": "aac"}
"""What people call those whose encoding name says nothing."""

NAMES = tuple(_LABELS.get(name, name.lower()) for name in IMPLEMENTATIONS)
"""What people call the codecs, in order of preference."""
DEFAULT = tuple(name for name in NAMES if name != "aac")
"""Those that are offered unless others are asked for; all are answered. No phone speaks AAC in a call, and its lines
would make an INVITE longer than the 1300 bytes up to which it may go over UDP (RFC 3261 section 18.1.1)."""


def find(name: str, clock_rate: int, channels: int, fmtp: str = "") -> Codec | None:
    """The codec with this encoding name (in any case), clock rate and channels; None if it is not known.

    `fmtp`: format parameters of the peer's; None too if they ask for a kind of it that is not known.
    """
    known = next((known for known in IMPLEMENTATIONS if known.lower() == name.lower()), None)
    if known is None:
        return None
    module = IMPLEMENTATIONS[known]
    number = next((number for number, text in module.STATIC.items() if text == (known, clock_rate, channels)), None)
    codec = module.complete(Codec(known, clock_rate, clock_rate, channels, number))
    return codec if codec is not None and module.understands(codec, fmtp) else None


def static(payload_type: int) -> Codec | None:
    """The codec with this static payload type (RFC 3551 section 6); None if it is not known."""
    for module in IMPLEMENTATIONS.values():
        if payload_type in module.STATIC:
            return find(*module.STATIC[payload_type])
    return None


def missing(name: str) -> str | None:
    """None if the codec of this name works here, else a line that says what to install. May load a library."""
    known = _known(name)
    return f"unknown codec {name!r}" if known is None else _module(known).missing()


def offerable(names: Sequence[str], sample_rate: int, channels: int, bitrate: int | None = None) -> list[Codec]:
    """What to offer for these codec names, in their order, when the device has this rate and these channels.

    `bitrate` (bit/s) is for those that leave a choice. ValueError for a name that is not known.
    """
    found: list[Codec] = []
    for name in names:
        known = _known(name)
        if known is None:
            raise ValueError(f"unknown codec {name!r}; known: {', '.join(NAMES)}")
        module = _module(known)
        for clock_rate, count in module.formats(known, sample_rate, channels):
            codec = find(known, clock_rate, count)
            if codec is None:
                continue
            codec = module.offered(codec, sample_rate, channels, bitrate)
            if codec not in found:
                found.append(codec)
    return found


def _known(name: str) -> str | None:
    """The encoding name of the codec that people call so, or that is called so in SDP."""
    wanted = name.lower()
    named = zip(NAMES, IMPLEMENTATIONS, strict=True)
    return next((known for label, known in named if wanted in (label, known.lower())), None)


def _module(name: str) -> Implementation:
    return IMPLEMENTATIONS[name]
