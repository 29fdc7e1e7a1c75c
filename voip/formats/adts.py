"""AAC in ADTS frames (ISO/IEC 14496-3 section 1.A.2), as files and byte streams have it: `adts://`.

A datagram holds frames one after the other. Some programs encode each piece of sound as a file of its own and send the
file: its first frame is there for the decoder alone, and what it decodes to comes before the sound. Others cut a stream
of frames where a datagram is full, and a frame goes on in the next one. We send one frame in each datagram.

Frames have neither number nor time: their places come from the arrival of datagrams. The frames of a long datagram
count as arrived one after the other, as they are played.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from voip.codecs import Codec, Decoder, Encoder, Implementation, Pcm
from voip.codecs.aac import FRAME, HELD, INSTALL, RATES, Aac, AacDecoder, AacEncoder, payload_of
from voip.errors import ProtocolError
from voip.formats.arrivals import ArrivalClock, Arrived, Place
from voip.formats.datagrams import PAYLOAD_TYPE, SSRC, DatagramFormat, Placed
from voip.media import ReceiveFormat
from voip.rtp import HEADER_BYTES, RtpPacket

PORT = 5000
"""UDP port where such programs listen."""
RATE = 12000
HEADER = 7
"""Bytes of the header of a frame without a checksum."""
CHECKSUM = 2
MAX_FRAME = (1 << 13) - 1
"""Bytes of a frame at most: its length has 13 bits."""
MAX_FRAMES = 64
"""Frames of a datagram that are read at most: three times those of a program that sends 1.4 s at once."""
FILE_FRAMES = 8
"""Frames from which on a datagram that begins and ends with whole ones is a file."""
USUAL_DATAGRAM = 1000
"""Bytes of a datagram of ours, at most: of one frame."""

_SYNC = 0xFFF
_LOW_COMPLEXITY = 1  # profile: the audio object type, less 1
_SOUND, _LEAD_IN = b"\0", b"\1"
_CHANNELS = (1, 2)


class Frame(NamedTuple):
    """One frame: Hz, channels and the access unit in it."""

    rate: int
    channels: int
    unit: bytes


def parse_header(data: bytes, at: int) -> tuple[int, int, int, int] | None:
    """Rate, channels, length of header and of frame where a frame begins; None: it does not begin there.

    ProtocolError for a frame of another kind than AAC-LC, of one or two channels.
    """
    if len(data) < at + HEADER or int.from_bytes(data[at : at + 2], "big") >> 4 != _SYNC or data[at + 1] & 0x06:
        return None
    fields = int.from_bytes(data[at : at + HEADER], "big")  # 56 bits
    whole, header = fields >> 13 & MAX_FRAME, HEADER if fields >> 40 & 1 else HEADER + CHECKSUM
    index, channels = fields >> 34 & 0xF, fields >> 30 & 0x7
    if fields >> 38 & 3 != _LOW_COMPLEXITY or index >= len(RATES) or channels not in _CHANNELS or fields & 3:
        raise ProtocolError("ADTS frame of another kind than AAC-LC, mono or stereo")
    return None if whole <= header else (RATES[index], channels, header, whole)


def serialize(frame: Frame) -> bytes:
    """A frame with its header, which says that the bit rate varies (buffer fullness 0x7FF)."""
    whole = HEADER + len(frame.unit)
    fields = _SYNC << 44 | 1 << 40 | _LOW_COMPLEXITY << 38 | RATES.index(frame.rate) << 34 | frame.channels << 30
    return (fields | whole << 13 | 0x7FF << 2).to_bytes(HEADER, "big") + frame.unit


class FrameStream:
    """Datagrams to frames; one that is cut at the end of a datagram goes on in the next."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> tuple[list[Frame], bool]:
        """The frames that are whole now, and whether the datagram is a file. ProtocolError if there is no frame in it.

        What is between frames, and what is left of one that was cut off by a loss, is passed over.
        """
        begins = parse_header(data, 0) is not None
        rest, self._rest = (b"" if begins else self._rest), b""
        joined = rest + data
        frames, end = _frames_of(joined)
        known = bool(frames or rest)  # a single octet of a header may be anything
        if 0 < len(joined) - end <= MAX_FRAME and (known or len(joined) - end >= HEADER):
            self._rest = joined[end:]
        if not frames and not self._rest:
            raise ProtocolError(f"no ADTS frame in {len(data)} bytes")
        return frames, begins and end == len(data) and len(frames) >= FILE_FRAMES


