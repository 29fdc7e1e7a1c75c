"""When to report (RFC 3550 sections 6.2, 6.3 and A.7): the interval that keeps RTCP to its share of the bandwidth.

The algorithm for a session of two, with a shorter minimum than the RFC's: of five seconds, or of 360 over the bandwidth
in kbit/s, which is 6 s for a call without FEC and 2 s at its most. Here it is 0.75 s; a report may be early once
between two regular ones, as in RFC 4585 section 3.5.2. Under RTP/AVP that is a deviation, and deliberate: FEC follows
the loss by these reports, by them a side that only sends knows within 3 s that the network is down, and RTP/AVPF,
which would allow them, is refused by telephones that know only RTP/AVP. The share of the bandwidth is kept.
"""

from __future__ import annotations

import math
import random

MEMBERS = 2
"""We and the peer."""
BANDWIDTH_SHARE = 0.05
"""Share of the session bandwidth for the reports of all members together (RFC 3550 section 6.2)."""
MIN_SESSION_BANDWIDTH = 64_000.0
"""Bits per second; the share is taken of at least this, so that a low-rate stream does not slow reports down."""
FIRST_MINIMUM, MINIMUM = 0.25, 0.75
"""Minimum seconds before the first report, and between two. Randomised they become 0.1 to 0.3 and 0.3 to 0.9 seconds:
two reports in a row that do not come are 1.9 s at most. The first one asks for no share of the bandwidth: it
says whether the line is full, or loses, before much has been sent."""
EARLY_AFTER = 0.3
"""Minimum seconds between a report and an early one after it."""
EARLY_SPREAD = 0.2
"""Seconds over which early reports are spread (RFC 4585 section 3.5.2: the dithering interval)."""
FIRST_SIZE = 150.0
"""Bytes assumed for the first compound, IP and UDP headers included (RFC 3550 section 6.3.2)."""

_COMPENSATION = math.e - 1.5  # timer reconsideration makes intervals this much too long (RFC 3550 section 6.3.1)
_SIZE_GAIN = 16.0  # RFC 3550 section 6.3.3


class ReportTimer:
    """The transmission timer of one member. `session_bandwidth` is in bit/s, `average_size` in bytes."""

    def __init__(self, rng: random.Random) -> None:
        self.session_bandwidth = MIN_SESSION_BANDWIDTH
        self.average_size = FIRST_SIZE
        self._rng = rng
        self._next: float | None = None
        self._last = 0.0
        self._first = True
        self._early = False  # the report that is due next is an early one
        self._may_be_early = True

    @property
    def next(self) -> float | None:
        """When to look again; None before `start`."""
        return self._next

    def start(self, now: float) -> None:
        """The session begins; nothing if it has."""
        if self._next is None:
            self._last = now
            self._next = now + self._interval()

    def begin_anew(self, now: float) -> None:
        """There is something to report now: what was sent before, while keys were exchanged, was no first report."""
        if self._next is not None:
            self._first, self._early, self._last = True, False, now
            self._next = now + self._interval()

    def set_session_bandwidth(self, bits_per_second: float) -> None:
        """The bandwidth of both streams of media, as measured: reports get their share of it."""
        self.session_bandwidth = bits_per_second

    def is_due(self, now: float) -> bool:
        """Whether to report now. What was planned is reconsidered first (RFC 3550 section 6.3.6)."""
        if self._next is None or now < self._next:
            return False
        if self._early:
            return True
        self._next = self._last + self._interval()
        return self._next <= now

    def hurry(self, now: float) -> None:
        """Report soon, unless the last report was early itself."""
        if self._next is None or self._first or not self._may_be_early:
            return
        soon = max(now, self._last + EARLY_AFTER) + EARLY_SPREAD * self._rng.random()
        if soon < self._next:
            self._next = soon
            self._early = True

    def at_once(self, now: float) -> None:
        """Report now, whatever was planned; for events that happen once in a call."""
        if self._next is not None:
            self._next, self._early = now, True

    def sent(self, size: int, now: float) -> None:
        """A compound of `size` bytes, headers of IP and UDP included, was sent: plan the next one."""
        self._measure(size)
        self._first = False
        self._may_be_early = not self._early
        # Two reports, of which one was early, take no more than their share (RFC 4585 section 3.5.2).
        room = 2 * self._share() - (now - self._last) if self._early else 0.0
        self._early = False
        self._last = now
        self._next = now + max(self._interval(), room)

    def received(self, size: int) -> None:
        """A compound of the peer came; `size` as for `sent`."""
        self._measure(size)

    def _measure(self, size: int) -> None:
        self.average_size += (size - self.average_size) / _SIZE_GAIN

    def _regular(self) -> float:
        """The deterministic interval (RFC 3550 section 6.3.1)."""
        return FIRST_MINIMUM if self._first else max(MINIMUM, self._share())

    def _share(self) -> float:
        """The interval at which the reports of all members take their share of the bandwidth."""
        bandwidth = BANDWIDTH_SHARE * max(self.session_bandwidth, MIN_SESSION_BANDWIDTH) / 8
        return MEMBERS * self.average_size / bandwidth

    def _interval(self) -> float:
        return self._regular() * (0.5 + self._rng.random()) / _COMPENSATION
