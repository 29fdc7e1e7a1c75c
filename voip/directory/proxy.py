"""A stateful proxy of the names of the directory (RFC 3261 section 16): which requests go where, and what they carry.

It forwards what is for a name of ours to all contacts of the name, and what belongs to a dialog that it has been part
of to the other side, as its own Route says. Everything else is refused: it is no relay for others. What becomes of a
forwarded request is the matter of its response context.

It is on the way of all requests of a dialog by two Record-Route values, one for each side (RFC 5658), so that each
side stays with the transport and, behind a NAT, with the address that it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from voip.directory.flows import FlowTokens, addresses_on
from voip.directory.location import Location
from voip.directory.registrar import Names, name_of
from voip.directory.response_context import OnResponse, ResponseContext, Target
from voip.directory.site import Site
from voip.sip.address import Address
from voip.sip.core import Core
from voip.sip.grammar import SipParseError
from voip.sip.headers import BRANCH_COOKIE, Headers
from voip.sip.message import DEFAULT_MAX_FORWARDS, NameAddr, Request
from voip.sip.methods import Refusal
from voip.sip.transaction import ServerTransaction
from voip.sip.uri import SipUri

RECORDED = ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY")
"""Requests that make a dialog, on whose way the proxy stays."""
LOOP_BYTES = 6
"""Of the hash in the branch by which a loop is known (RFC 5393 section 4.2.4: 32 bits do)."""
MAX_BREADTH = 60
"""Of requests that do not say it (RFC 5393 section 5.3.1)."""
MAX_DIGITS = 4


@dataclass(frozen=True)
class Routed:
    """A request whose Route is read (16.4): the request without what was for us, and the side that it is bound for.

    `flow`: the address that our own Route value names; None: there was none with a good seal."""

    request: Request
    flow: Address | None


class Proxy:
    """Forwards requests of which each has a server transaction, and ACKs, which have none.

    `on_response` is told of each response that goes back."""

    def __init__(
        self,
        core: Core,
        location: Location,
        names: Names,
        site: Site,
        secret: bytes,
        on_response: OnResponse = lambda context, response, address: None,
    ) -> None:
        self._core, self._location, self._names, self._site = core, location, names, site
        self._secret, self._tokens, self._on_response = secret, FlowTokens(secret), on_response

    def objection(self, request: Request) -> Refusal | None:
        """What a request is refused for before it is known where it goes (16.3); None if it is good."""
        if not isinstance(request.uri, SipUri):
            return Refusal(416)
        if request.headers.get("Max-Forwards") is not None and request.max_forwards == 0:
            return Refusal(483)
        if self._is_loop(request):
            return Refusal(482)
        required = [tag for tag in request.headers.get_all("Proxy-Require") if tag]
        if required:
            return Refusal(420, [("Unsupported", ", ".join(required))])
        return None

    def forward(self, transaction: ServerTransaction, now: float) -> None:
        """Send the request on to its targets, or refuse it."""
        targets = self._targets(transaction.request, now)
        if isinstance(targets, Refusal):
            self._core.respond(transaction, targets.status, now, fields=targets.fields, why=targets.why)
            return
        routed, groups = targets
        breadth = sum(map(len, groups))
        if breadth > _breadth(routed.request):
            self._core.respond(transaction, 440, now, reason="Max-Breadth Exceeded")
            return
        context = ResponseContext(
            self._core,
            transaction,
            groups,
            partial(self._copy, transaction.request, routed.request, transaction.source, breadth),
            self._on_response,
        )
        transaction.give_to(context)
        context.start(now)

    def forward_ack(self, request: Request, source: Address, now: float) -> bool:
        """The ACK of a 2xx goes on without a transaction (16.6, 17.1); False: it leads nowhere."""
        if self.objection(request) is not None:
            return False
        targets = self._targets(request, now)
        if isinstance(targets, Refusal):
            return False
        routed, groups = targets
        if routed.flow is None:  # a name has more than one contact, and only one of them has accepted
            return False
        (target,) = groups[0]
        address = target.addresses[0]
        copy = self._copy(request, routed.request, source, 1, target, address)
        self._core.wire.send(copy.serialize(), address)
        return True

    def is_within_dialog(self, request: Request) -> bool:
        """Whether a request has the Route of a dialog that has gone through us: nobody else can make that."""
        routed = self._read_routes(request) if request.to.tag else None
        return isinstance(routed, Routed) and routed.flow is not None

    # --- where to -------------------------------------------------------------------------------------------------

    def _targets(self, request: Request, now: float) -> tuple[Routed, Sequence[Sequence[Target]]] | Refusal:
        """16.4 and 16.5."""
        routed = self._read_routes(request)
        if isinstance(routed, Refusal):
            return routed
        uri = routed.request.uri
        if not isinstance(uri, SipUri):
            return Refusal(416)
        if routed.flow is not None:
            return routed, [[Target(uri, addresses_on(_next_hop(routed.request), routed.flow))]]
        if routed.request.headers.get_all("Route") or not self._site.owns(uri):
            return Refusal(403, why="for another domain")
        return self._of_name(routed, uri, now)

    def _of_name(self, routed: Routed, uri: SipUri, now: float) -> tuple[Routed, Sequence[Sequence[Target]]] | Refusal:
        name = name_of(uri)
        if not name or not self._names.has(name):
            return Refusal(404, why="no such name")
        found = self._location.bindings(name, now)
        if uri.scheme == "sips":  # all of the way has to be encrypted (RFC 5630 section 5.3)
            found = [each for each in found if each.uri.scheme == "sips" or (each.flow and each.flow.encrypted)]
        if not found:
            return Refusal(480, why="no contact of that name")
        groups = [
            [Target(_bare(each.uri), () if each.flow is None else addresses_on(each.uri, each.flow)) for each in alike]
            for _, alike in groupby(found, key=lambda binding: binding.q)
        ]
        return routed, groups

    def _read_routes(self, request: Request) -> Routed | Refusal:
        """16.4: without the values that are ours, of which there are two where a dialog goes through us, and with the
        Request-URI that a strict router has put at the end."""
        lines = request.headers.get_all("Route")
        try:
            routes = [NameAddr.read_route(line) for line in lines]
        except SipParseError:
            return Refusal(400, why="malformed Route")
        uri, flow = request.uri, None
        if isinstance(uri, SipUri) and self._site.is_here(uri) and self._tokens.open(uri.user) is not None and routes:
            flow = self._tokens.open(uri.user)
            uri = routes.pop().uri
        while routes and isinstance((ours := routes[0].uri), SipUri) and self._site.is_here(ours):
            flow = self._tokens.open(ours.user)
            routes.pop(0)
        stripped = Request(request.method, uri, request.headers.copy(), request.body)
        if len(routes) < len(lines):
            stripped.headers.remove("Route")
            for route in routes:
                stripped.headers.add("Route", str(route))
        return Routed(stripped, flow)

    # --- what is sent ---------------------------------------------------------------------------------------------

    def _copy(
        self, received: Request, routed: Request, source: Address, breadth: int, target: Target, address: Address
    ) -> Request:
        """16.6: the copy for one target, as it is sent to that address."""
        here = self._site.told(address)
        branch = f"{BRANCH_COOKIE}{self._core.token()}.{self._loop_hash(received)}"
        asks = ";rport" if address.protocol == "udp" else ""
        headers = Headers([("Via", f"SIP/2.0/{address.protocol.upper()} {here.host_port}{asks};branch={branch}")])
        if received.method in RECORDED and not received.to.tag:
            secure = isinstance(received.uri, SipUri) and received.uri.scheme == "sips"
            for side in (address, source):
                headers.add("Record-Route", f"<{self._record(side, secure=secure)}>")
        for name, value in routed.headers:
            headers.add(name, value)
        headers.set("Max-Forwards", str(_forwards_left(received)))
        if breadth > 1:
            headers.set("Max-Breadth", str(_breadth(received) // breadth))
        copy = Request(received.method, target.uri, headers, routed.body)
        _obey_strict_router(copy)
        return copy

    def _record(self, side: Address, *, secure: bool) -> SipUri:
        """Our URI for requests of a dialog that come from the other side, or go to this one."""
        uri = self._site.told(side)
        uri.user = self._tokens.seal(side)
        if secure and side.encrypted:
            uri.scheme = "sips"
            del uri.params["transport"]
        return uri

    def _is_loop(self, request: Request) -> bool:
        """Whether the same request has passed here with the same aim (RFC 5393 section 4.2.2)."""
        if request.hops < 2:
            return False
        mark = f".{self._loop_hash(request)}"
        return any((via.branch or "").endswith(mark) for via in request.via)

    def _loop_hash(self, request: Request) -> str:
        """Of all that decides where a request goes, and of what tells one from another; not of its method."""
        parts = [str(request.uri), *request.headers.lines("Route"), *request.headers.lines("Proxy-Require")]
        parts += [*request.headers.lines("From"), request.call_id, str(request.cseq.number)]
        text = "\n".join(parts).encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, key=self._secret, digest_size=LOOP_BYTES).hexdigest()


def _next_hop(request: Request) -> SipUri:
    """The URI that a request with a dialog's Route goes to next."""
    for value in request.headers.get_all("Route")[:1]:
        route = NameAddr.read_route(value).uri
        if isinstance(route, SipUri):
            return route
    assert isinstance(request.uri, SipUri)
    return request.uri


