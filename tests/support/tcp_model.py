"""A long-lived TCP connection that always has data to send, as cross traffic of a `bottleneck.DropTail`.

Window growth and reduction are those of CUBIC (RFC 9438) with the delay-based end of slow start of HyStart, which Linux
has by default, too; loss detection by three later segments (RFC 6675) and by a timer (RFC 6298). A model: every segment
is acknowledged alone, the way back takes a fixed time, and new data stand for what is sent again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

SEGMENT = 1500
"""Bytes of an IP packet: what Ethernet carries."""
_MORE_PER_SECOND = 0.4  # segments per cubic second: C of RFC 9438 section 5
_KEPT = 0.7  # share of the window that a loss leaves: beta_cubic, section 4.6
_FRIENDLY = 3 * (1 - _KEPT) / (1 + _KEPT)  # segments per round trip, as much as Reno gets: alpha_cubic, section 4.3
_FIRST = 10.0  # segments: RFC 6928
_LEAST = 2.0  # segments, after a loss
_DUPLICATES = 3  # later segments that prove a loss: RFC 6675
_LEAST_TIMEOUT = 0.2  # seconds: Linux' TCP_RTO_MIN
_MOST_TIMEOUT = 60.0  # seconds: RFC 6298 (2.5)
_HYSTART_WINDOW = 16.0  # segments below which slow start goes on
_HYSTART_BOUNDS = (0.004, 0.016)  # seconds of rise of the round trip that end slow start: an eighth of it within these

Offer = Callable[[float, int], "float | None"]


class Cubic:
    """The connection. It begins `delay` seconds after the link is first used."""

    def __init__(self, *, base: float = 0.04, delay: float = 0.0) -> None:
        """`base`: seconds of a round trip without the bottleneck."""
        self._base, self._delay = base, delay
        self.window = _FIRST
        """Segments that may be under way."""
        self.acknowledged = 0
        """Segments that have arrived."""
        self.lost = 0
        """Segments that the queue dropped."""
        self.timeouts = 0
        self.begun: float | None = None
        self._acknowledgements: deque[tuple[float, int, float]] = deque()
        self._under_way: deque[int] = deque()
        self._next = 0
        self._recovered_by = 0
        self._threshold = math.inf
        self._largest = 0.0
        self._epoch: tuple[float, float, float] | None = None
        self._reno = 0.0
        self._trip: Trip = Trip()
        self._timer = math.inf

    def kbps(self, until: float) -> float:
        """Kilobits of IP packets per second that have got through from the beginning to `until`."""
        return 8e-3 * SEGMENT * self.acknowledged / (until - self.begun) if self.begun is not None else 0.0

    def begin(self, now: float) -> None:
        """The link is in use from `now` on; the first call decides."""
        if self.begun is None:
            self.begun = self._timer = now + self._delay

    @property
    def due(self) -> float:
        """When it does something next."""
        first = self._acknowledgements[0][0] if self._acknowledgements else math.inf
        return min(first, self._timer)

    def act(self, offer: Offer) -> None:
        """Do what is due, and send what may be sent then."""
        now = self.due
        if self._acknowledgements and self._acknowledgements[0][0] <= now:
            self._take(*self._acknowledgements.popleft())
        elif self._next:
            self._time_out(now)
        else:
            self._timer = now + self._trip.timeout
        self._send(now, offer)

    def _send(self, now: float, offer: Offer) -> None:
        while len(self._under_way) < max(1, int(self.window)):
            out = offer(now, SEGMENT)
            self._under_way.append(self._next)
            if out is None:
                self.lost += 1
            else:
                self._acknowledgements.append((out + self._base, self._next, now))
            self._next += 1

    def _take(self, now: float, number: int, sent: float) -> None:
        """A segment is acknowledged. The queue keeps the order, so that earlier ones without were dropped."""
        self.acknowledged += 1
        self._trip.measured(now - sent)
        self._timer = now + self._trip.timeout
        if number in self._under_way:
            self._under_way.remove(number)
        while self._under_way and self._under_way[0] <= number - _DUPLICATES:
            if self._under_way.popleft() >= self._recovered_by:
                self._reduce()
        if number >= self._recovered_by:
            self._grow(now)

    def _reduce(self) -> None:
        """A loss that is not of the window of the last one."""
        fast_convergence = self.window < self._largest
        self._largest = self.window * (1 + _KEPT) / 2 if fast_convergence else self.window
        self.window = self._threshold = max(_LEAST, self.window * _KEPT)
        self._epoch = None
        self._recovered_by = self._next

    def _time_out(self, now: float) -> None:
        """All that is under way counts as lost."""
        self.timeouts += 1
        self._reduce()
        self.window = 1.0
        self._under_way.clear()
        self._trip.back_off()
        self._timer = now + self._trip.timeout

    def _grow(self, now: float) -> None:
        if self.window < self._threshold:
            self.window += 1.0
            least, most = _HYSTART_BOUNDS
            rise = min(max(self._trip.least / 8, least), most)
            if self.window >= _HYSTART_WINDOW and self._trip.latest > self._trip.least + rise:
                self._threshold = self.window
            return
        if self._epoch is None:
            self._largest = max(self._largest, self.window)
            self._epoch = (now, ((self._largest - self.window) / _MORE_PER_SECOND) ** (1 / 3), self._largest)
            self._reno = self.window
        begin, until_largest, largest = self._epoch
        at = now - begin + self._trip.smooth - until_largest
        target = min(max(largest + _MORE_PER_SECOND * at**3, self.window), 1.5 * self.window)
        self._reno += (_FRIENDLY if self._reno < largest else 1.0) / self.window
        self.window = max(self.window + (target - self.window) / self.window, self._reno)


class Trip:
    """Round trips, and the retransmission timeout made of them (RFC 6298 section 2). Seconds."""

    def __init__(self) -> None:
        self.latest, self.least, self.smooth = 0.0, math.inf, 0.0
        self._variation = 0.0
        self.timeout = 1.0  # (2.1)

    def measured(self, trip: float) -> None:
        """One more."""
        first = math.isinf(self.least)
        self._variation = trip / 2 if first else 0.75 * self._variation + 0.25 * abs(self.smooth - trip)
        self.smooth = trip if first else 0.875 * self.smooth + 0.125 * trip
        self.latest, self.least = trip, min(self.least, trip)
        self.timeout = min(self.smooth + max(_LEAST_TIMEOUT, 4 * self._variation), _MOST_TIMEOUT)

    def back_off(self) -> None:
        """The timer has expired (5.5)."""
        self.timeout = min(2 * self.timeout, _MOST_TIMEOUT)
