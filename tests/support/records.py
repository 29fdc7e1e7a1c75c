"""Records of typical calls, as reports tell of them."""

from __future__ import annotations

from dataclasses import replace

from tests.support.negotiated import negotiated
from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.report import CallRecord
from voip.stats import Levels, PathReport, PlayoutStats, ReceiverStats, SenderStats, SessionStats


def media(name: str = "L16", rate: int = 48000, direction: Direction = Direction.RECVONLY) -> NegotiatedMedia:
    codec = codecs.find(name, rate, 1)
    assert codec is not None
    return negotiated(
        codec=codec,
        payload_type=96,
        remote=("127.0.0.1", 6000),
        remote_rtcp=None,
        rtcp_mux=True,
        ptime=0.02,
        direction=direction,
        fec="flexfec",
        fec_payload_type=97,
        repair_window=0.03,
        ssrc=1,
        fec_ssrc=2,
        remote_ssrc=3,
        remote_fec_ssrc=4,
    )


def received() -> CallRecord:
    """A long call over a bad network."""
    playout = PlayoutStats(
        played=124_800, concealed=135, played_seconds=1248.0, concealed_seconds=1.35, longest_gap=0.06, late=26,
        underruns=0, resyncs=1, delay=0.048, delay_min=0.02, delay_mean=0.05, delay_max=0.2, target=0.06,
    )  # fmt: skip
    rx = ReceiverStats(
        received=123_456, expected=124_956, recovered=1391, duplicate=3, reordered=1140, playout=playout,
        loss_runs={"1": 1371, "2": 57, "3+": 12}, jitter=0.0079, jitter_max=0.0312, fec_packets=31_000,
        levels=Levels(samples=1000, energy=10**-2.1 * 1000, peak=0.5, silent=20), clock_ppm=23.4,
    )  # fmt: skip
    return CallRecord(
        call_id="a@b", peer="sip:kitchen-loudspeaker@192.168.100.131:5060", incoming=True, media=media(),
        start="2026-01-31T12:00:00Z", setup=0.0031, duration=1250.0, end_reason="remote-bye", rx=rx,
        network=SessionStats(bytes=120_000_000, ip_bytes=124_000_000, foreign=2),
    )  # fmt: skip


def perfect() -> CallRecord:
    """A short call over a network that loses nothing."""
    playout = PlayoutStats(
        played=565, played_seconds=11.3, delay=0.04, delay_min=0.03, delay_mean=0.041, delay_max=0.06, target=0.04
    )
    levels = Levels(samples=1000, energy=10**-2.0 * 1000, peak=0.4)
    rx = ReceiverStats(received=565, expected=565, playout=playout, jitter=0.0003, jitter_max=0.001, levels=levels)
    return CallRecord(
        call_id="a@b", peer="sip:kitchen@192.168.1.20", incoming=True, media=media(), duration=11.3,
        end_reason="remote-bye", rx=rx, network=SessionStats(rtt=0.0012, rtt_min=0.001),
    )  # fmt: skip


def sent() -> CallRecord:
    """A call of a sender that is told how it was heard."""
    path = PathReport(
        at=1.0, fraction_lost=0.5, cumulative_lost=412, highest=70_000, jitter=0.0031, rtt=0.0244, delay=0.06,
        r=92.0, mos_lq=4.4, mos_cq=4.3, discarded=0.0,
    )  # fmt: skip
    network = SessionStats(
        rtt=0.0244, rtt_min=0.0239, path=path, path_packets=36_350, rtcp=60, rtcp_ip_bytes=9000, rtcp_sent=61,
        rtcp_sent_ip_bytes=12_000,
    )  # fmt: skip
    tx = SenderStats(
        packets=36_352, fec_packets=9088, seconds=727.0, ip_bytes=12_000_000, payload_bytes=9_000_000,
        levels=Levels(samples=1000, energy=10**-2.2 * 1000, peak=0.4),
    )  # fmt: skip
    return CallRecord(
        call_id="x", peer="sip:10.0.0.9", incoming=False, media=media(direction=Direction.SENDONLY), duration=727.0,
        end_reason="local-bye", tx=tx, network=network,
    )  # fmt: skip


def with_rx(call: CallRecord, **changes: object) -> CallRecord:
    assert call.rx is not None
    return replace(call, rx=replace(call.rx, **changes))  # type: ignore[arg-type]


def with_playout(call: CallRecord, **changes: object) -> CallRecord:
    assert call.rx is not None
    return with_rx(call, playout=replace(call.rx.playout, **changes))  # type: ignore[arg-type]
