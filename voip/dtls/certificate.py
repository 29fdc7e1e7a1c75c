"""Our certificate for DTLS: self-signed, made when the program starts, and kept in memory only (RFC 5763 section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from voip.srtp.association import Fingerprint


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, both in DER; never printed."""

    der: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> Fingerprint:
        """What our descriptions say of it."""
        return Fingerprint.of(self.der)
