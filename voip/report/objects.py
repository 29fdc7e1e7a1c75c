"""The JSON report. Unknown figures are null, never 0."""

from __future__ import annotations

from typing import Any

from voip.media import NegotiatedMedia
from voip.report.record import CallRecord
from voip.report.shares import concealed_percent, percent, remote_share
from voip.stats import ReceiverStats, SenderStats, SessionStats

SCHEMA = 1
"""Version of the JSON layout; it changes only when a field changes its meaning or goes."""


def final_report(
    program: str, version: str, status: int, error: str | None, calls: tuple[CallRecord, ...]
) -> dict[str, Any]:
    """The object of `--report FILE` and of the `report` event."""
    return {
        "schema": SCHEMA,
        "program": program,
        "version": version,
        "exit": status,
        "error": error,
        "calls": [call_object(call) for call in calls],
    }


def call_object(call: CallRecord) -> dict[str, Any]:
    """One call as JSON: every field of the layout, `None` for what is not known."""
    media, rx, tx = call.media, call.rx, call.tx
    return {
        "call_id": call.call_id,
        "peer": call.peer,
        "codec": media.audio.codec.label if media else None,
        "clock_rate": media.audio.codec.clock_rate if media else None,
        "channels": media.audio.codec.channels if media else None,
        "ptime_ms": _ms(media.audio.ptime) if media else None,
        "encrypted": False if media else None,
        "start": call.start,
        "duration_s": round(call.duration, 3),
        "end_reason": call.end_reason,
        "setup_ms": _ms(call.setup),
        "first_audio_ms": _ms(call.first_audio),
        "rx": _rx_object(rx, call.network) if rx else None,
        "heard": _heard_object(rx) if rx else None,
        "loss_runs": dict(rx.loss_runs) if rx else None,
        "timing": _timing_object(rx, call.network),
        "fec": _fec_object(media, rx, tx),
        "tx": _tx_object(tx) if tx else None,
        "remote": _remote_object(call.network),
        "rtcp": _rtcp_object(call.network) if call.network else None,
        "quality": {"r": None, "mos_lq": None, "mos_cq": None, "method": None},
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def _rx_object(rx: ReceiverStats, network: SessionStats | None) -> dict[str, Any]:
    return {
        "received": rx.received,
        "expected": rx.expected,
        "lost": rx.lost,
        "recovered": rx.recovered,
        "lost_after_fec": rx.lost_after_fec,
        "late": rx.playout.late,
        "duplicate": rx.duplicate,
        "reordered": rx.reordered,
        "malformed": network.malformed if network else None,
        "foreign": network.foreign if network else None,
        "bytes": network.bytes if network else None,
        "ip_bytes": network.ip_bytes if network else None,
    }


def _heard_object(rx: ReceiverStats) -> dict[str, Any]:
    heard = rx.playout
    return {
        "frames_played": heard.played,
        "concealed": heard.concealed,
        "skipped": heard.skipped,
        "concealed_pct": round(concealed_percent(rx), 3),
        "longest_gap_ms": _ms(heard.longest_gap),
        "underruns": heard.underruns,
        "resyncs": heard.resyncs,
    }


def _timing_object(rx: ReceiverStats | None, network: SessionStats | None) -> dict[str, Any]:
    known = rx or ReceiverStats()
    heard = known.playout
    delay = {"min": heard.delay_min, "mean": heard.delay_mean, "max": heard.delay_max, "target": heard.target}
    return {
        "jitter_ms": _ms(known.jitter),
        "jitter_max_ms": _ms(known.jitter_max),
        "jitter_mean_ms": None if known.jitter_mean is None else round(known.jitter_mean * 1e3, 3),
        "rtt_ms": _ms(network.rtt) if network else None,
        "rtt_min_ms": _ms(network.rtt_min) if network else None,
        "buffer_ms": {name: _ms(value) for name, value in delay.items()} if rx else None,
        "clock_ppm": None if known.clock_ppm is None else round(known.clock_ppm, 1),
    }


def _remote_object(network: SessionStats | None) -> dict[str, Any]:
    """What the other side said of our media; the fraction is of the whole call."""
    if network is None or network.path is None:
        return {"fraction_lost": None, "cumulative_lost": None, "jitter_ms": None}
    lost = network.path.cumulative_lost
    return {
        "fraction_lost": round(remote_share(network), 5),
        "cumulative_lost": lost,
        "jitter_ms": _ms(network.path.jitter),
    }


def _rtcp_object(network: SessionStats) -> dict[str, Any]:
    return {
        "sent": network.rtcp_sent,
        "sent_ip_bytes": network.rtcp_sent_ip_bytes,
        "received": network.rtcp,
        "received_ip_bytes": network.rtcp_ip_bytes,
    }


def _fec_object(media: NegotiatedMedia | None, rx: ReceiverStats | None, tx: SenderStats | None) -> dict[str, Any]:
    # Of what came, where something does: what was sent is in `tx`.
    packets, of = (tx.fec_packets + tx.fec_copies, tx.packets) if tx else (0, 0)
    if rx:
        packets, of = rx.fec_packets + rx.fec_copies, rx.received
    return {
        "scheme": media.fec if media else None,
        "packets": packets,
        "overhead_pct": round(percent(packets, of), 2),
        "recovered": rx.recovered if rx else None,
        "rejected": rx.fec_rejected if rx else None,
    }


def _tx_object(tx: SenderStats) -> dict[str, Any]:
    return {"packets": tx.packets, "fec_packets": tx.fec_packets, "bytes": tx.bytes, "ip_bytes": tx.ip_bytes}
