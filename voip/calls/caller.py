"""The sender's side: a call is dialled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from voip.calls.ending import outcome
from voip.calls.keeper import STREAM_ID_BITS, Call, CallKeeper, CallSettings
from voip.calls.streams import Hearing, Speaking
from voip.engine import Shutdown
from voip.errors import EXIT_OK, EXIT_REJECTED, NegotiationError, NetworkError, ProtocolError
from voip.net import Network, SendFailed
from voip.report import CallRecord, Console
from voip.sdp import SessionDescription, accept_answer, make_offer
from voip.sdp.plain import media_of
from voip.sip import CallAnswered, CallEnded, CallRinging, OfferWanted, SipUri, UserAgent

BYE_PATIENCE = 4.0
"""Seconds that the answer to our BYE may take at the end of the input: three repetitions of it (RFC 3261, timer E)."""


class Caller(CallKeeper):
    """Calls its targets, and hangs up at the end of the input.

    It offers both directions even where it only sends, as a phone does whose user only speaks: many phones take a
    sendonly offer for being put on hold (RFC 3264 section 8.4) and play nothing. Without `hearing` what they send back
    is not played.
    """

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        console: Console,
        shutdown: Shutdown,
        settings: CallSettings,
        *,
        speaking: Speaking,
        hearing: Hearing | None = None,
        name: str,
        connect_timeout: float,
    ) -> None:
        super().__init__(network, agent, console, shutdown, settings, hearing=hearing, speaking=speaking)
        self.name, self.connect_timeout = name, connect_timeout
        self._input = speaking.capture.source.description
        self._worst: tuple[int, str] = (EXIT_OK, "")

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return super().handlers() | {
            OfferWanted: self.on_offer_wanted,
            CallRinging: self.on_ringing,
            CallAnswered: self.on_answered,
            SendFailed: self.on_send_failed,
        }

    def dial(self, target: SipUri) -> None:
        """INVITE `target`; the first answer sets the capture thread going."""
        call = self._new_call(CallRecord(call_id="", peer=str(target), incoming=False), self.network.addresses.any_host)
        now = self.network.loop.now()
        call_id = self.agent.invite(target, None, now, timeout=self.connect_timeout, display=self.name)
        call.record = replace(call.record, call_id=call_id)
        self.calls[call_id] = call
        self.console.say(0, f"calling {target}   {self._input}")

    def on_offer_wanted(self, event: OfferWanted) -> None:
        """It is known where the next INVITE of this call goes, hence which of our addresses the offer names."""
        call = self.calls.get(event.call_id)
        if call is None:
            return
        try:
            self._aim(call, event.remote.host)
        except NetworkError as error:
            self.agent.hang_up(event.call_id, self.network.loop.now())
            self.on_ended(CallEnded(event.call_id, "network", None, str(error)))
            return
        self._discover(event.call_id, call, partial(self._offer, call, event))

    def _offer(self, call: Call, event: OfferWanted) -> None:
        if call.remote_host != event.remote.host:  # it took too long, and the next address has its turn
            return
        call.offer = call.description = make_offer(self.capabilities, call.endpoint)
        self.agent.offer(event.call_id, call.offer.serialize(), self.network.loop.now())

    def stream_to(self, target: str, remote: tuple[str, int]) -> None:
        """Send to this address and port without signalling; `target` is what the user calls it."""
        record = CallRecord(call_id=f"{self.rng.getrandbits(STREAM_ID_BITS):032x}", peer=target, incoming=False)
        call = self._new_call(record, remote[0])
        call.signalled = False
        self.calls[record.call_id] = call
        host, port = remote
        description = self.settings.describe(replace(call.endpoint, host=host, port=port))
        self.settings.on_description(description)
        self.console.say(0, f"sending to {target}   {self._input}")
        self._agreed(record.call_id, call, media_of(description, self.capabilities, call.endpoint, remote))

    def on_input_end(self) -> None:
        """Capture thread: everything has been sent."""
        self.network.loop.post(self._hang_up_and_leave)

    def _hang_up_and_leave(self) -> None:
        """Who does not answer our BYE may have left before us: it is not waited for until the media time-out."""
        self.hang_up_all()
        self.network.loop.call_later(BYE_PATIENCE, self.last_words)

    def on_ringing(self, event: CallRinging) -> None:
        call = self.calls.get(event.call_id)
        if call is not None:
            self.console.say(0, f"{call.record.peer}: {event.status} {event.reason}")

    def on_answered(self, event: CallAnswered) -> None:
        call = self.calls.get(event.call_id)
        if call is None or call.offer is None or call.media is not None:
            return
        try:
            media = None if event.answer else call.early
            if media is None:
                answer = SessionDescription.parse(event.answer)
                media = accept_answer(call.offer, answer, self.capabilities, call.endpoint)
        except (ProtocolError, NegotiationError) as error:
            self.shutdown.request(EXIT_REJECTED, f"{call.record.peer} answered with nothing usable: {error}")
            self.agent.hang_up(event.call_id, self.network.loop.now())
            return
        self._agreed(event.call_id, call, media)

    def on_send_failed(self, event: SendFailed) -> None:
        """The network refuses what we send: before the answer that ends the call, afterwards time-outs decide."""
        if any(call.remote_host == event.address.host and call.media is None for call in self.calls.values()):
            reason = f"cannot reach {event.address.host}: {event.reason}"
            self.agent.transport_failed(event.address, self.network.loop.now(), reason)

    def _over(self, call: Call, ending: CallEnded | None) -> None:
        status, error = outcome(call, ending)
        if status != EXIT_OK and self.calls:
            self.console.say(0, error)
        self._worst = self._worst if self._worst[0] else (status, error)
        if not self.calls:
            self.shutdown.request(self._worst[0], self._worst[1] or None)
