"""What is negotiated within a call: offers and answers (RFC 3264) by re-INVITE (RFC 3261 section 14) and UPDATE
(RFC 3311), both ways (RFC 6337), and by the same requests the session's timer (RFC 4028)."""

from __future__ import annotations

from collections.abc import Callable

from voip.sip.acks import Acks, UnackedResponse, UnackedResponses
from voip.sip.address import Address
from voip.sip.bodies import session_part
from voip.sip.call_state import HAS_SESSION, CallState
from voip.sip.dialog import is_secure
from voip.sip.events import CallOffered, CallReanswered, RequestRefused
from voip.sip.leg import GONE, Leg, Reason
from voip.sip.message import Response, SipMessage
from voip.sip.methods import ALLOW, SDP, SUPPORTED
from voip.sip.session_timer import SessionTimer
from voip.sip.timers import T1
from voip.sip.transaction import ClientTransaction, ServerTransaction

GLARE_OWNER = (2.1, 4.0)
GLARE_OTHER = (0.0, 2.0)
"""Seconds to wait after 491: the side that made the Call-ID waits longer (14.1)."""
MAX_RETRY_AFTER = 10
"""Seconds of Retry-After for an offer that comes while another is open (14.2)."""
PENDING = 491
TOO_SHORT = 422
NO_UPDATE = (405, 501)
"""Responses that refuse an UPDATE after which the session is refreshed by re-INVITE."""
REFRESH_AGAIN = 5.0
"""Seconds until a refresh that was refused is tried once more."""


