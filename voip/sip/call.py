"""A call: what it is made of, and the handler of each method within it. Its states are in call_state.py.

    Leg                      state and dialog, which all parts share
    Ending                   BYE both ways, and the reason
    Negotiation              offers and answers, both ways; the session timer
    Ping, Probe              OPTIONS of ours
    DialogTexts              texts of ours (MESSAGE)
    Side                     the strategy: Caller in uac.py, or Called in uas.py
    UnackedResponses, Acks   2xx of ours until their ACK, and our ACKs

A part owns the requests that it sends, and gets their responses. A request of the peer comes to `receive_request`,
which asks the table of states whether it is allowed now, and goes to the handler of its method: `on_invite`, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from voip.sip.acks import Acks, UnackedResponse, UnackedResponses
from voip.sip.address import Address
from voip.sip.bodies import session_part
from voip.sip.call_state import TAKES_ROOM, Action, CallState, Trigger
from voip.sip.core import CALL_ID_BITS, Core
from voip.sip.dialog import Dialog
from voip.sip.events import CallAnswered, CallEstablished, DigitPressed, TextReceived
from voip.sip.info_digit import digit_of
from voip.sip.leg import LOCAL_BYE, Ending, Leg, Reason
from voip.sip.message import Request
from voip.sip.methods import DTMF, SDP
from voip.sip.negotiation import Negotiation
from voip.sip.ping import Ping
from voip.sip.probe import Probe
from voip.sip.text_message import expiry_of, text_of
from voip.sip.text_sending import DialogTexts
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ServerTransaction, merge_key
from voip.sip.uac import Answered, Caller, Invitation
from voip.sip.uas import Called
from voip.sip.uri import NameAddr, SipUri

SPARE_CALLS = 8
"""Calls kept beside those that take up room: refused, ending, ended."""
NO_DIALOG = 481
MOVES = ("INVITE", "UPDATE", "BYE")
"""Methods by which a peer that has another address now says so, or ends the call."""
Begin = Callable[[Callable[[float], object], float], object]
"""Calls its first argument, with the time: at once, or later."""
Replaceable = Callable[[str, Address, NameAddr], bool]
"""Whether the call of this id may be dropped for a new one, from this source and caller, should its peer be gone."""
ACK_AWAITED = 2.0
"""Seconds without an ACK and without media after which a call makes room for another: three copies of our 2xx."""
NO_ACK = Reason("no-ack", None, "no ACK for our answer")


class Side(Protocol):
    """What differs between a call that we make and one that came in. `tag` is the peer's."""

    def start(self, now: float) -> None:
        """The call begins: send its INVITE, or ask the user about it."""

    def early_dialog(self, tag: str) -> Dialog | None:
        """The early dialog with this peer, where it is not that of the call yet."""

    def has_open_offer(self, tag: str) -> bool:
        """Whether this peer has not answered the offer of our INVITE."""

    def session_changed(self, tag: str) -> None:
        """An offer of this peer has been answered."""

    def acknowledges(self, prack: Request) -> bool:
        """Whether a provisional response of ours waits for this PRACK."""

    def withdraw(self, now: float) -> None:
        """The user hangs up before the final response to our INVITE."""

    def resend(self) -> None:
        """Send once more what should end the call before it is confirmed."""

    def stop(self) -> None:
        """Our final response is sent, or the call is over: nothing is repeated or timed any more."""

    def drop(self) -> None:
        """The call is forgotten: expect no response any more."""


