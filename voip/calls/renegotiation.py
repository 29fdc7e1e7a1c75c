"""Offer and answer in a call that is there already: hold, resume, another address or codec (RFC 3264 section 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.calls.call_media import CallMedia
from voip.calls.table import CallTable
from voip.errors import NegotiationError, ProtocolError
from voip.net import Network
from voip.report import Console
from voip.sip import CallOffered, CallReanswered, UserAgent


class Renegotiation:
    """Answers what peers offer by re-INVITE or UPDATE, and takes their answers to ours. Network thread only."""

    def __init__(
        self, network: Network, agent: UserAgent, table: CallTable, media: CallMedia, console: Console
    ) -> None:
        self._network, self._agent, self._table = network, agent, table
        self._media, self._console = media, console

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the user agent's events."""
        return {CallOffered: self.on_offered, CallReanswered: self.on_reanswered}

    def on_offered(self, event: CallOffered) -> None:
        """The peer wants another session, or, with the same again, to refresh it; perhaps before the call is up."""
        call = self._table.get(event.call_id)
        if call is None:
            return
        try:
            answer, media = call.negotiation.answer(event.offer)
        except (ProtocolError, NegotiationError) as error:
            self._agent.reject(event.call_id, getattr(error, "status", 488), self._network.loop.now())
            self._console.say(1, f"rejected re-INVITE of {call.record.peer}: {error}")
            return
        if media is not None:
            if call.established is None:
                call.negotiation.keep_early(media)  # it counts when the call is answered
            self._media.renegotiate(call, media)
        self._agent.accept(event.call_id, answer, self._network.loop.now())

    def on_reanswered(self, event: CallReanswered) -> None:
        """The answer to an offer that we made during the call."""
        call = self._table.get(event.call_id)
        if call is None or not call.negotiation.has_offered:
            return
        try:
            media = call.negotiation.accept(event.answer)
        except (ProtocolError, NegotiationError) as error:
            self._console.say(1, f"{call.record.peer} sent an unusable SDP answer: {error}")
            return
        self._media.renegotiate(call, media)
