"""A call once it has a dialog: BYE, re-INVITE both ways, OPTIONS, and 2xx until their ACK (RFC 3261 sections 12 to 15).

What leads there differs: see `OutgoingCall` in uac.py and `AnsweringCall` in uas.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from voip.sip.core import ALLOW, COPIES_TO_STRANGERS, SDP, Core
from voip.sip.dialog import Dialog, is_public
from voip.sip.events import (
    Address,
    CallEnded,
    CallOffered,
    CallReanswered,
    PeerAlive,
    RequestRefused,
)
from voip.sip.message import Request, Response
from voip.sip.timers import GIVE_UP, T1, T2
from voip.sip.transaction import ClientTransaction, ServerTransaction

GLARE_OWNER = (2.1, 4.0)
GLARE_OTHER = (0.0, 2.0)
"""Seconds to wait after 491: whoever made the Call-ID waits longer (14.1)."""
RETRY_AFTER_MAX = 10
"""Seconds of Retry-After for an offer that comes while another is open (14.2)."""
MOST_ACKS = 4
"""ACKs kept for repeated 2xx."""
Because = tuple[str, "int | None", str]
"""Reason, status and phrase of the end of a call."""
LOCAL_BYE: Because = ("local-bye", None, "")
PENDING = 491
GONE = (408, 481)
"""What ends the dialog when it answers a request within it (12.2.1.2)."""


class CallState(Enum):
    CALLING = "calling"
    INCOMING = "incoming"
    ANSWERED = "answered"
    UP = "up"
    ENDING = "ending"
    ENDED = "ended"


class Unacknowledged:
    """A 2xx of ours that is repeated until its ACK (13.3.1.4)."""

    def __init__(self, transaction: ServerTransaction, data: bytes, first: bool) -> None:
        self.number = transaction.request.cseq.number
        self.data, self.destination, self.first = data, transaction.reply_to, first
        self.late_offer = not transaction.request.body
        self.interval = T1
        self.copies = 0


@dataclass
class SentAck:
    data: bytes
    destination: Address


class Call:
    """One call. Its end is told once; then it stays for a while to answer what is still under way."""

    owns_call_id = False

    def __init__(self, core: Core, call_id: str, state: CallState) -> None:
        self.core, self.call_id, self.state = core, call_id, state
        self.on_forgotten: Callable[[], object] = lambda: None
        self.dialog: Dialog | None = None
        self.proven = False
        """The peer has shown that it receives what we send."""
        self._because: Because | None = None
        self._bye_headers: Mapping[str, str] = {}
        self._bye: ClientTransaction | None = None
        self._peer_said_bye = False
        self._offered: ServerTransaction | None = None
        self._offering: ClientTransaction | None = None
        self._offer = b""
        self._ping: ClientTransaction | None = None
        self._unacknowledged: dict[int, Unacknowledged] = {}
        self._acks: dict[int, SentAck] = {}

    @property
    def ended(self) -> bool:
        return self.state is CallState.ENDED

    @property
    def live(self) -> bool:
        """It is up or on its way there."""
        return self.state not in (CallState.ENDING, CallState.ENDED)

    @property
    def takes_room(self) -> bool:
        """It counts when another one comes in: not so where we have hung up, and only the ACK is still to come."""
        return self.live and (self.state is not CallState.ANSWERED or self._because is None)

    def has_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> bool:
        return self.dialog is not None and self.dialog.key == (call_id, local_tag, remote_tag)

    # --- what the user asks ---------------------------------------------------------------------------------------

    def accept(self, answer: bytes, now: float) -> None:
        """200 with `answer` to the offer that is open."""
        if self._offered is None:
            return
        transaction, self._offered = self._offered, None
        self._send_2xx(transaction, answer, first=False, now=now)

    def reject(self, status: int, now: float, reason: str) -> None:
        """Refuse the offer that is open; the session stays as it was."""
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, status, now, reason=reason)

    def reinvite(self, offer: bytes, now: float) -> None:
        """Offer another session; when an INVITE is open already, after it (14.1)."""
        if self.state is not CallState.UP:
            return
        self._offer = offer
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
        else:
            self._reoffer(now)

    def hang_up(self, now: float, headers: Mapping[str, str]) -> None:
        if self.state is CallState.UP:
            self._because, self._bye_headers = LOCAL_BYE, headers
            self.say_bye(now)

    def ping(self, now: float) -> None:
        if self.state is not CallState.UP or self.dialog is None:
            return
        if self._ping is None or self._ping.answered:
            request = self._request("OPTIONS")
            request.headers.add("Accept", SDP)
            self._ping = self.core.send(request, self._destination(), self, now)

    def last_words(self, now: float) -> None:
        """One more copy of what should end the call and is not answered yet."""
        if self._bye is not None and not self._bye.answered:
            self._bye.send_again()

    # --- the end --------------------------------------------------------------------------------------------------

    def say_bye(self, now: float) -> None:
        """Send BYE (15.1.1); `_because` is told when it is answered, or nobody answers."""
        if self.dialog is None or self._bye is not None:
            return
        if self.state is not CallState.ENDED:
            self.state = CallState.ENDING
        self._forget_offers(now)
        request = self._request("BYE")
        for name, value in self._bye_headers.items():
            request.headers.set(name, value)
        stranger = not self.proven and is_public(self.dialog.peer.host)
        destination = self._destination() if self.proven else self.dialog.peer
        self._bye = self.core.send(request, destination, self, now, 0 if stranger else None)

    def end(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        """Tell the user, once."""
        if self.ended:
            return
        self.state = CallState.ENDED
        self._forget_offers(now)
        for waiting in self._unacknowledged.values():
            self.core.timers.clear_all(waiting)
        self._unacknowledged.clear()
        self.core.timers.clear_all(self)
        self.core.timers.set(self, "forget", now + GIVE_UP, self.forget)
        self.core.events.append(CallEnded(self.call_id, reason, status, phrase))

    def forget(self, now: float) -> None:
        """Stay no longer for what may still be under way."""
        self.end(*(self._because or LOCAL_BYE), now)
        self.core.timers.clear_all(self)
        if self._offering is not None:
            self._offering.drop()
        self.on_forgotten()

    def _forget_offers(self, now: float) -> None:
        self.core.timers.clear(self, "reoffer")
        if self._offered is not None:
            transaction, self._offered = self._offered, None
            self.core.answer(transaction, 487, now)

    # --- requests of the peer -------------------------------------------------------------------------------------

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request within the dialog (12.2.2), INVITE, BYE or OPTIONS."""
        request = transaction.request
        assert self.dialog is not None
        if self._out_of_order(request):
            self.core.answer(transaction, 500, now)
            return
        self.dialog.remote_cseq = request.cseq.number
        self.dialog.refresh(request, transaction.source)
        self.proven = True
        handler = {"INVITE": self._receive_invite, "BYE": self._receive_bye, "OPTIONS": self._receive_options}
        handler[request.method](transaction, now)

    def receive_ack(self, request: Request, source: Address, now: float) -> None:
        waiting = self._unacknowledged.pop(request.cseq.number, None)
        if waiting is None or self.dialog is None:
            return
        self.core.timers.clear_all(waiting)
        self.dialog.peer = source
        self.proven = True
        self._acknowledged(waiting, request.body, now)

    def receive_cancel(self, transaction: ServerTransaction, now: float) -> None:
        """A CANCEL of this INVITE (9.2); it is too late for one that is answered."""
        if transaction is self._offered:
            self._offered = None
            self.core.answer(transaction, 487, now)

    def _out_of_order(self, request: Request) -> bool:
        """A request older than the last (12.2.2). One as new is a repetition, but a BYE of the careless is a BYE."""
        assert self.dialog is not None
        newest, number = self.dialog.remote_cseq, request.cseq.number
        return newest is not None and (number < newest or (number == newest and request.method != "BYE"))

    def _receive_bye(self, transaction: ServerTransaction, now: float) -> None:
        if self._peer_said_bye or (self.ended and self._bye is None):
            self.core.answer(transaction, 481, now)
            return
        self._peer_said_bye = True
        self.core.answer(transaction, 200, now)
        if self.state is CallState.ENDING and self._because is not None:  # both said BYE
            self.end(*self._because, now)
        else:
            self.end("remote-bye", None, "", now)

    def _receive_options(self, transaction: ServerTransaction, now: float) -> None:
        if not self.ended:
            self.core.answer(transaction, 200, now, optional=[("Accept", SDP), ("Supported", "")], allow=True)
        else:
            self.core.answer(transaction, 481, now)

    def _receive_invite(self, transaction: ServerTransaction, now: float) -> None:
        if not self.live:
            self.core.answer(transaction, 481, now)
        elif self._offering is not None:
            self.core.answer(transaction, PENDING, now)
        elif self._offered is not None:
            wait = str(self.core.rng.randrange(RETRY_AFTER_MAX + 1))
            self.core.answer(transaction, 500, now, fields=[("Retry-After", wait)])
        elif any(waiting.late_offer for waiting in self._unacknowledged.values()):
            self.core.answer(transaction, PENDING, now)  # our offer has no answer yet
        else:
            self._offered = transaction
            transaction.owner = self
            self.core.events.append(CallOffered(self.call_id, transaction.request.body))

    # --- 2xx of ours ----------------------------------------------------------------------------------------------

    def _send_2xx(self, transaction: ServerTransaction, body: bytes, *, first: bool, now: float) -> None:
        request = transaction.request
        fields = [("Record-Route", value) for value in request.headers.lines("Record-Route")]
        fields.append(("Contact", self.core.contact(transaction.source)))
        response = self.core.answer(transaction, 200, now, fields=fields, allow=True, body=body)
        if not self.proven and is_public(transaction.source.host):
            transaction.most_copies = 0
        waiting = Unacknowledged(transaction, response.serialize(), first)
        self._unacknowledged[waiting.number] = waiting
        timers = self.core.timers
        timers.set(waiting, "repeat", now + T1, lambda now: self._repeat_2xx(waiting, now))
        timers.set(waiting, "give up", now + GIVE_UP, lambda now: self._no_ack(waiting, now))

    def _repeat_2xx(self, waiting: Unacknowledged, now: float) -> None:
        stranger = not self.proven and is_public(waiting.destination.host)
        if stranger and waiting.copies >= COPIES_TO_STRANGERS:
            return
        waiting.copies += 1
        self.core.wire.send(waiting.data, waiting.destination)
        waiting.interval = min(2 * waiting.interval, T2)
        self.core.timers.set(waiting, "repeat", now + waiting.interval, lambda now: self._repeat_2xx(waiting, now))

    def _no_ack(self, waiting: Unacknowledged, now: float) -> None:
        self._unacknowledged.pop(waiting.number, None)
        self.core.timers.clear_all(waiting)
        if self.live:
            because = self._because or ("no-ack", None, "no ACK for our answer")
            self.say_bye(now)
            self.end(*because, now)

    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        if waiting.late_offer and self.live:
            self.core.events.append(CallReanswered(self.call_id, answer))

    # --- responses to ours ----------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        handler = {"INVITE": self._offer_response, "BYE": self._bye_response, "OPTIONS": self._ping_response}.get(
            transaction.request.method
        )
        if handler is not None:
            handler(transaction, response, source, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._bye and self._because is not None:
            self.end(*self._because, now)
        elif transaction is self._offering and self.live:
            self._offering = None
            self.give_up("timeout", 408, "no answer to a changed offer", now)

    def _bye_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200 or self._because is None:
            return
        reason, status, phrase = self._because
        if reason == LOCAL_BYE[0]:
            status, phrase = response.status, response.reason
        self.end(reason, status, phrase, now)

    def _ping_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200 or not self.live:
            return
        if response.status == 481:
            self.end("timeout", response.status, response.reason, now)
        else:
            self.core.events.append(PeerAlive(self.call_id))

    def _offer_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if response.status < 200:
            return
        first = transaction is self._offering
        if first:
            self._offering = None
        if response.status < 300:
            self._offer_accepted(transaction, response, source, first)
        elif not self.live:
            return
        elif response.status == PENDING:
            shortest, longest = GLARE_OWNER if self.owns_call_id else GLARE_OTHER
            self.core.timers.set(self, "reoffer", now + self.core.rng.uniform(shortest, longest), self._reoffer)
        elif response.status in GONE:
            self.give_up("timeout", response.status, response.reason, now)
        else:
            self.core.events.append(RequestRefused(source, "INVITE", response.status))

    def _offer_accepted(self, transaction: ClientTransaction, response: Response, source: Address, first: bool) -> None:
        if first and self.dialog is not None:
            self.dialog.refresh(response, source)
        self._acknowledge(transaction)
        if first and self.live:
            self.core.events.append(CallReanswered(self.call_id, response.body))

    def give_up(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        """The dialog is of no use any more: BYE, for the peer's sake, and the end."""
        self.say_bye(now)
        self.end(reason, status, phrase, now)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _acknowledge(self, transaction: ClientTransaction) -> None:
        """ACK for a 2xx, the same for each copy (13.2.2.4)."""
        number = transaction.request.cseq.number
        if number not in self._acks and self.dialog is not None:
            destination = self._destination()
            request = make_ack(self.dialog, transaction.request, self.core.via(destination))
            self._acks[number] = SentAck(request.serialize(), destination)
            while len(self._acks) > MOST_ACKS:
                del self._acks[next(iter(self._acks))]
        ack = self._acks[number]
        self.core.wire.send(ack.data, ack.destination)

    def _offer_open(self) -> bool:
        return self._offering is not None or self._offered is not None or bool(self._unacknowledged)

    def _reoffer(self, now: float) -> None:
        if self.state is not CallState.UP:
            return
        if self._offer_open():
            self.core.timers.set(self, "reoffer", now + T1, self._reoffer)
            return
        destination = self._destination()
        request = self._request("INVITE")
        request.headers.add("Contact", self.core.contact(destination))
        request.headers.add(*ALLOW)
        if self._offer:
            request.headers.add("Content-Type", SDP)
            request.body = self._offer
        self._offering = self.core.send(request, destination, self, now)

    def _request(self, method: str) -> Request:
        assert self.dialog is not None
        return self.dialog.request(method, self.core.via(self._destination()))

    def _destination(self) -> Address:
        assert self.dialog is not None
        return self.dialog.destination(self.core.resolve)


def make_ack(dialog: Dialog, invite: Request, via: str) -> Request:
    """The ACK for a 2xx to `invite`: its number, its credentials (22.1), the dialog's route."""
    request = dialog.request("ACK", via, invite.cseq.number)
    for name in ("Authorization", "Proxy-Authorization"):
        for value in invite.headers.lines(name):
            request.headers.add(name, value)
    return request
