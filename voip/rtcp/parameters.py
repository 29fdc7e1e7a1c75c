"""What the RTCP of one call needs: the negotiated parameters, and where the figures to report come from."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Literal

from voip.quality import Rating
from voip.stats import PathReport, ReceiverStats, SenderStats

LOSS_RLE, RECEIPTS, ROUND_TRIP = "pkt-loss-rle", "pkt-rcpt-times", "rcvr-rtt"
SUMMARY, METRICS = "stat-summary", "voip-metrics"
"""What a=rtcp-xr calls the blocks of extended reports (RFC 3611 section 5.1)."""
LOSS, DUPLICATES, JITTER = "loss", "dup", "jitt"
"""Fields of the statistics summary that are reported; those of TTL and hop limit are not known here."""
ALL_FIELDS = frozenset({LOSS, DUPLICATES, JITTER})


@dataclass(frozen=True)
class RtcpParameters:
    """What was negotiated: our SSRCs, that of the peer's media (None: not announced), the media clock, and which
    reports the peer asked for.

    `repair_clock_rate` is that of the timestamps of repair packets, None: the media's; `ptime` the packet time in
    seconds.

    `extended` holds names of a=rtcp-xr, and the rest are its values (RFC 3611 section 5.1). `echoes`: reference times
    of the peer are echoed; with rcvr-rtt=sender only while we send media. `loss_rle_bytes`, `receipt_bytes` and
    `echo_bytes` are the greatest sizes of these blocks, None: no limit. `summary_fields`: which of "loss", "dup" and
    "jitt" are wanted.
    """

    ssrc: int
    repair_ssrc: int | None
    clock_rate: int
    ptime: float = 0.02
    extended: Container[str] = frozenset()
    remote_ssrc: int | None = None
    repair_clock_rate: int | None = None
    echoes: Literal["all", "sender"] = "all"
    loss_rle_bytes: int | None = None
    receipt_bytes: int | None = None
    echo_bytes: int | None = None
    summary_fields: frozenset[str] = ALL_FIELDS

    def media_totals(self, sent: SenderStats) -> tuple[int, int]:
        """Packets and bytes of payload sent with the media's SSRC: all, where repair packets have none of their own."""
        if self.repair_ssrc is not None:
            return sent.packets, sent.payload_bytes
        return sent.packets + sent.fec_packets, sent.payload_bytes + sent.fec_payload_bytes


@dataclass(frozen=True)
class ReportSources:
    """Where the figures of our reports come from and the peer's reports go; all called on the network thread.

    `sender_stats` and `receiver_stats` return the figures of the two directions of media, None if there are none.
    `buffer_limit` is the upper limit of our jitter buffer's delay in seconds, None if unknown. `rating` rates figures
    of the received direction with a delay in seconds. `on_report` gets each new report about our media.
    """

    sender_stats: Callable[[], SenderStats | None] = lambda: None
    receiver_stats: Callable[[], ReceiverStats | None] = lambda: None
    buffer_limit: float | None = None
    rating: Callable[[ReceiverStats, float], Rating | None] = lambda stats, delay: None
    on_report: Callable[[PathReport], object] = lambda report: None
