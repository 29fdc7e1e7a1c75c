"""What is negotiated within a call: re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311), both ways, and by the same
requests the session's timer (RFC 4028)."""

from __future__ import annotations

from voip.sip.address import Address
from voip.sip.answers import Unacknowledged
from voip.sip.call import Call, CallState
from voip.sip.core import Core
from voip.sip.dialog import is_secure
from voip.sip.events import CallOffered, CallReanswered, RequestRefused
from voip.sip.message import Response, SipMessage
from voip.sip.methods import ALLOW, SDP, SUPPORTED
from voip.sip.session_timer import SessionTimer
from voip.sip.timers import T1
from voip.sip.transaction import ClientTransaction, ServerTransaction

GLARE_OWNER = (2.1, 4.0)
GLARE_OTHER = (0.0, 2.0)
"""Seconds to wait after 491: whoever made the Call-ID waits longer (14.1)."""
RETRY_AFTER_MAX = 10
"""Seconds of Retry-After for an offer that comes while another is open (14.2)."""
PENDING = 491
TOO_SHORT = 422
NO_UPDATE = (405, 501)
"""Refusals of an UPDATE after which the session is refreshed by re-INVITE."""
REFRESH_AGAIN = 5.0
"""Seconds until a refresh that was refused is tried once more."""
GONE = (408, 481)
"""What ends the dialog when it answers a request within it (12.2.1.2)."""


