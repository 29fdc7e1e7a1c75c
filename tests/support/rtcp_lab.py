"""Two ends of a call in virtual time, for RTCP: one sends media and repair packets, a bad network is in between."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.support.negotiated import changed, negotiated
from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.rtcp import ReportSources
from voip.rtcp.packets import Packet, parse
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.stats import PathReport, ReceiverStats, SenderStats

SENDER, RECEIVER = ("192.0.2.1", 5000), ("192.0.2.2", 6000)
SSRC, REPAIR_SSRC, LISTENER_SSRC = 0xCAFE0001, 0xFEC00001, 0x11112222
FIRST_NUMBER, FIRST_REPAIR, FIRST_TIMESTAMP = 65530, 65533, 0xFFFFFF00  # everything wraps early
NTP_OFFSET = 3_900_000_000.0 + 0.999  # the seconds of NTP time tick soon after the start
EVERYTHING = frozenset({"pkt-loss-rle", "rcvr-rtt", "stat-summary", "voip-metrics"})
PTIME, STEP = 0.02, 160


@dataclass
class Link:
    """One direction. `lose` says of each media packet, by its index, if it is lost; repair packets never are."""

    delay: float = 0.03
    jitter: float = 0.0
    rtcp_loss: float = 0.0
    lose: Callable[[int], bool] = lambda index: False
    copies: int = 1


def medias(**changes: object) -> tuple[NegotiatedMedia, NegotiatedMedia]:
    """What both ends agreed on: the sender's view, the listener's."""
    near = negotiated(
        codec=codecs.find("PCMU", 8000, 1),
        payload_type=0,
        remote=RECEIVER,
        rtcp_mux=True,
        ptime=PTIME,
        direction=Direction.SENDONLY,
        fec="flexfec",
        fec_payload_type=97,
        ssrc=SSRC,
        fec_ssrc=REPAIR_SSRC,
        remote_ssrc=LISTENER_SSRC,
        rtcp_rsize=True,
        rtcp_xr=EVERYTHING,
    )
    near = changed(near, **changes)
    far = replace(
        near,
        remote=SENDER,
        direction=Direction.RECVONLY,
        ssrc=LISTENER_SSRC,
        fec_ssrc=0x33334444,
        remote_ssrc=SSRC,
        remote_fec_ssrc=REPAIR_SSRC,
    )
    return near, far


class Call:
    """Runs the call until a moment; what went over the wire is in `reports` (both ways: moment, who, datagram)."""

    def __init__(
        self,
        forth: Link,
        back: Link,
        *,
        seed: int = 1,
        now: float = 1000.0,
        one_media: bool = True,
        buffer_limit: float | None = None,
        **changes: object,
    ) -> None:
        self.forth, self.back, self.now = forth, back, now
        self.rng = random.Random(seed)
        near, far = medias(**changes)
        self.told: list[PathReport] = []
        self.sent = SenderStats()
        self.heard: ReceiverStats | None = None
        self.near = RtpSession(
            near,
            cname="near",
            ntp_offset=NTP_OFFSET,
            rng=random.Random(seed + 1),
            reports=ReportSources(sender_stats=lambda: self.sent, on_report=self.told.append),
        )
        self.far = RtpSession(
            far,
            cname="far",
            ntp_offset=NTP_OFFSET + 1234.5,
            rng=random.Random(seed + 2),
            reports=ReportSources(receiver_stats=lambda: self.heard, buffer_limit=buffer_limit),
        )
        assert self.near.rtcp_session is not None
        assert self.far.rtcp_session is not None
        self.near_rtcp, self.far_rtcp = self.near.rtcp_session, self.far.rtcp_session
        self.lost: list[int] = []  # indices of media packets
        self.reports: list[tuple[float, str, bytes]] = []
        self.began = now
        self._index = 0
        self._next_packet = now
        self._under_way: list[tuple[float, int, str, bytes]] = []
        self._order = 0
        self.sending = True
        if one_media:
            self.near.start_reports(now)

    def compounds(self, who: str) -> list[tuple[float, list[Packet]]]:
        """Moment and packets of each compound that this end sent."""
        return [(moment, parse(data, reduced_size=True)) for moment, end, data in self.reports if end == who]

    def run(self, seconds: float) -> None:
        """Let the call go on for so long."""
        end = self.now + seconds
        while (due := min(self._events())) <= end:
            self.now = max(self.now, due)
            self._deliver()
            if self.sending and self._next_packet <= self.now:
                self._send_media()
            for session, who, link in ((self.near, "near", self.forth), (self.far, "far", self.back)):
                for datagram in session.rtcp_to_send(self.now):
                    self.carry_report(who, datagram, link)
        self.now = end

    def carry_report(self, who: str, datagram: bytes, link: Link) -> None:
        """A compound goes out."""
        self.reports.append((self.now, who, datagram))
        if self.rng.random() >= link.rtcp_loss:
            self._carry(who, datagram, link)

    def _events(self) -> list[float]:
        events = [self._next_packet] if self.sending else []
        events += [self._under_way[0][0]] if self._under_way else []
        events += [due for session in (self.near, self.far) if (due := session.next_timer()) is not None]
        return events or [float("inf")]

    def _send_media(self) -> None:
        index = self._index
        number, timestamp = (FIRST_NUMBER + index) & 0xFFFF, (FIRST_TIMESTAMP + index * STEP) & 0xFFFFFFFF
        packet = RtpPacket(0, number, timestamp, SSRC, bytes(160))
        if self.forth.lose(index):
            self.lost.append(index)
        else:
            self._carry("near", packet.serialize(), self.forth)
        repairs = 0
        if index % 2:
            repair = RtpPacket(97, (FIRST_REPAIR + index // 2) & 0xFFFF, timestamp, REPAIR_SSRC, bytes(170))
            repairs = 1
            self._carry("near", repair.serialize(), self.forth)
        sent = self.sent
        self.sent = replace(
            sent,
            packets=sent.packets + 1,
            fec_packets=sent.fec_packets + repairs,
            ip_bytes=sent.ip_bytes + 200,
            payload_bytes=sent.payload_bytes + 160,
            timestamp=timestamp,
            timestamp_at=self.now,
        )
        self._index += 1
        self._next_packet += PTIME

    def _carry(self, who: str, datagram: bytes, link: Link) -> None:
        for _ in range(link.copies):
            late = self.rng.expovariate(1 / link.jitter) if link.jitter else 0.0
            self._order += 1
            heapq.heappush(self._under_way, (self.now + link.delay + late, self._order, who, datagram))

    def _deliver(self) -> None:
        while self._under_way and self._under_way[0][0] <= self.now:
            _, _, who, datagram = heapq.heappop(self._under_way)
            session, source = (self.far, SENDER) if who == "near" else (self.near, RECEIVER)
            session.receive_datagram(datagram, source, self.now)
