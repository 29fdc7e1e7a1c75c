"""Offer and answer in a call that is there already: hold, resume, another address or codec (RFC 3264 section 8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from voip.calls.call import Call
from voip.calls.call_media import CallMedia
from voip.calls.media_names import MediaNames
from voip.calls.table import CallTable
from voip.errors import NegotiationError, ProtocolError
from voip.net import Network
from voip.report import Console
from voip.sip import CallOffered, CallReanswered, UserAgent


class Renegotiation:
    """Answers what peers offer by re-INVITE or UPDATE, and takes their answers to ours. Network thread only."""

    def __init__(
        self,
        network: Network,
        agent: UserAgent,
        table: CallTable,
        media: CallMedia,
        names: MediaNames,
        console: Console,
    ) -> None:
        self._network, self._agent, self._table = network, agent, table
        self._media, self._names, self._console = media, names, console

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the user agent's events."""
        return {CallOffered: self.on_offered, CallReanswered: self.on_reanswered}

    def on_offered(self, event: CallOffered) -> None:
        """The peer wants another session, or, with the same again, to refresh it; perhaps before the call is up."""
        call = self._table.get(event.call_id)
        if call is not None:
            self._names.resolve(call, event.offer, partial(self._answer, call))

    def _answer(self, call: Call, offer: bytes) -> None:
        try:
            answer, media = call.negotiation.answer(offer)
        except (ProtocolError, NegotiationError) as error:
            self._agent.reject(call.call_id, getattr(error, "status", 488), self._network.loop.now())
            self._console.say(1, f"rejected re-INVITE of {call.record.peer}: {error}")
            return
        if media is not None:
            if call.established is None:
                call.negotiation.keep_early(media)  # it counts when the call is answered
            self._media.renegotiate(call, media)
        self._agent.accept(call.call_id, answer, self._network.loop.now())

    def on_reanswered(self, event: CallReanswered) -> None:
        """The answer to an offer that we made during the call."""
        call = self._table.get(event.call_id)
        if call is not None and call.negotiation.has_offered:
            self._names.resolve(call, event.answer, partial(self._accept, call))

    def _accept(self, call: Call, answer: bytes) -> None:
        if not call.negotiation.has_offered:
            return  # an offer of the peer's has come in between
        try:
            media = call.negotiation.accept(answer)
        except (ProtocolError, NegotiationError) as error:
            self._console.say(1, f"{call.record.peer} sent an unusable SDP answer: {error}")
            return
        self._media.renegotiate(call, media)