class NegotiatedCall(Call):
    """A call with what is offered and answered in it. One offer is open at a time: `_offered` of the peer's requests,
    or `_offering` of ours. `_local` and `_remote` are the session descriptions in force.
    """

    def __init__(self, core: Core, call_id: str, state: CallState) -> None:
        super().__init__(core, call_id, state)
        self._offered: ServerTransaction | None = None
        self._offering: ClientTransaction | None = None
        self._offer: bytes | None = None
        """What the user wants to offer, until that is answered."""
        self._local, self._remote = b"", b""
        self._refresh: ClientTransaction | None = None
        self._peer_updates = False
        """The peer has said that it takes UPDATE."""
        self._timer = SessionTimer(core.timers, refresh=self._refresh_session, expire=self._expired)

    # --- what the user asks ---------------------------------------------------------------------------------------

    def accept(self, answer: bytes, now: float) -> None:
        if self._offered is None:
            return
        transaction, self._offered = self._offered, None
        if transaction.request.method == "UPDATE":
            self._answer_update(transaction, answer, now)
        else:
            self._send_2xx(transaction, answer, first=False, now=now)

    def reject(self, status: int, now: float, reason: str) -> None:
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, status, now, reason=reason)

    def reinvite(self, offer: bytes, now: float) -> None:
        if self.state is not CallState.UP:
            return
        self._offer = offer
        self._leave_stranded()
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
        else:
            self._reoffer(now)

    # --- the end --------------------------------------------------------------------------------------------------

    def end(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        self._timer.stop()
        super().end(reason, status, phrase, now)

    def forget(self, now: float) -> None:
        super().forget(now)
        if self._offering is not None:
            self._offering.drop()

    def _forget_offers(self, now: float) -> None:
        self.core.timers.clear(self, "reoffer")
        self._timer.stop()
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, 487, now)

    # --- requests of the peer -------------------------------------------------------------------------------------

    def receive_cancel(self, transaction: ServerTransaction, now: float) -> None:
        if transaction is self._offered:
            self._offered = None
            self.core.answer(transaction, 487, now)

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        method = transaction.request.method
        if method == "INVITE":
            self._receive_invite(transaction, now)
        elif method == "UPDATE":
            self._receive_update(transaction, now)
        else:
            super()._receive(transaction, now)

    def _receive_invite(self, transaction: ServerTransaction, now: float) -> None:
        if not self.live:
            self.core.answer(transaction, 481, now)
        elif self._offering is not None:
            self.core.answer(transaction, PENDING, now)
        elif self._offered is not None:
            self._answer_later(transaction, now)
        elif self._answers.offer_open:
            self.core.answer(transaction, PENDING, now)  # our offer has no answer yet
        else:
            self._take_offer(transaction)

    def _receive_update(self, transaction: ServerTransaction, now: float) -> None:
        """RFC 3311 section 5.2. Without an offer it is always welcome."""
        if not self.live:
            self.core.answer(transaction, 481, now)
        elif not transaction.request.body:
            self._learn(transaction.request)
            self._answer_update(transaction, b"", now)
        elif self._our_offer_open():
            self.core.answer(transaction, PENDING, now)
        elif self._offered is not None:
            self._answer_later(transaction, now)
        else:
            self._take_offer(transaction)

    def _our_offer_open(self) -> bool:
        """An offer of ours has no answer yet."""
        return self._offering is not None or self._answers.offer_open

    def _take_offer(self, transaction: ServerTransaction) -> None:
        self._learn(transaction.request)
        self._offered = transaction
        transaction.owner = self
        self.core.events.append(CallOffered(self.call_id, transaction.request.body))

    def _answer_later(self, transaction: ServerTransaction, now: float) -> None:
        wait = str(self.core.rng.randrange(RETRY_AFTER_MAX + 1))
        self.core.answer(transaction, 500, now, fields=[("Retry-After", wait)])

    def _learn(self, message: SipMessage) -> None:
        """Whether the peer takes UPDATE; it need not say so each time."""
        allowed = message.headers.get_all("Allow")
        if allowed:
            self._peer_updates = "UPDATE" in allowed

    # --- 2xx of ours ----------------------------------------------------------------------------------------------

    def _send_2xx(self, transaction: ServerTransaction, body: bytes, *, first: bool, now: float) -> None:
        request = transaction.request
        fields = [("Record-Route", value) for value in request.headers.lines("Record-Route")]
        fields.append(("Contact", self._contact_for(transaction)))
        fields += self._timer.answer_fields(request, now)
        response = self.core.answer(transaction, 200, now, fields=fields, allow=True, body=body)
        self._local, self._remote = body, request.body
        self._answers.repeat(transaction, response, first=first, now=now)

    def _answer_update(self, transaction: ServerTransaction, body: bytes, now: float) -> None:
        fields = [("Contact", self._contact_for(transaction))]
        if self.state in (CallState.UP, CallState.ANSWERED):  # the session before does not expire
            fields += self._timer.answer_fields(transaction.request, now)
        self.core.answer(transaction, 200, now, fields=fields, allow=True, body=body)
        if body:
            self._local, self._remote = body, transaction.request.body

    def _contact_for(self, transaction: ServerTransaction) -> str:
        return self.core.identity.contact(transaction.source, secure=is_secure(transaction.request.uri))

    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        if waiting.late_offer:
            self._remote = answer
        if waiting.late_offer and self.live:
            self.core.events.append(CallReanswered(self.call_id, answer))

    # --- responses to ours ----------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction.request.method not in ("INVITE", "UPDATE"):
            super().on_response(transaction, response, source, now)
        elif self._proves(transaction, response, source, now):
            return
        elif transaction.request.method == "INVITE":
            self._offer_response(transaction, response, source, now)
        else:
            self._update_response(response, source, now)

    def _replace(self, transaction: ClientTransaction, again: ClientTransaction) -> None:
        super()._replace(transaction, again)
        if transaction is self._offering:
            self._offering = again
        if transaction is self._refresh:
            self._refresh = again

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._offering and self.live:
            self._offering = None
            self.give_up("timeout", 408, "no answer to a changed offer", now)
        elif transaction is self._refresh and self.live:
            self.give_up("timeout", 408, "no answer to a refresh of the session", now)
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
        elif not self.live or self._is_gone(response, now):
            return
        elif transaction is self._refresh:
            self._refresh_refused(response, now)
        elif response.status == PENDING:
            self.core.timers.set(self, "reoffer", now + self._glare(), self._reoffer)
        elif response.status == TOO_SHORT and self._timer.must_ask_for_more(response):
            self._reoffer(now)
        else:
            self._settle(transaction)
            self.core.events.append(RequestRefused(source, "INVITE", response.status))

    def _offer_accepted(
        self, transaction: ClientTransaction, response: Response, source: Address, first: bool, now: float
    ) -> None:
        assert self.dialog is not None
        if first:
            self.dialog.refresh(response, source)
            self._learn_next_hop(now)
            self._learn(response)
        self._acks.send(self.dialog, transaction)
        if not first or not self.live:
            return
        self._timer.answered(response, now)
        unchanged = transaction is self._refresh and response.body == self._remote
        self._settle(transaction)
        self._local, self._remote = transaction.request.body, response.body
        if not unchanged:
            self.core.events.append(CallReanswered(self.call_id, response.body))

    def _settle(self, transaction: ClientTransaction) -> None:
        """What this one offered needs no further try; what the user has come to want since then still does."""
        if transaction.request.body == self._offer:
            self._offer = None

    def _is_gone(self, response: Response, now: float) -> bool:
        """The peer knows nothing of the dialog any more: that ends it."""
        if response.status in GONE:
            self.give_up("timeout", response.status, response.reason, now)
        return response.status in GONE

    def _glare(self) -> float:
        return self.core.rng.uniform(*(GLARE_OWNER if self.owns_call_id else GLARE_OTHER))

    # --- refreshes (RFC 4028 section 10) --------------------------------------------------------------------------

    def _refresh_session(self, now: float) -> None:
        """By UPDATE without an offer, which touches nothing; or by an INVITE that offers what is agreed on already."""
        if self.state is not CallState.UP or self._offer is not None or self._offer_open():
            self._timer.try_again(now + T1)  # what is offered now refreshes the session, too
        elif self._peer_updates:
            self._refresh = self._send_offer("UPDATE", b"", now)
        else:
            self._offering = self._refresh = self._send_offer("INVITE", self._local, now)

    def _update_response(self, response: Response, source: Address, now: float) -> None:
        if response.status < 200 or not self.live:
            return
        if response.status < 300:
            assert self.dialog is not None
            self.dialog.refresh(response, source)
            self._timer.answered(response, now)
        elif not self._is_gone(response, now):
            self._peer_updates = response.status not in NO_UPDATE
            self._refresh_refused(response, now)

    def _refresh_refused(self, response: Response, now: float) -> None:
        assert self._refresh is not None
        without_update = self._refresh.request.method == "UPDATE" and not self._peer_updates
        if without_update or (response.status == TOO_SHORT and self._timer.must_ask_for_more(response)):
            self._refresh_session(now)
        else:
            self._timer.try_again(now + (self._glare() if response.status == PENDING else REFRESH_AGAIN))

    def _expired(self, now: float) -> None:
        if self.live:
            self.give_up("timeout", 408, "the session was not refreshed in time", now)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _leave_stranded(self) -> None:
        """Wait no longer for responses to what went out from an address that has ceased to be ours.

        An INVITE may have been accepted all the same, and its 2xx wait for the ACK that lets the peer take another one.
        """
        if self._offering is not None and self.core.is_stranded(self._offering):
            assert self.dialog is not None
            self._acks.send(self.dialog, self._offering)
            self._offering.drop()
            self._offering = None
        if self._refresh is not None and self.core.is_stranded(self._refresh):
            self._refresh.drop()

    def _offer_open(self) -> bool:
        return self._offering is not None or self._offered is not None or bool(self._answers)

    def _reoffer(self, now: float) -> None:
        if self.state is not CallState.UP or self._offer is None:
            return
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
            return
        self._offering = self._send_offer("INVITE", self._offer, now)

    def _send_offer(self, method: str, offer: bytes, now: float) -> ClientTransaction:
        destination = self._destination()
        request = self._request(method)
        request.headers.add("Contact", self.core.identity.contact(destination, secure=is_secure(request.uri)))
        for name, value in abilities(self._timer):
            request.headers.add(name, value)
        if offer:
            request.headers.add("Content-Type", SDP)
            request.body = offer
        return self.core.send(request, destination, self, now)


def abilities(timer: SessionTimer) -> list[tuple[str, str]]:
    """What an INVITE or UPDATE of ours says of what we can do, and of the session's timer."""
    return [ALLOW, SUPPORTED, *timer.request_fields()]
