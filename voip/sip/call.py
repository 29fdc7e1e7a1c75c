"""A call once it has a dialog: BYE, OPTIONS, and what ends it (RFC 3261 sections 12 and 15).

What is negotiated in it is the matter of offers.py; what leads there differs: `OutgoingCall` in uac.py and
`AnsweringCall` in uas.py.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum

from voip.sip.address import Address, may_be_forged
from voip.sip.answers import Acks, Answers, Unacknowledged
from voip.sip.core import Core
from voip.sip.dialog import Dialog
from voip.sip.events import CallEnded, DigitPressed, PeerAlive
from voip.sip.message import Request, Response
from voip.sip.methods import DTMF, SDP
from voip.sip.timers import GIVE_UP
from voip.sip.transaction import ClientTransaction, ServerTransaction

Because = tuple[str, "int | None", str]
"""Reason, status and phrase of the end of a call."""
LOCAL_BYE: Because = ("local-bye", None, "")


_DIGIT = re.compile(rb"(?:signal[ \t]*=[ \t]*)?([0-9*#A-D])(?![0-9*#A-D])", re.IGNORECASE)


class CallState(Enum):
    CALLING = "calling"
    INCOMING = "incoming"
    ANSWERED = "answered"
    UP = "up"
    ENDING = "ending"
    ENDED = "ended"


class Call(ABC):
    """One call. Its end is told once; then it stays for a while to answer what is still under way."""

    owns_call_id = False

    def __init__(self, core: Core, call_id: str, state: CallState) -> None:
        self.core, self.call_id, self.state = core, call_id, state
        self.on_forgotten: Callable[[], object] = lambda: None
        self.dialog: Dialog | None = None
        self._because: Because | None = None
        self._bye_headers: Mapping[str, str] = {}
        self._bye: ClientTransaction | None = None
        self._peer_said_bye = False
        self._ping: ClientTransaction | None = None
        self._answers = Answers(core, self._no_ack)
        self._acks = Acks(core)

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

    @abstractmethod
    def accept(self, answer: bytes, now: float) -> None:
        """200 with `answer` to the offer that is open."""

    @abstractmethod
    def reject(self, status: int, now: float, reason: str) -> None:
        """Refuse the offer that is open; the session stays as it was."""

    @abstractmethod
    def reinvite(self, offer: bytes, now: float) -> None:
        """Offer another session; when an INVITE is open already, after it (14.1)."""

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
        stranger = not self._answers.proven and may_be_forged(self.dialog.peer)
        destination = self._destination() if self._answers.proven else self.dialog.peer
        self._bye = self.core.send(request, destination, self, now, 0 if stranger else None)

    def end(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        """Tell the user, once."""
        if self.ended:
            return
        self.state = CallState.ENDED
        self._forget_offers(now)
        self._answers.forget()
        self.core.timers.clear_all(self)
        self.core.timers.set(self, "forget", now + GIVE_UP, self.forget)
        self.core.events.append(CallEnded(self.call_id, reason, status, phrase))

    def give_up(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        """The dialog is of no use any more: BYE, for the peer's sake, and the end."""
        self.say_bye(now)
        self.end(reason, status, phrase, now)

    def forget(self, now: float) -> None:
        """Stay no longer for what may still be under way."""
        self.end(*(self._because or LOCAL_BYE), now)
        self.core.timers.clear_all(self)
        self.core.authenticator.forget(self.call_id)
        self.on_forgotten()

    @abstractmethod
    def _forget_offers(self, now: float) -> None:
        """The call ends: nothing is negotiated any more."""

    # --- requests of the peer -------------------------------------------------------------------------------------

    def receive_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request within the dialog (12.2.2)."""
        request = transaction.request
        dialog = self._dialog_of(request)
        if dialog is None:
            self.core.answer(transaction, 481, now)
            return
        if _out_of_order(dialog, request):
            self.core.answer(transaction, 500, now)
            return
        dialog.remote_cseq = request.cseq.number
        dialog.refresh(request, transaction.source)
        self._answers.proven = True
        self._learn_next_hop(now)
        self._receive(transaction, now)

    def receive_ack(self, request: Request, source: Address, now: float) -> None:
        waiting = self._answers.acknowledged(request.cseq.number)
        if waiting is None or self.dialog is None:
            return
        self.dialog.peer = source
        self._answers.proven = True
        self._learn_next_hop(now)
        self._acknowledged(waiting, request.body, now)

    @abstractmethod
    def receive_cancel(self, transaction: ServerTransaction, now: float) -> None:
        """A CANCEL of this INVITE (9.2); it is too late for one that is answered."""

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        handler = {"BYE": self._receive_bye, "OPTIONS": self._receive_options, "INFO": self._receive_info}.get(
            transaction.request.method
        )
        if handler is not None:
            handler(transaction, now)
        else:
            self.core.answer(transaction, 481, now)  # a PRACK for nothing

    def _dialog_of(self, request: Request) -> Dialog | None:
        """The dialog that this request is within."""
        return self.dialog

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
            self.core.answer(transaction, 200, now, optional=[("Accept", SDP)], allow=True)
        else:
            self.core.answer(transaction, 481, now)

    def _receive_info(self, transaction: ServerTransaction, now: float) -> None:
        """A digit of the old kind is taken (RFC 2976); packages of RFC 6086 were never agreed on."""
        request = transaction.request
        if self.ended:
            self.core.answer(transaction, 481, now)
        elif "Info-Package" in request.headers:
            self.core.answer(transaction, 469, now, fields=[("Recv-Info", "")])
        elif request.body and request.content_type not in DTMF:
            self.core.answer(transaction, 415, now, fields=[("Accept", ", ".join(DTMF))])
        else:
            self.core.answer(transaction, 200, now)
            digit = digit_of(request)
            if digit:
                self.core.events.append(DigitPressed(self.call_id, digit))

    # --- 2xx of ours ----------------------------------------------------------------------------------------------

    def _no_ack(self, now: float) -> None:
        if self.live:
            because = self._because or ("no-ack", None, "no ACK for our answer")
            self.say_bye(now)
            self.end(*because, now)

    @abstractmethod
    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        """The ACK for a 2xx of ours has come, with `answer` if that held our offer."""

    # --- responses to ours ----------------------------------------------------------------------------------------

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        if self._proves(transaction, response, source, now):
            return
        handler = {"BYE": self._bye_response, "OPTIONS": self._ping_response}.get(transaction.request.method)
        if handler is not None:
            handler(response, now)

    def _proves(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> bool:
        """Whether this was a challenge, and the request is on its way again with what it asked for."""
        again = self.dialog and self.core.prove(transaction, response, source, self.dialog.next_number, now)
        if again:
            self._replace(transaction, again)
        return bool(again)

    def _replace(self, transaction: ClientTransaction, again: ClientTransaction) -> None:
        """A request of ours has been sent once more, and the responses that count are to `again`."""
        if transaction is self._bye:
            self._bye = again
        elif transaction is self._ping:
            self._ping = again

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._bye and self._because is not None:
            self.end(*self._because, now)

    def _bye_response(self, response: Response, now: float) -> None:
        if response.status < 200 or self._because is None:
            return
        reason, status, phrase = self._because
        if reason == LOCAL_BYE[0]:
            status, phrase = response.status, response.reason
        self.end(reason, status, phrase, now)

    def _ping_response(self, response: Response, now: float) -> None:
        if response.status < 200 or not self.live:
            return
        if response.status == 481:
            self.end("timeout", response.status, response.reason, now)
        else:
            self.core.events.append(PeerAlive(self.call_id))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _request(self, method: str) -> Request:
        assert self.dialog is not None
        return self.dialog.request(method, self.core.identity.via(self._destination()))

    def _learn_next_hop(self, now: float) -> None:
        """Have names in the peer's Contact and Record-Route looked up, now that it is known to be no stranger."""
        if self.dialog is not None and not self.dialog.behind_nat:
            self.core.finder.learn(self.dialog.next_hop, now)

    def _destination(self) -> Address:
        assert self.dialog is not None
        return self.dialog.destination(self.core.finder.known)


def digit_of(request: Request) -> str:
    """The digit that an INFO brings, "" if it is none that can be read."""
    found = _DIGIT.match(request.body.lstrip())
    return found[1].decode().upper() if found is not None else ""


def _out_of_order(dialog: Dialog, request: Request) -> bool:
    """A request older than the last (12.2.2). One as new is a repetition, but a BYE of the careless is a BYE."""
    newest, number = dialog.remote_cseq, request.cseq.number
    return newest is not None and (number < newest or (number == newest and request.method != "BYE"))
