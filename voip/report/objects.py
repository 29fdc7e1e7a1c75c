"""The JSON report. Unknown figures are null, never 0; docs/quality.md says of each field why it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from voip import quality
from voip.media import RED, NegotiatedMedia
from voip.quality import Rating
from voip.report.rating import (
    delay_of,
    lost_after_fec_percent,
    rating_of,
    rating_of_interval,
    rating_without_fec,
)
from voip.report.record import CallRecord
from voip.report.security import encryption_object
from voip.report.shares import altered_percent, concealed_percent, percent, remote_share
from voip.report.targets import TargetRecord, sums_of_all, targets_object
from voip.report.total import Total, total_of
from voip.stats import GMIN, CaptureStats, Congestion, Levels, ReceiverStats, SenderStats, SessionStats

SCHEMA = 1
"""Version of the JSON layout; it changes only when a field changes its meaning or goes."""


def final_report(
    program: str,
    version: str,
    status: int,
    error: str | None,
    calls: tuple[CallRecord, ...],
    *,
    devices: Sequence[Mapping[str, Any]] = (),
    system: Mapping[str, Any] | None = None,
    targets: Sequence[TargetRecord] = (),
    limited: int | None = None,
    capture: CaptureStats | None = None,
) -> dict[str, Any]:
    """The object of `--report FILE` and of the `report` event; `devices`, `system` and `limited` as they are told
    there. `targets` of a sender, once they are called."""
    return {
        "schema": SCHEMA,
        "program": program,
        "version": version,
        "exit": status,
        "error": error,
        "calls": [call_object(call) for call in calls],
        "targets": targets_object(targets, calls),
        "total": sums_of_all(targets, calls) | total_object(calls, limited),
        "devices": list(devices),
        "system": {"cpu_s": None, "max_rss_kb": None} | dict(system or {}),
        "capture": None if capture is None else asdict(capture),
    }


def total_object(calls: Sequence[CallRecord], limited: int | None = None) -> dict[str, Any]:
    """All calls together; see `figures_object`."""
    return figures_object(total_of(calls), limited)


def figures_object(figures: Total, limited: int | None = None) -> dict[str, Any]:
    """Calls together: the sums of their counts, and how many there were at a time.

    `limited`: samples of their mixture that were made softer, since there was too much at once."""
    return {
        "calls": figures.calls,
        "with_media": figures.with_media,
        "at_a_time": figures.at_a_time,
        "duration_s": round(figures.duration, 3),
        "received": figures.received,
        "expected": figures.expected,
        "lost": figures.lost,
        "recovered": figures.recovered,
        "lost_after_fec": figures.lost_after_fec,
        "packets": figures.sent,
        "limited": limited,
    }


def call_object(call: CallRecord) -> dict[str, Any]:
    """One call as JSON: every field of the layout, `None` for what is not known."""
    media, rx, tx = call.media, call.rx, call.tx
    return {
        "call_id": call.call_id,
        "peer": call.peer,
        "direction": "incoming" if call.incoming else "outgoing",
        "media_address": None if media is None else list(media.remote),
        "codec": media.audio.codec.label if media else None,
        "clock_rate": media.audio.codec.clock_rate if media else None,
        "channels": media.audio.codec.channels if media else None,
        "ptime_ms": _ms(media.audio.ptime) if media else None,
        "encrypted": media.security is not None if media else None,
        "encryption": encryption_object(media) if media else None,
        "start": call.start,
        "duration_s": round(call.duration, 3),
        "end_reason": call.end_reason,
        "setup_ms": _ms(call.setup),
        "first_audio_ms": _ms(call.first_audio),
        "rx": _rx_object(rx, call.network) if rx else None,
        "heard": _heard_object(rx) if rx else None,
        "loss_runs": dict(rx.loss_runs) if rx else None,
        "loss": _loss_object(rx, media.packet_time if media else None) if rx else None,
        "timing": _timing_object(call),
        "fec": _fec_object(media, rx, tx),
        "tx": _tx_object(tx, call.network) if tx else None,
        "unplayed_here": call.network.unplayed if call.network else None,
        "remote": _remote_object(call.network),
        "rtcp": _rtcp_object(call.network) if call.network else None,
        "levels": {"rx": _levels_object(rx.levels if rx else None), "tx": _levels_object(tx.levels if tx else None)},
        "quality": _quality_object(call),
    }


def interval_object(call: CallRecord, before: CallRecord | None) -> dict[str, Any]:
    """What happened since `before`, the record that was told last (None: since the start of the call)."""
    seconds = call.duration - (before.duration if before else 0.0)
    rx, tx, network = call.rx, call.tx, call.network
    old_rx = (before.rx if before else None) or ReceiverStats()
    old_tx = (before.tx if before else None) or SenderStats()
    old_network = (before.network if before else None) or SessionStats()
    rating = rating_of_interval(call, before)
    expected, lost = (rx.expected - old_rx.expected, rx.lost - old_rx.lost) if rx else (0, 0)
    after = rx.lost_after_fec - old_rx.lost_after_fec if rx else 0
    return {
        "seconds": round(seconds, 3),
        "received": rx.received - old_rx.received if rx else None,
        "lost": lost if rx else None,
        "lost_pct": round(percent(lost, expected), 3) if expected > 0 else None,
        "lost_after_fec_pct": round(percent(after, expected), 3) if expected > 0 else None,
        "jitter_ms": _ms(rx.jitter) if rx else None,
        "rx_kbps": _kbps(network.ip_bytes - old_network.ip_bytes, seconds) if network and rx else None,
        "tx_kbps": _kbps(tx.ip_bytes - old_tx.ip_bytes, seconds) if tx else None,
        "mos_lq": _rounded(rating.mos_lq) if rating else None,
        "mos_cq": _rounded(rating.mos_cq) if rating else None,
    }


def _kbps(octets: int, seconds: float) -> float | None:
    return round(8e-3 * octets / seconds, 1) if seconds > 0 else None


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def _rx_object(rx: ReceiverStats, network: SessionStats | None) -> dict[str, Any]:
    return {
        "received": rx.received,
        "expected": rx.expected,
        "lost": rx.lost,
        "recovered": rx.recovered,
        "lost_after_fec": rx.lost_after_fec,
        "lost_pct": round(percent(rx.lost, rx.expected), 3) if rx.expected else None,
        "lost_after_fec_pct": round(lost_after_fec_percent(rx), 3) if rx.expected else None,
        "late": rx.playout.late,
        "duplicate": rx.duplicate,
        "reordered": rx.reordered,
        "malformed": network.malformed if network else None,
        "foreign": network.foreign if network else None,
        "unknown_pt": network.unknown_payload_type if network else None,
        "stray": network.stray if network else None,
        "unauthenticated": network.unauthenticated if network else None,
        "replayed": network.replayed if network else None,
        "overruns": network.overruns if network else None,
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
        "as_sent_pct": round(100.0 - altered_percent(rx), 3) if heard.played else 0.0,
        "silent_ms": _ms(heard.silent_seconds),
        "unheard_ms": _ms(heard.unheard_seconds),
        "clipped": rx.levels.clipped if rx.levels.samples else None,
        "longest_gap_ms": _ms(heard.longest_gap),
        "underruns": heard.underruns,
        "resyncs": heard.resyncs,
        "gain_db": rx.in_mix.gain_db,
        "muted": rx.in_mix.muted,
        "level_dbfs": _rounded(rx.in_mix.level_dbfs, 1),
        "speaking": rx.in_mix.speaking,
    }


def _loss_object(rx: ReceiverStats, packet_time: float | None) -> dict[str, Any]:
    """The shape of the loss: on the network (`burst_ratio`), and of what was not heard in the end (the rest)."""
    runs, bursts, known = sum(rx.loss_runs.values()), rx.bursts, bool(rx.missing_runs)
    after = percent(rx.missing_packets, rx.expected)
    step = packet_time or 0.0
    return {
        "burst_ratio": _rounded(quality.burst_ratio(rx.lost, runs, percent(rx.lost, rx.expected))),
        "burst_ratio_after_fec": _rounded(quality.burst_ratio(rx.missing_packets, rx.missing_runs, after)),
        "missing": rx.missing_packets,
        "missing_runs": rx.missing_runs,
        "burst_density_pct": round(100 * bursts.burst_density, 3) if known else None,
        "burst_ms": _ms(bursts.burst_length * step) if known else None,
        "gap_density_pct": round(100 * bursts.gap_density, 3) if known else None,
        "gap_ms": _ms(bursts.gap_length * step) if known else None,
        "gmin": GMIN,
    }


def _timing_object(call: CallRecord) -> dict[str, Any]:
    rx, network, known = call.rx, call.network, call.rx or ReceiverStats()
    heard, parts = known.playout, delay_of(call)
    delay = {"min": heard.delay_min, "mean": heard.delay_mean, "max": heard.delay_max, "target": heard.target}
    return {
        "jitter_ms": _ms(known.jitter),
        "jitter_max_ms": _ms(known.jitter_max),
        "jitter_mean_ms": None if known.jitter_mean is None else round(known.jitter_mean * 1e3, 3),
        "ipdv_ms": {"p50": None, "p95": None, "p99": None},
        "rtt_ms": _ms(network.rtt) if network else None,
        "rtt_min_ms": _ms(network.rtt_min) if network else None,
        "rtt_mean_ms": _ms(call.trend.rtt_mean),
        "rtt_max_ms": _ms(call.trend.rtt_max),
        "buffer_ms": {name: _ms(value) for name, value in delay.items()} if rx else None,
        "one_way_ms": {
            "total": _ms(parts.total) if parts else None,
            "packet": _ms(parts.packet) if parts else None,
            "network": _ms(parts.network) if parts else None,
            "buffer": _ms(parts.buffer) if parts else None,
            "device": _ms(parts.device) if parts else None,
            "method": "packet + rtt/2 + mean buffer + device, as far as known" if parts else None,
        },
        "clock_ppm": None if known.clock_ppm is None else round(known.clock_ppm, 1),
    }


def _levels_object(levels: Levels | None) -> dict[str, Any]:
    known = levels or Levels()
    return {
        "peak_dbfs": _rounded(known.peak_dbfs, 1),
        "rms_dbfs": _rounded(known.rms_dbfs, 1),
        "silence_pct": None if known.silence is None else round(100.0 * known.silence, 2),
        "clipped": known.clipped if known.samples else None,
    }


def _quality_object(call: CallRecord) -> dict[str, Any]:
    """The rating of what was heard here; that of the other side is in `remote`."""
    rating, without = rating_of(call), rating_without_fec(call)
    return {
        "r": _rounded(rating.r_cq, 1) if rating else None,
        "r_lq": _rounded(rating.r_lq, 1) if rating else None,
        "r_cq": _rounded(rating.r_cq, 1) if rating else None,
        "r_max": _r_max(rating),
        "mos_lq": _rounded(rating.mos_lq) if rating else None,
        "mos_cq": _rounded(rating.mos_cq) if rating else None,
        "mos_without_fec": _rounded(without.mos_lq) if without else None,
        "worst_10s_mos": _rounded(call.trend.worst_mos),
        "method": rating.method if rating else None,
    }


def _r_max(rating: Rating | None) -> float | None:
    """Where the scale of R ends: that of wideband codecs is longer."""
    if rating is None:
        return None
    return quality.R_WIDEBAND if rating.wideband else quality.R_NARROWBAND


def _remote_object(network: SessionStats | None) -> dict[str, Any]:
    """What the other side said of our media; the fraction is of the whole call."""
    path = network.path if network is not None else None
    return {
        "fraction_lost": round(remote_share(network), 5) if network is not None and path is not None else None,
        "cumulative_lost": path.cumulative_lost if path else None,
        "jitter_ms": _ms(path.jitter) if path else None,
        "rtt_ms": _ms(path.rtt) if path else None,
        "discarded": _rounded(path.discarded, 5) if path else None,
        "buffer_ms": _ms(path.delay) if path else None,
        "r": path.r if path else None,
        "mos_lq": path.mos_lq if path else None,
        "mos_cq": path.mos_cq if path else None,
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
    scheme = media.fec if media else None
    return {
        "scheme": scheme,
        "pattern": tx.fec_pattern if tx else None,
        "reason": tx.fec_reason if tx else None,
        "packets": packets,
        "groups": packets if scheme not in (None, RED) else None,
        "overhead_pct": round(percent(packets, of), 2),
        "recovered": rx.recovered if rx else None,
        "unrecoverable": rx.lost_after_fec if rx and scheme else None,
        "rejected": rx.fec_rejected if rx else None,
    }


def _tx_object(tx: SenderStats, network: SessionStats | None) -> dict[str, Any]:
    return {
        "packets": tx.packets,
        "fec_packets": tx.fec_packets,
        "bytes": tx.bytes,
        "ip_bytes": tx.ip_bytes,
        "unplayed": tx.unplayed,
        "icmp_errors": network.icmp_errors if network else None,
        "unsent": network.unsent if network else None,
        "excess": network.excess if network else None,
        "withheld": network.withheld if network else None,
        "congestion": _congestion_object(tx.congestion),
    }


def _congestion_object(found: Congestion) -> dict[str, Any]:
    return {
        "limit_kbps": None if found.limit is None else round(found.limit / 1e3, 1),
        "limited_by": found.limited_by,
        "packet_ms": _ms(found.ptime),
        "queue_ms": _ms(found.queue),
        "queue_max_ms": _ms(found.queue_max),
        "times_full": found.times_full,
    }
