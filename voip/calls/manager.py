"""Where signalling meets media: calls are dialled and answered, any number of them, and hung up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from voip.calls.account import Account
from voip.calls.address_change import AddressChange, find_public_address
from voip.calls.answering import Answering
from voip.calls.call import Call, CallSettings, CallTerms
from voip.calls.call_media import CallMedia
from voip.calls.delivery import judge
from voip.calls.early_media import EarlyMedia
from voip.calls.hold import Hold
from voip.calls.keys import TelephoneKeys
from voip.calls.malformed import MalformedMessages
from voip.calls.media_names import MediaNames
from voip.calls.news import CallNews
from voip.calls.outcome import Outcome
from voip.calls.plain import PlainSource, PlainStreams
from voip.calls.records import Records
from voip.calls.renegotiation import Renegotiation
from voip.calls.rota import Rounds, Statistics
from voip.calls.streams import AudioStreams
from voip.calls.table import CallTable
from voip.calls.texts import Texts
from voip.calls.unprotected import BYE_TIMEOUT, UnprotectedCalls
from voip.calls.warnings import CallWarnings
from voip.calls.watch import CallWatch
from voip.errors import (
    EXIT_NETWORK,
    EXIT_REJECTED,
    NegotiationError,
    NetworkError,
    ProtocolError,
    VoipError,
)
from voip.formats import DatagramFormat
from voip.net import Network, SendFailed
from voip.report import CallRecord, Console
from voip.sip import (
    TRY_TIMEOUT,
    CallAnswered,
    CallEnded,
    CallEstablished,
    IncomingCall,
    OfferWanted,
    RequestRefused,
    SipUri,
    UserAgent,
)

LONGEST_PEER = 200
"""Characters of a caller's URI that are kept and told: a From may have 60 kB, and a thousand records are kept."""
SERVER_ERROR = 500
"""The SIP status of a request that we fail to handle (RFC 3261 section 21.5.1)."""


class CallPolicy(Protocol):
    """What a program does about the end of a call, such as to exit. Called on the network thread."""

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        """A call is closed and reported; `manager.calls` has those that are left."""

    def on_account_refused(self, error: str) -> None:
        """The registrar does not believe that the account is ours."""


