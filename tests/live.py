"""A whole call in virtual time with everything at its default: Opus, adaptive FEC and play-out, RTCP both ways."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.harness import RECEIVER, SENDER, Call, Link, Wrapping, media
from voip.audio import AudioSender
from voip.codecs import Codec, find
from voip.fec import FecController
from voip.sdp import Direction
from voip.session import RtpSession
from voip.stats import PathReport

EVERYTHING = frozenset({"pkt-loss-rle", "rcvr-rtt", "stat-summary", "voip-metrics"})
"""What extended reports may hold (a=rtcp-xr)."""
FEC_MAX = 200e3
LATENCY_MAX = 0.5
LISTENER_SSRC = 0x33333333


def opus() -> Codec:
    codec = find("opus", 48000, 2)
    assert codec is not None
    return codec


class LiveCall(Call):
    """`forth` carries media, repair packets and sender reports, `back` what the receiver reports."""

    def __init__(
        self,
        forth: Link,
        back: Link | None = None,
        *,
        codec: Codec | None = None,
        source_rate: int = 16000,
        skew_ppm: float = 0.0,
        latency: float | None = None,
        seed: int = 3,
    ) -> None:
        self.source_rate = source_rate
        self.back = back or Link(delay=forth.delay)
        self.decisions: list[tuple[float, str]] = []
        """When the FEC changed, in seconds of the call, and why."""
        self.reports: list[PathReport] = []
        near = media(
            codec or opus(), fec="3", rtcp_mux=True, rtcp_rsize=True, rtcp_xr=EVERYTHING, direction=Direction.SENDONLY
        )
        self.sender_media = replace(near, local=SENDER, remote=RECEIVER, remote_ssrc=LISTENER_SSRC, repair_window=0.24)
        far = replace(near, ssrc=LISTENER_SSRC, direction=Direction.RECVONLY, repair_window=0.24)
        super().__init__(forth, far, latency=latency, latency_max=LATENCY_MAX, skew_ppm=skew_ppm, seed=seed)
        self.session = self._session(far, seed)
        self.returning = self._session(self.sender_media, seed + 1)
        listening, talking = self.session.rtcp_exchange, self.returning.rtcp_exchange
        assert listening is not None
        assert talking is not None
        listening.receiver_stats = lambda: self.receiver.stats
        listening.buffer_limit = LATENCY_MAX
        talking.sender_stats = lambda: self.sender.stats
        talking.on_report = self._take_report
        talking.start(self.now)

    def new_sender(self, rng: random.Random) -> AudioSender:
        return AudioSender(
            self.sender_media,
            sample_rate=self.source_rate,
            channels=1,
            rng=rng,
            control=FecController(FEC_MAX, ptime=self.sender_media.ptime),
            on_decision=lambda reason: self.decisions.append((self.now - 1000.0, reason)),
        )

    def receive(self, now: float) -> None:
        super().receive(now)
        for datagram in self.session.rtcp_to_send(now):
            self.back.send(datagram, now)
        for datagram, arrival in self.back.deliver(now):
            self.returning.receive_datagram(datagram, RECEIVER, arrival)
        for datagram in self.returning.rtcp_to_send(now):
            self.link.send(datagram, now)

    def _take_report(self, report: PathReport) -> None:
        self.reports.append(report)
        self.sender.report(report)

    def _session(self, agreed: object, seed: int) -> RtpSession:
        return RtpSession(agreed, cname=f"end{seed}", ntp_offset=3.9e9, rng=Wrapping(seed))  # type: ignore[arg-type]
