"""What the rows ask for, and whether figures reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bench.figures import conversation
from tests.bench.rows import Bounds, Row

_BY_TAGS = " by its encryption"


def missed_aims(row: Row, figures: Mapping[str, Any]) -> list[str]:
    """Which of the row's bounds the figures miss, as they are shown: PESQ and percent to two digits, others whole."""
    bounds, missed = row.bounds, []
    of_conversation = conversation(figures["missing"], figures.get("delay")) if "missing" in figures else {}
    for name, value, least, digits in (
        ("PESQ", figures.get("pesq"), bounds.pesq, 2),
        ("R", of_conversation.get("r"), bounds.r, 1),
        ("TCP", figures.get("tcp_kbps"), bounds.tcp, 0),
    ):
        if least is not None and round(value or 0.0, digits) < least:
            missed.append(f"{name} under {least:g}")
    for name, key, most, digits in (
        ("missing", "missing", bounds.missing, 2),
        ("delay", "delay", bounds.delay, 0),
        ("kbit/s", "kbps", bounds.kbps, 0),
        ("queue p95", "queue_p95_ms", bounds.queue, 0),
        ("drops", "drops_pct", bounds.drops, 2),
        ("seconds of a long queue", "again_s", bounds.again, 1),
    ):
        value = figures.get(key)
        if most is not None and (value is None or round(value, digits) > most):
            missed.append(f"{name} over {most:g}" + (_BY_TAGS if key == "kbps" and _by_tags(row, figures) else ""))
    return missed


def _by_tags(row: Row, figures: Mapping[str, Any]) -> bool:
    """Whether it would not send too much without encryption. What a full line passes holds for all that is sent."""
    most = row.bounds.kbps
    if most is None or row.full_line or figures.get("kbps_of_tags") is None:
        return False
    without: float = figures["kbps"] - figures["kbps_of_tags"]
    return round(without) <= most


def aim(row: Row, figures: Mapping[str, Any]) -> str:
    """A cell: reached, or what is missed; "" where the row asks for nothing."""
    if row.bounds == Bounds():
        return ""
    missed = missed_aims(row, figures)
    return f"missed: {', '.join(missed)}" if missed else "reached"
