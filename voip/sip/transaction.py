"""The four transaction state machines of RFC 3261 section 17, with RFC 6026's Accepted states.

    INVITE client       CALLING -> PROCEEDING -> COMPLETED (3xx-6xx: ACK each copy, timer D) | ACCEPTED (2xx, timer M)
    other client        TRYING -> PROCEEDING -> COMPLETED (timer K)
    INVITE server       PROCEEDING -> COMPLETED (3xx-6xx: repeat, timers G, H) -> CONFIRMED (ACK came, timer I)
                                   -> ACCEPTED (2xx: the dialog repeats it, timer L)
    other server        TRYING -> PROCEEDING -> COMPLETED (repeat on demand, timer J)

A transaction sends what must be repeated and tells its owner what is new. Timers A and E, B and F, and so on, have the
letters of the RFC in the code. Over a reliable transport nothing is repeated (no timers A, E, G), and what only waits
for repetitions does not wait (D, I, J, K are zero); 2xx to INVITE are repeated by the dialog over any.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from voip.sip.address import SIP_PORT, Address, default_port
from voip.sip.headers import BRANCH_COOKIE
from voip.sip.message import MAX_FORWARDS, Headers, Request, Response, Via
from voip.sip.timers import GIVE_UP, LINGER, T1, T2, T4, Timers

TRYING_AFTER = 0.2
"""A server whose user has not responded for this long sends 100 (17.2.1)."""
FALL_BACK_AFTER = 1.0
"""Seconds without a response after which a request that was too large for UDP goes by UDP all the same: a firewall that
drops TCP says nothing. A server that has it from both counts the second as a repetition."""
ClientKey = tuple[str, str]
"""Branch and method (17.1.3)."""
ServerKey = tuple[str, ...]


class State(Enum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


@dataclass
class Wire:
    """What transactions and dialogs have of the world: messages to send, and deadlines."""

    timers: Timers = field(default_factory=Timers)
    linger_until: float = -math.inf
    """Before then a peer may have missed our last response, and send its request again."""
    outbox: list[tuple[bytes, Address]] = field(default_factory=list)

    def send(self, data: bytes, destination: Address) -> None:
        self.outbox.append((data, destination))

    def linger(self, destination: Address, seconds: float, now: float) -> None:
        """What was sent there last may be lost."""
        if not destination.reliable:
            self.linger_until = max(self.linger_until, now + seconds)


# --- client -----------------------------------------------------------------------------------------------------------


class ClientOwner(Protocol):
    """The sender of the request. A response arrives here at most once, but for 1xx, and 2xx to INVITE."""

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None: ...

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None: ...


class ClientTransaction(ABC):
    """A request of ours (17.1); starts by sending it."""

    INITIAL = State.TRYING

    def __init__(
        self,
        wire: Wire,
        request: Request,
        destination: Address,
        owner: ClientOwner,
        on_end: Callable[[ClientKey], object] = lambda key: None,
        *,
        max_copies: int | None = None,
        tried: dict[tuple[str, str], int] | None = None,
    ) -> None:
        """`on_end` is called with the key. `max_copies`: how often the request may be repeated by timer; None: as the
        RFC says. `tried`: how often it was sent with new credentials, for each realm."""
        self.request, self.destination, self.owner = request, destination, owner
        self.key = client_key(request.via[0], request.method)
        self.state = self.INITIAL
        self.max_copies = max_copies
        self.failure = ""
        """Why the transport could not send it."""
        self.sent = 0
        """How often the request has been sent."""
        self.fall_back: Callable[[float], None] | None = None
        """What else can be tried while there is no response."""
        self.tried = {} if tried is None else tried
        self._on_end = on_end
        self._wire, self._timers = wire, wire.timers
        self._data = request.serialize()
        self._interval = T1
        self._copies = 0

    @property
    def answered(self) -> bool:
        """A final response has come, or nothing will."""
        return self.state not in (State.CALLING, State.TRYING, State.PROCEEDING)

    def start(self, now: float) -> None:
        self.send_again()
        if not self.destination.reliable:
            self._timers.set(self, "retransmit", now + T1, self._retransmit)
        if self.fall_back is not None:
            self._timers.set(self, "fall back", now + FALL_BACK_AFTER, self._fall_back)
        self._timers.set(self, "give up", now + GIVE_UP, self._give_up)

    def fall_back_to(self, again: Callable[[float], None]) -> None:
        """Try this, too, while there is no response; to be said before the start."""
        self.fall_back = again

    def give_to(self, owner: ClientOwner) -> None:
        """Responses go to this owner from now on."""
        self.owner = owner

    def start_again(self, destination: Address, now: float) -> None:
        """Go another way, with the request as it is now."""
        self.destination, self._data = destination, self.request.serialize()
        self.start(now)

    def transport_failed(self, reason: str, now: float) -> None:
        """The request could not be sent (18.4): try the other way if there is one, else tell the owner."""
        if self.answered:
            return
        if self.fall_back is not None:
            self._fall_back(now)
            return
        self.failure = reason
        self._give_up(now)

    def send_again(self) -> None:
        """One copy of the request, timers untouched."""
        self.sent += 1
        self._wire.send(self._data, self.destination)

    def receive(self, response: Response, source: Address, now: float) -> None:
        if response.status < 200:
            self._provisional(response, source, now)
        else:
            self._final(response, source, now)

    @abstractmethod
    def _provisional(self, response: Response, source: Address, now: float) -> None:
        """A 1xx has come."""

    @abstractmethod
    def _final(self, response: Response, source: Address, now: float) -> None:
        """A final response has come."""

    @abstractmethod
    def _retransmit(self, now: float) -> None:
        """The timer says that the request is to be sent again."""

    def drop(self) -> None:
        """Expect no response any more."""
        self.state = State.TERMINATED
        self._timers.clear(self, "retransmit", "give up", "fall back", "end")
        self._on_end(self.key)

    def _heard(self) -> None:
        """There is a response: neither repeat the request nor give up."""
        self.fall_back = None
        self._timers.clear(self, "retransmit", "give up", "fall back")

    def _linger(self, seconds: float, now: float) -> None:
        """Be there for repetitions of the response, which a reliable transport does not bring (timers D, K)."""
        if self.destination.reliable:
            self.drop()
        else:
            self._timers.set(self, "end", now + seconds, self._terminate)

    def _fall_back(self, now: float) -> None:
        again, self.fall_back = self.fall_back, None
        self._timers.clear(self, "fall back")
        if again is not None:
            again(now)

    def _give_up(self, now: float) -> None:  # timers B, F
        self.drop()
        self.owner.on_no_response(self, now)

    def _terminate(self, now: float) -> None:  # timers D, K, M
        self.drop()


class NonInviteClient(ClientTransaction):
    """17.1.2: any request but INVITE and ACK."""

    def _retransmit(self, now: float) -> None:  # timer E
        if self.max_copies is not None and self._copies >= self.max_copies:
            return
        self._copies += 1
        self.send_again()
        self._interval = T2 if self.state is State.PROCEEDING else min(2 * self._interval, T2)
        self._timers.set(self, "retransmit", now + self._interval, self._retransmit)

    def _provisional(self, response: Response, source: Address, now: float) -> None:
        if not self.answered:
            self.state = State.PROCEEDING
            self._timers.clear(self, "fall back")
            self.fall_back = None
            self.owner.on_response(self, response, source, now)

    def _final(self, response: Response, source: Address, now: float) -> None:
        if self.answered:
            return
        self.state = State.COMPLETED
        self._heard()
        self._linger(T4, now)  # timer K
        self.owner.on_response(self, response, source, now)


class InviteClient(ClientTransaction):
    """17.1.1 and RFC 6026 section 7.2: acknowledges refusals itself; 2xx are the dialog's to acknowledge."""

    INITIAL = State.CALLING
    _ack = b""

    def stop_retransmitting(self) -> None:
        """Stop repeating the request; a response that comes all the same still reaches the owner."""
        self._timers.clear(self, "retransmit")

    def _retransmit(self, now: float) -> None:  # timer A
        self.send_again()
        self._interval *= 2
        self._timers.set(self, "retransmit", now + self._interval, self._retransmit)

    def _provisional(self, response: Response, source: Address, now: float) -> None:
        if self.answered:
            return
        self.state = State.PROCEEDING
        self._heard()
        self.owner.on_response(self, response, source, now)

    def _final(self, response: Response, source: Address, now: float) -> None:
        if response.status < 300:
            self._accepted(response, source, now)
        elif self.state is State.COMPLETED:
            self._wire.send(self._ack, self.destination)
            self._wire.linger(self.destination, 2 * LINGER, now)
        elif not self.answered:
            self._refused(response, source, now)

    def _accepted(self, response: Response, source: Address, now: float) -> None:
        if not self.answered:
            self.state = State.ACCEPTED
            self._heard()
            self._timers.set(self, "end", now + GIVE_UP, self._terminate)  # timer M
        if self.state is State.ACCEPTED:
            self.owner.on_response(self, response, source, now)

    def _refused(self, response: Response, source: Address, now: float) -> None:
        self.state = State.COMPLETED
        self._heard()
        self._ack = self._make_ack(response).serialize()
        self._wire.send(self._ack, self.destination)
        self._wire.linger(self.destination, LINGER, now)
        self._linger(GIVE_UP, now)  # timer D
        self.owner.on_response(self, response, source, now)

    def _make_ack(self, response: Response) -> Request:
        """17.1.1.3: like the INVITE, its top Via alone, with the To of the response."""
        old = self.request.headers
        headers = Headers([("Via", str(self.request.via[0])), ("Max-Forwards", MAX_FORWARDS)])
        for route in old.lines("Route"):
            headers.add("Route", route)
        headers.add("From", old.lines("From")[0])
        headers.add("To", response.to_line)
        headers.add("Call-ID", self.request.call_id)
        headers.add("CSeq", f"{self.request.cseq.number} ACK")
        return Request("ACK", self.request.uri, headers)


