"""Play-out: packets in as they arrive, out when it is their turn; pulled by the speaker, never by arrivals.

    BUFFERING   waiting for the first packet of a stream to become as old as the delay aimed at
    PLAYING     packets are taken out one after the other, and holes between them are filled
    WAITING     play-out is held for the packet that is due and may still come (only with `hold_for_late`)
    UNDERRUN    no packet is here
    DRAINING    no more packets come (`finish`): what is here is played to its end

    BUFFERING -> PLAYING    the first packet's turn has come
    PLAYING   -> WAITING    the packet that is due is missing, and may come or be rebuilt within its hope
    WAITING   -> PLAYING    it is here; or it has been waited for long enough (MAX_HOLD), and the hole is filled
    PLAYING | WAITING -> UNDERRUN -> PLAYING    the queue is empty; a packet is here again
    PLAYING | WAITING | UNDERRUN -> DRAINING    `finish`; from BUFFERING, as soon as a packet is here
    any -> BUFFERING        `restart`: another stream; or a run of packets that shows another time line, or that all
                            packets are late (`PacketQueue.adopt_run`). Mostly left within the same `get`

    `get` in     returns
    BUFFERING    None before the first packet ever played, then silence of POLL (UNDERRUN)
    PLAYING      the packet; at a hole, a Gap of LOSS, PAUSE or SILENCE, a packet's time long or to the hole's end; JOIN
                 where a delay that is too long by more than JUMP has just been cut
    WAITING      a Gap of POLL (WAIT): the delay grows by as much
    UNDERRUN     a Gap a packet's time long (UNDERRUN, or SILENCE if the sender has said what that sounds like); or JOIN
    DRAINING     as PLAYING, then None

Play-out is a position on the stream's own time line, the extended RTP timestamp, and moves only by what is taken out.
What is heard now was sent (now - position) ago: that, less the transit of the fastest packets, is the *delay*. It is
left alone while it is within a band around the target, so that a stream without trouble is played sample by sample;
otherwise `get` says how much longer or shorter the reader should make the sound, and `stretched` is told what it did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from voip.jitter.delays import DelayTarget
from voip.jitter.pace import EDGE, UNCHANGED, Pace, Stretch
from voip.jitter.packet_queue import PacketQueue, PutResult, QueuedPacket
from voip.jitter.playout_stats import PlayoutCounters
from voip.jitter.position import Position
from voip.rtp import RtpPacket

JUMP = 0.150
"""Seconds of delay too much that are dropped at once, not packet by packet."""
LATE_START = 0.020
"""Seconds by which the first packet may be behind its time and still be where play-out begins (at least a packet)."""
MAX_HOLD = 0.060
"""Seconds for which one packet is waited for at most, sound being synthesized meanwhile: longer sounds like a hole."""
HOLD_MARGIN = 0.010
"""Seconds that the repair packet which is waited for may be slower than the fastest packets."""
FADED = 0.1
"""Seconds without packets after which what is heard is silence."""
POLL = 0.005
"""Seconds of silence at a time while waiting to start over; the shortest piece in which a hole is filled."""


class PlayoutState(Enum):
    """What play-out does; the module's docstring has the transitions."""

    BUFFERING = "buffering"
    PLAYING = "playing"
    WAITING = "waiting"
    UNDERRUN = "underrun"
    DRAINING = "draining"


class GapReason(Enum):
    """Why there is a gap."""

    LOSS = "a packet is missing"
    PAUSE = "the sender made a pause"
    UNDERRUN = "no packet is here"
    SILENCE = "the sender says that there is nothing to hear"
    WAIT = "the delay grows"
    JOIN = "time was left out: nothing to fill, but the next packet does not continue the last one"


@dataclass(frozen=True, slots=True)
class Gap:
    """`samples` (of the RTP clock) to be synthesized; `next_packet` is the one right behind them, where it is here.

    `comfort`: what the silence sounds like (RFC 3389).
    """

    samples: int
    next_packet: RtpPacket | None
    reason: GapReason
    comfort: RtpPacket | None = None


