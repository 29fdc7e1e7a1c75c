"""Handshakes of DTLS-SRTP with `openssl s_client` and `s_server`: the same profile, and the same keys."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.certificates import make_certificates
from tests.support.dtls_lab import certificate
from tests.support.peers import require
from tests.support.processes import LOOPBACK, PATIENCE
from voip.dtls.endpoint import Connected, Endpoint, Event, Failed
from voip.srtp import Profile
from voip.srtp.association import AssociationTerms, Fingerprint, Role

pytestmark = pytest.mark.interop

NAMES = {
    Profile.AES_CM_128_HMAC_SHA1_80: "SRTP_AES128_CM_SHA1_80",
    Profile.AEAD_AES_128_GCM: "SRTP_AEAD_AES_128_GCM",
    Profile.AEAD_AES_256_GCM: "SRTP_AEAD_AES_256_GCM",
}


class Openssl:
    """One of the programs of openssl, which prints the keys that it makes."""

    def __init__(self, arguments: Sequence[str], profile: Profile, folder: Path) -> None:
        made = make_certificates(folder)
        own, key = made.certificate, made.key
        self.der = subprocess.run(
            ["openssl", "x509", "-in", str(own), "-outform", "DER"], check=True, capture_output=True
        ).stdout
        self._profile = profile
        self._log = folder / "openssl.txt"
        length = 2 * (profile.key_length + profile.salt_length)
        command = ["openssl", *arguments, "-dtls1_2", "-use_srtp", NAMES[profile], "-cert", str(own), "-key", str(key)]
        command += ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", str(length)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    def exported(self) -> bytes:
        """The keys of both sides as it has them."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(rb"Keying material: ([0-9A-F]+)", self._log.read_bytes())):
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")
            time.sleep(0.02)
        return bytes.fromhex(found[1].decode())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


class OwnSide:
    """An endpoint on a socket."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(certificate("own"), b"secret")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.settimeout(0.02)
        self.port = self.socket.getsockname()[1]
        self.events: list[Event] = []

    def run(self) -> Event:
        """Until something has come of it."""
        deadline = time.monotonic() + PATIENCE
        while not self.events:
            assert time.monotonic() < deadline, "no handshake"
            self._turn()
        return self.events[0]

    def _turn(self) -> None:
        try:
            data, source = self.socket.recvfrom(65536)
            self.endpoint.receive(data, source, time.monotonic())
        except (TimeoutError, ConnectionRefusedError):
            pass
        due = self.endpoint.next_timer()
        if due is not None and due <= time.monotonic():
            self.endpoint.handle_timer(time.monotonic())
        for data, remote in self.endpoint.datagrams_to_send():
            self.socket.sendto(data, remote)
        self.events += self.endpoint.take_events()


def assert_same_keys(connected: Event, exported: bytes, profile: Profile) -> None:
    assert isinstance(connected, Connected), connected
    key, salt = profile.key_length, profile.salt_length
    client = exported[:key] + exported[2 * key : 2 * key + salt]
    server = exported[key : 2 * key] + exported[2 * key + salt :]
    ours = connected.keys.local.key + connected.keys.local.salt
    theirs = connected.keys.remote.key + connected.keys.remote.salt
    assert connected.keys.profile is profile
    assert (ours, theirs) == ((client, server) if connected.role is Role.CLIENT else (server, client))


@pytest.mark.parametrize("profile", Profile)
def test_s_client_calls(profile: Profile, tmp_path: Path) -> None:
    require("openssl")
    own = OwnSide()
    peer = Openssl(["s_client", "-connect", f"{LOOPBACK}:{own.port}"], profile, tmp_path)
    try:
        terms = AssociationTerms(Role.SERVER, (Fingerprint.of(peer.der),))
        own.endpoint.agree(terms, (LOOPBACK, 9), time.monotonic())
        assert_same_keys(own.run(), peer.exported(), profile)
    finally:
        peer.close()
        own.socket.close()


@pytest.mark.parametrize("profile", Profile)
def test_s_server_is_called(profile: Profile, tmp_path: Path) -> None:
    require("openssl")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    own = OwnSide()
    peer = Openssl(["s_server", "-port", str(port), "-verify", "1"], profile, tmp_path)
    try:
        terms = AssociationTerms(Role.CLIENT, (Fingerprint.of(peer.der, "sha-512"),))
        own.endpoint.agree(terms, (LOOPBACK, port), time.monotonic())
        assert_same_keys(own.run(), peer.exported(), profile)
    finally:
        peer.close()
        own.socket.close()


def test_s_server_with_another_certificate_brings_no_keys(tmp_path: Path) -> None:
    require("openssl")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    own = OwnSide()
    peer = Openssl(["s_server", "-port", str(port), "-verify", "1"], Profile.AEAD_AES_128_GCM, tmp_path)
    try:
        terms = AssociationTerms(Role.CLIENT, (Fingerprint.of(b"another"),))
        own.endpoint.agree(terms, (LOOPBACK, port), time.monotonic())
        assert isinstance(own.run(), Failed)
        assert not own.endpoint.established
    finally:
        peer.close()
        own.socket.close()
