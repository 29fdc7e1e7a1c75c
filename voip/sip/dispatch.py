"""What arrives, sorted to transactions, dialogs and new calls (RFC 3261 sections 8.1.3, 8.2, 17 and 18)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from voip.errors import ProtocolError
from voip.sip.address import SIP_PORT, Address
from voip.sip.call import Call, Calls
from voip.sip.core import Core
from voip.sip.events import FieldsPassedOver, MessageUnreadable, RequestEchoed, TextReceived
from voip.sip.guard import Guard
from voip.sip.leg import Reason
from voip.sip.limits import RateLimiter
from voip.sip.message import Request, Response, SipParseError, parse_message, salvage
from voip.sip.methods import METHOD_NOT_ALLOWED, METHODS, NOT_IMPLEMENTED, SDP, Refusal, is_served, needs_dialog
from voip.sip.objections import objection
from voip.sip.text_message import SeenTexts, expiry_of, text_of
from voip.sip.transaction import InviteServer, ServerTransaction, client_key, merge_key, note_source, server_key

UNREADABLE_RATE, UNREADABLE_BURST, UNREADABLE_TOTAL_RATE = 0.1, 3.0, 1.0
"""Messages a second that cannot be read and are reported, of one host, at once, and of all together."""
START = 60
"""Characters of a message that say which one is meant."""
KEEP_ALIVE = b"\r\n\0 "
"""What datagrams that only keep a NAT's mapping open consist of."""


class Accepts(NamedTuple):
    """What is taken outside of dialogs, of those that may call."""

    calls: bool = True
    texts: bool = True


