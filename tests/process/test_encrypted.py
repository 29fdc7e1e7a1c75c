"""Encrypted calls between the two scripts, and a proxy between them that would rather read along."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import make_certificates
from tests.support.encrypted import master
from tests.support.meddling import BY_DTLS, between, strip, without_dtls
from tests.support.processes import LOOPBACK, receiver, sender
from tests.support.raw_peer import PACKET, PCMU, Pace, Stream, raw_peer, rtp
from tests.support.raw_scene import GOOD, scene
from tests.support.text_phone import media_port
from voip.sdp.crypto import CryptoLine
from voip.srtp import Profile
from voip.srtp.context import Opener, Protector

pytestmark = pytest.mark.process

REJECTED, NO_MEDIA = 6, 8
SHORT = ("--codec", "pcmu", "--duration", "1s")
"""Of the sender; and its INVITE with keys fits into a datagram."""


def strip_and_say_so(body: bytes) -> bytes:
    return strip(body).replace(b"RTP/SAVP", b"RTP/AVP")


def other_keys(body: bytes) -> bytes:
    def other(found: re.Match[bytes]) -> bytes:
        key = base64.b64decode(found[1])
        return b"inline:" + base64.b64encode(bytes(each ^ 0xFF for each in key))

    return re.sub(rb"inline:(\S+)", other, without_dtls(body))


# --- without a proxy --------------------------------------------------------------------------------------------------


def test_over_tls_calls_are_encrypted_unasked(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with receiver(tmp_path, "--once", *made.server) as far:
        target = f"sip:{LOOPBACK}:{far.sip_port + 1};transport=tls"
        with sender(tmp_path, target, "--duration", "1s", *made.client) as near:
            sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    for call in (sent.call, heard.call):
        assert call["encryption"] == BY_DTLS
    for said in (sent.stderr, heard.stderr):
        assert "  encrypted by AES_CM_128_HMAC_SHA1_80\n  keys by DTLS\n" in said
        assert "  keys by DTLS\n  peer proved by the certificate that SIP names\n" in said
    assert (heard.call["rx"]["lost"], heard.call["rx"]["unauthenticated"], heard.call["rx"]["replayed"]) == (0, 0, 0)
    assert sent.call["rtcp"]["received"] > 0


def test_in_clear_sip_no_key_is_offered_unasked(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once", "-vv") as far, sender(tmp_path, far.target, "--duration", "1s") as near:
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert (sent.call["encryption"], heard.call["encryption"]) == (BY_DTLS, BY_DTLS)
    assert "a=crypto" not in heard.stderr


@pytest.mark.parametrize("rule", ["optional", "required"])
def test_who_asks_for_it_is_told_what_it_is_worth(rule: str, tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--once", "-vv") as far,
        between(far, without_dtls) as target,
        sender(tmp_path, target, *SHORT, "--srtp", rule) as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert sent.call["encryption"] == heard.call["encryption"]
    assert "readable by whoever reads SIP" in sent.stderr
    keys = re.findall(r"inline:(\S+)", heard.stderr)
    assert set(keys) == {"..."}, "keys are not shown, with -vv either"


@pytest.mark.parametrize(("ours", "theirs"), [("required", "off"), ("off", "required")])
def test_required_encryption_is_never_given_up(ours: str, theirs: str, tmp_path: Path) -> None:
    with receiver(tmp_path, "--srtp", theirs) as far:
        with sender(tmp_path, far.target, *SHORT, "--srtp", ours) as near:
            sent = near.finish()
        far.stop()
        heard = far.finish()
    assert sent.status == REJECTED, sent.stderr
    assert "--srtp" in sent.stderr.splitlines()[-1]
    assert "--srtp" in heard.stderr
    assert "--codec" not in heard.stderr
    assert "488" in sent.stderr


# --- a proxy that takes keys out, or puts others in -------------------------------------------------------------------


def test_keys_that_a_proxy_takes_out_are_missed_on_both_sides(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--once", "--srtp", "optional") as far,
        between(far, strip) as target,
        sender(tmp_path, target, *SHORT, "--srtp", "optional") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert (sent.call["encrypted"], heard.call["encrypted"]) == (False, False)
    assert "not encrypted: the other side took none of the keys offered" in sent.stderr


@pytest.mark.parametrize("change", [strip, strip_and_say_so])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("required", "optional"), ("optional", "required"), ("required", "required")]
)
def test_a_proxy_cannot_talk_a_side_that_requires_encryption_out_of_it(
    change: Callable[[bytes], bytes], ours: str, theirs: str, tmp_path: Path
) -> None:
    with receiver(tmp_path, "--srtp", theirs) as far, between(far, change) as target:
        with sender(tmp_path, target, *SHORT, "--srtp", ours) as near:
            sent = near.finish()
        far.stop()
        heard = far.finish()
    assert sent.status == REJECTED, sent.stderr
    assert "srtp" in sent.stderr or "key" in sent.stderr
    assert heard.report is not None
    assert not [call for call in heard.report["calls"] if call["rx"] and call["rx"]["received"]], "no sound passed"
    assert "Traceback" not in sent.stderr + heard.stderr


def test_keys_that_a_proxy_has_changed_are_silence_and_a_line(tmp_path: Path) -> None:
    told = ("--codec", "pcmu", "--duration", "6s", "--srtp", "required")
    with (
        receiver(tmp_path, "--once") as far,
        between(far, other_keys) as target,
        sender(tmp_path, target, *told) as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert "packets came that its key does not open (SRTP)" in heard.stderr
    assert heard.status == NO_MEDIA, heard.stderr
    assert heard.call["rx"]["received"] == 0
    assert heard.call["rx"]["unauthenticated"] > 200
    assert "Traceback" not in sent.stderr + heard.stderr


# --- a peer whose packets are made by hand ----------------------------------------------------------------------------

AES = Profile.AES_CM_128_HMAC_SHA1_80
OLD, NEW = master(AES, 1), master(AES, 2)


def key_line(number: int) -> str:
    return f"a=crypto:{CryptoLine('1', AES, (OLD, NEW)[number]).serialize()}\r\n"


def speak_by(stream: Stream, protector: Protector | None) -> None:
    """What comes next is protected like this."""
    stream.make = lambda it, samples: it.packet(samples) if protector is None else protector.rtp(it.packet(samples))


def test_a_call_may_become_encrypted_change_its_key_and_go_back(tmp_path: Path) -> None:
    """Over the wrap of the peer's numbers, too."""
    with scene(tmp_path) as call:
        stream, plain = call.stream, call.peer.description()
        stream.send(20)
        answer = stream.dialog.reinvite(plain + key_line(0))
        assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in answer
        call.far.wait_for("is now encrypted by AES_CM_128_HMAC_SHA1_80")
        speak_by(stream, Protector(AES, OLD))
        stream.send(40)
        again = stream.dialog.reinvite(plain + key_line(1))
        assert re.findall("inline:.*", again) == re.findall("inline:.*", answer), "our own key stays"
        stream.send(10)  # by the old key until the peer has the answer
        speak_by(stream, Protector(AES, NEW))
        stream.send(30)
        assert "a=crypto" not in stream.dialog.reinvite(plain)
        call.far.wait_for("is now not encrypted")
        speak_by(stream, None)
        stream.send(20)
        heard = call.end()
    assert heard.share() >= GOOD
    rx = heard.outcome.call["rx"]
    assert (rx["received"], rx["lost"], rx["unauthenticated"], rx["replayed"]) == (120, 0, 0, 0)


