"""The exit code of each script, and the one line that says what is wrong."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from tests.support.outcomes import SIDES, assert_clean, assert_one_complaint
from tests.support.plain_phone import phone
from tests.support.processes import LOOPBACK, free_ports, receiver, sender

pytestmark = pytest.mark.process


@pytest.mark.parametrize("arguments", [("--inptu", "x"), ("--latency-is", "1s"), ("--media-timeout", "soon")])
@pytest.mark.parametrize("side", SIDES)
def test_2_is_a_wrong_option(tmp_path: Path, side: str, arguments: tuple[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        if side == "sender":
            outcome = stack.enter_context(sender(tmp_path, LOOPBACK, *arguments)).finish()
        else:
            outcome = stack.enter_context(receiver(tmp_path, *arguments, ready=None)).finish()
    assert outcome.status == 2
    assert_one_complaint(outcome, f"{side}.py: ")


@pytest.mark.parametrize("sound", ["missing.wav", "missing.mp3", "silence.wav", "mic:no such microphone"])
def test_3_is_a_sound_source_that_does_not_work(tmp_path: Path, sound: str) -> None:
    (tmp_path / "silence.wav").touch()
    with sender(tmp_path, LOOPBACK, "--input", sound) as near:
        outcome = near.finish()
    assert_clean(outcome, status=3)
    assert_one_complaint(outcome, "sender.py: ")


@pytest.mark.parametrize("sound", ["missing/heard.wav", "full.wav", "speaker:no such speaker"])
def test_3_is_a_place_for_sound_that_does_not_work(tmp_path: Path, sound: str) -> None:
    (tmp_path / "full.wav").symlink_to("/dev/full")
    with receiver(tmp_path, "--output", sound, ready=None) as far:
        outcome = far.finish()
    assert_clean(outcome, status=3)
    assert_one_complaint(outcome, "receiver.py: ")


def test_3_is_a_file_that_cannot_grow_any_more_and_the_caller_is_told_by_bye(tmp_path: Path) -> None:
    through = ("sh", "-c", 'ulimit -f 100; exec "$@"', "sh")  # 51200 bytes, half a second
    with receiver(tmp_path, "--output", "heard.wav", through=through) as far, sender(tmp_path, far.target) as near:
        sent, heard = near.finish(), far.finish()
    assert_clean(heard, status=3)
    assert_one_complaint(heard, "heard.wav")
    assert_clean(sent)
    assert sent.call["end_reason"] == "remote-bye"


def test_4_is_a_name_that_does_not_exist(tmp_path: Path) -> None:
    with sender(tmp_path, "no-such-host.invalid") as near:
        outcome = near.finish(60)  # as long as the system's resolver takes
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "no-such-host.invalid")


@pytest.mark.parametrize(("target", "host"), [("240.0.0.1", LOOPBACK), ("[2001:db8::1]", LOOPBACK)])
def test_4_is_a_network_that_cannot_be_reached(tmp_path: Path, target: str, host: str) -> None:
    with sender(tmp_path, target, host=host) as near:
        outcome = near.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "sender.py: ")


def test_4_is_a_sip_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        port = other.getsockname()[1]
        with receiver(tmp_path, "--sip-port", str(port), ready=None) as far:
            outcome = far.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, "--sip-port")


def test_4_is_a_port_at_which_nothing_listens(tmp_path: Path) -> None:
    """The second refusal is believed: it comes with the first repetition of the INVITE."""
    sip_port, _ = free_ports()
    with sender(tmp_path, f"{LOOPBACK}:{sip_port}", "--connect-timeout", "60s") as near:
        outcome = near.finish()
    assert_clean(outcome, status=4)
    assert_one_complaint(outcome, f"nothing listens at its UDP port {sip_port}")
    assert outcome.call["end_reason"] == "network"


@pytest.mark.parametrize(
    ("status", "code"), [(408, 5), (480, 5), (486, 6), (404, 6), (488, 6), (603, 6), (401, 7), (407, 7)]
)
def test_5_6_and_7_are_refusals_with_their_status(tmp_path: Path, status: int, code: int) -> None:
    with phone(status=status) as other, sender(tmp_path, other.target) as near:
        outcome = near.finish()
    assert_clean(outcome, status=code)
    assert_one_complaint(outcome, str(status))
    assert outcome.call["end_reason"] == "rejected"


def test_6_is_a_receiver_that_is_busy_or_knows_none_of_the_codecs(tmp_path: Path) -> None:
    with receiver(tmp_path, "--codec", "pcmu") as far, sender(tmp_path, far.target, "--codec", "pcmu") as first:
        first.wait_for("call to")
        with sender(tmp_path, far.target, "--codec", "pcmu", name="second") as second:
            busy = second.finish()
        first.stop()
        assert_clean(first.finish())
        with sender(tmp_path, far.target, "--codec", "pcma", name="third") as third:
            strange = third.finish()
        far.stop()
        assert_clean(far.finish())
    for outcome, text in ((busy, "486"), (strange, "488")):
        assert_clean(outcome, status=6)
        assert_one_complaint(outcome, text)
