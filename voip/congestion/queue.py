"""How long our packets wait in a queue on the path: by the peer's packet receipt times (RFC 3611 section 4.3), else by
how far the round trip is above its minimum.

A packet's time from us to the peer is not known, as the two clocks differ, but by how much it is above the least of the
last minute: that is what it waited, in a queue or for whatever else delays packets one by one. The earliest packets of
a moment have waited for the queue alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

MEMORY_SECONDS = 60.0
"""Seconds for which the least transit time counts: two clocks drift apart by 6 ms meanwhile, at 100 ppm."""
RING_PACKETS = 2048
"""Packets whose sending is remembered until the peer reports them."""
MIN_RECEIPTS = 4
"""Receipt times that tell something together."""
_INDEX = RING_PACKETS - 1


class Passage(NamedTuple):
    """What one report says: seconds in the queue at its beginning and its end, and bit/s that came out at the far end.

    `rate` is None where too few packets are known to say.
    """

    begin: float
    end: float
    rate: float | None


class _Sent(NamedTuple):
    number: int
    at: float
    total: int  # bytes of all packets sent until then, this one included


class QueueEstimator:
    """Packets sent and receipt times in; how long they waited out. Seconds, and bytes with all headers."""

    def __init__(self) -> None:
        self._ring: list[_Sent | None] = [None] * RING_PACKETS
        self._total = 0
        self._least: deque[tuple[float, float]] = deque()  # when, transit: ascending, the first is the least
        self._trips: deque[tuple[float, float]] = deque()  # the same of round trips

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> None:
        """A packet goes out."""
        self._total += size
        if not repair:
            self._ring[number & _INDEX] = _Sent(number, now, self._total)

    def receipts(self, receipts: Sequence[tuple[int, float]], lost: float, now: float) -> Passage | None:
        """Sequence numbers and moments by the peer's clock, of a path that loses that share (0 to 1) of all packets."""
        found: list[tuple[_Sent, float]] = []
        for number, arrival in receipts:
            sent = self._ring[number & _INDEX]
            if sent is not None and sent.number == number:
                found.append((sent, arrival))
        if len(found) < MIN_RECEIPTS:
            return None
        transits = [arrival - sent.at for sent, arrival in found]
        for transit in transits:
            _push(self._least, now, transit)
        half = len(transits) // 2
        base = self._least[0][1]
        return Passage(_early(transits[:half]) - base, _early(transits[half:]) - base, _rate(found, lost))

    def round_trip(self, seconds: float, now: float) -> Passage:
        """A round trip, where there are no receipt times: what it is above the least is taken to be our queue."""
        _push(self._trips, now, seconds)
        waited = seconds - self._trips[0][1]
        return Passage(waited, waited, None)

    def rebase(self, waited: float) -> None:
        """The queue is always there, whatever we send: from now on only what is beyond `waited` counts as a queue."""
        for known in (self._least, self._trips):
            if known:
                at, least = known[0]
                known.clear()
                known.append((at, least + waited))

    def forget(self) -> None:
        """The peer's clock, or the path, is another one."""
        self._least.clear()
        self._trips.clear()


def _push(known: deque[tuple[float, float]], now: float, value: float) -> None:
    """Keep what may become the least of the last MEMORY_SECONDS."""
    while known and known[-1][1] >= value:
        known.pop()
    known.append((now, value))
    while known[0][0] < now - MEMORY_SECONDS:
        known.popleft()


def _early(transits: Sequence[float]) -> float:
    """The second least of some, so that no single packet decides; the least of few."""
    return sorted(transits)[1 if len(transits) > MIN_RECEIPTS else 0]


def _rate(found: Sequence[tuple[_Sent, float]], lost: float) -> float | None:
    """Bit/s that arrived from the first to the last of these packets."""
    (first, came), (last, went) = found[0], found[-1]
    seconds = went - came
    return 8 * (last.total - first.total) * (1.0 - lost) / seconds if seconds > 0.0 else None
