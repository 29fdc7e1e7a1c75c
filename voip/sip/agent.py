"""The user agent (RFC 3261): all that its owner, which has the sockets and the clock, sees of SIP.

Bytes and times go in; bytes and events come out. It never raises for what a peer sent. Every method that names a call
is a quiet no-op when that call, or its state, is gone: the peer may just have hung up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from voip.sip.address import Address
from voip.sip.auth import Credentials
from voip.sip.call import SPARE_CALLS, Calls, Replaceable
from voip.sip.core import CALL_ID_BITS, MAX_SERVERS, ByeHeaders, Core, no_headers
from voip.sip.digest_server import DigestVerifier, hashes_of
from voip.sip.dispatch import Accepts, Dispatcher
from voip.sip.events import AgentStats, Event
from voip.sip.guard import Guard
from voip.sip.identity import ANONYMOUS, Identity, Local
from voip.sip.keepalive import KeepAlive
from voip.sip.registration import Registration
from voip.sip.text_sending import Pages
from voip.sip.uri import SipUri

KEEP_ALIVE_INTERVAL = 25.0
"""Seconds between empty messages to the peers of calls behind a NAT."""
SECRET_BYTES = 32


def _at_once(action: Callable[[float], object], now: float) -> None:
    action(now)


def _verifier(users: Mapping[str, str] | None, rng: random.Random) -> DigestVerifier | None:
    return DigestVerifier(hashes_of(users), rng.randbytes(SECRET_BYTES)) if users else None


class UserAgent:
    """Makes and answers calls over UDP, TCP and TLS.

    `local(remote)` is the (host, port) to tell that remote of ourselves; `rng` has to be cryptographic in production.
    `accepts_texts`: outside of calls, too. `allowed(host)` says who may call, `trusted(host)` which hosts stand for
    many callers (a PBX); `replaceable(call_id, source, caller)` whether a call that takes up the last room may be
    dropped for a new one (its peer may be gone without a BYE), `hears(call_id)` whether media of it has come; `users`
    (name to password): callers have to authenticate as one of them; `credentials` our own; calls are made in the name
    of `account`, which `register` makes reachable at `registrar`; what is outside of dialogs goes by way of `proxies`.
    `bye_headers(call_id)` is asked for header fields when our BYE is sent, or our 200 to the peer's."""

    def __init__(
        self,
        *,
        rng: random.Random,
        local: Local,
        user: str = ANONYMOUS,
        max_calls: int = 1,
        accepts_calls: bool = True,
        accepts_texts: bool = True,
        allowed: Callable[[str], bool] = lambda host: True,
        credentials: Credentials | None = None,
        users: Mapping[str, str] | None = None,
        account: SipUri | None = None,
        registrar: SipUri | None = None,
        proxies: Sequence[SipUri] = (),
        product: str | None = None,
        keeps_alive: bool = False,
        trusted: Callable[[str], bool] = lambda host: False,
        replaceable: Replaceable = lambda call_id, source, caller: False,
        hears: Callable[[str], bool] = lambda call_id: False,
        bye_headers: ByeHeaders = no_headers,
    ) -> None:
        self._core = Core(
            rng,
            Identity(rng, local, user, account=account, always_behind_nat=keeps_alive),
            product=product,
            credentials=credentials,
            registrar=registrar,
            proxies=proxies,
            bye_headers=bye_headers,
            hears=hears,
            max_servers=max(MAX_SERVERS, 2 * (max_calls + SPARE_CALLS)),
        )
        self._allowed, self._trusted = allowed, trusted
        self._guard = Guard(self._core, self.may_call, _verifier(users, rng), self._stands_for_many)
        self._registration = Registration(self._core, account, registrar) if account and registrar else None
        self._calls, self._pages = Calls(self._core, max_calls, replaceable), Pages(self._core)
        self._keep_alive = KeepAlive(self._core.wire, self._to_keep_alive, lambda: KEEP_ALIVE_INTERVAL)
        accepts = Accepts(accepts_calls, accepts_texts)
        self._dispatcher = Dispatcher(self._core, self._calls, self._guard, accepts, self._keep_alive.arm)

    # --- what the user asks ---------------------------------------------------------------------------------------

    def invite(
        self, target: SipUri | str, offer: bytes | None, now: float, *, timeout: float = 10.0, display: str = ""
    ) -> str:
        """Call `target` with this offer; the call's id. ProtocolError if `target` is no SIP URI.

        Without an offer OfferWanted asks for one, for each address that is tried.
        A registration that is under way comes first: the registrar may say which way calls have to go (RFC 3608).
        `timeout`: seconds without any response until CallEnded("no-answer"); a telephone that rings has 30, at least.
        """
        uri = SipUri.parse(target) if isinstance(target, str) else target
        registration = self._registration if self._core.is_beyond_registrar(uri) else None
        begin = registration.calls.pass_through if registration is not None else _at_once
        return self._calls.invite(uri, offer, now, timeout=timeout, display=display, begin=begin)

    def offer(self, call_id: str, offer: bytes, now: float) -> None:
        """What OfferWanted asked for."""
        if call := self._calls.get(call_id):
            call.make_offer(offer, now)

    def resolved(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """What ResolveUri asked for: where requests to `uri` go, in the order to try; none if the host is not found."""
        self._core.resolver.resolved(uri, addresses, now)

    def ring(self, call_id: str, now: float) -> None:
        """Tell the caller of an IncomingCall that the user is being asked (180)."""
        if call := self._calls.get(call_id):
            call.ring(now)

    def accept(self, call_id: str, answer: bytes, now: float) -> None:
        """Take an IncomingCall or a CallOffered: 200 with `answer` (our offer, where the peer made none)."""
        if call := self._calls.get(call_id):
            call.accept(answer, now)

    def reject(self, call_id: str, status: int, now: float, reason: str = "") -> None:
        """Refuse an IncomingCall, which ends it, or a CallOffered, after which the session goes on as it was."""
        if call := self._calls.get(call_id):
            call.reject(status, now, reason)

    def reinvite(self, call_id: str, offer: bytes, now: float) -> None:
        """Offer another session in a call that is up; CallReanswered, or RequestRefused, follows."""
        if call := self._calls.get(call_id):
            call.reinvite(offer, now)

    def hang_up(self, call_id: str, now: float, headers: Mapping[str, str] | None = None) -> None:
        """End a call in whatever state it is: BYE or CANCEL (with `headers`), or 486; CallEnded follows."""
        if call := self._calls.get(call_id):
            call.hang_up(now, headers or {})

    def ping(self, call_id: str, now: float) -> None:
        """Ask the peer of a call that is up whether it is there (OPTIONS): PeerAlive if so, nothing if not."""
        if call := self._calls.get(call_id):
            call.ping(now)

    def send_text(self, call_id: str, text: str, now: float) -> str | None:
        """Send the peer of a call that is up a text (MESSAGE), LONGEST_SENT bytes at most; its id, which TextSent has
        later. None: the call is not up."""
        text_id, call = self._core.token(CALL_ID_BITS), self._calls.get(call_id)
        return text_id if call is not None and call.send_text(text_id, text, now) else None

    def send_page(self, target: SipUri, text: str, now: float, *, display: str = "", timeout: float = 10.0) -> str:
        """The same to `target` without a call; TextSent follows in any case, after `timeout` seconds without any
        response."""
        return self._pages.send(target, text, now, display=display, timeout=timeout)

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
    def registrar_silent_since(self) -> float | None:
        """Since when the registrar has not responded, or has not been found; None: it has, or was not asked."""
        return self._registration.waiting_since if self._registration is not None else None

    @property
    def registrar_address(self) -> Address | None:
        """Where the last REGISTER went."""
        return self._registration.destination if self._registration is not None else None

    def send_pending_byes(self, now: float) -> None:
        """Queue one more copy of each BYE, CANCEL and un-REGISTER without a response: the last chance before the
        program ends."""
        if self._registration is not None:
            self._registration.resend_pending()
        for call in self._calls:
            call.resend_pending(now)

    # --- the world ------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""
        self._dispatcher.receive(data, source, now)

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
        """What was to go there could not be sent: whatever waits for its response is given up, or goes by UDP."""
        self._forget_connection(address)
        self._core.transport_failed(address, reason, now)
        if self._registration is not None:
            self._registration.connection_lost(address, now)

    def closed(self, address: Address, now: float) -> None:
        """Datagrams do not get there, as ICMP or the system says. That is a hint, never a proof: what waits for a
        response goes on waiting; a registrar is asked whether it still knows us."""
        if self._registration is not None:
            self._registration.connection_lost(address, now)

    def connection_closed(self, address: Address, now: float) -> None:
        """The connection was closed in good order, nothing of ours was lost: what comes next goes another way."""
        self._forget_connection(address)
        self._core.connection_lost(address)
        if self._registration is not None:
            self._registration.connection_lost(address, now)

    def needs(self, address: Address) -> bool:
        """Whether a call, or a request that waits for its response, is over the connection to `address`."""
        if self.registering and address == self.registrar_address:
            return True
        calls = any(call.dialog is not None and call.dialog.peer == address for call in self._calls)
        return calls or any(client.destination == address for client in self._core.clients.values())

    def may_call(self, host: str) -> bool:
        """Whether this host may: by itself, or as a registrar or proxy that calls for us come through."""
        return self._allowed(host) or (self._registration is not None and host in self._registration.hosts)

    @property
    def linger_until(self) -> float:
        """A program that ends before then may leave a peer behind that has missed our last response. Any thread may
        read it."""
        return self._core.wire.linger_until

    @property
    def taking_room(self) -> frozenset[str]:
        """The Call-IDs, as in messages, of the calls that count when another one comes in."""
        return self._calls.taking_room

    def server_name(self, address: Address) -> str:
        """The host that was asked for when `address` was found: what its certificate has to be for."""
        return self._core.resolver.server_name(address)

    def note_malformed(self, count: int) -> None:
        """So many datagrams that cannot be SIP were dropped before they came here."""
        self._dispatcher.note_malformed(count)

    @property
    def stats(self) -> AgentStats:
        """What has been ignored so far. Any thread may read it."""
        return AgentStats(
            self._dispatcher.malformed,
            self._dispatcher.ignored,
            self._guard.limited + self._core.too_long,
            self._dispatcher.passed_over,
        )

    # --- inside ---------------------------------------------------------------------------------------------------

    def _stands_for_many(self, host: str) -> bool:
        """The hosts that the user has said do, and the same registrar and proxies."""
        return self._trusted(host) or (self._registration is not None and host in self._registration.hosts)

    def _forget_connection(self, address: Address) -> None:
        for call in self._calls:
            if call.dialog is not None:
                call.dialog.connection_lost(address)

    def _to_keep_alive(self) -> list[Address]:
        """The peers of our calls that have to reach us through a NAT. The registration sees to its registrar itself."""
        if not self._core.identity.knows_of_nat:  # asked with each message: no look at all calls then
            return []
        known, behind_nat = self._core.resolver.known, self._core.identity.behind_nat
        wanted = [call.dialog.destination(known) for call in self._calls if call.dialog and call.leg.live]
        return [address for address in wanted if behind_nat(address)]
