"""Profiles and keys of SRTP: the registered numbers, and keys that do not fit."""

from __future__ import annotations

import pytest

from voip.srtp import MasterKey, Profile, SrtpKeys

# RFC 5764 section 4.1.2 and RFC 7714 section 14.2: identifier, bits of the key, bits of the salt.
REGISTERED = {
    "AES_CM_128_HMAC_SHA1_80": (b"\x00\x01", 128, 112),
    "AEAD_AES_128_GCM": (b"\x00\x07", 128, 96),
    "AEAD_AES_256_GCM": (b"\x00\x08", 256, 96),
}


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_is_the_registered_one(profile: Profile) -> None:
    found = (profile.dtls.to_bytes(2, "big"), 8 * profile.key_length, 8 * profile.salt_length)
    assert found == REGISTERED[profile.sdes]


def test_keys_that_do_not_fit_their_profile_are_refused() -> None:
    good = MasterKey(bytes(16), bytes(14))
    SrtpKeys(Profile.AES_CM_128_HMAC_SHA1_80, good, good)
    with pytest.raises(ValueError, match="AEAD_AES_128_GCM"):
        SrtpKeys(Profile.AEAD_AES_128_GCM, good, good)
    with pytest.raises(ValueError, match="AES_CM"):
        SrtpKeys(Profile.AES_CM_128_HMAC_SHA1_80, good, MasterKey(bytes(32), bytes(14)))


def test_a_key_is_never_printed() -> None:
    keys = SrtpKeys(Profile.AES_CM_128_HMAC_SHA1_80, MasterKey(b"k" * 16, b"s" * 14), MasterKey(b"q" * 16, b"t" * 14))
    assert "kkkk" not in repr(keys)
    assert "ssss" not in repr(keys)
