"""DTMF as telephone events (RFC 4733): keys as packets of their own in place of the sound, not as tones in it.

All packets of an event have the timestamp of its beginning and tell how long it has lasted; the last of them is sent
three times. They share SSRC and sequence numbers with the sound that they replace.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.media import AudioFormat
from voip.rtp import Packetizer, RtpPacket, unwrap

DIGITS = "0123456789*#ABCD"
"""Keys in the order of their event codes (section 3.2, table 3)."""
TONE_SECONDS = 0.1
"""How long a key is held: over twice what a receiver must detect (ITU-T Q.24: 40 ms, repeated by section 3.2)."""
GAP_SECONDS = 0.05
"""Least pause between two keys."""
PAUSE_SECONDS = 1.0
"""Pause for a `,`."""
LEAD_SECONDS = 0.5
"""Sound before the first key, so that the peer is ready for it."""
END_PACKETS = 3
"""How often the last packet of an event is sent (section 2.5.1.4)."""
VOLUME = 10
"""-dBm0: a usual level of tones; no receiver is known to use it."""
EVENT_TIMEOUT = 0.25
"""Seconds without a packet of an event after which it is over: section 2.5.1.2 asks for one every 50 ms."""
REMEMBERED_EVENTS = 16
"""Past events whose late packets are still recognized."""
MAX_TICKS = 0xFFFF
"""Longest duration of an event in ticks; a longer one is sent in segments (section 2.5.1.3)."""

MAX_EVENTS = 8
"""Events of one packet that are read; no known sender packs more than two."""

_PAYLOAD = struct.Struct("!BBH")
_END_BIT = 0x80
_VOLUME_MASK = 0x3F
_ALMOST = 1e-6


def untaken(keys: str, audio: AudioFormat) -> str:
    """Those of these keys, each once, that the peer does not take: they must not be sent (section 2.5.1.1)."""
    wanted = dict.fromkeys(key for key in keys.upper() if key in DIGITS)
    if audio.telephone_event_payload_type is None:
        return "".join(wanted)
    return "".join(key for key in wanted if DIGITS.index(key) not in audio.telephone_events)


@dataclass(frozen=True)
class TelephoneEvent:
    """The payload of one packet (section 2.3): code, whether it is the last, -dBm0, and ticks so far."""

    code: int
    end: bool
    volume: int
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> TelephoneEvent:
        """Read a payload; ProtocolError if it is too short. What follows the first event is ignored."""
        if len(payload) < _PAYLOAD.size:
            raise ProtocolError(f"telephone event of {len(payload)} bytes")
        code, flags, duration = _PAYLOAD.unpack_from(payload)
        return cls(code, bool(flags & _END_BIT), flags & _VOLUME_MASK, duration)

    @classmethod
    def parse_all(cls, payload: bytes) -> list[TelephoneEvent]:
        """Read all events of a payload, which follow each other without a pause (section 2.5.1.5): all but the last
        have ended. ProtocolError if there is none.

        At most MAX_EVENTS are read. A further event of no duration is padding.
        """
        starts = range(0, max(1, min(len(payload) // _PAYLOAD.size, MAX_EVENTS)) * _PAYLOAD.size, _PAYLOAD.size)
        events = [cls.parse(payload[start:]) for start in starts]
        events = [event for index, event in enumerate(events) if event.duration or not index]
        return [replace(event, end=True) for event in events[:-1]] + events[-1:]

    def serialize(self) -> bytes:
        """Four bytes."""
        return _PAYLOAD.pack(self.code, self.volume | (_END_BIT if self.end else 0), self.duration)


class Digit(NamedTuple):
    """A key that was pressed: one of DIGITS, and for how many seconds."""

    key: str
    seconds: float


class DtmfReceiver:
    """Packets of telephone events to keys, each of them once, whatever is lost, repeated or late."""

    def __init__(self, clock_rate: int, audio_rate: int | None = None) -> None:
        """`clock_rate` of the durations, in Hz; `audio_rate` that of the audio, in which some peers count them."""
        self._clock_rates = (clock_rate, audio_rate or clock_rate)
        self._code: int | None = None  # of the key that is being pressed
        self._timestamp = self._before = self._duration = 0  # `before`: ticks of its earlier segments
        self._began_at = self._last_at = 0.0
        self._over: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_EVENTS)  # timestamps and codes
        self._number: int | None = None  # the highest sequence number so far

    def receive(self, packet: RtpPacket, now: float) -> list[Digit]:
        """The keys that this packet shows to be released: mostly none, or one. Malformed packets are ignored."""
        try:
            events = TelephoneEvent.parse_all(packet.payload)
        except ProtocolError:
            return []
        newest = self._number is not None and unwrap(packet.sequence_number - self._number, 0) > 0
        if newest or self._number is None:
            self._number = packet.sequence_number
        released: list[Digit] = []
        timestamp = packet.timestamp
        for event in events:
            begins = packet.marker and newest and event is events[0]
            released += self._receive(event, timestamp, now, begins=begins, marker=packet.marker)
            timestamp = (timestamp + event.duration) & 0xFFFFFFFF
        return released

    def _receive(self, event: TelephoneEvent, timestamp: int, now: float, *, begins: bool, marker: bool) -> list[Digit]:
        """An event that began at `timestamp`; `begins`: this is its first packet, and no copy of an older one.

        A peer whose clock stands still gives several keys the same timestamp.
        """
        if event.code >= len(DIGITS):
            return []
        released: list[Digit] = []
        if (self._code, self._timestamp) != (event.code, timestamp):
            if (timestamp, event.code) in self._over:
                if not begins or event.end:
                    return []
                self._over.remove((timestamp, event.code))
            if self._code is not None and unwrap(timestamp - self._timestamp, 0, 32) < 0:
                return self._belated(event, timestamp)
            released = self._press(event, timestamp, now, marker=marker)
        self._duration = max(self._duration, event.duration)
        self._last_at = now
        return released + self.release() if event.end else released

    def tick(self, now: float) -> list[Digit]:
        """The key whose last packets must have been lost, if there is one."""
        return self.release() if self._code is not None and now - self._last_at > EVENT_TIMEOUT else []

    def release(self) -> list[Digit]:
        """End the key that is being pressed, if there is one."""
        if self._code is None:
            return []
        self._over.append((self._timestamp, self._code))
        digit = Digit(DIGITS[self._code], self._seconds(self._before + self._duration))
        self._code, self._before = None, 0
        return [digit]

    def _press(self, event: TelephoneEvent, timestamp: int, now: float, *, marker: bool) -> list[Digit]:
        """Another timestamp or code: another key, or the next segment of a long one."""
        ahead = (timestamp - self._timestamp) & 0xFFFFFFFF
        released: list[Digit] = []
        if self._code == event.code and ahead == MAX_TICKS and not marker:
            self._over.append((self._timestamp, event.code))
            self._before += MAX_TICKS
        else:
            released = self.release()
            self._began_at = now
        self._code, self._timestamp, self._duration = event.code, timestamp, 0
        return released

    def _belated(self, event: TelephoneEvent, timestamp: int) -> list[Digit]:
        """A key before the one that is pressed, of which nothing had come."""
        if not event.end:
            return []
        self._over.append((timestamp, event.code))
        return [Digit(DIGITS[event.code], event.duration / self._clock_rates[0])]

    def _seconds(self, ticks: int) -> float:
        """Of the two clocks, the one by which the key was pressed for about as long as its packets came."""
        elapsed = self._last_at - self._began_at
        announced, other = (ticks / rate for rate in self._clock_rates)
        return other if elapsed and abs(other - elapsed) < abs(announced - elapsed) / 2 else announced


class EventFrame(NamedTuple):
    """What is sent of a key in place of a frame of sound: its code, seconds so far, whether it begins or ends."""

    code: int
    seconds: float
    first: bool
    end: bool

    def payload(self, clock_rate: int) -> bytes:
        """The telephone event of this frame."""
        ticks = min(round(self.seconds * clock_rate), MAX_TICKS)
        return TelephoneEvent(self.code, self.end, VOLUME, ticks).serialize()


class DtmfSender:
    """Says, frame by frame, which key replaces the sound."""

    def __init__(self, keys: str) -> None:
        """`keys`: DIGITS in any case, and `,` for a pause; ValueError for others."""
        wrong = sorted(set(keys.upper()) - set(DIGITS + ","))
        if wrong:
            raise ValueError(f"{''.join(wrong)!r}: keys are {DIGITS} and , for a pause")
        self._waiting = deque(keys.upper())
        self._pause = LEAD_SECONDS
        self._code: int | None = None
        self._held = 0.0
        self._ends = 0

    def add(self, keys: str) -> None:
        """More keys, after those that wait; ValueError as for the first."""
        self._waiting.extend(DtmfSender(keys)._waiting)

    @property
    def left(self) -> str:
        """Keys that are still to be sent."""
        held = "" if self._code is None or self._ends else DIGITS[self._code]
        return held + "".join(self._waiting).strip(",")

    def frame(self, seconds: float) -> EventFrame | None:
        """What to send in place of the next `seconds` of sound; None: the sound."""
        while self._code is None:
            if self._pause > _ALMOST or not self._waiting:
                self._pause = max(0.0, self._pause - seconds)
                return None
            key = self._waiting.popleft()
            if key == ",":
                self._pause = PAUSE_SECONDS
            else:
                self._code, self._held, self._ends = DIGITS.index(key), 0.0, 0
        return self._hold(self._code, seconds)

    def finish(self) -> list[EventFrame]:
        """The stream ends: what ends the key that is being sent."""
        if self._code is None:
            return []
        code, self._code = self._code, None
        return [EventFrame(code, self._held, False, True)] * (END_PACKETS - self._ends)

    def _hold(self, code: int, seconds: float) -> EventFrame:
        first = self._held == 0.0
        if self._ends:
            self._pause -= seconds
        else:
            self._held += seconds
        if self._held >= TONE_SECONDS - _ALMOST:
            self._pause = self._pause if self._ends else GAP_SECONDS
            self._ends += 1
        if self._ends == END_PACKETS:
            self._code = None
        return EventFrame(code, self._held, first, self._ends > 0)


class EventPacketizer:
    """Puts keys into the packets of a stream, to a peer that takes telephone events."""

    def __init__(self, keys: DtmfSender, packetizer: Packetizer) -> None:
        self._keys, self._packetizer = keys, packetizer
        self._began = 0  # timestamp of the event that is being sent

    def packet(self, audio: AudioFormat, seconds: float) -> RtpPacket | None:
        """The packet in place of the next `seconds` of sound; None: the sound."""
        if audio.telephone_event_payload_type is None:
            return None
        frame = self._keys.frame(seconds)
        return None if frame is None else self._packet(audio, audio.telephone_event_payload_type, frame)

    def finish(self, audio: AudioFormat) -> Iterator[RtpPacket]:
        """The stream ends: the packets that end the event that is being sent.

        Each gets its sequence number when it is asked for, as repair packets may take one in between.
        """
        for frame in self._keys.finish():
            if audio.telephone_event_payload_type is not None:
                yield self._packet(audio, audio.telephone_event_payload_type, frame)

    def _packet(self, audio: AudioFormat, payload_type: int, frame: EventFrame) -> RtpPacket:
        if frame.first:
            self._began = self._packetizer.timestamp
        payload = frame.payload(audio.telephone_event_rate)
        return self._packetizer.event_packet(payload_type, payload, self._began, marker=frame.first)
