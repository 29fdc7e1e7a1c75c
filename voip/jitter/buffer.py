"""The jitter buffer: packets in as they arrive, out when it is their turn; pulled by the speaker, never by arrivals.

Play-out is a position on the stream's own time line, the extended RTP timestamp, and moves only by what is taken out.
The *transit* of a packet is arrival - timestamp, the *floor* the smallest transit of the last seconds, and what is
heard now was sent (now - position) ago: that, less the floor, is the *delay*. It is left alone while it is within a
band around the target, so that a stream without trouble is played sample by sample.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from enum import Enum

from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.ledger import Ledger
from voip.rtp import RtpPacket, unwrap

FLOOR_WINDOW = 10.0
"""Seconds over which the smallest transit is taken: clocks that drift by 200 ppm move 2 ms in it."""
PHASE_WINDOW = 0.3
"""Seconds over which the reader's punctuality is judged: its earliest pull counts, late ones are made up for."""
BAND = 0.020
"""Seconds of deviation from the target that are left alone (too much: at least a packet)."""
URGENT = 0.030
"""Seconds that the delay may lack while a quiet place to lengthen it is sought."""
EDGE = 0.005
"""Seconds between the arrival of the fastest packets and their turn: less than that is as good as too late."""
LEAST_WAIT = 0.002
"""Seconds; a smaller lack of delay is not worth an interruption."""
JUMP = 0.150
"""Seconds of delay too much that are dropped at once, not packet by packet."""
SKIP_INTERVAL = 0.25
"""Seconds between two packets left out to shorten the delay."""
PATIENCE = 0.75
"""Seconds to wait for a quiet packet before leaving out any."""
FADED = 0.1
"""Seconds without packets after which what is heard is silence."""
TIMELINE_STEP = 1.0
"""Seconds of transit off the floor that mean another time line, once a second packet agrees."""
AGREEMENT = 0.2
"""Seconds by which two packets of one time line may differ in transit."""
EARLY = 0.1
"""Seconds below the floor that are believed only when the next packet says the same."""
LATE_SPAN = 0.08
"""Seconds of late packets, with none in time, after which play-out starts over with them."""
LATE_PACKETS = 3
"""And at least so many of them."""
POLL = 0.005
"""Seconds of silence at a time while waiting to start over; the shortest piece in which a hole is filled."""
CAPACITY = 1024
"""Packets that are kept, and whose numbers are remembered."""
RELATED = 3000
"""Sequence numbers apart that can still be the same stream (MAX_DROPOUT of RFC 3550 A.1)."""


class Arrival(Enum):
    """What became of a packet that was put in."""

    QUEUED = "queued"
    LATE = "late"
    DUPLICATE = "duplicate"
    HELD = "held"


class Kind(Enum):
    """Why there is a gap."""

    LOSS = "a packet is missing"
    PAUSE = "the sender made a pause"
    STARVED = "nothing is here"
    WAIT = "the delay grows"
    JOIN = "time was left out: nothing to fill, but the next packet does not continue the last one"


@dataclass(frozen=True, slots=True)
class Gap:
    """`samples` (of the RTP clock) to be made up; `next_packet` is the one after the gap, where it is here."""

    samples: int
    next_packet: RtpPacket | None
    kind: Kind


@dataclass(slots=True)
class _Item:
    timestamp: int
    sequence: int
    packet: RtpPacket
    arrival: float
    transit: float
    shadow: bool = False
    """It came right behind an older one: both waited for the same obstacle, which counts once."""


