"""What the user agent and its calls share: randomness, places, transactions, events (RFC 3261 section 8)."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from voip.sip.address import Address, is_unproven, literal, may_be_spoofed
from voip.sip.auth import Credentials
from voip.sip.digest_client import CHALLENGED, DigestClient
from voip.sip.events import Event, RequestRefused, ResolveUri
from voip.sip.fitting import Fields, add_fitting, fits, make_room, shorten
from voip.sip.identity import TOKEN_BITS, Identity, random_token
from voip.sip.message import MAX_FORWARDS, REASONS, Headers, Request, Response
from voip.sip.methods import ALLOW, SDP, SUPPORTED
from voip.sip.resolver import Resolver
from voip.sip.transaction import (
    ClientKey,
    ClientOwner,
    ClientTransaction,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    Servers,
    ServerTransaction,
    Wire,
    reply_address,
)
from voip.sip.uri import NameAddr, SipUri

CALL_ID_BITS = 96
MAX_SERVERS = 64
MAX_UDP_REQUEST = 1300
"""Bytes of a request: a larger one goes by TCP, where the MTU of the path is not known (18.1.1)."""
COPIES_TO_UNVALIDATED = 1
"""How often a 2xx is retransmitted by timer to an address that is not validated, by an ACK or by media. Each copy of
the INVITE fetches one more; so a spoofed INVITE sends little to the victim."""
ByeHeaders = Callable[[str], Mapping[str, str]]
"""The header fields, by call id, that go with our BYE or with our 200 to the peer's: such as X-RTP-Stat."""


def no_headers(call_id: str) -> Mapping[str, str]:
    """ByeHeaders of an agent whose owner has nothing to say."""
    return {}