# --- server -----------------------------------------------------------------------------------------------------------


class ServerTransaction(ABC):
    """A request of a peer (17.2). `owner` is what will respond to it, for CANCEL to find."""

    def __init__(self, wire: Wire, request: Request, source: Address) -> None:
        self.request, self.source = request, source
        self.key = server_key(request)
        self.merge_key = merge_key(request)
        self.reply_to = reply_address(request.via[0], source)
        self.state = State.TRYING
        self.owner: object = None
        self.to_tag = ""
        self.size = 0
        """Bytes of the request as it came."""
        self.max_copies: int | None = None
        """How often a final response may be repeated by timer; None: as the RFC says."""
        self.on_end: Callable[[], object] = lambda: None
        self._wire, self._timers = wire, wire.timers
        self._reply = b""

    def give_to(self, owner: object) -> None:
        """This is what will respond."""
        self.owner = owner

    def take_tag_of(self, other: ServerTransaction) -> None:
        """Respond with the To tag of the request that this one is about (9.2)."""
        self.to_tag = other.to_tag

    def repeat_by_request(self) -> None:
        """Repeat no final response by timer, as its source may be spoofed: a copy of the request still fetches one."""
        self.max_copies = 0

    @property
    def answered(self) -> bool:
        return self.state not in (State.TRYING, State.PROCEEDING)

    @abstractmethod
    def respond(self, response: Response, now: float) -> None:
        """Send this response, once; no-op after a final one."""

    def repeated(self, now: float) -> None:
        """Another copy of the request has come."""
        self._wire.linger(self.reply_to, 2 * LINGER, now)
        self.send_again()

    def send_again(self) -> None:
        """One more copy of the last response."""
        if self._reply:
            self._wire.send(self._reply, self.reply_to)

    def connection_lost(self) -> None:
        """The connection that the request came by is gone: respond where its sender says that it listens (18.2.2)."""
        via = self.request.via[0]
        self.reply_to = self.source._replace(port=via.port or default_port(self.source.protocol))

    def drop(self) -> None:
        """Forget the transaction: a later copy of its request would count as new."""
        self.state = State.TERMINATED
        self._timers.clear(self, "trying", "retransmit", "give up", "end")
        self.on_end()

    def _send(self, response: Response) -> None:
        self._reply = response.serialize()
        self._wire.send(self._reply, self.reply_to)

    def _linger(self, seconds: float, now: float) -> None:
        """Be there for repetitions of the request, which a reliable transport does not bring (timers I, J)."""
        if self.source.reliable:
            self.drop()
        else:
            self._timers.set(self, "end", now + seconds, self._terminate)

    def _terminate(self, now: float) -> None:  # timers H, I, J, L
        self.drop()


