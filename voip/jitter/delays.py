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
    """The delay to play with: what nearly all packets of the last seconds would have needed, within bounds.

    `add` takes each packet's transit up to the moment it became known, by arrival or by repair. The target rises to
    the quantile only after packets have missed their turn (`missed`): where none do, a longer delay buys nothing.
    """

    WINDOW = 10.0
    """Seconds of history."""
    QUANTILE = 0.998
    """Share of the packets that should be in time."""
    MARGIN = 0.005
    """Seconds on top of the quantile."""
    ENOUGH = 10
    """Packets before the history says anything."""
    RESOLVED = 330
    """Packets from which on the quantile can be seen; before, it is guessed from a lower one."""
    LOWER = 0.9
    """The lower quantile."""
    TAIL = 2.5
    """How much further than the lower quantile the other one lies where transits spread exponentially."""
    FALL = 0.01
    """Seconds per second by which the target comes down."""

    def __init__(self, lowest: float, highest: float, first: float | None = None) -> None:
        """`first`: the delay to begin with; the lowest without one."""
        self.lowest = min(lowest, highest)
        self.highest = highest
        self.value = self.lowest if first is None else min(max(first, self.lowest), highest)
        self.needed = 0.0
        """What nearly all packets of the last seconds have needed, whether or not `value` has followed."""
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

    def update(self, floor: float, now: float, extra: float) -> bool:
        """Bring `value` up to date, given the fastest transit and `extra` seconds; whether it had to rise."""
        elapsed = 0.0 if self._updated is None else now - self._updated
        self._updated = now
        ordered = self._sorted
        wanted = bottom = min(max(self.lowest, self.MARGIN + extra), self.highest)
        if len(ordered) >= self.ENOUGH:
            self.needed = self._quantile(floor)
            wanted = min(max(self.needed + self.MARGIN + extra, bottom), self.highest)
        missed, self._missed = self._missed, False
        self.value = max(self.value, bottom)
        if wanted < self.value:
            self.value = max(wanted, self.value - self.FALL * max(elapsed, 0.0))
        elif missed and wanted > self.value:
            self.value = wanted
            return True
        return missed

    def _quantile(self, floor: float) -> float:
        ordered, last = self._sorted, len(self._sorted) - 1
        spread = ordered[int(self.QUANTILE * last)] - floor
        if last < self.RESOLVED:
            return max(spread, self.TAIL * (ordered[int(self.LOWER * last)] - floor))
        return spread
