"""What the user agent and its calls share: who we are, randomness, transactions, events (RFC 3261 section 8)."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from voip.ip import MAX_PORT
from voip.sip.auth import Credentials
from voip.sip.authenticator import CHALLENGED, Authenticator
from voip.sip.dialog import may_be_forged
from voip.sip.events import Address, Event, RequestRefused
from voip.sip.finder import Finder, Then
from voip.sip.lookup import literal
from voip.sip.message import Headers, NameAddr, Request, Response, SipUri, Via
from voip.sip.transaction import (
    BRANCH_COOKIE,
    SIP_PORT,
    ClientOwner,
    ClientTransaction,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    ServerKey,
    ServerTransaction,
    State,
    Wire,
    reply_address,
)

ALLOW = ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO")
SUPPORTED = ("Supported", "100rel, timer")
SDP = "application/sdp"
TOKEN_BITS = 64
"""Of tags and branches: nobody who does not see our packets can name our dialogs and transactions (19.3)."""
CALL_ID_BITS = 128
MOST_SERVERS = 64
MOST_NAMES = 64
"""Addresses whose names are remembered."""
LARGEST_OVER_UDP = 1300
"""Bytes of a request: a larger one goes by TCP, where the MTU of the path is not known (18.1.1)."""
COPIES_TO_STRANGERS = 1
"""How often a 2xx is repeated by timer to a public address that has not shown that the call comes from there. Each
copy of the INVITE fetches one more; so whoever is called in another's name sends little to that other."""
Local = Callable[[Address], "tuple[str, int]"]
Fields = Iterable["tuple[str, str]"]

# Which server transactions may be forgotten first when there are too many: those whose loss matters least.
_EXPENDABLE = (State.CONFIRMED, State.COMPLETED, State.ACCEPTED)