class JitterBuffer:
    """Orders one stream's packets and says what to play. `max_delay` bounds the delay aimed at.

    Per packet: `get` it, decode it, `advance` by what it lasts. `ledger` may be shared by successive buffers.
    """

    def __init__(
        self, clock_rate: int, *, min_delay: float, max_delay: float, step: float = 0.02, ledger: Ledger | None = None
    ) -> None:
        """`step`: seconds that a packet is expected to last."""
        self.ledger = ledger or Ledger()
        self.quiet = False
        """Set by the reader after a packet that was asked for with `seeks_quiet`: a good place to wait or to skip."""
        self.seeks_quiet = False
        self.held = False
        """Set while the stream is on hold: silence is then nobody's fault."""
        self._clock = clock_rate
        self._step = max(1, round(step * clock_rate))
        self._target = DelayTarget(min_delay, max_delay)
        self._floor = SlidingMinimum(FLOOR_WINDOW)
        self._early: float | None = None
        self._queue: list[_Item] = []
        self._run: list[_Item] = []  # the latest packets, if none of them came in time
        self._previous: _Item | None = None
        self._seen: dict[int, int] = {}  # sequence number: timestamp
        self._sequence: int | None = None  # highest extended numbers of this time line
        self._timestamp = 0
        self._play: int | None = None  # next timestamp to be heard; None: not started
        self._last_sequence: int | None = None  # of the last packet taken out
        self._covered = 0  # ticks of the hole after it that have been filled
        self._starved = 0  # ticks since the queue ran dry
        self._stalled = False
        self._finishing = False
        # The reader's phase: now - position - shift, where shift sums up what play-out itself has left out or added.
        self._phase = SlidingMinimum(PHASE_WINDOW)
        self._shift = 0.0
        self._measured: float | None = None
        self._steady_since = 0.0
        self._delay = 0.0
        self._ahead = 0.0
        self._risen = False
        self._shrinking = False
        self._skipped_at = float("-inf")

    @property
    def target_delay(self) -> float:
        """Seconds of delay over the floor that play-out aims at."""
        return self._target.value

    @property
    def depth(self) -> float:
        """Seconds of delay over the floor."""
        return self._delay

    @property
    def step(self) -> int:
        """Ticks that a packet lasts."""
        return self._step

    @property
    def drained(self) -> bool:
        """Nothing more will come out."""
        return self._finishing and not self._queue and not self._run

    # -- packets in --------------------------------------------------------------------------------------------------

    def put(self, packet: RtpPacket, arrival: float) -> Arrival:
        """Take in a packet, received or rebuilt, that became known at `arrival`."""
        if self._sequence is None:
            self._sequence, self._timestamp = packet.sequence_number, packet.timestamp
        sequence = unwrap(packet.sequence_number, self._sequence)
        timestamp = unwrap(packet.timestamp, self._timestamp, 32)
        if self._seen.get(sequence) == timestamp:
            return Arrival.DUPLICATE
        self._remember(sequence, timestamp)
        item = _Item(timestamp, sequence, packet, arrival, arrival - timestamp / self._clock)
        floor = self._floor.value
        off = 0.0 if floor is None else item.transit - floor
        if packet.recovered:
            return self._put_rebuilt(item, off)
        previous, self._previous = self._previous, item
        if previous is not None and timestamp > previous.timestamp:
            item.shadow = arrival - previous.arrival < self._step / self._clock / 4
        if off < -TIMELINE_STEP or self._is_late(item):
            return self._hold(item, Arrival.LATE if abs(off) <= TIMELINE_STEP else Arrival.HELD)
        self._accept(item, off)
        return Arrival.QUEUED

    def restart(self) -> None:
        """Another stream begins with the next packet: it plays as soon as the target delay allows."""
        self.ledger.resyncs += 1
        self._start_over([])
        self._sequence = None
        self._previous = None
        self._stalled = False
        self._seen.clear()

    def need(self, delay: float) -> None:
        """The least delay to aim at has become `delay` seconds."""
        self._target.lowest = min(delay, self._target.highest)
        self._target.value = max(self._target.value, self._target.lowest)

    def finish(self) -> None:
        """No more packets come: what is here is played to its end."""
        self._finishing = True

    def _remember(self, sequence: int, timestamp: int) -> None:
        self._seen[sequence] = timestamp
        if len(self._seen) > CAPACITY:
            del self._seen[next(iter(self._seen))]

    def _is_late(self, item: _Item) -> bool:
        return self._play is not None and item.timestamp + self._step // 2 <= self._play

    def _put_rebuilt(self, item: _Item, off: float) -> Arrival:
        late = self._is_late(item)
        if abs(off) <= TIMELINE_STEP:
            self._target.add(item.transit, item.arrival)
            if not late:
                self._enqueue(item)
                return Arrival.QUEUED
            self._target.missed()
        self.ledger.late += 1
        return Arrival.LATE

    def _hold(self, item: _Item, arrival: Arrival) -> Arrival:
        run = self._run
        if run and (abs(item.transit - run[-1].transit) > AGREEMENT or len(run) >= CAPACITY):
            self._end_run()
        run.append(item)
        return arrival

    def _end_run(self) -> None:
        """The packets that came late were just that."""
        floor = self._floor.value
        for item in self._run:
            self.ledger.late += 1
            if floor is not None and abs(item.transit - floor) <= TIMELINE_STEP:
                self._target.missed()
                if not item.shadow:
                    self._target.add(item.transit, item.arrival)
        self._run.clear()

    def _accept(self, item: _Item, off: float) -> None:
        if self._run:
            self._end_run()
        if off < -EARLY and self._early is None:
            self._early = item.transit
        else:
            self._floor.add(item.transit if self._early is None else max(self._early, item.transit), item.arrival)
            self._early = None
        if not item.shadow and off <= TIMELINE_STEP:
            self._target.add(item.transit, item.arrival)
        self._enqueue(item)

    def _enqueue(self, item: _Item) -> None:
        assert self._sequence is not None
        self._sequence = max(self._sequence, item.sequence)
        self._timestamp = max(self._timestamp, item.timestamp)
        queue = self._queue
        if not queue or item.timestamp > queue[-1].timestamp:
            queue.append(item)
        else:
            insort(queue, item, key=_timestamp_of)
        if len(queue) > CAPACITY:
            del queue[0]

    # -- packets out -------------------------------------------------------------------------------------------------

    def get(self, now: float, ahead: float = 0.0) -> RtpPacket | Gap | None:
        """What to play next: a packet, or sound to be made up. None: no stream yet, or nothing left of it.

        `ahead`: seconds after `now` at which it will be heard, because of what has been taken out already.
        """
        heard = now + ahead
        if self._run:
            self._settle_run()
        if self._finishing and not self._queue:
            self._end_run()
            return None
        if self._play is None:
            waiting = self._start(heard)
            if self._play is None:
                return waiting
        self._measure(heard, ahead)
        if not self._finishing:
            adjustment = self._adjust(heard)
            if adjustment is not None:
                return adjustment
        return self._next()

    def advance(self, samples: int, *, played: bool = True) -> None:
        """The packet just taken out lasts `samples` ticks; `played` is False if it could not be decoded."""
        if self._play is None or samples <= 0:
            return
        self._play += samples
        seconds = samples / self._clock
        if played:
            self._step = samples
            self.ledger.play(seconds)
        else:
            self.ledger.conceal(seconds, seconds)

    def _settle_run(self) -> None:
        """Start over with packets that are on another time line, or late for good."""
        run, floor = self._run, self._floor.value
        if floor is None or len(run) < 2:
            return
        step = self._step / self._clock
        if run[-1].transit < run[-2].transit - 0.75 * step:
            return  # a backlog is being delivered, its end may be in time
        off = abs(run[-1].transit - floor) > TIMELINE_STEP
        late = len(run) >= LATE_PACKETS and run[-1].arrival - run[0].arrival >= LATE_SPAN and not self._queue
        if late or off:
            self.ledger.resyncs += 1
            last = self._last_sequence
            self._stalled = last is not None and 0 < run[0].sequence - last < RELATED
            self._start_over(run.copy())

    def _start_over(self, items: list[_Item]) -> None:
        self._run.clear()
        self._floor.clear()
        self._target.forget()
        self._early = None
        self._risen = False
        self._play = None
        self._queue = sorted(items, key=_timestamp_of)
        for item in items:
            self._floor.add(item.transit, item.arrival)
        if items:
            self._sequence, self._timestamp = items[-1].sequence, items[-1].timestamp

    def _start(self, heard: float) -> Gap | None:
        """Start playing if it is time to; else the silence to wait with."""
        floor, queue = self._floor.value, self._queue
        before = None if self._last_sequence is None else Gap(round(POLL * self._clock), None, Kind.STARVED)
        if floor is None or not queue:
            if before is not None and not self._finishing:
                self.ledger.starve(POLL)
                return before
            return None
        position = (heard - floor - self._target.value) * self._clock
        if queue[0].timestamp > position + 1 and not self._finishing:
            if before is not None:
                self.ledger.starve(POLL)
            return before
        tolerated = max(round(BAND * self._clock), self._step)
        while len(queue) > 1 and queue[0].timestamp + tolerated < position and not self._finishing:
            self._drop_first()
        self._play = queue[0].timestamp
        self._last_sequence = queue[0].sequence - 1
        self._covered = 0
        self._phase.clear()
        self._shift = 0.0
        self._steady_since = heard
        self._measured = None
        return None

    def _measure(self, heard: float, ahead: float) -> None:
        assert self._play is not None
        if self._measured is not None and heard - self._measured > PHASE_WINDOW:
            self._steady_since = heard
        self._measured = heard
        self._phase.add(heard - self._play / self._clock - self._shift, heard)
        # What is taken out ahead of its time must be here earlier. The most of the recent past counts.
        self._ahead = max(ahead, 0.99 * self._ahead)
        phase, floor = self._phase.value, self._floor.value
        if phase is None or floor is None:
            return
        self._risen |= self._target.update(floor, heard, self._ahead)
        self._delay = phase + self._shift - floor
        self.ledger.measure(self._delay)

    def _adjust(self, heard: float) -> Gap | None:
        """Lengthen or shorten the delay, if that is due now."""
        lack = self._target.value - self._delay
        self.seeks_quiet = False
        if lack > 0.0:
            self._shrinking = False
            return self._grow(lack)
        self._risen = False
        if heard - self._steady_since < PHASE_WINDOW:
            return None
        return self._shrink(-lack, heard)

    def _grow(self, lack: float) -> Gap | None:
        if self._risen or self._delay < self._ahead + EDGE:
            self._risen = False
            if lack < LEAST_WAIT:
                return None
        elif lack <= BAND:
            return None
        elif lack <= URGENT and not self.quiet and self._hole() == 0:
            self.seeks_quiet = True
            return None
        samples = round(lack * self._clock)
        self._shift += samples / self._clock
        if self._queue:
            self.ledger.conceal(lack, self._step / self._clock)
        else:
            self.ledger.starve(lack)
        return Gap(samples, self._next_packet(), Kind.WAIT)

    def _shrink(self, excess: float, heard: float) -> Gap | None:
        if excess > JUMP:
            return self._jump(excess)
        step = self._step / self._clock
        band = max(BAND, step)
        self._shrinking = excess > (step if self._shrinking else band)
        if not self._shrinking:
            return None
        if not self._queue:
            if self._starved > FADED * self._clock:
                self._leave_out(round(excess * self._clock))
            return None
        pause = self._hole() - self._missing()
        if pause > 0:
            self._leave_out(min(pause, round(excess * self._clock)))
            return None
        return self._skip(excess > 3 * band, heard)

    def _skip(self, urgent: bool, heard: float) -> Gap | None:
        """Leave out one packet, if one can be spared here."""
        since = heard - self._skipped_at
        if since < SKIP_INTERVAL or self._hole() or len(self._queue) < 2:
            return None
        if not self.quiet and since < PATIENCE and not urgent:
            self.seeks_quiet = True
            return None
        self._skipped_at = heard
        self._drop_first()
        self._leave_out(self._step)
        return Gap(0, self._next_packet(), Kind.JOIN)

    def _jump(self, excess: float) -> Gap:
        """Drop the excess at once; what it had done to the transit times says nothing of the times to come."""
        assert self._play is not None
        self.ledger.resyncs += 1
        self._target.forget()
        position = self._play + round(excess * self._clock)
        queue = self._queue
        while queue and queue[0].timestamp + self._step // 2 <= position:
            self._drop_first()
            self._covered = 0
        if queue and queue[0].timestamp < position + self._step:
            position = queue[0].timestamp
        self._leave_out(position - self._play)
        return Gap(0, self._next_packet(), Kind.JOIN)

    def _drop_first(self) -> None:
        """The packet that is next will not be heard."""
        self._last_sequence = self._queue.pop(0).sequence
        self.ledger.skip(self._step / self._clock)

    def _leave_out(self, samples: int) -> None:
        assert self._play is not None
        self._play += samples
        self._shift -= samples / self._clock
        self._delay -= samples / self._clock

    def _next(self) -> RtpPacket | Gap:
        """The packet whose turn it is, or what stands in for it."""
        assert self._play is not None
        clock = self._clock
        piece = max(self._step, round(POLL * clock))
        if not self._queue:
            self._starved += piece
            self._covered += piece
            self._play += piece
            self.ledger.starve(piece / clock)
            return Gap(piece, None, Kind.STARVED)
        if self.ledger.pending:
            self._resume()
        self._starved = 0
        hole = self._hole()
        item = self._queue[0]
        if not hole:
            del self._queue[0]
            self._play = item.timestamp
            self._last_sequence = item.sequence
            self._covered = 0
            return item.packet
        missing = self._missing()
        samples = hole if hole < piece * 3 // 2 else piece
        self._covered += samples
        self._play += samples
        if missing:
            self.ledger.conceal(samples / clock, self._step / clock)
        return Gap(samples, item.packet, Kind.LOSS if missing else Kind.PAUSE)

    def _hole(self) -> int:
        """Ticks from here to the next packet; less than half a packet is none; one packet if there is none."""
        assert self._play is not None
        if not self._queue:
            return self._step
        hole = self._queue[0].timestamp - self._play
        return hole if hole > self._step // 2 else 0

    def _missing(self) -> int:
        """Ticks of the hole here that packets are missing for; the rest is a pause."""
        return max(0, self._lost() * self._step - self._covered)

    def _lost(self) -> int:
        """Packets between the last one taken out and the next one here."""
        if self._last_sequence is None or not self._queue:
            return 0
        return max(0, self._queue[0].sequence - self._last_sequence - 1)

    def _resume(self) -> None:
        """Packets are here again: now it shows what the silence was."""
        missing = self._lost() * self._step / self._clock
        if self._stalled:
            missing = self.ledger.pending
        self.ledger.resume(0.0 if self.held else missing, self._step / self._clock)
        self._stalled = False

    def _next_packet(self) -> RtpPacket | None:
        return self._queue[0].packet if self._queue else None


def _timestamp_of(item: _Item) -> int:
    return item.timestamp
