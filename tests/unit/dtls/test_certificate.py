"""Our certificate, and the fingerprints of others (RFC 8122)."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from voip.errors import ProtocolError
from voip.net.certificate import make_certificate
from voip.srtp.association import Fingerprint, names


def test_a_certificate_is_self_signed_new_each_time_and_names_nobody() -> None:
    made, other = make_certificate(), make_certificate()
    found = x509.load_der_x509_certificate(made.der)
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert found.issuer == found.subject
    assert made.fingerprint != other.fingerprint
    assert made.key != other.key


def test_a_certificate_is_never_printed() -> None:
    made = make_certificate()
    assert repr(made) == "Certificate()"


def test_a_fingerprint_is_written_as_rfc_8122_has_it() -> None:
    text = str(Fingerprint.of(b"abc"))
    assert text == "sha-256 " + hashlib.sha256(b"abc").digest().hex(":").upper()
    assert Fingerprint.parse(text) == Fingerprint.of(b"abc")
    assert Fingerprint.parse(text.lower().replace("sha", "SHA")) == Fingerprint.of(b"abc")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-256",
        "sha-256 ",
        "sha-256 00:11",
        "md5 " + ":".join(["00"] * 16),
        "md2 " + ":".join(["00"] * 16),
        "sha-256 " + "00" * 32,
        "sha-256 " + ":".join(["0g"] * 32),
        "sha-256 " + ":".join(["00"] * 33),
        "sha-256 " + ":".join(["00"] * 31) + ":",
        "x" * 100_000,
    ],
)
def test_what_is_no_usable_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Fingerprint.parse(text)


def test_only_the_strongest_hash_function_counts() -> None:
    weak, strong = Fingerprint.of(b"a", "sha-1"), Fingerprint.of(b"b", "sha-512")
    assert names([weak, strong], b"b")
    assert not names([weak, strong], b"a")
    assert names([strong, Fingerprint.of(b"c", "sha-512")], b"c")
    assert not names([], b"a")