def _frames_of(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames, and where the last one ends or one that is cut off begins."""
    frames: list[Frame] = []
    at = 0
    while at < len(data) and len(frames) < MAX_FRAMES:
        if len(data) - at < HEADER and _may_begin(data, at):
            break
        found = parse_header(data, at)
        if found is None:
            at = _next_sync(data, at + 1)
            continue
        rate, channels, header, whole = found
        if at + whole > len(data):
            break
        if not _may_begin(data, at + whole):  # it was cut off by a loss, or never was one
            at = _next_sync(data, at + 1)
            continue
        frames.append(Frame(rate, channels, data[at + header : at + whole]))
        at += whole
    return frames, at


def _may_begin(data: bytes, at: int) -> bool:
    """Whether a frame may begin there, as far as the data goes."""
    return data[at : at + 1] in (b"", b"\xff") and (at + 1 >= len(data) or data[at + 1] >> 4 == _SYNC & 0xF)


def _next_sync(data: bytes, at: int) -> int:
    """Where the next frame may begin; the end if nowhere."""
    found = data.find(b"\xff", at)
    return len(data) if found < 0 else found


class _Piece(NamedTuple):
    """What a datagram holds: frames of one kind of sound, of which the first may be there for the decoder alone."""

    frames: list[Frame]
    has_lead_in: bool


class AdtsReader:
    """Datagrams of one source. A packet has one access unit, behind an octet that says whether it is heard."""

    def __init__(self, first: int) -> None:
        self._stream = FrameStream()
        self._clock: ArrivalClock[_Piece] | None = None
        self._rate = 0
        self._next = first

    def read(self, data: bytes, arrival: float) -> list[Placed]:
        """The packets whose place is known with a datagram; ProtocolError if it holds nothing of a frame."""
        frames, has_lead_in = self._stream.read(data)
        frames = [frame for frame in frames if frame.rate == frames[0].rate]  # a datagram has one sound
        if not frames:
            return []
        if self._clock is None or frames[0].rate != self._rate:
            self._rate = frames[0].rate
            self._clock = ArrivalClock(self._rate, self._next)
        samples = (len(frames) - has_lead_in) * FRAME
        found = self._clock.place(Arrived(samples, len(frames), arrival, _Piece(frames, has_lead_in)))
        return [placed for place, piece in found for placed in self._packets(place, piece, arrival)]

    def _packets(self, place: Place, piece: _Piece, arrival: float) -> Iterator[Placed]:
        self._next = place.sequence + len(piece.frames)
        for index, frame in enumerate(piece.frames):
            before = max(0, index - piece.has_lead_in) * FRAME
            packet = RtpPacket(
                payload_type_of(frame.rate, frame.channels),
                place.sequence + index & 0xFFFF,
                place.timestamp + before & 0xFFFFFFFF,
                SSRC,
                (_LEAD_IN if piece.has_lead_in and index == 0 else _SOUND) + frame.unit,
            )
            yield Placed(packet, arrival + before / self._rate)


class AdtsWriter:
    """Packets of one access unit to datagrams of one frame."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def write(self, packet: RtpPacket) -> list[bytes]:
        """The frame of a packet."""
        return [serialize(Frame(self._codec.sample_rate, self._codec.channels, packet.payload[1:]))]

    def ping(self) -> bytes:
        """Nothing: there is no frame without sound."""
        return b""


# --- the codec behind it ----------------------------------------------------------------------------------------------


class AdtsUnits(Implementation):
    """Access units as the reader hands them on, with AAC's own encoder and decoder."""

    def __init__(self) -> None:
        super().__init__("ADTS", "aac")
        self._aac = Aac()

    def missing(self) -> str | None:
        """None if the library is here, else how to get it."""
        return self._aac.missing()

    def complete(self, codec: Codec) -> Codec | None:
        """The format, if AAC has this rate and these channels."""
        return codec if codec.clock_rate in RATES and codec.channels in _CHANNELS else None

    def formats(self, sample_rate: int, channels: int) -> tuple[tuple[int, int], ...]:
        """It is never offered in a call."""
        return ()

    def encoder(self, codec: Codec, source_rate: int) -> Encoder:
        """A new encoder."""
        return _UnitEncoder(codec)

    def decoder(self, codec: Codec) -> Decoder:
        """A new decoder."""
        return _UnitDecoder(codec)

    def encoded_size(self, codec: Codec, samples: int) -> int:
        """Payload bytes for so many samples: an upper bound."""
        return self._aac.encoded_size(codec, samples)


class _UnitEncoder(Encoder):
    """One access unit for each packet."""

    flush_samples = HELD

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec.sample_rate)
        self._aac = AacEncoder(codec)

    def encode(self, pcm: Pcm) -> bytes:
        """The octet and the unit for these samples: a frame, or less, which silence then follows."""
        return _SOUND + self._aac.encode(pcm)[_HBR_HEADER:]


_HBR_HEADER = len(payload_of([b""]))


class _UnitDecoder:
    """Access units to sound, none for a lead-in."""

    def __init__(self, codec: Codec) -> None:
        self._aac, self._channels = AacDecoder(codec), codec.channels

    def decode(self, payload: bytes) -> Pcm:
        """The samples of a packet; ProtocolError if it is undecodable."""
        if len(payload) < 2:
            raise ProtocolError("no access unit")
        pcm = self._aac.decode(payload_of([payload[1:]]))
        return pcm if payload[:1] == _SOUND else np.zeros((0, self._channels), np.int16)

    def conceal(self, samples: int, next_payload: bytes | None) -> Pcm:
        """So many samples that continue the last ones, fading."""
        return self._aac.conceal(samples, None)


def codec_of(rate: int, channels: int) -> Codec | None:
    """The codec of packets of this rate and these channels; None if AAC has none such."""
    units = AdtsUnits()
    return units.complete(Codec(units.name, rate, rate, channels, implementation=units))


_SOUNDS = [(rate, channels) for rate in RATES for channels in _CHANNELS]


def payload_type_of(rate: int, channels: int) -> int:
    """Each kind of sound that frames may hold has its own: the header of each frame says which it is."""
    return PAYLOAD_TYPE + _SOUNDS.index((rate, channels))


def adts(codec: Codec) -> DatagramFormat:
    """Frames: sent at the rate and with the channels of this codec, received with any."""
    every = ((payload_type_of(*sound), codec_of(*sound)) for sound in _SOUNDS)
    return DatagramFormat(
        scheme="adts",
        codec=codec,
        samples=FRAME,
        header_change=HEADER - HEADER_BYTES - len(_SOUND),
        datagram_bytes=USUAL_DATAGRAM,
        new_reader=AdtsReader,
        new_writer=lambda: AdtsWriter(codec),
        payload_type=payload_type_of(codec.sample_rate, codec.channels),
        receive_formats=tuple(ReceiveFormat(number, each) for number, each in every if each is not None),
        needs="" if codec.implementation.missing() is None else INSTALL,
    )
