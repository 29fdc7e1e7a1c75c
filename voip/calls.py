"""Calls: where signalling meets media. Handlers of the user agent's events, all run on the network thread.

A call begins with an INVITE (ours in `Caller`, the peer's in `Answerer`), gets a media port and an `RtpSession` when
offer and answer agree (RFC 3264), and ends by BYE, rejection or media time-out. What the main thread may know of it
is in `records`, a tuple of frozen values that is replaced whole.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from voip.audio import AudioSender
from voip.engine import (
    EXIT_AUTHENTICATION,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
    EXIT_OK,
    EXIT_REJECTED,
    Capture,
    Playback,
    Shutdown,
)
from voip.errors import NegotiationError, ProtocolError
from voip.fec import Pattern
from voip.net import MediaPort, Network, NetworkError
from voip.report import CallRecord, Console
from voip.rtp import RtpPacket
from voip.sdp import (
    Capabilities,
    Endpoint,
    NegotiatedMedia,
    SessionDescription,
    accept_answer,
    make_answer,
    make_offer,
)
from voip.session import RtpSession
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallRinging,
    IncomingCall,
    NameAddr,
    PeerAlive,
    RequestRefused,
    SipUri,
    UserAgent,
)
from voip.stats import ReceiverStats, SenderStats

WATCH_INTERVAL = 0.25
"""Seconds between looks at the media time-out and at the statistics."""
PINGS_PER_TIMEOUT = 4
"""A silent peer is asked this many times (OPTIONS in the dialog) before its media time-out."""
ABANDONED_AFTER = 0.5
"""Seconds since its last packet after which a call makes room for a new one of the same caller and host."""
RECORDS_KEPT = 1000
"""Ended calls that the final report holds: the last ones."""
UNAUTHORIZED = (401, 407)
UNAVAILABLE = (408, 480)


@dataclass
class Call:
    """One call, owned by the network thread."""

    record: CallRecord
    remote_host: str
    caller_user: str | None
    began: float
    endpoint: Endpoint
    port: MediaPort
    offer: SessionDescription | None = None
    media: NegotiatedMedia | None = None
    session: RtpSession | None = None
    heard_at: float | None = None
    established: float | None = None
    ended: float | None = None
    pinged: float = 0.0


@dataclass(frozen=True)
class CallSettings:
    """What the options say of every call; times in seconds."""

    capabilities: Capabilities
    media_timeout: float
    pattern: Pattern | None


class CallKeeper(ABC):
    """What both sides of a call have in common; a subclass says where the media comes from or goes to."""

    LISTENS = True
    """Whether a peer that may send is expected to."""

    def __init__(
        self, network: Network, agent: UserAgent, console: Console, shutdown: Shutdown, settings: CallSettings
    ) -> None:
        self.network, self.agent, self.console, self.shutdown = network, agent, console, shutdown
        self.settings, self.capabilities = settings, settings.capabilities
        self.rng: random.Random = random.SystemRandom()
        self.calls: dict[str, Call] = {}
        self.records: tuple[CallRecord, ...] = ()
        self._ended: tuple[CallRecord, ...] = ()
        self._endings: dict[str, CallEnded] = {}
        network.serve(agent, self.handlers())
        network.post(self._watch)

    @property
    def idle(self) -> bool:
        """No call is up, ringing or being played to its end; readable from any thread."""
        return not self.calls

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            CallOffered: self.on_offered,
            CallEnded: self.on_ended,
            PeerAlive: self.on_alive,
            RequestRefused: self.on_refused,
        }

    def hang_up_all(self) -> None:
        for call_id in list(self.calls):
            self.agent.hang_up(call_id, self.network.now())

    def last_words(self) -> None:
        """Just before the end: one more copy of each BYE that was not answered; then whatever is left is closed."""
        self.agent.send_pending_byes(self.network.now())
        self.network.flush()
        for call_id in list(self.calls):
            self._close(call_id)

    # --- events common to both sides ------------------------------------------------------------------------------

    def on_offered(self, event: CallOffered) -> None:
        """A re-INVITE: hold, resume, another address or codec (RFC 3264 section 8)."""
        call = self.calls.get(event.call_id)
        if call is None or call.media is None:
            return
        call.endpoint = replace(call.endpoint, session_version=call.endpoint.session_version + 1)
        try:
            if event.offer:
                offer = SessionDescription.parse(event.offer)
                answer, media = make_answer(offer, self.capabilities, call.endpoint)
                self._update(event.call_id, call, media)
            else:
                answer = call.offer = make_offer(self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.agent.reject(event.call_id, getattr(error, "status", 488), self.network.now())
            self.console.say(1, f"refused a changed offer of {call.record.peer}: {error}")
            return
        self.agent.accept(event.call_id, answer.serialize(), self.network.now())

    def on_alive(self, event: PeerAlive) -> None:
        call = self.calls.get(event.call_id)
        if call is not None:
            call.heard_at = self.network.now()

    def on_refused(self, event: RequestRefused) -> None:
        self.console.say(1, f"refused {event.method} of {event.source.host}:{event.source.port}: {event.status}")

    def on_ended(self, event: CallEnded) -> None:
        """Signalling is over; media may still be played to its end, then `_close` follows."""
        call = self.calls.get(event.call_id)
        if call is None or event.call_id in self._endings:  # the first reason counts, not what becomes of our BYE
            return
        self._endings[event.call_id] = event
        call.ended = self.network.now()
        if call.media is None:
            self._close(event.call_id)
        else:
            self._end_media(event.call_id)

    # --- what a side has to provide -------------------------------------------------------------------------------

    @abstractmethod
    def _begin_media(self, call_id: str, call: Call) -> None:
        """The call is agreed on: let its media flow."""

    @abstractmethod
    def _change_media(self, call_id: str, media: NegotiatedMedia) -> None:
        """The call was negotiated anew."""

    @abstractmethod
    def _end_media(self, call_id: str) -> None:
        """Signalling is over: see to the rest of the media, then `_close`."""

    @abstractmethod
    def _statistics(self, call_id: str) -> tuple[ReceiverStats | None, SenderStats | None]:
        """What is known of the media so far."""

    @abstractmethod
    def _over(self, call: Call, ending: CallEnded | None) -> None:
        """The call is closed and reported."""

    # --- inside ---------------------------------------------------------------------------------------------------

    def _new_call(self, record: CallRecord, remote_host: str, caller_user: str | None = None) -> Call:
        """A call with its media port; NetworkError when there is none."""
        port = self.network.open_media_port(remote_host)
        endpoint = Endpoint(
            host=port.host,
            port=port.port,
            ssrc=self.rng.getrandbits(32),
            fec_ssrc=self.rng.getrandbits(32),
            cname=f"{self.rng.getrandbits(96):024x}",
            session_id=self.rng.getrandbits(31),
            session_version=1,
        )
        now = self.network.now()
        record = replace(record, start=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return Call(record, remote_host, caller_user, now, endpoint, port)

    def _agreed(self, call_id: str, call: Call, media: NegotiatedMedia) -> None:
        """Offer and answer agree: media flows from here on."""
        now = self.network.now()
        call.media, call.session, call.established = media, RtpSession(media), now
        call.record = replace(call.record, media=media, setup=now - call.began)
        self._begin_media(call_id, call)
        codec = media.codec
        fec = f"FEC {media.fec}" if media.fec else "no FEC"
        self.console.event(
            "established",
            f"call {'from' if call.record.incoming else 'to'} {call.record.peer}\n"
            f"  {codec.name.lower()} {codec.clock_rate} Hz, {codec.channels} ch, {media.ptime * 1e3:g} ms packets, "
            f"{fec}, not encrypted",
            call_id=call_id,
            peer=call.record.peer,
            codec=codec.name.lower(),
        )

    def _update(self, call_id: str, call: Call, media: NegotiatedMedia) -> None:
        if media == call.media or call.session is None:
            return
        self.console.say(1, f"media of {call.record.peer} now {media.direction.value}, to {media.remote[0]}")
        call.media = media
        call.record = replace(call.record, media=media)
        call.heard_at = self.network.now()
        call.session.update(media)
        self._change_media(call_id, media)

    def _watch(self) -> None:
        now = self.network.now()
        for call_id, call in list(self.calls.items()):
            self._watch_call(call_id, call, now)
        self._publish()
        self.network.call_later(WATCH_INTERVAL, self._watch)

    def _watch_call(self, call_id: str, call: Call, now: float) -> None:
        """End a call whose peer is gone; ask a silent one whether it is still there."""
        if call.established is None or call.session is None or call.media is None or call_id in self._endings:
            return
        heard = [call.established, call.session.last_heard, call.heard_at]
        silent = now - max(moment for moment in heard if moment is not None)
        if silent > self.settings.media_timeout:
            self.agent.hang_up(call_id, now)
            self.on_ended(
                CallEnded(call_id, "media-timeout", None, f"nothing heard for {self.settings.media_timeout:g} s")
            )
        elif not (self.LISTENS and call.media.direction.receives):
            # Nothing is due from this peer, so its silence says nothing: ask it.
            pause = self.settings.media_timeout / PINGS_PER_TIMEOUT
            if silent > pause and now - call.pinged > pause:
                call.pinged = now
                self.agent.ping(call_id, now)

    def _snapshot(self, call_id: str, call: Call) -> CallRecord:
        rx, tx = self._statistics(call_id)
        network = call.session.stats if call.session is not None else call.record.network
        if network is not None:
            network = replace(network, icmp_errors=call.port.icmp_errors)
        rx, tx = rx or call.record.rx, tx or call.record.tx
        first_audio = None if rx is None or rx.first_audio_at is None else rx.first_audio_at - call.began
        duration = 0.0 if call.established is None else (call.ended or self.network.now()) - call.established
        return replace(call.record, rx=rx, tx=tx, network=network, first_audio=first_audio, duration=duration)

    def _publish(self) -> None:
        live = tuple(self._snapshot(call_id, call) for call_id, call in self.calls.items())
        self.records = self._ended + live

    def _close(self, call_id: str) -> None:
        """The last of a call: its port is closed, its report made."""
        call = self.calls[call_id]
        ending = self._endings.pop(call_id, None)
        reason = ending.reason if ending is not None else "local-bye"
        call.record = replace(self._snapshot(call_id, call), end_reason=reason)
        del self.calls[call_id]
        self.network.detach(call.port)
        self._ended = (*self._ended, call.record)[-RECORDS_KEPT:]
        self._publish()
        self.console.call_ended(call.record)
        self._over(call, ending)


class Answerer(CallKeeper):
    """The receiver's side: answers INVITEs and has their streams played."""

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        console: Console,
        shutdown: Shutdown,
        settings: CallSettings,
        *,
        playback: Playback,
        once: bool = False,
    ) -> None:
        super().__init__(network, agent, console, shutdown, settings)
        self.playback, self.once = playback, once
        agent.replaceable = self._is_abandoned

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return super().handlers() | {IncomingCall: self.on_incoming, CallEstablished: self.on_established}

    def _is_abandoned(self, call_id: str, source: Address, caller: NameAddr) -> bool:
        """Whether a new call of the same caller shows that this one's sender was restarted without a BYE."""
        call = self.calls.get(call_id)
        if call is None or call.media is None or call.session is None or call.session.last_heard is None:
            return False
        same = source.host == call.remote_host and getattr(caller.uri, "user", None) == call.caller_user
        silent = self.network.now() - call.session.last_heard
        return same and call.media.direction.receives and silent > ABANDONED_AFTER

    def on_incoming(self, event: IncomingCall) -> None:
        peer = str(event.caller.uri)
        self.console.event("incoming", None, call_id=event.call_id, peer=peer)
        record = CallRecord(call_id=event.call_id, peer=peer, incoming=True)
        call = None
        try:
            if not self.playback.sink.available:
                raise NegotiationError("the speaker is gone", status=480)
            call = self._new_call(record, event.source.host, getattr(event.caller.uri, "user", None))
            self._answer(event, call)
        except (ProtocolError, NegotiationError, NetworkError) as error:
            status = getattr(error, "status", 400 if isinstance(error, ProtocolError) else 503)
            self.agent.reject(event.call_id, status, self.network.now())
            self.console.say(0, f"refused a call from {peer}: {error}")
            if call is not None:
                self.calls.pop(event.call_id, None)
                self.network.detach(call.port)

    def _answer(self, event: IncomingCall, call: Call) -> None:
        now = self.network.now()
        if not event.offer:  # late offer: the peer's answer comes with its ACK (RFC 3261 section 13.2.1)
            call.offer = make_offer(self.capabilities, call.endpoint)
            self.calls[event.call_id] = call
            self.agent.accept(event.call_id, call.offer.serialize(), now)
            return
        answer, media = make_answer(SessionDescription.parse(event.offer), self.capabilities, call.endpoint)
        self.calls[event.call_id] = call
        self._agreed(event.call_id, call, media)
        self.agent.accept(event.call_id, answer.serialize(), now)

    def on_established(self, event: CallEstablished) -> None:
        call = self.calls.get(event.call_id)
        if call is None or call.offer is None:
            return
        try:
            answer = SessionDescription.parse(event.answer)
            media = accept_answer(call.offer, answer, self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.console.say(0, f"{call.record.peer} answered with nothing usable: {error}")
            self.agent.hang_up(event.call_id, self.network.now())
            return
        call.offer = None
        if call.media is None:
            self._agreed(event.call_id, call, media)
        else:
            self._update(event.call_id, call, media)

    def _begin_media(self, call_id: str, call: Call) -> None:
        assert call.media is not None
        assert call.session is not None
        mailbox, put, session = self.playback.mailbox, self.playback.mixer.put, call.session
        mailbox.post(self.playback.begin, call_id, call.media)

        def on_packet(packet: RtpPacket, arrival: float) -> None:
            mailbox.post_packet(put, call_id, packet, arrival)
            session.overruns = mailbox.overruns
            if self.console.shows_packets:
                self.console.packet("received", packet)

        self.network.attach(call.port, call.session, on_packet)

    def _change_media(self, call_id: str, media: NegotiatedMedia) -> None:
        self.playback.mailbox.post(self.playback.mixer.update, call_id, media)

    def _end_media(self, call_id: str) -> None:
        def played_out(stats: ReceiverStats) -> None:  # playback thread
            self.network.post(self._played_out, call_id, stats)

        self.playback.mailbox.post(self.playback.mixer.finish, call_id, played_out)

    def _played_out(self, call_id: str, stats: ReceiverStats) -> None:
        call = self.calls.get(call_id)
        if call is not None:
            call.record = replace(call.record, rx=stats)
            self._close(call_id)

    def _statistics(self, call_id: str) -> tuple[ReceiverStats | None, SenderStats | None]:
        return self.playback.mixer.stats.get(call_id), None

    def _over(self, call: Call, ending: CallEnded | None) -> None:
        if self.once and call.media is not None and not self.calls:
            status, error = outcome(call, ending)
            self.shutdown.request(status, error or None)


class Caller(CallKeeper):
    """The sender's side: calls its targets and feeds those that answer.

    It offers both directions, as a phone does whose user only speaks: many phones take a sendonly offer for being put
    on hold (RFC 3264 section 8.4) and play nothing. What they send back is not played.
    """

    LISTENS = False

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        console: Console,
        shutdown: Shutdown,
        settings: CallSettings,
        *,
        capture: Capture,
        name: str,
        connect_timeout: float,
    ) -> None:
        super().__init__(network, agent, console, shutdown, settings)
        self.capture, self.name, self.connect_timeout = capture, name, connect_timeout
        self._worst: tuple[int, str] = (EXIT_OK, "")
        network.on_send_error = self.on_send_error

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return super().handlers() | {CallRinging: self.on_ringing, CallAnswered: self.on_answered}

    def dial(self, target: SipUri, host: str) -> None:
        """INVITE `target` at the literal address `host`; the first answer sets the capture thread going."""
        call = self._new_call(CallRecord(call_id="", peer=str(target), incoming=False), host)
        call.offer = make_offer(self.capabilities, call.endpoint)
        now = self.network.now()
        body = call.offer.serialize()
        call_id = self.agent.invite(target, body, now, timeout=self.connect_timeout, display=self.name)
        call.record = replace(call.record, call_id=call_id)
        self.calls[call_id] = call
        self.console.say(0, f"calling {target}   {self.capture.source.description}")

    def on_input_end(self) -> None:
        """Capture thread: everything has been sent."""
        self.network.post(self.hang_up_all)

    def on_ringing(self, event: CallRinging) -> None:
        call = self.calls.get(event.call_id)
        if call is not None:
            self.console.say(0, f"{call.record.peer}: {event.status} {event.reason}")

    def on_answered(self, event: CallAnswered) -> None:
        call = self.calls.get(event.call_id)
        if call is None or call.offer is None or call.media is not None:
            return
        try:
            answer = SessionDescription.parse(event.answer)
            media = accept_answer(call.offer, answer, self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.shutdown.request(EXIT_REJECTED, f"{call.record.peer} answered with nothing usable: {error}")
            self.agent.hang_up(event.call_id, self.network.now())
            return
        self._agreed(event.call_id, call, media)
        self.capture.begin.set()

    def on_send_error(self, address: Address, error: OSError) -> None:
        """The network refuses what we send: before the answer that ends the call, afterwards time-outs decide."""
        for call_id, call in list(self.calls.items()):
            if call.remote_host == address.host and call.media is None:
                self.on_ended(CallEnded(call_id, "network", None, f"cannot reach {address.host}: {error.strerror}"))

    def _begin_media(self, call_id: str, call: Call) -> None:
        assert call.media is not None
        assert call.session is not None
        self.network.attach(call.port, call.session, lambda packet, arrival: None)
        port, session = call.port, call.session

        def send(datagram: bytes) -> None:  # capture thread
            port.send(session.remote, datagram)
            if self.console.shows_packets:
                self.console.packet("sent", RtpPacket.parse(datagram))

        self.capture.mailbox.post(self._feed, call_id, call.media, send)

    def _feed(self, call_id: str, media: NegotiatedMedia, send: Callable[[bytes], None]) -> None:
        """Capture thread: the stream joins."""
        source = self.capture.source
        sender = AudioSender(
            media, sample_rate=source.sample_rate, channels=source.channels, rng=self.rng, pattern=self.settings.pattern
        )
        self.capture.fanout.add(call_id, sender, send)

    def _change_media(self, call_id: str, media: NegotiatedMedia) -> None:
        self.capture.mailbox.post(self.capture.fanout.update, call_id, media)

    def _end_media(self, call_id: str) -> None:
        self.capture.mailbox.post(self._starve, call_id)

    def _starve(self, call_id: str) -> None:
        """Capture thread: the stream leaves."""
        self.network.post(self._starved, call_id, self.capture.fanout.remove(call_id))

    def _starved(self, call_id: str, stats: SenderStats | None) -> None:
        call = self.calls.get(call_id)
        if call is not None:
            call.record = replace(call.record, tx=stats)
            self._close(call_id)

    def _statistics(self, call_id: str) -> tuple[ReceiverStats | None, SenderStats | None]:
        return None, self.capture.fanout.stats.get(call_id)

    def _over(self, call: Call, ending: CallEnded | None) -> None:
        status, error = outcome(call, ending)
        if status != EXIT_OK and self.calls:
            self.console.say(0, error)
        self._worst = self._worst if self._worst[0] else (status, error)
        if not self.calls:
            self.shutdown.request(self._worst[0], self._worst[1] or None)


def outcome(call: Call, ending: CallEnded | None) -> tuple[int, str]:
    """The exit status that the end of a call means for its caller, and the line that says what to do."""
    peer = call.record.peer
    gone = ending is not None and ending.reason == "timeout"  # 481: the other side has ended the call already
    if ending is None or gone or ending.reason in ("local-bye", "remote-bye", "cancelled"):
        return EXIT_OK, ""
    if ending.reason == "media-timeout":
        return EXIT_NO_MEDIA, f"{peer} has gone: {ending.phrase}"
    if ending.reason == "network":
        return EXIT_NETWORK, ending.phrase
    if ending.reason == "no-answer":
        if ending.status:
            return EXIT_NO_ANSWER, f"{peer} rings, but nobody answers"
        return EXIT_NO_ANSWER, f"{peer} does not answer. Is receiver.py running there, and its UDP port open?"
    said = f"{ending.status} {ending.phrase}".strip()
    if ending.status in UNAUTHORIZED:
        return EXIT_AUTHENTICATION, f"{peer} asks for a user and password ({said}); see --user and --password-file"
    if ending.status in UNAVAILABLE:
        return EXIT_NO_ANSWER, f"{peer} is not available ({said})"
    if ending.status:
        return EXIT_REJECTED, f"{peer} refused the call ({said})"
    return EXIT_NO_MEDIA, f"the call to {peer} ended: {ending.reason}"
