"""What the queue of a full line was like for one call, as plain figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tests.bench import bulk
from tests.bench.figures import BIN, Figures
from tests.bench.rows import Row
from tests.bench.running import LogLine
from tests.support.bottleneck import Arrival, QueueRecord


def record_of(log: Iterable[LogLine], direction: str = "near>far") -> QueueRecord:
    """What the RTP and RTCP packets of a log met at the bottleneck of this direction."""
    record = QueueRecord()
    record.arrivals += [
        Arrival(line.at, line.size, line.wait, line.full)
        for line in log
        if line.direction == direction and line.wait is not None
    ]
    return record


def queue_figures(row: Row, record: QueueRecord) -> Figures:
    """Waits in milliseconds and drops in percent once the line has settled, seconds until the queue is short.

    `short_after_s` counts from the start of the call, `again_s` from the row's first step; None: never.
    """
    settled = QueueRecord()
    settled.arrivals += [arrival for span in row.settled for arrival in record.between(*span)]
    longest = max((arrival.wait for arrival in record.arrivals), default=0.0)
    figures: Figures = {
        "queue_p50_ms": _milliseconds(settled.percentile(0.5)),
        "queue_p95_ms": _milliseconds(settled.percentile(0.95)),
        "queue_max_ms": 1e3 * longest,
        "drops_pct": 100.0 * settled.drop_share(),
        "drops": record.dropped,
        "short_after_s": record.below_after(),
        "queue_over_time_ms": over_time(row, record),
        "kbps_over_time": [record.kbps(at * BIN, (at + 1) * BIN) for at in range(int(row.seconds / BIN))],
    }
    if len(row.steps) > 1:
        ends = [*(step.at for step in row.steps[2:]), math.inf]
        figures["again_s"] = record.below_after(row.steps[1].at, ends[0])
    return figures


def tcp_figures(row: Row, samples: Sequence[bulk.Sample], log: Iterable[LogLine]) -> Figures:
    """What a TCP connection got through in the time of the call, which begins with its first media."""
    begin = next((line.at for line in log if line.kind.startswith("rtp ")), None)
    return {} if begin is None else {"tcp_kbps": bulk.kbps(samples, begin, begin + row.seconds)}


def over_time(row: Row, record: QueueRecord) -> list[float | None]:
    """The median wait of the packets of each bin in milliseconds; None: there were none."""
    spans = [(at * BIN, (at + 1) * BIN) for at in range(int(row.seconds / BIN))]
    return [_milliseconds(record.percentile(0.5, *span)) for span in spans]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
