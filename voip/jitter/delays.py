"""How long to wait for packets: the fastest transit, the distribution of the others, and the delay that follows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voip.conversation import FREE_WAIT, PATIENCE, Use, delay_points
from voip.jitter.history import TransitHistory
from voip.jitter.queueing import QueueWatch


class SlidingMinimum:
    """The smallest of the values of the last `window` seconds; the latest is always among them."""

    __slots__ = ("_entries", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._entries: deque[tuple[float, float]] = deque()

    def add(self, value: float, at: float) -> None:
        """Note a value; times do not run backwards by much."""
        entries = self._entries
        while entries and entries[-1][1] >= value:
            entries.pop()
        entries.append((at, value))
        oldest = at - self._window
        while entries[0][0] < oldest:
            entries.popleft()

    def clear(self) -> None:
        """Forget all values."""
        self._entries.clear()

    @property
    def value(self) -> float | None:
        """The minimum; None before the first value."""
        return self._entries[0][1] if self._entries else None


class DelayTarget:
    """The delay to play with: the one at which waiting longer costs more than what it would save, within bounds.

    `add` takes each packet's transit up to the moment it became known, by arrival or by repair. The target rises only
    after packets have missed their turn (`missed`): where none do, a longer delay buys nothing.
    """

    WINDOW: Final = 30.0
    """Seconds of history."""
    MAX_PACKETS: Final = 12000
    """Packets of history: 400 a second."""
    PRICE: Final = 2000.0
    """Seconds of delay that all packets being late by a second would be worth: 40 ms may be spent to save one packet in
    a thousand that would be late by 30 ms. While play-out is held for packets, so much sound is synthesized."""
    MIN_COUNT: Final = 1500
    """Packets that the history counts as at least, 30 s of 20 ms each: one stall says little of the next 30 s."""
    LATE: Final = 0.05
    """Share of packets that may be worth less than the wait for them."""
    POINT_PRICE: Final = 0.05
    """Seconds of delay that a point of R is worth where people talk: by PRICE a hundredth of the packets is worth 0.6 s
    and that is 12 points. Beyond 150 ms from mouth to ear, where 50 ms cost 6 points, waiting counts sevenfold."""
    FREE_LATENESS: Final = 0.01
    """Seconds of lateness that cost nothing: so little synthesized sound is not heard."""
    MAX_LATENESS: Final = 0.03
    """Seconds; to be later than that is no worse."""
    MARGIN: Final = 0.003
    """Seconds on top of what the packets need."""
    MIN_PACKETS: Final = 10
    """Packets before the history says anything."""
    MIN_SPREAD_PACKETS: Final = 250
    """Packets from which on their spread says what to expect: 5 s of 20 ms each."""
    RESOLVED: Final = 1400
    """Packets from which on the tail can be seen; before, it is guessed from a quantile."""
    LOWER: Final = 0.9
    """That quantile."""
    TAIL: Final = 2.5
    """How much further than the quantile the end of the tail lies where transits spread exponentially."""
    REPAIRED: Final = 0.14
    """Seconds after which repair packets of seven packets later are here: a guess goes no further for repair."""
    INTERVAL: Final = 0.25
    """Seconds between two looks at the history, where nothing is late."""
    FALL: Final = 0.01
    """Seconds per second by which the target comes down."""
    FALL_AFTER_QUEUE: Final = 0.05
    """The same once a queue on the path has been emptied: nothing asks for the delay any more."""

    def __init__(
        self, minimum: float, maximum: float, first: float | None = None, *, use: Use = Use.CONVERSATION
    ) -> None:
        """`first`: the delay to begin with; the minimum without one. `use`: what the sound is for."""
        self._use = use
        self.minimum = min(minimum, maximum)
        self.maximum = maximum
        self.value = self.minimum if first is None else min(max(first, self.minimum), maximum)
        self.needed = 0.0
        """What the packets of the last seconds would have needed, whether or not `value` has followed."""
        self._history = TransitHistory()
        self._missed = False
        self._updated: float | None = None
        self._judged = float("-inf")
        self._queue, self._queue_over = QueueWatch(), False
        self._fastest: float | None = None  # as of the last update

    def add(self, transit: float, at: float, *, rebuilt: bool = False) -> None:
        """Note a packet that became known at `at`, `transit` after the time that its timestamp stands for."""
        if self._fastest is not None and not rebuilt:
            since = self._queue.add(transit - self._fastest, at, at - transit)
            if since is not None:
                self._forget_queue(since)
        self._history.add(at, transit, rebuilt=rebuilt)
        self._history.trim(at - self.WINDOW, self.MAX_PACKETS)

    @property
    def spread(self) -> float | None:
        """Seconds by which the slowest packet of the last WINDOW came after the fastest; None: they are too few."""
        ordered = self._history.ordered
        return None if self._fastest is None or len(ordered) < self.MIN_SPREAD_PACKETS else ordered[-1] - self._fastest

    @property
    def patience(self) -> float:
        """The delay in seconds up to which packets are waited for that have to be rebuilt."""
        return self.maximum if self._use is Use.LISTENING else min(self.maximum, PATIENCE)

    def hope(self, repair: float) -> float:
        """The delay in seconds up to which to hold play-out for a packet, where its repair takes up to `repair`."""
        if self._use is Use.CONVERSATION:
            repair = min(repair, max(self.value, FREE_WAIT))
        return max(repair, self.needed)

    @property
    def wait_max(self) -> float:
        """The delay in seconds at which a packet would be in time now: of what waits already, or would."""
        return max(self.value, self.patience)

    def require(self, delay: float) -> None:
        """The least delay has become `delay` seconds: the target is there at once if it was below."""
        self.minimum = min(delay, self.maximum)
        self.value = max(self.value, self.minimum)

    def missed(self) -> None:
        """A packet came too late to be played: the target may rise."""
        self._missed = True

    def forget_repair(self) -> None:
        """Packets are rebuilt sooner or later than before: how long that took says nothing of what comes."""
        self._history.keep(lambda at, rebuilt: not rebuilt)

    def _forget_queue(self, since: float) -> None:
        """There was a queue, and it is empty again."""
        self._history.keep(lambda at, rebuilt: at < since)
        self._judged, self._queue_over = float("-inf"), True

    def forget(self) -> None:
        """The history does not hold for what comes next; the target itself stays."""
        self._history.clear()
        self._missed = False
        self.needed = 0.0

    def update(self, fastest: float, now: float, extra: float, least: float = 0.0) -> bool:
        """Bring `value` up to date, given the fastest transit; whether it had to rise.

        `extra` seconds come on top of what packets need; the delay is never below `least` and a margin.
        """
        elapsed = 0.0 if self._updated is None else now - self._updated
        self._updated, self._fastest = now, fastest
        ordered = self._history.ordered
        wanted = bottom = min(max(self.minimum, self.MARGIN + max(extra, least)), self.maximum)
        missed, self._missed = self._missed, False
        if len(ordered) >= self.MIN_PACKETS:
            if missed or now - self._judged >= self.INTERVAL:
                self._judged = now
                self.needed = self._worthwhile(fastest)
            wanted = min(max(self.needed + self.MARGIN + extra, bottom), self.maximum)
        self.value = max(self.value, bottom)
        if wanted < self.value:
            fall = self.FALL_AFTER_QUEUE if self._queue_over else self.FALL
            self.value = max(wanted, self.value - fall * max(elapsed, 0.0))
            self._queue_over &= self.value > wanted
        elif missed and wanted > self.value:
            self.value = wanted
            return True
        return missed

    def _worthwhile(self, fastest: float) -> float:
        """The spread of transits that it pays to wait for: one that there was, among the last LATE of all."""
        ordered = self._history.ordered
        count = len(ordered)
        last = ordered[-max(2, round(self.LATE * count)) :]
        delays_cost = self._use is Use.CONVERSATION and delay_points(last[-1] - fastest) > 0.0  # as any before it
        if last[-1] - last[0] <= self.FREE_LATENESS and not delays_cost:  # as on most paths: to wait gains nothing
            best = last[0] - fastest
        else:
            best = self._cheapest(np.array(last), fastest, count, delays_cost=delays_cost) - fastest
        return max(best, self._guess(fastest)) if count <= self.RESOLVED else best

    def _cheapest(self, tail: NDArray[np.float64], fastest: float, count: int, *, delays_cost: bool) -> float:
        """The transit among the last of so many packets that it costs least to wait for."""
        lateness = np.clip(tail[None, :] - tail[:, None] - self.FREE_LATENESS, 0.0, self.MAX_LATENESS).sum(axis=1)
        price = tail + self.PRICE / max(count, self.MIN_COUNT) * lateness
        if delays_cost:
            price += self.POINT_PRICE * np.array([delay_points(wait) for wait in (tail - fastest).tolist()])
        return float(tail[np.argmin(price)])

    def _guess(self, fastest: float) -> float:
        """Where the tail of few packets may end; for repair not beyond REPAIRED, as its pattern has an end."""
        known = self._tail(self._history.ordered, fastest)
        if self._use is not Use.CONVERSATION:
            return known
        arrived = self._tail(self._history.arrived, fastest) if self._history.arrived else known
        return min(known, max(arrived, self.REPAIRED))

    def _tail(self, ordered: Sequence[float], fastest: float) -> float:
        """Where the tail of these transits may end: as an exponential one, by the quantile LOWER, but no further than
        the latest of them says. Of so many the latest is a multiple of the mean, which grows as their logarithm."""
        count = len(ordered)
        by_quantile = self.TAIL * (ordered[int(self.LOWER * (count - 1))] - fastest)
        if count < self.MIN_PACKETS:
            return by_quantile
        return min(by_quantile, math.log(self.RESOLVED) / math.log(count) * (ordered[-1] - fastest))
