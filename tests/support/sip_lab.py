"""User agents in virtual time on a network that loses, repeats and overtakes by a seed, and a peer made of text."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.network import Impairment, Path
from tests.support.text_phone import TextPhone
from voip.sip import (
    Address,
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    CallRinging,
    Event,
    FieldsPassedOver,
    IncomingCall,
    MessageUnreadable,
    PeerAlive,
    Request,
    RequestEchoed,
    RequestRefused,
    ResolveUri,
    Response,
    UserAgent,
    parse_message,
)

OFFER, ANSWER = b"v=0\r\ns=offer\r\n", b"v=0\r\ns=answer\r\n"
INFORMATION = (RequestRefused, MessageUnreadable, RequestEchoed, FieldsPassedOver)
BEGINNINGS = (IncomingCall, CallAnswered, CallRinging)
FIRST_PORT = 5060

PRODUCT = "Telephone T-4000 (hardware 2.1; firmware 5.10.2.1-release; codecs opus, G722, PCMU, PCMA, L16; " + (
    "display 320x240; 12 lines; language en; time zone UTC; line 1 of 12; built 2024-01-15T10:00:00Z)"
)
"""What a telephone says of itself. As long as it is, a request brings as many bytes as the longest response has, which
an unproven source does not get for less."""

Policy = Callable[["Phone", Event], None]


def take_everything(phone: Phone, event: Event) -> None:
    """A user who answers each call and agrees to each offer."""
    if isinstance(event, IncomingCall | CallOffered):
        phone.agent.accept(event.call_id, ANSWER if event.offer else OFFER, phone.lab.now)


def do_nothing(phone: Phone, event: Event) -> None:
    """A user who is not there."""


def knows_names(names: Mapping[str, Sequence[Address]]) -> Policy:
    """The same user, whose host looks names up in this table."""

    def policy(phone: Phone, event: Event) -> None:
        if isinstance(event, ResolveUri):
            phone.agent.resolved(event.uri, names.get(event.uri.host, []), phone.lab.now)
        else:
            take_everything(phone, event)

    return policy


class Phone:
    """A user agent with an address and somebody who reacts to its events."""

    def __init__(self, lab: Lab, host: str, port: int, policy: Policy, agent: UserAgent) -> None:
        self.lab, self.address, self.policy, self.agent = lab, Address("udp", host, port), policy, agent
        self.events: list[Event] = []
        self.times: list[float] = []
        self.begun: set[str] = set()

    def call(self, other: Phone, timeout: float = 10.0, *, scheme: str = "sip", params: str = "") -> str:
        target = f"{scheme}:anyone@{other.address.host}:{other.address.port}{params}"
        call_id = self.agent.invite(target, OFFER, self.lab.now, timeout=timeout)
        self.begun.add(call_id)
        return call_id

    def pump(self) -> None:
        """Hand over events and messages until there are none."""
        while True:
            for data, destination in self.agent.messages_to_send(self.lab.now):
                self.lab.send(data, self.address, destination)
            event = self.agent.next_event()
            if event is None:
                return
            self.events.append(event)
            self.times.append(self.lab.now)
            if isinstance(event, IncomingCall):
                self.begun.add(event.call_id)
            self.policy(self, event)

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def ended(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]

    def check(self) -> None:
        """What must be true of the events of any run that has come to rest."""
        for call_id in self.begun:
            own = [event for event in self.events if getattr(event, "call_id", None) == call_id]
            ends = [event for event in own if isinstance(event, CallEnded)]
            assert len(ends) == 1, own
            assert own[-1] is ends[0], own
            for once in (IncomingCall, CallAnswered, CallEstablished):
                assert len([event for event in own if isinstance(event, once)]) <= 1, own
        known = (*BEGINNINGS, CallEstablished, CallOffered, CallReanswered, CallEnded, PeerAlive)
        assert {event.call_id for event in self.events if isinstance(event, known)} <= self.begun

    def check_empty(self) -> None:
        """Nothing is kept of calls that are long over."""
        core = self.agent._core
        assert (len(self.agent._calls), len(core.clients), len(core.servers), len(core.timers)) == (0, 0, 0, 0)


@dataclass
class Lab:
    """The network and its time. `trace` holds everything that was sent: time, source, destination, bytes.

    `jitter` is the mean of an exponential delay on top. What phones of `listening` are sent over TCP or TLS arrives,
    whole and in order; others refuse such connections, and those in `dark` do not even do that.
    """

    seed: int = 1
    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.01
    jitter: float = 0.0
    now: float = 1000.0
    phones: dict[Address, Phone] = field(default_factory=dict)
    trace: list[tuple[float, Address, Address, bytes]] = field(default_factory=list)
    listening: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        impairment = Impairment(
            loss=self.loss, duplicate=self.duplicate, delay=self.delay, jitter=self.jitter, reorder=True
        )
        self.path = Path(impairment, self.seed)
        """What becomes of datagrams, whoever sends them."""
        self._counter = itertools.count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self.drop: Callable[[bytes, Address, Address], bool] = lambda data, source, destination: False

    def phone(self, host: str, policy: Policy = take_everything, port: int = FIRST_PORT, **options: object) -> Phone:
        rng = random.Random(self._random.getrandbits(64))
        agent = UserAgent(rng=rng, local=lambda remote: (host, port), **options)  # type: ignore[arg-type]
        phone = Phone(self, host, port, policy, agent)
        self.phones[phone.address] = phone
        return phone

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something that many seconds from now."""
        heapq.heappush(self._due, (self.now + seconds, next(self._counter), action))

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        self.trace.append((self.now, source, destination, data))
        if self.drop(data, source, destination):
            return
        if destination.reliable:
            self._send_by_connection(data, source._replace(protocol=destination.protocol), destination)
            return
        for due in self.path.departures(self.now, len(data)):
            self.at(due - self.now, lambda: self._deliver(data, source, destination))

    def run(self, seconds: float) -> None:
        """Let time pass, and everything happen in it."""
        end = self.now + seconds
        self._pump()
        while True:
            timers = [(timer, phone) for phone in self.phones.values() if (timer := phone.agent.next_timer())]
            timer = min((due for due, _ in timers), default=end + 1.0)
            event = self._due[0][0] if self._due else end + 1.0
            if min(timer, event) > end:
                break
            self.now = max(self.now, min(timer, event))
            if event <= timer:
                heapq.heappop(self._due)[2]()
            else:
                for _, phone in timers:
                    phone.agent.handle_timer(self.now)
            self._pump()
        self.now = end

    def sent(self, source: Phone, start: str) -> list[float]:
        """When `source` sent messages that start like this."""
        first = source.address
        return [time for time, sender, _, data in self.trace if sender == first and data.startswith(start.encode())]

    def _send_by_connection(self, data: bytes, source: Address, destination: Address) -> None:
        if destination.host in self.listening:
            self.at(self.delay, lambda: self._deliver(data, source, destination))
        elif destination.host not in self.dark:
            sender = self.phones[source._replace(protocol="udp")].agent
            self.at(self.delay, lambda: sender.transport_failed(destination, self.now, "refused"))

    def _deliver(self, data: bytes, source: Address, destination: Address) -> None:
        phone = self.phones.get(destination._replace(protocol="udp"))
        if phone is not None:
            phone.agent.receive(data, source, self.now)

    def _pump(self) -> None:
        for phone in self.phones.values():
            phone.pump()