class Call:
    """One call. Its end is reported once; then it stays for a while to respond to what is still under way, until
    `on_forgotten` gets its id."""

    def __init__(self, leg: Leg, make_side: Callable[[Call], Side], on_forgotten: Callable[[str], object]) -> None:
        self.leg, self._core, self._on_forgotten = leg, leg.core, on_forgotten
        self.unacked = UnackedResponses(leg.core, self._no_ack)
        self.acks = Acks(leg.core)
        self.negotiation = Negotiation(leg, self.unacked, self.acks, self, self.give_up)
        self.ending = Ending(leg, self.negotiation.stop, self._on_end)
        self._ping, self.probe = Ping(leg, self.ending.end), Probe(leg)
        self._texts = DialogTexts(leg, self._ping.send)
        self.side = make_side(self)
        self._accepted_at = math.inf
        self._handlers = {
            "INVITE": self.on_invite,
            "BYE": self.on_bye,
            "UPDATE": self.on_update,
            "PRACK": self.on_prack,
            "INFO": self.on_info,
            "OPTIONS": self.on_options,
            "MESSAGE": self.on_message,
        }

    @property
    def call_id(self) -> str:
        return self.leg.call_id

    @property
    def dialog(self) -> Dialog | None:
        return self.leg.dialog

    @property
    def takes_room(self) -> bool:
        """It counts when another one comes in."""
        return self.leg.state in TAKES_ROOM

    def is_stalled(self, now: float) -> bool:
        """Its caller has not acknowledged our 2xx for too long."""
        return self.leg.state is CallState.ACCEPTED and now - self._accepted_at > ACK_AWAITED

    def has_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> bool:
        dialog = self._dialog_with(remote_tag)
        return dialog is not None and dialog.key == (call_id, local_tag, remote_tag)

    def _dialog_with(self, remote_tag: str) -> Dialog | None:
        """The dialog with the peer of this tag: of several callees in early dialogs one that we have heard of."""
        return self.leg.dialog or self.side.early_dialog(remote_tag)

    # --- what the user asks ---------------------------------------------------------------------------------------

    def make_offer(self, offer: bytes, now: float) -> None:
        """What OfferWanted asked for."""
        if self.leg.may(Action.OFFER) and isinstance(self.side, Caller):
            self.side.make_offer(offer, now)

    def ring(self, now: float) -> None:
        """180: the user is being asked."""
        if self.leg.may(Action.RING) and isinstance(self.side, Called):
            self.side.ring(now)

    def accept(self, answer: bytes, now: float) -> None:
        """200 with `answer` to the offer that is open."""
        offered = self.negotiation.offered
        if offered is None or not self.leg.may(Action.ACCEPT):
            return
        first = self.leg.state is CallState.INCOMING
        if first:
            self.side.stop()
            self.leg.move(Trigger.ACCEPT)
            self._accepted_at = now
        self.negotiation.accept(answer, now, first=first)
        if not first:  # that one has made the dialog
            self._retarget(offered.request, now)
        if answer:
            self.side.session_changed(offered.request.from_.tag or "")

    def reject(self, status: int, now: float, reason: str) -> None:
        """Refuse the offer that is open: the session stays as it was, an INVITE that came in is over."""
        if self.leg.may(Action.REJECT):
            self.negotiation.reject(status, now, reason)
        if self.leg.state is CallState.INCOMING:
            self.ending.end(Reason("rejected", status, reason), now)

    def reinvite(self, offer: bytes, now: float) -> None:
        """Offer another session; when an INVITE is open already, after it (14.1)."""
        if self.leg.may(Action.REINVITE):
            self.negotiation.reinvite(offer, now)

    def ping(self, now: float) -> None:
        """OPTIONS, unless one is under way."""
        if self.leg.may(Action.PING):
            self._ping.send(now)

    def send_text(self, text_id: str, text: str, now: float) -> bool:
        """MESSAGE, after those under way; whether the call is up."""
        up = self.leg.may(Action.TEXT)
        if up:
            self._texts.send(text_id, text, now)
        return up

    def hang_up(self, now: float, headers: Mapping[str, str]) -> None:
        """End the call as its state asks for; `headers` go with BYE or CANCEL."""
        if not self.leg.may(Action.HANG_UP):
            return
        if self.leg.state is CallState.INCOMING:
            self.reject(486, now, "")
            return
        self.ending.plan(headers)
        if self.leg.state is CallState.CONFIRMED:
            self.ending.leave()
            self.ending.send_bye(now)
        elif self.leg.state in (CallState.ACCEPTED, CallState.LEAVING):
            self.ending.leave()
            self.leg.move(Trigger.LEAVE)
        else:
            self.side.withdraw(now)

    def resend_pending(self, now: float) -> None:
        """One more copy of what should end the call and has no response yet."""
        if self.leg.state in (CallState.ACCEPTED, CallState.LEAVING):
            self.ending.leave()
            self.ending.send_bye(now)
        self.ending.resend()
        self.side.resend()

    # --- the end --------------------------------------------------------------------------------------------------

    def give_up(self, reason: Reason, now: float) -> None:
        """The dialog is of no use any more: BYE, for the peer's sake, and the end."""
        self.ending.give_up(reason, now)

    def forget(self, now: float) -> None:
        """Stay no longer for what may still be under way."""
        self.ending.end(self.ending.reason or LOCAL_BYE, now)
        self._core.timers.clear_all(self)
        self.probe.drop()
        self._core.digest_client.forget(self.call_id)
        self._on_forgotten(self.call_id)
        self.negotiation.drop()
        self._texts.drop()
        self.side.drop()

    def _on_end(self, now: float) -> None:
        self.side.stop()
        self.negotiation.stop(now)
        self.unacked.forget()
        self._texts.stop()
        self._core.timers.set(self, "forget", now + GIVE_UP, self.forget)

    # --- requests of the peer -------------------------------------------------------------------------------------

    def receive_request(self, transaction: ServerTransaction, now: float, *, trusted: bool = False) -> None:
        """A request within the dialog (12.2.2). `trusted`: from a host that may speak for others."""
        request = transaction.request
        dialog = self._dialog_with(request.from_.tag or "")
        if dialog is None:
            self._core.respond(transaction, NO_DIALOG, now)
        elif trusted or dialog.is_with(transaction.source.host, self._core.resolver.known):
            self._receive_of_peer(dialog, transaction, now)
        elif request.method in MOVES and self.leg.dialog is not None and self.leg.live:
            # By its tags it may be our peer, elsewhere; or one who has read them on the way.
            transaction.give_to(self)
            self.probe.ask(partial(self._receive_of_moved, transaction), now)
        else:
            self._refuse_elsewhere(transaction, now)

    def _receive_of_moved(self, transaction: ServerTransaction, there: bool, now: float) -> None:
        """It is known whether the peer is still `there`, where it was."""
        if transaction.answered:
            return
        if there or self.leg.dialog is None:
            self._refuse_elsewhere(transaction, now)
        else:
            self._receive_of_peer(self.leg.dialog, transaction, now)

    def _refuse_elsewhere(self, transaction: ServerTransaction, now: float) -> None:
        self._core.respond(transaction, NO_DIALOG, now, why="of a call whose peer is elsewhere")

    def _receive_of_peer(self, dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if _out_of_order(dialog, request):
            self._core.respond(transaction, 500, now)
            return
        dialog.remote_cseq = max(dialog.remote_cseq or 0, request.cseq.number)
        dialog.peer, dialog.validated = transaction.source, True
        self.leg.learn_next_hop(now)
        if self.leg.allows(request.method):
            self._handlers[request.method](transaction, now)
        else:
            self._core.respond(transaction, NO_DIALOG, now)

    def on_invite(self, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE."""
        self.negotiation.on_invite(transaction, now)

    def on_update(self, transaction: ServerTransaction, now: float) -> None:
        invite_open = self.side.has_open_offer(transaction.request.from_.tag or "")
        self.negotiation.on_update(transaction, now, invite_open=invite_open)
        if not session_part(transaction.request):  # no offer that could be refused
            self._retarget(transaction.request, now)

    def _retarget(self, request: Request, now: float) -> None:
        """We have accepted this INVITE or UPDATE."""
        dialog = self._dialog_with(request.from_.tag or "")
        if dialog is not None:
            dialog.retarget(request)
            self.leg.learn_next_hop(now)

    def on_bye(self, transaction: ServerTransaction, now: float) -> None:
        self.ending.on_bye(transaction, now)

    def on_prack(self, transaction: ServerTransaction, now: float) -> None:
        known = self.side.acknowledges(transaction.request)
        self._core.respond(transaction, 200 if known else NO_DIALOG, now)

    def on_options(self, transaction: ServerTransaction, now: float) -> None:
        self._core.respond(transaction, 200, now, optional=[("Accept", SDP)], allow=True)

    def on_info(self, transaction: ServerTransaction, now: float) -> None:
        """A digit without a package is taken (RFC 2976); packages (RFC 6086) were never agreed on."""
        request = transaction.request
        if "Info-Package" in request.headers:
            self._core.respond(transaction, 469, now, fields=[("Recv-Info", "")])
        elif request.body and request.content_type not in DTMF:
            self._core.respond(transaction, 415, now, fields=[("Accept", ", ".join(DTMF))])
        else:
            self._core.respond(transaction, 200, now)
            digit = digit_of(request.body)
            if digit:
                self._core.events.append(DigitPressed(self.call_id, digit))

    def on_message(self, transaction: ServerTransaction, now: float) -> None:
        """A text of the peer's; that it comes once is for its CSeq to say."""
        request, source = transaction.request, transaction.source
        self._core.respond(transaction, 200, now)
        text = TextReceived(self.call_id, request.from_, source, text_of(request), expiry_of(request))
        self._core.events.append(text)

    def on_ack(self, request: Request, source: Address, now: float) -> None:
        """An ACK for a 2xx of ours."""
        waiting = self.unacked.acknowledged(request.cseq.number)
        if waiting is None or self.leg.dialog is None:
            return
        if self.leg.dialog.is_with(source.host, self._core.resolver.known):
            self.leg.dialog.peer = source
        self.leg.dialog.validated = True
        self.leg.learn_next_hop(now)
        if waiting.first:
            self._on_first_ack(waiting, session_part(request), now)
        else:
            self.negotiation.on_ack(waiting, session_part(request))

    def on_cancel(self, invite: ServerTransaction, now: float) -> None:
        """A CANCEL of this INVITE (9.2); it is too late for one with a final response."""
        if invite is self.negotiation.offered:
            self.negotiation.reject(487, now, "")
        elif not invite.answered:  # it waits for what becomes of a probe
            self._core.respond(invite, 487, now)
        if self.leg.state is CallState.INCOMING:
            self.ending.end(Reason("cancelled", 487, "Request Terminated"), now)

    def _on_first_ack(self, waiting: UnackedResponse, answer: bytes, now: float) -> None:
        leaving = self.leg.state is CallState.LEAVING
        if self.leg.state is CallState.ACCEPTED or leaving:
            self.leg.move(Trigger.ACK)
            self._core.events.append(CallEstablished(self.call_id, answer if waiting.late_offer else b""))
        if leaving:
            self.ending.send_bye(now)

    # --- what the parts report --------------------------------------------------------------------------------------

    def on_answered(self, answered: Answered, now: float) -> None:
        """A 2xx to our INVITE has made the dialog."""
        self.negotiation.begin(answered.response, answered.sessions, now)
        self._core.events.append(CallAnswered(self.call_id, answered.answer, answered.source))

    def on_no_prack(self, now: float) -> None:
        """RFC 3262 section 3: the INVITE is refused with a 5xx."""
        if self.leg.state is CallState.INCOMING:
            self.negotiation.reject(504, now, "")
            self.ending.end(Reason("no-ack", None, "no PRACK for our ringing"), now)

    def _no_ack(self, now: float, says_bye: bool) -> None:
        if self.leg.live:
            end = self.give_up if says_bye else self.ending.end
            end(self.ending.reason or NO_ACK, now)


class Calls:
    """The calls of a user agent. `max_calls` may be live; a new one takes the place of one that is `replaceable`, or
    that is not acknowledged and of which nothing is heard."""

    def __init__(self, core: Core, max_calls: int, replaceable: Replaceable) -> None:
        self._core, self._max_calls, self._replaceable = core, max_calls, replaceable
        self._calls: dict[str, Call] = {}
        self._by_call_id: dict[str, list[Call]] = {}  # as in their messages: several, where a peer uses one again

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

    def get(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    @property
    def taking_room(self) -> frozenset[str]:
        """The Call-IDs, as in messages, of those that count when another one comes in."""
        known = self._by_call_id.items()
        return frozenset(call_id for call_id, calls in known if any(call.takes_room for call in calls))

    def find(self, call_id: str) -> tuple[str, str] | None:
        """The id of a call whose messages have this Call-ID, and the host of its peer, "" while it has none."""
        for call in self._by_call_id.get(call_id, ()):
            return call.call_id, "" if call.dialog is None else call.dialog.peer.host
        return None

    def with_dialog_of(self, request: Request) -> Call | None:
        """The call in whose dialog this is: Call-ID and both tags must be right (12.2.2)."""
        local_tag = request.to.tag
        if not local_tag:
            return None
        key = request.call_id, local_tag, request.from_.tag or ""
        return next((call for call in self._by_call_id.get(request.call_id, ()) if call.has_dialog(*key)), None)

    def begun_by(self, request: Request) -> bool:
        """Whether a call came in with just this INVITE."""
        key = merge_key(request)
        known = self._by_call_id.get(request.call_id, ())
        return any(isinstance(call.side, Called) and call.side.invited_by == key for call in known)

    def invite(
        self, target: SipUri, offer: bytes | None, now: float, *, timeout: float, display: str, begin: Begin
    ) -> str:
        """Make a call, which `begin` lets start; its id."""
        leg = Leg(self._core, self._core.token(CALL_ID_BITS), CallState.CALLING)
        invitation = Invitation(self._core, leg.call_id, target, offer, display)

        def caller_of(call: Call) -> Caller:
            timer, acks = call.negotiation.timer, call.acks
            return Caller(leg, call.ending, invitation, timer, acks, call.on_answered, timeout)

        call = self._keep(Call(leg, caller_of, partial(self._forget, leg.call_id)), leg.call_id)
        begin(call.side.start, now)
        return call.call_id

    def take(self, invite: ServerTransaction, now: float) -> None:
        """A call comes in: tell the user."""
        call_id = invite.request.call_id
        if call_id in self._calls:
            call_id = f"{call_id}.{self._core.token(CALL_ID_BITS)}"
        dialog = Dialog.of_request(invite.request, invite.source, invite.to_tag)
        leg = Leg(self._core, call_id, CallState.INCOMING, dialog)

        def called_of(call: Call) -> Called:
            return Called(leg, invite, call.negotiation.take, call.on_no_prack)

        call = self._keep(Call(leg, called_of, partial(self._forget, invite.request.call_id)), invite.request.call_id)
        call.side.start(now)

    def has_room(self, now: float) -> bool:
        """Whether one more call may come in, if need be in place of one whose caller acknowledges nothing: that may be
        a forgery, and would keep a line busy for half a minute."""
        if len(self) < self._max_calls:
            return True
        live = [call for call in self if call.takes_room]
        if len(live) >= self._max_calls:
            stalled = next((call for call in live if call.is_stalled(now) and not self._core.hears(call.call_id)), None)
            if stalled is None:
                return False
            stalled.give_up(NO_ACK, now)
        for call in list(self):
            if len(self) < self._max_calls + SPARE_CALLS:
                break
            if not call.takes_room:
                call.forget(now)
        return True

    def abandoned_for(self, invite: ServerTransaction) -> Call | None:
        """A call that this new one may take the place of, if its peer turns out to be gone."""
        source, caller = invite.source, invite.request.from_
        up = (call for call in self if call.dialog and call.leg.state in (CallState.ACCEPTED, CallState.CONFIRMED))
        return next((call for call in up if self._replaceable(call.call_id, source, caller)), None)

    def _keep(self, call: Call, call_id: str) -> Call:
        """Keep a call whose messages have this Call-ID."""
        self._calls[call.call_id] = call
        self._by_call_id.setdefault(call_id, []).append(call)
        return call

    def _forget(self, call_id: str, key: str) -> None:
        """A call of this Call-ID is over: the one that is known as `key`."""
        call = self._calls.pop(key, None)
        if call is not None:
            left = self._by_call_id[call_id]
            left.remove(call)
            if not left:
                del self._by_call_id[call_id]


def _out_of_order(dialog: Dialog, request: Request) -> bool:
    """A request older than the last (12.2.2), or as new. A BYE is one whatever its number: nothing comes after it, and
    by a forged request with a high number the peer's own would be shut out."""
    newest = dialog.remote_cseq
    return newest is not None and request.cseq.number <= newest and request.method != "BYE"
