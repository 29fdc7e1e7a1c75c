"""Two DTLS endpoints and the network between them, in virtual time: loss, doubling and order by a seed."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from functools import lru_cache

from voip.dtls.certificate import Certificate
from voip.dtls.endpoint import Closed, Connected, Endpoint, Event, Failed
from voip.net.certificate import make_certificate
from voip.srtp.association import AssociationTerms, Fingerprint, Role

CLIENT, SERVER = ("192.0.2.1", 4000), ("192.0.2.2", 5000)
ELSEWHERE = ("198.51.100.9", 6000)


@lru_cache(maxsize=8)
def certificate(name: str) -> Certificate:
    """A certificate of this side, made once."""
    assert name
    return make_certificate()


def terms(role: Role, peer: str, tls_id: str | None = None) -> AssociationTerms:
    """What a side of this role is told of the peer of that name."""
    return AssociationTerms(role, (certificate(peer).fingerprint,), tls_id)


class Side:
    """An endpoint at an address, and what has come of it."""

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.address = address
        self.endpoint = Endpoint(certificate(name), name.encode() * 8)
        self.events: list[Event] = []
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    @property
    def connected(self) -> Connected:
        """The newest keys."""
        return [event for event in self.events if isinstance(event, Connected)][-1]

    @property
    def failures(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Failed)]

    @property
    def closed(self) -> bool:
        return any(isinstance(event, Closed) for event in self.events)


class DtlsLab:
    """A client and a server, `delay` seconds apart; `lost` says of each datagram whether it is."""

    def __init__(
        self,
        *,
        seed: int = 0,
        delay: float = 0.02,
        jitter: float = 0.0,
        loss: float = 0.0,
        doubled: float = 0.0,
        lost: Callable[[int], bool] = lambda index: False,
    ) -> None:
        self.now = 0.0
        self.client, self.server = Side("client", CLIENT), Side("server", SERVER)
        self.sides = {side.address: side for side in (self.client, self.server)}
        self._rng = random.Random(seed)
        self._delay, self._jitter, self._loss, self._doubled, self._lost = delay, jitter, loss, doubled, lost
        self._in_flight: list[tuple[float, int, bytes, tuple[str, int], tuple[str, int]]] = []
        self._count = itertools.count()

    def agree(self, *, client_expects: str = "server", server_expects: str = "client") -> None:
        """Both sides have offer and answer."""
        self.server.endpoint.agree(terms(Role.SERVER, server_expects), CLIENT, self.now)
        self.client.endpoint.agree(terms(Role.CLIENT, client_expects), SERVER, self.now)
        self.pump()

    def pump(self) -> None:
        """Put on the wire what both sides have to send, and note what they tell."""
        for side in self.sides.values():
            for data, remote in side.endpoint.datagrams_to_send():
                side.sent.append((data, remote))
                self.send(data, side.address, remote)
            side.events += side.endpoint.take_events()

    def send(self, data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> None:
        """A datagram enters the network."""
        index = next(self._count)
        copies = 1 + (self._rng.random() < self._doubled)
        for _ in range(copies):
            late = self._delay + self._rng.random() * self._jitter
            if self._rng.random() >= self._loss and not self._lost(index):
                heapq.heappush(self._in_flight, (self.now + late, next(self._count), data, source, destination))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            due = self._in_flight[0][0] if self._in_flight else end
            timers = [side.endpoint.next_timer() for side in self.sides.values()]
            due = min([due, end, *(at for at in timers if at is not None)])
            self.now = max(self.now, due)
            if self.now >= end:
                return
            while self._in_flight and self._in_flight[0][0] <= self.now:
                _, _, data, source, destination = heapq.heappop(self._in_flight)
                if destination in self.sides:
                    self.sides[destination].endpoint.receive(data, source, self.now)
            for side in self.sides.values():
                due_at = side.endpoint.next_timer()
                if due_at is not None and due_at <= self.now:
                    side.endpoint.handle_timer(self.now)
            self.pump()


__all__ = ["CLIENT", "ELSEWHERE", "SERVER", "DtlsLab", "Fingerprint", "Side", "certificate", "terms"]
