"""What the parts of a call share: its state and dialog; and how it ends (RFC 3261 sections 12.2 and 15)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from voip.sip.address import Address, is_unproven
from voip.sip.call_state import ALLOWED, LIVE, Action, CallState, Trigger, next_state
from voip.sip.core import Core
from voip.sip.dialog import Dialog
from voip.sip.events import CallEnded
from voip.sip.message import Request, Response
from voip.sip.transaction import ClientTransaction, ServerTransaction


class Reason(NamedTuple):
    """Why a call ended, as CallEnded says it."""

    cause: str
    status: int | None = None
    phrase: str = ""


LOCAL_BYE = Reason("local-bye")
GONE = (408, 481)
"""Responses to a request within the dialog that end it (12.2.1.2)."""


class Leg:
    """Our end of a call. `owns_call_id`: we have made the Call-ID, so that after glare we wait longer (14.1)."""

    def __init__(self, core: Core, call_id: str, state: CallState, dialog: Dialog | None = None) -> None:
        self.core, self.call_id, self.state = core, call_id, state
        self.dialog = dialog
        self.owns_call_id = dialog is None

    @property
    def live(self) -> bool:
        """It is up or on its way there."""
        return self.state in LIVE

    @property
    def terminated(self) -> bool:
        return self.state is CallState.TERMINATED

    def move(self, trigger: Trigger) -> None:
        self.state = next_state(self.state, trigger)

    def allows(self, method: str) -> bool:
        """Whether a request of the peer is handled now."""
        return method in ALLOWED[self.state].requests

    def may(self, action: Action) -> bool:
        """Whether the user can do this now."""
        return action in ALLOWED[self.state].actions

    def confirm(self, dialog: Dialog) -> None:
        """The call is up: this is its dialog."""
        self.dialog = dialog

    # --- requests of ours within the dialog -----------------------------------------------------------------------

    def request(self, method: str) -> Request:
        assert self.dialog is not None
        return self.dialog.request(method, self.core.identity.via(self.destination()))

    def destination(self) -> Address:
        """Where our next request within the dialog goes."""
        assert self.dialog is not None
        return self.dialog.destination(self.core.resolver.known)

    def authenticate(
        self, transaction: ClientTransaction, response: Response, source: Address, now: float
    ) -> ClientTransaction | None:
        """The transaction that sends a request of ours again with the credentials that this response asks for; None
        where it asks for none, or in vain."""
        if self.dialog is None:
            return None
        return self.core.authenticate(transaction, response, source, self.dialog.next_number, now)

    def learn_next_hop(self, now: float) -> None:
        """Have names in the peer's Contact and Record-Route looked up, now that the peer is validated."""
        if self.dialog is not None and not self.dialog.behind_nat:
            self.core.resolver.prefetch(self.dialog.next_hop, now)


class Ending:
    """The end of a call: BYE both ways, and why. `stop` ends what is negotiated, `on_end` whatever else there is."""

    def __init__(self, leg: Leg, stop: Callable[[float], object], on_end: Callable[[float], object]) -> None:
        self._leg, self._stop, self._on_end = leg, stop, on_end
        self.reason: Reason | None = None
        """Why we have ended the call: reported when the peer has responded, or does not."""
        self._headers: Mapping[str, str] = {}
        self._bye: ClientTransaction | None = None
        self._bye_received = False

    def plan(self, headers: Mapping[str, str]) -> None:
        """The user ends the call; `headers` go with BYE or CANCEL."""
        self._headers = headers

    def add_headers(self, request: Request) -> None:
        """Add what the user wants to go with BYE or CANCEL."""
        for name, value in self._headers.items():
            request.headers.set(name, value)

    def leave(self, reason: Reason = LOCAL_BYE) -> None:
        """We end the call, and report why when the peer has responded, or does not."""
        self.reason = reason

    def send_bye(self, now: float) -> None:
        """Send BYE (15.1.1), once; `reason` is reported when its response comes, or none does."""
        dialog = self._leg.dialog
        if dialog is None or self._bye is not None:
            return
        self._leg.move(Trigger.BYE)
        self._stop(now)
        request = self._leg.request("BYE")
        for name, value in self._leg.core.bye_headers(self._leg.call_id).items():
            request.headers.set(name, value)
        self.add_headers(request)
        unvalidated = not dialog.validated and is_unproven(dialog.peer)
        destination = self._leg.destination() if dialog.validated else dialog.peer
        self._bye = self._leg.core.send(request, destination, self, now, 0 if unvalidated else None)

    def resend(self) -> None:
        """One more copy of a BYE that has no response yet."""
        if self._bye is not None and not self._bye.answered:
            self._bye.send_again()

    def end(self, reason: Reason, now: float) -> None:
        """Tell the user that the call is over, once."""
        if self._leg.terminated:
            return
        self._leg.move(Trigger.END)
        self._on_end(now)
        self._leg.core.events.append(CallEnded(self._leg.call_id, *reason))

    def give_up(self, reason: Reason, now: float) -> None:
        """The dialog is of no use any more: BYE, for the peer's sake, and the end."""
        self.send_bye(now)
        self.end(reason, now)

    def on_bye(self, transaction: ServerTransaction, now: float) -> None:
        core = self._leg.core
        if self._bye_received or (self._leg.terminated and self._bye is None):
            core.respond(transaction, 481, now)
            return
        self._bye_received = True
        core.respond(transaction, 200, now, fields=core.bye_headers(self._leg.call_id).items())
        crossing = self._leg.state is CallState.ENDING and self.reason is not None
        self.end(self.reason if crossing and self.reason else Reason("remote-bye"), now)

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        again = self._leg.authenticate(transaction, response, source, now)
        if again is not None:
            self._bye = again
        elif response.status >= 200 and self.reason is not None:
            responded = Reason(LOCAL_BYE.cause, response.status, response.reason)
            self.end(responded if self.reason.cause == LOCAL_BYE.cause else self.reason, now)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._bye and self.reason is not None:
            self.end(self.reason, now)
