"""A queue on the path that has been emptied: what its packets waited says nothing of those to come.

A line that was full lets packets out one by one, each later than the last, for as long as its queue lasts; a network
that stood still lets them out all at once. The first is over once it is over, as the sender sends less (RFC 8836
section 2): its packets need no delay any more. The second may come again; and so does a queue that others fill, such as
a TCP, which sends less only when something was dropped, and more again at once.
"""

from __future__ import annotations

import math

LONG = 0.060
"""Seconds beyond the fastest packets at which packets may be in a queue: more than jitter does to all of them."""
SHORT = 0.030
"""Seconds beyond the fastest at which the queue is empty again."""
SETTLED, REST = 1.0, 0.25
"""Seconds for which no packet is later than LONG, or than this share of what the latest was: the queue is empty, too.
What is left is that the sender makes its packets longer where little passes, and that the line takes time for each."""
FIRST_SECONDS = 4.0
"""Seconds for which a stream may begin in a queue that grows, before it gets shorter: until our sender has been told of
it, sends less, and the line has let out what is too much."""
LASTING = 0.5
"""Seconds for which all packets have to be late, one after the other, to have been in a queue."""
LONGEST = 60.0
"""Seconds after which a queue that has not emptied is the path, or another's for good."""
AGAIN = 5.0
"""Seconds after the end of a queue within which the next one begins if others fill it: our sender waits longer, and
goes on in small steps (`voip.congestion`)."""
FASTER = 0.002
"""Seconds by which a packet has to be faster than all before it for a queue to be getting shorter."""
APART = 0.3
"""Share of the time in which they were sent that they take to arrive, at least: what was held back comes at once."""


class FirstQueue:
    """The queue that a stream begins in: of its key exchange, of more than the line carries until that is known, or of
    others. All its packets are late then, by what is known only when a fast one has come."""

    def __init__(self) -> None:
        self._lows: list[tuple[float, float]] = []  # the arrivals at which the least transit fell, and to what
        self._over = False

    def add(self, at: float, transit: float) -> float | None:
        """A packet came at `at`, which was `transit` under way by any clock: when the stream began, if that was in a
        queue which is empty now; None: it was not, it still is, or that has been said."""
        if self._over:
            return None
        if not self._lows or transit < self._lows[-1][1] - FASTER:
            self._lows.append((at, transit))
        (began, first), (fell_at, least) = self._lows[0], self._lows[-1]
        too_long = at - began > LONGEST
        if not too_long and (at - fell_at < SETTLED or at - began < FIRST_SECONDS):
            return None
        near = next(arrival for arrival, low in self._lows if low <= least + SHORT)
        self._over, self._lows = True, []
        return began if not too_long and first - least > LONG and near - began >= LASTING else None


class QueueWatch:
    """Looks at packets as they arrive, and says when a queue has been emptied, and since when there was one."""

    def __init__(self) -> None:
        self._first = FirstQueue()
        self._begun: tuple[float, float] | None = None  # arrival and sending of its first packet
        self._last = (0.0, 0.0)
        self._peak = 0.0  # seconds beyond the fastest
        self._late_at = 0.0  # the last arrival that was no rest of it
        self._ended = -math.inf  # arrival of the last packet of the queue before
        self._again = False  # this one has begun soon after it
        self._empty = 0.0  # transit of the fastest packets when it began

    def add(self, beyond: float, at: float, sent: float) -> float | None:
        """A packet came at `at`, `beyond` seconds later than the fastest would have, which was sent at `sent` by any
        clock: the moment since which packets were in a queue that is empty now; None: there was none, it still is, or
        it comes again and again."""
        began = self._first.add(at, at - sent)
        if began is not None:
            self._begun, self._ended = None, at
            return began
        if self._begun is None:
            if beyond > LONG:
                self._again = at - self._ended < AGAIN
                self._empty = at - sent - beyond
                self._begun = (at, sent)
                self._last, self._peak, self._late_at = self._begun, beyond, at
            return None
        if at - self._begun[0] > LONGEST:
            self._begun = None
            return None
        # The fastest packets of the last seconds may have been in the queue themselves.
        beyond = max(beyond, at - sent - self._empty)
        self._peak = max(self._peak, beyond)
        if beyond > max(LONG, REST * self._peak):
            self._late_at = at
        if beyond > SHORT and at - self._late_at < SETTLED:
            self._last = (at, sent)
            return None
        (arrived, left), (last_arrived, last_left) = self._begun, self._last
        self._begun = None
        lasted, came = last_left - left, last_arrived - arrived
        if lasted < LASTING or came < APART * lasted:
            return None
        self._ended = at
        return None if self._again else arrived
