"""A dialect of RTP and FEC (`seed0://`): payload type 0 is samples, not PCMU, and 127 the parity of ten packets.

Media packets have 1024 samples of 16 bits, little-endian, mono, at a rate that nothing tells; timestamps may be of any
clock. A parity packet is a 16-bit count, the numbers of so many packets, all in network byte order, and the XOR of
their payloads; its own number says nothing. Each media packet is acknowledged by `ACK!` and its number.

A media packet is handed on as two of 512 samples, and a parity packet as two of FlexFEC (RFC 8627 section 4.2.2.1), one
over each half: repair packets are not remembered for packets of more than 1500 bytes. The rest follows from that.
"""

from __future__ import annotations

import random
import struct

import numpy as np

from voip.codecs import Codec
from voip.errors import ProtocolError
from voip.fec.flexfec import mask_bytes
from voip.fec.pattern import MASK_REACH
from voip.formats.datagrams import PAYLOAD_TYPE, SSRC, DatagramFormat, Placed
from voip.formats.samples import SAMPLE_BYTES, from_l16, to_l16
from voip.rtp import HEADER_BYTES, RtpPacket, is_rtcp, unwrap

PORT = 5000
"""UDP port where media goes to."""
RATE = 44100
SAMPLES = 1024
PAYLOAD = SAMPLES * SAMPLE_BYTES
HALVES = 2
HALF_SAMPLES, HALF_BYTES = SAMPLES // HALVES, PAYLOAD // HALVES
MEDIA_TYPE, PARITY_TYPE = 0, 127
GROUP = 10
"""Media packets that a parity packet of ours is over: those since the last one."""
PARITY_NUMBER = 30000
"""What the number of a parity packet is ahead of the last media packet's."""
FEC_PAYLOAD_TYPE, FEC_SSRC = PAYLOAD_TYPE + 1, SSRC + 1
MOST_MEMBERS = MASK_REACH // HALVES
"""Packets of a parity packet at most, in a row: as many as a mask can name halves of."""

_COUNT = struct.Struct("!H")
_ACKNOWLEDGEMENT = struct.Struct("!4sH")
_ACK = b"ACK!"
_FLEX = struct.Struct("!BBHIH")  # flags, M and PT, length, timestamp, SN base


class Seed0Reader:
    """Datagrams of one source."""

    def __init__(self, rate: int, first: int) -> None:
        """`first`: the number of the first repair packet."""
        self._rate = rate
        self._last: int | None = None  # extended number of the newest media packet
        self._ssrc: int | None = None
        self._repairs = first
        self._shift = 0

    def read(self, data: bytes, arrival: float) -> list[Placed]:
        """The packets of a datagram, none for an acknowledgement; ProtocolError if it is nothing of this dialect."""
        if len(data) == _ACKNOWLEDGEMENT.size and data.startswith(_ACK):
            return []
        if is_rtcp(data):
            raise ProtocolError("RTCP, where there is none")
        packet = RtpPacket.parse(data)
        if packet.payload_type == PARITY_TYPE:
            return self._placed(self._repair_packets(packet.payload), arrival)
        if packet.payload_type != MEDIA_TYPE or len(packet.payload) != PAYLOAD:
            raise ProtocolError(f"payload type {packet.payload_type} with {len(packet.payload)} bytes")
        return self._placed(self._media_packets(packet), arrival)

    def _placed(self, halves: list[RtpPacket], arrival: float) -> list[Placed]:
        """The second half counts as arrived when the first one lasts: both at once would look like a backlog."""
        return [Placed(each, arrival + index * HALF_SAMPLES / self._rate) for index, each in enumerate(halves)]

    def _media_packets(self, packet: RtpPacket) -> list[RtpPacket]:
        if self._last is None or packet.ssrc != self._ssrc:  # it was started again: its numbers begin anew
            going_on = 0 if self._last is None else self._last + self._shift + 1
            self._shift = going_on - packet.sequence_number
            self._ssrc, self._last = packet.ssrc, packet.sequence_number
        extended = unwrap(packet.sequence_number, self._last)
        self._last = max(self._last, extended)
        payload, _ = to_l16(packet.payload, 1)
        place = HALVES * (extended + self._shift)
        return [
            RtpPacket(
                PAYLOAD_TYPE,
                place + half & 0xFFFF,
                (place + half) * HALF_SAMPLES & 0xFFFFFFFF,
                SSRC,
                payload[half * HALF_BYTES : (half + 1) * HALF_BYTES],
            )
            for half in range(HALVES)
        ]

    def _repair_packets(self, payload: bytes) -> list[RtpPacket]:
        """A repair packet for each half of the packets that a parity packet names."""
        members, parity = parse_parity(payload)
        if self._last is None:
            return []
        first = unwrap(members[0], self._last) + self._shift
        places = [HALVES * (first + (number - members[0] & 0xFFFF)) for number in members]
        swapped, _ = to_l16(parity, 1)
        found = []
        for half in range(HALVES):
            times = 0
            for place in places:
                times ^= (place + half) * HALF_SAMPLES & 0xFFFFFFFF
            odd = len(places) % 2
            header = _FLEX.pack(0, PAYLOAD_TYPE * odd, HALF_BYTES * odd, times, places[0] + half & 0xFFFF)
            mask = mask_bytes(tuple(place - places[0] for place in places))
            body = swapped[half * HALF_BYTES : (half + 1) * HALF_BYTES]
            stamp = (places[-1] + half) * HALF_SAMPLES & 0xFFFFFFFF
            number, self._repairs = self._repairs & 0xFFFF, self._repairs + 1
            found.append(RtpPacket(FEC_PAYLOAD_TYPE, number, stamp, FEC_SSRC, header + mask + body, csrcs=(SSRC,)))
        return found


