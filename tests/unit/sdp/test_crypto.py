"""Lines with keys (a=crypto): which can be used, which are refused alone, and that no key is told."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.sdp.crypto import MAX_LINES, CryptoLine, OwnKeys, parse_lines
from voip.srtp import OFFERED, Profile
from voip.srtp.keys import MAX_LIFETIME

KEY = base64.b64encode(bytes(range(30))).decode()
GCM = base64.b64encode(bytes(range(28))).decode()
AES = "AES_CM_128_HMAC_SHA1_80"
LINE = f"1 {AES} inline:{KEY}"


def test_the_example_of_section_6_1_of_rfc_4568_is_read_but_for_its_mki() -> None:
    line = CryptoLine.parse("1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20")
    assert (line.tag, line.profile, line.master.lifetime) == ("1", Profile.AES_CM_128_HMAC_SHA1_80, 2**20)
    assert line.master.key + line.master.salt == b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#"


@pytest.mark.parametrize("profile", OFFERED)
def test_a_line_is_written_as_it_is_read(profile: Profile) -> None:
    keys = OwnKeys.draw(random.Random(1))
    line = next(line for line in keys.lines() if line.profile is profile)
    assert CryptoLine.parse(line.serialize()) == line
    assert line.master == keys.masters[profile]


@pytest.mark.parametrize(
    "value",
    [
        LINE,
        f"999999999  {AES}\tinline:{KEY}",
        f"{LINE}|2^48",
        f"{LINE}|1048576",
        f"{LINE} KDR=0 WSH=128 FEC_ORDER=FEC_SRTP",
        f"{LINE} -OF_NO_IMPORTANCE=1",
        f"1 AEAD_AES_128_GCM inline:{GCM}",
        f"1 AEAD_AES_128_GCM inline:{GCM.rstrip('=')}",
    ],
)
def test_what_says_nothing_that_matters_is_accepted(value: str) -> None:
    assert CryptoLine.parse(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "tag"),
        ("x", "tag"),
        (f"-1 {AES} inline:{KEY}", "tag"),
        (f"1234567890 {AES} inline:{KEY}", "tag"),
        ("1", "unknown crypto-suite"),
        (f"1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}", "AES_CM_128_HMAC_SHA1_32"),
        (f"1 F8_128_HMAC_SHA1_80 inline:{KEY}", "F8_128"),
        (f"1 {AES}", "inline"),
        (f"1 {AES} uri:{KEY}", "inline"),
        (f"1 {AES} inline:", "0 bytes"),
        (f"1 {AES} inline:{GCM}", "28 bytes"),
        (f"1 {AES} inline:{KEY[:-2]}!!", "base64"),
        (f"1 {AES} inline:{KEY[:-4]}=AAA", "base64"),
        (f"{LINE}|2^20|1:4", "MKI"),
        (f"{LINE}|1:4", "MKI"),
        (f"{LINE}|2^20|1:4;inline:{KEY}|2^20|2:4", "several keys"),
        (f"{LINE}|2^49", "lifetime"),
        (f"{LINE}|2^999999999", "lifetime"),
        (f"{LINE}|0", "lifetime"),
        (f"{LINE}|{MAX_LIFETIME + 1}", "lifetime"),
        (f"{LINE}|", "lifetime"),
        (f"{LINE} UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP"),
        (f"{LINE} UNENCRYPTED_SRTCP", "UNENCRYPTED_SRTCP"),
        (f"{LINE} UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        (f"{LINE} WSH=64 UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP"),
        (f"{LINE} FEC_ORDER=SRTP_FEC", "FEC_ORDER"),
        (f"{LINE} FEC_KEY=inline:{KEY}", "FEC_KEY"),
        (f"{LINE} KDR=4", "KDR"),
        (f"{LINE} NEW=1", "NEW"),
    ],
)
def test_what_we_would_have_to_keep_to_and_cannot_is_refused(value: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem) as refusal:
        CryptoLine.parse(value)
    assert KEY[:8] not in str(refusal.value)


@pytest.mark.parametrize("value", [f"1 inline:{KEY}", f"1 {KEY}", f"1 {AES} inline:{KEY} {KEY}", f"1 {AES} {KEY} x"])
def test_a_key_in_the_wrong_place_is_not_told_either(value: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        CryptoLine.parse(value)
    assert KEY[:8] not in str(refusal.value)


def test_one_line_is_refused_without_the_others() -> None:
    lines, problems = parse_lines(
        [
            f"1 {AES} inline:{KEY}|1:4",
            f"2 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",
            f"3 {AES} inline:{KEY}",
            f"3 AEAD_AES_128_GCM inline:{GCM}",
            f"4 AEAD_AES_128_GCM inline:{GCM}",
        ]
    )
    assert [(line.tag, line.profile.name) for line in lines] == [("3", AES), ("4", "AEAD_AES_128_GCM")]
    assert len(problems) == 3
    assert parse_lines([f"{tag} {AES} inline:{KEY}" for tag in range(1000)])[0][-1].tag == str(MAX_LINES - 1)


def test_keys_are_neither_printed_nor_repeated() -> None:
    rng = random.Random(1)
    first, second = OwnKeys.draw(rng), OwnKeys.draw(rng)
    masters = [keys.masters[profile] for keys in (first, second) for profile in OFFERED]
    assert len({master.key for master in masters}) == len({master.salt for master in masters}) == 6
    assert repr(first) == repr(second)
    assert repr(first.lines()[0].master.key) not in repr(first.lines())
    kept = OwnKeys.draw(rng, first, first.masters[Profile.AEAD_AES_128_GCM])
    same = {profile for profile in OFFERED if kept.masters[profile] == first.masters[profile]}
    assert same == {Profile.AEAD_AES_128_GCM}


def readable(value: str) -> CryptoLine | str:
    """The line, or what is the matter with it."""
    try:
        return CryptoLine.parse(value)
    except ProtocolError as error:
        return str(error)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_line_or_refused(text: str) -> None:
    for value in (text, f"1 {AES} {text}", f"1 {AES} inline:{text}", f"{LINE}|{text}", f"{LINE} {text}"):
        found = readable(value)
        if isinstance(found, str):
            assert found.isprintable()
        else:
            assert CryptoLine.parse(found.serialize()).master.key == found.master.key
