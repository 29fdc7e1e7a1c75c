"""Fuzz target of the directory: registrar and proxy, whatever telephones and strangers send them.

What it sends on must be SIP as well, and what it responds must have the Vias of what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tests.fuzz.copies import Copies
from tests.fuzz.sip import PARTS, Exchange
from tests.fuzz.target import Target, files, joined, pieces
from tests.support.directory_lab import DOMAIN, HERE, Scene, Telephone, register
from voip.directory.sip_server import SipServer
from voip.sip import Address, parse_message

LONG = 3000.0
"""Seconds after which all is over: timer C, and what comes after it, for each preference."""
HOSTS = ("127.0.0.9", "127.0.0.8", "203.0.113.66", "::1")
PROTOCOLS = ("udp", "tcp", "tls", "udp")
PORT = 5070


def scene() -> tuple[Scene, Telephone, Telephone]:
    """A directory with bob at two telephones, and alice; the same each time, down to its branches."""
    made = Scene("bob", "alice", passwords={"carol": "secret"})
    bob = made.register("bob", HOSTS[0], PORT)
    made.register("bob", HOSTS[0], PORT + 1, "tcp")
    return made, bob, made.phone("alice", HOSTS[1], PORT)


@cache
def _scenes() -> Copies[tuple[Scene, Telephone, Telephone]]:
    return Copies(scene())


def directory(data: bytes) -> None:
    """Messages from four hosts over three transports, with time between them; a connection that fails now and then.

    In the end nothing is kept of them."""
    made, _, alice = _scenes().one()
    server, now, exchange, first = made.server, made.now, Exchange(), invite(alice)
    exchange.came(first, alice.source)
    server.receive(first, alice.source, now)
    for control, piece in pieces(data):
        source = Address(PROTOCOLS[control >> 2 & 3], HOSTS[control & 3], PORT)
        now += (control >> 4) / 2.0
        run(server, now, exchange)
        if piece:
            server.receive(piece, source, now)
            exchange.check(server.messages_to_send(now), exchange.came(piece, source))
        else:
            server.transport_failed(source, now, "closed")
        run(server, now, exchange)
    run(server, now + LONG, exchange)
    assert made.at_rest()


def run(server: SipServer, until: float, exchange: Exchange) -> None:
    """Let time pass."""
    while True:
        exchange.check(server.messages_to_send(until))
        while server.next_event() is not None:
            pass
        due = server.next_timer()
        if due is None or due > until:
            return
        server.handle_timer(due)


def invite(alice: Telephone) -> bytes:
    return alice.invite(call_id="call", branch="z9hG4bKcall")


def control(host: int, protocol: str = "udp", wait: int = 0) -> int:
    return host | PROTOCOLS.index(protocol) << 2 | wait << 4


def seeds() -> Sequence[bytes]:
    made, bob, alice = scene()
    made.say(alice, invite(alice))
    sent = made.request_to(bob)
    ringing, answer, busy = (bob.respond(sent, code) for code in (180, 200, 486))
    made.say(bob, answer)
    (told,) = made.heard(alice)
    route = ", ".join(str(each) for each in reversed(told.record_routes))
    to = told.headers.lines("To")[0]
    ack, bye = (
        alice.request(method, str(told.contacts[0].uri), f"Route: {route}", call_id="call", to=to, number=2)
        for method in ("ACK", "BYE")
    )
    cancel = alice.request("CANCEL", f"sip:bob@{DOMAIN}", call_id="call", branch="z9hG4bKcall")
    several = register(bob, "Contact: <sip:a@127.0.0.9>;q=0.5;expires=60, <sip:b@phone.test>", "Expires: 9", number=2)
    star = register(bob, "Contact: *", "Expires: 0", contact=False, number=3)
    text = alice.request("MESSAGE", f"sip:bob@{HERE}", f"Route: <sip:{HERE};lr>", body=b"hello")
    carol = register(
        made.phone("carol", "127.0.0.9", 5072), 'Authorization: Digest username="carol", realm="directory"'
    )
    found = [
        joined((control(0), ringing), (control(0), answer), (control(1), ack), (control(1), bye)),
        joined((control(0), ringing), (control(1), cancel), (control(0, wait=15), b"")),
        joined((control(0), busy), (control(0, "tcp"), b"")),
        joined((control(0), several), (control(0), star), (control(1), text), (control(0), carol)),
        joined((control(2), PARTS), (control(3, "tls"), text)),
    ]
    return [*found, *(joined((control(2), each)) for each in files("sip/*.sip", "sip/rfc4475/*") if len(each) < 2000)]


def readable(data: bytes) -> None:
    """What the directory sends on of a request, by whomever, can be read again, and has one more Via."""
    made, _, alice = _scenes().one()
    made.server.receive(data, alice.source, made.now)
    for message, _ in made.server.messages_to_send(made.now):
        if not message.startswith(b"SIP/"):
            assert parse_message(message).hops == parse_message(data, stream=False).hops + 1


def requests() -> Sequence[bytes]:
    return [piece for seed in seeds() for _, piece in pieces(seed)]


TARGETS = (Target("directory-sip", directory, seeds), Target("directory-copy", readable, requests))
