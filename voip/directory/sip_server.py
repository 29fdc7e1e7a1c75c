"""The SIP side of the directory: registrar and proxy as one element (RFC 3261 section 6) over UDP, TCP and TLS.

`SipServer` is pure: messages and times go in, messages come out; it never raises for what a peer sent. `open_sip` puts
it on the sockets of a network, whose thread owns it.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial

from voip.directory.admission import Admission
from voip.directory.dialogs import Dialogs, Followed, OnCall
from voip.directory.location import Location
from voip.directory.proxy import Proxy
from voip.directory.registrar import Names, Persist, Registrar, Reply, name_of
from voip.directory.response_context import ResponseContext
from voip.directory.site import Site
from voip.directory.telephones import PhoneBook
from voip.errors import ProtocolError
from voip.net import Network
from voip.net.driver import Handler
from voip.net.own import OwnHosts
from voip.net.signalling import SendFailed, SipTransport
from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.events import Event, RequestRefused
from voip.sip.grammar import SipParseError
from voip.sip.identity import Identity
from voip.sip.message import Request, Response, parse_message, salvage
from voip.sip.methods import ALLOW, METHODS
from voip.sip.transaction import InviteServer, ServerTransaction, client_key, note_source, server_key
from voip.sip.uri import SipUri

SECRET_BYTES = 32
MAX_SERVERS = 20_000
"""Server transactions at a time: over UDP each lasts 32 s (timers J and L), and a call has two: 100 calls a second
make 6400."""
MAX_CONNECTIONS = 2048, 512
"""Opened by telephones, and by the directory, at a time: each telephone over TCP or TLS keeps one."""
PURGE_INTERVAL = 30.0
"""Seconds between looks for bindings that are over."""
DIALOG_INTERVAL = 1.0
"""The same for calls, while there are any."""
KEEP_ALIVE = b"\r\n\0 "
"""What empty messages are made of."""
USER = "directory"


def _date_now() -> str:
    """The time of day as SIP writes it (RFC 3261 section 20.17)."""
    return formatdate(usegmt=True)


@dataclass(frozen=True)
class SipStats:
    """Messages that got no service: `malformed` could not be read, `ignored` belonged to nothing, `limited` were too
    many of their host, `refused` got a response that says no."""

    malformed: int
    ignored: int
    limited: int
    refused: int

    def __str__(self) -> str:
        return (
            f"{self.refused} requests refused, {self.malformed} messages malformed, {self.ignored} that belonged to "
            f"nothing, {self.limited} not read as there were too many"
        )


class SipServer:
    """Registrar and proxy; an element as `voip.net` drives it. Network thread only.

    `secret` seals routes and nonces: with the same one after a restart, calls that go on find their way. `persist`
    makes a change of bindings durable before its REGISTER is acknowledged. `on_call` is told of the calls that go
    through the proxy.
    """

    def __init__(
        self,
        rng: random.Random,
        location: Location,
        names: Names,
        site: Site,
        persist: Persist,
        *,
        secret: bytes,
        realm: str,
        asks_callers: bool = False,
        on_call: OnCall = lambda call: None,
        date: Callable[[], str] = _date_now,
    ) -> None:
        self.location, self.dialogs = location, Dialogs(on_call)
        self._site = site
        self._core = Core(rng, Identity(rng, site.local, USER), max_servers=MAX_SERVERS)
        self._registrar = Registrar(location, names, site, persist, date)
        self._proxy = Proxy(self._core, location, names, site, secret, self._on_response)
        self._admission = Admission(
            self._core,
            names,
            self._is_from_us,
            self._is_known,
            self._is_within_dialog,
            realm,
            secret,
            asks_callers=asks_callers,
        )
        self.telephones = PhoneBook(self._core, location, site)
        self._known: set[str] = set()
        self._now = 0.0
        self._malformed, self._ignored, self._refused = 0, 0, 0

    def start(self, now: float, going_on: Iterable[Followed] = ()) -> None:
        """Begin to forget what is over. `going_on`: the calls that there were before a restart."""
        for call in going_on:
            self.dialogs.restore(call)
        self._purge(now)
        self._purge_dialogs(now)

    @property
    def stats(self) -> SipStats:
        """Any thread may read it."""
        return SipStats(self._malformed, self._ignored, self._admission.limited + self._core.too_long, self._refused)

    # --- what comes in --------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a connection."""
        if not data.strip(KEEP_ALIVE) or not self._admission.admits(data, source, now):
            return
        self._now = now
        try:
            message = parse_message(data, stream=source.reliable)
            if isinstance(message, Request):
                self._receive_request(message, source, len(data), now)
            else:
                self._receive_response(message, source, now)
        except ProtocolError as error:
            self._malformed += 1
            self._refuse_malformed(data, source, error)

    def _receive_response(self, response: Response, source: Address, now: float) -> None:
        """One that belongs to no request of ours goes no further (RFC 6026 section 7.3)."""
        client = self._core.clients.get(client_key(response.via[0], response.cseq.method))
        if client is None:
            self._ignored += 1
        else:
            client.receive(response, source, now)

    def _receive_request(self, request: Request, source: Address, size: int, now: float) -> None:
        note_source(request, source)
        known = self._core.servers.get(server_key(request))
        if request.method == "ACK":
            self._on_ack(request, known, source, now)
        elif known is not None:
            known.repeated(now)
        elif request.method == "CANCEL":
            self._on_cancel(request, source, size, now)
        elif self._admission.is_scanner(request) or not self._admission.allows(request, source, size, now):
            return
        else:
            self._on_new(request, source, size, now)

    def _on_new(self, request: Request, source: Address, size: int, now: float) -> None:
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if request.method == "REGISTER":
            self._registrar.receive(request, source, now, partial(self._on_registered, transaction))
            return
        refusal = self._proxy.objection(request)
        if self.telephones.knows(request):
            self._core.respond(transaction, self.telephones.respond(request, now), now)
        elif refusal is not None:
            self._core.respond(transaction, refusal.status, now, fields=refusal.fields, why=refusal.why)
        elif self._is_for_us(request):
            self._core.respond(transaction, 200, now, optional=[("Accept", "application/sdp"), ALLOW])
        else:
            self._proxy.forward(transaction, now)
            if request.method == "BYE":
                self.dialogs.note_bye(request)
            is_under_way = isinstance(transaction.owner, ResponseContext) and not transaction.answered
            if request.method == "INVITE" and not request.to.tag and is_under_way:
                self.dialogs.note_invite(request, self._caller(request, source, now), name_of(request.uri))

    def _on_ack(self, request: Request, known: ServerTransaction | None, source: Address, now: float) -> None:
        if isinstance(known, InviteServer) and known.acknowledge(now):
            return
        if not self._proxy.forward_ack(request, source, now):
            self._ignored += 1
            self._admission.note_ack(request, source)

    def _on_cancel(self, request: Request, source: Address, size: int, now: float) -> None:
        """16.10: of an INVITE that is not known here nothing can be cancelled."""
        *key, _ = server_key(request)
        named = ((*key, method) for method in METHODS if method != "CANCEL")
        cancelled = next((found for each in named if (found := self._core.servers.get(each)) is not None), None)
        transaction = self._core.serve(request, source, size, now)
        if transaction is None:
            return
        if cancelled is None:
            self._core.respond(transaction, 481, now)
            return
        transaction.take_tag_of(cancelled)
        self._core.respond(transaction, 200, now)
        if isinstance(cancelled, InviteServer) and isinstance(cancelled.owner, ResponseContext):
            cancelled.owner.cancel(now)

    def _on_registered(self, transaction: ServerTransaction, reply: Reply, now: float) -> None:
        if reply.status == 200:
            transaction.give_to(self)  # it has proven who it is: the response may be longer than the request
            self._known.add(transaction.source.host)
        self._core.respond(transaction, reply.status, now, fields=reply.fields, why=reply.why)

    def _refuse_malformed(self, data: bytes, source: Address, error: ProtocolError) -> None:
        """400 where enough of a request is left to respond to, else nothing."""
        request = salvage(data)
        if request is None:
            return
        status = error.status if isinstance(error, SipParseError) else 400
        try:
            self._core.respond_stateless(request, source, status, len(data))
        except ProtocolError:
            return
        self._core.report_refusal(request, source, status, str(error))

    # --- what the proxy and the admission ask ---------------------------------------------------------------------

    def _on_response(self, context: ResponseContext, response: Response, address: Address | None) -> None:
        was_any = len(self.dialogs)
        self.dialogs.note_response(context, response, address, self._now)
        if not was_any and len(self.dialogs):
            self._core.timers.set(self.dialogs, "purge", self._now + DIALOG_INTERVAL, self._purge_dialogs)

    def _caller(self, request: Request, source: Address, now: float) -> str:
        """The name of who calls: as From says, if its password was asked for, or that name has a contact where the
        request came from."""
        if not self._is_from_us(request):
            return ""
        name = name_of(request.from_.uri)
        if self._admission.asks_callers:
            return name
        places = self.location.bindings(name, now)
        hosts = {each.uri.host if each.flow is None else each.flow.host for each in places}
        return name if source.host in hosts else ""

    def _is_for_us(self, request: Request) -> bool:
        """OPTIONS of the directory itself (11), and what a telephone tells of a call that it was asked to make."""
        uri = request.uri
        if not isinstance(uri, SipUri) or not (self._site.is_here(uri) or self._site.owns(uri)):
            return False
        return (request.method == "OPTIONS" and not uri.user) or (request.method == "NOTIFY" and uri.user == USER)

    def _is_within_dialog(self, request: Request) -> bool:
        """Whether it belongs to what its sender was asked already."""
        return self._proxy.is_within_dialog(request) or self._is_for_us(request) or self.telephones.knows(request)

    def _is_from_us(self, request: Request) -> bool:
        uri = request.from_.uri
        return isinstance(uri, SipUri) and self._site.owns(uri)

    def _is_known(self, host: str) -> bool:
        return host in self._known

    # --- the world ------------------------------------------------------------------------------------------------

    def messages_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Everything that has to be sent, in order; it is handed over once."""
        messages, self._core.wire.outbox = self._core.wire.outbox, []
        return messages

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""
        return self._core.timers.next()

    def handle_timer(self, now: float) -> None:
        """Do what is due at `now`; harmless at any other time."""
        self._now = now
        self._core.timers.run(now)

    def next_event(self) -> Event | None:
        """A look-up to make, or a refusal to tell the operator of."""
        event = self._core.events.popleft() if self._core.events else None
        self._refused += isinstance(event, RequestRefused)
        return event

    def resolved(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """What `ResolveUri` asked for."""
        self._core.resolver.resolved(uri, addresses, now)

    def transport_failed(self, address: Address, now: float, reason: str = "") -> None:
        """What was to go there could not be sent (16.9)."""
        self._core.transport_failed(address, reason or "not reachable", now)

    def connection_closed(self, address: Address, now: float) -> None:
        """The connection was closed in good order: what comes next goes another way."""
        self._core.connection_lost(address)

    def needs(self, address: Address) -> bool:
        """Whether the connection to `address` is the way to a telephone, or a request or a call is over it."""
        if self.dialogs.is_on(address) or any(flow == address for flow in self.location.flows()):
            return True
        return any(client.destination == address for client in self._core.clients.values())

    def may_call(self, host: str) -> bool:
        """Whether a host may connect more than once: all may, each password is asked for by itself."""
        return True

    def server_name(self, address: Address) -> str:
        """The host that was asked for when `address` was found: what its certificate has to be for."""
        return self._core.resolver.server_name(address)

    def note_malformed(self, count: int) -> None:
        """So many datagrams that cannot be SIP were dropped before they came here."""
        self._malformed += count

    # --- time -----------------------------------------------------------------------------------------------------

    def _purge(self, now: float) -> None:
        self.location.purge(now)
        self._known = {flow.host for flow in self.location.flows()}
        self._core.timers.set(self, "purge", now + PURGE_INTERVAL, self._purge)

    def _purge_dialogs(self, now: float) -> None:
        self.dialogs.purge(now)
        if len(self.dialogs):
            self._core.timers.set(self.dialogs, "purge", now + DIALOG_INTERVAL, self._purge_dialogs)


@dataclass(frozen=True)
class SipPlace:
    """What a directory is to SIP: its port, the secret that seals its routes and nonces, the realm of its passwords.

    `domain`: the only one that it serves, "": all of its names and addresses; `tls_name`: the one that its certificate
    is for.
    """

    port: int
    secret: bytes
    realm: str
    domain: str = ""
    tls_name: str = ""
    asks_callers: bool = False


def open_sip(
    network: Network,
    place: SipPlace,
    location: Location,
    names: Names,
    persist: Persist,
    *,
    on_call: OnCall = lambda call: None,
    going_on: Iterable[Followed] = (),
    say: Callable[[int, str], object] = lambda level, text: None,
) -> SipServer:
    """Open the SIP ports of this network (UDP and TCP at the port, TLS above where it has a certificate) and serve them
    on its loop. NetworkError."""
    transport, loop = network.sip, network.loop
    assert isinstance(transport, SipTransport)  # and not the one of a receiver's worker process
    server = SipServer(
        random.SystemRandom(),
        location,
        names,
        _site(place, transport, OwnHosts(loop.now).has),
        persist,
        secret=place.secret,
        realm=place.realm,
        asks_callers=place.asks_callers,
        on_call=on_call,
    )
    got = transport.listen(place.port)
    secure = transport.sip_ports.get("tls")
    say(1, f"SIP at UDP and TCP port {got}" + (f", TLS at {secure}" if secure is not None else ", no TLS"))
    server.start(loop.now(), going_on)

    def on_send_failed(event: SendFailed) -> None:
        server.transport_failed(event.address, loop.now(), event.reason)

    handlers: Mapping[type, Handler] = {RequestRefused: partial(_tell_refused, say), SendFailed: on_send_failed}
    transport.serve(server, handlers, lambda call_id: None)
    return server


def _site(place: SipPlace, transport: SipTransport, is_own: Callable[[str], bool]) -> Site:
    host = socket.gethostname()
    machine = {"localhost", host, f"{host}.local", socket.getfqdn()}
    return Site(
        ({place.realm, place.tls_name} | machine) - {""},
        is_own,
        lambda: transport.sip_ports.values(),
        transport.sip_address,
        domain=place.domain,
        tls_name=place.tls_name,
    )


def _tell_refused(say: Callable[[int, str], object], event: RequestRefused) -> None:
    say(1, f"{event.method} of {event.caller or event.source.host} refused: {event.status} {event.reason}")
