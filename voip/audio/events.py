"""Telephone events (RFC 4733): keys of a telephone as packets of their own beside the sound, not as tones in it.

An event is one timestamp, that of its beginning, and packets that tell for how long it has lasted; the last of them is
sent three times. They share SSRC and sequence numbers with the sound that they stand in for.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.media import AudioFormat
from voip.rtp import Packetizer, RtpPacket, unwrap

DIGITS = "0123456789*#ABCD"
"""Keys in the order of their event codes (section 3.2, table 3)."""
TONE = 0.1
"""Seconds that a key is held: twice what a receiver must hear (ITU-T Q.24 asks for 40 ms, section 3.2 repeats it)."""
GAP = 0.05
"""Seconds at least between two of them."""
PAUSE = 1.0
"""Seconds of a `,`."""
BEGIN = 0.5
"""Seconds of sound before the first one, so that the other side is there to hear it."""
END_PACKETS = 3
"""How often the last packet of an event is sent (section 2.5.1.4)."""
VOLUME = 10
"""-dBm0, a usual level of tones; nobody is known to make use of it."""
SILENCE = 0.25
"""Seconds without a packet of an event after which it is over: section 2.5.1.2 has one at least every 50 ms."""
REMEMBERED = 16
"""Events that are over and whose late packets would still be noticed."""
LONGEST = 0xFFFF
"""Ticks of an event, of which a longer one has several (section 2.5.1.3)."""

_PAYLOAD = struct.Struct("!BBH")
_END_BIT = 0x80
_VOLUME_MASK = 0x3F
_ALMOST = 1e-6


@dataclass(frozen=True)
class TelephoneEvent:
    """The payload of one packet (section 2.3): code, whether it is the last, -dBm0, and ticks so far."""

    code: int
    end: bool
    volume: int
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> TelephoneEvent:
        """Read a payload; ProtocolError if it is too short. What follows the first event is passed over."""
        if len(payload) < _PAYLOAD.size:
            raise ProtocolError(f"telephone event of {len(payload)} bytes")
        code, flags, duration = _PAYLOAD.unpack_from(payload)
        return cls(code, bool(flags & _END_BIT), flags & _VOLUME_MASK, duration)

    def serialize(self) -> bytes:
        """Four bytes."""
        return _PAYLOAD.pack(self.code, self.volume | (_END_BIT if self.end else 0), self.duration)


class Digit(NamedTuple):
    """A key that was pressed: one of DIGITS, and for how many seconds."""

    key: str
    seconds: float


class DigitReceiver:
    """Packets of telephone events to keys, each of them once, whatever is lost, repeated or late."""

    def __init__(self, clock_rate: int, sound_rate: int | None = None) -> None:
        """`clock_rate` of the durations, in Hz; `sound_rate` that of the sound, in which some peers count them."""
        self._clock_rates = (clock_rate, sound_rate or clock_rate)
        self._code: int | None = None  # of the key that is being pressed
        self._timestamp = self._before = self._duration = 0  # `before`: ticks of its earlier segments
        self._began_at = self._heard_at = 0.0
        self._over: deque[int] = deque(maxlen=REMEMBERED)

    def receive(self, packet: RtpPacket, now: float) -> list[Digit]:
        """The keys that are known to be released by this packet: mostly none, or one. Malformed ones say nothing."""
        try:
            event = TelephoneEvent.parse(packet.payload)
        except ProtocolError:
            return []
        if event.code >= len(DIGITS) or packet.timestamp in self._over:
            return []
        released: list[Digit] = []
        if self._code is None or packet.timestamp != self._timestamp:
            if self._code is not None and unwrap(packet.timestamp - self._timestamp, 0, 32) < 0:
                return self._belated(event, packet.timestamp)
            released = self._press(event, packet, now)
        self._duration = max(self._duration, event.duration)
        self._heard_at = now
        return released + self.release() if event.end else released

    def tick(self, now: float) -> list[Digit]:
        """The key whose last packets must have been lost."""
        return self.release() if self._code is not None and now - self._heard_at > SILENCE else []

    def release(self) -> list[Digit]:
        """The key that is being pressed, if any: it is over."""
        if self._code is None:
            return []
        self._over.append(self._timestamp)
        digit = Digit(DIGITS[self._code], self._seconds(self._before + self._duration))
        self._code, self._before = None, 0
        return [digit]

    def _press(self, event: TelephoneEvent, packet: RtpPacket, now: float) -> list[Digit]:
        """Another timestamp: another key, or the next segment of a long one."""
        ahead = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
        released: list[Digit] = []
        if self._code == event.code and ahead == LONGEST and not packet.marker:
            self._over.append(self._timestamp)
            self._before += LONGEST
        else:
            released = self.release()
            self._began_at = now
        self._code, self._timestamp, self._duration = event.code, packet.timestamp, 0
        return released

    def _belated(self, event: TelephoneEvent, timestamp: int) -> list[Digit]:
        """A key before the one that is pressed, of which nothing had come."""
        if not event.end:
            return []
        self._over.append(timestamp)
        return [Digit(DIGITS[event.code], event.duration / self._clock_rates[0])]

    def _seconds(self, ticks: int) -> float:
        """Of the two clocks, the one by which the key was pressed for about as long as its packets came."""
        elapsed = self._heard_at - self._began_at
        announced, other = (ticks / rate for rate in self._clock_rates)
        return other if elapsed and abs(other - elapsed) < abs(announced - elapsed) / 2 else announced


class Sounding(NamedTuple):
    """What is sent of a key in place of a frame of sound: its code, seconds so far, and where in its time it is."""

    code: int
    seconds: float
    first: bool
    end: bool

    def payload(self, clock_rate: int) -> bytes:
        """The telephone event of this frame."""
        ticks = min(round(self.seconds * clock_rate), LONGEST)
        return TelephoneEvent(self.code, self.end, VOLUME, ticks).serialize()


class Dialler:
    """Says, frame by frame, which key stands in for the sound."""

    def __init__(self, keys: str) -> None:
        """`keys`: DIGITS in any case, and `,` for a pause; ValueError for others."""
        wrong = sorted(set(keys.upper()) - set(DIGITS + ","))
        if wrong:
            raise ValueError(f"{''.join(wrong)!r}: keys are {DIGITS} and , for a pause")
        self._waiting = deque(keys.upper())
        self._pause = BEGIN
        self._code: int | None = None
        self._sounded = 0.0
        self._ends = 0

    @property
    def left(self) -> str:
        """Keys that are still to be sent."""
        sounding = "" if self._code is None or self._ends else DIGITS[self._code]
        return sounding + "".join(self._waiting).strip(",")

    def frame(self, seconds: float) -> Sounding | None:
        """What to send in place of the next `seconds` of sound; None: the sound."""
        while self._code is None:
            if self._pause > _ALMOST or not self._waiting:
                self._pause = max(0.0, self._pause - seconds)
                return None
            key = self._waiting.popleft()
            if key == ",":
                self._pause = PAUSE
            else:
                self._code, self._sounded, self._ends = DIGITS.index(key), 0.0, 0
        return self._sound(self._code, seconds)

    def finish(self) -> list[Sounding]:
        """The stream ends: what ends the key that is being sent."""
        if self._code is None:
            return []
        code, self._code = self._code, None
        return [Sounding(code, self._sounded, False, True)] * (END_PACKETS - self._ends)

    def _sound(self, code: int, seconds: float) -> Sounding:
        first = self._sounded == 0.0
        if self._ends:
            self._pause -= seconds
        else:
            self._sounded += seconds
        if self._sounded >= TONE - _ALMOST:
            self._pause = self._pause if self._ends else GAP
            self._ends += 1
        if self._ends == END_PACKETS:
            self._code = None
        return Sounding(code, self._sounded, first, self._ends > 0)


class EventPacketizer:
    """Puts the keys of a Dialler into the packets of a stream, to a peer that takes telephone events."""

    def __init__(self, dialler: Dialler, packetizer: Packetizer) -> None:
        self._dialler, self._packetizer = dialler, packetizer
        self._began = 0  # timestamp of the event that is being sent

    def packet(self, audio: AudioFormat, seconds: float) -> RtpPacket | None:
        """The packet in place of the next `seconds` of sound; None: the sound."""
        if audio.telephone_event_payload_type is None:
            return None
        frame = self._dialler.frame(seconds)
        return None if frame is None else self._packet(audio, audio.telephone_event_payload_type, frame)

    def finish(self, audio: AudioFormat) -> Iterator[RtpPacket]:
        """The stream ends: the packets that end the event that is being sent.

        Each gets its sequence number when it is asked for, as repair packets may take one in between.
        """
        for frame in self._dialler.finish():
            if audio.telephone_event_payload_type is not None:
                yield self._packet(audio, audio.telephone_event_payload_type, frame)

    def _packet(self, audio: AudioFormat, payload_type: int, frame: Sounding) -> RtpPacket:
        if frame.first:
            self._began = self._packetizer.timestamp
        payload = frame.payload(audio.telephone_event_rate)
        return self._packetizer.aside(payload_type, payload, self._began, marker=frame.first)
