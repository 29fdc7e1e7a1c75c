"""What both sides of a call have in common: its port, its media, its watch and its end."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from voip.calls.moving import LOOK_INTERVAL, readdressed
from voip.calls.registering import Registrant
from voip.calls.streams import Hearing, Speaking
from voip.engine import Shutdown
from voip.errors import NegotiationError, ProtocolError
from voip.media import NegotiatedMedia
from voip.net import MediaTransport, Network, OnPacket, family_of
from voip.report import CallRecord, Console
from voip.rtcp import ReportSources
from voip.sdp import Capabilities, Endpoint, SessionDescription, accept_answer, make_answer, make_offer
from voip.sdp.plain import describe
from voip.session import RtpSession
from voip.sip import CallEnded, CallOffered, CallReanswered, DigitPressed, PeerAlive, RequestRefused, UserAgent
from voip.stats import ReceiverStats, SenderStats

WATCH_INTERVAL = 0.25
"""Seconds between looks at the media time-out and at the statistics."""
PINGS_PER_TIMEOUT = 4
"""A silent peer is asked this many times (OPTIONS in the dialog) before its media time-out."""
LEFT_AFTER = 2.0
"""Seconds of silence after RTCP's BYE until a stream without signalling is over: anybody could have sent that BYE."""
STREAM_ID_BITS = 128
"""Of the name that a stream without signalling gets in place of a Call-ID."""
SERVER_ERROR = 500
"""The SIP status of a request that we fail to handle (RFC 3261 section 21.5.1)."""
RECORDS_KEPT = 1000
"""Ended calls that the final report holds: the last ones."""


@dataclass
class Call:
    """One call, owned by the network thread."""

    record: CallRecord
    remote_host: str
    caller_user: str | None
    began: float
    endpoint: Endpoint
    port: MediaTransport
    offer: SessionDescription | None = None
    description: SessionDescription | None = None
    """The last one that we sent, offer or answer; its version rises only when it says something else."""
    early: NegotiatedMedia | None = None
    """What was agreed on before the call was answered, in place of the answer to our offer."""
    local_host: str = ""
    """Our own address on the route to the peer, whatever the peer is told."""
    looked_at: float = 0.0
    media: NegotiatedMedia | None = None
    session: RtpSession | None = None
    heard_at: float | None = None
    established: float | None = None
    ended: float | None = None
    pinged: float = 0.0
    signalled: bool = True
    """It has a SIP dialog; False: its media is all there is of it."""
    directions_left: int = 0
    """Of its media, those that still come to their end."""


@dataclass(frozen=True)
class CallSettings:
    """What the options say of every call; times in seconds.

    plain_fec: FEC is sent, and expected, also without signalling. on_description is given the session description of
    each stream without signalling: another tool may need it.
    """

    capabilities: Capabilities
    media_timeout: float
    plain_fec: bool = False
    on_description: Callable[[SessionDescription], None] = lambda description: None

    def describe(self, destination: Endpoint) -> SessionDescription:
        """A stream to there without signalling."""
        return describe(replace(self.capabilities, fec=self.plain_fec), destination)


