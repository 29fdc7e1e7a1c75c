"""The user agent (RFC 3261 sections 8 and 18): sorts what arrives to transactions, dialogs and new calls.

Bytes and times go in; bytes and events come out. It never raises for what a peer sent. Every method that names a call
is a quiet no-op when that call, or its state, is gone: the peer may just have hung up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from voip.errors import ProtocolError
from voip.sip.address import Address
from voip.sip.auth import Credentials
from voip.sip.call import Call
from voip.sip.core import CALL_ID_BITS, MOST_SERVERS, Core
from voip.sip.events import Event, RequestRefused
from voip.sip.gatekeeper import Gatekeeper, Verdict
from voip.sip.identity import Identity, Local
from voip.sip.keepalive import KeepAlive
from voip.sip.limits import RateLimiter, is_scanner
from voip.sip.message import NameAddr, Request, Response, SipParseError, SipUri, parse_message, salvage
from voip.sip.methods import METHOD_NOT_ALLOWED, NOT_IMPLEMENTED, SDP, is_served, needs_dialog
from voip.sip.registration import Registration
from voip.sip.transaction import (
    InviteServer,
    ServerTransaction,
    client_key,
    merge_key,
    note_source,
    server_key,
)
from voip.sip.uac import OutgoingCall
from voip.sip.uas import AnsweringCall, Refusal, objection

REQUEST_RATE, REQUEST_BURST, TOTAL_RATE = 15.0, 30.0, 100.0
"""New requests a second that one host, and all together, get an answer to."""
UNSERVED_RATE, UNSERVED_BURST = 1.0, 5.0
"""The same for methods that are not served: nobody needs to be told often."""
SPARE_CALLS = 8
"""Calls kept beside `max_calls`: refused, ending, ended."""
SECRET_BYTES = 32
KEEP_ALIVE_INTERVAL = 25.0
"""Seconds between empty messages to the peers of calls behind a NAT."""
KEEP_ALIVE = b"\r\n\0 "
"""What datagrams that only keep a NAT's mapping open consist of."""


