"""How much may be sent over a path that may be full (RFC 8083, RFC 8085 section 3.1; requirements: RFC 8836).

A queue that grows says that the line is full, before it drops anything. Then at once so much less is sent that it runs
empty; from there the rate goes up in small steps, which repair packets fill: they are the surplus, and if they are
lost nothing is missing. Loss without a queue is not the line's, and for FEC to answer.

    OPEN       nothing is known to be full: a step beyond what has come through
    DRAINING   the queue is being emptied                       OPEN | HOLDING | RISING -> DRAINING: the queue is long
    HOLDING    it is empty, and stays so for a while            DRAINING -> HOLDING: it is empty
    RISING     more is tried, step by step                      HOLDING -> RISING: it was held for long enough
    SHARING    the queue is another's, and does not empty       DRAINING -> SHARING: less of ours does not shorten it,
               whatever we send: a fair share is taken          or did not lately; SHARING -> HOLDING: it is gone;
                                                                SHARING -> DRAINING: not even that comes through

A queue that keeps its length in SHARING and drops nothing is none: the path has become longer (SHARING -> OPEN), unless
the line is known to be narrow. There, or if it drops for MAX_FULL_SECONDS, it is taken for our own (SHARING ->
DRAINING). RISING goes back to OPEN when nothing has been full for REOPEN_AFTER.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

from voip.congestion.breaker import CircuitBreaker
from voip.congestion.pairs import TOGETHER, NarrowLine
from voip.congestion.queue import FULL, Passage, QueueEstimator
from voip.stats import Congestion, LimitedBy, PathReport

EMPTY = 0.040
"""Seconds of queue that are none."""
DRAIN = 0.6
"""Share of what the line carried that is sent while its queue is emptied."""
KEEP = 0.85
"""Share of what the line carried that is sent then."""
HOLD_SECONDS, MAX_HOLD_SECONDS = 8.0, 64.0
"""Seconds at that rate before more is tried: doubled each time that it proved too much, up to the second number."""
RISE_EVERY = 2.0
"""Seconds from one step up to the next: two or three reports tell what the last one did."""
RISE = 1.08
"""Factor of a step up."""
RISE_BITS = 3_000.0
"""Bit/s of a step up at least: of two streams on one line the smaller one rises faster, and catches up."""
PROBED, PROBE_AFTER = 0.95, 40.0
"""Share of what the line carried up to which the rate rises, until so many seconds after it was full."""
ENOUGH = 36_000.0
"""Bit/s: if less came through, which is less than good sound takes, it is not taken for all that the line carries:
others may have had more than their share of it."""
USED = 0.85
"""Share of the limit that has to be used before it is raised."""
REOPEN_AFTER = 90.0
"""Seconds after the queue was last long at which the line is taken for another one."""
STUCK_SECONDS, SHORTER = 0.7, 0.7
"""Seconds of draining after which a queue of our own is shorter by this factor, if less is sent than came through."""
STUCK_AT_FLOOR, SHORTER_AT_FLOOR = 3.0, 0.95
"""The same where nothing less can be sent, and all of that comes through: only a line as slow as that empties so
slowly."""
DRAIN_SECONDS = 10.0
"""Seconds after which draining is looked at anew."""
OTHERS_SECONDS = 30.0
"""Seconds for which others are remembered who kept the line full."""
OURS_SECONDS, OURS = 60.0, 0.15
"""Seconds for which a queue counts as our own, after a fair share lost more than this share beside what the path loses:
others would have made room for it."""
MAX_FULL_SECONDS = 10.0
"""Seconds for which a queue may drop all the time and still count as another's: TCP sends less at each drop, so it is
shared with a call such as this one, which waits for us as we wait for it."""
RAMP = 2.0
"""Times of what came through without a queue that may be sent, before the line was ever full."""
START_RATE = 95_000.0
"""Bit/s that may be sent whatever has come through so far: Opus at its default with one repair packet for each."""
TELLING_SECONDS = 0.5
"""Seconds of sending before which a report does not say how much the line carries: too little was sent by then, and a
limit by it would leave no room for the FEC that losses in the first report call for."""
MAX_LOSS = 0.5
"""Share lost without a queue that is believed."""
SLOWLY = 0.2
"""Weight of the newest report in the loss that the path has without a queue."""
STEADY_SECONDS, STEADY = 10.0, 0.025
"""Seconds for which a queue that is another's would change its length by more than so many seconds."""
DROPS, MORE = 0.025, 0.5
"""Share lost beyond what the path loses without a queue that says that its queue is full; and at least so many times
that: the less is lost by chance, the less it varies."""
SHARE = 60_000.0
"""Bit/s that are a fair share beside others on a full line: Opus at its default, and a light pattern of FEC."""
NEWS = 0.01
"""Share by which the limit changes where that is said."""
AT_ONCE, AT_ONCE_SECONDS = 6, 1.0
"""Media packets sent at once, as after the process stood still, and seconds for which the queue is what they make: they
fill it once, and it empties by itself."""
MIN_REPORT_SECONDS = 0.1
"""Two reports closer to each other than this, as an early one may be, are one."""
MEAN_PACKETS = 50
"""Packets whose mean size counts: one second of them."""