class CallKeeper(ABC):
    """What both sides of a call have in common; a subclass says how one begins.

    `hearing` plays what the peers send, `speaking` sends them what is captured; a call has one of them or both.
    """

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        console: Console,
        shutdown: Shutdown,
        settings: CallSettings,
        *,
        hearing: Hearing | None = None,
        speaking: Speaking | None = None,
    ) -> None:
        self.network, self.agent, self.console, self.shutdown = network, agent, console, shutdown
        self.hearing, self.speaking = hearing, speaking
        self.streams = tuple(stream for stream in (hearing, speaking) if stream is not None)
        self.settings, self.capabilities = settings, settings.capabilities
        self.rng: random.Random = random.SystemRandom()
        self.calls: dict[str, Call] = {}
        self.records: tuple[CallRecord, ...] = ()
        self._ended: tuple[CallRecord, ...] = ()
        self._endings: dict[str, CallEnded] = {}
        self.registrant = Registrant(network, agent, console, shutdown)
        network.sip.serve(agent, self.handlers() | self.registrant.handlers(), self.drop)
        network.loop.post(self.registrant.start)
        network.loop.post(self._watch)

    @property
    def idle(self) -> bool:
        """No call is up, ringing or being played to its end, and no registrar knows of us; readable from any thread."""
        return not self.calls and not self.agent.registering

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            CallOffered: self.on_offered,
            CallReanswered: self.on_reanswered,
            CallEnded: self.on_ended,
            DigitPressed: self.on_digit,
            PeerAlive: self.on_alive,
            RequestRefused: self.on_refused,
        }

    def hang_up_all(self) -> None:
        self.registrant.stop()
        for call_id, call in list(self.calls.items()):
            self._hang_up(call_id, call)

    def _hang_up(self, call_id: str, call: Call) -> None:
        self._say_goodbye(call)
        if call.signalled:
            self.agent.hang_up(call_id, self.network.loop.now())
        else:
            self.on_ended(CallEnded(call_id, "local-bye", None, ""))

    def drop(self, call_id: str) -> None:
        """End a call that a bug of ours keeps us from going on with, in whatever state it is."""
        self.agent.reject(call_id, SERVER_ERROR, self.network.loop.now())
        self.agent.hang_up(call_id, self.network.loop.now())
        if call_id in self._endings:
            self._close(call_id)
        else:
            self.on_ended(CallEnded(call_id, "internal-error", None, ""))

    def last_words(self) -> None:
        """Just before the end: one more copy of each BYE that was not answered; then whatever is left is closed."""
        self.agent.send_pending_byes(self.network.loop.now())
        self.network.sip.flush()
        for call_id in list(self.calls):
            self._close(call_id)

    # --- events common to both sides ------------------------------------------------------------------------------

    def on_offered(self, event: CallOffered) -> None:
        """Hold, resume, another address or codec (RFC 3264 section 8); the same again refreshes the session."""
        call = self.calls.get(event.call_id)
        if call is None:
            return
        try:
            answer, media = self._describe(call, event.offer)
            if answer != call.description:
                call.endpoint = replace(call.endpoint, session_version=call.endpoint.session_version + 1)
                answer, media = self._describe(call, event.offer)
        except (ProtocolError, NegotiationError) as error:
            self.agent.reject(event.call_id, getattr(error, "status", 488), self.network.loop.now())
            self.console.say(1, f"refused a changed offer of {call.record.peer}: {error}")
            return
        call.description = answer
        if media is None:
            call.offer = answer
        elif call.media is None:
            call.early = media  # media begins when the call is answered
        else:
            self._update(event.call_id, call, media)
        self.agent.accept(event.call_id, answer.serialize(), self.network.loop.now())

    def on_reanswered(self, event: CallReanswered) -> None:
        """The answer to an offer that we made during the call."""
        call = self.calls.get(event.call_id)
        if call is None or call.offer is None:
            return
        offer, call.offer = call.offer, None
        try:
            media = accept_answer(offer, SessionDescription.parse(event.answer), self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.console.say(1, f"{call.record.peer} answered a changed offer with nothing usable: {error}")
            return
        self._update(event.call_id, call, media)

    def on_digit(self, event: DigitPressed) -> None:
        call = self.calls.get(event.call_id)
        if call is not None:
            text = f"key {event.digit}   pressed"
            self.console.event("dtmf", text, call_id=event.call_id, digit=event.digit, duration_ms=None)

    def on_alive(self, event: PeerAlive) -> None:
        call = self.calls.get(event.call_id)
        if call is not None:
            call.heard_at = self.network.loop.now()

    def on_refused(self, event: RequestRefused) -> None:
        self.console.say(1, f"refused {event.method} of {event.source.host}:{event.source.port}: {event.status}")

    def on_ended(self, event: CallEnded) -> None:
        """Signalling is over; media may still be played to its end, then `_close` follows."""
        call = self.calls.get(event.call_id)
        if call is None or event.call_id in self._endings:  # the first reason counts, not what becomes of our BYE
            return
        self._endings[event.call_id] = event
        call.ended = call.ended or self.network.loop.now()
        self._say_goodbye(call)
        if call.media is None:
            self._close(event.call_id)
        else:
            self._end_media(event.call_id, call)

    # --- what a side has to provide -------------------------------------------------------------------------------

    @abstractmethod
    def _over(self, call: Call, ending: CallEnded | None) -> None:
        """The call is closed and reported."""

    # --- inside ---------------------------------------------------------------------------------------------------

    def _describe(self, call: Call, offer: bytes) -> tuple[SessionDescription, NegotiatedMedia | None]:
        """Our answer to this offer, and what it comes to; where there is none, an offer of ours."""
        if offer:
            return make_answer(SessionDescription.parse(offer), self.capabilities, call.endpoint)
        return make_offer(self.capabilities, call.endpoint), None

    def _new_call(
        self, record: CallRecord, remote_host: str, caller_user: str | None = None, own_port: int | None = None
    ) -> Call:
        """A call with its media port, `own_port` if that matters; NetworkError when there is none."""
        port = self.network.media.open(remote_host, own_port)
        endpoint = Endpoint(
            host=port.host,
            port=port.port,
            ip_version=port.ip_version,
            ssrc=self.rng.getrandbits(32),
            fec_ssrc=self.rng.getrandbits(32),
            cname=f"{self.rng.getrandbits(96):024x}",
            session_id=self.rng.getrandbits(31),
            session_version=1,
        )
        now = self.network.loop.now()
        record = replace(record, start=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return Call(record, remote_host, caller_user, now, endpoint, port, local_host=port.host)

    def _aim(self, call: Call, remote_host: str) -> None:
        """Make a call that has not begun ready for a peer at this literal address; NetworkError without a port."""
        if family_of(remote_host) != family_of(call.remote_host):
            call.port.close()
            call.port = self.network.media.open(remote_host)
        call.remote_host = remote_host
        call.local_host = self.network.addresses.local_host(remote_host)
        call.endpoint = replace(
            call.endpoint, host=call.local_host, port=call.port.port, ip_version=call.port.ip_version
        )

    def _look_for_move(self, call_id: str, call: Call, now: float) -> None:
        """Tell the peer of a call that is up when this machine's address on the way to it is another."""
        if now - call.looked_at < LOOK_INTERVAL or call.description is None or call_id in self._endings:
            return
        call.looked_at = now
        host = self.network.addresses.current_host(call.remote_host)
        if host is None or host == call.local_host:
            return
        self.console.say(0, f"our address towards {call.record.peer} is now {host}, and was {call.local_host}")
        call.local_host = host
        self._discover(call_id, call, partial(self._tell_move, call_id, call))

    def _tell_move(self, call_id: str, call: Call) -> None:
        if call.description is None:
            return
        call.endpoint = replace(call.endpoint, session_version=call.endpoint.session_version + 1)
        call.offer = call.description = readdressed(call.description, call.endpoint, self.capabilities.direction)
        self.agent.reinvite(call_id, call.offer.serialize(), self.network.loop.now())

    def _discover(self, call_id: str, call: Call, then: Callable[[], None]) -> None:
        """Have the call's endpoint name the address that the peer sees, as far as that can be known; then go on."""

        def told(rtp: tuple[str, int] | None, rtcp: tuple[str, int] | None) -> None:
            if self.calls.get(call_id) is not call or call_id in self._endings:
                return
            host, port = rtp or (call.local_host, call.port.port)
            rtcp_port = rtcp[1] if rtcp is not None and rtcp[1] != port + 1 else None
            call.endpoint = replace(call.endpoint, host=host, port=port, rtcp_port=rtcp_port)
            then()

        self.network.addresses.discover(call.port, call.remote_host, told)

    def _agreed(self, call_id: str, call: Call, media: NegotiatedMedia) -> None:
        """Offer and answer agree: media flows from here on."""
        call.media = media
        call.session = self._new_session(call_id, call, media)
        call.port.attach(call.session, self._packet_sink(call_id))
        self._begin_media(call_id, call, call.session)

    def _new_session(self, call_id: str, call: Call, media: NegotiatedMedia) -> RtpSession:
        sources = ReportSources()
        for stream in self.streams:
            sources = stream.report_sources(call_id, sources)
        offset = self.network.ntp_offset
        return RtpSession(media, cname=call.endpoint.cname, ntp_offset=offset, rng=self.rng, reports=sources)

    def _packet_sink(self, call_id: str) -> OnPacket:
        """What takes the packets that come."""
        return self.hearing.taker(call_id) if self.hearing else lambda packet, arrival: None

    def _begin_media(self, call_id: str, call: Call, session: RtpSession) -> None:
        """Let the call's media flow, by a port that its session is attached to."""
        assert call.media is not None
        now = self.network.loop.now()
        call.established = now
        call.record = replace(call.record, media=call.media, setup=now - call.began)
        if self.speaking is not None:
            session.start_reports(now)
        for stream in self.streams:
            stream.begin(call_id, call.media, call.port)
        self._announce(call_id, call, call.media)

    def _announce(self, call_id: str, call: Call, media: NegotiatedMedia) -> None:
        codec = media.audio.codec
        fec = f"FEC {media.fec}" if media.fec else "no FEC"
        self.console.event(
            "established",
            f"call {'from' if call.record.incoming else 'to'} {call.record.peer}\n"
            f"  {codec.label} {codec.clock_rate} Hz, {codec.channels} ch, {media.audio.ptime * 1e3:.4g} ms packets, "
            f"{fec}, not encrypted",
            call_id=call_id,
            peer=call.record.peer,
            codec=codec.label,
        )

    def _end_media(self, call_id: str, call: Call) -> None:
        """Signalling is over: what has been said is sent, and what has come is played to its end."""
        call.directions_left = len(self.streams)
        for stream in self.streams:
            stream.end(call_id, partial(self._direction_ended, call_id))

    def _direction_ended(self, call_id: str, stats: ReceiverStats | SenderStats | None) -> None:
        call = self.calls.get(call_id)
        if call is None:
            return
        if isinstance(stats, ReceiverStats):
            call.record = replace(call.record, rx=stats)
        elif stats is not None:
            call.record = replace(call.record, tx=stats)
        call.directions_left -= 1
        if call.directions_left == 0:
            self._close(call_id)

    def _statistics(self, call_id: str) -> tuple[ReceiverStats | None, SenderStats | None]:
        """What is known of the media so far."""
        rx = self.hearing.statistics(call_id) if self.hearing else None
        return rx, self.speaking.statistics(call_id) if self.speaking else None

    def _update(self, call_id: str, call: Call, media: NegotiatedMedia) -> None:
        if media == call.media or call.session is None:
            return
        self.console.say(1, f"media of {call.record.peer} now {media.direction.value}, to {media.remote[0]}")
        call.media = media
        call.record = replace(call.record, media=media)
        call.heard_at = self.network.loop.now()
        call.session.update(media)
        for stream in self.streams:
            stream.change(call_id, media)

    def _say_goodbye(self, call: Call) -> None:
        """The last RTCP: what the call came to. Only SIP ends it."""
        if call.session is not None:
            call.port.send_goodbye()

    def _watch(self) -> None:
        now = self.network.loop.now()
        for call_id, call in list(self.calls.items()):
            self._watch_call(call_id, call, now)
            if call.media is not None:
                self._look_for_move(call_id, call, now)
        self.registrant.look(now)
        self._publish()
        self.network.loop.call_later(WATCH_INTERVAL, self._watch)

    def _watch_call(self, call_id: str, call: Call, now: float) -> None:
        """End a call whose peer is gone; ask a silent one whether it is still there."""
        if call.established is None or call.session is None or call.media is None or call_id in self._endings:
            return
        heard = [call.established, call.session.last_heard, call.heard_at]
        silent = now - max(moment for moment in heard if moment is not None)
        if self._has_left(call, silent):
            call.ended = now - silent
            self.on_ended(CallEnded(call_id, "remote-bye", None, ""))
        elif silent > self.settings.media_timeout and (call.signalled or self.hearing):
            self.agent.hang_up(call_id, now)
            self.on_ended(
                CallEnded(call_id, "media-timeout", None, f"nothing heard for {self.settings.media_timeout:g} s")
            )
        elif not (self.hearing and call.media.direction.receives):
            # Nothing is due from this peer, so its silence says nothing: ask it.
            pause = self.settings.media_timeout / PINGS_PER_TIMEOUT
            if silent > pause and now - call.pinged > pause:
                call.pinged = now
                self.agent.ping(call_id, now)

    def _has_left(self, call: Call, silent: float) -> bool:
        """Without signalling RTCP's BYE, and silence after it, ends a stream (RFC 3550 section 6.6)."""
        left = call.session is not None and call.session.peer_left
        return not call.signalled and left and silent > LEFT_AFTER

    def _snapshot(self, call_id: str, call: Call) -> CallRecord:
        rx, tx = self._statistics(call_id)
        network = call.session.stats if call.session is not None else call.record.network
        if network is not None:
            overruns = self.hearing.overruns if self.hearing else 0
            port = call.port
            network = replace(network, icmp_errors=port.icmp_errors, unsent=port.unsent, overruns=overruns)
        rx, tx = rx or call.record.rx, tx or call.record.tx
        first_audio = None if rx is None or rx.first_audio_at is None else rx.first_audio_at - call.began
        duration = 0.0 if call.established is None else (call.ended or self.network.loop.now()) - call.established
        return replace(call.record, rx=rx, tx=tx, network=network, first_audio=first_audio, duration=duration)

    def _publish(self) -> None:
        live = tuple(self._snapshot(call_id, call) for call_id, call in self.calls.items())
        self.records = self._ended + live

    def _close(self, call_id: str) -> None:
        """The last of a call: its port is closed, its report made."""
        call = self.calls[call_id]
        ending = self._endings.pop(call_id, None)
        reason = ending.reason if ending is not None else "local-bye"
        call.port.close()
        call.record = replace(self._snapshot(call_id, call), end_reason=reason)
        del self.calls[call_id]
        if call.signalled or call.established is not None:
            self._report(call)
        self._over(call, ending)

    def _report(self, call: Call) -> None:
        self._ended = (*self._ended, call.record)[-RECORDS_KEPT:]
        self._publish()
        self.console.call_ended(call.record)
