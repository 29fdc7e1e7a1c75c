"""What the page shows of each call: its figures of this moment, and a sample each second for its charts.

All of it comes from the records that the report is made of, so that page and report say the same. Times are seconds,
shares percent, rates kbit/s, levels dBFS; None is unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voip.media import Direction
from voip.report import CallRecord
from voip.report.objects import call_object, interval_object
from voip.report.rating import verdict
from voip.stats import Levels, SenderStats

HISTORY = 300
"""Samples, one a second, that a chart shows: five minutes."""
RECENTLY_ENDED = 3
"""Calls that have ended and are still shown."""

Sample = Mapping[str, float | None]


def call_state(call: CallRecord) -> dict[str, Any]:
    """One call as the page shows it: the JSON of the report, and its verdict in words."""
    held = call.media is not None and call.media.direction is Direction.INACTIVE
    rings = call.media is None and call.end_reason is None
    return {**call_object(call), "verdict": verdict(call), "rings": rings, "held": held}


def meters(call: CallRecord, before: CallRecord | None) -> dict[str, float | None]:
    """How loud a call was since `before` (None: its start), heard and sent, in dBFS; None for silence."""
    found = {}
    for way, now, old in (
        ("rx", call.rx, before.rx if before else None),
        ("tx", call.tx, before.tx if before else None),
    ):
        new, known = now.levels if now else Levels(), old.levels if old else Levels()
        samples, energy = new.samples - known.samples, new.energy - known.energy
        level = replace(Levels(), samples=max(0, samples), energy=max(0.0, energy)).rms_dbfs
        found[way] = None if level is None else round(level, 1)
    return found


def shown(calls: Sequence[CallRecord]) -> list[CallRecord]:
    """The calls that a page shows: those that are up, and the last that have ended."""
    ended = [call for call in calls if call.end_reason is not None]
    return [*ended[-RECENTLY_ENDED:], *(call for call in calls if call.end_reason is None)]


class History:
    """The samples of the last five minutes of each call. One owner; `look` about once a second."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[tuple[float, Sample]]] = {}
        self._before: dict[str, CallRecord] = {}

    def look(self, calls: Iterable[CallRecord], now: float) -> None:
        """Take a sample of each call that runs, and a last one of what ended since: all of them make up its report."""
        calls = list(calls)
        kept = {call.call_id for call in shown(calls)}
        for forgotten in [each for each in self._samples if each not in kept]:
            self._samples.pop(forgotten)
            self._before.pop(forgotten, None)
        for call in calls:
            before = self._before.get(call.call_id)
            if call.media is None or not _is_news(call, before):
                continue
            samples = self._samples.setdefault(call.call_id, deque(maxlen=HISTORY))
            samples.append((now, sample(call, before)))
            self._before[call.call_id] = call

    def since(self, moment: float) -> dict[str, list[tuple[float, Sample]]]:
        """The samples of each call after that moment."""
        found = {call_id: [each for each in samples if each[0] > moment] for call_id, samples in self._samples.items()}
        return {call_id: samples for call_id, samples in found.items() if samples}


def _is_news(call: CallRecord, before: CallRecord | None) -> bool:
    """Whether anything happened since the sample before."""
    if call.end_reason is not None:
        return before is not None and before.end_reason is None
    return before is None or before.duration < call.duration


def sample(call: CallRecord, before: CallRecord | None) -> Sample:
    """What happened in a call since `before`, the record of a second ago (None: since its start)."""
    figures, interval = call_object(call), interval_object(call, before)
    rx, there, timing = figures["rx"], figures["remote"], figures["timing"]
    seconds = call.duration - (before.duration if before else 0.0)
    media, repair = _rates(call.tx, before.tx if before else None, seconds)
    return {
        "loss": interval["lost_pct"] if rx else _lost_there(call, before),
        "left": interval["lost_after_fec_pct"],
        "lost": interval["lost"],
        "missing": _missing(call, before),
        "delay": timing["one_way_ms"]["total"],
        "jitter": timing["jitter_ms"] if rx else there["jitter_ms"],
        "rtt": timing["rtt_ms"],
        "rx": interval["rx_kbps"],
        "media": media,
        "repair": repair,
        "mos": interval["mos_lq"] if rx else there["mos_lq"],
    }


def _missing(call: CallRecord, before: CallRecord | None) -> float | None:
    """Packets that were lost, and not rebuilt, since `before`."""
    if call.rx is None:
        return None
    return call.rx.lost_after_fec - (before.rx.lost_after_fec if before is not None and before.rx is not None else 0)


def _rates(tx: SenderStats | None, before: SenderStats | None, seconds: float) -> tuple[float | None, float | None]:
    """What was sent of media and of repair, in kbit/s with all headers: by their shares of the payload."""
    if tx is None or seconds <= 0:
        return None, None
    old = before or SenderStats()
    total = 8e-3 * (tx.ip_bytes - old.ip_bytes) / seconds
    media, repair = tx.payload_bytes - old.payload_bytes, tx.fec_payload_bytes - old.fec_payload_bytes
    share = repair / (media + repair) if media + repair > 0 else 0.0
    return round(total * (1.0 - share), 1), round(total * share, 1)


def _lost_there(call: CallRecord, before: CallRecord | None) -> float | None:
    """What the peer reported lost of what we sent since `before`, in percent."""
    network, old = call.network, before.network if before else None
    if network is None or network.path is None:
        return None
    lost, packets = network.path.cumulative_lost, network.path_packets
    if old is not None and old.path is not None:
        lost, packets = lost - old.path.cumulative_lost, packets - old.path_packets
    return round(min(100.0, max(0.0, 100.0 * lost / packets)), 3) if packets > 0 else None
