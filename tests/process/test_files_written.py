"""Recordings and reports: what is there is not destroyed, what cannot be written is said, with its exit status."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, receiver, sender
from tests.support.raw_peer import raw_peer
from tests.support.wav import load

pytestmark = pytest.mark.process

USAGE, DEVICE, NO_SOUND = 2, 3, 8
SHORT = ("--duration", "1s")


def test_a_recording_is_not_touched_before_a_call_comes_nor_by_one(tmp_path: Path) -> None:
    precious = tmp_path / "call.wav"
    precious.write_bytes(b"precious")
    with receiver(tmp_path, "--output", "call.wav") as far:
        far.stop()
        assert far.finish().status == 0
    assert [path.name for path in tmp_path.glob("*.wav")] == ["call.wav"]
    with receiver(tmp_path, "--output", "call.wav", "--once") as far, sender(tmp_path, far.target, *SHORT) as near:
        near.finish()
        heard = far.finish()
    assert heard.status == 0
    assert "recording to call-2.wav: call.wav is kept (--overwrite replaces it)" in heard.stderr.splitlines()
    assert precious.read_bytes() == b"precious"
    sound, rate = load(tmp_path / "call-2.wav")
    assert len(sound) > 0.5 * rate


def test_overwrite_replaces_a_recording_when_a_call_comes(tmp_path: Path) -> None:
    old = tmp_path / "call.wav"
    old.write_bytes(b"old")
    arguments = ("--output", "call.wav", "--overwrite", "--once")
    with receiver(tmp_path, *arguments) as far:
        assert old.read_bytes() == b"old"
        with sender(tmp_path, far.target, *SHORT) as near:
            near.finish()
            assert far.finish().status == 0
    assert len(load(old)[0]) > 0
    assert [path.name for path in tmp_path.glob("*.wav")] == ["call.wav"]


def test_3_is_a_report_that_can_no_longer_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with receiver(tmp_path, "--report", "reports/call.json") as far:
        folder.rmdir()
        far.stop()
        outcome = far.finish()
    assert outcome.status == DEVICE
    assert "receiver.py: cannot write reports/call.json: No such file or directory" in outcome.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "speker"), "'speker' is not an output"),
        (("--output", "a.mp3"), "--output a.wav"),
        (("--two-way", "--input", "tone:abc"), "tone:440"),
        (("--report", "nowhere/call.json"), "cannot write nowhere/call.json"),
        (("--json", "--output", "-"), "both need stdout"),
        (("--latency", "60"), "write 60ms"),
    ],
)
def test_2_is_what_cannot_be_meant(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    with receiver(tmp_path, *arguments, ready=None) as far:
        outcome = far.finish()
    assert outcome.status == USAGE
    complaints = [line for line in outcome.stderr.splitlines() if line.startswith("receiver.py: ")]
    assert len(complaints) == 1
    assert said in complaints[0]


def test_3_is_a_file_of_another_kind_that_is_not_there_and_says_so(tmp_path: Path) -> None:
    with sender(tmp_path, LOOPBACK, "--input", "song.mp3") as near:
        outcome = near.finish()
    assert outcome.status == DEVICE
    assert "sender.py: song.mp3 does not exist" in outcome.stderr


def test_a_call_without_a_packet_leaves_the_recording_before_it_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "call.wav"
    old.write_bytes(b"old")
    with receiver(tmp_path, "--output", "call.wav", "--overwrite", "--once") as far, raw_peer() as peer:
        dialog = peer.call((far.host, far.sip_port))
        time.sleep(1.0)
        assert dialog.bye() == 200
        heard = far.finish()
    assert heard.status == NO_SOUND
    assert old.read_bytes() == b"old"
    assert [path.name for path in tmp_path.glob("*.wav")] == ["call.wav"]


def test_recording_report_and_description_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Both scripts run with a umask of 022, as most systems have it."""
    before = os.umask(0o022)
    try:
        with receiver(tmp_path, "--output", "call.wav", "--report", "far.json", "--once") as far:
            with sender(tmp_path, far.target, *SHORT, "--report", "near.json") as near:
                near.finish()
            far.finish()
        with sender(tmp_path, f"rtp://{LOOPBACK}:9", *SHORT, "--sdp", "stream.sdp") as near:
            near.finish()
    finally:
        os.umask(before)
    written = ("call.wav", "far.json", "near.json", "stream.sdp")
    assert {name: oct((tmp_path / name).stat().st_mode & 0o777) for name in written} == dict.fromkeys(written, "0o600")
