"""Keys for tests, and a call in virtual time whose packets are SRTP on the wire."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.support.call import Call, Link, media
from voip.media import KeyAgreement, NegotiatedMedia, Security
from voip.session.protection import Protection
from voip.srtp import MasterKey, Profile, SrtpKeys


def master(profile: Profile, seed: int) -> MasterKey:
    rng = random.Random(seed)
    return MasterKey(rng.randbytes(profile.key_length), rng.randbytes(profile.salt_length))


def security(ours: int, theirs: int, profile: Profile = Profile.AES_CM_128_HMAC_SHA1_80) -> Security:
    """Protection by keys that these seeds make."""
    return Security(KeyAgreement.SDES, SrtpKeys(profile, master(profile, ours), master(profile, theirs)))


class EncryptedCall(Call):
    """A call between the side that sends, by key 1, and the one that hears, by key 2."""

    def __init__(
        self,
        link: Link | None = None,
        agreed: NegotiatedMedia | None = None,
        *,
        fec: str = "off",
        profile: Profile = Profile.AEAD_AES_128_GCM,
        sent_by: int = 1,
        latency: float | None = 0.06,
    ) -> None:
        """`sent_by`: the key that the sender really uses."""
        agreed = replace(agreed or media(fec=fec), security=security(2, 1, profile))
        super().__init__(link, agreed, fec=fec, latency=latency)
        self.outgoing = Protection(security(sent_by, 2, profile))
        self.on_the_wire: list[bytes] = []

    def transmit(self, datagram: bytes) -> None:
        protected = self.outgoing.media(datagram)
        assert protected is not None
        self.on_the_wire.append(protected)
        super().transmit(protected)