class NonInviteServer(ServerTransaction):
    """17.2.2."""

    def respond(self, response: Response, now: float) -> None:
        if self.answered:
            return
        self._send(response)
        if response.status < 200:
            self.state = State.PROCEEDING
            return
        self.state = State.COMPLETED
        self._wire.linger(self.reply_to, LINGER, now)
        self._linger(GIVE_UP, now)  # timer J


class InviteServer(ServerTransaction):
    """17.2.1 and RFC 6026 section 7.1: repeats refusals until their ACK; 2xx are the dialog's to repeat."""

    def __init__(self, wire: Wire, request: Request, source: Address, now: float) -> None:
        super().__init__(wire, request, source)
        self.state = State.PROCEEDING
        self._interval = T1
        self._copies = 0
        self._timers.set(self, "trying", now + TRYING_AFTER, self._trying)

    def respond(self, response: Response, now: float) -> None:
        if self.answered:
            return
        self._timers.clear(self, "trying")
        self._send(response)
        if response.status < 200:
            return
        if response.status < 300:
            self.state = State.ACCEPTED
            self._timers.set(self, "end", now + GIVE_UP, self._terminate)  # timer L
            return
        self.state = State.COMPLETED
        if not self.source.reliable:
            self._timers.set(self, "retransmit", now + T1, self._retransmit)
        self._timers.set(self, "give up", now + GIVE_UP, self._terminate)  # timer H

    def repeated(self, now: float) -> None:
        # A 2xx comes again by the dialog's timer, and only to those it is kept from here.
        frugal = self.state is State.ACCEPTED and self.max_copies is not None
        if frugal or self.state in (State.PROCEEDING, State.COMPLETED):
            super().repeated(now)

    def acknowledge(self, now: float) -> bool:
        """An ACK with the branch of this INVITE has come; False if it is for a 2xx, that is for the dialog."""
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            self._timers.clear(self, "retransmit", "give up")
            self._linger(T4, now)  # timer I
        return self.state is not State.ACCEPTED

    def _trying(self, now: float) -> None:
        self.respond(self.request.response(100), now)

    def _retransmit(self, now: float) -> None:  # timer G
        if self.max_copies is not None and self._copies >= self.max_copies:
            return
        self._copies += 1
        self.send_again()
        self._interval = min(2 * self._interval, T2)
        self._timers.set(self, "retransmit", now + self._interval, self._retransmit)


