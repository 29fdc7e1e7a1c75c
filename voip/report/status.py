"""The line that is redrawn while a call runs."""

from __future__ import annotations

from voip.report.record import CallRecord
from voip.report.shares import percent
from voip.stats import SenderStats


def clock_time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def status_line(call: CallRecord) -> str:
    """One line of at most 79 columns while a call runs."""
    if call.rx is not None:
        rx = call.rx
        depth = f"  buffer {rx.playout.delay * 1e3:.0f} ms" if rx.playout.delay is not None else ""
        return (
            f"  {clock_time(call.duration)}  received {rx.received}  lost {rx.lost} "
            f"({percent(rx.lost, rx.expected):.1f} %)  recovered {rx.recovered}{depth}"
        )
    tx = call.tx or SenderStats()
    rate = 8 * tx.ip_bytes / call.duration / 1e3 if call.duration else 0.0
    return f"  {clock_time(call.duration)}  sent {tx.packets} + {tx.fec_packets} FEC packets  {rate:.0f} kbit/s"
