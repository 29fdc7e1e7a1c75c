"""How good a call is, by the E-model (ITU-T G.107; wideband: G.107.1) from what was lost, concealed and delayed.

Ratings R are of 0 to 93.2 for narrowband codecs and of 0 to 129 for wideband ones; the mean opinion score (MOS) is of
1 to 4.5 for both, so that calls compare. Listening quality (MOS-LQ) leaves out the delay, conversational quality
(MOS-CQ) does not. Pure: figures in, figures out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from voip.codecs import Codec
from voip.stats import ReceiverStats

R_NARROWBAND = 93.2
"""R of an undisturbed narrowband call: G.107 with the default value of each parameter."""
R_WIDEBAND = 129.0
"""R of an undisturbed wideband call (G.107.1)."""
R_SCALE = 100.0
"""Where the scale of R ends on which R becomes MOS (G.107 annex B)."""
WIDEBAND_STRETCH = 1.29
"""R of G.107.1 divided by this is on that scale."""
IE_MAX = 95.0
"""The equipment impairment at which nothing is left of a narrowband call (G.107 section 7.5)."""
IE_MAX_WIDEBAND = R_WIDEBAND
"""The same of a wideband call. G.107.1 keeps 95, which leaves MOS 1.5 where nothing is heard; with all of R the model
follows PESQ within 0.3 (docs/quality.md)."""
DELAY_FREE = 0.1
"""Seconds of delay from mouth to ear that impair nothing (G.107 section 7.4)."""
DELAY_SLOPE = 25.0
"""Points of R in the term of the delay (G.107 section 7.4)."""
MOS_MIN, MOS_MAX = 1.0, 4.5
"""The ends of the scale of MOS that R can give."""
WINDOW = 10
"""Seconds of the stretch that is looked for as the worst of a call."""
LOOK = 1.0
"""Seconds between the looks that are taken at a call."""
SLACK = 0.25
"""Seconds by which the stretch may be shorter: looks are not taken at full seconds."""


@dataclass(frozen=True)
class Equipment:
    """A codec with its concealment: impairment `ie` without loss, and the robustness `bpl` against it (G.113).

    bursts: losses in bursts count as worse than as many random ones, as in G.107.
    """

    ie: float
    bpl: float
    wideband: bool
    bursts: bool = True

    @property
    def method(self) -> str:
        """The model and its parameters, for reports; an estimate, as they are fitted to measurements."""
        return f"{'G.107.1' if self.wideband else 'G.107'} estimate Ie={self.ie:g} Bpl={self.bpl:g}"


EQUIPMENT: Mapping[str, Equipment] = {
    "PCMU": Equipment(12.0, 11.5, wideband=False, bursts=False),
    "PCMA": Equipment(12.0, 11.5, wideband=False, bursts=False),
    "opus": Equipment(13.0, 6.7, wideband=True, bursts=False),
    "L16": Equipment(6.0, 6.1, wideband=True, bursts=False),
    "G722": Equipment(5.0, 4.9, wideband=True, bursts=False),
    "mpeg4-generic": Equipment(13.0, 6.7, wideband=True, bursts=False),
}
"""By encoding name, fitted to PESQ of calls with 20 ms packets and our concealment (`python -m tools.measure_mos`); AAC
was not measured and has the figures of Opus. G.113 appendix I has 0 and 25.1 for G.711, of another concealment and
packets of 10 ms: that is up to 1.1 of MOS above PESQ here. PESQ does not find bursts worse than as much random
loss; the burst ratio would put MOS up to 1.3 below it."""
UNKNOWN_EQUIPMENT = Equipment(12.0, 11.5, wideband=False, bursts=False)
"""For a codec that is not in the table, and L16 at 8 kHz: as G.711."""
NARROWBAND_RATE = 8000
"""Samples per second of narrowband sound."""


def equipment_of(codec: Codec) -> Equipment:
    """The parameters of a codec as it is decoded here."""
    known = EQUIPMENT.get(codec.name, UNKNOWN_EQUIPMENT)
    return UNKNOWN_EQUIPMENT if known.wideband and codec.sample_rate <= NARROWBAND_RATE else known


@dataclass(frozen=True)
class Loss:
    """Share of the packets that were not heard in `percent`, and by how much longer than random its bursts are.

    burst_ratio: mean length of a run of lost packets, over that of as much random loss (G.107 section 7.5); 1: random.
    """

    percent: float
    burst_ratio: float = 1.0


@dataclass(frozen=True)
class Rating:
    """R and MOS of one direction of a call; `method` says how they were found. CQ counts the delay, LQ does not."""

    r_lq: float
    r_cq: float
    mos_lq: float
    mos_cq: float
    method: str
    wideband: bool = False

    @property
    def r_of_100(self) -> float:
        """R-CQ on the scale of narrowband calls, as RFC 3611 section 4.7.5 wants it."""
        return min(R_SCALE, self.r_cq / WIDEBAND_STRETCH if self.wideband else self.r_cq)


def burst_ratio(lost: int, runs: int, percent: float) -> float:
    """Of `lost` packets in so many `runs`, `percent` of all; 1 where nothing is known, and never less."""
    return max(1.0, lost / runs * (1.0 - percent / 100.0)) if runs > 0 else 1.0


def delay_impairment(delay: float) -> float:
    """Idd, points of R, of so many seconds from mouth to ear (G.107 section 7.4)."""
    if delay <= DELAY_FREE:
        return 0.0
    x = math.log2(delay / DELAY_FREE)
    return DELAY_SLOPE * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(equipment: Equipment, loss: Loss) -> float:
    """Ie,eff, points of R, of a codec with this loss (G.107 section 7.5; G.107.1 has the same form)."""
    if loss.percent <= 0.0:
        return equipment.ie
    share = loss.percent / (loss.percent / (loss.burst_ratio if equipment.bursts else 1.0) + equipment.bpl)
    most = IE_MAX_WIDEBAND if equipment.wideband else IE_MAX
    return equipment.ie + (most - equipment.ie) * min(1.0, share)


def mos(r: float) -> float:
    """The mean opinion score of R on the scale to 100 (G.107 annex B): 1 to 4.5."""
    if r <= 0.0:
        return MOS_MIN
    if r >= R_SCALE:
        return MOS_MAX
    return max(MOS_MIN, 1.0 + 0.035 * r + r * (r - 60.0) * (R_SCALE - r) * 7e-6)


def rate(equipment: Equipment, loss: Loss, delay: float = 0.0) -> Rating:
    """The rating of a call; `delay`: seconds from mouth to ear, as far as they are known."""
    best, stretch = (R_WIDEBAND, WIDEBAND_STRETCH) if equipment.wideband else (R_NARROWBAND, 1.0)
    r_lq = max(0.0, best - loss_impairment(equipment, loss))
    r_cq = max(0.0, r_lq - delay_impairment(delay))
    return Rating(r_lq, r_cq, mos(r_lq / stretch), mos(r_cq / stretch), equipment.method, equipment.wideband)


# --- from figures of the play-out -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """What the loss of a stretch of a call is computed from: sums since its start, so that two give what is between.

    Seconds that were heard as sent and seconds that were not; lost packets after FEC and the runs that they came in.
    """

    played: float = 0.0
    missed: float = 0.0
    lost: int = 0
    runs: int = 0

    @classmethod
    def of(cls, rx: ReceiverStats) -> Heard:
        """The sums of a whole call."""
        heard = rx.playout
        missed = heard.concealed_seconds + heard.silent_seconds + heard.unheard_seconds
        return cls(heard.played_seconds, missed, rx.missing_packets, rx.missing_runs)

    def since(self, before: Heard) -> Heard:
        """What is between two moments; sums that began anew count from there."""
        return Heard(
            max(0.0, self.played - before.played),
            max(0.0, self.missed - before.missed),
            max(0, self.lost - before.lost),
            max(0, self.runs - before.runs),
        )

    @property
    def loss(self) -> Loss | None:
        """None while there was nothing to hear."""
        total = self.played + self.missed
        if total <= 0.0:
            return None
        percent = 100.0 * self.missed / total
        return Loss(percent, burst_ratio(self.lost, self.runs, percent))


def without_fec(rx: ReceiverStats) -> Loss | None:
    """The loss that would have been heard had no packet been rebuilt."""
    loss = Heard.of(rx).loss
    if loss is None or not rx.expected:
        return loss
    raw = 100.0 * rx.lost / rx.expected
    percent = min(100.0, max(raw, loss.percent + 100.0 * rx.recovered / rx.expected))
    return Loss(percent, burst_ratio(rx.lost, sum(rx.loss_runs.values()), raw))


def rate_heard(codec: Codec, rx: ReceiverStats, delay: float = 0.0) -> Rating | None:
    """The rating of what was heard of a whole call; None while there was nothing to hear."""
    loss = Heard.of(rx).loss
    return None if loss is None else rate(equipment_of(codec), loss, delay)


@dataclass(frozen=True)
class TrendFigures:
    """What only a look once a second tells: means and extremes over a call, in seconds; None: unknown.

    worst_mos: MOS-LQ of the worst `WINDOW` seconds; None while the call is shorter.
    """

    worst_mos: float | None = None
    rtt_mean: float | None = None
    rtt_max: float | None = None


class _Mean:
    """The mean and the largest of some values."""

    def __init__(self) -> None:
        self.largest: float | None = None
        self._sum, self._count = 0.0, 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum, self._count = self._sum + value, self._count + 1
            self.largest = value if self.largest is None else max(self.largest, value)

    @property
    def mean(self) -> float | None:
        return self._sum / self._count if self._count else None


class Trend:
    """Follows one call. Feed it often; it takes a look once a second, and remembers the last `WINDOW` of them."""

    def __init__(self) -> None:
        self._worst: float | None = None
        self._rtt = _Mean()
        self._sums: deque[tuple[float, Heard]] = deque(maxlen=WINDOW + 1)

    @property
    def figures(self) -> TrendFigures:
        """What was found so far."""
        return TrendFigures(self._worst, self._rtt.mean, self._rtt.largest)

    def feed(self, codec: Codec, rx: ReceiverStats | None, rtt: float | None, now: float) -> None:
        """Take the figures of the call at the moment `now` (seconds)."""
        if self._sums and now - self._sums[-1][0] < LOOK:
            return
        self._rtt.add(rtt)
        self._sums.append((now, Heard() if rx is None else Heard.of(rx)))
        begin, before = self._sums[0]
        loss = self._sums[-1][1].since(before).loss
        if now - begin >= LOOK * WINDOW - SLACK and loss is not None:
            found = rate(equipment_of(codec), loss).mos_lq
            self._worst = found if self._worst is None else min(self._worst, found)
