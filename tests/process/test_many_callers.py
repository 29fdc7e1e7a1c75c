"""A receiver that several people call: asked about, declined, mixed and recorded, each by itself, as real processes."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import ROOT, Program, receiver, sender, until
from tests.support.sound import speechlike
from tests.support.wav import load, save
from tests.support.wavdiff import compare

pytestmark = pytest.mark.process

PATIENT = ("--latency", "400ms")
"""A busy machine stands still for longer than a network of its own would make anybody wait."""
RATE = 48000


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends: the person's, and the program's."""
    person, program = pty.openpty()
    try:
        yield person, program
    finally:
        os.close(person)
        os.close(program)


def test_a_person_is_asked_and_says_yes_or_no(tmp_path: Path) -> None:
    with (
        terminal() as (person, program),
        receiver(tmp_path, "--answer", "ask", "--max-calls", "3", stdin=program) as far,
        sender(tmp_path, far.target, "-t", "20s", "--from", "Anna", name="taken") as taken,
    ):
        taken.wait_for("180 Ringing")
        far.wait_for("is calling: y answers, n declines")
        os.write(person, b"y")
        far.wait_for("call from")
        with sender(tmp_path, far.target, name="declined") as declined:
            declined.wait_for("180 Ringing")
            until(lambda: far.stderr.count("is calling") == 2, "the second call rings")
            os.write(person, b"n")
            refused = declined.finish()
        with sender(tmp_path, far.target, name="impatient") as impatient:
            impatient.wait_for("180 Ringing")
            impatient.stop()
            gave_up = impatient.finish()
        os.write(person, b"m")
        far.wait_for("muted")
        far.stop()
        heard, sent = far.finish(), taken.finish()
    assert (refused.status, gave_up.status, sent.status, heard.status) == (6, 0, 0, 0)
    assert "603" in refused.stderr
    assert heard.report is not None
    ends = {call["end_reason"]: call for call in heard.report["calls"]}
    assert set(ends) == {"rejected", "cancelled", "local-bye"}
    assert ends["local-bye"]["heard"]["muted"] is True
    assert ends["local-bye"]["rx"]["received"] > 0
    assert heard.report["total"]["calls"] == 3
    assert heard.report["total"]["with_media"] == 1


def test_without_a_terminal_nobody_can_be_asked_and_one_line_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "receiver.py"), "--answer", "ask", "--output", "null"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "--answer ask needs a terminal" in line


def test_who_declines_every_call_says_so_to_each_caller(tmp_path: Path) -> None:
    with receiver(tmp_path, "--answer", "deny") as far:
        with sender(tmp_path, far.target) as near:
            refused = near.finish()
        far.stop()
        heard = far.finish()
    assert refused.status == 6
    assert "603" in refused.stderr
    assert "--answer deny" in heard.stderr
    assert heard.report is not None
    assert heard.report["calls"] == []


def test_one_caller_too_many_is_told_that_all_lines_are_busy(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--max-calls", "2") as far,
        sender(tmp_path, far.target, name="first"),
        sender(tmp_path, far.target, name="second"),
    ):
        until(lambda: far.stderr.count("call from") == 2, "both are there")
        with sender(tmp_path, far.target, name="third") as third:
            refused = third.finish()
        far.stop()
        heard = far.finish()
    assert refused.status == 6
    assert "486" in refused.stderr
    assert "--max-calls" in heard.stderr
    assert heard.report is not None
    assert heard.report["total"]["with_media"] == 2


def test_callers_are_mixed_and_recorded_each_by_itself_on_one_time_line(tmp_path: Path) -> None:
    sounds = {name: speechlike(RATE, 4.0, seed=n) // 3 for n, name in enumerate(("first", "second"))}
    files = {name: save(tmp_path / f"{name}.wav", sound) for name, sound in sounds.items()}
    folder = tmp_path / "callers"
    options = ("--max-calls", "2", "--output-per-caller", "callers", "--output", "mix.wav", *PATIENT)
    with receiver(tmp_path, *options) as far:
        call = ("--codec", "l16", "--fec", "off")
        with sender(tmp_path, far.target, *call, "-i", str(files["first"]), name="first") as first:
            far.wait_for("call from")
            until(lambda: (tmp_path / "mix.wav").exists(), "the first is heard")
            with sender(tmp_path, far.target, *call, "-i", str(files["second"]), name="second") as second:
                assert (first.finish().status, second.finish().status) == (0, 0)
        far.stop()
        heard = far.finish()
    assert heard.report is not None
    total, calls = heard.report["total"], heard.report["calls"]
    assert total["at_a_time"] == total["with_media"] == 2
    assert total["received"] == sum(call["rx"]["received"] for call in calls)
    assert total["limited"] == 0
    assert "in total: 2 calls" in heard.stderr
    _check_time_line(folder, tmp_path / "mix.wav", sounds)


def _check_time_line(folder: Path, mix: Path, sounds: dict[str, np.ndarray]) -> None:
    """Each file has what its caller said, and together they are the mixture but for two fades."""
    recorded = [load(path)[0].astype(int) for path in sorted(folder.iterdir())]
    assert len(recorded) == 2
    for sound, track in zip(sounds.values(), recorded, strict=True):
        found = compare(sound, track.astype(np.int16), RATE)
        assert found.heard > 0.9  # all of it, but for what a busy machine was too late for
    whole = load(mix)[0].astype(int)
    length = min(len(whole), *map(len, recorded))
    wrong = np.count_nonzero(whole[:length] != recorded[0][:length] + recorded[1][:length])
    assert wrong <= 0.0105 * RATE  # 5 ms where the second joins, and 5 ms where the first leaves
    assert length > RATE


def start_at_a_terminal(folder: Path, program: int, *arguments: str) -> Program:
    """A receiver whose terminal this is, as a shell starts it."""
    command = ["setsid", "--ctty", sys.executable, str(ROOT / "receiver.py"), "--output", "null", *arguments]
    return Program(command, folder=folder, name="receiver", stdin=program)


def test_the_terminal_is_given_back_as_it_was(tmp_path: Path) -> None:
    import termios

    with terminal() as (person, program):
        before = termios.tcgetattr(program)
        arguments = ("--answer", "ask", "--bind", "127.0.0.1", "--sip-port", "0")
        with start_at_a_terminal(tmp_path, program, *arguments) as far:
            far.wait_for("keys")
            until(lambda: not termios.tcgetattr(program)[3] & termios.ICANON, "keys are taken one by one")
            os.write(person, b"\x03")  # Ctrl+C is still a signal
            assert far.finish().status == 0
        assert termios.tcgetattr(program) == before