class Core:
    """Transactions by key, calls by dialog, and what every message of ours needs."""

    def __init__(
        self,
        rng: random.Random,
        local: Local,
        user: str,
        product: str | None,
        credentials: Credentials | None = None,
    ) -> None:
        self.wire = Wire()
        self.timers = self.wire.timers
        self.events: deque[Event] = deque()
        self.rng = rng
        self.finder = Finder(self.timers, self.events)
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.most_servers = MOST_SERVERS
        self.names: dict[Address, str] = {}
        """The host of the URI that led to an address: what its certificate must be for (26.3.2.1)."""
        self._local, self._user, self._product = local, user, product
        self.authenticator = Authenticator(credentials, partial(self.token, CALL_ID_BITS))
        self.account: SipUri | None = None
        """Who we are to those we call, if not just somebody at this machine."""
        self.registrar: SipUri | None = None
        self.routes: list[NameAddr] = []
        """Proxies that requests outside of dialogs pass, in order (8.1.2)."""
        self.always_keeps_alive = False
        """It is known that there is a NAT, whoever sees us."""
        self._seen_at: dict[Address, tuple[tuple[str, int], tuple[str, int]]] = {}
        """How we are seen where that is not what we said, and what that was: our own address may change."""
        self._secret = rng.getrandbits(CALL_ID_BITS).to_bytes(CALL_ID_BITS // 8, "big")

    # --- parts of messages ----------------------------------------------------------------------------------------

    def token(self, bits: int = TOKEN_BITS) -> str:
        return f"{self.rng.getrandbits(bits):0{bits // 4}x}"

    def own_uri(self, remote: Address) -> SipUri:
        host, port = self._local(remote)
        return SipUri("sip", self._user, host, port)

    def contact(self, remote: Address, *, secure: bool = False) -> str:
        """Where `remote` reaches us; `secure`: by a sips: URI, which a request to one calls for (12.1.1)."""
        uri = self.own_uri(remote)
        own, seen = self._seen_at.get(remote, (None, None))
        if seen is not None and own == (uri.host, uri.port):
            uri.host, uri.port = seen
        if secure:
            uri.scheme = "sips"
        elif remote.reliable:
            uri.params["transport"] = remote.protocol
        return f"<{uri}>"

    def via(self, remote: Address) -> str:
        """A Via with a new branch that asks for the address we are seen at (RFC 3581), and lets the other side use
        our connection for its requests (RFC 5923)."""
        alias = ";alias" if remote.reliable else ""
        sent_by = self.own_uri(remote).host_port
        return f"SIP/2.0/{remote.protocol.upper()} {sent_by};rport{alias};branch={BRANCH_COOKIE}{self.token()}"

    def is_stranded(self, transaction: ClientTransaction) -> bool:
        """Whether its answer, which is still to come, goes to an address that has ceased to be ours."""
        sent_by = transaction.request.via[0].host.lower()
        return not transaction.answered and sent_by != self.own_uri(transaction.destination).host.lower()

    def learn_address(self, remote: Address, via: Via) -> None:
        """Tell `remote` from now on the address that it sees us at, as its response says in our Via (RFC 3581).

        The port of a connection that we opened is no place to reach us at, unless the address is a NAT's.
        """
        self._seen_at.pop(remote, None)
        own = self._local(remote)
        host, port = via.received or via.host, via.rport or via.port or SIP_PORT
        behind_nat = host.lower() != via.host.lower()
        seen = literal(host)
        if seen is not None and 0 < port <= MAX_PORT and (behind_nat or not remote.reliable):
            while len(self._seen_at) >= MOST_NAMES:
                del self._seen_at[next(iter(self._seen_at))]
            if (str(seen), port) != own:
                self._seen_at[remote] = own, (str(seen), port)

    def behind_nat(self, remote: Address) -> bool:
        """Whether the way back from `remote` has to be kept open: it sees us elsewhere, or we know of a NAT."""
        return remote.protocol == "udp" and (self.always_keeps_alive or remote in self._seen_at)

    # --- places ---------------------------------------------------------------------------------------------------

    def find(self, uri: SipUri | str, now: float, then: Then) -> None:
        """Call `then` with the addresses that requests to `uri` go to, in the order to try: at once where they are
        known, else when they have been looked up; with none where the host cannot be found."""

        def found(addresses: Sequence[Address], now: float) -> None:
            self._note_names(uri, addresses)
            then(addresses, now)

        self.finder.find(uri, now, found)

    def next_hop(self, uri: SipUri) -> SipUri | str:
        """What a request to `uri` outside of dialogs is sent towards: the first proxy, the registrar for those who are
        at home there, else the place itself."""
        if self.routes:
            return self.routes[0].uri
        home = self.registrar
        if home is not None and uri.port is None and uri.host.lower() == home.host.lower():
            return home
        return uri

    def learn(self, uri: SipUri | str, now: float) -> None:
        """See to it that `known` knows this URI soon."""
        self.find(uri, now, lambda addresses, now: None)

    def known(self, uri: SipUri | str) -> Sequence[Address]:
        """The addresses of `uri` as far as they are known without asking anybody."""
        addresses = self.finder.known(uri)
        self._note_names(uri, addresses)
        return addresses

    def _note_names(self, uri: SipUri | str, addresses: Sequence[Address]) -> None:
        for address in addresses:
            if isinstance(uri, SipUri) and address.protocol == "tls":
                while len(self.names) >= MOST_NAMES and address not in self.names:
                    del self.names[next(iter(self.names))]
                self.names[address] = uri.host

    # --- requests of ours -----------------------------------------------------------------------------------------

    def send(
        self, request: Request, destination: Address, owner: ClientOwner, now: float, most_copies: int | None = None
    ) -> ClientTransaction:
        """Begin a client transaction; its responses go to `owner`."""
        if self._product is not None:
            request.headers.set("User-Agent", self._product)
        self.authenticator.sign(request, destination)
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        transaction = kind(self.wire, request, destination, owner)
        key = transaction.key
        self.clients[key] = transaction
        transaction.on_end = partial(self.clients.pop, key, None)
        transaction.most_copies = most_copies
        if destination.protocol == "udp" and len(request.serialize()) > LARGEST_OVER_UDP:
            transaction.fall_back = partial(self._carry, transaction, destination)
            self._carry(transaction, destination._replace(protocol="tcp"), now)
        else:
            transaction.start(now)
        return transaction

    def prove(
        self,
        transaction: ClientTransaction,
        response: Response,
        source: Address,
        next_number: Callable[[], int],
        now: float,
    ) -> ClientTransaction | None:
        """Where this response asks us to prove who we are (22.1), send the request again, signed, to the same owner.

        None: it asks nothing, asks in vain, or who asks is none whom the user has named.
        """
        request, destination, tried = transaction.request, transaction.destination, transaction.tried
        if response.status not in CHALLENGED or source.host != destination.host:
            return None
        if not self.authenticator.learn(request, destination, response, tried):
            return None
        again = Request(request.method, request.uri, request.headers.copy(), request.body)
        again.headers.set("Via", self.via(destination))
        again.headers.set("CSeq", f"{next_number()} {request.method}")
        signed = self.send(again, destination, transaction.owner, now, transaction.most_copies)
        signed.tried = tried
        return signed

    def transport_failed(self, address: Address, reason: str, now: float) -> None:
        """Requests that wait for an answer from there need not wait; answers to others go another way."""
        for client in list(self.clients.values()):
            if client.destination == address:
                client.transport_failed(reason, now)
        self.connection_lost(address)

    def connection_lost(self, address: Address) -> None:
        """What still has to be answered over this connection is answered where its sender listens."""
        for server in self.servers.values():
            if server.reply_to == address and address.reliable:
                server.connection_lost()

    def _carry(self, transaction: ClientTransaction, destination: Address, now: float) -> None:
        """Send by the transport of `destination`, which the Via names (18.1.1)."""
        via = transaction.request.via[0]
        via.protocol = destination.protocol.upper()
        via.host, via.port = self._local(destination)
        transaction.request.headers.replace_first("Via", str(via))
        transaction.start_again(destination, now)

    # --- requests of others ---------------------------------------------------------------------------------------

    def serve(self, request: Request, source: Address, size: int, now: float) -> ServerTransaction | None:
        """Begin a server transaction for a request of `size` bytes; None (and a 503) if there are too many."""
        if len(self.servers) >= self.most_servers and not self._forget_one():
            self.answer_stateless(request, source, 503, size)
            return None
        transaction: ServerTransaction
        if request.method == "INVITE":
            transaction = InviteServer(self.wire, request, source, now)
        else:
            transaction = NonInviteServer(self.wire, request, source)
        transaction.to_tag = self.token()
        transaction.size = size
        key = transaction.key
        self.servers[key] = transaction
        transaction.on_end = partial(self.servers.pop, key, None)
        return transaction

    def answer(
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
    ) -> Response:
        """Respond; with `optional` fields only while the response is no larger than its request, and with Allow (and
        Supported, in a 2xx), if that is called for, to strangers only then."""
        response = transaction.request.response(status, reason or None, transaction.to_tag)
        for name, value in fields:
            response.headers.add(name, value)
        abilities = [ALLOW, SUPPORTED][: 1 + (status < 300)] if allow else []
        stranger = may_be_forged(transaction.source)
        for name, value in [] if stranger else abilities:
            response.headers.add(name, value)
        if body:
            response.headers.set("Content-Type", SDP)
            response.body = body
        self._add_optional(response, [*abilities, *optional] if stranger else optional, transaction.size)
        if status >= 300:
            self._note_refusal(transaction, status)
        transaction.respond(response, now)
        return response

    def answer_stateless(self, request: Request, source: Address, status: int, size: int, fields: Fields = ()) -> None:
        """Respond without remembering it (8.2.7): every copy of the request gets the same response. Strangers get as
        many of the `fields`, in order, as do not make it larger than the request."""
        if request.method == "ACK":
            return
        seed = "\n".join([*request.headers.lines("Via"), *request.headers.lines("Call-ID")])
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=TOKEN_BITS // 8)
        response = request.response(status, None, digest.hexdigest())
        bare = len(response.serialize())
        if may_be_forged(source):
            self._add_fitting(response, fields, size - bare)
        else:
            response.headers = Headers([*response.headers, *fields])
        if bare <= size or not may_be_forged(source):
            self.wire.send(response.serialize(), reply_address(request.via[0], source))

    def _note_refusal(self, transaction: ServerTransaction, status: int) -> None:
        if transaction.owner is None:  # else a call refuses, and its user knows
            self.events.append(RequestRefused(transaction.source, transaction.request.method, status))
        if may_be_forged(transaction.source):
            # The source may be forged. A copy of the request still fetches a copy of the response.
            transaction.most_copies = 0

    def _add_optional(self, response: Response, optional: Fields, size: int) -> None:
        """Nobody is served a larger packet than the one that asked for it: it may have been asked in another's name."""
        fields = list(optional)
        if self._product is not None:
            fields.append(("Server", self._product))
        self._add_fitting(response, fields, size - len(response.serialize()))

    def _add_fitting(self, response: Response, fields: Fields, room: int) -> None:
        for name, value in fields:
            room -= len(name) + len(value) + len(": \r\n")
            if room < 0:
                return
            response.headers.add(name, value)

    def _forget_one(self) -> bool:
        """Make room for a server transaction, at the cost of the oldest that has done its work."""
        for state in _EXPENDABLE:
            for transaction in self.servers.values():
                if transaction.state is state:
                    transaction.drop()
                    return True
        return False
