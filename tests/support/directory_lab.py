"""The SIP side of a directory in virtual time: telephones made of text around it, or user agents on a bad network.

scene = Scene("alice", "bob")
bob = scene.register("bob", "127.0.0.9", 5070)
alice = scene.phone("alice", "127.0.0.8", 5080)
scene.say(alice, alice.invite())
(invite,) = scene.heard(bob)
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from tests.support.sip_lab import Lab, Phone
from tests.support.text_phone import TextPhone, token
from voip.directory.directory import Directory
from voip.directory.location import Change, Location
from voip.directory.registrar import Durable
from voip.directory.sip_server import SipServer
from voip.directory.site import Site
from voip.sip import Address, Event, Request, Response, parse_message
from voip.sip.address import default_port
from voip.sip.auth import Credentials, authorization, parse_challenge

HERE = "127.0.0.1"
DOMAIN, REALM = "directory.test", "directory"
BOB, ALICE = "127.0.0.9", "127.0.0.8"
DATE = "Sat, 28 Nov 2026 22:00:00 GMT"
SECRET = b"s" * 32
OWN_PORTS = (5060, 5061)


class TableOfNames:
    """The users, by lower-case name; the password of those that have one, without which they are only here (on
    127.0.0.0/8)."""

    def __init__(self, *names: str, passwords: dict[str, str] | None = None) -> None:
        self.passwords = passwords or {}
        self.names = {*names, *self.passwords}

    def has(self, name: str) -> bool:
        return name in self.names

    def hash_of(self, name: str, algorithm: str) -> str | None:
        assert algorithm == "MD5"
        password = self.passwords.get(name)
        return None if password is None else hashlib.md5(f"{name}:{REALM}:{password}".encode()).hexdigest()


class Store:
    """Makes changes durable at once; while `held`, when `finish` is called."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.changes: list[Change] = []
        self.held, self._waiting = False, list[tuple[Change, Durable]]()

    def persist(self, change: Change, durable: Durable) -> None:
        if self.held:
            self._waiting.append((change, durable))
        else:
            self.changes.append(change)
            durable(True, self._clock())

    def finish(self, now: float, *, good: bool = True) -> None:
        """What was asked for first is durable, or will never be."""
        change, durable = self._waiting.pop(0)
        if good:
            self.changes.append(change)
        durable(good, now)

    @property
    def waiting(self) -> int:
        return len(self._waiting)


def own_address(remote: Address) -> tuple[str, int]:
    return HERE, default_port(remote.protocol)


def sip_server(
    names: TableOfNames,
    store: Store,
    *,
    seed: int = 7,
    asks_callers: bool = False,
    tls_name: str = "",
    domain: str = "",
) -> SipServer:
    """At 127.0.0.1, the same each time."""
    names_of_it = {REALM} if domain else {DOMAIN, REALM}
    site = Site(
        names_of_it, lambda host: host == HERE, lambda: OWN_PORTS, own_address, tls_name=tls_name, domain=domain
    )
    rng = random.Random(seed)
    return SipServer(
        rng,
        Location(),
        names,
        site,
        store.persist,
        secret=SECRET,
        realm=REALM,
        asks_callers=asks_callers,
        date=lambda: DATE,
    )


@dataclass(frozen=True)
class Telephone:
    """One of text: who it is, the address that its messages come from, and where it says that it is."""

    user: str
    source: Address
    says: TextPhone

    def request(self, method: str, uri: str, *lines: str, **more: object) -> bytes:
        return self.says.request(method, uri, *lines, **more)  # type: ignore[arg-type]

    def invite(self, name: str = "bob", *lines: str, **more: object) -> bytes:
        return self.request("INVITE", f"sip:{name}@{DOMAIN}", *lines, body=b"v=0\r\n", **more)

    def respond(self, request: Request, code: int, *lines: str, tag: str = "") -> bytes:
        text = request.serialize().decode()
        return self.says.response(text, code, request.response(code).reason, *lines, tag=tag or self.says.tag)


def sip_server_of(directory: Directory, *, seed: int = 7, domain: str = "") -> SipServer:
    """The SIP side of a whole directory, which is told of the calls that go through it."""
    rng, users = random.Random(seed), directory.users
    site = Site({DOMAIN, REALM}, lambda host: host == HERE, lambda: OWN_PORTS, own_address, domain=domain)
    return SipServer(
        rng,
        directory.location,
        users,
        site,
        directory.persist,
        secret=SECRET,
        realm=REALM,
        on_call=directory.follow_proxied,
        date=lambda: DATE,
    )


