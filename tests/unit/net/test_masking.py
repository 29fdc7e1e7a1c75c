"""Secrets in messages are overwritten: all of them, by as many bytes, in a time that grows with the length alone."""

from __future__ import annotations

import random
import time

import pytest

from voip.net.masking import masked

SECRET = b"SECRET"
LONGEST = 65_535


@pytest.mark.parametrize(
    "line",
    [
        b'Authorization: Digest username="SECRET", realm="SECRET", nonce="SECRET", uri="sip:x", response="SECRET"',
        b'authorization \t: digest response = SECRET,username="alice"',
        b'Proxy-Authorization: Digest username="alice",\r\n cnonce="SECRET",\r\n\tresponse="SECRET"',
        b"Authorization:\r\n Bearer\r\n SECRET",
        b"Authorization: Basic U0VDUkVU:SECRET",
        b"Authorization: SECRET",
        b"Authorization: DigestSECRET and=SECRET",
        b'WWW-Authenticate: Digest realm="here", nonce="SECRET", opaque="a\\"SECRET"',
        b'Authentication-Info: nextnonce="SECRET", rspauth=SECRET, qop=auth',
        b'Authentication-Info: nextnonce="SECRET',
        b'Authentication-Info: nextnonce="SECRET\r\n SECRET\n\tSECRET", qop=auth',
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET|2^20|1:4;inline:SECRET|2^20|2:4 KDR=0",
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80\tINLINE:SECRET",
        b"a=key-mgmt:mikey SECRET",
        b"a=key-mgmt:mikey SECRET SECRET",
        b"k=base64:SECRET",
        b"k=clear:SECRET and SECRET",
        b"a=ice-pwd:SECRET",
        b"a=ice-pwd:SECRET and SECRET",
        b"a= ice-pwd\t:SECRET",
        b" \ta=ice-pwd:SECRET",
        b"s=-\ra=ice-pwd:SECRET\rk=clear:SECRET\ra=key-mgmt:mikey SECRET",
        b"Authentication-Info: nextnonce=\r\na=ice-pwd: SECRET",
        b"Authentication-Info: nextnonce=\r\na=key-mgmt: mikey SECRET",
        b"Refer-To: <sip:bob:SECRET@host:5060>, sips:eve:SECRET;more@host",
        b"INVITE sip:bob:SECRET@host SIP/2.0",
        b"Refer-To: <sip:host?Subject=x&Authorization=Digest%20SECRET&Proxy-Authorization=SECRET>",
    ],
)
def test_a_secret_is_overwritten_and_nothing_moves(line: bytes) -> None:
    message = b"OPTIONS sip:here SIP/2.0\r\n" + line + b"\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n"
    found = masked(message)
    assert SECRET not in found
    assert len(found) == len(message)
    assert [len(each) for each in found.split(b"\r\n")] == [len(each) for each in message.split(b"\r\n")]
    assert found.endswith(b"\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n")
    assert masked(found) == found


@pytest.mark.parametrize(
    "message",
    [
        b"INVITE sip:10.0.0.1:5060 SIP/2.0\r\nTo: <sip:bob@[2001:db8::1]:5060>\r\nContact: <sip:a@b:5070;lr>",
        b'WWW-Authenticate: Digest realm="here", algorithm=SHA-256, qop="auth"',
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na=fingerprint:sha-256 AA:BB\r\na=ice-ufrag:abcd\r\na=rtpmap:96 opus/48000",
        b"Call-ID: sip:x at host\r\nSubject: keys are inline, says k=v",
        b"",
        bytes(range(256)),
    ],
)
def test_what_is_no_secret_stays(message: bytes) -> None:
    assert masked(message) == message


def test_the_scheme_and_what_is_around_it_can_be_read() -> None:
    line = b'Authorization: Digest username="alice", response="12"'
    assert masked(line) == b"Authorization: Digest xxxxxxxxxxxxxxxxx xxxxxxxxxxxxx"


@pytest.mark.parametrize(
    "piece",
    [
        b" ",
        b"sip:",
        b"sip:a:",
        b"sip:a:b@",
        b"nonce=",
        b"nonce ",
        b'nonce="\\',
        b"authorization:",
        b"\nauthorization:",
        b"\nauthorization:\r\n ",
        b"\nauthorization:digest ",
        b"&authorization=",
        b"\na=key-mgmt: ",
        b"\na=ice-pwd: ",
        b"inline:",
        b"\nk=a:",
        b"\r",
        b"\r k=",
        b"\na=;",
        b'nonce="\r\n ',
        b"@",
    ],
)
def test_the_longest_message_takes_no_longer_than_its_length(piece: bytes) -> None:
    """What takes the square of the length takes ten seconds and more."""
    begin = time.process_time()
    for message in (piece * (LONGEST // len(piece)), piece + b" " * LONGEST, piece + b"x" * LONGEST):
        assert len(masked(message)) == len(message)
    assert time.process_time() - begin < 2.0


def test_of_anything_at_all_the_length_stays() -> None:
    rng = random.Random(1)
    parts = [b"authorization:", b"digest", b"nonce=", b'"', b"\\", b"\r\n", b" ", b"sip:", b":", b"@", b"inline:", b"x"]
    for _ in range(2000):
        message = b"".join(rng.choices(parts, k=rng.randrange(30)))
        found = masked(message)
        assert len(found) == len(message)
        assert found.count(b"\n") == message.count(b"\n")