def parse_parity(payload: bytes) -> tuple[list[int], bytes]:
    """The numbers of the packets that a parity packet is over, and the XOR of their payloads. ProtocolError."""
    if len(payload) < _COUNT.size:
        raise ProtocolError("parity packet without a count")
    (count,) = _COUNT.unpack_from(payload)
    if not 0 < count <= MOST_MEMBERS or len(payload) != _COUNT.size * (1 + count) + PAYLOAD:
        raise ProtocolError(f"parity packet of {len(payload)} bytes over {count} packets")
    members = [_COUNT.unpack_from(payload, _COUNT.size * (1 + index))[0] for index in range(count)]
    ahead = [number - members[0] & 0xFFFF for number in members]
    if ahead != sorted(set(ahead)) or ahead[-1] >= MOST_MEMBERS:
        raise ProtocolError("parity packet over packets that are far apart, or not in order")
    return members, payload[_COUNT.size * (1 + count) :]


class Seed0Writer:
    """Packets of L16 to media packets of the dialect, and a parity packet behind each GROUP of them."""

    def __init__(self) -> None:
        rng = random.SystemRandom()
        self._ssrc = rng.getrandbits(32)
        self._number = 0
        self._group: list[tuple[int, bytes]] = []

    def write(self, packet: RtpPacket) -> list[bytes]:
        """The datagrams of a packet of sound; the last of a sound is filled up with silence."""
        if packet.payload_type != PAYLOAD_TYPE:
            return []
        payload = from_l16(packet.payload).ljust(PAYLOAD, b"\0")[:PAYLOAD]
        number, self._number = self._number, self._number + 1 & 0xFFFF
        stamp = number * SAMPLES
        sent = [RtpPacket(MEDIA_TYPE, number, stamp, self._ssrc, payload).serialize()]
        self._group.append((number, payload))
        if len(self._group) == GROUP:
            sent.append(self._parity(stamp))
            self._group = []
        return sent

    def _parity(self, stamp: int) -> bytes:
        numbers = [number for number, _ in self._group]
        parity = np.bitwise_xor.reduce([np.frombuffer(payload, np.uint8) for _, payload in self._group]).tobytes()
        payload = b"".join(map(_COUNT.pack, (len(numbers), *numbers))) + parity
        return RtpPacket(PARITY_TYPE, numbers[-1] + PARITY_NUMBER & 0xFFFF, stamp, self._ssrc, payload).serialize()

    def ping(self) -> bytes:
        """Nothing: whatever is sent would be played."""
        return b""


def acknowledge(data: bytes) -> bytes:
    """What a media packet is acknowledged by; nothing for any other datagram."""
    try:
        packet = RtpPacket.parse(data)
    except ProtocolError:
        return b""
    if packet.payload_type != MEDIA_TYPE or len(packet.payload) != PAYLOAD:
        return b""
    return _ACKNOWLEDGEMENT.pack(_ACK, packet.sequence_number)


def seed0(codec: Codec) -> DatagramFormat:
    """The dialect at the rate of this L16."""
    return DatagramFormat(
        scheme="seed0",
        codec=codec,
        samples=SAMPLES,
        header_change=0,
        datagram_bytes=HEADER_BYTES + PAYLOAD,
        new_reader=lambda first: Seed0Reader(codec.sample_rate, first),
        new_writer=Seed0Writer,
        fec_payload_type=FEC_PAYLOAD_TYPE,
        receive_samples=HALF_SAMPLES,
        is_called=True,
        acknowledge=acknowledge,
    )
