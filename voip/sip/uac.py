"""The calling side (RFC 3261 sections 8.1, 9.1 and 13.2): from INVITE to the dialog, or to the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voip.sip.address import Address
from voip.sip.answers import SentAck, make_ack
from voip.sip.call import CallState
from voip.sip.core import CALL_ID_BITS, Core
from voip.sip.dialog import Dialog, is_secure, redirect_target
from voip.sip.events import CallAnswered, CallRinging, OfferWanted
from voip.sip.message import MAX_FORWARDS, Headers, NameAddr, Request, Response, SipUri
from voip.sip.offers import PENDING, TOO_SHORT, NegotiatedCall, abilities
from voip.sip.reliable import EarlyDialog, EarlyDialogs, Nobody
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ClientTransaction, InviteClient, ServerTransaction, State

RING_TIME = 30.0
"""A telephone that rings is given this long, at least."""
UNAVAILABLE = 503
"""Another server of the same name may be less busy (RFC 3263 section 4.3)."""
FOLLOWED = (300, 301, 302)
MOST_BRANCHES = 8
"""Of one INVITE that several have taken: the rest is left to give up by itself."""


class OutgoingCall(NegotiatedCall):
    """A call that we make. `_invite` is the INVITE that counts: redirects and challenges replace it."""

    owns_call_id = True

    def __init__(self, core: Core, target: SipUri, offer: bytes | None, *, timeout: float, display: str) -> None:
        super().__init__(core, core.token(CALL_ID_BITS), CallState.CALLING)
        self._target, self._timeout, self._display = target, timeout, display
        self._uri = target  # the Request-URI: a redirect gives another
        self._session = offer or b""
        self._asks_offer = offer is None
        self._destinations: list[Address] = []  # the one that is tried, and those after it
        self._patience = timeout  # seconds for each of them
        self._new_number = True  # of the next INVITE: not for another server of the same name
        self._local_tag, self._from, self._number = core.token(), "", 0
        self._invite: ClientTransaction | None = None
        self._redirected = False
        self._heard = False
        self._ringing = False
        self._alerted: tuple[int | None, str] = (None, "")
        self._canceller: ClientTransaction | None = None
        self._others: dict[str, SentAck] = {}
        self._early = EarlyDialogs(core)

    def start(self, now: float) -> None:
        self.core.finder.find(self.core.next_hop(self._target), now, self._found)

    def _found(self, destinations: Sequence[Address], now: float) -> None:
        if self.state is not CallState.CALLING:
            return
        if not destinations:
            self.end("network", None, f"cannot find the host {self._target.host}", now)
            return
        for destination in destinations:
            self.core.authenticator.allow(self.call_id, destination.host)
        self._try(destinations, now)

    def _try(self, destinations: Sequence[Address], now: float) -> None:
        """INVITE the first of these, later the others if it fails (RFC 3263 section 4.3)."""
        self._destinations = list(destinations)
        self._patience = self._timeout / len(self._destinations)
        self._try_first(now)

    def _try_first(self, now: float) -> None:
        destination = self._destinations[0]
        if self._asks_offer:
            self._invite = None
            self.core.events.append(OfferWanted(self.call_id, destination))
        else:
            self._send_invite(destination, now)

    def make_offer(self, offer: bytes, now: float) -> None:
        """What OfferWanted asked for; late ones are of no use."""
        if self.state is CallState.CALLING and self._because is None and self._invite is None and self._destinations:
            self._session = offer
            self._send_invite(self._destinations[0], now)

    def _try_next(self, now: float) -> bool:
        """Go on to the next address of the same name; False where there is none."""
        if self._because is not None or self.state is not CallState.CALLING or len(self._destinations) < 2:
            return False
        self.core.timers.clear(self, "no answer")
        if isinstance(self._invite, InviteClient):
            self._invite.hush()
            self._invite.owner = Abandoned(self)
        self._destinations.pop(0)
        self._heard, self._new_number = False, False
        self._try_first(now)
        return True

    # --- what the user asks ---------------------------------------------------------------------------------------

    def hang_up(self, now: float, headers: Mapping[str, str]) -> None:
        if self.state is not CallState.CALLING:
            super().hang_up(now, headers)
        elif self._because is None:
            self._bye_headers = headers
            self._stop_calling(("cancelled", None, ""), now)

    def last_words(self, now: float) -> None:
        super().last_words(now)
        if self._canceller is not None and self.state is CallState.CALLING and not self._canceller.answered:
            self._canceller.send_again()

    def forget(self, now: float) -> None:
        super().forget(now)
        if self._invite is not None:
            self._invite.drop()  # a callee that said 180, and then nothing for ever

    # --- requests of the callee before its answer -----------------------------------------------------------------

    def has_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> bool:
        if self.dialog is not None:
            return super().has_dialog(call_id, local_tag, remote_tag)
        early = self._early.find(remote_tag) if remote_tag else None
        return early is not None and early.dialog.key == (call_id, local_tag, remote_tag)

    def _dialog_of(self, request: Request) -> Dialog | None:
        if self.dialog is not None:
            return self.dialog
        early = self._early.find(request.from_.tag or "")
        return early.dialog if early is not None else None

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        """Early dialogs are changed by UPDATE alone (RFC 3311 section 5), and left by the final response (15)."""
        if self.state is not CallState.CALLING or transaction.request.method in ("UPDATE", "INFO", "OPTIONS"):
            super()._receive(transaction, now)
        else:
            self.core.answer(transaction, 481, now)

    def _receive_update(self, transaction: ServerTransaction, now: float) -> None:
        early = self._early.find(transaction.request.from_.tag or "")
        unanswered = self.state is CallState.CALLING and (early is None or not early.settled)
        if unanswered and transaction.request.body:
            self.core.answer(transaction, PENDING, now)  # our INVITE's offer is still open
        else:
            super()._receive_update(transaction, now)

    def _answer_update(self, transaction: ServerTransaction, body: bytes, now: float) -> None:
        super()._answer_update(transaction, body, now)
        early = self._early.find(transaction.request.from_.tag or "")
        if body and early is not None:
            early.changed = True

    # --- the INVITE -----------------------------------------------------------------------------------------------

    def _next_number(self) -> int:
        self._number += self._new_number
        self._new_number = True
        return self._number

    def _send_invite(self, destination: Address, now: float) -> None:
        uri = self._uri
        if not self._from:  # not before: what we are seen as has only been learnt with the offer
            own = self.core.identity.caller_uri(destination)
            self._from = str(NameAddr(own, self._display, {"tag": self._local_tag}))
        contact = self.core.identity.contact(destination, secure=is_secure(uri))
        self._early.clear()
        self._invite = self.core.request(
            "INVITE",
            uri,
            destination,
            self,
            now,
            sender=self._from,
            recipient=f"<{self._target}>",
            call_id=self.call_id,
            number=self._next_number(),
            fields=[("Contact", contact), *abilities(self._timer)],
            body=self._session,
        )
        self.core.timers.set(self, "no answer", now + self._patience, self._no_answer)

    def _no_answer(self, now: float) -> None:
        if self._invite_proceeds() or not self._try_next(now):
            self._stop_calling(("no-answer", *self._alerted), now)

    def _invite_proceeds(self) -> bool:
        return self._invite is not None and self._invite.state is State.PROCEEDING

    def _stop_calling(self, because: tuple[str, int | None, str], now: float) -> None:
        """CANCEL, as soon as the callee has shown that it has the INVITE (9.1)."""
        if self._because is not None or self.state is not CallState.CALLING:
            return
        self._because = because
        self.core.timers.clear(self, "no answer")
        if self._invite_proceeds():
            self._cancel(now)
        elif self._invite is not None and self._heard and because[0] == "cancelled":
            self.core.timers.set(self, "cancelled", now + GIVE_UP, self._never_ended)
        else:
            # Nobody may be there at all. Should an answer come yet, it gets its CANCEL, or ACK and BYE.
            if isinstance(self._invite, InviteClient):
                self._invite.hush()
            self.end(*because, now)

    def _cancel(self, now: float) -> None:
        if self._canceller is not None or self._invite is None:
            return
        request = make_cancel(self._invite.request)
        for name, value in self._bye_headers.items():
            request.headers.set(name, value)
        self._canceller = self.core.send(request, self._invite.destination, self, now)
        self.core.timers.set(self, "cancelled", now + GIVE_UP, self._never_ended)

    def _never_ended(self, now: float) -> None:
        if self._because is not None:
            self.end(*self._because, now)

    # --- its responses --------------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is not self._invite:
            super().on_response(transaction, response, source, now)
            return
        self._heard = True
        if response.status < 200:
            self._on_progress(response, source, now)
            return
        self.core.timers.clear(self, "no answer", "cancelled")
        if response.status < 300:
            self._on_success(response, source, now)
        elif self.state is CallState.CALLING:
            self._on_failure(response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is not self._invite:
            super().on_no_response(transaction, now)
        elif self.state is CallState.CALLING and not self._try_next(now):
            failed = ("network", None, transaction.failure) if transaction.failure else ("no-answer", None, "")
            self.end(*(self._because or failed), now)

    def _on_progress(self, response: Response, source: Address, now: float) -> None:
        assert self._invite is not None
        if self.dialog is None and not self._early.receive(self._invite.request, response, source, now):
            return
        if self._because is not None:  # given up before this first sign of life
            self._cancel(now)
            return
        alerted = (response.status, response.reason)
        if response.status == 100 or alerted == self._alerted or self.state is not CallState.CALLING:
            return
        self._alerted = alerted
        if not self._ringing:
            self._ringing = True
            self.core.timers.set(self, "no answer", now + max(self._timeout, RING_TIME), self._no_answer)
        self.core.events.append(CallRinging(self.call_id, response.status, response.reason))

    def _on_success(self, response: Response, source: Address, now: float) -> None:
        assert self._invite is not None
        tag = response.to.tag or ""
        if self.dialog is not None and tag != self.dialog.remote_tag:
            self.refuse_branch(self._invite, response, source, now)
            return
        if self.dialog is not None:
            self._acks.send(self.dialog, self._invite)
            return
        early = self._early.find(tag)
        self.dialog = self._confirm(self._invite.request, early, response, source)
        self._answers.proven = True
        self._acks.send(self.dialog, self._invite)
        self._learn_next_hop(now)
        if self._because is not None:  # it was taken while we gave up
            self.say_bye(now)
        else:
            self.state = CallState.UP
            self._learn(response)
            self._timer.answered(response, now)
            answer = response.body if early is None else early.answer_with(response)
            if early is None or not early.changed:
                self._local, self._remote = self._session, answer
            self.core.events.append(CallAnswered(self.call_id, answer, source))

    def _confirm(self, invite: Request, early: EarlyDialog | None, response: Response, source: Address) -> Dialog:
        """The dialog of a 2xx; its route is taken from that (13.2.2.4), what was counted in it before goes on."""
        dialog = Dialog.of_response(invite, response, source)
        if early is not None:
            dialog.local_cseq, dialog.remote_cseq = early.dialog.local_cseq, early.dialog.remote_cseq
        return dialog

    def refuse_branch(self, invite: ClientTransaction, response: Response, source: Address, now: float) -> None:
        """Another telephone has taken the call too (13.2.2.4): acknowledge it, and hang up."""
        tag = response.to.tag or ""
        ack = self._others.get(tag)
        if ack is None:
            if len(self._others) >= MOST_BRANCHES:
                return
            dialog = self._confirm(invite.request, self._early.find(tag), response, source)
            ack = self._others[tag] = make_ack(self.core, dialog, invite.request)
            self.core.wire.send(ack.data, ack.destination)
            self.core.send(
                dialog.request("BYE", self.core.identity.via(ack.destination)), ack.destination, Nobody(), now
            )
        else:
            self.core.wire.send(ack.data, ack.destination)

    def _on_failure(self, response: Response, source: Address, now: float) -> None:
        if self._because is not None:
            self.end(*self._because, now)
        elif response.status == UNAVAILABLE and self._try_next(now):
            return
        elif response.status in FOLLOWED:
            self._follow(response, now)
        elif response.status == TOO_SHORT and self._timer.must_ask_for_more(response):
            assert self._invite is not None
            self._send_invite(self._invite.destination, now)
        elif not self._proves_to_call(response, source, now):
            self.end("rejected", response.status, response.reason, now)

    def _follow(self, response: Response, now: float) -> None:
        """Try the first place that a redirect names, once (8.1.3.4)."""
        if self._redirected:
            self.end("redirect-loop", response.status, response.reason, now)
            return
        uri = redirect_target(response, secure=is_secure(self._target))
        if uri is None:
            self.end("rejected", response.status, response.reason, now)
            return
        self._redirected, self._uri = True, uri
        self._invite = None
        if uri.host.lower() != self._target.host.lower():
            self.core.authenticator.narrow(self.call_id)

        def found(destinations: Sequence[Address], now: float) -> None:
            if self.state is CallState.CALLING and destinations:
                self._try(destinations, now)
            elif self.state is CallState.CALLING:
                self.end("rejected", response.status, response.reason, now)

        self.core.finder.find(self.core.next_hop(uri), now, found)

    def _proves_to_call(self, response: Response, source: Address, now: float) -> bool:
        """Whether this was a challenge, and the INVITE is on its way again with what it asked for."""
        assert self._invite is not None
        again = self.core.prove(self._invite, response, source, self._next_number, now)
        if again is None:
            return False
        self._invite = again
        self._early.clear()
        self.core.timers.set(self, "no answer", now + self._timeout, self._no_answer)
        return True


class Abandoned:
    """Owner of an INVITE that an address did not answer in time, so that another one has got it: who takes it all the
    same is hung up on, who rings is told to stop."""

    def __init__(self, call: OutgoingCall) -> None:
        self._call = call
        self._cancelled = False

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200 and not self._cancelled:
            self._cancelled = True
            self._call.core.send(make_cancel(transaction.request), transaction.destination, Nobody(), now)
        elif 200 <= response.status < 300:
            self._call.refuse_branch(transaction, response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        return


def make_cancel(invite: Request) -> Request:
    """9.1: the INVITE's URI, top Via, Route, From, To, Call-ID and CSeq number."""
    headers = Headers([("Via", str(invite.via[0])), ("Max-Forwards", MAX_FORWARDS)])
    for route in invite.headers.lines("Route"):
        headers.add("Route", route)
    for name in ("From", "To", "Call-ID"):
        headers.add(name, invite.headers.lines(name)[0])
    headers.add("CSeq", f"{invite.cseq.number} CANCEL")
    return Request("CANCEL", invite.uri, headers)
