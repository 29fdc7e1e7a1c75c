"""Whether the peer of a call is still there: when it was asked (OPTIONS), and what ICMP says of its ports.

RTP and RTCP show life (RFC 3550 section 6.3.5), and so does any response to an OPTIONS in the dialog: a phone that is
on hold, or muted without comfort noise, sends nothing and is there all the same.
"""

from __future__ import annotations

import math

UNREACHABLE_AFTER = 4.0
"""Seconds without a response to OPTIONS, of which four copies are sent (RFC 3261 timer E), after which a peer whose
port is closed counts as gone. ICMP by itself proves nothing: it can be forged."""
REFUSAL_LASTS = 6.0
"""Seconds that an ICMP "port unreachable" counts: longer than the interval of RTCP, where nothing else is sent."""
REFUSALS_BELIEVED = 2
"""ICMP errors from which on a port counts as closed: one may be about a packet that came before the port was open."""


class Liveness:
    """The doubts about one peer. Times are monotonic seconds; `silent`: since the last sign that it is there."""

    def __init__(self) -> None:
        self._asked_at = self._refused_at = -math.inf
        self._refusals = 0

    def note_refusals(self, count: int, now: float) -> None:
        """So many ICMP errors have come for this call until now."""
        if count > self._refusals and count >= REFUSALS_BELIEVED:
            self._refused_at = now
        self._refusals = count

    def should_ask(self, now: float, silent: float, pause: float) -> bool:
        """Whether to ask: it is silent for longer than `pause`, or its port is closed; once per pause."""
        in_doubt = silent > pause or self._is_refused(now, silent)
        if not in_doubt or now - self._asked_at <= pause:
            return False
        self._asked_at = now
        return True

    def is_unreachable(self, now: float, silent: float) -> bool:
        """Whether its port is closed, and it does not respond either."""
        asked_for = now - self._asked_at
        return UNREACHABLE_AFTER < asked_for < silent and self._is_refused(now, silent)

    def _is_refused(self, now: float, silent: float) -> bool:
        """ICMP has come, and no sign of life since."""
        return now - self._refused_at < min(REFUSAL_LASTS, silent)
