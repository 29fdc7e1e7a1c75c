"""One call, and what the options say of all of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voip.calls.line import MediaLine
from voip.calls.liveness import Liveness
from voip.calls.local_address import LocalAddress
from voip.calls.negotiation import Negotiation
from voip.calls.outcome import Outcome
from voip.calls.streams import SendSettings
from voip.media import NegotiatedMedia
from voip.net import MediaTransport
from voip.quality import Trend
from voip.report import CallRecord
from voip.sdp import Capabilities, Endpoint, SessionDescription, SrtpRule
from voip.sdp.plain import describe
from voip.sip import CallEnded
from voip.stats import ReceiverStats, SenderStats

if TYPE_CHECKING:  # it needs pyOpenSSL
    from voip.calls.dtls import CallDtls, DtlsIdentity


class Answer(enum.Enum):
    """What is done about a call that comes in: it is answered at once, a person is asked, or it is declined."""

    AUTO = "auto"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True)
class CallSettings:
    """What the options say of every call; times in seconds.

    name: how we are shown to who is called. message: a text that each call of ours begins with. answer: what is done
    about calls that come in. plain_fec: FEC is sent, and expected, also without signalling. on_description is given the
    session description of each stream without signalling: another tool may need it. dtls: what we prove ourselves by in
    handshakes of DTLS, None: there are none.
    """

    capabilities: Capabilities
    media_timeout: float
    connect_timeout: float = 10.0
    name: str = ""
    message: str = ""
    answer: Answer = Answer.AUTO
    plain_fec: bool = False
    on_description: Callable[[SessionDescription], None] = lambda description: None
    dtls: DtlsIdentity | None = None

    @property
    def plain_capabilities(self) -> Capabilities:
        """Those of a stream without signalling: keys are agreed on by signalling."""
        return replace(self.capabilities, srtp=SrtpRule.OFF)

    def describe(self, destination: Endpoint) -> SessionDescription:
        """A stream to there without signalling."""
        return describe(replace(self.plain_capabilities, fec=self.plain_fec), destination)


@dataclass(frozen=True)
class CallTerms:
    """What one call is to be made with in place of what the options say of all: chosen on the page."""

    capabilities: Capabilities
    send_as: SendSettings


class Call:
    """One call, from its first message to the end of its sound. Network thread only.

    `transport` is the media port that is offered; once offer and answer agree there is a line of media for it in
    `lines`. `signalled`: it has a SIP dialog; False: its media is all there is of it. `established` and `ended` are
    monotonic moments; `ending` is why it is over, once it is, while what has come may still be played. `failure` is
    what its end means, if that does not follow from `ending`.
    """

    def __init__(
        self,
        record: CallRecord,
        *,
        remote_host: str,
        transport: MediaTransport,
        negotiation: Negotiation,
        now: float,
        caller_user: str | None = None,
        offer: bytes | None = None,
        signalled: bool = True,
        dtls: CallDtls | None = None,
        send_as: SendSettings | None = None,
    ) -> None:
        """`offer`: what a call that comes in brings, empty if we are to offer. `dtls`: None if it is not available.
        `send_as`: how it is sent, if not as all."""
        self.record = record
        self.remote_host, self.caller_user, self.signalled = remote_host, caller_user, signalled
        self.transport, self.negotiation, self.dtls = transport, negotiation, dtls
        self.send_as = send_as
        self.local_address = LocalAddress(transport.host)
        self.lines: list[MediaLine] = []
        self.established: float | None = None
        self.ended: float | None = None
        self.ending: CallEnded | None = None
        self.failure: Outcome | None = None
        self.acknowledged = False
        """The caller has sent the ACK of our answer, so that its SIP host is the one that it seems to be."""
        self.unacknowledged = False
        """It was closed before the peer had responded to the end of its signalling."""
        self._began = now
        self._unanswered = offer
        self._alive_at: float | None = None
        self.liveness = Liveness()
        self._streams_left = 0
        self._trend = Trend()
        self._newest: tuple[CallRecord, CallRecord] | None = None  # the record, and the snapshot made of it

    @property
    def call_id(self) -> str:
        """Its Call-ID, or what stands for it without signalling."""
        return self.record.call_id

    @property
    def last_heard(self) -> float | None:
        """When media or RTCP of the peer came last."""
        moments = [line.session.last_heard for line in self.lines if line.session.last_heard is not None]
        return max(moments, default=None)

    def silence(self, now: float) -> float:
        """Seconds since the peer of a call that is up has shown that it is there."""
        moments = (self.established, self.last_heard, self._alive_at)
        return now - max(moment for moment in moments if moment is not None)

    @property
    def port_refusals(self) -> int:
        """ICMP "port unreachable" for what was sent to the peer's media ports."""
        return sum(line.transport.icmp_errors for line in self.lines)

    # --- how it goes ----------------------------------------------------------------------------------------------

    @property
    def rings(self) -> bool:
        """It has come in, and waits for an answer."""
        return self._unanswered is not None and self.ending is None

    def take_offer(self) -> bytes | None:
        """The offer to answer, once; None if that is done, or the call is our own."""
        offer, self._unanswered = self._unanswered, None
        return offer

    def aim(self, remote_host: str, local_host: str, transport: MediaTransport) -> None:
        """It goes to this literal address, by that media port."""
        self.remote_host, self.transport = remote_host, transport
        self.local_address = LocalAddress(local_host)
        self.negotiation.move(local_host, transport.port, ip_version=transport.ip_version)

    def add_line(self, line: MediaLine) -> None:
        """Offer and answer agree on a medium."""
        self.lines.append(line)

    def start(self, now: float) -> None:
        """Let its lines flow."""
        self.established = now
        self.record = replace(self.record, media=self.lines[0].media, setup=now - self._began, since=now)
        for line in self.lines:
            line.start(now)

    def acknowledge(self) -> None:
        """The caller has acknowledged our answer: media may go to the host that it calls from."""
        self.acknowledged = True
        for line in self.lines:
            line.session.proof.add(self.remote_host)
        self.send_when_ready()

    def send_when_ready(self) -> None:
        """Begin to send what waits for a proof of the peer's address; to be asked now and then."""
        for line in self.lines:
            line.send_when_ready()

    def renegotiate(self, media: NegotiatedMedia, now: float) -> None:
        """Go on with what was agreed on anew; the peer is there, then."""
        self._alive_at = now
        self.record = replace(self.record, media=media)
        self.lines[0].renegotiate(media)

    def note_alive(self, now: float) -> None:
        """The peer has shown that it is there."""
        self._alive_at = now

    def fail(self, failure: Outcome) -> None:
        """Whatever ends it, this is what its end means."""
        self.failure = failure

    def end(self, ending: CallEnded, at: float, on_over: Callable[[], None]) -> None:
        """Signalling is over; when all media has come to its end, `on_over` is called."""
        self.ending, self.ended = ending, at
        streams = [stream for line in self.lines for stream in line.streams]
        self._streams_left = len(streams)

        def on_ended(stats: ReceiverStats | SenderStats | None) -> None:
            if isinstance(stats, ReceiverStats):
                self.record = replace(self.record, rx=stats)
            elif stats is not None:
                self.record = replace(self.record, tx=stats)
            self._streams_left -= 1
            if not self._streams_left:
                on_over()

        for stream in streams:
            stream.end(on_ended)
        if not streams:
            on_over()

    def close(self, now: float) -> CallRecord:
        """The last of it: nothing of it goes on. Without an `ending` it was cut off by this side."""
        self.unacknowledged = self.signalled and self.ending is None
        if self.ending is None:
            self.ending = CallEnded(self.call_id, "local-bye", None, "")
        self._newest = None  # the last RTCP has gone since
        return replace(self.snapshot(now), end_reason=self.ending.reason)

    @property
    def is_beyond_the_line(self) -> bool:
        """Whether what it sends is more than its path carries, for so long that RFC 8083 demands an end."""
        sent = (line.send.statistics() for line in self.lines if line.send)
        return any(stats is not None and stats.congestion.ended for stats in sent)

    def snapshot(self, now: float) -> CallRecord:
        """All that is known of it, once for each moment: several parts of the program look at the same time. To be
        asked for at least once a second, or the worst stretch is missed."""
        if self._newest is not None and self._newest[0] is self.record and self._newest[1].at == now:
            return self._newest[1]
        rx, tx, network = self.record.rx, self.record.tx, self.record.network
        for line in self.lines:
            rx = (line.receive.statistics() if line.receive else None) or rx
            tx = (line.send.statistics() if line.send else None) or tx
            network = line.statistics()
        first_audio = None if rx is None or rx.first_audio_at is None else rx.first_audio_at - self._began
        duration = 0.0 if self.established is None else (self.ended or now) - self.established
        if self.record.media is not None and self.ended is None:
            self._trend.feed(self.record.media.audio.codec, rx, network.rtt if network else None, now)
        known = replace(
            self.record,
            rx=rx,
            tx=tx,
            network=network,
            first_audio=first_audio,
            duration=duration,
            at=now,
            trend=self._trend.figures,
        )
        self._newest = self.record, known
        return known
