"""What the losses of the last seconds were like: none, single ones by chance, bursts, or outages of the network."""

from __future__ import annotations

import math
from array import array

from voip.jitter.delays import SlidingMinimum
from voip.rtp import ReceptionStats

MEMORY = 20.0
"""Seconds for which a loss counts."""
SETTLED = 1.5
"""Seconds after which a packet that is not here counts as lost: what is merely late has come by then."""
MIN_LOSSES = 16
"""Losses that say whether they come together."""
CLUSTERED, UNSURE = 0.1, 1.2
"""Packets by which runs of losses must be longer than chance makes them for losses to come in bursts: CLUSTERED, and
UNSURE by the root of their number. Chance spreads the mean of so many runs by half of that at 20 % loss."""


class LossWatch:
    """Looks at the counts of a reception now and then."""

    def __init__(self) -> None:
        self._at, self._expected, self._lost_by, self._runs = array("d"), array("q"), array("q"), array("q")
        self._least_lost = SlidingMinimum(SETTLED)
        self._lost = 0.0
        self._lost_at = self._longest_at = float("-inf")
        self._longest = 0.0

    def look(self, stats: ReceptionStats, now: float) -> None:
        """Take down the counts as they are now; some ten times a second."""
        lost = stats.lost
        self._note(now, stats.expected, lost, sum(stats.loss_runs().values()))
        self._least_lost.add(lost, now)
        settled = self._least_lost.value or 0.0
        if settled > self._lost:
            self._lost_at = now
        self._lost = settled
        excess = self._excess()
        if excess >= self._longest or now - self._longest_at >= MEMORY:
            self._longest, self._longest_at = excess, now

    def recent(self, now: float) -> bool:
        """Whether packets have been lost lately."""
        return now - self._lost_at < MEMORY

    def clustering(self, now: float) -> float:
        """Packets by which runs of losses have lately been longer than chance makes them; 0.0 for random losses."""
        return self._longest if now - self._longest_at < MEMORY else 0.0

    def _note(self, now: float, expected: int, lost: int, runs: int) -> None:
        """Keep these counts, and forget those before MEMORY."""
        self._at.append(now)
        self._expected.append(expected)
        self._lost_by.append(lost)
        self._runs.append(runs)
        while self._at[0] < now - MEMORY:
            del self._at[0], self._expected[0], self._lost_by[0], self._runs[0]

    def _excess(self) -> float:
        lost, sent, runs = (counts[-1] - counts[0] for counts in (self._lost_by, self._expected, self._runs))
        if lost < MIN_LOSSES or runs <= 0 or lost >= sent:
            return 0.0
        excess = lost / runs - 1.0 / (1.0 - lost / sent)
        return excess if excess > CLUSTERED + UNSURE / math.sqrt(runs) else 0.0
