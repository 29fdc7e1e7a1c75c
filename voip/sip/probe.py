"""Whether the peer of a call is still where it was: OPTIONS within the dialog (RFC 3261 section 11), with little
patience. What would end or move a call, and may be forged, waits for what comes of it.

Unlike a `Ping` it asks the place that the dialog has, and takes silence for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from voip.sip.address import Address
from voip.sip.leg import GONE, Leg
from voip.sip.message import Response
from voip.sip.transaction import ClientTransaction

PATIENCE = 1.0
"""Seconds that a response may take: the first copy has 1 s for its way and back, the second half of that."""
BELIEVED = 2.0
"""Seconds for which a response counts: a flood of forgeries makes us ask seldom."""
MAX_WAITING = 8
"""Questions that one response may decide; of more, the peer counts as still there."""
Decide = Callable[[bool, float], object]
"""Called with whether the peer is still there."""


class Probe:
    """Of one call. Every question is decided within PATIENCE."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._sent: ClientTransaction | None = None
        self._waiting: list[Decide] = []
        self._there_at = -math.inf

    def ask(self, decide: Decide, now: float) -> None:
        """Find out, unless that is known."""
        if now - self._there_at < BELIEVED or len(self._waiting) >= MAX_WAITING:
            decide(True, now)
            return
        self._waiting.append(decide)
        if self._sent is None:
            core, request = self._leg.core, self._leg.request("OPTIONS")
            core.timers.set(self, "patience", now + PATIENCE, partial(self._decide, False))
            self._sent = core.send(request, self._leg.destination(), self, now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status >= 200:
            self._decide(response.status not in GONE, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        self._decide(False, now)

    def drop(self) -> None:
        """The call is forgotten: nothing is decided any more."""
        self._waiting.clear()
        self._decide(False, -math.inf)

    def _decide(self, there: bool, now: float) -> None:
        sent, self._sent = self._sent, None
        if sent is None:
            return
        self._leg.core.timers.clear(self, "patience")
        if not sent.answered:
            sent.drop()
        self._there_at = now if there else -math.inf
        waiting, self._waiting = self._waiting, []
        for decide in waiting:
            decide(there, now)
