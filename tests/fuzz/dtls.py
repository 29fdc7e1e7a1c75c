"""Fuzz targets of encrypted media: DTLS records on the media port, handshakes changed on their way, proofs, SRTP."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.target import Target, joined, pieces
from tests.support.dtls_lab import CLIENT, ELSEWHERE, DtlsLab, certificate, terms
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


def proof(data: bytes) -> None:
    """What comes inside an association before the password is proved, and what the short string is agreed on by."""
    role = Role.CLIENT if data[:1] < b"\x80" else Role.SERVER
    sides: list[Proof] = [
        PasswordProof("correct horse", role, CHANNEL, random.Random(1)),
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
    Target("dtls-handshake", handshake, handshake_seeds, 2000),
    Target("dtls-proof", proof, proof_seeds, 1200),
    Target("srtp", protection, protection_seeds, 1500),
)
