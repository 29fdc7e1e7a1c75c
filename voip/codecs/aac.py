"""AAC-LC (ISO/IEC 14496-3) as the RTP payload format mpeg4-generic (RFC 3640), in its mode AAC-hbr (section 3.3.6).

A packet has a header for each of its access units, then the units: frames of 1024 samples, so that the codec and not
the user decides on the packet time. What a decoder must know, the AudioSpecificConfig, comes in the format parameters.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from voip.codecs.codec import Codec, Encoder, Implementation, number, parameters
from voip.dsp import Concealer, Pcm, to_channels, to_int16
from voip.errors import ProtocolError, VoipError

FRAME = 1024
"""Samples of an access unit (14496-3 section 4.5.1.1; the frames of 960 that it also allows are not known here)."""
HELD = 2 * FRAME
"""Samples that are encoded but not sent: the window overlaps the next frame, and FFmpeg's encoder looks one ahead."""
RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sample rates in the order of their samplingFrequencyIndex (14496-3 table 1.16), as far as they are told apart."""
OFFERED_RATES = (48000, 44100, 32000)
"""Rates at which it is offered; other sound goes at the first: at 16 kHz and 32 kbit/s speech has PESQ 2.99, at 48 kHz
and the same bit rate 3.68."""
BITRATE = 64000
"""Bit/s for each channel: speech at 48 kHz has PESQ 4.50, at 48000 it is 4.30, at 32000 3.68."""
BITRATES = (16000, 160000)
"""Bit/s of all channels: at the most of them, a packet of noise that begins at once has 642 bytes."""
CODER = "fast"
"""How FFmpeg's encoder searches: `twoloop`, its default, takes twice the time and gives speech PESQ 4.22."""
EXCESS = 1.1
"""Times the bit rate that it was told, which the encoder makes of speech: 1.05 at 35 kbit/s, 1.06 at 55, 1.09 at 64."""
PEAK = 2.0
PEAK_BYTES = 400
"""A unit has less than PEAK times the bytes of the bit rate and PEAK_BYTES more: see BITRATES."""
MAX_UNITS_SENT = 6
"""Access units that we put into one packet at most: 128 ms at 48 kHz."""
MAX_UNITS_DECODED = 50
"""Access units that we take out of one packet at most: FFmpeg fills packets, in a pause with 17 units and more."""
INSTALL = "AAC needs FFmpeg's libraries: pip install av"

_LOW_COMPLEXITY = 2  # audio object type
_EXPLICIT_RATE_INDEX = 15
_ESCAPE = 31
_SIZE_BITS, _INDEX_BITS = 13, 3  # RFC 3640 section 3.3.6
_UNSUPPORTED = (
    "ctsdeltalength",
    "dtsdeltalength",
    "randomaccessindication",
    "streamstateindication",
    "auxiliarydatasizelength",
    "constantsize",
)
_MAX_CONFIG_BYTES = 64
_LAYOUTS = {1: "mono", 2: "stereo"}
_PLANES = "fltp"  # float, a plane for each channel


