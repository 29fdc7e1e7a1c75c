"""What the RTCP of one call needs: the negotiated parameters, and where the figures to report come from."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from voip.stats import PathReport, ReceiverStats, SenderStats

LOSS_RLE, ROUND_TRIP, SUMMARY, METRICS = "pkt-loss-rle", "rcvr-rtt", "stat-summary", "voip-metrics"
"""What a=rtcp-xr calls the blocks of extended reports (RFC 3611 section 5.1)."""


@dataclass(frozen=True)
class RtcpParameters:
    """What was negotiated: our SSRCs, that of the peer's media (None: not announced), the media clock, and which
    reports the peer asked for.

    `extended` holds names of a=rtcp-xr; `ptime` is the packet time in seconds.
    """

    ssrc: int
    repair_ssrc: int | None
    clock_rate: int
    ptime: float = 0.02
    reduced_size: bool = False
    extended: Container[str] = frozenset()
    remote_ssrc: int | None = None

    def media_totals(self, sent: SenderStats) -> tuple[int, int]:
        """Packets and bytes of payload sent with the media's SSRC: all, where repair packets have none of their own."""
        if self.repair_ssrc is not None:
            return sent.packets, sent.payload_bytes
        return sent.packets + sent.fec_packets, sent.payload_bytes + sent.fec_payload_bytes


@dataclass(frozen=True)
class ReportSources:
    """Where the figures of our reports come from and the peer's reports go; all called on the network thread.

    `sender_stats` and `receiver_stats` return the figures of the two directions of media, None if there are none.
    `buffer_limit` is the upper limit of our jitter buffer's delay in seconds, None if unknown. `on_report` gets each
    new report about our media.
    """

    sender_stats: Callable[[], SenderStats | None] = lambda: None
    receiver_stats: Callable[[], ReceiverStats | None] = lambda: None
    buffer_limit: float | None = None
    on_report: Callable[[PathReport], object] = lambda report: None
