"""What one run over the wire came to, as plain figures, and the medians of several."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.quality import Quality
from tests.bench.rows import Row
from tests.bench.running import ROOT, LogLine
from tests.support.network import DELAY
from voip.quality import EQUIPMENT, Loss, rate
from voip.srtp import Profile

Figures = dict[str, Any]

RESULTS = ROOT / "docs" / "benchmarks.json"
"""Where results are kept, so that tables and pictures can be made again."""
MEASURED = "measured"
"""Of the figures of a row: the day on which they were stored, in UTC."""
BIN = 5.0
"""Seconds over which the bit rate is averaged where it is shown over time."""


def rtp_begin(log: Sequence[LogLine], clock_rate: int, ptime: float, direction: str = "near>far") -> float | None:
    """The monotonic moment at which the first sample was spoken, as the media packets that enter the wire tell.

    A packet cannot be sent before its last sample was spoken. The earliest packet of the first two seconds counts, so
    that a slow start does not pass for speed later.
    """
    first = next((line for line in log if line.direction == direction and line.kind.startswith("rtp ")), None)
    if first is None:
        return None
    begins = []
    for line in log:
        if line.direction == first.direction and line.kind == first.kind and line.at < first.at + 2.0:
            ahead = (line.timestamp - first.timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
            begins.append(line.at - ahead / clock_rate - ptime)
    return min(begins)


def media_kind(log: Sequence[LogLine]) -> str | None:
    """The payload type that the sender began with: its media, not its repair packets."""
    return next((line.kind for line in log if line.direction == "near>far" and line.kind.startswith("rtp ")), None)


def kbps(log: Iterable[LogLine], direction: str, span: tuple[float, float]) -> float:
    """Kilobits per second of RTP and RTCP in this direction between two moments, IP and UDP headers included."""
    begin, end = span
    size = sum(line.size for line in log if line.direction == direction and begin <= line.at < end)
    return 8e-3 * size / (end - begin)


def tags_kbps(profile: Profile | None, packets: int, seconds: float) -> float:
    """Kilobits per second of the authentication tags of SRTP; None: not encrypted."""
    return 0.0 if profile is None else 8e-3 * profile.tag_length * packets / seconds


def wire_figures(summary: Mapping[str, Any], log: Sequence[LogLine], seconds: float) -> Figures:
    """Bit rates and true losses, from the wire's log; all of them of the first `seconds` of media."""
    kind = media_kind(log)
    if kind is None:
        return {}
    begin = next(line.at for line in log if line.kind == kind)
    span = (begin, begin + seconds)
    media = [line for line in log if line.kind == kind and line.direction == "near>far"]
    forth = [line for line in log if line.direction == "near>far"]
    kinds = sorted({line.kind for line in forth})
    trip = [summary[name]["delay_ms"] for name in ("near>far", "far>near")]
    return {
        "kbps": kbps(forth, "near>far", span),
        "kbps_back": kbps(log, "far>near", span),
        "kbps_of": {each: kbps((line for line in forth if line.kind == each), "near>far", span) for each in kinds},
        "kbps_over_time": [
            kbps(forth, "near>far", (begin + at * BIN, begin + (at + 1) * BIN)) for at in range(int(seconds / BIN))
        ],
        "media_packets": len(media),
        "true_loss_pct": 100.0 * sum(not line.delays for line in media) / len(media),
        "true_rtt_ms": None if None in trip else sum(trip),
        "wire_late_ms": summary["lateness_ms"].get("p99"),
    }


def reaction(log: Sequence[LogLine], row: Row) -> Figures:
    """Seconds from the first step of a row until more is sent, and from the second until that is given back.

    Bit rates are of whole seconds. Up: the first with nine tenths of what the end of that step has. Down: the
    first of ten in a row with no more than a tenth above the end of the step before both. An end is a third of a step.
    Not of rows with a bottleneck, where less is to be sent in between.
    """
    kind = media_kind(log)
    if kind is None or len(row.steps) != 3 or row.full_line:
        return {}
    begin = next(line.at for line in log if line.kind == kind)
    forth = [line for line in log if line.direction == "near>far"]
    rates = [kbps(forth, "near>far", (begin + at, begin + at + 1)) for at in range(int(row.seconds))]
    first, second = (int(step.at) for step in row.steps[1:])
    calm, busy = (statistics.mean(rates[end - (second - first) // 3 : end]) for end in (first, second))
    up = next((at - first for at in range(first, second) if rates[at] >= 0.9 * busy), None)
    ends = range(second, len(rates) - 9)
    down = next((at - second for at in ends if max(rates[at : at + 10]) <= 1.1 * calm), None)
    return {"calm_kbps": calm, "busy_kbps": busy, "up_s": up, "down_s": down}


def quality_figures(quality: Quality, offset: float | None) -> Figures:
    """Those of the recording; `offset`: seconds to add to the delay from file to file for that from mouth to ear."""
    figures = asdict(quality)
    for name in ("delay", "delay_min", "delay_max"):
        known = figures[name] is not None and offset is not None
        figures[name] = figures[name] + 1e3 * (offset or 0.0) if known else None
    return {**figures, **conversation(quality.missing, figures["delay"])}


def conversation(missing: float, delay: float | None) -> Figures:
    """R, on the scale to 100, and MOS-CQ by the E-model as the program has it for Opus (docs/quality.md).

    From percent of the speech missing and the milliseconds from mouth to ear beyond the wire; None: without a delay.
    """
    if delay is None:
        return {"r": None, "mos_cq": None}
    found = rate(EQUIPMENT["opus"], Loss(missing), DELAY + delay / 1e3)
    return {"r": found.r_of_100, "mos_cq": found.mos_cq}


def median(runs: Sequence[Figures]) -> Figures:
    """The median of each figure over several runs of a row; lists and dictionaries item by item, the rest dropped."""
    merged: Figures = {}
    for name in runs[0]:
        value = _middle([run[name] for run in runs if run.get(name) is not None])
        if value is not None:
            merged[name] = value
    return merged


def _middle(values: Sequence[Any]) -> object:
    if not values:
        return None
    if all(isinstance(value, int | float) for value in values):
        return round(statistics.median(values), 3)
    if all(isinstance(value, dict) for value in values):
        return median(values)
    if all(isinstance(value, list) for value in values):
        return [_middle(items) for items in zip(*values, strict=False)]
    return None


def machine() -> dict[str, Any]:
    """The class of this machine, for the reader of results."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    return {
        "cpu": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def stored() -> dict[str, Any]:
    """All results so far."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def dated(figures: Figures) -> Figures:
    """The figures of a row with the day of today."""
    return {**figures, MEASURED: time.strftime("%Y-%m-%d", time.gmtime())}


def store(path: Sequence[str], value: object) -> None:
    """Put a result at `path` (section, program, row) of the file. Two benchmarks may do so at once."""
    import fcntl

    RESULTS.parent.mkdir(exist_ok=True)
    folder = os.open(RESULTS.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        results = stored()
        place = results
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
        results["machine"] = machine()
        temporary = Path(f"{RESULTS}.new")
        temporary.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        temporary.replace(RESULTS)
    finally:
        os.close(folder)