# Which may be forgotten first when there are too many: those whose loss matters least.
_EXPENDABLE = (State.CONFIRMED, State.COMPLETED, State.ACCEPTED)


class Servers:
    """Transactions by key, the oldest first, and by Call-ID: what is asked of each message costs no more for a server
    that has had a thousand calls of late."""

    def __init__(self) -> None:
        self._by_key: dict[ServerKey, ServerTransaction] = {}
        self._by_call: dict[str, dict[ServerKey, ServerTransaction]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[ServerTransaction]:
        return iter(self._by_key.values())

    def get(self, key: ServerKey) -> ServerTransaction | None:
        """The transaction with this key."""
        return self._by_key.get(key)

    def of_call(self, call_id: str) -> Collection[ServerTransaction]:
        """Those whose request has this Call-ID."""
        return self._by_call.get(call_id, {}).values()

    def add(self, transaction: ServerTransaction) -> None:
        """A request has begun one."""
        self._by_key[transaction.key] = transaction
        self._by_call.setdefault(transaction.request.call_id, {})[transaction.key] = transaction

    def remove(self, transaction: ServerTransaction) -> None:
        """It is over; ignored if another has its key by now."""
        key, call_id = transaction.key, transaction.request.call_id
        if self._by_key.get(key) is not transaction:
            return
        del self._by_key[key]
        of_call = self._by_call[call_id]
        del of_call[key]
        if not of_call:
            del self._by_call[call_id]

    def forget_one(self) -> bool:
        """Make room: the oldest that has done its work goes. False if there is none."""
        for state in _EXPENDABLE:
            for transaction in self:
                if transaction.state is state:
                    transaction.drop()
                    return True
        return False


# --- matching and addressing ------------------------------------------------------------------------------------------


def client_key(via: Via, method: str) -> ClientKey:
    """What a response is matched by (17.1.3)."""
    return via.params.get("branch") or "", method


def server_key(request: Request) -> ServerKey:
    """What a request is matched by (17.2.3); an ACK matches the INVITE it acknowledges."""
    via = request.via[0]
    method = "INVITE" if request.method == "ACK" else request.method
    branch = via.params.get("branch") or ""
    cseq, tag = request.cseq, request.from_.tag or ""
    if branch.startswith(BRANCH_COOKIE) and branch != BRANCH_COOKIE:
        # Call-ID and number, which are the same in whatever belongs together, for peers that use a branch again.
        return branch, via.host.lower(), str(via.port or SIP_PORT), request.call_id, str(cseq.number), method
    # RFC 2543 peers: what tells one request from another there.
    return str(via), str(request.uri), tag, request.call_id, str(cseq.number), method


def merge_key(request: Request) -> tuple[str, str, str]:
    """Equal in two requests that are the same one, come by two ways (8.2.2.2)."""
    return request.from_.tag or "", request.call_id, str(request.cseq)


def reply_address(via: Via, source: Address) -> Address:
    """Where a response goes (18.2.2, RFC 3581 section 4): always to the host that asked, whatever it claims to be;
    over the connection that the request came by, if there is one."""
    if source.reliable:
        return source
    port = source.port if "rport" in via.params else via.port or SIP_PORT
    return Address(source.protocol, source.host, port)


def note_source(request: Request, source: Address) -> None:
    """Fill `received` and `rport` of the top Via in (18.2.1, RFC 3581 section 4)."""
    via = request.via[0]
    wanted = "rport" in via.params
    if wanted:
        via.params["rport"] = str(source.port)
    if wanted or via.host.lower() != source.host.lower():
        via.params["received"] = source.host
        request.headers.replace_first("Via", str(via))
