"""What became of each target of a sender that has several, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voip.report.record import CallRecord
from voip.report.shares import percent
from voip.stats import SenderStats


@dataclass(frozen=True)
class TargetRecord:
    """What a target came to: an exit status, and a line for people where that is not 0."""

    target: str
    status: int = 0
    error: str = ""


@dataclass(frozen=True)
class _Sum:
    """What was sent in some calls, and what their peers reported as lost; None where none of them has."""

    calls: int
    seconds: float
    packets: int
    fec_packets: int
    ip_bytes: int
    reported_lost: int | None


def targets_object(targets: Sequence[TargetRecord], calls: Sequence[CallRecord]) -> list[dict[str, Any]]:
    """The JSON of it: each target with its own sums."""
    return [
        {"target": target.target, "exit": target.status, "error": target.error or None}
        | _object(_sum(_calls_of(target, calls)))
        for target in targets
    ]


def sums_of_all(targets: Sequence[TargetRecord], calls: Sequence[CallRecord]) -> dict[str, Any]:
    """The same of all together: how many targets there were, and had no sound (None in a receiver), and the sums."""
    return {
        "targets": len(targets) or None,
        "failed": sum(target.status != 0 for target in targets) if targets else None,
        **_object(_sum(calls)),
    }


def targets_text(targets: Sequence[TargetRecord], calls: Sequence[CallRecord]) -> str:
    """A line for each target, and one for all, for people."""
    failed = sum(target.status != 0 for target in targets)
    lines = [f"{len(targets)} targets   {len(targets) - failed} had the sound   {failed} failed"]
    for target in targets:
        parts = [target.target, *_parts(_sum(_calls_of(target, calls)))]
        lines.append("  " + "   ".join(parts))
        if target.status:
            lines.append(f"    failed ({target.status}): {target.error}")
    return "\n".join([*lines, "   ".join(["  in total", *_parts(_sum(calls))])])


def _calls_of(target: TargetRecord, calls: Sequence[CallRecord]) -> list[CallRecord]:
    return [call for call in calls if call.peer == target.target]


def _sum(calls: Sequence[CallRecord]) -> _Sum:
    sent = [call.tx or SenderStats() for call in calls]
    paths = [call.network.path for call in calls if call.network is not None and call.network.path is not None]
    return _Sum(
        calls=sum(call.media is not None for call in calls),
        seconds=sum(call.duration for call in calls),
        packets=sum(tx.packets for tx in sent),
        fec_packets=sum(tx.fec_packets for tx in sent),
        ip_bytes=sum(tx.ip_bytes for tx in sent),
        reported_lost=sum(path.cumulative_lost for path in paths) if paths else None,
    )


def _object(found: _Sum) -> dict[str, Any]:
    return {
        "calls": found.calls,
        "duration_s": round(found.seconds, 3),
        "packets": found.packets,
        "fec_packets": found.fec_packets,
        "ip_bytes": found.ip_bytes,
        "cumulative_lost": found.reported_lost,
    }


def _parts(found: _Sum) -> list[str]:
    if not found.calls:
        return ["no call"]
    parts = [f"{found.seconds:.1f} s", f"{found.packets} packets + {found.fec_packets} FEC"]
    if found.calls > 1:
        parts.insert(0, f"{found.calls} calls")
    if found.reported_lost is not None:
        share = percent(found.reported_lost, found.packets)
        parts.append(f"the other side lost {found.reported_lost} ({share:.2f} %)")
    return parts