class Negotiation:
    """One offer is open at a time: `offered` of the peer's requests, or `_offering` of ours. `_local` and `_remote`
    are the session descriptions in force.

    `owner` gets a CANCEL for what is offered; `give_up` ends the call where nothing can be negotiated any more.
    `unacked` and `acks` are the 2xx of the call, both ways.
    """

    def __init__(
        self, leg: Leg, unacked: UnackedResponses, acks: Acks, owner: object, give_up: Callable[[Reason, float], object]
    ) -> None:
        self._leg, self._core, self._owner, self._give_up = leg, leg.core, owner, give_up
        self._unacked, self._acks = unacked, acks
        self.offered: ServerTransaction | None = None
        """An INVITE or UPDATE of the peer that the user has not responded to yet."""
        self._offering: ClientTransaction | None = None
        self._offer: bytes | None = None
        """What the user wants to offer, until that is answered."""
        self._local, self._remote = b"", b""
        self._refresh: ClientTransaction | None = None
        self._peer_updates = False
        """The peer has said that it takes UPDATE."""
        self.timer = SessionTimer(leg.core.timers, refresh=self._refresh_session, expire=self._expired)

    # --- the call ------------------------------------------------------------------------------------------------

    def begin(self, response: Response, sessions: tuple[bytes, bytes] | None, now: float) -> None:
        """This 2xx to our INVITE has made the dialog. `sessions` are the descriptions in force, ours first; None: those
        that an UPDATE in the early dialog has agreed on."""
        self.learn(response)
        self.timer.on_2xx(response, now)
        if sessions is not None:
            self._local, self._remote = sessions

    def stop(self, now: float) -> None:
        """The call ends: nothing is negotiated any more."""
        self._core.timers.clear(self, "reoffer")
        self.timer.stop()
        if self.offered is not None:
            transaction, self.offered = self.offered, None
            self._core.respond(transaction, 487, now)

    def drop(self) -> None:
        """Expect no response any more."""
        if self._offering is not None:
            self._offering.drop()

    def learn(self, message: SipMessage) -> None:
        """Whether the peer takes UPDATE; it need not say so each time."""
        allowed = message.headers.get_all("Allow")
        if allowed:
            self._peer_updates = "UPDATE" in allowed

    # --- offers of the peer ---------------------------------------------------------------------------------------

    def on_invite(self, transaction: ServerTransaction, now: float) -> None:
        if self._offering is not None:
            self._core.respond(transaction, PENDING, now)
        elif self.offered is not None:
            self._refuse_for_now(transaction, now)
        elif self._unacked.offer_open:
            self._core.respond(transaction, PENDING, now)  # our offer has no answer yet
        else:
            self._take_offer(transaction)

    def on_update(self, transaction: ServerTransaction, now: float, *, invite_open: bool) -> None:
        """RFC 3311 section 5.2. Without an offer it is always in order; `invite_open`: the offer of our INVITE has no
        answer yet."""
        if not session_part(transaction.request):
            self.learn(transaction.request)
            self._answer_update(transaction, b"", now)
        elif invite_open or self._offering is not None or self._unacked.offer_open:
            self._core.respond(transaction, PENDING, now)
        elif self.offered is not None:
            self._refuse_for_now(transaction, now)
        else:
            self._take_offer(transaction)

    def take(self, transaction: ServerTransaction) -> None:
        """The user is asked about this offer, or the INVITE that makes the call."""
        self.learn(transaction.request)
        self.offered = transaction
        transaction.give_to(self._owner)

    def accept(self, answer: bytes, now: float, *, first: bool) -> None:
        """200 with `answer` to the offer that is open; `first`: to the INVITE that makes the call."""
        if self.offered is None:
            return
        transaction, self.offered = self.offered, None
        if transaction.request.method == "UPDATE":
            self._answer_update(transaction, answer, now)
        else:
            self._send_2xx(transaction, answer, first=first, now=now)

    def reject(self, status: int, now: float, reason: str) -> None:
        """Refuse the offer that is open; the session stays as it was."""
        if self.offered is not None:
            transaction, self.offered = self.offered, None
            self._core.respond(transaction, status, now, reason=reason)

    def on_ack(self, waiting: UnackedResponse, answer: bytes) -> None:
        """The ACK for a 2xx of ours has come, with `answer` if that held our offer."""
        if waiting.late_offer:
            self._remote = answer
        if waiting.late_offer and self._leg.live:
            self._core.events.append(CallReanswered(self._leg.call_id, answer))

    def _take_offer(self, transaction: ServerTransaction) -> None:
        self.take(transaction)
        self._core.events.append(CallOffered(self._leg.call_id, session_part(transaction.request)))

    def _refuse_for_now(self, transaction: ServerTransaction, now: float) -> None:
        wait = str(self._core.rng.randrange(MAX_RETRY_AFTER + 1))
        self._core.respond(transaction, 500, now, fields=[("Retry-After", wait)])

    def _send_2xx(self, transaction: ServerTransaction, body: bytes, *, first: bool, now: float) -> None:
        assert self._leg.dialog is not None
        request = transaction.request
        fields = [("Record-Route", value) for value in request.headers.lines("Record-Route")]
        fields.append(("Contact", self._contact_for(transaction)))
        fields += self.timer.response_fields(request, now)
        response = self._core.respond(transaction, 200, now, fields=fields, allow=True, body=body)
        self._local, self._remote = body, session_part(request)
        self._unacked.repeat(transaction, response, self._leg.dialog, first=first, now=now)

    def _answer_update(self, transaction: ServerTransaction, body: bytes, now: float) -> None:
        fields = [("Contact", self._contact_for(transaction))]
        if self._leg.state in HAS_SESSION:
            fields += self.timer.response_fields(transaction.request, now)
        self._core.respond(transaction, 200, now, fields=fields, allow=True, body=body)
        if body:
            self._local, self._remote = body, session_part(transaction.request)

    def _contact_for(self, transaction: ServerTransaction) -> str:
        return self._core.identity.contact(transaction.source, secure=is_secure(transaction.request.uri))

    # --- offers of ours -------------------------------------------------------------------------------------------

    def reinvite(self, offer: bytes, now: float) -> None:
        """Offer another session; when an INVITE is open already, after it (14.1)."""
        self._offer = offer
        self._leave_stranded()
        if self._offer_open():
            self._core.timers.set(self, "reoffer", now + T1, self._reoffer)
        else:
            self._reoffer(now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        again = self._leg.authenticate(transaction, response, source, now)
        if again is not None:
            self._replace(transaction, again)
        elif response.status < 200:
            return
        elif transaction.request.method == "INVITE":
            self._on_invite_response(transaction, response, source, now)
        else:
            self._on_update_response(response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if not self._leg.live:
            return
        if transaction is self._offering:
            self._offering = None
            self._give_up(Reason("timeout", 408, "no answer to a changed offer"), now)
        elif transaction is self._refresh:
            self._give_up(Reason("timeout", 408, "no answer to a refresh of the session"), now)

    def _replace(self, transaction: ClientTransaction, again: ClientTransaction) -> None:
        """A request has been sent once more, and the responses that count are to `again`."""
        if transaction is self._offering:
            self._offering = again
        if transaction is self._refresh:
            self._refresh = again

    def _on_invite_response(
        self, transaction: ClientTransaction, response: Response, source: Address, now: float
    ) -> None:
        first = transaction is self._offering
        if first:
            self._offering = None
        if response.status < 300:
            self._offer_accepted(transaction, response, source, first, now)
        elif not self._leg.live or self._is_gone(response, now):
            return
        elif transaction is self._refresh:
            self._refresh_refused(response, now)
        elif response.status == PENDING:
            self._core.timers.set(self, "reoffer", now + self._glare(), self._reoffer)
        elif response.status == TOO_SHORT and self.timer.must_ask_for_more(response):
            self._reoffer(now)
        else:
            self._settle(transaction)
            self._core.events.append(RequestRefused(source, "INVITE", response.status, reason=response.reason))

    def _offer_accepted(
        self, transaction: ClientTransaction, response: Response, source: Address, first: bool, now: float
    ) -> None:
        assert self._leg.dialog is not None
        if first:
            self._leg.dialog.peer = source
            self._leg.dialog.retarget(response)
            self._leg.learn_next_hop(now)
            self.learn(response)
        self._acks.send(self._leg.dialog, transaction)
        if not first or not self._leg.live:
            return
        self.timer.on_2xx(response, now)
        answer = session_part(response)
        unchanged = transaction is self._refresh and answer == self._remote
        self._settle(transaction)
        self._local, self._remote = transaction.request.body, answer
        if not unchanged:
            self._core.events.append(CallReanswered(self._leg.call_id, answer))

    def _settle(self, transaction: ClientTransaction) -> None:
        """What this one offered needs no further try; what the user has come to want since then still does."""
        if transaction.request.body == self._offer:
            self._offer = None

    def _is_gone(self, response: Response, now: float) -> bool:
        """The peer knows nothing of the dialog any more: that ends it."""
        if response.status in GONE:
            self._give_up(Reason("timeout", response.status, response.reason), now)
        return response.status in GONE

    def _glare(self) -> float:
        return self._core.rng.uniform(*(GLARE_OWNER if self._leg.owns_call_id else GLARE_OTHER))

    def _leave_stranded(self) -> None:
        """Wait no longer for responses to what went out from an address that has ceased to be ours.

        An INVITE may have been accepted all the same, and its 2xx wait for the ACK that lets the peer take another one.
        """
        if self._offering is not None and self._core.is_stranded(self._offering):
            assert self._leg.dialog is not None
            self._acks.send(self._leg.dialog, self._offering)
            self._offering.drop()
            self._offering = None
        if self._refresh is not None and self._core.is_stranded(self._refresh):
            self._refresh.drop()

    def _offer_open(self) -> bool:
        return self._offering is not None or self.offered is not None or bool(self._unacked)

    def _reoffer(self, now: float) -> None:
        if self._leg.state is not CallState.CONFIRMED or self._offer is None:
            return
        if self._offer_open():
            self._core.timers.set(self, "reoffer", now + T1, self._reoffer)
            return
        self._offering = self._send_offer("INVITE", self._offer, now)

    def _send_offer(self, method: str, offer: bytes, now: float) -> ClientTransaction:
        destination = self._leg.destination()
        request = self._leg.request(method)
        contact = self._core.identity.contact(destination, secure=is_secure(request.uri))
        for name, value in (("Contact", contact), ALLOW, SUPPORTED, *self.timer.request_fields()):
            request.headers.add(name, value)
        if offer:
            request.headers.add("Content-Type", SDP)
            request.body = offer
        return self._core.send(request, destination, self, now)

    # --- refreshes (RFC 4028 section 10) --------------------------------------------------------------------------

    def _refresh_session(self, now: float) -> None:
        """By UPDATE without an offer, which touches nothing; or by an INVITE that offers what is agreed on already."""
        if self._leg.state is not CallState.CONFIRMED or self._offer is not None or self._offer_open():
            self.timer.try_again(now + T1)  # what is offered now refreshes the session, too
        elif self._peer_updates:
            self._refresh = self._send_offer("UPDATE", b"", now)
        else:
            self._offering = self._refresh = self._send_offer("INVITE", self._local, now)

    def _on_update_response(self, response: Response, source: Address, now: float) -> None:
        if not self._leg.live:
            return
        if response.status < 300:
            assert self._leg.dialog is not None
            self._leg.dialog.peer = source
            self._leg.dialog.retarget(response)
            self.timer.on_2xx(response, now)
        elif not self._is_gone(response, now):
            self._peer_updates = response.status not in NO_UPDATE
            self._refresh_refused(response, now)

    def _refresh_refused(self, response: Response, now: float) -> None:
        assert self._refresh is not None
        without_update = self._refresh.request.method == "UPDATE" and not self._peer_updates
        if without_update or (response.status == TOO_SHORT and self.timer.must_ask_for_more(response)):
            self._refresh_session(now)
        else:
            self.timer.try_again(now + (self._glare() if response.status == PENDING else REFRESH_AGAIN))

    def _expired(self, now: float) -> None:
        if self._leg.live:
            self._give_up(Reason("timeout", 408, "the session was not refreshed in time"), now)