class Aac(Implementation):
    """mpeg4-generic with AAC-LC."""

    def __init__(self) -> None:
        super().__init__("mpeg4-generic", "aac")

    def missing(self) -> str | None:
        """None if the library is here, else how to get it. It is not loaded yet: that takes 90 ms and 18 MB."""
        return None if importlib.util.find_spec("av") is not None else INSTALL

    def complete(self, codec: Codec) -> Codec | None:
        """The format that an rtpmap names; None if AAC has no such rate, or not so few channels."""
        if codec.clock_rate not in RATES or codec.channels not in _LAYOUTS:
            return None
        times = tuple(units * FRAME / codec.clock_rate for units in range(MAX_UNITS_SENT, 0, -1))
        fmtp = _fmtp(codec.clock_rate, codec.channels)
        return replace(codec, packet_times=times, fmtp=fmtp)

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """Clock rate and channels to offer: the device's own, if they sound well."""
        return ((sample_rate if sample_rate in OFFERED_RATES else OFFERED_RATES[0], min(channels, 2)),)

    def understands(self, codec: Codec, fmtp: str) -> bool:
        """Whether it is AAC-LC of this rate, with headers of nothing but size and index."""
        try:
            _Headers.of(fmtp)
            config = _config_of(parameters(fmtp))
        except ProtocolError:
            return False
        return config is None or config.sample_rate == codec.clock_rate

    def offered(self, codec: Codec, sample_rate: int, channels: int, bitrate: int | None) -> Codec:
        """The format with the bit rate (of all channels) that is wanted."""
        return replace(codec, bitrate=bitrate)

    def negotiated(self, codec: Codec, ours: Codec, remote_fmtp: str, *, sends: bool) -> Codec:
        """The format with both sides' parameters: whoever only receives takes the channels that config tells."""
        with contextlib.suppress(VoipError):  # now, as it takes a while: not when the first packet is to be played
            _library()
        config = None
        with contextlib.suppress(ProtocolError):
            config = _config_of(parameters(remote_fmtp))
        channels = config.channels if config is not None and not sends else codec.channels
        fmtp = _fmtp(codec.clock_rate, channels)
        return replace(codec, channels=channels, fmtp=fmtp, remote_fmtp=remote_fmtp, bitrate=ours.bitrate)

    def limited(self, codec: Codec, bitrate: int) -> Codec:
        """The format at no more than this bit rate, or the least that it has."""
        return replace(codec, bitrate=max(BITRATES[0], min(_bitrate(codec), round(bitrate / EXCESS))))

    def encoder(self, codec: Codec, source_rate: int) -> AacEncoder:
        """A new encoder, for the format's own rate."""
        return AacEncoder(codec)

    def decoder(self, codec: Codec) -> AacDecoder:
        """A new decoder."""
        return AacDecoder(codec)

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples: an upper bound."""
        units = -(-samples // FRAME)
        return 2 + units * (2 + round(PEAK * _bitrate(codec) / 8 * FRAME / codec.sample_rate)) + PEAK_BYTES


def _bitrate(codec: Codec) -> int:
    return min(max(codec.bitrate or BITRATE * codec.channels, BITRATES[0]), BITRATES[1])


def _fmtp(sample_rate: int, channels: int) -> str:
    """Our parameters; profile-level-id 41 is AAC Profile, level 2: two channels of 48 kHz (14496-3 table 1.14)."""
    header = f"sizelength={_SIZE_BITS};indexlength={_INDEX_BITS};indexdeltalength={_INDEX_BITS}"
    config = Config(sample_rate, channels).serialize().hex()
    return f"streamtype=5;profile-level-id=41;mode=AAC-hbr;config={config};{header}"


@dataclass(frozen=True)
class Config:
    """An AudioSpecificConfig (14496-3 section 1.6.2.1) of AAC-LC."""

    sample_rate: int
    channels: int

    @classmethod
    def parse(cls, data: bytes) -> Config:
        """Read the first fields; ProtocolError if the object type, the rate or the channels are not supported."""
        bits = _Bits(data)
        object_type = bits.take(5)
        if object_type == _ESCAPE:
            object_type = 32 + bits.take(6)
        index = bits.take(4)
        known = dict(enumerate(RATES)).get(index, 0)
        sample_rate = bits.take(24) if index == _EXPLICIT_RATE_INDEX else known
        channels = bits.take(4)
        short_frames = bits.take(1)  # frameLengthFlag: 960 samples
        if object_type != _LOW_COMPLEXITY or sample_rate not in RATES or channels not in _LAYOUTS or short_frames:
            raise ProtocolError(f"AAC object type {object_type}, {sample_rate} Hz, {channels} channels: not supported")
        return cls(sample_rate, channels)

    def serialize(self) -> bytes:
        """Two bytes: object type, rate and channels; frames of 1024 samples, no core coder, no extension."""
        return struct.pack("!H", _LOW_COMPLEXITY << 11 | RATES.index(self.sample_rate) << 7 | self.channels << 3)


def _config_of(theirs: Mapping[str, str]) -> Config | None:
    """The config parameter; None if there is none, ProtocolError if it is one that we do not decode."""
    text = theirs.get("config", "").strip('"')
    if not text:
        return None
    try:
        data = bytes.fromhex(text[: 2 * _MAX_CONFIG_BYTES])
    except ValueError as error:
        raise ProtocolError("AAC config is not hexadecimal") from error
    return Config.parse(data)


class _Bits:
    """Bits of a byte string from the first on; ProtocolError at its end."""

    def __init__(self, data: bytes, length: int | None = None) -> None:
        self._value, self._size = int.from_bytes(data, "big"), 8 * len(data)
        self._left = self._size if length is None else length

    @property
    def left(self) -> int:
        """Bits that can still be taken."""
        return self._left

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        if count > self._left:
            raise ProtocolError("AAC header ends too early")
        self._left -= count
        self._size -= count
        return self._value >> self._size & (1 << count) - 1


@dataclass(frozen=True)
class _Headers:
    """How long the fields of AU headers are, in bits (RFC 3640 section 3.2.1.1)."""

    size: int
    index: int
    index_delta: int

    @classmethod
    def of(cls, fmtp: str) -> _Headers:
        """As the peer's parameters say, else those of AAC-hbr; ProtocolError for a kind that is not known."""
        theirs = parameters(fmtp)
        mode = theirs.get("mode", "AAC-hbr").lower()
        if mode not in ("aac-hbr", "aac-lbr", "generic") or any(number(theirs, name) for name in _UNSUPPORTED):
            raise ProtocolError("mpeg4-generic of another kind than AAC")
        lengths = [number(theirs, name) for name in ("sizelength", "indexlength", "indexdeltalength")]
        if lengths == [None, None, None]:
            lengths = [_SIZE_BITS, _INDEX_BITS, _INDEX_BITS]
        size, index, delta = (length or 0 for length in lengths)
        if not 0 < size <= 16 or index > 16 or delta > 16:
            raise ProtocolError("mpeg4-generic with AU headers of a strange size")
        return cls(size, index, delta)

    def parse(self, payload: bytes) -> tuple[list[int], bytes]:
        """The sizes of the access units of a payload, and what follows the headers; ProtocolError if malformed."""
        if len(payload) < 2:
            raise ProtocolError("AAC payload without AU headers")
        length = int.from_bytes(payload[:2], "big")
        end = 2 + (length + 7) // 8
        if end > len(payload):
            raise ProtocolError("AAC payload ends inside its AU headers")
        bits = _Bits(payload[2:end], length)
        sizes: list[int] = []
        while bits.left and len(sizes) <= MAX_UNITS_DECODED:
            sizes.append(bits.take(self.size))
            if bits.take(self.index_delta if len(sizes) > 1 else self.index) and len(sizes) > 1:
                raise ProtocolError("AAC payload with interleaved access units")
        if not sizes or len(sizes) > MAX_UNITS_DECODED or 0 in sizes:
            raise ProtocolError(f"AAC payload of {len(sizes)} access units")
        return sizes, payload[end:]