class State(Enum):
    """What the controller does; the module's docstring has the transitions."""

    OPEN = "open"
    DRAINING = "draining"
    HOLDING = "holding"
    RISING = "rising"
    SHARING = "sharing"


class _Past:
    """Moments that are remembered, and what the path is like without a queue."""

    def __init__(self) -> None:
        self.full_at = self.others_at = self.ours_at = -math.inf
        self.proven = 0.0  # bit/s that came through
        self.loss = 0.0  # share lost
        self._lost = 0.0  # lately, with or without a queue
        self._run = (-math.inf, 0)  # when media packets were last sent, and how many at once
        self._burst_at = -math.inf
        self._whole_at = 0.0  # when no more was lost than that for the last time

    def note_sent(self, now: float) -> None:
        """A media packet goes out."""
        self._run = (self._run[0], self._run[1] + 1) if now - self._run[0] < TOGETHER else (now, 1)
        if self._run[1] >= AT_ONCE:
            self._burst_at = now

    def burst(self, now: float) -> bool:
        """Whether many were sent at once lately."""
        return now - self._burst_at < AT_ONCE_SECONDS

    def note_lost(self, lost: float, now: float) -> None:
        """This share was lost since the last report."""
        self._lost += SLOWLY * (lost - self._lost)
        if not self.drops:
            self._whole_at = now

    def drops_for(self, now: float) -> float:
        """Seconds since when more is lost than the path loses by itself."""
        return now - self._whole_at

    @property
    def drops(self) -> bool:
        """Whether more is lost than the path loses by itself."""
        return self._lost - self.loss > max(DROPS, MORE * self.loss)

    def learn(self, sending: float, lost: float) -> None:
        """Without a queue so many bit/s were sent, and this share lost."""
        self.proven = max(self.proven, sending)
        self.loss += SLOWLY * (lost - self.loss)

    def note_full(self, now: float) -> None:
        """The line is full."""
        self.full_at = now

    def note_others(self, now: float) -> None:
        """Others keep it full."""
        self.others_at = now

    def note_ours(self, now: float) -> None:
        """It was not others who kept it full."""
        self.others_at, self.ours_at = -math.inf, now

    @property
    def passed(self) -> float:
        """The share that the path lets through."""
        return 1.0 - min(self.loss, MAX_LOSS)


