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

from voip.congestion.sent import Sent, SentPackets
from voip.rtp import RECEIPT_THINNING
from voip.stats import PathReport

MEMORY_SECONDS = 60.0
"""Seconds for which the least transit time counts: two clocks drift apart by 6 ms meanwhile, at 100 ppm."""
MIN_RECEIPTS = 3
"""Receipt times that tell something together."""
ENOUGH_RECEIPTS = 6
"""Those at equal distances that suffice: where a part of them lies closer together, that part would decide."""
FULL = 0.080
"""Seconds of queue at which a line is full: more than Wi-Fi and a scheduler make by themselves."""
BURST = 0.020
"""Seconds by which the transit of packets falls from one receipt to the last, where they came at once."""


class Passage(NamedTuple):
    """What one report says: seconds in the queue at its beginning and its end, and bit/s that came out at the far end.

    `rate` is None where too few packets are known to say; `sent` is when the first of the newer half of the packets was
    sent: what was done later shows in none before. `burst`: the newest packets came at once, as after something
    had held them back: that is no queue of a line that is full, which lets them out one by one.
    """

    begin: float
    end: float
    rate: float | None
    sent: float
    burst: bool = False


class QueueEstimator:
    """Packets sent and receipt times in; how long they waited out. Seconds, and bytes with all headers."""

    def __init__(self) -> None:
        self.packets = SentPackets()
        self._least: deque[tuple[float, float]] = deque()  # when, transit: ascending, the first is the least
        self._trips: deque[tuple[float, float]] = deque()  # the same of round trips

    def sent(self, number: int, size: int, now: float, *, repair: bool) -> None:
        """A packet goes out."""
        self.packets.add(number, size, now, repair=repair)

    def report(self, report: PathReport, *, drops: bool = False) -> Passage | None:
        """What a report tells, by receipt times or the round trip; None if it tells nothing. `drops`: more is lost than
        the path loses by itself."""
        if not report.receipts:
            return None if report.rtt is None else self._round_trip(report.rtt, report.at, drops=drops)
        found = self.packets.of(report.receipts)
        thinned = [each for each in found if not each[0].number & (1 << RECEIPT_THINNING) - 1]
        if len(thinned) >= ENOUGH_RECEIPTS:
            found = thinned
        if len(found) < MIN_RECEIPTS:
            return None
        transits = [arrival - sent.at for sent, arrival in found]
        if drops:
            _keep(self._least, report.at, min(transits))
        for transit in transits:
            _push(self._least, report.at, transit)
        half = len(transits) // 2
        base = self._least[0][1]
        burst = transits[half] - transits[-1] > BURST
        begin, end = _early(transits[:half]) - base, _early(transits[half:]) - base
        return Passage(begin, end, self._rate(found, report), found[half][0].at, burst)

    def _rate(self, found: Sequence[tuple[Sent, float]], report: PathReport) -> float | None:
        """Bit/s that arrived from the first to the last of these packets."""
        (first, came), (last, went) = found[0], found[-1]
        if went <= came:
            return None
        expected = ((last.number - first.number & 0xFFFF) >> RECEIPT_THINNING) + 1
        arrived = min(1.0, len(found) / expected, self._arrived(first.total, last.total, report))
        return 8 * (last.total - first.total) * arrived / (went - came)

    def _arrived(self, begin: int, end: int, report: PathReport) -> float:
        """The share (0 to 1) that has arrived of the bytes that were sent between two totals, by the packets that the
        report names: of both streams, for a queue that is full may take one packet and drop the next every time."""
        named = [arrivals.flags for arrivals in (report.media, report.repair) if arrivals is not None]
        if not report.fraction_lost and all(map(all, named)):
            return 1.0
        sent = arrived = 0
        for repair, arrivals in ((False, report.media), (True, report.repair)):
            for number, here in enumerate(arrivals.flags, arrivals.first) if arrivals is not None else ():
                packet = self.packets.get(number & 0xFFFF, repair=repair)
                if packet is not None and begin < packet.total <= end:
                    sent += packet.size
                    arrived += packet.size * here
        return arrived / sent if sent else 1.0 - report.fraction_lost

    def _round_trip(self, seconds: float, now: float, *, drops: bool) -> Passage:
        """A round trip, where there are no receipt times: what it is above the least is taken to be our queue."""
        if drops:
            _keep(self._trips, now, seconds)
        _push(self._trips, now, seconds)
        waited = seconds - self._trips[0][1]
        return Passage(waited, waited, None, now - seconds)

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


def _keep(known: deque[tuple[float, float]], now: float, value: float) -> None:
    """A queue that drops packets keeps its length, and is no longer path for that: the least of before still holds."""
    if known and value - known[0][1] > FULL:
        known[0] = now, known[0][1]


def _early(transits: Sequence[float]) -> float:
    """The second least of some, so that no single packet decides; the least of few."""
    return sorted(transits)[1 if len(transits) > MIN_RECEIPTS else 0]
