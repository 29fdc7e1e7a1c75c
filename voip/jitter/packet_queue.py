"""One stream's packets in order, each once, and on one time line.

A *time line* is the offset between the sender's RTP timestamps and our clock. The *transit* of a packet is its arrival
less its timestamp, and the smallest transit of the last seconds is that of the *fastest* packets. A packet whose
transit is far from theirs belongs to another time line (the sender's clock was set, or its stream began anew), or to
no stream at all. So it is held back in a *run*, together with packets that came after their turn, until the next ones
tell: a run that goes on, on another time line or late for good, becomes the queue (`adopt_run`); otherwise its packets
were merely late.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from enum import Enum

from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.history import SeenNumbers
from voip.jitter.non_audio import NonAudio
from voip.jitter.playout_stats import PlayoutCounters
from voip.rtp import RtpPacket, unwrap

FASTEST_WINDOW = 10.0
"""Seconds over which the smallest transit is taken: clocks that drift by 200 ppm move 2 ms in it."""
TIMELINE_STEP = 1.0
"""Seconds of transit off the fastest that mean another time line, once a second packet agrees."""
AGREEMENT = 0.2
"""Seconds by which two packets of one time line may differ in transit."""
EARLY = 0.1
"""Seconds faster than the fastest that are believed only when the next packet says the same."""
SHADOW = 0.25
"""Packet times within which a packet that arrives behind an older one waited for the same obstacle."""
BACKLOG = 0.75
"""Packet times by which transits fall from one packet to the next while a backlog is being delivered."""
LATE_SPAN = 0.08
"""Seconds of late packets, with none in time, after which play-out starts over with them."""
LATE_PACKETS = 3
"""And at least so many of them."""
CAPACITY = 1024
"""Packets that are kept, and whose numbers are remembered."""


class PutResult(Enum):
    """What became of a packet that was put in."""

    QUEUED = "queued"
    LATE = "late"
    DUPLICATE = "duplicate"
    HELD = "held"


@dataclass(slots=True)
class QueuedPacket:
    """A packet with its extended numbers, its arrival and its transit in seconds."""

    timestamp: int
    sequence: int
    packet: RtpPacket
    arrival: float
    transit: float
    shadow: bool = False
    """It came right behind an older one: both waited for the same obstacle, which counts once."""


class PacketQueue:
    """Packets that wait for their turn; it tells `target` the transit of each, and `counters` of late ones."""

    def __init__(self, clock_rate: int, target: DelayTarget, counters: PlayoutCounters) -> None:
        """`clock_rate` of the timestamps, in Hz."""
        self._clock = clock_rate
        self._target, self._counters = target, counters
        self._non_audio = NonAudio()
        self._transits = SlidingMinimum(FASTEST_WINDOW)
        self._early: float | None = None  # transit of the last packet, if that was faster than is believed yet
        self._queue: list[QueuedPacket] = []
        self._run: list[QueuedPacket] = []  # the latest packets, if none of them came in time
        self._previous: QueuedPacket | None = None  # the last that arrived by itself
        self._seen = SeenNumbers(CAPACITY)
        self._sequence: int | None = None  # highest extended numbers of this time line
        self._timestamp = 0

    def __len__(self) -> int:
        """Packets in order; those of a run are not among them."""
        return len(self._queue)

    @property
    def held_back(self) -> int:
        """Packets in a run, of which it is not known yet what they are."""
        return len(self._run)

    @property
    def fastest(self) -> float | None:
        """The smallest transit of the last seconds; None before the first packet."""
        return self._transits.value

    @property
    def first(self) -> QueuedPacket | None:
        """The packet that is next in order; it stays."""
        return self._queue[0] if self._queue else None

    @property
    def says_silence(self) -> bool:
        """Whether the sender has said since its last sound that it sends none."""
        return self._sequence is not None and self._non_audio.newer_than(self._sequence)

    # -- in ----------------------------------------------------------------------------------------------------------

    def put(self, packet: RtpPacket, arrival: float, *, position: int | None, step: int) -> PutResult:
        """Take in a packet, received or rebuilt, that became known at `arrival`.

        `position`: the timestamp that is heard next; None: nothing is played yet. `step`: ticks that a packet lasts.
        """
        if self._sequence is None:
            self._sequence, self._timestamp = packet.sequence_number, packet.timestamp
        sequence = unwrap(packet.sequence_number, self._sequence)
        timestamp = unwrap(packet.timestamp, self._timestamp, 32)
        if not self._seen.add(sequence, timestamp):
            if not packet.recovered:
                self._replace_rebuilt(timestamp, packet)
            return PutResult.DUPLICATE
        item = QueuedPacket(timestamp, sequence, packet, arrival, arrival - timestamp / self._clock)
        fastest = self._transits.value
        off = 0.0 if fastest is None else item.transit - fastest
        late = position is not None and timestamp + step // 2 <= position
        if packet.recovered:
            return self._put_rebuilt(item, off, late=late)
        previous, self._previous = self._previous, item
        if previous is not None and timestamp > previous.timestamp:
            item.shadow = arrival - previous.arrival < SHADOW * step / self._clock
        if off < -TIMELINE_STEP or late:
            return self._hold_back(item, PutResult.LATE if abs(off) <= TIMELINE_STEP else PutResult.HELD)
        self._accept(item, off)
        return PutResult.QUEUED

    def note(self, packet: RtpPacket, *, comfort: bool = False, numbered: bool = True, known: bool = True) -> PutResult:
        """Take in a packet that is no sound, but tells that none comes; `comfort`: and what to hear instead.

        `numbered`: its number is one of the media's sequence as it is counted here. Not `known`: it tells nothing but
        that its number is not missing, as its payload type is not agreed on; sound may bear that number, too.
        """
        if self._sequence is None:
            return PutResult.QUEUED
        if not known:
            self._non_audio.add_unknown(unwrap(packet.sequence_number, self._sequence))
            return PutResult.QUEUED
        timestamp = unwrap(packet.timestamp, self._timestamp, 32)
        sequence = unwrap(packet.sequence_number, self._sequence) if numbered else self._sequence + 1
        if numbered and not self._seen.add(sequence, timestamp):
            return PutResult.DUPLICATE
        self._non_audio.add(sequence, timestamp, numbered=numbered)
        if comfort:
            self._non_audio.add_comfort(timestamp, packet)
        return PutResult.QUEUED

    def clear(self) -> None:
        """Another stream begins with the next packet."""
        self._start_over([])
        self._sequence = None
        self._previous = None
        self._seen.clear()
        self._non_audio.clear()

    def _replace_rebuilt(self, timestamp: int, packet: RtpPacket) -> None:
        """The packet itself has come: what was rebuilt, and waits, may be a copy of lower quality (RFC 2198)."""
        at = bisect_left(self._queue, timestamp, key=_timestamp_of)
        if at < len(self._queue) and self._queue[at].timestamp == timestamp and self._queue[at].packet.recovered:
            self._queue[at].packet = packet

    def _put_rebuilt(self, item: QueuedPacket, off: float, *, late: bool) -> PutResult:
        if abs(off) <= TIMELINE_STEP:
            self._target.add(item.transit, item.arrival, rebuilt=True)
            if not late:
                self._enqueue(item)
                return PutResult.QUEUED
            self._target.missed()
        self._counters.count_late(rebuilt=True)
        return PutResult.LATE

    def _accept(self, item: QueuedPacket, off: float) -> None:
        if self._run:
            self.end_run()
        if off < -EARLY and self._early is None:
            self._early = item.transit
        else:
            self._transits.add(item.transit if self._early is None else max(self._early, item.transit), item.arrival)
            self._early = None
        if not item.shadow and off <= TIMELINE_STEP:
            self._target.add(item.transit, item.arrival)
        self._enqueue(item)

    def _enqueue(self, item: QueuedPacket) -> None:
        assert self._sequence is not None
        if item.sequence > self._sequence:
            self._sequence = item.sequence
        if item.timestamp > self._timestamp:
            self._timestamp = item.timestamp
        queue = self._queue
        if not queue or item.timestamp > queue[-1].timestamp:
            queue.append(item)
        else:
            insort(queue, item, key=_timestamp_of)
        if len(queue) > CAPACITY:
            del queue[0]

    # -- the run of packets that are late, or on another time line ---------------------------------------------------

    def adopt_run(self, step: int) -> int | None:
        """Start over with the run if it is on another time line, or late for good.

        The sequence number of its first packet; None if there is no such run.
        """
        run, fastest = self._run, self._transits.value
        if fastest is None or len(run) < 2:
            return None
        if run[-1].transit < run[-2].transit - BACKLOG * (step / self._clock):
            return None  # the end of the backlog may be in time
        off = abs(run[-1].transit - fastest) > TIMELINE_STEP
        late = len(run) >= LATE_PACKETS and run[-1].arrival - run[0].arrival >= LATE_SPAN and not self._queue
        if not late and not off:
            return None
        first = run[0].sequence
        self._start_over(run.copy())
        return first

    def end_run(self) -> None:
        """The packets that came late were just that."""
        fastest = self._transits.value
        for item in self._run:
            self._counters.count_late()
            if fastest is not None and abs(item.transit - fastest) <= TIMELINE_STEP:
                self._target.missed()
                if not item.shadow:
                    self._target.add(item.transit, item.arrival)
        self._run.clear()

    def _hold_back(self, item: QueuedPacket, arrival: PutResult) -> PutResult:
        run = self._run
        if run and (abs(item.transit - run[-1].transit) > AGREEMENT or len(run) >= CAPACITY):
            self.end_run()
        run.append(item)
        return arrival

    def _start_over(self, items: list[QueuedPacket]) -> None:
        self._run.clear()
        self._transits.clear()
        self._target.forget()
        self._early = None
        self._queue = sorted(items, key=_timestamp_of)
        for item in items:
            self._transits.add(item.transit, item.arrival)
        if items:
            self._sequence, self._timestamp = items[-1].sequence, items[-1].timestamp

    # -- out ---------------------------------------------------------------------------------------------------------

    def pop(self) -> QueuedPacket:
        """Take out the packet that is next in order. IndexError if there is none."""
        return self._queue.pop(0)

    def lost(self, last: int, begin: int, step: int) -> int:
        """Packets of sound missing between number `last`, which ends at timestamp `begin`, and the next one here."""
        if not self._queue:
            return 0
        return max(0, self._non_audio.lost(last, self._queue[0].sequence, begin, step))

    def comfort(self, timestamp: int) -> RtpPacket | None:
        """What silence sounds like at that time (RFC 3389); None: the sender has not said so since its last sound."""
        return self._non_audio.comfort(timestamp)

    def forget(self, item: QueuedPacket) -> None:
        """This sound is played: what was said of silence before it is over."""
        self._non_audio.forget(item.sequence, item.timestamp)


def _timestamp_of(item: QueuedPacket) -> int:
    return item.timestamp
