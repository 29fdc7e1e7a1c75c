"""What is negotiated within a call that is up: re-INVITE, both ways (RFC 3261 section 14)."""

from __future__ import annotations

from voip.sip.answers import Unacknowledged
from voip.sip.call import Call, CallState
from voip.sip.core import ALLOW, SDP, Core
from voip.sip.dialog import is_secure
from voip.sip.events import Address, CallOffered, CallReanswered, RequestRefused
from voip.sip.message import Response
from voip.sip.timers import T1
from voip.sip.transaction import ClientTransaction, ServerTransaction

GLARE_OWNER = (2.1, 4.0)
GLARE_OTHER = (0.0, 2.0)
"""Seconds to wait after 491: whoever made the Call-ID waits longer (14.1)."""
RETRY_AFTER_MAX = 10
"""Seconds of Retry-After for an offer that comes while another is open (14.2)."""
PENDING = 491
GONE = (408, 481)
"""What ends the dialog when it answers a request within it (12.2.1.2)."""


class NegotiatedCall(Call):
    """A call with what is offered and answered in it. One offer is open at a time: `_offered` of the peer's requests,
    or `_offering` of ours."""

    def __init__(self, core: Core, call_id: str, state: CallState) -> None:
        super().__init__(core, call_id, state)
        self._offered: ServerTransaction | None = None
        self._offering: ClientTransaction | None = None
        self._offer = b""

    # --- what the user asks ---------------------------------------------------------------------------------------

    def accept(self, answer: bytes, now: float) -> None:
        if self._offered is None:
            return
        transaction, self._offered = self._offered, None
        self._send_2xx(transaction, answer, first=False, now=now)

    def reject(self, status: int, now: float, reason: str) -> None:
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, status, now, reason=reason)

    def reinvite(self, offer: bytes, now: float) -> None:
        if self.state is not CallState.UP:
            return
        self._offer = offer
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
        else:
            self._reoffer(now)

    # --- the end --------------------------------------------------------------------------------------------------

    def forget(self, now: float) -> None:
        super().forget(now)
        if self._offering is not None:
            self._offering.drop()

    def _forget_offers(self, now: float) -> None:
        self.core.timers.clear(self, "reoffer")
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, 487, now)

    # --- requests of the peer -------------------------------------------------------------------------------------

    def receive_cancel(self, transaction: ServerTransaction, now: float) -> None:
        if transaction is self._offered:
            self._offered = None
            self.core.answer(transaction, 487, now)

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        if transaction.request.method == "INVITE":
            self._receive_invite(transaction, now)
        else:
            super()._receive(transaction, now)

    def _receive_invite(self, transaction: ServerTransaction, now: float) -> None:
        if not self.live:
            self.core.answer(transaction, 481, now)
        elif self._offering is not None:
            self.core.answer(transaction, PENDING, now)
        elif self._offered is not None:
            wait = str(self.core.rng.randrange(RETRY_AFTER_MAX + 1))
            self.core.answer(transaction, 500, now, fields=[("Retry-After", wait)])
        elif self._answers.offer_open:
            self.core.answer(transaction, PENDING, now)  # our offer has no answer yet
        else:
            self._offered = transaction
            transaction.owner = self
            self.core.events.append(CallOffered(self.call_id, transaction.request.body))

    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        if waiting.late_offer and self.live:
            self.core.events.append(CallReanswered(self.call_id, answer))

    # --- responses to ours ----------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction.request.method != "INVITE":
            super().on_response(transaction, response, source, now)
        elif not self._proves(transaction, response, source, now):
            self._offer_response(transaction, response, source, now)

    def _replace(self, transaction: ClientTransaction, again: ClientTransaction) -> None:
        super()._replace(transaction, again)
        if transaction is self._offering:
            self._offering = again

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._offering and self.live:
            self._offering = None
            self.give_up("timeout", 408, "no answer to a changed offer", now)
        else:
            super().on_no_response(transaction, now)

    def _offer_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200:
            return
        first = transaction is self._offering
        if first:
            self._offering = None
        if response.status < 300:
            self._offer_accepted(transaction, response, source, first, now)
        elif not self.live:
            return
        elif response.status == PENDING:
            shortest, longest = GLARE_OWNER if self.owns_call_id else GLARE_OTHER
            self.core.timers.set(self, "reoffer", now + self.core.rng.uniform(shortest, longest), self._reoffer)
        elif response.status in GONE:
            self.give_up("timeout", response.status, response.reason, now)
        else:
            self.core.events.append(RequestRefused(source, "INVITE", response.status))

    def _offer_accepted(
        self, transaction: ClientTransaction, response: Response, source: Address, first: bool, now: float
    ) -> None:
        assert self.dialog is not None
        if first:
            self.dialog.refresh(response, source)
            self._learn_next_hop(now)
        self._acks.send(self.dialog, transaction)
        if first and self.live:
            self.core.events.append(CallReanswered(self.call_id, response.body))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _offer_open(self) -> bool:
        return self._offering is not None or self._offered is not None or bool(self._answers)

    def _reoffer(self, now: float) -> None:
        if self.state is not CallState.UP:
            return
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
            return
        destination = self._destination()
        request = self._request("INVITE")
        request.headers.add("Contact", self.core.contact(destination, secure=is_secure(request.uri)))
        request.headers.add(*ALLOW)
        if self._offer:
            request.headers.add("Content-Type", SDP)
            request.body = self._offer
        self._offering = self.core.send(request, destination, self, now)
