"""The report of a call for people. It begins with a verdict; then come the rows that have something to say.

Unknown figures are left out, never 0. With `every` (-v) all rows are there.
"""

from __future__ import annotations

from voip.report.rating import (
    MOS_STEP,
    UNREPORTED_SAID,
    delay_of,
    lost_after_fec_percent,
    rating_of,
    share_text,
    unreported_seconds,
    verdict,
)
from voip.report.record import CallRecord
from voip.report.security import encryption_parts
from voip.report.shares import altered_percent, percent, remote_share
from voip.stats import Levels, ReceiverStats, SenderStats, SessionStats

WIDTH = 79
"""Columns of the longest line: a terminal of 80 does not wrap it."""
INDENT = 12
"""Columns before the figures of a row."""
CLOCK_SAID = 50.0
"""Millionths of difference between both clocks from which on it is told unasked: a cheap crystal is within them."""
LOUD, QUIET = -1.0, -45.0
"""dBFS: a peak above the first, or an RMS below the second, is told unasked."""
SILENCE_SAID = 0.5
"""Share of digital silence from which on levels are told unasked."""

END_TEXT = {
    "local-bye": "ended by this side",
    "remote-bye": "ended by the other side",
    "timeout": "ended by the other side",
    "congestion": "ended: the path does not carry even the least bit rate",
    "media-timeout": "ended: no more media from the other side",
    "no-answer": "not answered",
    "rejected": "refused",
    "cancelled": "cancelled",
    "internal-error": "ended: handling it failed (a bug)",
}
CEILINGS = {"peer": "as the other side wants (b=)", "bitrate-max": "by --bitrate-max"}
"""What holds a stream to a limit that has nothing to do with the line, by `Congestion.limited_by`."""


def length(seconds: float) -> str:
    """`4.9 s`, `12m07s` or `2h05m`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole // 60 % 60:02}m"


def counted(count: int, what: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def text_report(call: CallRecord, *, every: bool = False) -> str:
    """The report of one call for people, each line at most `WIDTH` columns."""
    reason = END_TEXT.get(call.end_reason or "", call.end_reason or "not ended")
    lines = [f"call {reason} after {length(call.duration)}"]
    lines += [f"  {line}"[:WIDTH] for line in verdict(call)]
    lines += row("peer", [call.peer[: WIDTH - INDENT]])
    if call.media is not None and (every or call.media.security or call.media.security_note):
        lines += row("security", [part[: WIDTH - INDENT] for part in encryption_parts(call.media)])
    if call.rx is not None:
        lines += _heard_rows(call, call.rx, every)
    if call.tx is not None:
        lines += _sent_rows(call, call.tx, every)
    lines += _network_rows(call, every)
    return "\n".join(lines)


def row(name: str, parts: list[str]) -> list[str]:
    """The parts under one name, in as many lines as they need; none without a part."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= WIDTH:
            lines[-1] += f"   {part}"
        else:
            lines.append(f"  {'' if lines else name:10}{part}")
    return lines


# --- what comes -------------------------------------------------------------------------------------------------------


def _heard_rows(call: CallRecord, rx: ReceiverStats, every: bool) -> list[str]:
    if not rx.received and not every:
        return []
    lines = row("heard", _heard(rx, every)) + row("quality", _quality(call, every))
    lines += row("packets", _packets(rx, every))
    runs = rx.loss_runs
    if rx.lost or every:
        lines += row("lost in", [f"{_runs(runs['1'])} of 1", f"{runs['2']} of 2", f"{runs['3+']} of 3 or more"])
    lines += row("level", _levels(rx.levels, every))
    lines += row("delay", _delay(call, every))
    if rx.clock_ppm is not None and (every or abs(rx.clock_ppm) >= CLOCK_SAID):
        lines += row("clock", [f"the other side's runs {_faster(rx.clock_ppm)} than ours"])
    return lines


def _runs(count: int) -> str:
    return counted(count, "run")


def _faster(ppm: float) -> str:
    return f"{abs(ppm):.0f} ppm {'slower' if ppm < 0 else 'faster'}"


def _heard(rx: ReceiverStats, every: bool) -> list[str]:
    heard = rx.playout
    if not heard.played:
        return ["nothing"]
    parts = [f"{_whole_only(100.0 - altered_percent(rx))} as sent"]
    if heard.concealed or every:
        parts += [f"concealed {counted(heard.concealed, 'packet')}", f"longest gap {heard.longest_gap * 1e3:.0f} ms"]
    if heard.silent_seconds or every:
        parts.append(f"nothing came for {length(heard.silent_seconds)}")
    if heard.unheard_seconds or every:
        parts.append(f"not played for {length(heard.unheard_seconds)}")
    told = {
        f"skipped {counted(heard.skipped, 'packet')}": heard.skipped,
        counted(heard.underruns, "underrun"): heard.underruns,
        counted(heard.resyncs, "resync"): heard.resyncs,
    }
    return parts + [text for text, count in told.items() if count or every]


def _whole_only(share: float) -> str:
    """A share in percent that is 100 only if nothing is missing."""
    return "100 %" if share >= 100.0 else f"{min(share, 99.99):.2f} %"


def _quality(call: CallRecord, every: bool) -> list[str]:
    rating = rating_of(call)
    if rating is None:
        return []
    parts = []
    if every or rating.mos_lq - rating.mos_cq >= MOS_STEP:
        parts.append(f"in conversation, with the delay, MOS {rating.mos_cq:.1f}")
    if every:
        parts += [f"R {rating.r_cq:.0f}", f"by {rating.method}"]
    return parts