def test_what_is_forged_tampered_with_or_repeated_is_not_heard(tmp_path: Path) -> None:
    with scene(tmp_path, "--srtp", "required", more=key_line(0)) as call:
        stream = call.stream
        speak_by(stream, Protector(AES, OLD))
        recorded = []
        for _ in range(50):
            data = stream.next()
            stream.throw(data)
            recorded.append(data)
            stream.throw(data[:-1] + bytes([data[-1] ^ 1]))
            stream.throw(stream.packet(stream.sent[-1]))  # in clear
        for data in recorded:
            stream.throw(data)
        stream.send(10)
        heard = call.end()
    assert heard.share() >= GOOD
    rx = heard.outcome.call["rx"]
    assert (rx["received"], rx["lost"], rx["duplicate"]) == (60, 0, 0)
    assert rx["unauthenticated"] + rx["replayed"] == 150


def test_what_comes_before_the_answer_is_opened_and_what_follows_protected(tmp_path: Path) -> None:
    """Early media of one fork, by its key; another answers the call, by another key, and both hear each other."""
    options = ("--two-way", "--codec", "pcmu", "--output", "null", "--srtp", "required", "--duration", "1s")
    with raw_peer() as raw, sender(tmp_path, raw.target, *options) as near:
        invite = raw.wait("INVITE ")
        offered = re.findall(r"a=crypto:(.*)\r\n", invite[0])
        theirs = next(line for line in map(CryptoLine.parse, offered) if line.tag == "1")
        destination, pace, number = (invite[1][0], media_port(invite[0])), Pace(), 0
        for fork, packets, code, phrase in ((0, 40, 183, "Session Progress"), (1, 30, 200, "OK")):
            body = (raw.description((PCMU,)) + key_line(fork)).replace("RTP/AVP", "RTP/SAVP")
            raw.answer(invite, code, phrase, body=body)
            if code == 200:
                raw.wait("ACK ")
            protector = Protector(AES, (OLD, NEW)[fork])
            for _ in range(packets):
                pace.wait()
                data = rtp(number, number * PACKET, b"\x10" * PACKET, ssrc=7 + fork, payload_type=PCMU)
                raw.rtp.sendto(protector.rtp(data), destination)
                number += 1
        media, opener = raw.media(20), Opener(AES, theirs.master)
        opened = [opener.rtp(data) for data in media if data[1] & 0x7F == PCMU]
        raw.answer(raw.wait("BYE "), 200, "OK")
        sent = near.finish()
    assert sent.status == 0, sent.stderr
    assert opened
    assert all(len(data) == 12 + PACKET for data in opened)
    assert sent.call["rx"]["unauthenticated"] == 0
    assert sent.call["rx"]["received"] >= 60
