"""Calls as they run: what changed since the last look, so that dead air is seen while it lasts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from voip.quality import Rating
from voip.report.rating import all_silent, loss_of_interval, rating_of_interval
from voip.report.record import CallRecord
from voip.report.shares import percent
from voip.stats import Levels

RECENT = 10
"""Looks, one a second, over which the running figures are taken: old losses are no news."""
SILENT_AFTER = 1.0
"""Seconds without a packet, or of digital silence, after which a direction counts as dead air."""


@dataclass(frozen=True)
class Recent:
    """A call with its figures of the last `RECENT` looks; None: unknown.

    quiet, mute: seconds for which nothing has come, and for which the input has given digital silence; 0 below
    `SILENT_AFTER`. loss, loss_after_fec: percent of the packets. missing: percent of the sound that was not heard,
    for whatever reason. rx_level, tx_level: dBFS of the newest sound.
    """

    call: CallRecord
    quiet: float = 0.0
    mute: float = 0.0
    loss: float | None = None
    loss_after_fec: float | None = None
    missing: float | None = None
    rating: Rating | None = None
    rx_level: float | None = None
    tx_level: float | None = None
    tx_kbps: float | None = None

    @property
    def dead(self) -> bool:
        """Whether there is no sound where there should be."""
        return bool(self.quiet or self.mute)


def is_running(call: CallRecord) -> bool:
    """Whether its media flows."""
    return call.media is not None and call.end_reason is None


class LiveCalls:
    """Remembers the last looks at each running call."""

    def __init__(self) -> None:
        self._looks: dict[str, _Looks] = {}

    def look(self, calls: Iterable[CallRecord], now: float) -> list[Recent]:
        """The running calls, with what is recent of them; to be called about once a second."""
        running = [call for call in calls if is_running(call)]
        self._looks = {call.call_id: self._looks.get(call.call_id) or _Looks(now) for call in running}
        return [self._looks[call.call_id].take(call, now) for call in running]


class _Looks:
    """The last looks at one call."""

    def __init__(self, now: float) -> None:
        self._records: deque[CallRecord] = deque(maxlen=RECENT + 1)
        self._heard_at = self._spoken_at = now

    def take(self, call: CallRecord, now: float) -> Recent:
        last = self._records[-1] if self._records else None
        self._records.append(call)
        if last is None or _came(call) > _came(last) or not _expects(call):
            self._heard_at = now
        rx_new, tx_new = (_between(_levels(call, way), _levels(last, way)) for way in ("rx", "tx"))
        if tx_new is None or not all_silent(tx_new):
            self._spoken_at = now
        first = self._records[0]
        before = first if first is not call else None
        expected = _figure(call, "expected") - _figure(before, "expected")
        known = call.rx is not None and expected > 0
        seconds = call.duration - (before.duration if before else 0.0)
        sent = call.tx.ip_bytes - (before.tx.ip_bytes if before and before.tx else 0) if call.tx else 0
        missing = loss_of_interval(call, before)
        return Recent(
            call,
            quiet=_from(SILENT_AFTER, now - self._heard_at),
            mute=_from(SILENT_AFTER, now - self._spoken_at),
            loss=_loss(call, before, "lost", expected) if known else None,
            loss_after_fec=_loss(call, before, "lost_after_fec", expected) if known else None,
            missing=None if missing is None else missing.percent,
            rating=rating_of_interval(call, before),
            rx_level=rx_new.rms_dbfs if rx_new else None,
            tx_level=tx_new.rms_dbfs if tx_new else None,
            tx_kbps=8e-3 * sent / seconds if call.tx and seconds > 0 else None,
        )


def _from(least: float, seconds: float) -> float:
    return seconds if seconds >= least else 0.0


def _expects(call: CallRecord) -> bool:
    """Whether something is to come."""
    return call.rx is not None and call.media is not None and call.media.direction.receives


def _came(call: CallRecord) -> int:
    return _figure(call, "received") + _figure(call, "duplicate")


def _loss(call: CallRecord, before: CallRecord | None, name: str, expected: int) -> float:
    """Percent lost between two looks; what arrives or is rebuilt late makes an earlier loss smaller."""
    return max(0.0, percent(_figure(call, name) - _figure(before, name), expected))


def _figure(call: CallRecord | None, name: str) -> int:
    return int(getattr(call.rx, name)) if call is not None and call.rx is not None else 0


def _levels(call: CallRecord | None, way: str) -> Levels:
    stats = getattr(call, way) if call is not None else None
    found: Levels = stats.levels if stats is not None else Levels()
    return found


def _between(levels: Levels, before: Levels) -> Levels | None:
    """The levels of what came between two looks; None for nothing."""
    samples = levels.samples - before.samples
    if samples <= 0:
        return None
    return Levels(
        samples,
        max(0.0, levels.energy - before.energy),
        levels.recent_peak,
        levels.recent_peak,
        levels.silent - before.silent,
        levels.clipped - before.clipped,
    )
