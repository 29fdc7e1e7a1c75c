"""One media line of a call (RFC 8866 section 5.14): its port, its RTP session, and what flows each way."""

from __future__ import annotations

from dataclasses import replace

from voip.calls.ice import LineIce
from voip.calls.streams import Ended, MediaStream, ReceiveStream, SendStream
from voip.media import NegotiatedMedia
from voip.net import MediaTransport
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.stats import SessionStats


class MediaLine:
    """What offer and answer have agreed on for one medium, as it flows. Network thread only."""

    def __init__(
        self,
        media: NegotiatedMedia,
        transport: MediaTransport,
        session: RtpSession,
        receive: ReceiveStream | None,
        send: SendStream | None,
        ice: LineIce | None = None,
    ) -> None:
        self.ice = ice
        self.media, self.transport, self.session = media, transport, session
        self.receive, self.send = receive, send
        self._unplayed = 0
        self._listening = self._started = self._sending = False

    @property
    def streams(self) -> list[MediaStream]:
        """The directions that there are."""
        both: tuple[MediaStream | None, ...] = (self.receive, self.send)
        return [stream for stream in both if stream is not None]

    @property
    def peer_left(self) -> bool:
        """Whether the peer has said BYE by RTCP (RFC 3550 section 6.6)."""
        return self.session.peer_left

    @property
    def is_over(self) -> bool:
        """Whether either side has said BYE by RTCP: silence means nothing from then on."""
        reports = self.session.rtcp_session
        return self.session.peer_left or (reports is not None and reports.ended)

    def start(self, now: float) -> None:
        """Let it flow; its transport is attached to its session."""
        self.listen()
        self.session.start_reports(now)
        self._started = True
        self.send_when_ready()

    def listen(self) -> None:
        """Play what comes; once."""
        if self.receive is not None and not self._listening:
            self._listening = True
            self.receive.start(self.media)

    def send_when_ready(self) -> None:
        """Begin to send once media may go where the peer's description says and has its keys; to be asked again until
        then. Nothing is captured before: of a file the beginning would be lost."""
        if self.send is None or not self._started or self._sending:
            return
        if self.session.may_send and not self.session.protection.waits_for_keys:
            self._sending = True
            self.send.start(self.media, self.transport.send_rtp)

    def move(self, transport: MediaTransport) -> None:
        """Go on by another port, in place of one that is closed."""
        self.transport = transport
        if self.ice is not None:
            self.ice.agree(self.media.ice, transport)
        transport.attach(self.session, self.packet_sink, opens_path=True)

    def packet_sink(self, packet: RtpPacket, arrival: float) -> None:
        """Take a packet that the session has accepted."""
        self.send_when_ready()
        if self.receive is not None:
            self.receive.packet_sink(packet, arrival)
        elif packet.payload:  # an empty one only keeps a NAT open
            self._unplayed += 1

    def renegotiate(self, media: NegotiatedMedia) -> None:
        """Go on with what was agreed on anew."""
        self.media = media
        self.session.update(media)
        if self.ice is not None:
            self.ice.agree(media.ice, self.transport)
        if not self.session.may_send:
            self.transport.open_path()
        for stream in self.streams:
            stream.renegotiate(media)
        self.send_when_ready()

    def end(self, ended: Ended) -> None:
        """What was captured is sent and what has come is played to its end; `ended` is called for each stream."""
        for stream in self.streams:
            stream.end(ended)

    def close(self) -> None:
        """Its port is closed."""
        if self.ice is not None:
            self.ice.close()

    def statistics(self) -> SessionStats:
        """What the network side has seen."""
        overruns = 0 if self.receive is None else self.receive.overruns
        return replace(
            self.session.stats,
            icmp_errors=self.transport.icmp_errors,
            icmp_at=self.transport.icmp_at,
            icmp_since=self.transport.icmp_since,
            unsent=self.transport.unsent,
            withheld=self.session.proof.withheld,
            unplayed=self._unplayed,
            overruns=overruns,
        )
