"""Bare samples: 16 bits, little-endian, the channels interleaved, and nothing else (`pcm://`).

No sound is ever the same twice, unless it is silence: a datagram that comes again is a copy that the network has made.

A program that plays them reads a block of 1024 for each block of its sound card: a shorter datagram would be filled up
with silence, a longer one cut. So each has 2048 bytes, and is two fragments where an IP packet has 1500 at most.
"""

from __future__ import annotations

from collections import deque

from voip.codecs import Codec
from voip.formats.arrivals import ArrivalClock, Arrived, Place
from voip.formats.datagrams import PAYLOAD_TYPE, SSRC, DatagramFormat, Placed
from voip.formats.samples import SAMPLE_BYTES, from_l16, to_l16
from voip.rtp import HEADER_BYTES, RtpPacket

PORT = 5005
"""UDP port where such programs listen; 5002 is another."""
RATE = 44100
SAMPLES = 1024
"""Of each channel in a datagram."""
REMEMBERED = 16
"""Datagrams whose copies are known for what they are: a third of a second."""


class PcmReader:
    """Datagrams of one source, in the order in which they come."""

    def __init__(self, codec: Codec, first: int) -> None:
        self._channels = codec.channels
        self._clock: ArrivalClock[bytes] = ArrivalClock(codec.sample_rate, first)
        self._newest: deque[tuple[bytes, Place]] = deque(maxlen=REMEMBERED)

    def read(self, data: bytes, arrival: float) -> list[Placed]:
        """The packets whose place is known with a datagram; ProtocolError if it holds no whole samples, or next to
        none."""
        payload, frames = to_l16(data, self._channels)
        copied = next((place for known, place in self._newest if known == payload), None)
        if copied is not None:
            return [_packet(copied, payload, arrival)]
        found = self._clock.place(Arrived(frames, 1, arrival, payload))
        self._newest.extend((known, place) for place, known in found if known != known[:SAMPLE_BYTES] * frames)
        return [_packet(place, known, arrival) for place, known in found]


def _packet(place: Place, payload: bytes, arrival: float) -> Placed:
    return Placed(
        RtpPacket(PAYLOAD_TYPE, place.sequence & 0xFFFF, place.timestamp & 0xFFFFFFFF, SSRC, payload), arrival
    )


class PcmWriter:
    """Packets of L16 to bare samples."""

    def write(self, packet: RtpPacket) -> list[bytes]:
        """The samples of a packet."""
        return [from_l16(packet.payload)]

    def ping(self) -> bytes:
        """Nothing: whatever is sent would be played."""
        return b""


def pcm(codec: Codec) -> DatagramFormat:
    """Bare samples at the rate and with the channels of this L16."""
    return DatagramFormat(
        scheme="pcm",
        codec=codec,
        samples=SAMPLES,
        header_change=-HEADER_BYTES,
        datagram_bytes=SAMPLES * codec.channels * SAMPLE_BYTES,
        new_reader=lambda first: PcmReader(codec, first),
        new_writer=PcmWriter,
    )
