"""Fuzz targets of encrypted media: DTLS records on the media port, handshakes changed on their way, proofs, SRTP."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from tests.fuzz.copies import Copies
from tests.fuzz.target import Target, joined, pieces
from tests.support.dtls_lab import CLIENT, ELSEWHERE, DtlsLab, certificate, terms
from tests.support.dtls_parties import ALICE, BOB, NAT, Party, World, pair
from tests.support.session_lab import SENDER_REPORT, packet
from voip.dtls.endpoint import HANDSHAKE_TIMEOUT, Endpoint
from voip.dtls.proof import PasswordProof, Proof, ShortString, State
from voip.media import KeyAgreement, Security
from voip.session.protection import Protection
from voip.srtp import MasterKey, Profile, SrtpKeys
from voip.srtp.association import Role
from voip.srtp.context import Protector

Addressed = tuple[str, int]
ROLES = (Role.SERVER, Role.CLIENT, None)
CHANNEL = bytes(96)
MOST_CHANGES = 16
"""Changes of one handshake that are made: it has some 12 datagrams."""


def records(data: bytes) -> None:
    """Datagrams that begin as DTLS does, from the peer and from elsewhere, without a handshake before them."""
    role, now = ROLES[(data[0] if data else 0) % len(ROLES)], 0.0
    endpoint = Endpoint(certificate("server"), b"secret")
    if role is not None:
        endpoint.agree(terms(role, "client"), CLIENT, now)
    for control, piece in pieces(data[1:]):
        now += (control >> 1) / 100.0
        endpoint.handle_timer(now)
        endpoint.datagrams_to_send()
        endpoint.receive(piece, CLIENT if control & 1 else ELSEWHERE, now)
        there = sum(len(sent) for sent, remote in endpoint.datagrams_to_send() if remote == ELSEWHERE)
        assert there <= len(piece)
    assert not endpoint.established
    endpoint.close()


def _flights() -> Sequence[tuple[bytes, Addressed]]:
    """What both sides send in a handshake that nobody disturbs."""
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    return [*lab.client.sent, *lab.server.sent]


def record_seeds() -> Sequence[bytes]:
    sent = [datagram for datagram, _ in _flights()]
    return [bytes([role]) + joined(*((1, each) for each in sent)) for role in range(len(ROLES))] + [
        bytes([role]) + joined((0, each), (1, each)) for role in range(len(ROLES)) for each in sent[:4]
    ]


def handshake(plan: bytes) -> None:
    """A handshake whose datagrams are changed on their way: the first by the first piece, and so on. Nobody has keys
    that the other side has not."""
    lab, changes = DtlsLab(), list(pieces(plan))[:MOST_CHANGES]
    send = lab.send

    def meddle(data: bytes, source: Addressed, destination: Addressed) -> None:
        control, change = changes.pop(0) if changes else (0, b"")
        if not control & 2:
            send(_changed(data, change, control >> 3) if control & 1 else data, source, destination)
        if control & 4:
            send(change, source, destination)

    lab.send = meddle  # type: ignore[method-assign]
    lab.agree()
    lab.run(HANDSHAKE_TIMEOUT + 1.0)
    assert all(side.events for side in (lab.client, lab.server)), "keys, or a clear line"
    if lab.client.endpoint.established and lab.server.endpoint.established:
        assert lab.client.connected.keys.local == lab.server.connected.keys.remote


def _changed(datagram: bytes, change: bytes, place: int) -> bytes:
    """With these bits turned from there on."""
    changed = bytearray(datagram)
    for at, mask in enumerate(change[: max(0, len(datagram) - place)], place):
        changed[at] ^= mask
    return bytes(changed)


def handshake_seeds() -> Sequence[bytes]:
    sent = [datagram for datagram, _ in _flights()]
    return [
        joined(*((0, b"") for _ in range(12))),
        joined(*((4, each) for each in sent[:6])),
        joined((0, b""), (0, b""), (1 | 25 << 3, b"\1"), (2, b""), (1, b"\0\0\0\1")),
    ]


WORDS = ((None, None),) * 6 + (("correct horse",) * 2, ("correct horse", "battery staple"))
"""The passwords of both sides, by the first octet of an input; their proof takes ten times as long as the rest."""
REMOTES = (BOB, NAT, ("0.0.0.0", 5000), ("192.0.2.2", 0))
STEP = 0.05
"""Seconds of a unit of time."""
WAITS, TO_ALICE, TO_BOB, ON_THE_WAY, ALICE_AGREES, BOB_AGREES, AIMS, CLOSES = range(8)


def call_dtls(data: bytes) -> None:
    """The DTLS side of both calls: forged and changed datagrams, descriptions that come anew, other addresses, and the
    end of either. No side has keys that the other has not had; with another password there are none."""
    words = WORDS[(data[0] if data else 0) % len(WORDS)]
    world, alice, bob = pair(*words)
    send, changes = world.send, list[bytes]()

    def meddle(data: bytes, source: Addressed, destination: Addressed) -> None:
        change = changes.pop(0) if changes else b"\0"
        if change:
            send(_changed(data, change[1:], change[0]), source, destination)

    world.send = meddle  # type: ignore[method-assign]
    alice.agree("bob", BOB)
    bob.agree("alice", ALICE)
    for control, piece in list(pieces(data[1:]))[:MOST_CHANGES]:
        _take_step(control & 7, control >> 3, piece, changes, (world, alice, bob))
    world.run(HANDSHAKE_TIMEOUT + 1.0)
    _check_both(alice, bob, differ=len(set(words)) > 1)
    for side in (alice, bob):
        side.dtls.close()
    world.run(1.0)
    assert not world.participants


def _take_step(kind: int, number: int, piece: bytes, changes: list[bytes], scene: tuple[World, Party, Party]) -> None:
    world, alice, bob = scene
    if kind == WAITS:
        world.run(number * STEP)
    elif kind == TO_ALICE:
        alice.port.receive(piece, NAT if number & 1 else BOB)
    elif kind == TO_BOB:
        bob.port.receive(piece, NAT if number & 1 else ALICE)
    elif kind == ON_THE_WAY:
        changes.append(piece)
    elif kind == ALICE_AGREES:
        alice.agree("mallory" if number & 4 else "bob", REMOTES[number & 3], _tls_id(piece))
    elif kind == BOB_AGREES:
        bob.agree("alice", ALICE, _tls_id(piece))
    elif kind == AIMS:
        (alice if number & 4 else bob).dtls.aim(REMOTES[number & 1])
    else:
        (alice if number & 1 else bob).dtls.close()


def _tls_id(piece: bytes) -> str:
    return piece.hex() or "x" * 22


def _check_both(alice: Party, bob: Party, *, differ: bool) -> None:
    turned = {(theirs, ours) for ours, theirs in bob.known}
    assert not alice.known or not turned or alice.known & turned, "keys that the other side has not"
    assert not differ or not (alice.known or bob.known), "keys with another password"
    for side in (alice, bob):
        assert side.known or side.failures or side.closed or not side.keys
        assert all(reason for reason, _ in side.failures)
    assert not set(alice.strings).symmetric_difference(bob.strings) or not (alice.strings and bob.strings)


def call_dtls_seeds() -> Sequence[bytes]:
    sent = [datagram for datagram, _ in _flights()]
    plans = [
        b"",
        joined((WAITS | 8 << 3, b""), (ALICE_AGREES, b"again"), (BOB_AGREES, b"again")),
        joined((WAITS | 8 << 3, b""), (ALICE_AGREES | 2 << 3, b""), (ALICE_AGREES, b""), (CLOSES, b"")),
        joined((ON_THE_WAY, b"\0"), (ON_THE_WAY, b""), (ON_THE_WAY, b"\x20\1"), (ON_THE_WAY, b"")),
        joined(*((TO_ALICE | index << 3, each) for index, each in enumerate(sent[:3]))),
        joined((AIMS | 1 << 3, b""), (ALICE_AGREES | 4 << 3, b"else"), (WAITS | 30 << 3, b""), (ALICE_AGREES, b"")),
        joined(*((TO_BOB, each) for each in sent[3:6]), (CLOSES | 1 << 3, b"")),
    ]
    return [bytes([words]) + plan for words in (0, 6, 7) for plan in plans]


@cache
def _password_proofs(role: Role) -> Copies[PasswordProof]:
    return Copies(PasswordProof("correct horse", role, CHANNEL, random.Random(1)))


def proof(data: bytes) -> None:
    """What comes inside an association before the password is proved, and what the short string is agreed on by."""
    role = Role.CLIENT if data[:1] < b"\x80" else Role.SERVER
    sides: list[Proof] = [
        _password_proofs(role).one(),  # its first element takes longer to work out than all that comes after
        ShortString(role, CHANNEL, random.Random(1)),
    ]
    for side in sides:
        now = 0.0
        side.begin(now)
        for control, piece in list(pieces(data[1:]))[:MOST_CHANGES]:
            now += control / 100.0
            side.handle_timer(now)
            side.receive(piece)
            side.messages_to_send()
    assert sides[0].state is not State.PROVED


def proof_seeds() -> Sequence[bytes]:
    seeds = []
    for client, server in (
        (
            PasswordProof("another", Role.CLIENT, CHANNEL, random.Random(2)),
            PasswordProof("another", Role.SERVER, CHANNEL, random.Random(3)),
        ),
        (
            ShortString(Role.CLIENT, CHANNEL, random.Random(2)),
            ShortString(Role.SERVER, CHANNEL, random.Random(3)),
        ),
    ):
        said: dict[Role, list[bytes]] = {Role.CLIENT: [], Role.SERVER: []}
        sides: tuple[Proof, Proof] = (client, server)
        for side in sides:
            side.begin(0.0)
        for _ in range(3):
            for role, side, other in ((Role.CLIENT, sides[0], sides[1]), (Role.SERVER, sides[1], sides[0])):
                for message in side.messages_to_send():
                    said[role].append(message)
                    other.receive(message)
        seeds += [b"\xff" + joined(*((1, each) for each in said[Role.CLIENT]))]
        seeds += [b"\x00" + joined(*((1, each) for each in said[Role.SERVER]))]
    return seeds


def protection(data: bytes) -> None:
    """Datagrams at a port with keys, of the peer, changed or not, and of others: what was changed is never opened."""
    profile = tuple(Profile)[(data[0] if data else 0) % len(Profile)]
    ours, theirs = (
        MasterKey(bytes([number]) * profile.key_length, bytes([number]) * profile.salt_length) for number in (1, 2)
    )
    here = Protection(Security(KeyAgreement.SDES, SrtpKeys(profile, ours, theirs)))
    peer = Protector(profile, theirs)
    for number, (control, piece) in enumerate(pieces(data[1:])):
        opened = here.open_rtcp if control & 1 else here.open_rtp
        if not control & 2:
            assert opened(piece) is None
            continue
        sent = peer.rtcp(SENDER_REPORT) if control & 1 else peer.rtp(packet(number).serialize())
        changed = _changed(sent, piece, control >> 2)
        assert (opened(changed) is not None) == (changed == sent)


def protection_seeds() -> Sequence[bytes]:
    plain = packet(3).serialize()
    return [
        bytes([profile]) + joined((2, b""), (3, b""), (2, b"\1"), (3 | 8 << 2, b"\x80"), (0, plain), (1, SENDER_REPORT))
        for profile in range(len(Profile))
    ]


TARGETS = (
    Target("dtls", records, record_seeds),
    Target("dtls-handshake", handshake, handshake_seeds, 2000, kept=30),
    Target("call-dtls", call_dtls, call_dtls_seeds, 1500, kept=30),
    Target("dtls-proof", proof, proof_seeds, 1200),
    Target("srtp", protection, protection_seeds, 1500),
)
