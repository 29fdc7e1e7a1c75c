"""Dialogs (RFC 3261 section 12): what makes two requests part of one call, and where the next one goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from voip.sip.address import Address, literal
from voip.sip.message import MAX_FORWARDS, Headers, NameAddr, Request, Response, SipUri

DialogKey = tuple[str, str, str]
"""Call-ID, our tag, the peer's tag ("" for a peer of RFC 2543, which has none)."""
Known = Callable[["SipUri | str"], Sequence[Address]]
"""The addresses of a URI as far as they are known without asking."""
_QVALUE = re.compile(r"[01](?:\.[0-9]{0,6})?|\.[0-9]{1,6}")
URI_ONLY_IN_CONTACT = ("method", "maddr", "ttl")


@dataclass
class Dialog:
    """The state of section 12.1. `local` and `remote` are the values of From and To of our requests, tags included."""

    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    local_cseq: int
    remote_cseq: int | None
    routes: list[NameAddr]
    target: SipUri | str
    peer: Address
    """Where the peer's last message came from: the way back when its Contact cannot be reached."""
    behind_nat: bool = False
    """The peer's Contact is of a network that its packets do not come from."""
    validated: bool = False
    """The peer has shown that it receives what we send: its address is not spoofed."""
    origin: str = ""
    """The host that the dialog was made with: it stays one of the peer's."""
    connected: bool = False
    """The peer itself has connected to us: its connection is the way back as long as it is open (RFC 5923)."""

    @classmethod
    def of_request(cls, request: Request, source: Address, local_tag: str) -> Dialog:
        """The dialog that our response to this INVITE makes (12.1.1)."""
        contact = contact_of(request) or request.from_.uri
        routes = request.record_routes
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            local=f"{request.headers.lines('To')[0]};tag={local_tag}",
            remote=request.headers.lines("From")[0],
            local_cseq=0,
            remote_cseq=request.cseq.number,
            routes=routes,
            target=contact,
            peer=source,
            origin=source.host,
            behind_nat=not routes and _came_through_nat(request, contact, source),
            connected=not routes and source.reliable and request.hops == 1,
        )

    @classmethod
    def of_response(cls, request: Request, response: Response, source: Address) -> Dialog:
        """The dialog that this 2xx to our INVITE makes (12.1.2)."""
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local=request.headers.lines("From")[0],
            remote=response.to_line,
            local_cseq=request.cseq.number,
            remote_cseq=None,
            routes=response.record_routes[::-1],
            target=contact_of(response) or request.uri,
            peer=source,
            origin=source.host,
        )

    @property
    def key(self) -> DialogKey:
        return self.call_id, self.local_tag, self.remote_tag

    def retarget(self, message: Request | Response) -> None:
        """An INVITE or UPDATE was accepted: later requests go to the place that its sender names (12.2.1.2, 12.2.2).
        One that is refused changes nothing (RFC 6141 section 4.6)."""
        if message.cseq.method in ("INVITE", "UPDATE"):
            self.target = contact_of(message) or self.target

    def request(self, method: str, via: str, number: int | None = None) -> Request:
        """A request within the dialog (12.2.1.1); `number`, or the next, is its CSeq."""
        if number is None:
            number = self.next_number()
        uri, routes = self._addressed()
        headers = Headers([("Via", via), ("Max-Forwards", MAX_FORWARDS)])
        for route in routes:
            headers.add("Route", route)
        headers.add("From", self.local)
        headers.add("To", self.remote)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{number} {method}")
        return Request(method, uri, headers)

    def next_number(self) -> int:
        """The CSeq of another request of ours."""
        self.local_cseq += 1
        return self.local_cseq

    @property
    def next_hop(self) -> SipUri | str:
        """What our requests are sent towards: the first proxy that wants them, or the peer."""
        return self.routes[0].uri if self.routes else self.target

    def destination(self, known: Known) -> Address:
        """The next hop of our requests: of several addresses the one that the peer used, while nothing is known too."""
        addresses = known(self.next_hop)
        if self.behind_nat or self.connected or not addresses or self.peer in addresses:
            return self.peer
        if self._leaves_protocol() and any(address[1:] == self.peer[1:] for address in addresses):
            return self.peer  # a Contact that forgets to say that it is of a connection
        return addresses[0]

    def is_with(self, host: str, known: Known) -> bool:
        """Whether requests of the peer may come from there: it was there before, or says that it can be reached there,
        by itself or by its proxies."""
        if host in (self.peer.host, self.origin):
            return True
        places = [self.target, *(route.uri for route in self.routes)]
        return any(address.host == host for place in places for address in known(place))

    def _leaves_protocol(self) -> bool:
        """The next hop does not say what it is to be reached by."""
        uri = self.next_hop
        return isinstance(uri, SipUri) and uri.scheme == "sip" and "transport" not in uri.params

    def connection_lost(self, address: Address) -> None:
        """The connection to or from there is gone."""
        if self.peer == address:
            self.connected = False

    def _addressed(self) -> tuple[SipUri | str, list[str]]:
        """Request-URI and Route values: loose routing, or strict where the first proxy knows no other (12.2.1.1)."""
        if not self.routes:
            return _bare(self.target), []
        first = self.routes[0].uri
        if isinstance(first, SipUri) and "lr" not in first.params:
            rest = [str(route) for route in self.routes[1:]]
            return _bare(first), [*rest, f"<{self.target}>"]
        return _bare(self.target), [str(route) for route in self.routes]


def is_secure(uri: SipUri | str) -> bool:
    return isinstance(uri, SipUri) and uri.scheme == "sips"


def redirect_targets(response: Response, *, secure: bool = False) -> list[SipUri]:
    """The places of a 3xx that we can call, by falling q (8.1.3.4, 20.10: 1 where there is none); `secure`: they must
    not be less secure than what we called."""
    contacts = sorted(response.contacts, key=lambda contact: -_preference(contact))
    uris = [contact.uri for contact in contacts]
    return [_bare_sip(uri) for uri in uris if isinstance(uri, SipUri) and (is_secure(uri) or not secure)]


def _preference(contact: NameAddr) -> float:
    text = contact.params.get("q") or "1"
    return float(text) if _QVALUE.fullmatch(text) else 1.0


def contact_of(message: Request | Response) -> SipUri | None:
    """The place that the sender can be reached at: the first of its Contacts (one, by the RFC) that we understand."""
    return next((contact.uri for contact in message.contacts if isinstance(contact.uri, SipUri)), None)


def _bare(uri: SipUri | str) -> SipUri | str:
    return _bare_sip(uri) if isinstance(uri, SipUri) else uri


def _bare_sip(uri: SipUri) -> SipUri:
    """Without what no Request-URI may hold (19.1.1, table 1)."""
    params = {name: value for name, value in uri.params.items() if name not in URI_ONLY_IN_CONTACT}
    return SipUri(uri.scheme, uri.user, uri.host, uri.port, params)


def _came_through_nat(request: Request, contact: SipUri | str, source: Address) -> bool:
    """The caller itself sent this, from an address it does not know it has: its Contact leads nowhere."""
    return (
        request.hops == 1
        and isinstance(contact, SipUri)
        and all(literal(host) is not None and host != source.host for host in (request.via[0].host, contact.host))
    )