class _Units:
    """Payloads to access units; one that was cut into several packets is put together again (section 3.2.3.1)."""

    def __init__(self, fmtp: str) -> None:
        try:
            self._headers = _Headers.of(fmtp)
        except ProtocolError:  # such a format is never agreed on: what it names is not decoded, but never crashes
            self._headers = _Headers(_SIZE_BITS, _INDEX_BITS, _INDEX_BITS)
        self._part = b""
        self._whole = 0

    def parse(self, payload: bytes) -> list[bytes]:
        """The access units that are complete with this payload; ProtocolError if it is malformed."""
        sizes, data = self._headers.parse(payload)
        if len(sizes) == 1 and len(data) < sizes[0]:
            return self._join(sizes[0], data)
        self.forget()
        if sum(sizes) > len(data):
            raise ProtocolError("AAC payload ends inside an access unit")
        units, start = [], 0
        for size in sizes:
            units.append(data[start : start + size])
            start += size
        return units

    def forget(self) -> None:
        """The rest of a unit that has begun will not come."""
        self._part, self._whole = b"", 0

    def _join(self, size: int, data: bytes) -> list[bytes]:
        """A piece of a unit: all pieces name the size of the whole."""
        part = self._part + data if size == self._whole else data
        self.forget()
        if not data or len(part) > size:
            raise ProtocolError("AAC payload with a piece of an access unit that does not fit")
        if len(part) == size:
            return [part]
        self._part, self._whole = part, size
        return []


def _library() -> ModuleType:
    """PyAV; VoipError without it."""
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise VoipError(INSTALL) from error


