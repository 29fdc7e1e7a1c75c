"""The calling side (RFC 3261 sections 8.1, 9.1 and 13.2): from INVITE to the dialog, or to the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voip.sip.acks import Acks, SentAck, make_ack
from voip.sip.address import Address
from voip.sip.bodies import session_part
from voip.sip.call_state import CALLING, UNANSWERED, CallState, Trigger
from voip.sip.core import Core
from voip.sip.dialog import Dialog, is_secure, redirect_targets
from voip.sip.events import CallRinging, EarlyAnswer, OfferWanted
from voip.sip.leg import Ending, Leg, Reason
from voip.sip.message import MAX_FORWARDS, Headers, Request, Response
from voip.sip.methods import ALLOW, SUPPORTED
from voip.sip.reliable import EarlyDialog, EarlyDialogs, IgnoreResponses
from voip.sip.session_timer import SessionTimer
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ClientTransaction, InviteClient, State
from voip.sip.uri import NameAddr, SipUri, uri_equal

RING_TIME = 30.0
"""Seconds that a telephone that rings is given, at least."""
UNAVAILABLE = 503
"""Another server of the same name may be less busy (RFC 3263 section 4.3)."""
FOLLOWED = (300, 301, 302)
GLOBAL_FAILURE = 600
MAX_TARGETS = 4
"""Places that redirects may lead to: more would ring at more people than the caller knows of."""
TOO_SHORT = 422
MAX_BRANCHES = 8
"""Forks of one INVITE that are sent BYE: the rest is left to give up by itself."""


@dataclass(frozen=True)
class Answered:
    """The 2xx that has made the dialog; `sessions`, ours first, are None where an UPDATE has agreed on others since."""

    response: Response
    source: Address
    answer: bytes
    sessions: tuple[bytes, bytes] | None


class Invitation:
    """What the INVITEs of a call say, whatever address they go to. `offer` None: the user makes one for each."""

    def __init__(self, core: Core, call_id: str, target: SipUri, offer: bytes | None, display: str) -> None:
        self._core, self._call_id, self._display = core, call_id, display
        self.target, self.uri = target, target  # To, and the Request-URI: a redirect gives another
        self.wants_offer = offer is None
        self.offer = offer or b""
        self._same_number = False
        self._tag, self._from, self._number = core.token(), "", 0

    def take_offer(self, offer: bytes) -> None:
        """The offer of the next one, made by the user."""
        self.offer = offer

    def keep_number(self) -> None:
        """Let the next one have the CSeq of the last: it is for another server of the same name."""
        self._same_number = True

    def redirect(self, uri: SipUri) -> None:
        """Let the next one go to another Request-URI (8.1.3.4)."""
        self.uri = uri

    def next_number(self) -> int:
        """The CSeq of the next one."""
        self._number += not self._same_number
        self._same_number = False
        return self._number

    def send(self, destination: Address, owner: Caller, timer: SessionTimer, now: float) -> ClientTransaction:
        identity = self._core.identity
        if not self._from:  # not before: what we are seen as has only been learnt with the offer
            self._from = str(NameAddr(identity.caller_uri(destination), self._display, {"tag": self._tag}))
        contact = identity.contact(destination, secure=is_secure(self.uri))
        return self._core.request(
            "INVITE",
            self.uri,
            destination,
            owner,
            now,
            sender=self._from,
            recipient=f"<{self.target}>",
            call_id=self._call_id,
            number=self.next_number(),
            fields=[("Contact", contact), ALLOW, SUPPORTED, *timer.request_fields()],
            body=self.offer,
        )


class TargetSet:
    """The places that redirects have named, each tried once, MAX_TARGETS in all (8.1.3.4)."""

    def __init__(self) -> None:
        self._left: list[SipUri] = []
        self._tried: list[SipUri] = []

    def add(self, targets: Sequence[SipUri]) -> None:
        """Try those of them next, in their order, that are new."""
        new: list[SipUri] = []
        for uri in targets:
            if not any(uri_equal(uri, other) for other in (*self._tried, *self._left, *new)):
                new.append(uri)
        self._left = [*new, *self._left][:MAX_TARGETS]

    def next(self) -> SipUri | None:
        if not self._left or len(self._tried) >= MAX_TARGETS:
            return None
        uri = self._left.pop(0)
        self._tried.append(uri)
        return uri


class Caller:
    """The strategy of a call that we make. `_invite` is the INVITE that counts: redirects and challenges replace it.

    `timer` and `acks` are those of the call; `on_answered` gets the 2xx that makes the dialog, unless we have given up.
    """

    def __init__(
        self,
        leg: Leg,
        ending: Ending,
        invitation: Invitation,
        timer: SessionTimer,
        acks: Acks,
        on_answered: Callable[[Answered, float], object],
        timeout: float,
    ) -> None:
        self._leg, self._core, self._ending, self._acks = leg, leg.core, ending, acks
        self._invitation, self._timer, self._on_answered, self._timeout = invitation, timer, on_answered, timeout
        self._destinations: list[Address] = []  # the one that is tried, and those after it
        self._patience = timeout  # seconds for each of them
        self._invite: ClientTransaction | None = None
        self._targets = TargetSet()
        self._heard = False
        self._ringing = False
        self._alerted: tuple[int | None, str] = (None, "")
        self._canceller: ClientTransaction | None = None
        self._early = EarlyDialogs(leg.core)
        self._branches = Branches(leg.core, self._early)

    def start(self, now: float) -> None:
        target = self._invitation.target
        self._core.resolver.resolve(self._core.next_hop(target), now, self._found)

    def _found(self, destinations: Sequence[Address], now: float) -> None:
        if self._leg.state not in CALLING:
            return
        if not destinations:
            self._ending.end(Reason("network", None, f"cannot find the host {self._invitation.target.host}"), now)
            return
        for destination in destinations:
            self._core.digest_client.allow(self._leg.call_id, destination.host)
        self._try(destinations, now)

    # --- the addresses of a name (RFC 3263 section 4.3) -----------------------------------------------------------

    def _try(self, destinations: Sequence[Address], now: float) -> None:
        """INVITE the first of these, later the others if it fails."""
        self._destinations = list(destinations)
        self._patience = self._timeout / len(self._destinations)
        self._try_first(now)

    def _try_first(self, now: float) -> None:
        destination = self._destinations[0]
        if self._invitation.wants_offer:
            self._invite = None
            self._core.events.append(OfferWanted(self._leg.call_id, destination))
        else:
            self._send_invite(destination, now)

    def make_offer(self, offer: bytes, now: float) -> None:
        """What OfferWanted asked for; late ones are of no use."""
        if self._invite is None and self._destinations:
            self._invitation.take_offer(offer)
            self._send_invite(self._destinations[0], now)

    def _try_next(self, now: float) -> bool:
        """Go on to the next address of the same name; False where there is none."""
        if self._leg.state not in CALLING or len(self._destinations) < 2:
            return False
        self._abandon()
        self._destinations.pop(0)
        self._invitation.keep_number()
        self._try_first(now)
        return True

    def _abandon(self) -> None:
        """Leave the INVITE to itself: another one is tried."""
        self._core.timers.clear(self, "no answer")
        if isinstance(self._invite, InviteClient):
            self._invite.stop_retransmitting()
            self._invite.give_to(Abandoned(self._core, self._branches))
        self._heard = False

    # --- what the call asks ---------------------------------------------------------------------------------------

    def early_dialog(self, tag: str) -> Dialog | None:
        """The early dialog with the callee of this tag."""
        early = self._early.find(tag)
        return early.dialog if early is not None else None

    def has_open_offer(self, tag: str) -> bool:
        """Whether that callee has not answered our INVITE's offer in a reliable response."""
        early = self._early.find(tag)
        return self._leg.state in UNANSWERED and (early is None or not early.settled)

    def session_changed(self, tag: str) -> None:
        """We have answered an offer of that callee."""
        early = self._early.find(tag)
        if early is not None:
            early.changed = True

    def acknowledges(self, prack: Request) -> bool:
        """No: reliable responses are those of the called side."""
        return False

    def withdraw(self, now: float) -> None:
        """The user hangs up before the final response."""
        self._stop_calling(Reason("cancelled"), now)

    def resend(self) -> None:
        """One more copy of a CANCEL that has no response yet."""
        if self._canceller is not None and self._leg.state is CallState.CANCELLING and not self._canceller.answered:
            self._canceller.send_again()

    def stop(self) -> None:
        """The call is over."""
        self._core.timers.clear_all(self)

    def drop(self) -> None:
        """Expect no response any more: a callee may have said 180, and then nothing for ever."""
        self._core.timers.clear_all(self)
        if self._invite is not None:
            self._invite.drop()

    # --- the INVITE -----------------------------------------------------------------------------------------------

    def _send_invite(self, destination: Address, now: float) -> None:
        self._forget_early_dialogs()
        self._invite = self._invitation.send(destination, self, self._timer, now)
        self._core.timers.set(self, "no answer", now + self._patience, self._no_answer)

    def _forget_early_dialogs(self) -> None:
        self._early.clear()
        self._leg.move(Trigger.NEW_INVITE)

    def _no_answer(self, now: float) -> None:
        failed = self._unanswered()
        if self._invite_proceeds() or not (self._try_next(now) or self._next_target(failed, now)):
            self._stop_calling(failed, now)

    def _unanswered(self) -> Reason:
        """It rings, or there is not a single response: then what was tried."""
        tried = _tried(self._invite, self._patience) if self._invite and not self._heard else None
        return tried or Reason("no-answer", *self._alerted)

    def _invite_proceeds(self) -> bool:
        return self._invite is not None and self._invite.state is State.PROCEEDING

    def _stop_calling(self, reason: Reason, now: float) -> None:
        """CANCEL, as soon as the callee has shown that it has the INVITE (9.1)."""
        if self._leg.state not in CALLING:
            return
        self._ending.leave(reason)
        self._core.timers.clear(self, "no answer")
        if self._invite_proceeds():
            self._leg.move(Trigger.CANCEL)
            self._cancel(now)
        elif self._invite is not None and self._heard and reason.cause == "cancelled":
            self._leg.move(Trigger.CANCEL)
            self._core.timers.set(self, "cancelled", now + GIVE_UP, self._never_ended)
        else:
            # Perhaps nothing is there at all. Should a response come yet, it gets its CANCEL, or ACK and BYE.
            if isinstance(self._invite, InviteClient):
                self._invite.stop_retransmitting()
            self._ending.end(reason, now)

    def _cancel(self, now: float) -> None:
        if self._canceller is not None or self._invite is None:
            return
        request = make_cancel(self._invite.request)
        self._ending.add_headers(request)
        self._canceller = self._core.send(request, self._invite.destination, self, now)
        self._core.timers.set(self, "cancelled", now + GIVE_UP, self._never_ended)

    def _never_ended(self, now: float) -> None:
        if self._ending.reason is not None:
            self._ending.end(self._ending.reason, now)

    # --- its responses --------------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if transaction is not self._invite:
            return  # to a CANCEL
        self._heard = True
        if response.status < 200:
            self._on_progress(response, source, now)
            return
        self._core.timers.clear(self, "no answer", "cancelled")
        if response.status < 300:
            self._on_success(response, source, now)
        elif self._leg.state in UNANSWERED:
            self._on_failure(response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is not self._invite or self._leg.state not in UNANSWERED or self._try_next(now):
            return
        failed = Reason("network", None, transaction.failure) if transaction.failure else self._unanswered()
        if not self._next_target(failed, now):
            self._ending.end(self._ending.reason or failed, now)

    def _on_progress(self, response: Response, source: Address, now: float) -> None:
        assert self._invite is not None
        new = self._leg.dialog is not None or self._early.receive(self._invite.request, response, source, now)
        if self._early:
            self._leg.move(Trigger.PROVISIONAL)
        if not new:
            return
        if self._ending.reason is not None:  # given up before this first response
            self._cancel(now)
            return
        if response.body and response.status != 100 and self._leg.state in CALLING:
            self._core.events.append(EarlyAnswer(self._leg.call_id, response.body))
        alerted = (response.status, response.reason)
        if response.status == 100 or alerted == self._alerted or self._leg.state not in CALLING:
            return
        self._alerted = alerted
        if not self._ringing:
            self._ringing = True
            self._core.timers.set(self, "no answer", now + max(self._timeout, RING_TIME), self._no_answer)
        self._core.events.append(CallRinging(self._leg.call_id, response.status, response.reason))

    def _on_success(self, response: Response, source: Address, now: float) -> None:
        assert self._invite is not None
        tag, dialog = response.to.tag or "", self._leg.dialog
        if dialog is not None and tag != dialog.remote_tag:
            self._branches.refuse(self._invite, response, source, now)
            return
        if dialog is not None:
            self._acks.send(dialog, self._invite)
            return
        early = self._early.find(tag)
        dialog = _confirm(self._invite.request, early, response, source)
        self._leg.confirm(dialog)
        dialog.validated = True
        self._acks.send(dialog, self._invite)
        self._leg.learn_next_hop(now)
        if self._ending.reason is not None:  # it was answered while we gave up
            self._ending.send_bye(now)
            return
        self._leg.move(Trigger.SUCCESS)
        answer = session_part(response) if early is None else early.answer_with(response)
        changed = early is not None and early.changed
        sessions = None if changed else (self._invitation.offer, answer)
        self._on_answered(Answered(response, source, answer, sessions), now)

    def _on_failure(self, response: Response, source: Address, now: float) -> None:
        if self._ending.reason is not None:
            self._ending.end(self._ending.reason, now)
        elif response.status == UNAVAILABLE and self._try_next(now):
            return
        elif response.status == TOO_SHORT and self._timer.must_ask_for_more(response):
            assert self._invite is not None
            self._send_invite(self._invite.destination, now)
        elif not self._authenticates(response, source, now):
            self._refused(response, now)

    def _refused(self, response: Response, now: float) -> None:
        """Try the places that a redirect names, and those of an earlier one that are left (8.1.3.4); a 6xx speaks for
        all of them (21.6)."""
        redirected = response.status in FOLLOWED
        targets = redirect_targets(response, secure=is_secure(self._invitation.target)) if redirected else []
        self._targets.add(targets)
        refused = Reason("rejected", response.status, response.reason)
        if response.status >= GLOBAL_FAILURE or not self._next_target(refused, now):
            self._ending.end(refused._replace(cause="redirect-loop") if targets else refused, now)

    def _next_target(self, refused: Reason, now: float) -> bool:
        """Go on to the next place that redirects have named; False where there is none. `refused`: why the call fails
        if that place is not found."""
        uri = self._targets.next() if self._leg.state in CALLING and self._ending.reason is None else None
        if uri is None:
            return False
        self._core.timers.clear(self, "no answer")
        if self._invite is not None and not self._invite.answered:
            self._abandon()
        self._invite, self._destinations = None, []
        self._invitation.redirect(uri)
        if uri.host.lower() != self._invitation.target.host.lower():
            self._core.digest_client.narrow(self._leg.call_id)

        def found(destinations: Sequence[Address], now: float) -> None:
            if self._leg.state in CALLING and destinations:
                self._try(destinations, now)
            elif self._leg.state in CALLING and not self._next_target(refused, now):
                self._ending.end(refused, now)

        self._core.resolver.resolve(self._core.next_hop(uri), now, found)
        return True

    def _authenticates(self, response: Response, source: Address, now: float) -> bool:
        """Whether this was a challenge, and the INVITE is on its way again with credentials."""
        assert self._invite is not None
        again = self._core.authenticate(self._invite, response, source, self._invitation.next_number, now)
        if again is None:
            return False
        self._invite = again
        self._forget_early_dialogs()
        self._core.timers.set(self, "no answer", now + self._timeout, self._no_answer)
        return True


class Branches:
    """Forks that have answered the call too (13.2.2.4): each gets ACK and BYE."""

    def __init__(self, core: Core, early: EarlyDialogs) -> None:
        self._core, self._early = core, early
        self._acks: dict[str, SentAck] = {}

    def refuse(self, invite: ClientTransaction, response: Response, source: Address, now: float) -> None:
        """ACK this 2xx, and send BYE the first time it comes."""
        tag = response.to.tag or ""
        ack = self._acks.get(tag)
        if ack is not None:
            self._core.wire.send(ack.data, ack.destination)
            return
        if len(self._acks) >= MAX_BRANCHES:
            return
        dialog = _confirm(invite.request, self._early.find(tag), response, source)
        ack = self._acks[tag] = make_ack(self._core, dialog, invite.request)
        self._core.wire.send(ack.data, ack.destination)
        bye = dialog.request("BYE", self._core.identity.via(ack.destination))
        self._core.send(bye, ack.destination, IgnoreResponses(), now)


class Abandoned:
    """Owner of an INVITE that an address did not respond to in time, so that the next one was tried: a 2xx that comes
    all the same gets ACK and BYE, a provisional response CANCEL."""

    def __init__(self, core: Core, branches: Branches) -> None:
        self._core, self._branches = core, branches
        self._cancelled = False

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200 and not self._cancelled:
            self._cancelled = True
            self._core.send(make_cancel(transaction.request), transaction.destination, IgnoreResponses(), now)
        elif 200 <= response.status < 300:
            self._branches.refuse(transaction, response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        return


def _tried(invite: ClientTransaction, seconds: float) -> Reason:
    """Why a call fails to which nothing came back."""
    times = "once" if invite.sent == 1 else f"{invite.sent} times"
    where = f"{invite.destination.protocol.upper()} port {invite.destination.port}"
    return Reason("no-answer", None, f"INVITE sent {times} in {min(seconds, GIVE_UP):g} s to {where}")


def make_cancel(invite: Request) -> Request:
    """9.1: the INVITE's URI, top Via, Route, From, To, Call-ID and CSeq number."""
    headers = Headers([("Via", str(invite.via[0])), ("Max-Forwards", MAX_FORWARDS)])
    for route in invite.headers.lines("Route"):
        headers.add("Route", route)
    for name in ("From", "To", "Call-ID"):
        headers.add(name, invite.headers.lines(name)[0])
    headers.add("CSeq", f"{invite.cseq.number} CANCEL")
    return Request("CANCEL", invite.uri, headers)


def _confirm(invite: Request, early: EarlyDialog | None, response: Response, source: Address) -> Dialog:
    """The dialog of a 2xx; its route is taken from that (13.2.2.4), what was counted in it before goes on."""
    dialog = Dialog.of_response(invite, response, source)
    if early is not None:
        dialog.local_cseq, dialog.remote_cseq = early.dialog.local_cseq, early.dialog.remote_cseq
    return dialog
