"""DTLS-SRTP without a socket: handshakes in both roles, over a bad network, and with the wrong peer."""

from __future__ import annotations

import random
import struct

import pytest

from tests.support.dtls_lab import CLIENT, ELSEWHERE, SERVER, DtlsLab, Side, certificate, terms
from voip.dtls.association import MTU
from voip.dtls.endpoint import HANDSHAKE_TIMEOUT, MAX_ATTEMPTS, WRONG_CERTIFICATE
from voip.srtp import OFFERED
from voip.srtp.association import AssociationTerms, Fingerprint, Role


def test_both_sides_get_each_others_keys() -> None:
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    ours, theirs = lab.client.connected.keys, lab.server.connected.keys
    assert ours.profile is theirs.profile is OFFERED[0]
    assert (ours.local, ours.remote) == (theirs.remote, theirs.local)
    assert ours.local != ours.remote
    assert lab.client.connected.remote == SERVER
    assert lab.server.connected.remote == CLIENT
    assert lab.client.connected.channel == lab.server.connected.channel
    assert (lab.client.connected.role, lab.server.connected.role) == (Role.CLIENT, Role.SERVER)


def test_a_handshake_takes_three_round_trips() -> None:
    """One of them asks for the cookie."""
    lab = DtlsLab(delay=0.02)
    lab.agree()
    lab.run(0.101)
    assert lab.server.endpoint.established
    lab.run(0.02)
    assert lab.client.endpoint.established


@pytest.mark.parametrize("seed", range(60))
def test_a_handshake_survives_loss_doubling_and_disorder(seed: int) -> None:
    lab = DtlsLab(seed=seed, delay=0.02, jitter=0.04, loss=0.2, doubled=0.1)
    lab.agree()
    lab.run(HANDSHAKE_TIMEOUT)
    assert lab.client.connected.keys.local == lab.server.connected.keys.remote


class ChangingLab(DtlsLab):
    """What the server sends has one string in place of another."""

    def __init__(self, old: bytes, new: bytes) -> None:
        super().__init__()
        self._old, self._new = old, new
        self.changed = 0

    def send(self, data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> None:
        if source == SERVER:
            self.changed += self._old in data
            data = data.replace(self._old, self._new)
        super().send(data, source, destination)


@pytest.mark.parametrize("version", [0, 1, 3, 10, 127])
def test_a_certificate_of_an_unknown_version_is_the_wrong_one(version: int) -> None:
    """Found by fuzzing: `cryptography` has an error of its own for it, which is no ValueError."""
    lab = ChangingLab(bytes.fromhex("a0030201 02"), bytes.fromhex("a0030201") + bytes([version]))
    lab.agree()
    lab.run(HANDSHAKE_TIMEOUT + 1.0)
    assert lab.changed
    assert lab.client.failures == [WRONG_CERTIFICATE]


@pytest.mark.parametrize("index", range(7))
def test_the_loss_of_any_one_datagram_costs_a_quarter_of_a_second(index: int) -> None:
    lab = DtlsLab(delay=0.02, lost=lambda each: each == 2 * index)
    lab.agree()
    lab.run(0.4)
    assert lab.client.connected.keys.local == lab.server.connected.keys.remote


def test_a_client_hello_before_the_answer_is_taken() -> None:
    """RFC 5763 section 6.2: the handshake may be done before the answer comes, and keys wait for it."""
    lab = DtlsLab()
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, lab.now)
    lab.pump()
    lab.run(1.0)
    assert lab.client.connected
    assert not lab.server.events
    lab.server.endpoint.agree(terms(Role.SERVER, "client"), CLIENT, lab.now)
    lab.pump()
    assert lab.server.connected.keys.local == lab.client.connected.keys.remote


def test_an_early_handshake_of_the_wrong_peer_brings_no_keys() -> None:
    lab = DtlsLab()
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, lab.now)
    lab.pump()
    lab.run(1.0)
    lab.server.endpoint.agree(terms(Role.SERVER, "mallory"), CLIENT, lab.now)
    lab.pump()
    assert lab.server.failures == [WRONG_CERTIFICATE]
    assert not lab.server.endpoint.established


@pytest.mark.parametrize(("client_expects", "server_expects"), [("mallory", "client"), ("server", "mallory")])
def test_the_wrong_certificate_brings_no_keys(client_expects: str, server_expects: str) -> None:
    lab = DtlsLab()
    lab.agree(client_expects=client_expects, server_expects=server_expects)
    lab.run(HANDSHAKE_TIMEOUT + 1.0)
    deceived, other = (lab.client, lab.server) if client_expects == "mallory" else (lab.server, lab.client)
    assert deceived.failures == [WRONG_CERTIFICATE]
    assert not deceived.endpoint.established
    assert other.failures
    assert not other.endpoint.established


def test_a_certificate_must_match_the_strongest_hash_function_named() -> None:
    """RFC 8122 section 5: a weaker one that matches does not help."""
    right, der = Fingerprint.of(certificate("client").der, "sha-1"), certificate("client").der
    for fingerprints, good in (
        ((right,), True),
        ((Fingerprint.of(der, "sha-512"), Fingerprint("sha-1", b"\0" * 20)), True),
        ((right, Fingerprint("sha-256", b"\0" * 32)), False),
        ((Fingerprint("sha-256", b"\0" * 32), Fingerprint.of(der)), True),
    ):
        lab = DtlsLab()
        lab.server.endpoint.agree(AssociationTerms(Role.SERVER, fingerprints), CLIENT, 0.0)
        lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, 0.0)
        lab.pump()
        lab.run(2.0)
        assert lab.server.endpoint.established is good


