"""The jitter buffer: packets in as they arrive, out when it is their turn; pulled by the speaker, never by arrivals.

Play-out is a position on the stream's own time line, the extended RTP timestamp, and moves only by what is taken out.
The *transit* of a packet is arrival - timestamp, the *floor* the smallest transit of the last seconds, and what is
heard now was sent (now - position) ago: that, less the floor, is the *delay*. It is left alone while it is within a
band around the target, so that a stream without trouble is played sample by sample; otherwise `wish` says how much
longer or shorter the reader should make the sound, and `scaled` hears what it has done.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from enum import Enum

from voip.jitter.asides import Asides
from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.ledger import Ledger
from voip.jitter.pace import EDGE, Pace
from voip.rtp import RtpPacket, unwrap

FLOOR_WINDOW = 10.0
"""Seconds over which the smallest transit is taken: clocks that drift by 200 ppm move 2 ms in it."""
JUMP = 0.150
"""Seconds of delay too much that are dropped at once, not packet by packet."""
LATE_START = 0.020
"""Seconds by which the first packet may be behind its time and still be where play-out begins (at least a packet)."""
HOLD = 0.060
"""Seconds of waiting for one packet, sound being made up meanwhile: what is longer than that sounds like a hole."""
HOLD_MARGIN = 0.010
"""Seconds that the repair packet which is waited for may be slower than the fastest packets."""
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
    SILENCE = "the sender says that there is nothing to hear"
    WAIT = "the delay grows"
    JOIN = "time was left out: nothing to fill, but the next packet does not continue the last one"


@dataclass(frozen=True, slots=True)
class Gap:
    """`samples` (of the RTP clock) to be made up; `next_packet` is the one right behind them, where it is here.

    `comfort`: what the silence sounds like (RFC 3389).
    """

    samples: int
    next_packet: RtpPacket | None
    kind: Kind
    comfort: RtpPacket | None = None


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
        self,
        clock_rate: int,
        *,
        min_delay: float,
        max_delay: float,
        first_delay: float | None = None,
        step: float = 0.02,
        ledger: Ledger | None = None,
    ) -> None:
        """`first_delay` is aimed at in the beginning; `step`: seconds that a packet is expected to last."""
        self.ledger = ledger or Ledger()
        self.wish = 0.0
        """Seconds by which the reader should make the sound longer (shorter: negative); `scaled` says it has."""
        self.urgent = False
        """Whether that matters more than that nobody hears it."""
        self.in_pauses = False
        """Whether it should be done where there is silence."""
        self.patient = False
        """Whether to hold play-out for a packet that may still come; the delay then grows by as much."""
        self.reach = 0
        """Packets that follow a lost one until the last repair packet that can rebuild it; 0: there are none."""
        self.held = False
        """Set while the stream is on hold: silence is then nobody's fault."""
        self._clock = clock_rate
        self._step = max(1, round(step * clock_rate))
        self._target = DelayTarget(min_delay, max_delay, first_delay)
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
        self._pace = Pace()
        self._risen = False
        self._waited = 0.0  # seconds that play-out has been held at this place
        self._asides = Asides()
        self._pauses = False  # the sender sends nothing where nobody speaks: an empty queue says nothing

    @property
    def target_delay(self) -> float:
        """Seconds of delay over the floor that play-out aims at."""
        return self._target.value

    @property
    def depth(self) -> float:
        """Seconds of delay over the floor."""
        return self._pace.delay

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

    def note(self, packet: RtpPacket, *, comfort: bool = False, numbered: bool = True) -> Arrival:
        """Take in a packet that is no sound, but tells that none comes; `comfort`: and what to hear instead.

        `numbered`: its number is one of the media's sequence as it is counted here.
        """
        if self._sequence is None:
            return Arrival.QUEUED
        timestamp = unwrap(packet.timestamp, self._timestamp, 32)
        sequence = unwrap(packet.sequence_number, self._sequence) if numbered else self._sequence + 1
        if numbered:
            if self._seen.get(sequence) == timestamp:
                return Arrival.DUPLICATE
            self._remember(sequence, timestamp)
        self._asides.add(sequence, timestamp, numbered=numbered)
        if comfort:
            self._asides.add_comfort(timestamp, packet)
        return Arrival.QUEUED

    def restart(self) -> None:
        """Another stream begins with the next packet: it plays as soon as the target delay allows."""
        self.ledger.resyncs += 1
        self._start_over([])
        self._sequence = None
        self._previous = None
        self._stalled = self._pauses = False
        self._seen.clear()
        self._asides.clear()

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

    def get(self, now: float, ahead: float = 0.0, lead: float = 0.0) -> RtpPacket | Gap | None:
        """What to play next: a packet, or sound to be made up. None: no stream yet, or nothing left of it.

        `ahead`: seconds after `now` at which it will be heard, because of what has been taken out already; `lead`: what
        that may come to, as the reader's blocks and the packets shift against each other.
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
        self._measure(heard, ahead, max(ahead, lead))
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

    def has_room_for(self, seconds: float) -> bool:
        """Whether packets could be taken out so much earlier than they are."""
        return self._pace.delay >= self._pace.ahead + seconds + EDGE

    def scaled(self, seconds: float) -> None:
        """The reader has made the sound so much longer, or shorter (negative)."""
        self._pace.shift(seconds)

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
        tolerated = max(round(LATE_START * self._clock), self._step)
        while len(queue) > 1 and queue[0].timestamp + tolerated < position and not self._finishing:
            self._drop_first()
        self._play = queue[0].timestamp
        self._last_sequence = queue[0].sequence - 1
        self._covered = 0
        self._pace.restart(heard)
        self._measured = None
        return None

    def _measure(self, heard: float, ahead: float, lead: float) -> None:
        assert self._play is not None
        floor = self._floor.value
        if floor is None:
            return
        pace = self._pace
        pace.measure(heard, self._play / self._clock, ahead, floor)
        self._risen |= self._target.update(floor, heard, pace.ahead, lead)
        self.ledger.measure(pace.delay)

    def _adjust(self, heard: float) -> Gap | None:
        """Say how much longer or shorter the sound should become; skip silence and what is far too much."""
        pace, target = self._pace, self._target.value
        self.wish = pace.wish(target, at_once=self._risen)
        self.urgent = pace.is_urgent(self.wish, late=self._risen)
        self.in_pauses = not self.urgent and pace.can_wait
        if self.wish >= 0.0:
            self._risen &= self.wish > 0.0
            return None
        self._risen = False
        if not pace.is_steady(heard):
            self.wish = 0.0
            return None
        return self._shorten(-self.wish)

    def _shorten(self, excess: float) -> Gap | None:
        if excess > JUMP:
            return self._jump(excess)
        if not self._queue:
            if self._starved > FADED * self._clock:
                self._leave_out(round(excess * self._clock))
            return None
        pause = self._hole() - self._missing()
        if pause > 0:
            self._leave_out(min(pause, round(excess * self._clock)))
            self.wish = 0.0
        return None

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
        self._pace.shift(-samples / self._clock)

    def _next(self) -> RtpPacket | Gap:
        """The packet whose turn it is, or what stands in for it."""
        assert self._play is not None
        clock = self._clock
        piece = max(self._step, round(POLL * clock))
        if self.patient and self._may_come():
            return self._wait()
        if not self._queue:
            self._starved += piece
            self._covered += piece
            self._play += piece
            self.ledger.starve(piece / clock)
            return self._silence(piece, Kind.STARVED)
        if self.ledger.pending:
            self._resume()
        self._starved = 0
        hole = self._hole()
        item = self._queue[0]
        if not hole:
            del self._queue[0]
            self._waited = 0.0
            self._play = item.timestamp
            self._last_sequence = item.sequence
            self._covered = 0
            self._asides.forget(item.sequence, item.timestamp)
            return item.packet
        missing = self._missing()
        samples = hole if hole < piece * 3 // 2 else piece
        self._covered += samples
        self._play += samples
        if missing:
            self.ledger.conceal(samples / clock, self._step / clock)
            following = item.packet if samples == hole else None  # its in-band FEC is of the packet right before it
            return Gap(samples, following, Kind.LOSS)
        return self._silence(samples, Kind.PAUSE)

    def _silence(self, samples: int, kind: Kind) -> Gap:
        """What has just been left behind was silence, as far as we know; perhaps the sender has said how it sounds."""
        assert self._play is not None
        comfort = self._asides.comfort(self._play - samples + self._step // 2)
        return Gap(samples, None, kind if comfort is None else Kind.SILENCE, comfort)

    def _may_come(self) -> bool:
        """Whether the packet whose turn it is may still come, or be rebuilt, before holding on is worse than a hole."""
        if self._finishing or self.held or self._starved or self._covered or self._waited >= HOLD:
            return False
        if self._pace.delay >= self._target.highest:
            return False
        if not self._queue:
            return not self._pauses and not (self._sequence is not None and self._asides.newer_than(self._sequence))
        if not self._hole() or not self._missing():
            return False
        # The last repair packet for it comes with the packet `reach` after it, at the latest.
        hope = max(self.reach * self._step / self._clock, self._target.needed) + HOLD_MARGIN
        return self._pace.delay - self._pace.ahead < hope

    def _wait(self) -> Gap:
        """Hold play-out for a moment: sound is added where the missing packet would be heard."""
        if not self._waited:
            self._target.missed()
        self._waited += POLL
        self._pace.shift(POLL)
        self.ledger.wait(POLL)
        return Gap(round(POLL * self._clock), None, Kind.WAIT)

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
        assert self._play is not None
        following, begin = self._queue[0].sequence, self._play - self._covered
        return max(0, self._asides.lost(self._last_sequence, following, begin, self._step))

    def _resume(self) -> None:
        """Packets are here again: now it shows what the silence was."""
        lost = self._lost()
        missing = lost * self._step / self._clock
        if self._stalled:
            missing = self.ledger.pending
        if missing:
            self._pauses = False
        elif self._covered:  # all is here that was sent: time had passed without packets
            self._pauses = True
            self.ledger.forgive()
        self.ledger.resume(0.0 if self.held else missing, self._step / self._clock)
        self._stalled = False

    def _next_packet(self) -> RtpPacket | None:
        return self._queue[0].packet if self._queue else None


def _timestamp_of(item: _Item) -> int:
    return item.timestamp
