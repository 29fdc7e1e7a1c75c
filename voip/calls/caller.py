"""The sender's side of a call: it is dialled, and fed with what is captured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from voip.audio import AudioSender
from voip.calls.ending import outcome
from voip.calls.keeper import Call, CallKeeper, CallSettings
from voip.engine import EXIT_OK, EXIT_REJECTED, Capture, Shutdown
from voip.errors import NegotiationError, ProtocolError
from voip.fec import FecController
from voip.net import Network
from voip.report import CallRecord, Console
from voip.rtcp import RtcpExchange
from voip.rtp import RtpPacket
from voip.sdp import NegotiatedMedia, SessionDescription, accept_answer, make_offer
from voip.sip import Address, CallAnswered, CallEnded, CallRinging, SipUri, UserAgent
from voip.stats import ReceiverStats, SenderStats

BYE_PATIENCE = 4.0
"""Seconds that the answer to our BYE may take at the end of the input: three repetitions of it (RFC 3261, timer E)."""


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
        self.network.post(self._hang_up_and_leave)

    def _hang_up_and_leave(self) -> None:
        """Who does not answer our BYE may have left before us: it is not waited for until the media time-out."""
        self.hang_up_all()
        self.network.call_later(BYE_PATIENCE, self.last_words)

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

    def _report_on(self, call_id: str, exchange: RtcpExchange) -> None:
        super()._report_on(call_id, exchange)
        mailbox, fanout = self.capture.mailbox, self.capture.fanout
        exchange.on_report = lambda report: mailbox.post(fanout.report, call_id, report)
        exchange.start(self.network.now())

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
        source, fec = self.capture.source, self.settings.fec
        sender = AudioSender(
            media,
            sample_rate=source.sample_rate,
            channels=source.channels,
            rng=self.rng,
            pattern=None if isinstance(fec, str) else fec,
            control=FecController(self.settings.fec_max, ptime=media.ptime) if isinstance(fec, str) else None,
            on_decision=lambda reason: self.console.say(1, reason),
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