def test_no_response_ends_in_a_clear_line() -> None:
    lab = DtlsLab(loss=1.0)
    lab.agree()
    lab.run(HANDSHAKE_TIMEOUT + 0.1)
    assert lab.client.failures == lab.server.failures == [f"no DTLS handshake within {HANDSHAKE_TIMEOUT:g} s"]


def test_the_same_terms_keep_the_association_and_others_begin_a_new_one() -> None:
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    lab.agree()
    lab.run(1.0)
    assert len(lab.client.events) == len(lab.server.events) == 1
    first = lab.client.connected.keys
    lab.server.endpoint.agree(terms(Role.SERVER, "client", "another"), CLIENT, lab.now)
    lab.client.endpoint.agree(terms(Role.CLIENT, "server", "another"), SERVER, lab.now)
    lab.pump()
    lab.run(1.0)
    assert lab.client.connected.keys != first
    assert lab.client.connected.keys.local == lab.server.connected.keys.remote


def test_close_notify_is_told() -> None:
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    lab.client.endpoint.close()
    lab.pump()
    lab.run(1.0)
    assert lab.server.closed
    assert lab.client.endpoint.next_timer() is None


# --- strangers --------------------------------------------------------------------------------------------------------


def test_an_address_without_a_cookie_gets_less_than_it_sends() -> None:
    lab = DtlsLab()
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, 0.0)
    hello = lab.client.endpoint.datagrams_to_send()[0][0]
    server = lab.server.endpoint
    for _ in range(1000):
        server.receive(hello, ELSEWHERE, 0.0)
        answers = server.datagrams_to_send()
        assert sum(len(data) for data, _ in answers) < len(hello) / 2
        assert {remote for _, remote in answers} == {ELSEWHERE}
    assert server.next_timer() is None, "nothing is kept of it"


def test_a_cookie_is_for_its_address_alone() -> None:
    lab = DtlsLab()
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, 0.0)
    server, client = lab.server.endpoint, lab.client.endpoint
    server.receive(client.datagrams_to_send()[0][0], ELSEWHERE, 0.0)
    client.receive(server.datagrams_to_send()[0][0], SERVER, 0.0)
    returned = client.datagrams_to_send()[0][0]
    server.receive(returned, CLIENT, 0.0)
    assert [len(data) < 100 for data, _ in server.datagrams_to_send()] == [True], "another cookie at most"
    server.receive(returned, ELSEWHERE, 0.0)
    assert sum(len(data) for data, _ in server.datagrams_to_send()) > len(returned), "the server's flight"


def test_all_copies_of_a_client_hello_are_less_than_a_description() -> None:
    """It goes to an address that the peer's SDP names, which has not proved itself."""
    lab = DtlsLab(loss=1.0)
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, 0.0)
    lab.pump()
    lab.run(HANDSHAKE_TIMEOUT + 1.0)
    library = 3  # after 1, 3 and 7 s by its own clock, which does not run here
    size = len(lab.client.sent[0][0])
    assert sum(len(data) for data, _ in lab.client.sent) + library * size < 1400


def test_a_stranger_with_a_certificate_of_its_own_does_not_end_the_call() -> None:
    lab = DtlsLab()
    stranger = lab.sides[ELSEWHERE] = Side("mallory", ELSEWHERE)
    lab.server.endpoint.agree(terms(Role.SERVER, "client"), CLIENT, 0.0)
    for attempt in range(MAX_ATTEMPTS + 3):
        stranger.endpoint.agree(terms(Role.CLIENT, "server", str(attempt)), SERVER, lab.now)
        lab.pump()
        lab.run(0.5)
    assert not lab.server.events
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, lab.now)
    lab.pump()
    lab.run(1.0)
    assert lab.server.connected.remote == CLIENT
    assert lab.client.connected


def test_a_peer_behind_a_nat_is_known_by_its_certificate() -> None:
    lab = DtlsLab()
    lab.server.endpoint.agree(terms(Role.SERVER, "client"), ("10.0.0.7", 4000), 0.0)
    lab.client.endpoint.agree(terms(Role.CLIENT, "server"), SERVER, 0.0)
    lab.pump()
    lab.run(1.0)
    assert lab.server.connected.remote == CLIENT


def test_a_forged_alert_ends_nothing() -> None:
    lab = DtlsLab()
    lab.agree()
    alert = struct.pack("!BHHIHH2B", 21, 0xFEFD, 0, 0, 77, 2, 2, 40)
    for step in range(30):
        lab.run(0.01)
        lab.send(alert, SERVER, CLIENT)
        lab.send(alert, CLIENT, SERVER)
        assert step < 20 or lab.client.connected
    assert lab.client.connected.keys.local == lab.server.connected.keys.remote


def test_no_datagram_is_longer_than_the_mtu() -> None:
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    assert max(len(data) for side in (lab.client, lab.server) for data, _ in side.sent) <= MTU


# --- hostile bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_mutated_handshakes_raise_nothing(seed: int) -> None:
    """Each datagram may have its bits turned, be cut, or be joined with the one before."""
    rng = random.Random(seed)
    lab = DtlsLab(seed=seed, delay=0.02, jitter=0.02)
    send, last = lab.send, [b""]

    def mutate(data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> None:
        changed = bytearray(data)
        for _ in range(rng.choice((0, 1, 1, 2, 8))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        if rng.random() < 0.1:
            changed = changed[: rng.randrange(len(changed) + 1)]
        if rng.random() < 0.2:
            changed = bytearray(last[0]) + changed
        last[0] = data
        send(bytes(changed), source, destination)
        if rng.random() < 0.5:
            send(data, source, destination)

    lab.send = mutate  # type: ignore[method-assign]
    lab.agree()
    lab.run(HANDSHAKE_TIMEOUT + 1.0)
    for side in (lab.client, lab.server):
        assert side.events, "keys, or a clear line"
