"""receiver.py --workers as other people's programs see it: one user agent. All of sipp's situations, and telephones."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.baresip import Baresip, baresip
from tests.support.peers import require
from tests.support.processes import LOOPBACK, assert_identities, free_ports, receiver, until
from tests.support.sipp_scenarios import UAC, run_uac
from tests.support.sound import speechlike
from tests.support.wav import load, save

pytestmark = [pytest.mark.process, pytest.mark.interop]

WORKERS = ("--workers", "2", "--max-calls", "10")
PATIENT = 60.0
"""Seconds for the end of several processes on a machine that is busy."""
ENDED, NO_SOUND = 0, 8
RATE = 8000
SECONDS = 4.0


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_sipp_sees_one_user_agent(protocol: str, tmp_path: Path) -> None:
    require("sipp")
    problems = []
    with receiver(tmp_path, *WORKERS) as program:
        for name in UAC:
            folder, (port, _) = Path(tempfile.mkdtemp(dir=tmp_path)), free_ports()
            verdict = run_uac(name, folder, program.target, host=LOOPBACK, port=port, protocol=protocol)
            problems += [] if verdict.passed else [f"{name}: {verdict}"]
        program.stop()
        outcome = program.finish(PATIENT)
    assert not problems, "\n\n".join(problems) + outcome.stderr
    assert outcome.status in (ENDED, NO_SOUND), outcome.stderr  # the last of the calls has no media at all
    assert "Traceback" not in outcome.stderr
    assert "worker 1 was" not in outcome.stderr
    assert outcome.report is not None
    assert len(outcome.report["calls"]) >= len({"basic", "recorded", "late offer", "hold", "two calls", "two calls 2"})
    for call in outcome.report["calls"]:
        if call["rx"] is not None:
            assert_identities(call)


@contextlib.contextmanager
def telephones(folder: Path, target: str, said: Path, count: int) -> Iterator[list[Baresip]]:
    with contextlib.ExitStack() as running:
        phones = []
        for number in range(count):
            home = folder / f"phone{number}"
            home.mkdir()
            phones.append(running.enter_context(baresip(home, "PCMU/8000/1", dial=f"sip:room@{target}", says=said)))
        yield phones


def test_two_telephones_are_recorded_by_two_workers_and_one_hangs_up_itself(tmp_path: Path) -> None:
    require("baresip")
    said = save(tmp_path / "said.wav", speechlike(RATE, SECONDS), RATE)
    calls = tmp_path / "calls"
    with (
        receiver(tmp_path, *WORKERS, "--output-per-caller", "calls", "--latency", "200ms") as far,
        telephones(tmp_path, far.target, said, 2) as (first, second),
    ):
        for phone in (first, second):
            phone.wait_for("Call established")
        until(lambda: sum(file.stat().st_size > 2 * RATE for file in calls.glob("*.wav")) == 2, "both are recorded")
        first.hang_up()
        first.finish()
        far.stop()
        outcome = far.finish(PATIENT)
        second.wait_for("session closed")
        second.finish_quietly()
    assert outcome.status == ENDED, outcome.stderr
    assert outcome.report is not None
    assert sorted(call["end_reason"] for call in outcome.report["calls"]) == ["local-bye", "remote-bye"]
    assert all(call["rx"]["received"] > 0 and call["rx"]["lost"] == 0 for call in outcome.report["calls"])
    assert all(abs(load(file)[0].astype(int)).max() > 1000 for file in calls.glob("*.wav"))
