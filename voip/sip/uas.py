"""The called side (RFC 3261 sections 8.2, 9.2 and 13.3): what a request must be like, and a call that we answer."""

from __future__ import annotations

from collections.abc import Mapping

from voip.sip.answers import Unacknowledged
from voip.sip.call import LOCAL_BYE, CallState
from voip.sip.core import SDP, Core, Fields
from voip.sip.dialog import Dialog, is_secure
from voip.sip.events import Address, CallEstablished, IncomingCall
from voip.sip.message import Request, SipUri
from voip.sip.offers import NegotiatedCall
from voip.sip.transaction import ServerTransaction, merge_key

SERVED = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS")
UNDERSTOOD = ("INFO", "MESSAGE", "NOTIFY", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE")
"""Methods that are standards, and not allowed here: 405. All others are 501 (8.2.1)."""
UNSERVED = (405, 501)
Refusal = tuple[int, Fields]
"""Status and header fields of the response."""


def objection(request: Request, source: Address) -> Refusal | None:
    """What the standard has against this request, in the order of section 8.2; None if it is good."""
    if request.method not in SERVED:
        return UNSERVED[request.method not in UNDERSTOOD], []
    if not isinstance(request.uri, SipUri) or (is_secure(request.uri) and source.protocol != "tls"):
        return 416, []
    required = request.headers.get_all("Require")
    if required:
        return 420, [("Unsupported", ", ".join(required))]
    if request.method == "INVITE":
        return _objection_to_body(request) or _objection_to_contact(request)
    return None


def _objection_to_body(request: Request) -> Refusal | None:
    if not request.body:
        return None
    encodings = [encoding.lower() for encoding in request.headers.get_all("Content-Encoding")]
    if any(encoding != "identity" for encoding in encodings):
        return 415, [("Accept-Encoding", "identity")]
    if request.content_type != SDP:
        return 415, [("Accept", SDP)]
    return None


def _objection_to_contact(request: Request) -> Refusal | None:
    """A dialog needs one place to send requests to (8.1.1.8)."""
    contacts = request.contacts
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
        invite.owner = self
        core.events.append(IncomingCall(call_id, request.from_, invite.source, request.body))

    def ring(self, now: float) -> None:
        """180: the user is being asked."""
        if self.state is CallState.INCOMING and self._offered is not None:
            fields = [("Record-Route", value) for value in self._offered.request.headers.lines("Record-Route")]
            secure = is_secure(self._offered.request.uri)
            fields.append(("Contact", self.core.contact(self._offered.source, secure=secure)))
            self.core.answer(self._offered, 180, now, fields=fields)

    def accept(self, answer: bytes, now: float) -> None:
        if self.state is not CallState.INCOMING:
            super().accept(answer, now)
        elif self._offered is not None:
            transaction, self._offered = self._offered, None
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

    def _acknowledged(self, waiting: Unacknowledged, answer: bytes, now: float) -> None:
        if not waiting.first:
            super()._acknowledged(waiting, answer, now)
        elif self.state is CallState.ANSWERED:
            self.state = CallState.UP
            self.core.events.append(CallEstablished(self.call_id, answer if waiting.late_offer else b""))
            if self._because is not None:
                self.say_bye(now)
