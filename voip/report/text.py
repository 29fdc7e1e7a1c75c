"""The report of a call for people. Unknown figures are left out, never 0."""

from __future__ import annotations

from voip.report.record import CallRecord
from voip.report.shares import altered_percent, percent, remote_share
from voip.stats import ReceiverStats, SenderStats, SessionStats

DROPPED_IN_A_LINE = 3
"""Reasons why packets were dropped, with their numbers, that fit into a line."""

END_TEXT = {
    "local-bye": "ended by this side",
    "remote-bye": "ended by the other side",
    "timeout": "ended by the other side",
    "media-timeout": "ended: no more media from the other side",
    "no-answer": "not answered",
    "rejected": "refused",
    "cancelled": "cancelled",
    "internal-error": "ended: handling it failed (a bug)",
}


def length(seconds: float) -> str:
    """`4.9 s`, `12m07s` or `2h05m`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole // 60 % 60:02}m"


def text_report(call: CallRecord) -> str:
    """The report of one call for people, each line at most 79 columns."""
    reason = END_TEXT.get(call.end_reason or "", call.end_reason or "not ended")
    lines = [f"call {reason} after {length(call.duration)}", f"  peer      {call.peer[:67]}"]
    if call.tx is not None:
        lines += _tx_lines(call, call.tx)
    if call.rx is not None:
        lines += _rx_lines(call, call.rx)
    return "\n".join(lines)


def _tx_lines(call: CallRecord, tx: SenderStats) -> list[str]:
    rate = 8 * tx.ip_bytes / tx.seconds / 1e3 if tx.seconds else 0.0
    fec = f" + {tx.fec_packets} FEC ({percent(tx.fec_packets, tx.packets):.1f} %)" if tx.fec_packets else ""
    if tx.fec_copies:
        fec += f", repeated {tx.fec_copies} ({percent(tx.fec_copies, tx.packets):.1f} %)"
    lines = [f"  sent      packets {tx.packets}{fec}   {rate:.0f} kbit/s with all headers"]
    if call.network is not None and call.network.path is not None:
        path, share = call.network.path, 100 * remote_share(call.network)
        told = f"the other side lost {path.cumulative_lost} ({share:.2f} %)   jitter {path.jitter * 1e3:.1f} ms"
        lines.append(f"  arrived   {told}")
    if call.network is not None and call.network.rtt is not None and call.rx is None:
        lines.append(f"  network   round trip {call.network.rtt * 1e3:.1f} ms")
    if call.network is not None and call.network.icmp_errors:
        lines.append(f"  network   ICMP port unreachable: {call.network.icmp_errors}")
    return lines


def _rx_lines(call: CallRecord, rx: ReceiverStats) -> list[str]:
    share, heard = altered_percent(rx), rx.playout
    lines = [
        f"  packets   received {rx.received}   lost {rx.lost} ({percent(rx.lost, rx.expected):.2f} %)   "
        f"recovered by FEC {rx.recovered}",
        f"            lost after FEC {rx.lost_after_fec} ({percent(rx.lost_after_fec, rx.expected):.2f} %)   "
        f"late {heard.late}",
        f"            duplicate {rx.duplicate}   reordered {rx.reordered}",
        f"  heard     {100 - share:.2f} % as sent   concealed {_packets(heard.concealed)}   "
        f"longest gap {heard.longest_gap * 1e3:.0f} ms",
        f"            skipped {_packets(heard.skipped)}   underruns {heard.underruns}   resyncs {heard.resyncs}",
    ]
    if rx.jitter is not None and rx.jitter_max is not None:
        runs = rx.loss_runs
        lines += [
            f"  network   jitter {rx.jitter * 1e3:.1f} ms (max {rx.jitter_max * 1e3:.1f})",
            f"            loss bursts of 1: {runs['1']}   of 2: {runs['2']}   of 3 or more: {runs['3+']}",
        ]
    delays = []
    if heard.delay_mean is not None and heard.delay_max is not None:
        delays.append(f"buffer {heard.delay_mean * 1e3:.0f} ms on average (max {heard.delay_max * 1e3:.0f})")
    if call.network is not None and call.network.rtt is not None:
        delays.append(f"round trip {call.network.rtt * 1e3:.1f} ms")
    if delays:
        lines.append(f"  delay     {'   '.join(delays)}")
    return lines + (_dropped_lines(call.network, rx) if call.network is not None else [])


def _packets(count: int) -> str:
    return f"{count} packet{'' if count == 1 else 's'}"


def _dropped_lines(network: SessionStats, rx: ReceiverStats) -> list[str]:
    strange = {
        "malformed": network.malformed,
        "foreign": network.foreign,
        "unknown type": network.unknown_payload_type,
        "overruns": network.overruns,
        "FEC rejected": rx.fec_rejected,
    }
    found = [f"{name} {count}" for name, count in strange.items() if count]
    rows = ["   ".join(found[start : start + DROPPED_IN_A_LINE]) for start in range(0, len(found), DROPPED_IN_A_LINE)]
    return [f"  {'' if index else 'dropped':10}{row}" for index, row in enumerate(rows)]
