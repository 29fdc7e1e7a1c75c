"""SRTP and SRTCP once more, written down from RFC 3711 and RFC 7714 alone: what the library has to agree with."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha1

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from voip.srtp import MasterKey, Profile

RTP_LABELS, RTCP_LABELS = (0, 1, 2), (3, 4, 5)
"""Of encryption key, authentication key and salt (RFC 3711 section 4.3.2)."""
AUTHENTICATION_KEY, SALT = 20, 14
HEADER = 12
"""Bytes of an RTP header without CSRCs and extension: all that is sent here."""
RTCP_HEADER = 8
ENCRYPTED = 1 << 31
"""The E bit of the SRTCP index (RFC 3711 section 3.4)."""


def keystream(key: bytes, block: bytes, length: int) -> bytes:
    """AES in counter mode, from this first block on (RFC 3711 section 4.1.1)."""
    return Cipher(AES(key), CTR(block)).encryptor().update(bytes(length))


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class SessionKeys:
    """What is derived from a master key (RFC 3711 section 4.3) for RTP, or for RTCP."""

    cipher: bytes
    authentication: bytes
    salt: bytes

    @staticmethod
    def derive(master: MasterKey, labels: tuple[int, int, int], salt_length: int = SALT) -> SessionKeys:
        def prf(label: int, length: int) -> bytes:
            salt = bytearray(master.salt.ljust(SALT, b"\0"))
            salt[7] ^= label
            return keystream(master.key, bytes(salt) + b"\0\0", length)

        encryption, authentication, salting = labels
        return SessionKeys(
            prf(encryption, len(master.key)), prf(authentication, AUTHENTICATION_KEY), prf(salting, salt_length)
        )


def counter_block(keys: SessionKeys, ssrc: bytes, index: int) -> bytes:
    return xor(keys.salt + b"\0\0", bytes(4) + ssrc + index.to_bytes(6, "big") + b"\0\0")


def gcm(keys: SessionKeys, ssrc: bytes, index: bytes, plain: bytes, associated: bytes) -> bytes:
    """RFC 7714 section 8.1 and 9.1: `index` is ROC and SEQ, or the SRTCP index behind two zero bytes."""
    return AESGCM(keys.cipher).encrypt(xor(keys.salt, b"\0\0" + ssrc + index), plain, associated)


def protect_rtp(profile: Profile, master: MasterKey, packet: bytes, roc: int) -> bytes:
    header, payload, ssrc = packet[:HEADER], packet[HEADER:], packet[8:12]
    index = roc << 16 | int.from_bytes(packet[2:4], "big")
    if profile is not Profile.AES_CM_128_HMAC_SHA1_80:
        keys = SessionKeys.derive(master, RTP_LABELS, profile.salt_length)
        return header + gcm(keys, ssrc, index.to_bytes(6, "big"), payload, header)
    keys = SessionKeys.derive(master, RTP_LABELS)
    sent = header + xor(payload, keystream(keys.cipher, counter_block(keys, ssrc, index), len(payload)))
    return sent + hmac.new(keys.authentication, sent + roc.to_bytes(4, "big"), sha1).digest()[:10]


def protect_rtcp(profile: Profile, master: MasterKey, packet: bytes, index: int) -> bytes:
    header, rest, ssrc = packet[:RTCP_HEADER], packet[RTCP_HEADER:], packet[4:8]
    trailer = (ENCRYPTED | index).to_bytes(4, "big")
    if profile is not Profile.AES_CM_128_HMAC_SHA1_80:
        keys = SessionKeys.derive(master, RTCP_LABELS, profile.salt_length)
        return header + gcm(keys, ssrc, b"\0\0" + index.to_bytes(4, "big"), rest, header + trailer) + trailer
    keys = SessionKeys.derive(master, RTCP_LABELS)
    sent = header + xor(rest, keystream(keys.cipher, counter_block(keys, ssrc, index), len(rest))) + trailer
    return sent + hmac.new(keys.authentication, sent, sha1).digest()[:10]