class Core:
    """Transactions by key, and what every message of ours needs.

    Requests outside of dialogs pass `proxies`, in order (8.1.2); those to the host of `registrar` go to it.
    """

    def __init__(
        self,
        rng: random.Random,
        identity: Identity,
        *,
        product: str | None = None,
        credentials: Credentials | None = None,
        registrar: SipUri | None = None,
        proxies: Sequence[SipUri] = (),
        bye_headers: ByeHeaders = no_headers,
        hears: Callable[[str], bool] = lambda call_id: False,
        max_servers: int = MAX_SERVERS,
    ) -> None:
        self.rng, self.identity, self.bye_headers, self.hears = rng, identity, bye_headers, hears
        self.wire = Wire()
        self.timers = self.wire.timers
        self.events: deque[Event] = deque()
        self.resolver = Resolver(self.timers, self._ask_for_addresses)
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.servers = Servers()
        self.digest_client = DigestClient(credentials, partial(self.token, CALL_ID_BITS))
        self.too_long = 0
        """Requests of unproven sources left without a response because it would have been larger."""
        self._most_servers = max_servers
        self._product, self._registrar = product, registrar
        self._routes = [NameAddr(_loose(proxy)) for proxy in proxies]
        self._service_route: list[NameAddr] = []
        self._secret = rng.getrandbits(CALL_ID_BITS).to_bytes(CALL_ID_BITS // 8, "big")

    def _ask_for_addresses(self, uri: SipUri) -> None:
        self.events.append(ResolveUri(uri))

    def token(self, bits: int = TOKEN_BITS) -> str:
        return random_token(self.rng, bits)

    def is_stranded(self, transaction: ClientTransaction) -> bool:
        """Whether its response, which is still to come, goes to an address that is no longer ours."""
        sent_by = transaction.request.via[0].host.lower()
        return not transaction.answered and sent_by != self.identity.host_and_port(transaction.destination)[0].lower()

    def next_hop(self, uri: SipUri, method: str = "INVITE") -> SipUri | str:
        """What a request to `uri` outside of dialogs is sent towards: the first proxy, the registrar for its own
        domain, else the URI itself."""
        routes = self._route_set(uri, method)
        if routes:
            return routes[0].uri
        home = self._registrar
        if home is not None and uri.port is None and uri.host.lower() == home.host.lower():
            return home
        return uri

    def take_service_route(self, routes: list[NameAddr]) -> None:
        """What the registrar wants requests of ours to pass from now on, behind the proxies (RFC 3608)."""
        self._service_route = routes

    def is_beyond_registrar(self, uri: SipUri) -> bool:
        """Whether calls to `uri` pass the service route: all but those to a telephone that is called by its address."""
        home = self._registrar
        at_home = home is not None and uri.host.lower() == home.host.lower() and uri.port in (None, home.port)
        return at_home or literal(uri.host) is None

    def _route_set(self, uri: SipUri, method: str) -> list[NameAddr]:
        """The proxies, and the service route behind them (RFC 3608 section 6.1), which REGISTER makes and cannot
        pass."""
        passes = method != "REGISTER" and self.is_beyond_registrar(uri)
        return [*self._routes, *self._service_route] if passes else self._routes

    # --- requests of ours -----------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        uri: SipUri,
        destination: Address,
        owner: ClientOwner,
        now: float,
        *,
        sender: str,
        recipient: str,
        call_id: str,
        number: int,
        fields: Fields = (),
        body: bytes = b"",
        content_type: str = SDP,
    ) -> ClientTransaction:
        """Send a request outside of dialogs (8.1.1); its responses go to `owner`.

        `sender` and `recipient` are the values of From and To, `number` is that of CSeq; `fields` follow them.
        """
        headers = Headers([("Via", self.identity.via(destination)), ("Max-Forwards", MAX_FORWARDS)])
        for route in self._route_set(uri, method):
            headers.add("Route", str(route))
        headers.add("From", sender)
        headers.add("To", recipient)
        headers.add("Call-ID", call_id)
        headers.add("CSeq", f"{number} {method}")
        for name, value in fields:
            headers.add(name, value)
        if body:
            headers.add("Content-Type", content_type)
        return self.send(Request(method, uri, headers, body), destination, owner, now)

    def send(
        self,
        request: Request,
        destination: Address,
        owner: ClientOwner,
        now: float,
        max_copies: int | None = None,
        tried: dict[tuple[str, str], int] | None = None,
    ) -> ClientTransaction:
        """Begin a client transaction; its responses go to `owner`. `max_copies` and `tried`: see ClientTransaction."""
        if self._product is not None:
            request.headers.set("User-Agent", self._product)
        self.digest_client.sign(request, destination)
        too_long = destination.protocol == "udp" and not fits(request, MAX_UDP_REQUEST)
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        transaction = kind(
            self.wire, request, destination, owner, self._drop_client, max_copies=max_copies, tried=tried
        )
        self.clients[transaction.key] = transaction
        if too_long:
            transaction.fall_back_to(partial(self._carry, transaction, destination))
            self._carry(transaction, destination._replace(protocol="tcp"), now)
        else:
            transaction.start(now)
        return transaction

    def forward(self, request: Request, destination: Address, owner: ClientOwner, now: float) -> ClientTransaction:
        """Begin a client transaction of a request of a peer (16.6), whose Via is there: nothing is added to
        it, and it goes by that transport, however large it is."""
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        transaction = kind(self.wire, request, destination, owner, self._drop_client)
        self.clients[transaction.key] = transaction
        transaction.start(now)
        return transaction

    def authenticate(
        self,
        transaction: ClientTransaction,
        response: Response,
        source: Address,
        next_number: Callable[[], int],
        now: float,
    ) -> ClientTransaction | None:
        """Where this response is a challenge (22.1), send the request again, with credentials, for the same owner.

        None: it is no challenge, one that we cannot meet, or from a host that the user has not named.
        """
        request, destination, tried = transaction.request, transaction.destination, transaction.tried
        if response.status not in CHALLENGED or source.host != destination.host:
            return None
        if not self.digest_client.learn(request, destination, response, tried):
            return None
        again = Request(request.method, request.uri, request.headers.copy(), request.body)
        again.headers.set("Via", self.identity.via(destination))
        again.headers.set("CSeq", f"{next_number()} {request.method}")
        return self.send(again, destination, transaction.owner, now, transaction.max_copies, tried)

    def _drop_client(self, key: ClientKey) -> None:
        self.clients.pop(key, None)

    def transport_failed(self, address: Address, reason: str, now: float) -> None:
        """Requests that wait for a response from there need not wait; responses to others go another way."""
        for client in list(self.clients.values()):
            if client.destination == address:
                client.transport_failed(reason, now)
        self.connection_lost(address)

    def connection_lost(self, address: Address) -> None:
        """Responses that are due over this connection go where the sender of the request listens."""
        for server in self.servers:
            if server.reply_to == address and address.reliable:
                server.connection_lost()

    def _carry(self, transaction: ClientTransaction, destination: Address, now: float) -> None:
        """Send by the transport of `destination`, which the Via names (18.1.1)."""
        via = transaction.request.via[0]
        via.protocol = destination.protocol.upper()
        via.host, via.port = self.identity.host_and_port(destination)
        transaction.request.headers.replace_first("Via", str(via))
        transaction.start_again(destination, now)

    # --- requests of peers ---------------------------------------------------------------------------------------

    def serve(self, request: Request, source: Address, size: int, now: float) -> ServerTransaction | None:
        """Begin a server transaction for a request of `size` bytes; None (and a 503) if there are too many."""
        if len(self.servers) >= self._most_servers and not self.servers.forget_one():
            self.respond_stateless(request, source, 503, size)
            self.report_refusal(request, source, 503, "too many requests at once")
            return None
        transaction: ServerTransaction
        if request.method == "INVITE":
            transaction = InviteServer(self.wire, request, source, now)
        else:
            transaction = NonInviteServer(self.wire, request, source)
        transaction.to_tag = self.token()
        transaction.size = size
        self.servers.add(transaction)
        transaction.on_end = partial(self.servers.remove, transaction)
        return transaction

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        fields: Fields = (),
        optional: Fields = (),
        allow: bool = False,
        body: bytes = b"",
        why: str = "",
    ) -> Response:
        """Respond; with `optional` fields only while the response is no larger than its request, and with Allow (and
        Supported, in a 2xx), if that is called for, to unproven sources only then. What is larger all the same is not
        sent there at all, if it belongs to no call. `why` is what RequestRefused says of a refusal, where the usual
        phrase says too little."""
        response = transaction.request.response(status, reason or None, transaction.to_tag)
        for name, value in fields:
            response.headers.add(name, value)
        abilities = [ALLOW, SUPPORTED][: 1 + (status < 300)] if allow else []
        of_call, unproven = transaction.owner is not None, is_unproven(transaction.source)
        frugal = may_be_spoofed(transaction.source) if of_call else unproven
        for name, value in [] if frugal else abilities:
            response.headers.add(name, value)
        if body:
            response.headers.set("Content-Type", SDP)
            response.body = body
        if frugal and not of_call:
            make_room(response, abilities, transaction.size)
        self._add_optional(response, [*abilities, *optional] if frugal else optional, transaction.size)
        fits = not unproven or (of_call and status < 300) or shorten(response, transaction.size)
        if status >= 300:
            self._note_refusal(transaction, status, why)
        if fits or of_call:
            transaction.respond(response, now)
        else:
            self._leave_without_response(transaction)
        return response

    def respond_stateless(
        self, request: Request, source: Address, status: int, size: int, fields: Fields = (), *, needed: bool = False
    ) -> None:
        """Respond without remembering it (8.2.7): every copy of the request gets the same response. Unproven sources
        get as many of the `fields`, in order, as do not make it larger than the request, and nothing where it is larger
        without them; but with `needed` all of them, as the response is of no use otherwise."""
        if request.method == "ACK":
            return
        response = request.response(status, None, self.stateless_tag(request))
        if needed or not is_unproven(source):
            response.headers = Headers([*response.headers, *fields])
            if is_unproven(source):
                shorten(response, size)
        elif shorten(response, size):
            make_room(response, fields, size)
            add_fitting(response, fields, size - len(response.serialize()))
        else:
            self.too_long += 1
            return
        self.wire.send(response.serialize(), reply_address(request.via[0], source))

    def _leave_without_response(self, transaction: ServerTransaction) -> None:
        """Its source may be forged, and would get more than was sent in its name."""
        self.too_long += 1
        transaction.drop()

    def stateless_tag(self, request: Request) -> str:
        """The To tag of such a response: that of the ACK to it, too, which only its receiver can know."""
        seed = "\n".join([*request.headers.lines("Via"), *request.headers.lines("Call-ID")])
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=TOKEN_BITS // 8)
        return digest.hexdigest()

    def report_refusal(self, request: Request, source: Address, status: int, why: str = "") -> None:
        """Tell the user that a request was refused; `why`: instead of the usual phrase."""
        reason = why or REASONS.get(status, "")
        self.events.append(RequestRefused(source, request.method, status, request.caller, reason))

    def _note_refusal(self, transaction: ServerTransaction, status: int, why: str) -> None:
        if transaction.owner is None:  # else a call refuses, and its user knows
            self.report_refusal(transaction.request, transaction.source, status, why)
        if is_unproven(transaction.source):
            transaction.repeat_by_request()

    def _add_optional(self, response: Response, optional: Fields, size: int) -> None:
        """No response is larger than its request for the sake of these: the source of the request may be spoofed."""
        fields = list(optional)
        if self._product is not None:
            fields.append(("Server", self._product))
        add_fitting(response, fields, size - len(response.serialize()))


def _loose(proxy: SipUri) -> SipUri:
    """A proxy as it stands in Route: one that keeps the Request-URI as it is (RFC 3261 section 16.12)."""
    return SipUri(proxy.scheme, proxy.user, proxy.host, proxy.port, {**proxy.params, "lr": None})
