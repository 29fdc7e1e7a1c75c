"""Two ends of a call in virtual time, for RTCP: one sends media and repair packets, a bad network is in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.support.negotiated import changed, negotiated
from tests.support.network import Impairment, Path, Wire
from voip import codecs
from voip.media import Direction, NegotiatedMedia
from voip.quality import Rating
from voip.rtcp import ReportSources
from voip.rtcp.packets import Packet, parse
from voip.rtp import RtpPacket
from voip.sdp.reports import parse_extended_reports
from voip.session import RtpSession
from voip.stats import PathReport, ReceiverStats, SenderStats

SENDER, RECEIVER = ("192.0.2.1", 5000), ("192.0.2.2", 6000)
SSRC, REPAIR_SSRC, LISTENER_SSRC = 0xCAFE0001, 0xFEC00001, 0x11112222
FIRST_NUMBER, FIRST_REPAIR, FIRST_TIMESTAMP = 65530, 65533, 0xFFFFFF00  # everything wraps early
NTP_OFFSET = 3_900_000_000.0 + 0.999  # the seconds of NTP time tick soon after the start
EVERYTHING = parse_extended_reports(
    ["pkt-loss-rle pkt-rcpt-times rcvr-rtt=all", "stat-summary=loss,dup,jitt voip-metrics"]
)
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


class _Way:
    """Wires for one direction: media, of which the test itself says what is lost, and reports."""

    def __init__(self, link: Link, seed: str) -> None:
        always = Impairment(delay=link.delay, jitter=link.jitter, duplicate=link.copies - 1.0)
        self.media = Wire(Path(always, f"{seed} media"))
        self.reports = Wire(Path(replace(always, loss=link.rtcp_loss), f"{seed} reports"))

    def next_delivery(self) -> float | None:
        both = (self.media.next_delivery(), self.reports.next_delivery())
        return min((due for due in both if due is not None), default=None)

    def deliver(self, now: float) -> list[bytes]:
        """What has come out, in order of arrival."""
        came = [*self.media.deliver(now), *self.reports.deliver(now)]
        return [datagram for datagram, _ in sorted(came, key=lambda item: item[1])]


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
        rating: Callable[[ReceiverStats, float], Rating | None] = lambda stats, delay: None,
        **changes: object,
    ) -> None:
        self.forth, self.back, self.now = forth, back, now
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
            reports=ReportSources(receiver_stats=lambda: self.heard, buffer_limit=buffer_limit, rating=rating),
        )
        assert self.near.rtcp_session is not None
        assert self.far.rtcp_session is not None
        self.near_rtcp, self.far_rtcp = self.near.rtcp_session, self.far.rtcp_session
        self.lost: list[int] = []  # indices of media packets
        self.reports: list[tuple[float, str, bytes]] = []
        self.began = now
        self._index = 0
        self._next_packet = now
        self._wires = {"near": _Way(forth, f"{seed} near"), "far": _Way(back, f"{seed} far")}
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
            for session, who in ((self.near, "near"), (self.far, "far")):
                for datagram in session.rtcp_to_send(self.now):
                    self.carry_report(who, datagram)
        self.now = end

    def carry_report(self, who: str, datagram: bytes) -> None:
        """A compound goes out."""
        self.reports.append((self.now, who, datagram))
        self._wires[who].reports.send(datagram, self.now)

    def _events(self) -> list[float]:
        events = [self._next_packet] if self.sending else []
        events += [due for way in self._wires.values() if (due := way.next_delivery()) is not None]
        events += [due for session in (self.near, self.far) if (due := session.next_timer()) is not None]
        return events or [float("inf")]

    def _send_media(self) -> None:
        index = self._index
        number, timestamp = (FIRST_NUMBER + index) & 0xFFFF, (FIRST_TIMESTAMP + index * STEP) & 0xFFFFFFFF
        packet = RtpPacket(0, number, timestamp, SSRC, bytes(160))
        if self.forth.lose(index):
            self.lost.append(index)
        else:
            self._wires["near"].media.send(packet.serialize(), self.now)
        repairs = 0
        if index % 2:
            repair = RtpPacket(97, (FIRST_REPAIR + index // 2) & 0xFFFF, timestamp, REPAIR_SSRC, bytes(170))
            repairs = 1
            self._wires["near"].media.send(repair.serialize(), self.now)
        sent = self.sent
        self.sent = sent._replace(
            packets=sent.packets + 1,
            fec_packets=sent.fec_packets + repairs,
            ip_bytes=sent.ip_bytes + 200,
            payload_bytes=sent.payload_bytes + 160,
            timestamp=timestamp,
            timestamp_at=self.now,
            fec_timestamp=timestamp if repairs else sent.fec_timestamp,
            fec_timestamp_at=self.now if repairs else sent.fec_timestamp_at,
        )
        self._index += 1
        self._next_packet += PTIME

    def _deliver(self) -> None:
        for who, way in self._wires.items():
            session, source = (self.far, SENDER) if who == "near" else (self.near, RECEIVER)
            for datagram in way.deliver(self.now):
                session.receive_datagram(datagram, source, self.now)
