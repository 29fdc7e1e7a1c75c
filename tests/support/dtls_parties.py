"""The DTLS side of two calls over a network in virtual time, for its tests."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any, cast

from tests.support.dtls_lab import certificate
from voip import codecs
from voip.calls.dtls import CallDtls, DtlsIdentity, Listeners
from voip.media import AudioFormat, IceTerms, KeyAgreement, NegotiatedMedia, Security
from voip.net import MediaTransport
from voip.net.loop import EventLoop
from voip.srtp import MasterKey
from voip.srtp.association import AssociationTerms, Role

ALICE, BOB, NAT = ("192.0.2.1", 4000), ("192.0.2.2", 5000), ("203.0.113.5", 7777)


class World:
    """The loop and the network of both."""

    def __init__(self) -> None:
        self.time = 100.0
        self.participants: list[Any] = []
        self.ports: dict[tuple[str, int], Port] = {}
        self._posted: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._flight: list[tuple[float, int, bytes, tuple[str, int], tuple[str, int]]] = []
        self._count = itertools.count()

    def now(self) -> float:
        return self.time

    def add(self, participant: object) -> None:
        self.participants.append(participant)

    def remove(self, participant: object) -> None:
        self.participants = [each for each in self.participants if each is not participant]

    def post(self, function: Callable[..., object], *arguments: object) -> None:
        self._posted.append((function, arguments))

    def send(self, data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> None:
        heapq.heappush(self._flight, (self.time + 0.02, next(self._count), data, source, destination))

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while True:
            while self._posted:
                function, arguments = self._posted.pop(0)
                function(*arguments)
            due = [self._flight[0][0]] if self._flight else []
            due += [at for each in self.participants if (at := each.next_timer()) is not None]
            self.time = max(self.time, min([end, *due]))
            if self.time >= end:
                return
            while self._flight and self._flight[0][0] <= self.time:
                _, _, data, source, destination = heapq.heappop(self._flight)
                if destination in self.ports:
                    self.ports[destination].receive(data, source)
            for each in list(self.participants):
                at = each.next_timer()
                if at is not None and at <= self.time:
                    each.handle_timer(self.time)


class Port:
    """A media port, perhaps behind a NAT."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        self._world, self._address = world, address
        self.receive: Callable[[bytes, tuple[str, int]], None] = lambda data, source: None
        world.ports[address] = self

    def shake_hands(self, on_dtls: Callable[[bytes, tuple[str, int]], None]) -> None:
        self.receive = on_dtls

    def send_dtls(self, data: bytes, destination: tuple[str, int]) -> None:
        self._world.send(data, self._address, destination)


class Party:
    """One side of the call."""

    def __init__(self, world: World, name: str, role: Role, address: tuple[str, int], identity: DtlsIdentity) -> None:
        self.keys, self.strings, self.failures, self.closed = 0, list[str](), list[tuple[str, bool]](), 0
        self.role, self.port = role, Port(world, address)
        listeners = Listeners(
            self._on_keys, lambda *why: self.failures.append(why), self.strings.append, self._on_closed
        )
        self.dtls = CallDtls(identity, cast(EventLoop, world), random.Random(name), listeners)
        self.media: NegotiatedMedia | None = None
        self.known: set[tuple[MasterKey, MasterKey]] = set()
        """The keys that it has had: its own, and the peer's."""

    def _on_keys(self) -> None:
        self.keys += 1
        assert self.media is not None
        self.media = self.dtls.secured(self.media)
        self._note_keys()

    def _note_keys(self) -> None:
        if self.security.keys is not None:
            self.known.add((self.security.keys.local, self.security.keys.remote))

    def _on_closed(self) -> None:
        self.closed += 1

    def agree(
        self, peer: str, remote: tuple[str, int], tls_id: str = "x" * 22, ice: IceTerms | None = None
    ) -> Security:
        codec = codecs.find("PCMU", 8000, 1)
        assert codec is not None
        terms = AssociationTerms(self.role, (certificate(peer).fingerprint,), tls_id)
        security = Security(KeyAgreement.DTLS, association=terms)
        media = NegotiatedMedia(AudioFormat(codec), 0, remote, security=security, ice=ice)
        self.media = self.dtls.agree(media, cast(MediaTransport, self.port))
        self._note_keys()
        return self.security

    @property
    def security(self) -> Security:
        assert self.media is not None
        assert self.media.security is not None
        return self.media.security


def pair(alice: str | None = None, bob: str | None = None, *, at: tuple[str, int] = BOB) -> tuple[World, Party, Party]:
    """Alice waits, Bob begins; each with a password, or none."""
    world = World()
    one = Party(world, "alice", Role.SERVER, ALICE, DtlsIdentity(certificate("alice"), alice))
    other = Party(world, "bob", Role.CLIENT, at, DtlsIdentity(certificate("bob"), bob))
    return world, one, other


def begin(world: World, alice: Party, bob: Party) -> None:
    assert alice.agree("bob", BOB).keys is None
    assert bob.agree("alice", ALICE).keys is None
    world.run(1.0)
