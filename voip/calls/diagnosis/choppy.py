"""Choppy sound: what was missing in the last seconds, and why: the network, lateness, a device, or this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voip.calls.diagnosis.situation import NAMED_AFTER, Finding, History, Situation
from voip.stats import ReceiverStats

WINDOW = 10.0
"""Seconds that are looked at."""
CHOPPY_SECONDS = 0.2
"""Seconds of sound, of those of WINDOW, that must be missing: 2 %. Less is concealed well enough."""
SMOOTH_SECONDS = 0.05
"""Seconds missing in WINDOW below which the sound is no longer choppy."""
BEGINNING = 1.0
"""Seconds at the beginning of a call, in which the play-out delay is still found, that do not count."""
SPAN = 1.5
"""Seconds that must have been looked at: of less, a share says little."""
LOW_JITTER = 0.02
"""Seconds of jitter below which lateness has another reason: a stall of the network, or repair that came late."""
DEAD_AIR = NAMED_AFTER
"""Seconds missing at once that are dead air, named by itself, instead of choppy sound."""
MOSTLY = 0.5
"""Share of what is missing that a cause must account for."""
DEVICE_LOSS = 0.01
"""Seconds that are missing with each loss at a device, at least: one block."""
BURST = 1.5
"""Mean number of packets lost in a row from which losses come in bursts."""
RAISED = 1.3
"""Factor on the share of repair packets by which FEC has been raised."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """Sums since the beginning of the call."""

    missing: float
    unheard: float
    lost: int
    lost_after_fec: int
    runs: int
    repair: int
    received: int
    xruns: int
    late: float
    overruns: int

    @classmethod
    def of(cls, rx: ReceiverStats, situation: Situation) -> _Counts:
        heard = rx.playout
        return cls(
            missing=heard.concealed_seconds + heard.unheard_seconds,
            unheard=heard.unheard_seconds,
            lost=rx.lost,
            lost_after_fec=rx.lost_after_fec,
            runs=sum(rx.loss_runs.values()),
            repair=rx.fec_packets + rx.fec_copies,
            received=rx.received,
            xruns=situation.xruns,
            late=situation.late,
            overruns=situation.network.overruns,
        )


class Choppy:
    """Whether sound is missing in pieces. Each cause is named once in an episode, at most one every WINDOW seconds."""

    def __init__(self) -> None:
        self._counts: History[_Counts] = History(WINDOW)
        self._named: set[str] = set()
        self._named_at = float("-inf")

    def look(self, situation: Situation) -> Iterator[Finding]:
        """What is to be said of missing sound now."""
        rx, now = situation.record.rx, situation.now
        if rx is None or situation.record.duration < BEGINNING:
            return
        if situation.speaker_gone:
            self._counts.clear()
            return
        counts = _Counts.of(rx, situation)
        if len(self._counts) and counts.missing - self._counts.newest.missing >= DEAD_AIR:
            self._counts.clear()
        self._counts.add(now, counts)
        missing = counts.missing - self._counts.oldest.missing
        if missing < SMOOTH_SECONDS and self._counts.span >= WINDOW:
            self._named.clear()
        span = self._counts.span
        if missing < CHOPPY_SECONDS or span < SPAN or now - self._named_at < WINDOW:
            return
        cause, why = self._explain(situation, missing)
        if cause in self._named:
            return
        self._named.add(cause)
        self._named_at = now
        share = 100 * missing / max(span, missing)
        yield Finding(cause, f"choppy: {share:.1f} % of the last {span:.0f} s missing: {why}")

    def _explain(self, situation: Situation, missing: float) -> tuple[str, str]:
        """The cause, and the likely reason with the next step."""
        first, last = self._counts.oldest, self._counts.newest
        mostly, ptime = MOSTLY * missing, situation.media.packet_time
        xruns = last.xruns - first.xruns
        if last.late - first.late >= mostly or last.overruns > first.overruns:
            return "choppy-machine", "this machine is too slow; end other programs or take a cheaper --codec"
        if (last.lost_after_fec - first.lost_after_fec) * ptime >= mostly:
            return "choppy-loss", f"network loss{self._bursts()}; {self._fec(situation)}"
        if xruns and max(xruns * DEVICE_LOSS, last.unheard - first.unheard) >= mostly:
            times = "once" if xruns == 1 else f"{xruns} times"
            return "choppy-device", f"the sound device ran dry {times}; try another device or end other programs"
        if last.unheard - first.unheard >= mostly:
            return "choppy-machine", "this program was not running; is the machine overloaded or suspended?"
        rx = situation.record.rx
        jitter = 0.0 if rx is None or rx.jitter is None else rx.jitter
        if (last.lost - first.lost) * ptime >= mostly and jitter < LOW_JITTER:
            return "choppy-loss", f"network loss{self._bursts()}; FEC rebuilds it too late; raise --latency"
        why = f"jitter {1e3 * jitter:.0f} ms" if jitter >= LOW_JITTER else "the network stalls"
        return "choppy-late", f"packets come too late ({why}); use a cable instead of Wi-Fi, or raise --latency"

    def _bursts(self) -> str:
        first, last = self._counts.oldest, self._counts.newest
        lost, runs = last.lost - first.lost, last.runs - first.runs
        return f" in bursts of {lost / runs:.0f}" if runs > 0 and lost / runs >= BURST else ""

    def _fec(self, situation: Situation) -> str:
        """What is done against it, or can be."""
        if situation.media.fec is None:
            return "no FEC agreed on: use --fec auto at both ends"
        entries = [counts for _, counts in self._counts]
        middle = len(entries) // 2
        before, lately = _repair_share(entries[0], entries[middle]), _repair_share(entries[middle], entries[-1])
        if lately > RAISED * before > 0.0:
            return f"FEC raised to {100 * lately:.0f} %"
        return f"more than FEC of {100 * lately:.0f} % rebuilds; use a cable instead of Wi-Fi"


def _repair_share(first: _Counts, last: _Counts) -> float:
    """Repair packets for each media packet that came between the two."""
    received = last.received - first.received
    return (last.repair - first.repair) / received if received > 0 else 0.0
