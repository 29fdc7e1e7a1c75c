"""Making a self-signed certificate for DTLS (RFC 5763 section 4, RFC 8827 section 6.5), by `cryptography`."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from voip.dtls.certificate import Certificate

VALID = timedelta(days=400)
"""No peer needs to look at it, for the fingerprint is what counts; but a program may run for a year."""
BACKDATED = timedelta(days=1)
"""For peers whose clock is slow."""


def make_certificate() -> Certificate:
    """A certificate with a new ECDSA key (P-256) and a random name, which says nothing of the user or the machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, secrets.token_hex(8))])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID)
    )
    return Certificate(
        der=builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
        key=key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
