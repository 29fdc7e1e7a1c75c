"""What is told of the encryption of a call's media (SRTP, RFC 3711), and of how its keys were agreed on."""

from __future__ import annotations

from typing import Any

from voip.media import KeyAgreement, NegotiatedMedia

AGREEMENTS = {KeyAgreement.SDES: "SDES", KeyAgreement.DTLS: "DTLS"}
PROVED = {"password": "peer proved by password", "certificate": "peer proved by the certificate that SIP names"}
"""How the peer of a handshake has shown who it is."""
READABLE = "readable by whoever reads SIP"


def encryption_parts(media: NegotiatedMedia) -> list[str]:
    """For people: what encrypts, and where its keys come from; or that nothing does, and why if that was wanted."""
    security = media.security
    if security is None:
        return ["not encrypted" + (f": {media.security_note}" if media.security_note else "")]
    profile = "" if security.keys is None else f" by {security.keys.profile.sdes}"
    agreed = f"keys by {AGREEMENTS[security.agreement]}"
    parts = [f"encrypted{profile}", f"{agreed}, {READABLE}" if security.readable else agreed]
    if security.keys is None:
        return ["to be encrypted", agreed]
    return [*parts, PROVED[security.proved]] if security.proved else parts


def encryption_object(media: NegotiatedMedia) -> dict[str, Any] | None:
    """The same for programs: `readable` is whether the keys came in SIP that was not encrypted. None: no encryption."""
    security = media.security
    if security is None:
        return None
    return {
        "profile": None if security.keys is None else security.keys.profile.sdes,
        "keys": security.agreement.value,
        "readable": security.readable,
        **({"proved": security.proved} if security.proved else {}),
    }
