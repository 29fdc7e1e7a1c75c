"""A conference of our own programs: who hears whom, and how loud, as real processes."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.support.processes import Outcome, Program, receiver, sender, until
from tests.support.tones import echo, hears, hears_clearly, levels, say

pytestmark = pytest.mark.process

HOST, ANNA, BERT = 1171.93, 401.37, 733.71
"""What each of them says: a tone of so many Hz."""
PATIENT = ("--latency", "300ms")
"""A busy machine stands still for longer than a network of its own would make anybody wait."""
ECHO = -60.0
"""dB: how loud a party may hear itself, beside the quietest of the others."""


def tone(folder: Path, hertz: float) -> str:
    return str(say(folder / f"{hertz:.0f}.wav", hertz))


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
                heard_by = partial(hears_clearly, tmp_path / f"{name}.wav", *wanted)
                until(heard_by, f"{name} hears both")
            for party in (anna, bert):
                party.stop()
            ends = [anna.finish(), bert.finish()]
        far.stop()
        heard = far.finish()
    assert [end.status for end in (*ends, heard)] == [0, 0, 0]
    assert echo(tmp_path / "anna.wav", ANNA, (BERT, HOST)) < ECHO
    assert echo(tmp_path / "bert.wav", BERT, (ANNA, HOST)) < ECHO
    assert echo(tmp_path / "host.wav", HOST, (ANNA, BERT)) < ECHO
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
            until(lambda: hears(tmp_path / "stays.wav", ANNA), "one hears the other")
            os.kill(killed.pid, signal.SIGKILL)
            listens.stop()
            assert listens.finish().status == 0
        far.wait_for("no more media")
        with _party(tmp_path, far.target, "late", HOST) as late:
            until(lambda: hears(tmp_path / "late.wav", BERT), "who comes late hears who stayed")
            until(lambda: hears(tmp_path / "stays.wav", HOST), "and is heard")
            end = _stopped(late)
        assert end.status == _stopped(stays).status == 0
        far.stop()
        heard = far.finish()
    assert heard.status in (0, 8)
    assert heard.report is not None
    reasons = sorted(call["end_reason"] for call in heard.report["calls"])
    assert reasons == ["media-timeout", "remote-bye", "remote-bye", "remote-bye"]
    last = levels(tmp_path / "stays.wav", (ANNA, BERT, HOST))[-1]
    assert last[BERT] < -55


def _party(folder: Path, target: str, name: str, hertz: float) -> AbstractContextManager[Program]:
    sound = ("--two-way", "--codec", "l16", "-i", tone(folder, hertz), "-o", f"{name}.wav", *PATIENT)
    return sender(folder, target, *sound, name=name)


def _stopped(program: Program) -> Outcome:
    program.stop()
    return program.finish()