class UserAgent:
    """Makes and answers calls over UDP, TCP and TLS.

    `local(remote)` is the (host, port) to tell that remote of ourselves; `rng` has to be cryptographic in production.
    `allowed(host)` says who may call; `replaceable(call_id, source, caller)` whether a call that takes up the last room
    may be dropped for a new one (its peer is gone without a BYE); `users` (name to password) that callers have to prove
    to be one of, `credentials` our own; calls are made in the name of `account`, which `register` makes reachable at
    `registrar`; what is outside of dialogs goes by way of `proxies`.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        local: Local,
        user: str = "voip",
        max_calls: int = 1,
        accepts_calls: bool = True,
        allowed: Callable[[str], bool] = lambda host: True,
        credentials: Credentials | None = None,
        users: Mapping[str, str] | None = None,
        account: SipUri | None = None,
        registrar: SipUri | None = None,
        proxies: Sequence[SipUri] = (),
        product: str | None = None,
        keeps_alive: bool = False,
        replaceable: Callable[[str, Address, NameAddr], bool] = lambda call_id, source, caller: False,
    ) -> None:
        identity = Identity(rng, local, user, account=account, always_behind_nat=keeps_alive)
        self._core = Core(
            rng,
            identity,
            product=product,
            credentials=credentials,
            registrar=registrar,
            proxies=proxies,
            most_servers=max(MOST_SERVERS, 2 * (max_calls + SPARE_CALLS)),
        )
        self._max_calls, self._accepts_calls = max_calls, accepts_calls
        self._allowed = allowed
        self._gatekeeper = Gatekeeper(users, rng.randbytes(SECRET_BYTES)) if users else None
        self.replaceable = replaceable
        self._registration = Registration(self._core, account, registrar) if account and registrar else None
        self._calls: dict[str, Call] = {}
        self._keep_alive = KeepAlive(self._core.wire, self._to_keep_alive, lambda: KEEP_ALIVE_INTERVAL)
        self._requests = RateLimiter(REQUEST_RATE, REQUEST_BURST, TOTAL_RATE)
        self._unserved = RateLimiter(UNSERVED_RATE, UNSERVED_BURST, TOTAL_RATE)
        self.malformed = 0
        """Datagrams that are no SIP message."""
        self.ignored = 0
        """Messages that belong to nothing: stray responses and ACKs."""
        self.limited = 0
        """Requests left unanswered because there were too many, or from a scanner."""

    # --- what the user asks ---------------------------------------------------------------------------------------

    def invite(
        self, target: SipUri | str, offer: bytes | None, now: float, *, timeout: float = 10.0, display: str = ""
    ) -> str:
        """Call `target` with this offer; the call's id. ProtocolError if `target` is no SIP URI.

        Without an offer OfferWanted asks for one, for each address that is tried.
        `timeout`: seconds without any answer until CallEnded("no-answer"); a telephone that rings has 30, at least.
        """
        uri = SipUri.parse(target) if isinstance(target, str) else target
        call = OutgoingCall(self._core, uri, offer, timeout=timeout, display=display)
        self._keep(call)
        call.start(now)
        return call.call_id

    def offer(self, call_id: str, offer: bytes, now: float) -> None:
        """What OfferWanted asked for."""
        call = self._calls.get(call_id)
        if isinstance(call, OutgoingCall):
            call.make_offer(offer, now)

    def found(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """What LookUp asked for: where requests to `uri` go, in the order to try; none if the host is not found."""
        self._core.finder.found(uri, addresses, now)

    def ring(self, call_id: str, now: float) -> None:
        """Tell the caller of an IncomingCall that the user is being asked (180)."""
        call = self._calls.get(call_id)
        if isinstance(call, AnsweringCall):
            call.ring(now)

    def accept(self, call_id: str, answer: bytes, now: float) -> None:
        """Take an IncomingCall or a CallOffered: 200 with `answer` (our offer, where the peer made none)."""
        if call_id in self._calls:
            self._calls[call_id].accept(answer, now)

    def reject(self, call_id: str, status: int, now: float, reason: str = "") -> None:
        """Refuse an IncomingCall, which ends it, or a CallOffered, after which the session goes on as it was."""
        if call_id in self._calls:
            self._calls[call_id].reject(status, now, reason)

    def reinvite(self, call_id: str, offer: bytes, now: float) -> None:
        """Offer another session in a call that is up; CallReanswered, or RequestRefused, follows."""
        if call_id in self._calls:
            self._calls[call_id].reinvite(offer, now)

    def hang_up(self, call_id: str, now: float, headers: Mapping[str, str] | None = None) -> None:
        """End a call in whatever state it is: BYE (with `headers`), CANCEL, or 486; CallEnded follows."""
        if call_id in self._calls:
            self._calls[call_id].hang_up(now, headers or {})

    def ping(self, call_id: str, now: float) -> None:
        """Ask the peer of a call that is up whether it is there (OPTIONS): PeerAlive if so, nothing if not."""
        if call_id in self._calls:
            self._calls[call_id].ping(now)

    def register(self, now: float) -> None:
        """Make `account` reachable here and keep it so; at once again if that has begun: our address is another.

        Registered or RegistrationFailed follow, again and again."""
        if self._registration is not None:
            self._registration.start(now)

    def unregister(self, now: float) -> None:
        """Be reachable no longer; `registering` says until when that takes."""
        if self._registration is not None:
            self._registration.stop(now)

    @property
    def registering(self) -> bool:
        """Whether a registrar knows of us, or may."""
        return self._registration is not None and not self._registration.over

    @property
    def registrar_address(self) -> Address | None:
        """Where the last REGISTER went."""
        return self._registration.destination if self._registration is not None else None

    def send_pending_byes(self, now: float) -> None:
        """Queue one more copy of each BYE, CANCEL and un-REGISTER without an answer: the last chance before the program
        ends."""
        if self._registration is not None:
            self._registration.last_words()
        for call in self._calls.values():
            call.last_words(now)

    # --- the world ------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""
        if not data.strip(KEEP_ALIVE):
            return
        if self._is_flood(data, source, now):
            self.limited += 1
            return
        try:
            message = parse_message(data, stream=source.reliable)
            if isinstance(message, Request):
                self._receive_request(message, source, len(data), now)
            else:
                self._receive_response(message, source, now)
        except ProtocolError as error:
            self.malformed += 1
            self._refuse_malformed(data, source, error, now)

    def messages_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that has to be sent, in order; it is handed over once."""
        messages, self._core.wire.outbox = self._core.wire.outbox, []
        return messages

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""
        return self._core.timers.next()

    def handle_timer(self, now: float) -> None:
        """Do what is due at `now`; harmless at any other time."""
        self._core.timers.run(now)

    def next_event(self) -> Event | None:
        return self._core.events.popleft() if self._core.events else None

    def transport_failed(self, address: Address, now: float, reason: str = "") -> None:
        """What was to go there could not be sent: whatever waits for its answer is told so, or goes by UDP."""
        self._forget_connection(address)
        self._core.transport_failed(address, reason, now)
        if self._registration is not None:
            self._registration.connection_lost(address, now)

    def connection_closed(self, address: Address, now: float) -> None:
        """The connection was closed in good order, nothing of ours was lost: what comes next goes another way."""
        self._forget_connection(address)
        self._core.connection_lost(address)
        if self._registration is not None:
            self._registration.connection_lost(address, now)

    def needs(self, address: Address) -> bool:
        """Whether a call, or a request that waits for its answer, is over the connection to `address`."""
        if self.registering and address == self.registrar_address:
            return True
        calls = any(call.dialog is not None and call.dialog.peer == address for call in self._calls.values())
        return calls or any(client.destination == address for client in self._core.clients.values())

    @property
    def linger_until(self) -> float:
        """Who stops before then may leave a peer behind that has missed our last answer. Readable from any thread."""
        return self._core.wire.linger_until

    def _to_keep_alive(self) -> list[Address]:
        """Who has to reach us through a NAT: the peers of our calls. The registration sees to its registrar itself."""
        core = self._core
        wanted = [
            call.dialog.destination(core.finder.known) for call in self._calls.values() if call.dialog and call.live
        ]
        return [address for address in wanted if core.identity.behind_nat(address)]

    def server_name(self, address: Address) -> str:
        """The host that was asked for when `address` was found: what its certificate has to be for."""
        return self._core.finder.server_name(address)

    # --- responses ------------------------------------------------------------------------------------------------

    def _receive_response(self, response: Response, source: Address, now: float) -> None:
        vias = response.via
        transaction = self._core.clients.get(client_key(vias[0], response.cseq.method))
        if transaction is None or len(vias) != 1:  # 8.1.3.3: with two it is not for us
            self.ignored += 1
            return
        self._core.authenticator.note(transaction.request, response)
        if source == transaction.destination:
            self._core.identity.learn_address(source, vias[0])
        transaction.receive(response, source, now)
        self._keep_alive.arm(now)

    # --- requests -------------------------------------------------------------------------------------------------

    def _receive_request(self, request: Request, source: Address, size: int, now: float) -> None:
        note_source(request, source)
        known = self._core.servers.get(server_key(request))
        if request.method == "ACK":
            self._receive_ack(request, known, source, now)
        elif known is not None:
            known.repeated(now)
        elif request.method == "CANCEL":
            self._receive_cancel(request, source, size, now)
        elif is_served(request.method) and (call := self._call_of(request)) is not None:
            self._receive_in_dialog(call, request, source, size, now)
        else:
            self._receive_from_stranger(request, source, size, now)

    def _receive_ack(self, request: Request, known: ServerTransaction | None, source: Address, now: float) -> None:
        if isinstance(known, InviteServer) and known.acknowledge(now):
            return
        call = self._call_of(request)
        if call is None:
            self.ignored += 1
        else:
            call.receive_ack(request, source, now)
            self._keep_alive.arm(now)

    def _receive_cancel(self, request: Request, source: Address, size: int, now: float) -> None:
        """9.2: the INVITE that it names is found by its branch."""
        invite = self._core.servers.get((*server_key(request)[:-1], "INVITE"))
        if invite is None and not self._take_token(request, source, now):
            return
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if invite is None:
            self._core.answer(transaction, 481, now)
            return
        transaction.to_tag = invite.to_tag
        self._core.answer(transaction, 200, now)
        if isinstance(invite.owner, Call) and not invite.answered:
            invite.owner.receive_cancel(invite, now)

    def _receive_in_dialog(self, call: Call, request: Request, source: Address, size: int, now: float) -> None:
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        refusal = objection(request, source)
        if refusal is not None:
            self._refuse(transaction, refusal, now)
        else:
            call.receive_request(transaction, now)

    def _receive_from_stranger(self, request: Request, source: Address, size: int, now: float) -> None:
        """Outside of all dialogs: the order of the questions is that of section 8.2."""
        if self._repeats_call(request):
            self.ignored += 1
            return
        if not self._take_token(request, source, now) or not self._is_welcome(request, source, size, now):
            return
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if not self._may_call(source.host):
            self._core.answer(transaction, 403, now)
            return
        refusal = objection(request, source)
        if refusal is not None:
            self._refuse(transaction, refusal, now)
        elif request.to.tag or needs_dialog(request.method):
            self._core.answer(transaction, 481, now)
        elif self._is_merged(transaction):
            self._core.answer(transaction, 482, now)
        elif request.method == "OPTIONS":
            self._core.answer(transaction, 200, now, optional=[("Accept", SDP)], allow=True)
        else:
            self._receive_call(transaction, now)

    def _is_welcome(self, request: Request, source: Address, size: int, now: float) -> bool:
        """Whether a caller has proved who he is, if he has to; else he is challenged, and nothing is kept of it."""
        calls = request.method == "INVITE" and not request.to.tag
        if self._gatekeeper is None or not calls or not self._may_call(source.host):
            return True
        verdict = self._gatekeeper.judge(request, source.host, now)
        if verdict is Verdict.IGNORED:
            self.limited += 1
        elif verdict is not Verdict.WELCOME:
            asked = self._gatekeeper.challenges(source.host, request.call_id, now, stale=verdict is Verdict.STALE)
            fields = [("WWW-Authenticate", challenge) for challenge in asked]
            self._core.answer_stateless(request, source, 401, size, fields)
            if verdict is Verdict.WRONG:
                self._core.events.append(RequestRefused(source, request.method, 401))
        return verdict is Verdict.WELCOME

    def _may_call(self, host: str) -> bool:
        """Those who may by themselves, and the registrar and proxies that calls for us come through."""
        return self._allowed(host) or (self._registration is not None and host in self._registration.hosts)

    def _refuse(self, transaction: ServerTransaction, refusal: Refusal, now: float) -> None:
        status, fields = refusal
        self._core.answer(
            transaction, status, now, fields=fields, allow=status in (METHOD_NOT_ALLOWED, NOT_IMPLEMENTED)
        )

    def _receive_call(self, transaction: ServerTransaction, now: float) -> None:
        if not self._accepts_calls:
            self._core.answer(transaction, 480, now)
            return
        if not self._make_room(transaction, now):
            self._core.answer(transaction, 486, now)
            return
        call_id = transaction.request.call_id
        if call_id in self._calls:
            call_id = f"{call_id}.{self._core.token(CALL_ID_BITS)}"
        self._keep(AnsweringCall(self._core, call_id, transaction))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _forget_connection(self, address: Address) -> None:
        for call in self._calls.values():
            if call.dialog is not None:
                call.dialog.connection_lost(address)

    def _keep(self, call: Call) -> None:
        self._calls[call.call_id] = call
        call.on_forgotten = partial(self._calls.pop, call.call_id, None)

    def _call_of(self, request: Request) -> Call | None:
        """The call in whose dialog this is: Call-ID and both tags must be right (12.2.2)."""
        local_tag = request.to.tag
        if not local_tag:
            return None
        key = request.call_id, local_tag, request.from_.tag or ""
        return next((call for call in self._calls.values() if call.has_dialog(*key)), None)

    def _repeats_call(self, request: Request) -> bool:
        """An INVITE that made a call, after its transaction was forgotten."""
        if request.method != "INVITE" or request.to.tag:
            return False
        key = merge_key(request)
        if any(transaction.merge_key == key for transaction in self._core.servers.values()):
            return False
        return any(isinstance(call, AnsweringCall) and call.invited_by == key for call in self._calls.values())

    def _is_merged(self, transaction: ServerTransaction) -> bool:
        """The same request has come another way, and is being answered there (8.2.2.2)."""
        others = self._core.servers.values()
        return any(other is not transaction and other.merge_key == transaction.merge_key for other in others)

    def _make_room(self, invite: ServerTransaction, now: float) -> bool:
        """Whether one more call may come in, if need be in place of one whose peer is gone."""
        live = [call for call in self._calls.values() if call.takes_room]
        if len(live) >= self._max_calls:
            source, caller = invite.source, invite.request.from_
            replaceable = (call for call in live if call.dialog and self.replaceable(call.call_id, source, caller))
            gone = next(replaceable, None)
            if gone is None:
                return False
            gone.give_up("timeout", None, "its peer is gone", now)
        for call in list(self._calls.values()):
            if len(self._calls) < self._max_calls + SPARE_CALLS:
                break
            if not call.takes_room:
                call.forget(now)
        return True

    def _is_flood(self, data: bytes, source: Address, now: float) -> bool:
        """Whether this would only be dropped, so that it need not even be read; what names a call of ours is read."""
        if self._requests.allows(source.host, now) or data[:4].upper() == b"SIP/":
            return False
        names = (name.partition(".")[0].encode("utf-8", "surrogateescape") for name in self._calls)
        return not any(name in data for name in names)

    def _take_token(self, request: Request, source: Address, now: float) -> bool:
        """Whether this host may have an answer to one more request."""
        served = is_served(request.method)
        allowed = not is_scanner(request.headers.get("User-Agent")) and self._requests.take(source.host, now)
        if not allowed or not (served or self._unserved.take(source.host, now)):
            self.limited += 1
            return False
        return True

    def _refuse_malformed(self, data: bytes, source: Address, error: ProtocolError, now: float) -> None:
        """400 where enough of a request is left to answer it, else silence."""
        request = salvage(data)
        if request is None or not self._requests.take(source.host, now):
            return
        status = error.status if isinstance(error, SipParseError) else 400
        try:
            self._core.answer_stateless(request, source, status, len(data))
        except ProtocolError:
            return
        self._core.events.append(RequestRefused(source, request.method, status))