class RateController:
    """The most that a stream and its repair packets may send: `limit`, bit/s with all headers; None: no limit.

    `sent` for every packet, `report` for every report: it returns one line that says what has changed and why.
    """

    def __init__(self, floor: float = 25_000.0) -> None:
        """`floor`: bit/s below which the stream cannot go."""
        self._ended = False
        self._floor = floor
        self._queue = QueueEstimator()
        self._narrow = NarrowLine(self._queue.packets)
        self._breaker = CircuitBreaker()
        self._state = State.OPEN
        self._capacity = math.inf  # bit/s that came through when the line was full
        self._limit = math.inf
        self._since = 0.0  # when this state began
        self._began = 0.0  # seconds of queue that the first packets sent since then met
        self._came = 0.0  # bit/s that came through when the line was last found full
        self._range = (0.0, 0.0)  # of the length of the queue since
        self._past = _Past()
        self._hold = HOLD_SECONDS
        self._stepped_at = 0.0
        self._reported_at: float | None = None
        self._first_at: float | None = None  # when the first packet was sent
        self._bytes = 0  # sent since that report
        self._sizes: deque[int] = deque(maxlen=MEAN_PACKETS)
        self._now: Congestion = Congestion()

    @property
    def limit(self) -> float | None:
        """Bit/s, all headers included."""
        return self._least()[0]

    @property
    def limited_by(self) -> LimitedBy | None:
        """What sets the limit; None: there is none."""
        return self._least()[1]

    def _least(self) -> tuple[float | None, LimitedBy | None]:
        limits: list[tuple[float, LimitedBy]] = [
            (self._limit, "line"),
            (max(self._floor, self._breaker.line), "rfc8083"),
        ]
        if self._state is State.OPEN and self._past.proven:
            limits.append((max(START_RATE, RAMP * self._past.proven, self.carries or 0.0), "untried"))
        limit, reason = min(limits)
        return (None, None) if math.isinf(limit) else (limit, reason)

    @property
    def carries(self) -> float | None:
        """Bit/s that the line carries at least, while nothing fills it; None where it is not known to be wide."""
        return self._narrow.carries if self._state is State.OPEN else None

    @property
    def figures(self) -> Congestion:
        """As of the last report."""
        return self._now

    def set_floor(self, floor: float) -> None:
        """The least that the stream can send is another now."""
        self._floor = floor

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> None:
        """A packet goes out; `size` in bytes, all headers included."""
        self._queue.sent(number, size, now, repair=repair)
        if not repair:
            self._past.note_sent(now)
        self._first_at = now if self._first_at is None else self._first_at
        self._sizes.append(size)
        self._bytes += size

    def report(self, report: PathReport) -> str | None:
        """A report of the peer has come."""
        before = self.limit
        self._watch_line(report)
        self._narrow.report(report)
        if self._reported_at is not None and report.at - self._reported_at < MIN_REPORT_SECONDS:
            return None
        self._past.note_lost(report.fraction_lost, report.at)
        passage, state = self._queue.report(report, drops=self._past.drops), self._state
        if passage is not None:
            self._learn(passage, report)
            self._step(passage, report.fraction_lost, report.at)
            self._note(passage)
        self._reported_at, self._bytes = report.at, 0
        if passage is None or (state is self._state and (state is State.OPEN or _same(before, self.limit))):
            return None
        return self._line(passage)

    def _learn(self, passage: Passage, report: PathReport) -> None:
        """What the path does to our packets while it has no queue."""
        early = self._first_at is None or report.at - self._first_at < TELLING_SECONDS
        if self._state is not State.DRAINING and passage.end < EMPTY and not early:
            self._past.learn(self._sending(report.at), report.fraction_lost)

    def _step(self, passage: Passage, lost: float, now: float) -> None:
        """The transition that this report makes, if any."""
        burst = passage.burst or self._past.burst(now)
        full = passage.end > FULL and passage.end > passage.begin * SHORTER and not burst
        if self._state is State.DRAINING:
            self._drain(passage, now)
        elif self._state is State.SHARING:
            self._share(passage, lost, now)
        elif full:
            self._cut(passage, now)
        elif self._limit > self._safe:
            self._bound(passage, now)
        elif self._state is State.HOLDING and now - self._since >= self._hold:
            self._enter(State.RISING, passage, now)
            self._rise(now)
        elif self._state is State.RISING and now - self._stepped_at >= RISE_EVERY and passage.end < EMPTY:
            self._rise(now)

    def _sending(self, now: float) -> float:
        """Bit/s that were sent since the last report."""
        since = self._reported_at if self._reported_at is not None else self._first_at
        return 8 * self._bytes / max(MIN_REPORT_SECONDS, now - (now if since is None else since))

    def _cut(self, passage: Passage, now: float) -> None:
        """The line is full: send so little that its queue runs empty."""
        if self._state in (State.HOLDING, State.RISING):
            self._hold = min(MAX_HOLD_SECONDS, 2 * self._hold)
        came = passage.rate if passage.rate is not None else KEEP * self._sending(now)
        self._capacity = self._came = came / self._past.passed
        self._narrow.confirm(self._capacity, now)
        self._enter(State.DRAINING, passage, now)
        self._limit = self._drained
        if now - self._past.others_at < OTHERS_SECONDS:
            self._yield(passage, now)

    @property
    def _safe(self) -> float:
        """Bit/s that a line which is known to be narrow carries without a queue."""
        narrow = self._narrow.capacity
        return math.inf if narrow is None else max(self._floor, PROBED * narrow)

    def _bound(self, passage: Passage, now: float) -> None:
        """The line is narrower than the limit: keep it from filling."""
        narrow = self._narrow.capacity
        assert narrow is not None
        self._capacity = self._came = narrow
        self._limit = self._safe
        if passage.end > EMPTY and self._sending(now) > narrow and not self._past.burst(now):
            self._enter(State.DRAINING, passage, now)
            self._limit = self._drained
        elif self._state is State.OPEN:
            self._enter(State.HOLDING, passage, now)
            self._past.note_full(now)

    @property
    def _drained(self) -> float:
        """Bit/s at which a queue of our own becomes shorter. On a line that is wide it is more likely another's: it is
        found out without what good sound takes."""
        return max(self._floor, DRAIN * self._capacity, ENOUGH if self._narrow.wide else 0.0)

    def _yield(self, passage: Passage, now: float) -> None:
        """Others keep the line full."""
        self._past.note_others(now)
        self._enter(State.SHARING, passage, now)
        self._limit = max(self._floor, SHARE)

    def _drain(self, passage: Passage, now: float) -> None:
        if passage.end >= EMPTY and passage.rate is not None:
            # What leaves a queue without drops is what the line carries.
            self._capacity = min(self._capacity, passage.rate / self._past.passed)
            self._limit = min(self._limit, self._drained)
        if passage.end < EMPTY:
            self._enter(State.HOLDING, passage, now)
            self._limit = max(self._floor, KEEP * self._capacity)
            if KEEP * self._safe <= PROBED * self._capacity:  # all that the line carries was ours
                self._limit = self._safe
        elif passage.sent < self._since:
            self._began = max(self._began, passage.end)
        elif self._is_stuck(passage, now):
            self._yield(passage, now)
        elif now - self._since >= DRAIN_SECONDS:
            self._since, self._began = now, passage.end

    def _is_stuck(self, passage: Passage, now: float) -> bool:
        """Whether the queue does not become shorter as one of our own would."""
        seconds = passage.sent - self._since
        if now - self._past.ours_at < OURS_SECONDS:
            return False
        if seconds >= STUCK_SECONDS and passage.end > SHORTER * self._began and self._limit < KEEP * self._came:
            return True
        comes = passage.rate is not None and passage.rate >= SHORTER_AT_FLOOR * self._sending(now)
        return comes and seconds >= STUCK_AT_FLOOR and passage.end > SHORTER_AT_FLOOR * self._began

    def _share(self, passage: Passage, lost: float, now: float) -> None:
        if lost - self._past.loss > OURS or self._past.drops_for(now) >= MAX_FULL_SECONDS:
            self._take_back(passage, now)
            return
        self._past.note_others(now)
        least, most = self._range = min(self._range[0], passage.end), max(self._range[1], passage.end)
        if passage.end < EMPTY:
            self._enter(State.HOLDING, passage, now)
        elif self._past.drops:  # a queue that is full keeps its length, too
            self._since, self._range = now, (passage.end, passage.end)
        elif now - self._since >= STEADY_SECONDS:
            if most - least < STEADY and self._narrow.capacity is not None:
                self._take_back(passage, now)
            elif most - least < STEADY:
                self._queue.rebase(least)
                self._state, self._limit = State.OPEN, math.inf
            else:
                self._since, self._range = now, (passage.end, passage.end)

    def _take_back(self, passage: Passage, now: float) -> None:
        """The queue stays full, or as long as it is on a narrow line: what others do, TCP for one, changes it."""
        self._past.note_ours(now)
        self._cut(passage, now)

    def _rise(self, now: float) -> None:
        self._stepped_at = now
        recent = now - self._past.full_at < PROBE_AFTER
        known = PROBED * self._capacity if recent and self._capacity >= ENOUGH else math.inf
        known = min(known, self._safe)
        if self._sending(now) > USED * self._limit or known < math.inf:
            self._limit = max(self._limit, min(max(RISE * self._limit, self._limit + RISE_BITS), known))
        if now - self._past.full_at > REOPEN_AFTER and self._safe == math.inf:
            self._state, self._limit, self._hold = State.OPEN, math.inf, HOLD_SECONDS

    def _enter(self, state: State, passage: Passage, now: float) -> None:
        self._state, self._since, self._began = state, now, passage.end
        self._range = (passage.end, passage.end)
        if state is State.DRAINING:
            self._past.note_full(now)

    @property
    def _mean_size(self) -> float:
        return sum(self._sizes) / max(1, len(self._sizes))

    def _watch_line(self, report: PathReport) -> None:
        """RFC 8083: never beyond the line; and an end, where even the least is beyond it."""
        if report.rtt is None:
            return
        self._breaker.report(report.at, report.fraction_lost, report.rtt, self._mean_size)
        self._ended = self._ended or self._breaker.trips(report.at, self._floor)

    def _note(self, passage: Passage) -> None:
        waited = max(0.0, passage.end)
        before = self._now
        full = self._state is State.DRAINING
        self._now = Congestion(
            limit=self.limit,
            limited_by=self.limited_by,
            queue=waited,
            queue_max=max(waited, before.queue_max or 0.0),
            times_full=before.times_full + (full and not before.full),
            full=full,
            ended=self._ended,
        )

    def _line(self, passage: Passage) -> str:
        queue = f"queue {1e3 * max(0.0, passage.end):.0f} ms"
        reason = {
            State.OPEN: "the line has not been full for a while",
            State.DRAINING: f"the line is full, {queue}",
            State.HOLDING: f"the line is narrow, {queue}" if self._narrow.capacity else f"the line is free, {queue}",
            State.RISING: f"trying more, {queue}",
            State.SHARING: f"others keep the line full, {queue}",
        }[self._state]
        limit = self.limit
        most = "no limit" if limit is None else f"at most {limit / 1e3:.0f} kbit/s"
        return f"rate {most}: {reason}"


def _same(before: float | None, now: float | None) -> bool:
    """Whether it would be no news to say that one limit has become the other."""
    return before == now or (before is not None and now is not None and abs(now - before) < NEWS * before)