def _packets(rx: ReceiverStats, every: bool) -> list[str]:
    parts = [f"received {rx.received}", f"lost {rx.lost} ({percent(rx.lost, rx.expected):.2f} %)"]
    if rx.recovered or every:
        parts.append(f"recovered by FEC {rx.recovered}")
    if rx.recovered and (rx.lost_after_fec or every):
        parts.append(f"lost after FEC {rx.lost_after_fec} ({lost_after_fec_percent(rx):.2f} %)")
    told = {"late": rx.playout.late, "duplicate": rx.duplicate, "reordered": rx.reordered}
    return parts + [f"{name} {count}" for name, count in told.items() if count or every]


def _delay(call: CallRecord, every: bool) -> list[str]:
    delay = delay_of(call)
    if delay is None:
        return []
    known = (("packet", delay.packet), ("network", delay.network), ("buffer", delay.buffer), ("device", delay.device))
    whole = {name: round(seconds * 1e3) for name, seconds in known if seconds is not None}
    made = " + ".join(f"{name} {milliseconds}" for name, milliseconds in whole.items())
    parts = [f"mouth to ear about {sum(whole.values())} ms", f"({made})"]
    most = call.rx.playout.delay_max if call.rx is not None else None
    if every and most is not None:
        parts.append(f"buffer at most {most * 1e3:.0f} ms")
    return parts


# --- what goes --------------------------------------------------------------------------------------------------------


def _sent_rows(call: CallRecord, tx: SenderStats, every: bool) -> list[str]:
    rate = 8 * tx.ip_bytes / tx.seconds / 1e3 if tx.seconds else 0.0
    parts = [counted(tx.packets, "packet")]
    if tx.fec_packets or every:
        parts[0] += f" + {tx.fec_packets} FEC ({percent(tx.fec_packets, tx.packets):.0f} %)"
    if tx.fec_copies:
        parts.append(f"repeated {tx.fec_copies} ({percent(tx.fec_copies, tx.packets):.0f} %)")
    parts.append(f"{rate:.0f} kbit/s with all headers")
    full = tx.congestion
    if full.times_full:
        parts.append(
            f"line full {counted(full.times_full, 'time')}, queue up to {1e3 * (full.queue_max or 0.0):.0f} ms"
        )
    ceiling = CEILINGS.get(full.limited_by or "")
    if ceiling is not None and full.limit is not None:
        parts.append(f"at most {full.limit / 1e3:.4g} kbit/s, {ceiling}")
    if tx.unplayed:
        parts.append(f"not played there {tx.unplayed}")
    lines = row("sent", parts)
    if call.network is not None and call.network.path is not None:
        path, share = call.network.path, 100 * remote_share(call.network)
        parts = [f"the other side lost {path.cumulative_lost} ({share:.2f} %)", f"jitter {path.jitter * 1e3:.1f} ms"]
        if path.mos_cq is not None and (every or (path.mos_lq or 0.0) - path.mos_cq >= MOS_STEP):
            parts.append(f"in conversation, with the delay, MOS {path.mos_cq:.1f}")
        if unreported_seconds(tx, call.network) >= UNREPORTED_SAID:
            parts.insert(0, f"reported on {call.network.path_packets} of {counted(tx.packets, 'packet')}")
        lines += row("arrived", parts)
    return lines + row("input", _levels(tx.levels, every))


def _levels(levels: Levels, every: bool) -> list[str]:
    """Peak and so on, where they are out of what speech has; `every`: always."""
    peak, rms, silence = levels.peak_dbfs, levels.rms_dbfs, levels.silence
    if silence is None:
        return []
    strange = levels.clipped or silence >= SILENCE_SAID or (peak or 0.0) > LOUD or (rms or 0.0) < QUIET
    if not (every or strange):
        return []
    if peak is None or rms is None:
        return ["nothing but digital silence"]
    parts = [f"peak {peak:.1f} dBFS", f"RMS {rms:.1f} dBFS"]
    if silence > 0 or every:
        parts.append(f"digital silence {share_text(100 * silence) if silence else '0 %'}")
    if levels.clipped or every:
        parts.append(f"clipped {counted(levels.clipped, 'sample')}")
    return parts


# --- the network ------------------------------------------------------------------------------------------------------


def _network_rows(call: CallRecord, every: bool) -> list[str]:
    rx, network, parts = call.rx, call.network, list[str]()
    if rx is not None and rx.jitter is not None and rx.jitter_max is not None:
        parts.append(f"jitter {rx.jitter * 1e3:.1f} ms (max {rx.jitter_max * 1e3:.1f})")
    if network is not None and network.rtt is not None:
        parts.append(f"round trip {network.rtt * 1e3:.1f} ms")
    if network is not None and network.icmp_errors:
        parts.append(f"ICMP port unreachable: {network.icmp_errors}")
    if network is not None and network.unplayed:
        parts.append(f"received but not played here {network.unplayed}")
    lines = row("network", parts)
    if network is None or not (rx or every):  # a peer's empty packets, sent for the sake of NATs, are no news
        return lines
    return lines + row("dropped", _dropped(network, rx, every))


def _dropped(network: SessionStats, rx: ReceiverStats | None, every: bool) -> list[str]:
    strange = {
        "malformed": network.malformed,
        "foreign": network.foreign,
        "unknown type": network.unknown_payload_type,
        "stray": network.stray,
        "excess": network.excess,
        "not authentic": network.unauthenticated,
        "replayed": network.replayed,
        "overruns": network.overruns,
        "not taken by the system": network.unsent,
        "withheld": network.withheld,
        "FEC rejected": rx.fec_rejected if rx is not None else 0,
    }
    return [f"{name} {count}" for name, count in strange.items() if count or every]