class AacEncoder(Encoder):
    """Sound to access units. What is decoded comes HELD samples later than what was encoded: 43 ms at 48 kHz."""

    marks_frame_ends = True
    flush_samples = HELD

    def __init__(self, codec: Codec) -> None:
        """VoipError without the library."""
        super().__init__(codec.sample_rate)
        self._av = _library()
        self._channels = codec.channels
        native = self._av.CodecContext.create("aac", "w")
        native.sample_rate, native.layout, native.format = codec.sample_rate, _LAYOUTS[codec.channels], _PLANES
        native.bit_rate, native.time_base = _bitrate(codec), Fraction(1, codec.sample_rate)
        native.options = {"aac_coder": CODER}
        self._native = native
        self._position = 0
        self._unit(np.zeros((FRAME, codec.channels), np.int16))  # it gives nothing for the first one

    def encode(self, pcm: Pcm) -> bytes:
        """The payload for these samples: whole frames, or fewer, which silence then follows."""
        rest = -len(pcm) % FRAME
        if rest:
            pcm = np.concatenate((pcm, np.zeros((rest, pcm.shape[1]), np.int16)))
        return payload_of([self._unit(pcm[start : start + FRAME]) for start in range(0, len(pcm), FRAME)])

    def _unit(self, pcm: Pcm) -> bytes:
        planes = np.ascontiguousarray(pcm.T, np.float32) / np.float32(32768.0)
        frame = self._av.AudioFrame.from_ndarray(planes, format=_PLANES, layout=_LAYOUTS[self._channels])
        frame.sample_rate, frame.pts = self.sample_rate, self._position
        self._position += FRAME
        return b"".join(bytes(packet) for packet in self._native.encode(frame))


def payload_of(units: Sequence[bytes]) -> bytes:
    """A payload of AAC-hbr with these access units."""
    headers = b"".join(struct.pack("!H", len(unit) << _INDEX_BITS) for unit in units)
    return struct.pack("!H", 8 * len(headers)) + headers + b"".join(units)


class AacDecoder:
    """Access units to sound, in the channels of the codec; gaps are concealed."""

    def __init__(self, codec: Codec) -> None:
        """VoipError without the library."""
        self._av = _library()
        self._channels, self._rate = codec.channels, codec.sample_rate
        self._units = _Units(codec.remote_fmtp)
        self._config = Config(codec.sample_rate, codec.channels)
        with contextlib.suppress(ProtocolError):
            self._config = _config_of(parameters(codec.remote_fmtp)) or self._config
        self._concealer = Concealer(codec.channels, codec.sample_rate)
        self._begin()

    def decode(self, payload: bytes) -> Pcm:
        """The samples of one payload, none for a piece of a unit; ProtocolError if it is undecodable."""
        parts = [self._decode(unit) for unit in self._units.parse(payload)]
        if not parts:
            return np.zeros((0, self._channels), np.int16)
        return self._concealer.join(np.concatenate(parts))

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples that continue the last ones, fading."""
        self._units.forget()
        return self._concealer.conceal(samples)

    def _begin(self) -> None:
        self._native: Any = self._av.CodecContext.create("aac", "r")
        self._native.extradata = self._config.serialize()

    def _decode(self, unit: bytes) -> Pcm:
        try:
            frames = self._native.decode(self._av.Packet(unit))
        except (self._av.FFmpegError, ValueError) as error:
            self._begin()
            raise ProtocolError(f"AAC access unit of {len(unit)} bytes: {error}") from error
        if len(frames) != 1 or frames[0].sample_rate != self._rate or frames[0].samples != FRAME:
            raise ProtocolError("AAC access unit that is not a frame of the stream")
        channels = frames[0].layout.nb_channels
        if channels not in _LAYOUTS or frames[0].format.name != _PLANES:
            # A unit may redefine its channels by a program_config_element (14496-3 section 4.4.1.1), and PyAV reads
            # beyond a frame's plane pointers, of which there are eight: the planes must not be touched.
            self._begin()
            raise ProtocolError(f"AAC access unit of {channels} channels")
        planes = frames[0].to_ndarray()
        sound = np.nan_to_num(planes.T * np.float32(32768.0))  # a crafted unit may give what is no number
        return to_channels(to_int16(sound), self._channels)
