"""Calls between the two scripts whose keys come by DTLS: with a shared password, and with a proxy that meddles."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.meddling import BY_DTLS, between, strip, without_dtls
from tests.support.processes import Outcome, receiver, sender

pytestmark = pytest.mark.process

REJECTED, AUTHENTICATION, NO_MEDIA = 6, 7, 8
SHORT = ("--codec", "pcmu", "--duration", "1s")
STRING = r"short string (\w{4}) "


def password(folder: Path, text: str) -> tuple[str, str]:
    file = folder / f"{text}.txt"
    file.write_text(f"{text}\n")
    return "--password-file", str(file)


def assert_silent(outcome: Outcome) -> None:
    """No sound passed, and nothing crashed."""
    assert outcome.report is not None
    assert not [call for call in outcome.report["calls"] if call["rx"] and call["rx"]["received"]]
    assert "Traceback" not in outcome.stderr


def other_fingerprint(body: bytes) -> bytes:
    return re.sub(rb"(a=fingerprint:sha-256 )\S+", rb"\g<1>" + b":".join([b"11"] * 32), body)


def test_both_sides_show_the_same_short_string(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once") as far, sender(tmp_path, far.target, "--duration", "2s") as near:
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert sent.call["encryption"] == heard.call["encryption"] == BY_DTLS
    assert (heard.call["rx"]["lost"], heard.call["rx"]["unauthenticated"]) == (0, 0)
    shown = [re.findall(STRING, outcome.stderr) for outcome in (sent, heard)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 1


def test_a_shared_password_is_all_that_two_sides_need(tmp_path: Path) -> None:
    shared = password(tmp_path, "correct horse battery")
    with receiver(tmp_path, "--once", "-vv", *shared) as far, sender(tmp_path, far.target, *SHORT, *shared) as near:
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert sent.call["encryption"] == heard.call["encryption"] == {**BY_DTLS, "proved": "password"}
    assert heard.call["rx"]["lost"] == 0
    for text in (sent.stderr, heard.stderr):
        assert "peer proved by password" in text
        assert "correct horse" not in text
        assert not re.search(STRING, text)


@pytest.mark.parametrize(("ours", "theirs"), [("right", "wrong"), ("right", ""), ("", "right")])
def test_who_does_not_know_the_password_hears_nothing(ours: str, theirs: str, tmp_path: Path) -> None:
    far_options, near_options = (password(tmp_path, word) if word else () for word in (theirs, ours))
    with (
        receiver(tmp_path, "--once", *far_options) as far,
        sender(tmp_path, far.target, "--codec", "pcmu", "--duration", "8s", *near_options) as near,
    ):
        sent, heard = near.finish(), far.finish()
    for outcome, word in ((sent, ours), (heard, theirs)):
        if word:
            assert outcome.status == AUTHENTICATION, outcome.stderr
            assert "password" in outcome.stderr
            assert_silent(outcome)


@pytest.mark.parametrize("side", ["near", "far"])
def test_a_fingerprint_that_a_proxy_has_changed_is_silence_and_a_line(side: str, tmp_path: Path) -> None:
    def change(body: bytes) -> bytes:
        is_offer = b"a=setup:actpass" in body
        return other_fingerprint(body) if is_offer is (side == "far") else body

    with (
        receiver(tmp_path, "--once") as far,
        between(far, change) as target,
        sender(tmp_path, target, "--codec", "pcmu", "--duration", "5s") as near,
    ):
        sent, heard = near.finish(), far.finish()
    deceived = sent if side == "near" else heard
    assert deceived.status == AUTHENTICATION, deceived.stderr
    assert "certificate of the other side is not the one that its SDP names" in deceived.stderr
    for outcome in (sent, heard):
        assert_silent(outcome)


@pytest.mark.parametrize("change", [without_dtls, lambda body: strip(body, b"a=fingerprint")])
def test_a_password_is_never_given_up_for_a_call_in_clear(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    shared = password(tmp_path, "secret")
    with receiver(tmp_path, *shared) as far, between(far, change) as target:
        with sender(tmp_path, target, *SHORT, *shared) as near:
            sent = near.finish()
        far.stop()
        heard = far.finish()
    assert sent.status == REJECTED, sent.stderr
    assert_silent(heard)


def test_dtls_that_a_proxy_takes_out_is_missed_on_both_sides(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--once") as far,
        between(far, without_dtls) as target,
        sender(tmp_path, target, *SHORT) as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    assert (sent.call["encrypted"], heard.call["encrypted"]) == (False, False)
    assert "not encrypted: the other side took none of the keys offered" in sent.stderr