class Playout:
    """Says what to play of one stream, so that it is heard with the delay that `target` aims at.

    Per packet: `get` it, decode it, `advance` by what it lasts. `counters` may be shared by successive ones.
    """

    def __init__(
        self,
        clock_rate: int,
        target: DelayTarget,
        *,
        step: float = 0.02,
        hold_for_late: bool = False,
        counters: PlayoutCounters | None = None,
    ) -> None:
        """`clock_rate` of the timestamps, in Hz; `step`: seconds that a packet is expected to last.

        `hold_for_late`: whether to hold play-out for a packet that may still come; the delay then grows by as much.
        """
        self.counters = counters or PlayoutCounters()
        self.repair_span = 0
        """Packets that follow a lost one until the last repair packet that can rebuild it; 0: there are none."""
        self._clock = clock_rate
        self._step = max(1, round(step * clock_rate))
        self._hold_for_late, self._on_hold = hold_for_late, False
        self._target = target
        self._queue = PacketQueue(clock_rate, self._target, self.counters)
        self._pace, self._stretch = Pace(), UNCHANGED
        self._state, self._finished = PlayoutState.BUFFERING, False
        self._position = Position(self._queue, clock_rate, self.counters)  # of no meaning while BUFFERING
        self._asked_at = float("-inf")  # the last `get`; a packet that waited for our threads counts as later than it
        self._dry, self._held = 0, 0.0  # ticks of this underrun; seconds that play-out was held since the last packet
        self._all_missing = False  # whether the underrun that ends next was late or lost sound throughout
        self._sender_pauses = False  # it sends nothing during silence: an empty queue says nothing

    @property
    def state(self) -> PlayoutState:
        """As the last call has left it."""
        return self._state

    @property
    def delay(self) -> float:
        """Seconds of delay over the fastest packets."""
        return self._pace.delay

    @property
    def step(self) -> int:
        """Ticks that a packet lasts."""
        return self._step

    @property
    def drained(self) -> bool:
        """Nothing more will come out."""
        return self._finished and not self._queue and not self._queue.held_back

    # -- packets in --------------------------------------------------------------------------------------------------

    def put(self, packet: RtpPacket, arrival: float) -> PutResult:
        """Take in a packet, received or rebuilt, that became known at `arrival`, or after the last `get`."""
        position = None if self._state is PlayoutState.BUFFERING else self._position.timestamp
        return self._queue.put(packet, max(arrival, self._asked_at), position=position, step=self._step)

    def note(self, packet: RtpPacket, *, comfort: bool = False, numbered: bool = True, known: bool = True) -> PutResult:
        """Take in a packet that is no sound; see `PacketQueue.note`."""
        return self._queue.note(packet, comfort=comfort, numbered=numbered, known=known)

    def restart(self) -> None:
        """Another stream begins with the next packet: it plays as soon as the target delay allows."""
        self.counters.restart()
        self._queue.clear()
        self._state = PlayoutState.BUFFERING
        self._all_missing = self._sender_pauses = False

    def finish(self) -> None:
        """No more packets come: what is here is played to its end."""
        self._finished = True
        if self._state is not PlayoutState.BUFFERING:
            self._state = PlayoutState.DRAINING

    def note_repair_span(self, packets: int) -> None:
        """So many packets follow a lost one until the last repair packet that can rebuild it has come."""
        if packets != self.repair_span:
            self._target.forget_repair()
        self.repair_span = packets

    def set_on_hold(self, on_hold: bool) -> None:
        """The stream is put on hold, or taken off: on hold, silence is no underrun."""
        self._on_hold = on_hold

    # -- packets out -------------------------------------------------------------------------------------------------

    def get(self, now: float, ahead: float = 0.0, lead: float = 0.0) -> tuple[RtpPacket | Gap | None, Stretch]:
        """What to play next, a packet or sound to be synthesized, and how to change its length.

        None: no stream yet, or nothing left of it. `ahead`: seconds after `now` at which it will be heard, because of
        what has been taken out already; `lead`: what that may come to, as the reader's blocks and the packets shift
        against each other.
        """
        self._asked_at = now
        return self._take(now + ahead, ahead, max(ahead, lead)), self._stretch

    def _take(self, heard: float, ahead: float, lead: float) -> RtpPacket | Gap | None:
        first = self._queue.adopt_run(self._step)
        if first is not None:
            self._change_time_line(first)
        if self._finished and not self._queue:
            self._queue.end_run()
            return None
        if self._state is PlayoutState.BUFFERING and not self._begin(heard):
            return self._idle()
        risen = self._measure(heard, ahead, lead)
        if self._state is not PlayoutState.DRAINING:
            self._stretch = self._pace.stretch(self._target.value, heard, risen=risen)
            gap = self._shorten(-self._stretch.seconds) if self._stretch.seconds < 0.0 else None
            if gap is not None:
                return gap
        return self._next()

    def advance(self, samples: int, *, played: bool = True) -> None:
        """The packet just taken out lasts `samples` ticks; `played` is False if it could not be decoded."""
        if self._state is PlayoutState.BUFFERING or samples <= 0:
            return
        self._position.move(samples)
        seconds = samples / self._clock
        if played:
            self._step = samples
            self.counters.play(seconds)
        else:
            self.counters.conceal(seconds, seconds)

    def has_room_for(self, seconds: float) -> bool:
        """Whether packets could be taken out so much earlier than they are."""
        return self._pace.delay >= self._pace.ahead + seconds + EDGE

    def stretched(self, seconds: float) -> None:
        """The reader has made the sound so much longer, or shorter (negative)."""
        self._pace.shift(seconds)

    def _change_time_line(self, first: int) -> None:
        """The queue has started over with packet number `first`."""
        self.counters.count_resync()
        self._all_missing = self._position.leads_to(first, self._step)
        self._state = PlayoutState.BUFFERING

    def _begin(self, heard: float) -> bool:
        """Begin to play if it is time to."""
        queue, fastest, first = self._queue, self._queue.fastest, self._queue.first
        if first is None or (fastest is None and not self._finished):
            return False
        if fastest is not None and not self._finished:
            position = (heard - fastest - self._target.value) * self._clock
            if first.timestamp > position + 1:
                return False
            tolerated = max(round(LATE_START * self._clock), self._step)
            while len(queue) > 1 and first.timestamp + tolerated < position:
                first = self._drop_first() or first
        self._position.start_at(first)
        self._pace.restart(heard)
        self._go_on()
        return True

    def _idle(self) -> Gap | None:
        """The silence to wait with; None: this stream has not been heard yet."""
        if self._position.last_sequence is None or self._finished:
            return None
        self.counters.silence.grow(POLL, due=not self._on_hold)
        return Gap(round(POLL * self._clock), None, GapReason.UNDERRUN)

    def _measure(self, heard: float, ahead: float, lead: float) -> bool:
        """See where play-out is, and bring the target up to date; whether that had to rise."""
        fastest = self._queue.fastest
        if fastest is None:
            return False
        pace = self._pace
        pace.measure(heard, self._position.timestamp / self._clock, ahead, fastest)
        risen = self._target.update(fastest, heard, pace.ahead, lead)
        if pace.delay - self._target.value < JUMP:  # else it is about to be cut
            self.counters.measure(pace.delay)
        return risen

    def _shorten(self, excess: float) -> Gap | None:
        if excess > JUMP:
            return self._jump(excess)
        if not self._queue:
            if self._dry > FADED * self._clock:
                self._leave_out(round(excess * self._clock))
            return None
        pause = self._position.hole(self._step) - self._position.missing(self._step)
        if pause > 0:
            self._leave_out(min(pause, round(excess * self._clock)))
            self._stretch = replace(self._stretch, seconds=0.0)
        return None

    def _jump(self, excess: float) -> Gap:
        """Drop the excess at once; what it had done to the transit times says nothing of the times to come."""
        skipped = self.counters.skipped_seconds
        self._target.forget()
        position, first = self._position.timestamp + round(excess * self._clock), self._queue.first
        while first is not None and first.timestamp + self._step // 2 <= position:
            first = self._drop_first()
        if first is not None and first.timestamp < position + self._step:
            position = first.timestamp
        self._leave_out(position - self._position.timestamp)
        self.counters.jump(skipped)
        return Gap(0, None, GapReason.JOIN)

    def _drop_first(self) -> QueuedPacket | None:
        """The packet that is next will not be heard: the one after it."""
        skipped = self._position.skip_first(self._step)
        self.counters.skip(self._step / self._clock, rebuilt=skipped.packet.recovered)
        return self._queue.first

    def _leave_out(self, samples: int) -> None:
        self._position.move(samples)
        self._pace.shift(-samples / self._clock)

    def _next(self) -> RtpPacket | Gap:
        """The packet whose turn it is, or what stands in for it."""
        piece = max(self._step, round(POLL * self._clock))
        if self._hold_for_late and self._may_come():
            return self._wait()
        if not self._queue:
            return self._run_dry(piece)
        if self.counters.silence.unexplained:
            self._resume()
        self._go_on()
        hole = self._position.hole(self._step)
        return self._fill(hole, piece) if hole else self._play_first()

    def _go_on(self) -> None:
        """Packets are played."""
        self._state = PlayoutState.DRAINING if self._finished else PlayoutState.PLAYING
        self._dry = 0

    def _run_dry(self, piece: int) -> Gap:
        """Nothing is here: `piece` ticks of silence, of which it shows later what they were."""
        self._state = PlayoutState.UNDERRUN
        self._dry += piece
        self._position.fill(piece)
        pauses = self._on_hold or self._sender_pauses or self._queue.says_silence
        self.counters.silence.grow(piece / self._clock, due=not pauses)
        return self._silence(piece, GapReason.UNDERRUN)

    def _play_first(self) -> RtpPacket:
        self._held = 0.0
        return self._position.take_first(self._step).packet

    def _fill(self, hole: int, piece: int) -> Gap:
        """Go on by a `piece`, or to the end of the hole."""
        missing, first = self._position.missing(self._step), self._queue.first
        samples = hole if hole < piece * 3 // 2 else piece
        self._position.fill(samples)
        if not missing or first is None:
            return self._silence(samples, GapReason.PAUSE)
        self.counters.conceal(samples / self._clock, self._step / self._clock)
        following = first.packet if samples == hole else None  # its in-band FEC is of the packet right before it
        return Gap(samples, following, GapReason.LOSS)

    def _silence(self, samples: int, reason: GapReason) -> Gap:
        """What has just been left behind was silence, as far as we know; perhaps the sender has said how it sounds."""
        comfort = self._queue.comfort(self._position.timestamp - samples + self._step // 2)
        return Gap(samples, None, reason if comfort is None else GapReason.SILENCE, comfort)

    def _may_come(self) -> bool:
        """Whether the packet whose turn it is may still come, or be rebuilt, before holding on is worse than a hole."""
        if self._state in (PlayoutState.UNDERRUN, PlayoutState.DRAINING) or self._on_hold:
            return False
        if self._position.filled or self._held >= MAX_HOLD:
            return False
        if self._pace.delay >= self._target.maximum:
            return False
        if not self._queue:
            return not self._sender_pauses and not self._queue.says_silence
        if not self._position.hole(self._step) or not self._position.missing(self._step):
            return False
        # The last repair packet for it comes with the packet `repair_span` after it, at the latest.
        hope = self._target.hope(self.repair_span * self._step / self._clock) + HOLD_MARGIN
        return self._pace.delay - self._pace.ahead < hope

    def _wait(self) -> Gap:
        """Hold play-out for a moment: sound is added where the missing packet would be heard."""
        self._state = PlayoutState.WAITING
        if not self._held:
            self._target.missed()
        self._held += POLL
        self._pace.shift(POLL)
        self.counters.wait(POLL)
        return Gap(round(POLL * self._clock), None, GapReason.WAIT)

    def _resume(self) -> None:
        """Packets are here again: now it shows what the silence was."""
        lost = self._position.lost(self._step) * self._step / self._clock
        missing = self.counters.silence.unexplained if self._all_missing else lost
        if missing:
            self._sender_pauses = False
        elif self._position.filled:  # all is here that was sent: time had passed without packets
            self._sender_pauses = True
            self.counters.discard_wait()
        self.counters.resume(0.0 if self._on_hold else missing, self._step / self._clock)
        self._all_missing = False
