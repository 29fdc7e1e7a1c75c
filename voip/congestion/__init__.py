"""How much a path carries, and how much is sent over it (RFC 8836, RFC 8083, RFC 8085 section 3.1): no I/O, no clock.

RateController    the most that a stream may send, with all headers, and why
NarrowLine        what a narrow line carries, by packets that were sent together and arrive apart
QueueEstimator    how long packets wait in a queue on the path, by the times at which they arrived
best_coding       the bit rate and the length of packets within such a limit
CircuitBreaker    the line of RFC 8083 that no stream may cross for long
"""

from __future__ import annotations

from voip.congestion.breaker import CircuitBreaker, allowed_rate
from voip.congestion.coding import SHORTEN_AFTER, STEPS, Coding, best_coding, lack, least_rate, longer, media_rate
from voip.congestion.control import RateController
from voip.congestion.pairs import NarrowLine
from voip.congestion.queue import QueueEstimator

__all__ = [
    "SHORTEN_AFTER",
    "STEPS",
    "CircuitBreaker",
    "Coding",
    "NarrowLine",
    "QueueEstimator",
    "RateController",
    "allowed_rate",
    "best_coding",
    "lack",
    "least_rate",
    "longer",
    "media_rate",
]
