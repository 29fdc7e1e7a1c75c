"""The receiver's side: a call comes in and is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from voip.calls.ending import outcome
from voip.calls.keeper import STREAM_ID_BITS, Call, CallKeeper, CallSettings
from voip.calls.streams import Hearing, Speaking
from voip.engine import Shutdown
from voip.errors import NegotiationError, NetworkError, ProtocolError, VoipError
from voip.net import Network, OnPacket
from voip.report import CallRecord, Console
from voip.rtp import RtpPacket
from voip.sdp import SessionDescription, accept_answer
from voip.sdp.plain import media_of
from voip.sip import Address, CallEnded, CallEstablished, IncomingCall, NameAddr, UserAgent

ABANDONED_AFTER = 0.5
"""Seconds since its last packet after which a call makes room for a new one of the same caller and host."""


@dataclass(frozen=True)
class PlainSource:
    """A stream without signalling: the port that it comes to, at any address of the family of `host`, and its format.

    `name` is what the user calls it; without a description it is what we would send ourselves.
    """

    name: str
    host: str
    port: int
    description: SessionDescription | None = None


class Answerer(CallKeeper):
    """Answers INVITEs."""

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        console: Console,
        shutdown: Shutdown,
        settings: CallSettings,
        *,
        hearing: Hearing | None,
        speaking: Speaking | None = None,
        once: bool = False,
    ) -> None:
        super().__init__(network, agent, console, shutdown, settings, hearing=hearing, speaking=speaking)
        self.once = once
        self._sources: dict[str, PlainSource] = {}

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return super().handlers() | {IncomingCall: self.on_incoming, CallEstablished: self.on_established}

    def is_abandoned(self, call_id: str, source: Address, caller: NameAddr) -> bool:
        """Whether a new call of the same caller shows that this one's sender was restarted without a BYE."""
        call = self.calls.get(call_id)
        if call is None or call.media is None or call.session is None or call.session.last_heard is None:
            return False
        same = source.host == call.remote_host and getattr(caller.uri, "user", None) == call.caller_user
        silent = self.network.loop.now() - call.session.last_heard
        return same and call.media.direction.receives and silent > ABANDONED_AFTER

    def on_incoming(self, event: IncomingCall) -> None:
        peer = str(event.caller.uri)
        self.console.event("incoming", None, call_id=event.call_id, peer=peer)
        record = CallRecord(call_id=event.call_id, peer=peer, incoming=True)
        try:
            if self.hearing and not self.hearing.available:
                raise NegotiationError("the speaker is gone", status=480)
            call = self._new_call(record, event.source.host, getattr(event.caller.uri, "user", None))
        except (NegotiationError, NetworkError) as error:
            self._refuse(event, error)
            return
        self.calls[event.call_id] = call
        self._discover(event.call_id, call, partial(self._answer, event, call))

    def _answer(self, event: IncomingCall, call: Call) -> None:
        try:
            answer, media = self._describe(call, event.offer)
            call.description = answer
            if media is None:  # late offer: the peer's answer comes with its ACK (RFC 3261 section 13.2.1)
                call.offer = answer
            else:
                self._agreed(event.call_id, call, media)
        except (ProtocolError, NegotiationError) as error:
            del self.calls[event.call_id]
            call.port.close()
            self._refuse(event, error)
            return
        self.agent.accept(event.call_id, answer.serialize(), self.network.loop.now())

    def _refuse(self, event: IncomingCall, error: VoipError) -> None:
        status = getattr(error, "status", 400 if isinstance(error, ProtocolError) else 503)
        self.agent.reject(event.call_id, status, self.network.loop.now())
        self.console.say(0, f"refused a call from {event.caller.uri}: {error}")

    def await_stream(self, source: PlainSource) -> None:
        """Play what comes without signalling: the first stream, and after its end the next. NetworkError."""
        record = CallRecord(call_id=f"{self.rng.getrandbits(STREAM_ID_BITS):032x}", peer=source.name, incoming=True)
        call = self._new_call(record, source.host, own_port=source.port)
        call.signalled = False
        self._sources[record.call_id] = source
        self.calls[record.call_id] = call
        description = source.description or self.settings.describe(call.endpoint)
        self.settings.on_description(description)
        media = call.media = media_of(description, self.capabilities, call.endpoint, None)
        session = call.session = self._new_session(record.call_id, call, media)
        take: OnPacket | None = None

        def on_packet(packet: RtpPacket, arrival: float) -> None:
            nonlocal take
            if take is None:  # nothing is played, or recorded, before there is something
                self._begin_media(record.call_id, call, session)
                take = self._packet_sink(record.call_id)
            take(packet, arrival)

        call.port.attach(session, on_packet)

    def on_established(self, event: CallEstablished) -> None:
        call = self.calls.get(event.call_id)
        if call is None or call.offer is None:
            return
        try:
            answer = SessionDescription.parse(event.answer)
            media = accept_answer(call.offer, answer, self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.console.say(0, f"{call.record.peer} answered with nothing usable: {error}")
            self.agent.hang_up(event.call_id, self.network.loop.now())
            return
        call.offer = None
        if call.media is None:
            self._agreed(event.call_id, call, media)
        else:
            self._update(event.call_id, call, media)

    def _over(self, call: Call, ending: CallEnded | None) -> None:
        source = self._sources.pop(call.record.call_id, None)
        if source is not None and not self.once and not self.shutdown.requested():
            self.await_stream(source)
        elif self.once and call.media is not None and not self.calls:
            status, error = outcome(call, ending)
            self.shutdown.request(status, error or None)
