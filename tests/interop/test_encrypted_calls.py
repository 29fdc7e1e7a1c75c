"""Encrypted calls with other people's programs, keys by SDES: the sound is compared as in calls in clear."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop import baresip as baresips
from tests.interop import judgement, linphone
from tests.interop.cells import THEY, WE, Cell
from tests.interop.phone import Phone, certificates
from tests.interop.proxy import proxy
from tests.interop.scenes import phone_scene
from tests.support.baresip import baresip
from tests.support.certificates import make_certificates
from tests.support.peers import require
from tests.support.processes import assert_identities, receiver, sender
from tests.support.sound import speechlike
from tests.support.wav import save
from tests.support.wavdiff import compare_files

pytestmark = [pytest.mark.process, pytest.mark.interop]

SECONDS = 4.0
UNHEARD = 0.3
RATE = 16_000
L16 = f"L16/{RATE}/1"
CLEAR_RTCP = 2
"""RTCP that baresip 1.0 sends in clear: a "ping" before it has keys, and its BYE. It is refused."""
PATIENT = ("--latency", "200ms")


@pytest.fixture
def said(tmp_path: Path) -> Path:
    file = tmp_path / "said.wav"
    save(file, speechlike(RATE, SECONDS), RATE)
    return file


def assert_same(said: Path, heard: Path) -> None:
    difference = compare_files(said, heard)
    assert difference.compared >= SECONDS - UNHEARD, difference
    assert difference.holes == 0, difference
    assert difference.exact, difference


def assert_encrypted(call: dict[str, Any], *, readable: bool) -> None:
    assert call["encrypted"] is True
    assert call["encryption"] == {"profile": "AES_CM_128_HMAC_SHA1_80", "keys": "sdes", "readable": readable}


# --- baresip ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["srtp", "srtp-mand", "srtp-mandf"])
@pytest.mark.parametrize("rule", ["optional", "required"])
def test_baresip_calls(kind: str, rule: str, said: Path, tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--output", "heard.wav", "--once", *PATIENT, "--srtp", rule) as far,
        baresip(tmp_path, L16, dial=f"sip:receiver@{far.target}", says=said, encryption=kind) as phone,
    ):
        outcome = far.finish()
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_encrypted(outcome.call, readable=True)
    assert outcome.call["rx"]["lost"] == 0
    assert outcome.call["rx"]["unauthenticated"] <= CLEAR_RTCP
    assert outcome.call["rtcp"]["received"] > 0
    assert_identities(outcome.call)
    assert_same(said, tmp_path / "heard.wav")


@pytest.mark.parametrize(("kind", "rule"), [("srtp", "optional"), ("srtp", "required"), ("srtp-mand", "required")])
def test_baresip_is_called(kind: str, rule: str, said: Path, tmp_path: Path) -> None:
    with baresip(tmp_path, L16, encryption=kind) as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--codec", "l16", "--srtp", rule) as near:
            outcome = near.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_encrypted(outcome.call, readable=True)
    assert_same(said, phone.heard)


def test_reports_of_both_sides_are_opened(said: Path, tmp_path: Path) -> None:
    told = ("--codec", "l16", "--srtp", "required", "--input", str(said), "--loop", "--duration", "7s")
    with (
        baresip(tmp_path, L16, encryption="srtp-mand") as phone,
        sender(tmp_path, phone.target, *told) as near,
    ):
        sent = near.finish()
        phone.finish_quietly()
    assert sent.call["remote"]["cumulative_lost"] == 0
    assert sent.call["timing"]["rtt_ms"] < 50


def test_over_tls_baresip_is_offered_keys_unasked(said: Path, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    with baresip(tmp_path, L16, encryption="srtp", certificate=both) as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--codec", "l16", *made.client) as near:
            outcome = near.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_encrypted(outcome.call, readable=False)
    assert_same(said, phone.heard)


def test_baresip_without_encryption_gets_sound_in_clear_or_no_call(said: Path, tmp_path: Path) -> None:
    with baresip(tmp_path, L16) as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--codec", "l16", "--srtp", "optional") as near:
            clear = near.finish()
        phone.wait_for("session closed")
        with sender(tmp_path, phone.target, "--codec", "l16", "--srtp", "required", "-t", "1s", name="second") as near:
            refused = near.finish()
        phone.finish_quietly()
    assert clear.status == 0, clear.stderr
    assert clear.call["encrypted"] is False
    assert "not encrypted: the other side took none of the keys offered" in clear.stderr
    assert_same(said, phone.heard)
    assert refused.status == 6, refused.stderr


def once_more(play: Callable[[Path], str], folder: Path) -> str:
    """What is wrong with a call, played again if something is: linphonec's recordings suffer from a busy machine, and
    the matrix does the same."""
    first, second = folder / "1", folder / "2"
    first.mkdir()
    try:
        problem = play(first)
    except AssertionError as error:
        problem = str(error)
    if not problem:
        return ""
    second.mkdir()
    return play(second)


# --- both ways, hold and resume ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("who", [WE, THEY])
@pytest.mark.parametrize(
    ("peer", "codec", "rate"), [("linphonec", "pcmu", 8_000), ("linphonec", "l16", 44_100), ("baresip", "pcmu", 8_000)]
)
def test_both_directions_and_a_hold(peer: str, codec: str, rate: int, who: str, transport: str, tmp_path: Path) -> None:
    """A re-INVITE keeps the keys or brings others; sound is there again after it. linphone's packets of L16 have 1764
    bytes of sound."""
    require(peer, "openssl")
    cell = Cell(peer=peer, who=who, codec=codec, transport=transport)
    if cell.empty:
        pytest.skip(cell.empty)

    def play(folder: Path) -> str:
        made = certificates(folder)
        says, ours = (judgement.recording(folder, codec, rate, seed=seed) for seed in (2, 1))
        phone: Phone
        if peer == "linphonec":
            phone = linphone.Linphone(folder, codec, transport, made, says, encryption="srtp")
        else:
            phone = baresips.Baresip(folder, codec, transport, made, says, encryption="srtp-mand")
        with phone:
            findings = phone_scene(cell, folder, made, phone, ours, more=("--srtp", "required"))
        return "; ".join(findings.problems) and f"{findings.problems}\n{phone.log()[-3000:]}"

    assert not once_more(play, tmp_path)


@pytest.mark.parametrize("encryption", ["srtp-mand", ""])
@pytest.mark.parametrize("who", [WE, THEY])
def test_through_kamailio_and_rtpengine(who: str, encryption: str, tmp_path: Path) -> None:
    """Over TLS to a phone behind them that encrypts, and unasked to one that does not: rtpengine stands between."""
    require("baresip", "openssl", "kamailio", "rtpengine")
    cell = Cell(peer="kamailio+baresip", who=who, codec="pcmu", transport="tls")
    more = ("--srtp", "required") if encryption else ()

    def play(folder: Path) -> str:
        made = certificates(folder)
        says, ours = (judgement.recording(folder, "pcmu", 8000, seed=seed) for seed in (2, 1))
        with proxy(folder / "proxy", made) as site:
            account = baresips.Account("peer", site)
            with baresips.Baresip(folder, "pcmu", "tls", made, says, account, encryption=encryption) as phone:
                findings = phone_scene(cell, folder, made, phone, ours, site, more)
            if findings.problems:
                return f"{findings.problems}\n{phone.log()[-3000:]}"
        (report,) = (folder / "first").glob("*.json")
        told = json.loads(report.read_text())["calls"][0]["encryption"]
        # A phone without encryption is neither offered nor answered any; a certificate is answered by rtpengine's own.
        return str(told) if encryption and (told["keys"], told["readable"]) != ("dtls", False) else ""

    assert not once_more(play, tmp_path)