class TextPeer:
    """A peer that says exactly what a test has it say, to one agent, and reads what that answers."""

    def __init__(
        self,
        agent: UserAgent,
        host: str = "10.0.0.9",
        port: int = 5099,
        *,
        protocol: str = "udp",
        listens: int = 0,
        product: str = PRODUCT,
    ) -> None:
        """`listens`: the port that it says it has, where that is not the one that it sends from. `product`: its
        User-Agent, "" for none."""
        self.agent, self.address, self.now = agent, Address(protocol, host, port), 1000.0
        self.listens, self.product = listens, product
        self.tag, self.call_id, self.branches = "peer", f"text@{host}", itertools.count()

    def request(
        self,
        method: str,
        number: int = 1,
        *,
        to_tag: str = "",
        branch: str = "",
        uri: str = "sip:anyone@10.0.0.1",
        lines: str = "",
        body: bytes = b"",
        contact: bool = True,
        cseq: str = "",
    ) -> bytes:
        """The bytes of a request as a telephone would make it."""
        branch = branch or f"z9hG4bK{self.address.port}x{next(self.branches)}"
        named = [f"User-Agent: {self.product}"] if self.product and "User-Agent" not in lines else []
        return self._text(listens=self.listens).request(
            method,
            uri,
            *lines.splitlines(),
            *named,
            call_id=self.call_id,
            to="<sip:anyone@10.0.0.1>" + (f";tag={to_tag}" if to_tag else ""),
            number=number,
            branch=branch,
            contact=contact,
            cseq=cseq,
            body=body,
        )

    def response(
        self, request: Request, status: int, *, tag: str = "theirs", lines: str = "", body: bytes = b""
    ) -> bytes:
        """The bytes of a response to a request; To gets this tag unless it has one."""
        headers = [f"Contact: <sip:text@{self.address.host}:{self.address.port}>"] if status != 100 else []
        reason = request.response(status).reason
        text = request.serialize().decode()
        return self._text().response(
            text, status, reason, *headers, *lines.splitlines(), tag=tag, contact=False, body=body
        )

    def _text(self, *, listens: int = 0) -> TextPhone:
        host, port, protocol = self.address.host, listens or self.address.port, self.address.protocol
        return TextPhone("text", host, port, self.tag, protocol)

    def say(self, data: bytes, now: float | None = None) -> list[Request | Response]:
        """Send this; what comes back at once."""
        self.now = self.now if now is None else now
        self.agent.receive(data, self.address, self.now)
        return self.hear()

    def hear(self) -> list[Request | Response]:
        """What the agent says, keep-alives apart."""
        return [parse_message(data) for data, _ in self.agent.messages_to_send(self.now) if data.strip()]

    def wait(self, seconds: float) -> list[tuple[float, Request | Response]]:
        """Let time pass: what was sent in it, with the seconds since its begin."""
        start, heard = self.now, []
        while (due := self.agent.next_timer()) is not None and due <= start + seconds:
            self.now = max(self.now, due)
            self.agent.handle_timer(self.now)
            heard += [(self.now - start, message) for message in self.hear()]
        self.now = start + seconds
        return heard