class Scene:
    """A directory that knows these names, and what has been sent to whom. `server`: its SIP side, where that is not one
    of its own."""

    def __init__(
        self,
        *names: str,
        passwords: dict[str, str] | None = None,
        asks_callers: bool = False,
        tls_name: str = "",
        domain: str = "",
        server: SipServer | None = None,
    ) -> None:
        self.names, self.now = TableOfNames(*names, passwords=passwords), 1000.0
        self.store = Store(self._clock)
        self.server = server or sip_server(
            self.names, self.store, asks_callers=asks_callers, tls_name=tls_name, domain=domain
        )
        self._sent: dict[Address, list[Request | Response]] = {}
        self.events: list[Event] = []

    def _clock(self) -> float:
        return self.now

    def phone(
        self, user: str, host: str, port: int, protocol: str = "udp", *, source: Address | None = None
    ) -> Telephone:
        """`source`: where its messages come from, where that is not where it says it is."""
        says = TextPhone(user, host, port, f"tag-{user}-{port}", protocol)
        return Telephone(user, source or Address(protocol, host, port), says)

    def register(
        self, user: str, host: str, port: int, protocol: str = "udp", *lines: str, **more: object
    ) -> Telephone:
        """A telephone that has registered."""
        phone = self.phone(user, host, port, protocol, **more)  # type: ignore[arg-type]
        assert status_of(self.ask(phone, register(phone, *lines))) == 200
        return phone

    def say(self, phone: Telephone, data: bytes) -> None:
        self.server.receive(data, phone.source, self.now)
        self._collect()

    def ask(self, phone: Telephone, data: bytes) -> Response:
        """Send a request; its response, which comes at once."""
        self.say(phone, data)
        (response,) = self.heard(phone)
        assert isinstance(response, Response)
        return response

    def heard(self, phone: Telephone) -> list[Request | Response]:
        """What has been sent to this telephone since the last look."""
        return self._sent.pop(phone.source, [])

    def request_to(self, phone: Telephone) -> Request:
        """The only message since then, a request."""
        (message,) = self.heard(phone)
        assert isinstance(message, Request), message
        return message

    def statuses(self, phone: Telephone) -> list[int]:
        return [status_of(message) for message in self.heard(phone)]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (due := self.server.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.server.handle_timer(self.now)
            self._collect()
        self.now = end

    def at_rest(self) -> bool:
        """Whether nothing is kept of requests that are over."""
        core = self.server._core
        return not core.clients and not len(core.servers)

    def silence(self) -> bool:
        """Whether nothing was sent that was not looked at."""
        return not self._sent

    def _collect(self) -> None:
        for data, address in self.server.messages_to_send(self.now):
            self._sent.setdefault(address, []).append(parse_message(data))
        while (event := self.server.next_event()) is not None:
            self.events.append(event)


def status_of(message: Request | Response) -> int:
    """The status of a response; 0 of a request."""
    return message.status if isinstance(message, Response) else 0


def register(
    phone: Telephone,
    *lines: str,
    name: str = "",
    number: int = 1,
    call_id: str = "",
    contact: bool = True,
    to_domain: str = DOMAIN,
) -> bytes:
    """A REGISTER of this telephone, for its own name unless `name` is another."""
    return phone.request(
        "REGISTER",
        f"sip:{to_domain}",
        *lines,
        call_id=call_id or f"register-{phone.user}-{phone.source.port}",
        to=f"<sip:{name or phone.user}@{to_domain}>",
        number=number,
        contact=contact,
    )


def credentials(response: Response, user: str, password: str, method: str, count: int = 1) -> str:
    """The header field that meets the challenge in this response."""
    asked = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
    challenge = parse_challenge(response.headers.lines(asked)[0])
    name = "Authorization" if response.status == 401 else "Proxy-Authorization"
    return f"{name}: " + authorization(challenge, Credentials(user, password), method, f"sip:{DOMAIN}", count, token())


class Called(Scene):
    """Bob at one telephone, and alice who calls him."""

    def __init__(self, protocol: str = "udp", callers: str = "udp", **more: object) -> None:
        super().__init__("bob", "alice", **more)  # type: ignore[arg-type]
        self.bob = self.register("bob", BOB, 5070, protocol)
        self.alice = self.phone("alice", ALICE, 5080, callers)

    def call(self, *lines: str, **more: object) -> Request:
        """Alice's INVITE, as it comes to Bob."""
        self.say(self.alice, self.alice.invite("bob", *lines, call_id="call", **more))
        return self.request_to(self.bob)

    def answered(self, invite: Request, code: int = 200) -> Response:
        self.say(self.bob, self.bob.respond(invite, code))
        (response,) = self.heard(self.alice)
        assert isinstance(response, Response)
        return response


# --- user agents around it ------------------------------------------------------------------------------------------


@dataclass
class DirectoryNode:
    """A directory among the phones of a `Lab`: it is driven as they are."""

    lab: Lab
    address: Address
    agent: SipServer
    events: list[Event] = field(default_factory=list)

    def pump(self) -> None:
        for data, destination in self.agent.messages_to_send(self.lab.now):
            self.lab.send(data, self.address, destination)
        while (event := self.agent.next_event()) is not None:
            self.events.append(event)


def directory_in(lab: Lab, passwords: Mapping[str, str], seed: int) -> DirectoryNode:
    """A directory of these users, at 127.0.0.1 of the lab."""
    server = sip_server(TableOfNames(passwords=dict(passwords)), Store(lambda: lab.now), seed=seed)
    node = DirectoryNode(lab, Address("udp", HERE, OWN_PORTS[0]), server)
    lab.phones[node.address] = cast(Phone, node)
    return node
