"""The called side (RFC 3261 sections 8.2, 9.2 and 13.3): what a request must be like, and a call that we answer."""

from __future__ import annotations

from collections.abc import Mapping

from voip.sip.address import Address
from voip.sip.answers import Unacknowledged
from voip.sip.call import LOCAL_BYE, CallState
from voip.sip.core import Core, Fields
from voip.sip.dialog import Dialog, is_secure
from voip.sip.events import CallEstablished, IncomingCall
from voip.sip.message import Request, SipUri
from voip.sip.methods import EXTENSIONS, METHODS, SDP, is_served, refusal_of
from voip.sip.offers import NegotiatedCall
from voip.sip.reliable import ReliableAnswers, requires_reliable
from voip.sip.session_timer import MIN_SE, too_short
from voip.sip.transaction import ServerTransaction, merge_key

Refusal = tuple[int, Fields]
"""Status and header fields of the response."""


def objection(request: Request, source: Address) -> Refusal | None:
    """What the standard has against this request, in the order of section 8.2; None if it is good."""
    if not is_served(request.method):
        return refusal_of(request.method), []
    if not isinstance(request.uri, SipUri) or (is_secure(request.uri) and source.protocol != "tls"):
        return 416, []
    unsupported = [tag for tag in request.headers.get_all("Require") if tag.lower() not in EXTENSIONS]
    if unsupported:
        return 420, [("Unsupported", ", ".join(unsupported))]
    if request.method == "INVITE":
        return _objection_to_offer(request) or _objection_to_accept(request) or _objection_to_contact(request)
    if request.method == "UPDATE":
        return _objection_to_offer(request)
    return None


def _objection_to_offer(request: Request) -> Refusal | None:
    if too_short(request):
        return 422, [("Min-SE", str(MIN_SE))]
    return _objection_to_body(request)


def _objection_to_body(request: Request) -> Refusal | None:
    if not request.body:
        return None
    encodings = [encoding.lower() for encoding in request.headers.get_all("Content-Encoding")]
    if any(encoding != "identity" for encoding in encodings):
        return 415, [("Accept-Encoding", "identity")]
    bodies = METHODS[request.method].bodies
    if request.content_type not in bodies:
        return 415, [("Accept", ", ".join(bodies))]
    return None


def _objection_to_accept(request: Request) -> Refusal | None:
    """Who says what it accepts, and that is no session description, cannot be answered (21.4.7)."""
    accepted = [value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")]
    if accepted and not any(kind in (SDP, "application/*", "*/*") for kind in accepted):
        return 406, []
    return None


def _objection_to_contact(request: Request) -> Refusal | None:
    """A dialog needs one place to send requests to (8.1.1.8). RFC 2543 asked for none, and its callers had no tags."""
    contacts = request.contacts
    if not contacts and request.from_.tag is None and isinstance(request.from_.uri, SipUri):
        return None
    if len(contacts) != 1 or not isinstance(contacts[0].uri, SipUri):
        return 400, []
    return None


class AnsweringCall(NegotiatedCall):
    """A call that came in; `_offered` is its INVITE until we answer."""

    def __init__(self, core: Core, call_id: str, invite: ServerTransaction) -> None:
        super().__init__(core, call_id, CallState.INCOMING)
        request = invite.request
        self.dialog = Dialog.of_request(request, invite.source, invite.to_tag)
        self.invited_by = merge_key(request)
        self._offered = invite
        self._reliable = ReliableAnswers(core, self._no_prack)
        self._learn(request)
        invite.owner = self
        core.events.append(IncomingCall(call_id, request.from_, invite.source, request.body))

    def ring(self, now: float) -> None:
        """180: the user is being asked."""
        if self.state is not CallState.INCOMING or self._offered is None:
            return
        request = self._offered.request
        fields = [("Record-Route", value) for value in request.headers.lines("Record-Route")]
        fields.append(("Contact", self.core.identity.contact(self._offered.source, secure=is_secure(request.uri))))
        if not requires_reliable(request):
            self.core.answer(self._offered, 180, now, fields=fields)
        elif request.body:
            # Without an offer the first reliable response would have to hold ours (RFC 3262 section 5): 100 will do.
            self._reliable.send(self._offered, 180, fields, now)

    def accept(self, answer: bytes, now: float) -> None:
        if self.state is not CallState.INCOMING:
            super().accept(answer, now)
        elif self._offered is not None:
            transaction, self._offered = self._offered, None
            self._reliable.stop()
            self.state = CallState.ANSWERED
            self._send_2xx(transaction, answer, first=True, now=now)

    def reject(self, status: int, now: float, reason: str) -> None:
        super().reject(status, now, reason)
        if self.state is CallState.INCOMING:
            self.end("rejected", status, reason, now)

    def hang_up(self, now: float, headers: Mapping[str, str]) -> None:
        if self.state is CallState.INCOMING:
            self.reject(486, now, "")
        elif self.state is CallState.ANSWERED:
            self._because, self._bye_headers = LOCAL_BYE, headers  # BYE itself not before the ACK (15)
        else:
            super().hang_up(now, headers)

    def last_words(self, now: float) -> None:
        if self.state is CallState.ANSWERED:
            self._because = self._because or LOCAL_BYE
            self.say_bye(now)
        super().last_words(now)

    def receive_cancel(self, transaction: ServerTransaction, now: float) -> None:
        super().receive_cancel(transaction, now)
        if self.state is CallState.INCOMING:
            self.end("cancelled", 487, "Request Terminated", now)

    def end(self, reason: str, status: int | None, phrase: str, now: float) -> None:
        self._reliable.stop()
        super().end(reason, status, phrase, now)

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        if transaction.request.method == "PRACK":
            known = self._reliable.acknowledged(transaction.request)
            self.core.answer(transaction, 200 if known else 481, now)
        else:
            super()._receive(transaction, now)

    def _no_prack(self, now: float) -> None:
        """RFC 3262 section 3: the INVITE is refused with a 5xx."""
        if self.state is CallState.INCOMING:
            super().reject(504, now, "")
            self.end("no-ack", None, "no PRACK for our ringing", now)

    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        if not waiting.first:
            super()._acknowledged(waiting, answer, now)
        elif self.state is CallState.ANSWERED:
            self.state = CallState.UP
            self.core.events.append(CallEstablished(self.call_id, answer if waiting.late_offer else b""))
            if self._because is not None:
                self.say_bye(now)
