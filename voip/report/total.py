"""All calls of a run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voip.report.record import CallRecord
from voip.report.shares import percent
from voip.report.text import counted, length


@dataclass(frozen=True)
class Total:
    """Sums over calls; packets are media packets. `at_a_time`: the most calls with media at the same moment, None if
    that is not known; `duration`: seconds of all calls, one after the other."""

    calls: int
    with_media: int
    at_a_time: int | None
    duration: float
    received: int
    expected: int
    recovered: int
    sent: int

    @property
    def lost(self) -> int:
        """Packets that never arrived."""
        return self.expected - self.received

    @property
    def lost_after_fec(self) -> int:
        """Those of them that FEC did not rebuild in time."""
        return self.lost - self.recovered


def total_of(calls: Sequence[CallRecord]) -> Total:
    """The sums of these."""
    heard = [call.rx for call in calls if call.rx is not None]
    return Total(
        calls=len(calls),
        with_media=sum(call.media is not None for call in calls),
        at_a_time=most_at_a_time([(call.since, call.duration) for call in calls if call.since is not None]),
        duration=sum(call.duration for call in calls),
        received=sum(rx.received for rx in heard),
        expected=sum(rx.expected for rx in heard),
        recovered=sum(rx.recovered for rx in heard),
        sent=sum(call.tx.packets for call in calls if call.tx is not None),
    )


def total_text(calls: Sequence[CallRecord]) -> str | None:
    """The line about all calls; None if there were not several with media."""
    return total_line(total_of(calls))


def total_line(total: Total) -> str | None:
    """The same of sums."""
    if total.with_media < 2:
        return None
    parts = [f"{counted(total.with_media, 'call')}, {length(total.duration)} together"]
    if total.at_a_time is not None and total.at_a_time > 1:
        parts.append(f"up to {total.at_a_time} at a time")
    if total.expected:
        parts.append(f"received {total.received}   lost {total.lost} ({percent(total.lost, total.expected):.2f} %)")
        if total.recovered:
            parts.append(f"recovered by FEC {total.recovered}")
    if total.sent:
        parts.append(f"sent {total.sent}")
    return "in total: " + "   ".join(parts)


def most_at_a_time(spans: Sequence[tuple[float, float]]) -> int | None:
    """The most that overlap of what begins at a moment and lasts for so long, None without any; what begins as another
    one ends is after it."""
    moments: list[tuple[float, int]] = []
    for since, duration in spans:
        moments += [(since, 1), (since + duration, -1)]
    most = running = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most if moments else None