def _obey_strict_router(request: Request) -> None:
    """16.6, step 6: a next hop without "lr" wants its own URI as the Request-URI, and that one at the end of Route."""
    values = request.headers.get_all("Route")
    if not values:
        return
    first = NameAddr.read_route(values[0]).uri
    if isinstance(first, SipUri) and "lr" in first.params:
        return
    request.headers.remove("Route")
    for value in [*values[1:], f"<{request.uri}>"]:
        request.headers.add("Route", value)
    request.uri = first


def _bare(uri: SipUri) -> SipUri:
    """A contact as a Request-URI: without what may not stand there (19.1.1)."""
    params = {name: value for name, value in uri.params.items() if name != "method"}
    return SipUri(uri.scheme, uri.user, uri.host, uri.port, params, {}, uri.password)


def _forwards_left(request: Request) -> int:
    """Max-Forwards of the copy (16.6, step 3)."""
    if request.headers.get("Max-Forwards") is None:
        return DEFAULT_MAX_FORWARDS
    return max(0, request.max_forwards - 1)


def _breadth(request: Request) -> int:
    """At how many places this request may be at a time (RFC 5393 section 5)."""
    text = request.headers.get("Max-Breadth")
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        return MAX_BREADTH
    return min(int(text), MAX_BREADTH)
