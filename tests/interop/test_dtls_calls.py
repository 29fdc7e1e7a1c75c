"""Calls of which the keys come by DTLS, with baresip: the sound is compared as in calls in clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop import judgement
from tests.interop.baresip import Baresip
from tests.interop.cells import THEY, WE, Cell
from tests.interop.phone import certificates
from tests.interop.scenes import phone_scene
from tests.support.baresip import baresip
from tests.support.peers import require
from tests.support.processes import assert_identities, receiver, sender
from tests.support.sound import speechlike
from tests.support.wav import save
from tests.support.wavdiff import compare_files

pytestmark = [pytest.mark.process, pytest.mark.interop]

SECONDS = 4.0
RATE = 16_000
L16 = f"L16/{RATE}/1"
PATIENT = ("--latency", "200ms")


@pytest.fixture
def said(tmp_path: Path) -> Path:
    file = tmp_path / "said.wav"
    save(file, speechlike(RATE, SECONDS), RATE)
    return file


def assert_by_dtls(call: dict[str, Any]) -> None:
    assert call["encryption"]["keys"] == "dtls", call["encryption"]
    assert call["encryption"]["proved"] == "certificate"
    assert call["encryption"]["readable"] is False


@pytest.mark.parametrize("rule", ["optional", "required"])
def test_baresip_calls(rule: str, said: Path, tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--output", "heard.wav", "--once", *PATIENT, "--srtp", rule) as far,
        baresip(tmp_path, L16, dial=f"sip:receiver@{far.target}", says=said, encryption="dtls_srtp") as phone,
    ):
        outcome = far.finish()
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_by_dtls(outcome.call)
    assert outcome.call["rx"]["lost"] == 0
    assert_identities(outcome.call)


def test_baresip_is_called(said: Path, tmp_path: Path) -> None:
    """It refuses RTP/AVP, also with a fingerprint."""
    with baresip(tmp_path, L16, encryption="dtls_srtp") as phone:
        with sender(tmp_path, phone.target, "--input", str(said), "--codec", "l16", "--srtp", "required") as near:
            outcome = near.finish()
        phone.wait_for("session closed")
        phone.finish_quietly()
    assert outcome.status == 0, outcome.stderr
    assert_by_dtls(outcome.call)
    difference = compare_files(said, phone.heard)
    assert difference.compared >= SECONDS - 0.3, difference
    assert difference.holes == 0, difference
    assert difference.exact, difference


@pytest.mark.parametrize("who", [WE, THEY])
def test_both_directions_and_a_hold(who: str, tmp_path: Path) -> None:
    """A re-INVITE keeps the association; sound is there again after it."""
    require("baresip", "openssl")
    cell = Cell(peer="baresip", who=who, codec="pcmu", transport="udp")
    made = certificates(tmp_path)
    says, ours = (judgement.recording(tmp_path, "pcmu", 8000, seed=seed) for seed in (2, 1))
    phone = Baresip(tmp_path, "pcmu", "udp", made, says, encryption="dtls_srtp")
    try:
        with phone:
            findings = phone_scene(cell, tmp_path, made, phone, ours, more=("--srtp", "required"))
    finally:
        (tmp_path / "peer.log").write_text(phone.log())
    assert not findings.problems, phone.log()[-3000:]
