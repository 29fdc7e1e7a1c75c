"""The receiver's side of a call: it is answered, and its stream is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from voip.calls.ending import outcome
from voip.calls.keeper import Call, CallKeeper, CallSettings
from voip.engine import Playback, Shutdown
from voip.errors import NegotiationError, ProtocolError
from voip.net import Network, NetworkError
from voip.report import CallRecord, Console
from voip.rtcp import RtcpExchange
from voip.rtp import RtpPacket
from voip.sdp import NegotiatedMedia, SessionDescription, accept_answer, make_answer, make_offer
from voip.sip import Address, CallEnded, CallEstablished, IncomingCall, NameAddr, UserAgent
from voip.stats import ReceiverStats, SenderStats

ABANDONED_AFTER = 0.5
"""Seconds since its last packet after which a call makes room for a new one of the same caller and host."""


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

    def _report_on(self, call_id: str, exchange: RtcpExchange) -> None:
        super()._report_on(call_id, exchange)
        exchange.buffer_limit = self.playback.latency_max

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
