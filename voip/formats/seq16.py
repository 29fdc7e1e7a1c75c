"""A number and samples (`seq16://`), both of 16 bits and little-endian, the channels interleaved.

Datagrams have 960 samples, of all channels together: 20 ms of 48 kHz mono. Number 0 without samples is a ping. The
program that this format comes from takes number 0 with samples for a ping, too, and is at a loss after 65535: a build
of it with overflow checks ends there. So we send 1 to 65534, and 1 again, which loses nothing there. What comes may
have 65535 and 0, or may leave out both: where neither was seen, the time that has passed tells.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from voip.codecs import Codec
from voip.errors import ProtocolError
from voip.formats.datagrams import PAYLOAD_TYPE, SSRC, DatagramFormat, Placed
from voip.formats.samples import SAMPLE_BYTES, from_l16, to_l16
from voip.rtp import HEADER_BYTES, MAX_MISORDER, RtpPacket, unwrap

PORT = 40000
"""UDP port where such programs listen, and from which they send."""
RATE = 48000
SAMPLES = 960
"""In a datagram, of all channels together."""
FIRST_NUMBER, LAST_NUMBER = 1, 65534
"""Numbers that we send."""
CYCLE = 1 << 16
LEFT_OUT = CYCLE - (LAST_NUMBER - FIRST_NUMBER + 1)
"""Numbers that a sender may leave out at the end of a cycle."""
BELIEVED_AHEAD = 5.0
"""Seconds of sound that may be missing beyond the time that has passed: what a network or our program has held back."""
STILL_LATE = 0.2
"""Seconds behind the newest datagram after which a lower number is not late but the first of another run."""

_NUMBER = struct.Struct("<H")


class _Held(NamedTuple):
    """A datagram whose number does not go on with the others."""

    number: int
    payload: bytes
    arrival: float


class Seq16Reader:
    """Datagrams of one source. Their packets have numbers that go on, without what the sender has left out.

    A number that cannot follow, by the time that has passed, is a stray one, unless the next goes on with it: then the
    sender has begun anew.
    """

    def __init__(self, codec: Codec) -> None:
        self._rate, self._samples = codec.sample_rate, SAMPLES // codec.channels
        self._channels = codec.channels
        self._last: int | None = None  # extended number of the newest datagram
        self._arrival = 0.0  # and when it came
        self._shift = 0  # from extended numbers to those of packets
        self._wrapped_at = 0  # the extended number with which this cycle began
        self._shift_before = 0
        self._paused = 0  # samples for which the sender did not run
        self._held: _Held | None = None

    def read(self, data: bytes, arrival: float) -> list[Placed]:
        """The packets that are known with a datagram, none for a ping; ProtocolError if it is neither."""
        if len(data) < _NUMBER.size:
            raise ProtocolError(f"{len(data)} bytes: no number")
        (number,) = _NUMBER.unpack_from(data)
        if len(data) == _NUMBER.size:
            return []
        payload, _ = to_l16(data[_NUMBER.size :], self._channels)
        held, self._held = self._held, None
        if self._last is None:
            self._last, self._arrival = number, arrival
        if self._follows(number, arrival):
            return [*self._as_stray(held), self._placed(number, payload, arrival)]
        if held is None or number != (held.number + 1) % CYCLE:
            self._held = _Held(number, payload, arrival)
            return self._as_stray(held)
        self._begin_anew(held)
        return [self._placed(held.number, held.payload, arrival), self._placed(number, payload, arrival)]

    def _follows(self, number: int, arrival: float) -> bool:
        assert self._last is not None
        ahead, elapsed = unwrap(number, self._last) - self._last, arrival - self._arrival
        if ahead > 0:
            return ahead * self._samples / self._rate <= elapsed + BELIEVED_AHEAD
        return elapsed < STILL_LATE and ahead > -MAX_MISORDER

    def _begin_anew(self, first: _Held) -> None:
        """The sender was started again: its sound goes on after a pause."""
        assert self._last is not None
        following = self._last + self._shift + 1
        silent = first.arrival - self._arrival - self._samples / self._rate
        self._paused += max(0, round(silent * self._rate))
        self._last, self._arrival, self._wrapped_at = first.number, first.arrival, 0
        self._shift = following - first.number

    def _as_stray(self, held: _Held | None) -> list[Placed]:
        """A packet far from all others, for the session to count and drop."""
        if held is None:
            return []
        assert self._last is not None
        return [self._packet(self._last + self._shift + CYCLE // 2, held.payload, held.arrival)]

    def _placed(self, number: int, payload: bytes, arrival: float) -> Placed:
        assert self._last is not None
        extended = unwrap(number, self._last)
        if extended > self._last:
            if extended // CYCLE > self._last // CYCLE:
                self._wrap(extended, (arrival - self._arrival) * self._rate / self._samples)
            self._last, self._arrival = extended, arrival
        shift = self._shift if extended >= self._wrapped_at else self._shift_before
        return self._packet(extended + shift, payload, arrival)

    def _packet(self, place: int, payload: bytes, arrival: float) -> Placed:
        timestamp = place * self._samples + self._paused
        packet = RtpPacket(PAYLOAD_TYPE, place & 0xFFFF, timestamp & 0xFFFFFFFF, SSRC, payload)
        return Placed(packet, arrival)

    def _wrap(self, extended: int, elapsed: float) -> None:
        """A cycle has ended, `elapsed` datagrams' time ago: how many of its numbers were never sent?"""
        assert self._last is not None
        begins = extended // CYCLE * CYCLE
        sent = extended - self._last  # if none was left out
        unseen = self._last < begins - 1 and extended > begins
        self._wrapped_at, self._shift_before = begins, self._shift
        if unseen and abs(sent - LEFT_OUT - elapsed) < abs(sent - elapsed):
            self._shift -= LEFT_OUT


class Seq16Writer:
    """Packets of L16 to numbered samples."""

    def __init__(self) -> None:
        self._number = FIRST_NUMBER

    def write(self, packet: RtpPacket) -> list[bytes]:
        """The samples of a packet behind the next number."""
        number = self._number
        self._number = number + 1 if number < LAST_NUMBER else FIRST_NUMBER
        return [_NUMBER.pack(number) + from_l16(packet.payload)]

    def ping(self) -> bytes:
        """Number 0 and nothing else."""
        return _NUMBER.pack(0)


def seq16(codec: Codec) -> DatagramFormat:
    """Numbered samples at the rate and with the channels of this L16."""
    return DatagramFormat(
        scheme="seq16",
        codec=codec,
        samples=SAMPLES // codec.channels,
        header_change=_NUMBER.size - HEADER_BYTES,
        datagram_bytes=_NUMBER.size + SAMPLES * SAMPLE_BYTES,
        new_reader=lambda first: Seq16Reader(codec),
        new_writer=Seq16Writer,
    )