class Dispatcher:
    """Takes each message to its place; never raises for what a peer sent. `on_heard` is called when the peer of a
    dialog may be another one now, or elsewhere."""

    def __init__(
        self, core: Core, calls: Calls, guard: Guard, accepts: Accepts, on_heard: Callable[[float], object]
    ) -> None:
        self._core, self._calls, self._guard = core, calls, guard
        self._accepts, self._on_heard = accepts, on_heard
        self._outside = {"INVITE": self._on_invite, "OPTIONS": self._on_options, "MESSAGE": self._on_message}
        self._seen_texts = SeenTexts()
        self.malformed = 0
        """Datagrams that are no SIP message."""
        self.ignored = 0
        """Messages that belong to nothing: stray responses and ACKs."""
        self.passed_over = 0
        """Fields, or parts of them, that were malformed and not needed."""
        self._unreadable = RateLimiter(UNREADABLE_RATE, UNREADABLE_BURST, UNREADABLE_TOTAL_RATE, UNREADABLE_BURST)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""
        if not data.strip(KEEP_ALIVE):
            return
        if not self._guard.admits(data, source, self._calls.find, now):
            self.ignored += data[:4].upper() in (b"SIP/", b"ACK ")
            return
        try:
            message = parse_message(data, stream=source.reliable)
            self._note_passed_over(message, source)
            if isinstance(message, Request):
                self._receive_request(message, source, len(data), now)
            else:
                self._receive_response(message, source, now)
        except ProtocolError as error:
            self.malformed += 1
            if not self._refuse_malformed(data, source, error, now):
                self._report_dropped(data, source, error, now)

    def note_malformed(self, count: int) -> None:
        """So many datagrams were dropped unread, as they cannot be SIP."""
        self.malformed += count

    def _note_passed_over(self, message: Request | Response, source: Address) -> None:
        if message.passed_over:
            self.passed_over += len(message.passed_over)
            problems = tuple(message.passed_over)
            self._core.events.append(FieldsPassedOver(source, message.start_line()[:START], problems))

    def _report_dropped(self, data: bytes, source: Address, error: ProtocolError, now: float) -> None:
        """Tell the user, but let a flood of these not drown everything else."""
        if not self._unreadable.take(source.host, now):
            return
        start = data.lstrip(KEEP_ALIVE)[:START].split(b"\n")[0].rstrip().decode("utf-8", "backslashreplace")
        clients = self._core.clients.values()
        ours = any(client.key[0].encode() in data or client.destination.host == source.host for client in clients)
        expected = ours and start.upper().startswith("SIP/")
        awaited = any(client.destination == source and not client.answered for client in clients)
        not_sip = awaited and b"SIP/" not in data.upper()
        self._core.events.append(MessageUnreadable(source, start, str(error), expected, not_sip))

    def _receive_response(self, response: Response, source: Address, now: float) -> None:
        via = response.via[0]
        transaction = self._core.clients.get(client_key(via, response.cseq.method))
        if transaction is None or response.hops != 1:  # 8.1.3.3: with two it is not for us
            self.ignored += 1
            return
        self._core.digest_client.note(transaction.request, response)
        if source == transaction.destination:
            self._core.identity.learn_address(source, via)
        transaction.receive(response, source, now)
        self._on_heard(now)

    # --- requests -------------------------------------------------------------------------------------------------

    def _receive_request(self, request: Request, source: Address, size: int, now: float) -> None:
        if self._is_echo(request, source):
            self.ignored += 1
            if self._unreadable.take(source.host, now):
                self._core.events.append(RequestEchoed(source, request.start_line()[:START]))
            return
        note_source(request, source)
        known = self._core.servers.get(server_key(request))
        if request.method == "ACK":
            self._on_ack(request, known, source, now)
        elif known is not None:
            known.repeated(now)
        elif request.method == "CANCEL":
            self._on_cancel(request, source, size, now)
        elif is_served(request.method) and (call := self._calls.with_dialog_of(request)) is not None:
            self._receive_in_dialog(call, request, source, size, now)
        else:
            self._receive_outside(request, source, size, now)

    def _is_echo(self, request: Request, source: Address) -> bool:
        """Whether it is the very request that we sent there. One that a proxy sends back to us has a Via of the proxy
        on top (16.6); one to ourselves comes from the address in its own Via."""
        via = request.via[0]
        sent = self._core.clients.get(client_key(via, request.method))
        to_ourselves = (via.host, via.port or SIP_PORT) == (source.host, source.port)
        return sent is not None and sent.destination == source and not to_ourselves

    def _on_ack(self, request: Request, known: ServerTransaction | None, source: Address, now: float) -> None:
        if isinstance(known, InviteServer) and known.acknowledge(now):
            return
        call = self._calls.with_dialog_of(request)
        if call is None:
            self.ignored += 1
            self._guard.note_ack(request, source)
        else:
            call.on_ack(request, source, now)
            self._guard.note_call(source.host, now)
            self._on_heard(now)

    def _on_cancel(self, request: Request, source: Address, size: int, now: float) -> None:
        """9.2: the request that it names is found by its branch; only an INVITE is worth the CANCEL."""
        *key, _ = server_key(request)
        named = ((*key, method) for method in METHODS if method != "CANCEL")
        cancelled = next((found for each in named if (found := self._core.servers.get(each)) is not None), None)
        if cancelled is None and not self._guard.take_token(request, source, now):
            return
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if cancelled is None:
            self._core.respond(transaction, 481, now)
            return
        transaction.take_tag_of(cancelled)
        self._core.respond(transaction, 200, now)
        if isinstance(cancelled.owner, Call) and isinstance(cancelled, InviteServer) and not cancelled.answered:
            cancelled.owner.on_cancel(cancelled, now)

    def _receive_in_dialog(self, call: Call, request: Request, source: Address, size: int, now: float) -> None:
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        refusal = objection(request, source)
        if refusal is not None:
            self._refuse(transaction, refusal, now)
        else:
            call.receive_request(transaction, now, trusted=self._guard.is_trusted(source.host))

    def _receive_outside(self, request: Request, source: Address, size: int, now: float) -> None:
        """Outside of all dialogs: the order of the questions is that of section 8.2."""
        if self._repeats_call(request):
            self.ignored += 1
            return
        guard = self._guard
        if not guard.take_token(request, source, now) or not guard.is_allowed(request, source, size, now):
            return
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if not guard.may_call(source.host):
            self._core.respond(transaction, 403, now, why="this address may not call")
            return
        refusal = objection(request, source)
        if refusal is not None:
            self._refuse(transaction, refusal, now)
        elif request.to.tag or needs_dialog(request.method):
            self._core.respond(transaction, 481, now)
        elif self._is_merged(transaction):
            self._core.respond(transaction, 482, now)
        else:
            self._outside[request.method](transaction, now)

    def _on_options(self, transaction: ServerTransaction, now: float) -> None:
        self._core.respond(transaction, 200, now, optional=[("Accept", SDP)], allow=True)

    def _on_message(self, transaction: ServerTransaction, now: float) -> None:
        """A text without a call; a copy of one that was shown is taken again, and shown no more."""
        request, source = transaction.request, transaction.source
        if not self._accepts.texts:
            self._core.respond(transaction, 403, now, why="texts are taken within a call only")
            return
        self._core.respond(transaction, 200, now)
        if self._seen_texts.is_new(request):
            self._core.events.append(TextReceived("", request.from_, source, text_of(request), expiry_of(request)))
        else:
            self.ignored += 1

    def _on_invite(self, transaction: ServerTransaction, now: float) -> None:
        """A call comes in."""
        if not self._accepts.calls:
            self._core.respond(transaction, 480, now, why="no calls are taken")
        elif self._calls.has_room(now):
            self._calls.take(transaction, now)
        elif (abandoned := self._calls.abandoned_for(transaction)) is not None:
            # The new call comes from where the other has fallen silent. But anyone could have written that.
            transaction.give_to(abandoned)
            abandoned.probe.ask(partial(self._replace, abandoned, transaction), now)
        else:
            self._core.respond(transaction, 486, now, why="busy")

    def _replace(self, call: Call, transaction: ServerTransaction, there: bool, now: float) -> None:
        """It is known whether the peer of this call is still there."""
        if transaction.answered:
            return
        transaction.give_to(None)
        if not there:
            call.give_up(Reason("timeout", None, "its peer is gone"), now)
        if not there and self._calls.has_room(now):
            self._calls.take(transaction, now)
        else:
            self._core.respond(transaction, 486, now, why="busy")

    def _refuse(self, transaction: ServerTransaction, refusal: Refusal, now: float) -> None:
        unserved = refusal.status in (METHOD_NOT_ALLOWED, NOT_IMPLEMENTED)
        fields, why = refusal.fields, refusal.why
        self._core.respond(transaction, refusal.status, now, fields=fields, allow=unserved, why=why)

    def _refuse_malformed(self, data: bytes, source: Address, error: ProtocolError, now: float) -> bool:
        """400 where enough of a request is left to respond to, else nothing."""
        request = salvage(data)
        if request is None or not self._guard.take_malformed(source, now):
            return False
        status = error.status if isinstance(error, SipParseError) else 400
        try:
            self._core.respond_stateless(request, source, status, len(data))
        except ProtocolError:
            return False
        self._core.report_refusal(request, source, status, str(error))
        return True

    def _repeats_call(self, request: Request) -> bool:
        """An INVITE that made a call, after its transaction was forgotten."""
        if request.method != "INVITE" or request.to.tag:
            return False
        key = merge_key(request)
        if any(transaction.merge_key == key for transaction in self._core.servers.of_call(request.call_id)):
            return False
        return self._calls.begun_by(request)

    def _is_merged(self, transaction: ServerTransaction) -> bool:
        """The same request has come another way, and gets its response there (8.2.2.2)."""
        others = self._core.servers.of_call(transaction.request.call_id)
        return any(other is not transaction and other.merge_key == transaction.merge_key for other in others)
