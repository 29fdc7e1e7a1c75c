"""How long to wait for packets: the fastest transit, the distribution of the others, and the delay that follows."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


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

    WINDOW = 10.0
    """Seconds of history."""
    PRICE = 10.0
    """Seconds of delay that all packets missing would be worth: 10 ms of delay may be spent to save one in a thousand.
    The tail of exponential jitter of 30 ms is cut at 0.3 %, and a repair chain that takes long is not waited for."""
    MARGIN = 0.005
    """Seconds on top of the quantile."""
    ENOUGH = 10
    """Packets before the history says anything."""
    RESOLVED = 330
    """Packets from which on the tail can be seen; before, it is guessed from a quantile."""
    LOWER = 0.9
    """That quantile."""
    TAIL = 2.5
    """How much further than the quantile the end of the tail lies where transits spread exponentially."""
    FALL = 0.01
    """Seconds per second by which the target comes down."""

    def __init__(self, lowest: float, highest: float, first: float | None = None) -> None:
        """`first`: the delay to begin with; the lowest without one."""
        self.lowest = min(lowest, highest)
        self.highest = highest
        self.value = self.lowest if first is None else min(max(first, self.lowest), highest)
        self.needed = 0.0
        """What the packets of the last seconds would have needed, whether or not `value` has followed."""
        self._history: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._missed = False
        self._updated: float | None = None

    def add(self, transit: float, at: float) -> None:
        """Note a packet that became known at `at`, `transit` after the time that its timestamp stands for."""
        history, ordered = self._history, self._sorted
        history.append((at, transit))
        insort(ordered, transit)
        oldest = at - self.WINDOW
        while history[0][0] < oldest:
            del ordered[bisect_left(ordered, history.popleft()[1])]

    def missed(self) -> None:
        """A packet came too late to be played: the target may rise."""
        self._missed = True

    def forget(self) -> None:
        """The history does not hold for what comes next; the target itself stays."""
        self._history.clear()
        self._sorted.clear()
        self._missed = False
        self.needed = 0.0

    def update(self, floor: float, now: float, extra: float, least: float = 0.0) -> bool:
        """Bring `value` up to date, given the fastest transit; whether it had to rise.

        `extra` seconds come on top of what packets need; the delay is never below `least` and a margin.
        """
        elapsed = 0.0 if self._updated is None else now - self._updated
        self._updated = now
        ordered = self._sorted
        wanted = bottom = min(max(self.lowest, self.MARGIN + max(extra, least)), self.highest)
        if len(ordered) >= self.ENOUGH:
            self.needed = self._worthwhile(floor)
            wanted = min(max(self.needed + self.MARGIN + extra, bottom), self.highest)
        missed, self._missed = self._missed, False
        self.value = max(self.value, bottom)
        if wanted < self.value:
            self.value = max(wanted, self.value - self.FALL * max(elapsed, 0.0))
        elif missed and wanted > self.value:
            self.value = wanted
            return True
        return missed

    def _worthwhile(self, floor: float) -> float:
        """The spread of transits that it pays to wait for."""
        ordered = self._sorted
        count = len(ordered)
        price = self.PRICE / count  # of one more packet missing
        best = least = ordered[-1] - floor
        for missing in range(1, min(count, int(least / price) + 1)):
            spread = ordered[-1 - missing] - floor
            if spread + missing * price < least:
                best, least = spread, spread + missing * price
        if count <= self.RESOLVED:
            return max(best, self.TAIL * (ordered[int(self.LOWER * (count - 1))] - floor))
        return best
