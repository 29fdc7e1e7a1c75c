"""NTP time stamps and the round trip that their echo measures (RFC 3550 sections 4 and 6.4.1, RFC 3611 section 4.5)."""

from __future__ import annotations

import statistics
from collections import deque

from voip.rtp import unwrap

NTP_UNIX_OFFSET = 2_208_988_800
"""Seconds from 1900, where NTP time begins, to 1970."""
TIMESTAMPS_REMEMBERED = 64
"""Time stamps of ours whose echo is accepted: some minutes of reports. Any other echo is ignored."""
MAX_ROUND_TRIP = 30.0
"""Seconds; a longer round trip is rejected."""
MEDIAN_SAMPLES = 9
"""Measurements whose median is reported."""

_FRACTION = 1 << 32
_SHORT = 1 << 16  # units of the middle 32 bits, per second


def ntp_time(seconds: float) -> int:
    """64 bits of NTP time from seconds since 1900."""
    return int(seconds * _FRACTION) & 0xFFFFFFFFFFFFFFFF


def middle(ntp: int) -> int:
    """The middle 32 bits of an NTP time, which are what is echoed."""
    return ntp >> 16 & 0xFFFFFFFF


def short_duration(seconds: float) -> int:
    """A duration in 1/65536 s, as far as 32 bits go."""
    return min(0xFFFFFFFF, max(0, int(seconds * _SHORT)))


class RoundTrip:
    """Measures the time to the peer and back by its echoes of our time stamps; seconds, None before the first."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.steady: float | None = None
        """The median of the last few, in which a single delayed report does not show."""
        self.minimum: float | None = None
        self._sent: deque[int] = deque(maxlen=TIMESTAMPS_REMEMBERED)
        self._samples: deque[float] = deque(maxlen=MEDIAN_SAMPLES)

    def mark(self, ntp: int) -> None:
        """This time stamp is sent."""
        self._sent.append(middle(ntp))

    def echo(self, last: int, delay: int, ntp: int) -> float | None:
        """The round trip: the peer held `last` for `delay` (1/65536 s) before its echo arrived at `ntp`."""
        if last not in self._sent:
            return None
        measured = unwrap(middle(ntp) - last - delay, 0, 32) / _SHORT
        if not -MAX_ROUND_TRIP < measured < MAX_ROUND_TRIP:
            return None
        measured = max(0.0, measured)  # clocks tick in steps and not all at one rate
        self.last = measured
        self.minimum = measured if self.minimum is None else min(self.minimum, measured)
        self._samples.append(measured)
        self.steady = statistics.median(self._samples)
        return measured
