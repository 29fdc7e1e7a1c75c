"""What two sides say of each other's DTLS association before its handshake (RFC 5763, RFC 8122 section 5, RFC 8842)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from voip.errors import ProtocolError

ALGORITHMS = ("sha-512", "sha-384", "sha-256", "sha-224", "sha-1")
"""Hash functions of fingerprints, the strongest first; MD5 and MD2 must not be used (RFC 8122 section 5.1)."""
OWN_ALGORITHM = "sha-256"
"""The hash function that our own fingerprint is made by (RFC 8122 section 5)."""
_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{1,16}) +((?:[0-9A-Fa-f]{2}:){0,127}[0-9A-Fa-f]{2})")


class Role(str, Enum):
    """Which side of a handshake one is (RFC 5763 section 5: the active side is the client)."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True)
class Fingerprint:
    """The hash of a certificate, by which a description names the certificate of its side."""

    algorithm: str
    digest: bytes

    @staticmethod
    def parse(text: str) -> Fingerprint:
        """Reads the value of a=fingerprint; ProtocolError if it cannot be read, or its hash function not be used."""
        match = _FINGERPRINT.fullmatch(text.strip())
        if match is None:
            raise ProtocolError("a=fingerprint that cannot be read")
        algorithm, digest = match[1].lower(), bytes.fromhex(match[2].replace(":", ""))
        if algorithm not in ALGORITHMS:
            raise ProtocolError(f"a=fingerprint of {algorithm}, which is not supported")
        if len(digest) != _hash(algorithm).digest_size:
            raise ProtocolError(f"a=fingerprint of {algorithm} with {len(digest)} bytes")
        return Fingerprint(algorithm, digest)

    @staticmethod
    def of(certificate: bytes, algorithm: str = OWN_ALGORITHM) -> Fingerprint:
        """The fingerprint of a certificate in DER."""
        return Fingerprint(algorithm, _hash(algorithm, certificate).digest())

    def __str__(self) -> str:
        """The value of a=fingerprint."""
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


def names(fingerprints: Iterable[Fingerprint], certificate: bytes) -> bool:
    """Whether one of these is the fingerprint of a certificate in DER.

    Of several hash functions only the strongest counts (RFC 8122 section 5).
    """
    known = tuple(fingerprints)
    for algorithm in ALGORITHMS:
        digests = [each.digest for each in known if each.algorithm == algorithm]
        if digests:
            own = Fingerprint.of(certificate, algorithm).digest
            return any(hmac.compare_digest(own, digest) for digest in digests)
    return False


@dataclass(frozen=True)
class AssociationTerms:
    """What offer and answer have agreed on: our role, and what the peer's certificate must be.

    tls_id is the peer's; without one, transport is its media address, unless that is unknown (hold). number is that of
    the association in its call.
    """

    role: Role
    fingerprints: tuple[Fingerprint, ...]
    tls_id: str | None = None
    transport: tuple[str, int] | None = None
    number: int = 0

    def continues(self, terms: AssociationTerms) -> bool:
        """Whether these later terms keep the association (RFC 8842 section 3.2, and section 4 without a=tls-id)."""
        if (self.role, {*self.fingerprints}, self.tls_id) != (terms.role, {*terms.fingerprints}, terms.tls_id):
            return False
        return None in (self.transport, terms.transport) or self.transport == terms.transport


def _hash(algorithm: str, data: bytes = b"") -> hashlib._Hash:
    return hashlib.new(algorithm.replace("-", ""), data, usedforsecurity=algorithm != "sha-1")
