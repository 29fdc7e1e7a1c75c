"""A conference of our own programs: who hears whom, and how loud, as real processes."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import Outcome, Program, receiver, sender, until
from tests.support.sound import sine
from tests.support.wav import Samples, load, save

pytestmark = pytest.mark.process

RATE = 48000
HOST, ANNA, BERT = 1171.93, 401.37, 733.71
"""What each of them says: a tone of so many Hz."""
PATIENT = ("--latency", "300ms")
"""A busy machine stands still for longer than a network of its own would make anybody wait."""
ECHO = -60.0
"""dB: how loud a party may hear itself, beside the quietest of the others."""
PIECE = 0.5
"""Seconds in which levels are measured."""


def tone(folder: Path, hertz: float, seconds: float = 60.0) -> str:
    return str(save(folder / f"{hertz:.0f}.wav", sine(RATE, seconds, hertz, peak=6000)))


def levels(path: Path, *tones: float) -> list[dict[float, float]]:
    """dBFS of each tone, in each PIECE of a recording."""
    return _levels(load(path)[0], *tones)


def _levels(sound: Samples, *tones: float) -> list[dict[float, float]]:
    length = round(PIECE * RATE)
    window = np.hanning(length)
    pieces = [sound[start : start + length, 0] * window for start in range(0, len(sound) - length, length)]

    def level(piece: np.ndarray, hertz: float) -> float:
        found = abs(piece @ np.exp(-2j * np.pi * hertz * np.arange(length) / RATE))
        return 20 * float(np.log10(4 * found / length / 32768 + 1e-9))

    return [{hertz: level(piece, hertz) for hertz in tones} for piece in pieces]


def best(found: list[dict[float, float]], own: float, *others: float) -> float:
    """How loud a party hears itself beside the others: in the piece in which it hears all of those best."""
    piece = max(found, key=lambda levels: min(levels[other] for other in others))
    assert min(piece[other] for other in others) > -30  # they are heard: 6000 is -15 dBFS
    return piece[own] - min(piece[other] for other in others)


def test_two_callers_and_the_host_hear_each_other_and_none_hears_itself(tmp_path: Path) -> None:
    call = ("--two-way", "--codec", "l16", "--fec", "off", *PATIENT)
    host = ("--conference", "--max-calls", "3", "--two-way", "-i", tone(tmp_path, HOST), "-o", "host.wav", *PATIENT)
    with receiver(tmp_path, *host) as far:
        parties = [
            sender(tmp_path, far.target, *call, "-i", tone(tmp_path, hertz), "-o", f"{name}.wav", name=name)
            for name, hertz in (("anna", ANNA), ("bert", BERT))
        ]
        with parties[0] as anna, parties[1] as bert:
            until(lambda: far.stderr.count("call from") == 2, "both are there")
            for name, wanted in (("anna", (BERT, HOST)), ("bert", (ANNA, HOST)), ("host", (ANNA, BERT))):
                until(lambda name=name, wanted=wanted: _hears(tmp_path / f"{name}.wav", *wanted), f"{name} hears both")  # type: ignore[misc]
            for party in (anna, bert):
                party.stop()
            ends = [anna.finish(), bert.finish()]
        far.stop()
        heard = far.finish()
    assert [end.status for end in (*ends, heard)] == [0, 0, 0]
    assert best(levels(tmp_path / "anna.wav", ANNA, BERT, HOST), ANNA, BERT, HOST) < ECHO
    assert best(levels(tmp_path / "bert.wav", ANNA, BERT, HOST), BERT, ANNA, HOST) < ECHO
    assert best(levels(tmp_path / "host.wav", ANNA, BERT, HOST), HOST, ANNA, BERT) < ECHO
    assert heard.report is not None
    assert {call["tx"]["packets"] > 100 for call in heard.report["calls"]} == {True}
    assert heard.report["total"]["at_a_time"] == 2


def test_one_who_is_killed_and_one_who_hangs_up_leave_the_others_talking(tmp_path: Path) -> None:
    """A party that goes without a word is found out by its closed port, or by its silence; another comes late."""
    call = ("--two-way", "-i")
    host = ("--conference", "--max-calls", "4", "--media-timeout", "5s", "-o", "null")
    with receiver(tmp_path, *host) as far, _party(tmp_path, far.target, "stays", BERT) as stays:
        with (
            _party(tmp_path, far.target, "killed", ANNA) as killed,
            sender(tmp_path, far.target, *call, "silence", "-o", "null", name="listens") as listens,
        ):
            until(lambda: far.stderr.count("call from") == 3, "all are there")
            until(lambda: _hears(tmp_path / "stays.wav", ANNA), "one hears the other")
            os.kill(killed.pid, signal.SIGKILL)
            listens.stop()
            assert listens.finish().status == 0
        far.wait_for("no more media")
        with _party(tmp_path, far.target, "late", HOST) as late:
            until(lambda: _hears(tmp_path / "late.wav", BERT), "who comes late hears who stayed")
            until(lambda: _hears(tmp_path / "stays.wav", HOST), "and is heard")
            end = _stopped(late)
        assert end.status == _stopped(stays).status == 0
        far.stop()
        heard = far.finish()
    assert heard.status in (0, 8)
    assert heard.report is not None
    reasons = sorted(call["end_reason"] for call in heard.report["calls"])
    assert reasons == ["media-timeout", "remote-bye", "remote-bye", "remote-bye"]
    last = levels(tmp_path / "stays.wav", ANNA, BERT, HOST)[-1]
    assert last[BERT] < -55


def _party(folder: Path, target: str, name: str, hertz: float) -> AbstractContextManager[Program]:
    sound = ("--two-way", "--codec", "l16", "-i", tone(folder, hertz), "-o", f"{name}.wav", *PATIENT)
    return sender(folder, target, *sound, name=name)


def _stopped(program: Program) -> Outcome:
    program.stop()
    return program.finish()


def _hears(path: Path, *tones: float) -> bool:
    """Whether there is a piece of the recording, as it grows, with all of these."""
    try:
        found = levels(path, *tones)
    except (OSError, EOFError):  # not yet
        return False
    return any(min(piece.values()) > -30 for piece in found)
