"""What a codec is, for those that use one and for those that implement one (RFC 3551, RFC 8866 section 6.6).

Codec           a value: one payload format with its parameters, as negotiated
Implementation  what knows a format: which parameters to offer and what those of both sides mean; makes the next two
Encoder         sound to payloads
Decoder         payloads to sound

Every codec module builds on this one; `voip.codecs` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from voip.dsp import Pcm

_MAX_PARAMETERS = 32
"""Format parameters of the peer's that are read."""
_MAX_NUMBER_DIGITS = 9
"""Digits of a number among them."""


class Encoder(ABC):
    """Sound to payloads, for one stream."""

    marks_frame_ends: bool = False
    """The marker bit of each packet says that it ends a frame (RFC 3640 section 3.1), not that a talk spurt begins with
    it (RFC 3551 section 4.1)."""
    full_bitrate: int | None = None
    """Bit/s that it was made for, which `set_bitrate` may lower; None: the format leaves no choice."""
    prepares_for_loss: bool = False
    """`set_loss` makes a difference."""
    flush_samples: int = 0
    """Samples of silence to encode after the end of a sound, so that all of it comes out: what the encoder holds."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        """Samples per second of the sound that it takes."""

    @property
    def bitrate(self) -> int | None:
        """Bit/s at which it encodes now, on average; None: the format leaves no choice."""
        return self.full_bitrate

    @abstractmethod
    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples."""

    # Not abstract: most formats have no redundancy to add.
    def set_loss(self, fraction: float, *, in_band_fec: bool) -> None:  # noqa: B027
        """Prepare for losses: this fraction (0 to 1) of packets will be missing, after what other means repair.

        `in_band_fec`: by in-band FEC, where the format has it. May be called between any two payloads.
        """

    def set_bitrate(self, bitrate: int) -> None:  # noqa: B027
        """Encode at so many bit/s on average, at most `full_bitrate`. May be called between any two payloads."""

    def forked(self) -> Encoder | None:
        """A second encoder that goes on from here as this one does; None where it cannot be copied."""
        return None

    def begin_anew(self) -> None:  # noqa: B027
        """A decoder that has not decoded the payloads before the next one is to decode it well, as far as the format
        can do that."""


class Decoder(Protocol):
    """Payloads to sound, for one stream, in playing order."""

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload, joined smoothly to a concealed gap before it; ProtocolError if undecodable."""

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples in place of lost payloads; the payload right behind them may help, where it is known."""