def text_agent() -> UserAgent:
    """The user agent that a peer made of text talks to."""
    return UserAgent(rng=random.Random(7), local=lambda remote: ("10.0.0.1", 5060))


def calling() -> tuple[TextPeer, Request]:
    """A peer made of text that was called, and the INVITE that it got."""
    peer = TextPeer(text_agent())
    peer.agent.invite("sip:text@10.0.0.9:5099", OFFER, peer.now)
    (invite,) = peer.hear()
    assert isinstance(invite, Request)
    return peer, invite


def events_of(agent: UserAgent) -> list[Event]:
    found = []
    while (event := agent.next_event()) is not None:
        found.append(event)
    return found


def calls_of(agent: UserAgent) -> list[Event]:
    """The events, without information on refusals."""
    return [event for event in events_of(agent) if not isinstance(event, INFORMATION)]


def up(peer: TextPeer, body: bytes) -> str:
    """A call of this peer, established with `body` as its offer; our tag in it."""
    peer.say(peer.request("INVITE", body=body, branch="z9hG4bKinvite"))
    peer.agent.accept(peer.call_id, ANSWER, peer.now)
    tag = peer.hear()[0].to.tag or ""
    peer.say(peer.request("ACK", to_tag=tag))
    assert [type(event) for event in calls_of(peer.agent)] == [IncomingCall, CallEstablished]
    return tag
