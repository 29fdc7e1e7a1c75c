"""One SIP transaction, its timers and what it sends, in virtual time."""

from __future__ import annotations

from typing import cast

from tests.support.sip_lab import OFFER
from voip.sip.address import Address
from voip.sip.message import Headers, Request, Response, parse_message
from voip.sip.transaction import (
    ClientTransaction,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    Wire,
)

PEER = Address("udp", "10.0.0.9", 5099)


def request(method: str, *, via: str = "SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKone", number: int = 1) -> Request:
    headers = Headers([("Via", via), ("Max-Forwards", "70"), ("Route", "<sip:proxy.example;lr>")])
    for name, value in [
        ("From", "<sip:a@10.0.0.1>;tag=a"),
        ("To", "<sip:b@10.0.0.9>"),
        ("Call-ID", "c"),
        ("CSeq", f"{number} {method}"),
    ]:
        headers.add(name, value)
    made = parse_message(Request(method, "sip:b@10.0.0.9", headers, OFFER).serialize())
    return cast(Request, made)


class Owner:
    """Writes down what a client transaction tells."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.gave_up: list[float] = []

    def on_response(self, transaction: ClientTransaction, response: Response, source: Address, now: float) -> None:
        self.heard.append(response.status)

    def on_no_response(self, transaction: ClientTransaction, now: float) -> None:
        self.gave_up.append(now)


class Bench:
    """One transaction and its time, that starts at 0."""

    def __init__(self) -> None:
        self.wire, self.owner, self.now = Wire(), Owner(), 0.0
        self.sent: list[tuple[float, bytes]] = []

    def client(self, method: str) -> ClientTransaction:
        kind = InviteClient if method == "INVITE" else NonInviteClient
        transaction = kind(self.wire, request(method), PEER, self.owner)
        transaction.start(0.0)
        self.collect()
        return transaction

    def collect(self) -> None:
        assert all(destination == PEER for _, destination in self.wire.outbox)
        self.sent += [(self.now, data) for data, _ in self.wire.outbox]
        self.wire.outbox.clear()

    def run(self, until: float) -> None:
        while (due := self.wire.timers.next()) is not None and due <= until:
            self.now = due
            self.wire.timers.run(due)
            self.collect()
        self.now = until

    def answer(self, transaction: ClientTransaction, status: int) -> None:
        transaction.receive(transaction.request.response(status, None, "b"), PEER, self.now)
        self.collect()

    def respond(self, transaction: InviteServer | NonInviteServer, status: int) -> None:
        transaction.respond(transaction.request.response(status, None, "b"), self.now)
        self.collect()

    def times(self, start: bytes = b"") -> list[float]:
        return [time for time, data in self.sent if data.startswith(start)]
