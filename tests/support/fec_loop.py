"""`--fec auto` as a closed loop in virtual time: controller, encoder, lossy wire, decoder, reports that get lost, too.

Packets without sound: 60 bytes of payload every 20 ms, as Opus at 24 kbit/s sends. All are real packets through the
real encoder and decoder; what is simulated is the wire and the peer's reports.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.fec_packets import MEDIA_SSRC, REPAIR_SSRC, REPAIR_TYPE, media, new_decoder
from tests.support.network import Gilbert, Independent, Outages
from voip.fec import FlexFecEncoder, Pattern
from voip.fec.control import FecController
from voip.ip import IP_UDP_HEADER
from voip.rtp import RtpPacket, unwrap
from voip.stats import Arrivals, PathReport

PTIME = 0.02
PAYLOAD = 60
FLOOR = 0.02
"""Seconds that the wire takes at least."""
BACK = 0.04
"""Seconds that a report takes."""
REPORTED = 2
"""Reports that speak of each packet."""
LATE = 4.0
"""Times the jitter that a packet may still be under way: no report speaks of it yet."""
SPACING = 0.0003
"""Seconds between the packets that leave together."""
START = 1000.0

Wire = Callable[[float], bool]
"""Whether a packet sent at this moment is lost."""


def lossless(now: float) -> bool:
    return False


def independent(rate: float, rng: random.Random) -> Wire:
    return Independent(rate, rng).lost


def gilbert(rate: float, mean: float, rng: random.Random) -> Wire:
    """Bursts of this mean number of packets on the wire."""
    return Gilbert(rate, mean, rng).lost


def outage(rate: float, mean: float, rng: random.Random) -> Wire:
    """Nothing comes through for exponential times of this mean in seconds."""
    return Outages(rate, mean, rng).lost


class Peer:
    """The receiver: what it has, when each packet became known to it, and what it reports."""

    def __init__(self) -> None:
        self.decoder = new_decoder()
        self.known: dict[int, float] = {}
        self.jitter = 0.0
        self._arrived: dict[bool, set[int]] = {False: set(), True: set()}
        self._highest: dict[bool, int] = {}
        self._first: dict[bool, int] = {}
        self._transit: float | None = None
        self._reported = (0, 0)
        self._ends: dict[bool, deque[int]] = {repair: deque(maxlen=REPORTED) for repair in (False, True)}

    def receive(self, data: bytes, sent_at: float, now: float) -> None:
        packet = RtpPacket.parse(data)
        repair = packet.payload_type == REPAIR_TYPE
        near = self._highest.get(repair, packet.sequence_number + 65536)
        number = unwrap(packet.sequence_number, near)
        self._arrived[repair].add(number)
        self._first.setdefault(repair, number)
        self._highest[repair] = max(number, near)
        if not repair:
            transit = now - sent_at
            if self._transit is not None:
                self.jitter += (abs(transit - self._transit) - self.jitter) / 16
            self._transit = transit
        for found in self.decoder.receive(packet):
            self.known.setdefault(found.sequence_number, now)

    def arrivals(self, repair: bool, per_frame: float) -> Arrivals | None:
        if repair not in self._highest:
            return None
        ends = self._ends[repair]
        first = ends[0] if ends else self._first[repair]
        end = max(first, self._highest[repair] + 1 - 2 - math.ceil(LATE * self.jitter / PTIME * per_frame))
        ends.append(end)
        flags = tuple(number in self._arrived[repair] for number in range(first, end))
        return Arrivals(first & 0xFFFF, flags)

    def report(self, at: float, delay_max: float | None, wait_max: float | None = None) -> PathReport | None:
        if False not in self._highest:
            return None
        highest = self._highest[False]
        expected = highest - self._first[False] + 1
        lost = expected - len(self._arrived[False])
        before, self._reported = self._reported, (expected, lost)
        new = max(1, expected - before[0])
        per_frame = max(1.0, len(self._arrived[True]) / expected)
        return PathReport(
            at=at,
            fraction_lost=min(1.0, max(0.0, (lost - before[1]) / new)),
            cumulative_lost=lost,
            highest=highest,
            jitter=self.jitter,
            media=self.arrivals(False, 1.0),
            repair=self.arrivals(True, per_frame),
            delay_max=delay_max,
            wait_max=wait_max,
        )


@dataclass
class Outcome:
    """What became of the packets, and what the controller did."""

    sent: list[tuple[int, float]]
    known: dict[int, float]
    bits: int
    repair_bits: list[tuple[float, int]]
    seconds: float
    changes: list[tuple[float, str]] = field(default_factory=list)
    patterns: list[tuple[float, Pattern | None]] = field(default_factory=list)

    def missing(self, delay: float) -> float:
        """The share of media packets not known `delay` after the floor (and the packets that leave together)."""
        limit = FLOOR + delay + 4 * SPACING
        return sum(self.known.get(n, 1e9) - at > limit for n, at in self.sent) / len(self.sent)

    @property
    def rate(self) -> float:
        """Bits per second on the wire, with 1 kbit/s of RTCP."""
        return self.bits / self.seconds + 1000.0

    def repair_rate(self, start: float, end: float) -> float:
        """Bits per second of repair packets between two moments of the stream."""
        return sum(bits for at, bits in self.repair_bits if start <= at < end) / (end - start)


class Loop:
    """One stream; `wire` and `back` may be replaced while it runs."""

    def __init__(
        self,
        wire: Wire = lossless,
        *,
        jitter: float = 0.0,
        seed: int = 1,
        back: Wire = lossless,
        max_rate: float = 200e3,
        control: FecController | None = None,
        wait_max: float | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.wire, self.back, self.jitter = wire, back, jitter
        self.reports = True
        self.delay_max: float | None = None
        self.wait_max = wait_max
        self.control = control or FecController(max_rate, ptime=PTIME)
        self.encoder = FlexFecEncoder(
            self.control.pattern,
            payload_type=REPAIR_TYPE,
            ssrc=REPAIR_SSRC,
            media_ssrc=MEDIA_SSRC,
            sequence_number=65500,
        )
        self.peer = Peer()
        self.outcome = Outcome([], self.peer.known, 0, [], 0.0)
        self.now = START
        self._index = 0
        self._order = 0
        self._flying: list[tuple[float, int, float, bytes]] = []
        self._coming: list[tuple[float, int, PathReport]] = []
        self._report_at = START + 0.5

    def run(self, seconds: float) -> Outcome:
        for _ in range(round(seconds / PTIME)):
            self._frame()
        self.outcome.seconds += seconds
        self._deliver(self.now + 1.0)
        return self.outcome

    def _frame(self) -> None:
        self.now = START + self._index * PTIME
        self._exchange_reports()
        packet = media(self._index, size=PAYLOAD)
        self._index += 1
        self._send(packet, self.now, repair=False)
        if self.control.pattern != self.encoder.pattern:
            self.encoder.set_pattern(self.control.pattern)
        for i, repair in enumerate(self.encoder.protect(packet), 1):
            self._send(repair, self.now + i * SPACING, repair=True)
        self._deliver(self.now)

    def _send(self, packet: RtpPacket, at: float, *, repair: bool) -> None:
        data = packet.serialize()
        size = len(data) + IP_UDP_HEADER[4]
        self._note(self.control.sent(packet.sequence_number, size, at, repair=repair))
        self.outcome.bits += 8 * size
        if repair:
            self.outcome.repair_bits.append((at - START, 8 * size))
        else:
            self.outcome.sent.append((packet.sequence_number, at))
        if not self.wire(at):
            delay = FLOOR + (self.rng.expovariate(1 / self.jitter) if self.jitter else 0.0)
            self._order += 1
            heapq.heappush(self._flying, (at + delay, self._order, at, data))

    def _deliver(self, until: float) -> None:
        while self._flying and self._flying[0][0] <= until:
            arrival, _, sent_at, data = heapq.heappop(self._flying)
            self.peer.receive(data, sent_at, arrival)

    def _exchange_reports(self) -> None:
        if self.reports and self.now >= self._report_at:
            self._report_at = self.now + self.rng.uniform(0.8, 1.2)
            self._deliver(self.now)
            report = self.peer.report(self.now + BACK, self.delay_max, self.wait_max)
            if report is not None and not self.back(self.now):
                self._order += 1
                heapq.heappush(self._coming, (report.at, self._order, report))
        while self._coming and self._coming[0][0] <= self.now:
            self._note(self.control.report(heapq.heappop(self._coming)[2]))

    def _note(self, reason: str | None) -> None:
        if reason is not None:
            self.outcome.changes.append((self.now - START, reason))
            self.outcome.patterns.append((self.now - START, self.control.pattern))