@dataclass(frozen=True)
class Codec:
    """One payload format: what a=rtpmap says of it, and how to make its encoder and decoder.

    clock_rate counts RTP timestamps; sample_rate and channels are those of the sound. payload_type is the static number
    of RFC 3551 or None for a dynamic one. rtpmap_channels is what a=rtpmap says where that is not channels. fmtp are
    our format parameters, remote_fmtp the peer's. bitrate (bit/s) and packet_times (seconds) are None where the format
    leaves no choice, or any. implementation is what knows the format: it does not count when codecs are compared.
    """

    name: str
    clock_rate: int
    sample_rate: int
    channels: int
    payload_type: int | None = None
    fmtp: str = ""
    rtpmap_channels: int | None = None
    remote_fmtp: str = ""
    bitrate: int | None = None
    packet_times: tuple[float, ...] | None = None
    implementation: Implementation = field(repr=False, compare=False, kw_only=True)

    def encoder(self, source_rate: int | None = None) -> Encoder:
        """A new encoder, for sound of `source_rate` (Hz) if the format can take it as it is."""
        return self.implementation.encoder(self, source_rate or self.sample_rate)

    @property
    def encoding(self) -> Hashable:
        """What its encoders depend on: where this is equal, one encoder serves streams to several peers."""
        return self.implementation.encoding(self)

    def copy_encoder(self, bitrate: int, source_rate: int | None = None) -> Encoder | None:
        """A second encoder of the same sound, for copies of at most so many bit/s; see `encoder`.

        None where the payloads have no more than that, or have to be repeated as they are.
        """
        return self.implementation.copy_encoder(self, bitrate, source_rate or self.sample_rate)

    def decoder(self) -> Decoder:
        """A new decoder."""
        return self.implementation.decoder(self)

    def encoded_size(self, samples: int) -> int:
        """Payload bytes for so many samples (of all channels): an upper bound."""
        return self.implementation.encoded_size(self, samples)

    def negotiated(self, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """The format with the parameters of both sides; `ours` is the codec that we are willing to use.

        `sends`: whether we send at all.
        """
        return self.implementation.negotiated(self, ours, remote_fmtp, sends=sends)

    def limited(self, bitrate: int) -> Codec:
        """The codec for a peer that wants no more than so many bit/s of payload, as far as the format can do that."""
        return self.implementation.limited(self, bitrate)

    @property
    def label(self) -> str:
        """Its common name: `opus`, `aac`."""
        return self.implementation.label

    def __str__(self) -> str:
        return f"{self.name}/{self.clock_rate}/{self.rtpmap_channels or self.channels}"


class Implementation(ABC):
    """What knows one payload format. The defaults are those of a format without parameters and without a library."""

    adapts = False
    """Whether its encoders can lower their bit rate while they run (`Encoder.full_bitrate`)."""
    makes_copies = False
    """Whether `Codec.copy_encoder` can have a lower bit rate than the first encoder."""
    static: Mapping[int, tuple[int, int]] = {}
    """Clock rate and channels of its static payload types (RFC 3551 section 6)."""

    def __init__(self, name: str, label: str | None = None) -> None:
        """`name` is the encoding name of a=rtpmap; `label` the common one, where they differ."""
        self.name, self.label = name, label or name.lower()

    def missing(self) -> str | None:
        """None if it works here, else a line that says what to install."""
        return None

    @abstractmethod
    def complete(self, codec: Codec) -> Codec | None:
        """The codec as an rtpmap names it, completed by what its name implies; None if there is no such format."""

    @abstractmethod
    def formats(self, sample_rate: int, channels: int) -> Sequence[tuple[int, int]]:
        """Clock rate and channels (as of rtpmap) of the formats to offer when the device has this rate and channels."""

    def understands(self, codec: Codec, fmtp: str) -> bool:
        """Whether a stream with these parameters of the peer's can be decoded."""
        return True

    def offered(self, codec: Codec, sample_rate: int, channels: int, bitrate: int | None) -> Codec:
        """The codec with the parameters to offer when the device has this rate and these channels."""
        return codec

    def negotiated(self, codec: Codec, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """The codec with the parameters of both sides; see `Codec.negotiated`."""
        return codec

    def limited(self, codec: Codec, bitrate: int) -> Codec:
        """The codec with at most this bit rate; see `Codec.limited`. Unchanged where the format leaves no choice."""
        return codec

    @abstractmethod
    def encoder(self, codec: Codec, source_rate: int) -> Encoder:
        """A new encoder; for sound of that rate, if there is one."""

    def encoding(self, codec: Codec) -> Hashable:
        """What an encoder depends on; see `Codec.encoding`. The payload type does not count, and is the peer's."""
        return replace(codec, payload_type=None)

    def copy_encoder(self, codec: Codec, bitrate: int, source_rate: int) -> Encoder | None:
        """An encoder for copies at a lower bit rate; see `Codec.copy_encoder`."""
        return None

    @abstractmethod
    def decoder(self, codec: Codec) -> Decoder:
        """A new decoder."""

    @abstractmethod
    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples: an upper bound."""


def parameters(fmtp: str) -> dict[str, str]:
    """Names, in lower case, and values of a=fmtp as most formats write it; what is not name=value is ignored."""
    found: dict[str, str] = {}
    for item in fmtp.split(";")[:_MAX_PARAMETERS]:
        name, equals, value = item.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def number(theirs: Mapping[str, str], name: str) -> int | None:
    """The whole number of that name; None without a readable one."""
    text = theirs.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_NUMBER_DIGITS else None
