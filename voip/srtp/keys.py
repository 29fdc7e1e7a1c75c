"""Protection profiles and master keys of SRTP (RFC 3711 section 8.2, RFC 5764 section 4.1.2, RFC 7714 section 14).

Key agreement by SDP (RFC 4568) or by DTLS (RFC 5764) ends in an `SrtpKeys`; what protects packets starts from one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Profile(Enum):
    """A protection profile: cipher, authentication tag, and the lengths of its master key.

    sdes: the name of the crypto-suite in SDP (RFC 4568 section 6.2, RFC 7714 section 14.2). dtls: the identifier in the
    use_srtp extension of DTLS (RFC 5764 section 4.1.2, RFC 7714 section 14.2). Lengths are in bytes; tag_length: by
    which packets of RTP grow.
    """

    AES_CM_128_HMAC_SHA1_80 = ("AES_CM_128_HMAC_SHA1_80", 0x0001, 16, 14, 10)
    AEAD_AES_128_GCM = ("AEAD_AES_128_GCM", 0x0007, 16, 12, 16)
    AEAD_AES_256_GCM = ("AEAD_AES_256_GCM", 0x0008, 32, 12, 16)

    def __init__(self, sdes: str, dtls: int, key_length: int, salt_length: int, tag_length: int) -> None:
        self.sdes, self.dtls = sdes, dtls
        self.key_length, self.salt_length, self.tag_length = key_length, salt_length, tag_length


OFFERED = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_256_GCM, Profile.AEAD_AES_128_GCM)
"""In the order in which they are offered, and chosen from an offer of them all. The first has the shortest tags, 2.4
kbit/s less for each 50 packets a second, and is the one that every implementation has (RFC 8827 section 6.5). Its key
needs no padding in base64, which rtpengine leaves out unless told otherwise, and baresip reads another key then."""
MAX_LIFETIME = 2**48
"""Packets that a master key may protect at most (RFC 3711 section 9.2)."""


@dataclass(frozen=True)
class MasterKey:
    """The master key and master salt that one side protects with, for `lifetime` packets at most; never printed."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    lifetime: int = MAX_LIFETIME


@dataclass(frozen=True)
class SrtpKeys:
    """What both sides of a stream have agreed on.

    local protects what we send, remote what the peer sends. Raises ValueError if a key has not the profile's lengths.
    """

    profile: Profile
    local: MasterKey
    remote: MasterKey

    def __post_init__(self) -> None:
        for master in (self.local, self.remote):
            if (len(master.key), len(master.salt)) != (self.profile.key_length, self.profile.salt_length):
                raise ValueError(f"not a master key and salt of {self.profile.sdes}")