class CallManager:
    """Dials and answers calls, any number of them. Network thread only, except for what is said to be for any thread.

    A call begins with an INVITE, ours or the peer's; when offer and answer agree (RFC 3264) it gets a line of media. It
    ends by BYE, rejection or media time-out, is played to its end, and reported.
    """

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        table: CallTable,
        audio: AudioStreams,
        console: Console,
        settings: CallSettings,
        policy: CallPolicy,
    ) -> None:
        """`table` is the one that `agent` asks whether a call may be replaced."""
        self._network, self._agent, self._table, self._audio = network, agent, table, audio
        self._console, self._settings, self._policy = console, settings, policy
        rng = random.SystemRandom()
        self._warnings = CallWarnings(table, audio, console, network.loop.now)
        self._records, self._names = Records(), MediaNames(network, console)
        self.statistics = Statistics(network.loop, table, self._records, console)
        self.answering = Answering(settings.answer, network, agent, table, self._names, console, self._accept)
        unprotected = UnprotectedCalls(network, agent, table, console, self._close)
        self._media = CallMedia(network, audio, console, settings.capabilities, rng, settings.dtls, unprotected.end)
        self._plain = PlainStreams(table, self._media, console, settings, rng)
        self._account = Account(network, agent, console, policy.on_account_refused)
        watch = CallWatch(agent, settings.media_timeout, self._end, plays=audio.plays)
        checks = (watch.check, AddressChange(network, agent, console).check)
        rounds = Rounds(network.loop, table, self._records, self._warnings, checks, self._begin_round)
        renegotiation = Renegotiation(network, agent, table, self._media, self._names, console)
        early = EarlyMedia(table, self._media, console, plays=audio.plays)
        self.hold = Hold(network, agent, table, self._media, console)
        self.keys = TelephoneKeys(table)
        self.texts = Texts(agent, table, console, network.loop.now, first=settings.message)
        others = self.texts.handlers() | early.handlers() | renegotiation.handlers() | self._account.handlers()
        others |= MalformedMessages(console).handlers() | CallNews(table, console, network.loop.now).handlers()
        network.sip.serve(agent, self._handlers() | others, self.drop)
        network.loop.post(self._account.start)
        network.loop.post(rounds.go_on)

    # --- any thread -----------------------------------------------------------------------------------------------

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """What is told of the calls that have ended, and of those that are up."""
        return self._records.all

    @property
    def idle(self) -> bool:
        """No call is up, ringing or being played to its end, and no registrar knows of us."""
        return not len(self._table) and not self._agent.registering

    @property
    def dropped(self) -> int:
        """Messages and calls that were dropped because of bugs."""
        return self._network.failures.count

    @property
    def limited(self) -> int | None:
        """Samples of what was played that were made softer; None where nothing is."""
        return self._audio.limited

    @property
    def linger_until(self) -> float:
        """Until then a peer that has missed our last response may ask for it again."""
        return self._agent.linger_until

    # --- what the user asks ---------------------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The live calls."""
        return tuple(self._table)

    def dial(self, target: SipUri, *, again: bool = False, terms: CallTerms | None = None) -> str | None:
        """Call `target`; the call's id. Without a media port the call is over at once, and its id None.

        `again`: a call to it was lost, and others may follow. `terms`: in place of the settings. Those offer both
        directions even if we only send: many phones take a sendonly offer for being put on hold (RFC 3264 section 8.4)
        and play nothing.
        """
        host, settings, now = self._network.addresses.any_host, self._settings, self._network.loop.now()
        record = CallRecord(call_id="", peer=str(target), incoming=False)
        try:
            transport = self._media.open_port(host)
        except NetworkError as error:
            self._policy.on_call_over(self, record, Outcome(EXIT_NETWORK, str(error), passing=True))
            return None
        timeout = min(settings.connect_timeout, TRY_TIMEOUT if again else math.inf)
        call_id = self._agent.invite(target, None, now, timeout=timeout, display=settings.name)
        record = replace(record, call_id=call_id, again=again)
        call = self._media.new_call(record, host, transport=transport, terms=terms)
        self._table.add(call)
        self._console.say(again, f"calling {target}   {self._audio.input}")
        return call_id

    def stream_to(self, target: str, remote: tuple[str, int], form: DatagramFormat | None = None) -> None:
        """Send to this address and port without signalling, RTP or datagrams of this format; `target` is what the user
        calls it. NetworkError."""
        self._plain.send(target, remote, self._audio.input, form)

    def await_stream(self, source: PlainSource) -> None:
        """Play the first stream that comes without signalling. NetworkError."""
        self._plain.wait(source)

    def hang_up(self, call_id: str) -> None:
        """End a call in whatever state it is; does nothing if it is over."""
        call = self._table.get(call_id)
        if call is None:
            return
        self._media.say_bye(call)
        if call.signalled:
            self._agent.hang_up(call_id, self._network.loop.now())
        else:
            self._end(call, CallEnded(call_id, "local-bye", None, ""))

    def hang_up_all(self) -> None:
        """End all calls, and be reachable no longer."""
        self._account.stop()
        for call in self._table:
            self.hang_up(call.call_id)

    def drop(self, call_id: str) -> None:
        """End a call that a bug of ours keeps us from going on with, in whatever state it is."""
        self._agent.reject(call_id, SERVER_ERROR, self._network.loop.now())
        self._agent.hang_up(call_id, self._network.loop.now())
        call = self._table.get(call_id)
        if call is not None and call.ending is not None:
            self._close(call)
        elif call is not None:
            self._end(call, CallEnded(call_id, "internal-error", None, ""))

    def finish(self) -> None:
        """As `hang_up_all`, and what is left after BYE_TIMEOUT is closed."""
        self.hang_up_all()
        self._network.loop.call_later(BYE_TIMEOUT, self.close_all)

    def close_all(self) -> None:
        """Just before the end: one more copy of each BYE that was not answered; then whatever is left is closed."""
        self._agent.send_pending_byes(self._network.loop.now())
        self._network.sip.flush()
        for call in self._table:
            self._close(call)

    # --- calls that we make ---------------------------------------------------------------------------------------

    def _on_offer_wanted(self, event: OfferWanted) -> None:
        """It is known where the next INVITE of this call goes, hence which of our addresses the offer names."""
        call = self._table.get(event.call_id)
        if call is None:
            return
        try:
            self._media.aim(call, event.remote.host)
        except NetworkError as error:
            self._agent.hang_up(event.call_id, self._network.loop.now())
            self._end(call, CallEnded(event.call_id, "network", None, str(error)))
            return
        find_public_address(self._network, call, partial(self._offer, call, event))

    def _offer(self, call: Call, event: OfferWanted) -> None:
        if call.remote_host == event.remote.host:  # else it took too long, and the next address has its turn
            call.negotiation.protect(sip_encrypted=event.remote.encrypted)
            self._agent.offer(call.call_id, call.negotiation.offer(), self._network.loop.now())

    def _on_answered(self, event: CallAnswered) -> None:
        call = self._table.get(event.call_id)
        if call is not None and call.negotiation.awaits_answer and call.established is None:
            self._names.resolve(call, event.answer, partial(self._take_answer, call))

    def _on_send_failed(self, event: SendFailed) -> None:
        """The network refuses what we send: before the answer that ends the call, afterwards time-outs decide."""
        self._account.on_send_failed(event)
        if any(call.remote_host == event.address.host and call.established is None for call in self._table):
            advice = ". Is a receiver running there?" if event.closed else ""
            reason = f"cannot reach {event.address.host}: {event.reason}{advice}"
            self._agent.transport_failed(event.address, self._network.loop.now(), reason)
        else:
            self._agent.closed(event.address, self._network.loop.now())

    # --- calls that come in ---------------------------------------------------------------------------------------

    def _on_incoming(self, event: IncomingCall) -> None:
        call_id, peer = event.call_id, str(event.caller.uri)[:LONGEST_PEER]
        self._console.event("incoming", None, call_id=call_id, peer=peer)
        try:
            self.answering.check()
            if not self._audio.available:
                raise NegotiationError("the speaker is no longer available", status=480)
            transport = self._media.open_port(event.source.host)
        except (NegotiationError, NetworkError) as error:
            self._refuse(call_id, event.source.host, peer, error)
            return
        record = CallRecord(call_id=call_id, peer=peer, incoming=True)
        call = self._media.incoming_call(record, event, transport)
        self._table.add(call)
        self.answering.receive(call)

    def _accept(self, call: Call, offer: bytes) -> None:
        """200 with our answer, or our offer: then the peer's answer is in its ACK (RFC 3261 section 13.2.1)."""
        try:
            answer, media = call.negotiation.answer(offer)
            if media is not None:
                self._media.begin(call, media)
        except (ProtocolError, NegotiationError) as error:
            self._table.remove(call)
            self._media.close(call)
            self._refuse(call.call_id, call.remote_host, call.record.peer, error)
            return
        self._agent.accept(call.call_id, answer, self._network.loop.now())

    def _refuse(self, call_id: str, source: str, peer: str, error: VoipError) -> None:
        status = getattr(error, "status", 400 if isinstance(error, ProtocolError) else 503)
        self._agent.reject(call_id, status, self._network.loop.now())
        self._warnings.refused(source, status, peer, str(error))

    def _on_established(self, event: CallEstablished) -> None:
        call = self._table.get(event.call_id)
        if call is None:
            return
        self._media.acknowledge(call)
        if call.negotiation.awaits_answer:
            self._names.resolve(call, event.answer, partial(self._take_answer, call))

    # --- calls of both kinds --------------------------------------------------------------------------------------

    def _take_answer(self, call: Call, answer: bytes) -> None:
        """Begin or change media by the answer to our offer; hang up if it cannot be used."""
        if not call.negotiation.awaits_answer:
            return
        try:
            media = call.negotiation.accept(answer)
        except (ProtocolError, NegotiationError) as error:
            text = f"{call.record.peer} sent an unusable SDP answer: {error}"
            if call.record.incoming:
                self._console.say(0, text)
            call.fail(Outcome(EXIT_REJECTED, text))
            self._agent.hang_up(call.call_id, self._network.loop.now())
            self._network.loop.call_later(BYE_TIMEOUT, partial(self._close, call))
            return
        if call.established is not None:
            self._media.renegotiate(call, media)
        else:
            self._media.begin(call, media)
            self.texts.begin(call)

    def _on_ended(self, event: CallEnded) -> None:
        call = self._table.get(event.call_id)
        if call is not None:
            self._end(call, event)

    def _handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            OfferWanted: self._on_offer_wanted,
            CallAnswered: self._on_answered,
            IncomingCall: self._on_incoming,
            CallEstablished: self._on_established,
            CallEnded: self._on_ended,
            RequestRefused: self._warnings.on_refused,
            SendFailed: self._on_send_failed,
        }

    def _end(self, call: Call, ending: CallEnded, at: float | None = None) -> None:
        """Signalling is over; media may still be played to its end, then `_close` follows."""
        if call.ending is not None:  # the first reason counts, not what becomes of our BYE
            return
        self._media.say_bye(call)
        call.end(ending, self._network.loop.now() if at is None else at, partial(self._close, call))

    def _close(self, call: Call) -> None:
        """The last of a call: its port is closed, its report made."""
        if call not in self._table:
            return
        self._media.close(call)
        self._table.remove(call)
        now = self._network.loop.now()
        record = call.close(now)
        if call.signalled or call.established is not None:
            self._records.add(record)
            self._console.call_ended(record)
        self._policy.on_call_over(self, record, judge(call, record, now))

    def _begin_round(self, now: float) -> None:
        """Check what is not of a single call."""
        self.answering.look()
        self._account.check(now)
