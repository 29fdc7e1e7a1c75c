"""SIP situations that sipp, another implementation, puts the two scripts into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.peers import require
from tests.support.processes import LOOPBACK, Receiver, assert_identities, free_ports, receiver, sender
from tests.support.sipp import PASSWORD, USER, Scenario, Sipp, Verdict
from tests.support.sipp_scenarios import UAC, UAS, run_uac, run_uas

pytestmark = [pytest.mark.process, pytest.mark.interop]

ENDED, NO_ANSWER, REJECTED, AUTHENTICATION = 0, 5, 6, 7  # exit codes of the scripts
TWO_SECONDS = ("--duration", "2s")
PLAIN_CALLER = {
    "basic": (TWO_SECONDS, ENDED),
    "ringing": (TWO_SECONDS, ENDED),
    "early media": (TWO_SECONDS, ENDED),
    "redirect": (TWO_SECONDS, ENDED),
    "busy": ((), REJECTED),
    "not found": ((), REJECTED),
    "unavailable": ((), REJECTED),
    "hangs up": ((), ENDED),
    "reliable": (TWO_SECONDS, ENDED),
    "early update": (TWO_SECONDS, ENDED),
    "wants refreshes": (("--duration", "6500ms"), ENDED),
}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for all callers: none of them may spoil it for the next."""
    require("sipp")
    with receiver(tmp_path_factory.mktemp("receiver")) as program:
        yield program
        program.stop()
        outcome = program.finish()
    assert outcome.status == ENDED, outcome.stderr
    assert outcome.report is not None
    for call in outcome.report["calls"]:
        assert_identities(call)


@pytest.mark.parametrize("situation", UAC)
def test_receiver_is_called(situation: str, waiting: Receiver, tmp_path: Path) -> None:
    port, _ = free_ports()
    verdict = run_uac(situation, tmp_path, waiting.target, host=LOOPBACK, port=port)
    assert verdict.passed, f"{verdict}\n{waiting.stderr}"
    assert waiting.process.poll() is None
    assert "Traceback" not in waiting.stderr


def call(situation: str, folder: Path, *arguments: str) -> tuple[int, str, Verdict]:
    """sender.py calls sipp: exit code, what it said, sipp's verdict."""
    require("sipp")
    port, _ = free_ports()
    with run_uas(situation, folder, host=LOOPBACK, port=port) as callee:
        with sender(folder, f"sip:someone@{LOOPBACK}:{port}", *arguments) as program:
            outcome = program.finish()
        return outcome.status, outcome.stderr, callee.finish()


@pytest.mark.parametrize("situation", PLAIN_CALLER)
def test_sender_calls(situation: str, tmp_path: Path) -> None:
    arguments, expected = PLAIN_CALLER[situation]
    status, said, verdict = call(situation, tmp_path, *arguments)
    assert verdict.passed, f"{verdict}\n{said}"
    assert status == expected, said
    assert "Traceback" not in said


def test_every_situation_of_a_caller_is_played() -> None:
    assert {*PLAIN_CALLER, "digest", "rings for ever", "silent"} == set(UAS)


def test_a_password_is_given_when_asked_for(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    status, said, verdict = call("digest", tmp_path, "--user", USER, "--password-file", str(password), *TWO_SECONDS)
    assert verdict.passed, f"{verdict}\n{said}"
    assert status == ENDED, said


def test_without_a_password_the_call_ends_as_unauthorised(tmp_path: Path) -> None:
    require("sipp")
    port, _ = free_ports()
    with run_uas("digest", tmp_path, host=LOOPBACK, port=port), sender(tmp_path, f"{LOOPBACK}:{port}") as program:
        outcome = program.finish()
    assert outcome.status == AUTHENTICATION, outcome.stderr


def test_an_unanswered_invite_is_repeated_at_growing_intervals(tmp_path: Path) -> None:
    status, said, verdict = call("silent", tmp_path, "--connect-timeout", "4s")
    assert verdict.passed, f"{verdict}\n{said}"
    assert status == NO_ANSWER, said
    # RFC 3261 17.1.1.2: after 0.5, 1.5 and 3.5 s
    assert verdict.messages.count("INVITE sip:someone@") == 4, verdict
    assert "CANCEL sip:" not in verdict.messages, "nothing has answered: there is nothing to cancel"


def test_ctrl_c_while_it_rings_cancels(tmp_path: Path) -> None:
    require("sipp")
    port, _ = free_ports()
    with run_uas("rings for ever", tmp_path, host=LOOPBACK, port=port) as callee:
        with sender(tmp_path, f"{LOOPBACK}:{port}") as program:
            program.wait_for("inging")
            program.stop()
            outcome = program.finish()
        verdict = callee.finish()
    assert verdict.passed, f"{verdict}\n{outcome.stderr}"
    assert outcome.status == ENDED, outcome.stderr


@pytest.mark.parametrize(
    ("response", "code"), [("200 OK", ENDED), ("202 Accepted", ENDED), ("404 Not Found", REJECTED)]
)
def test_a_text_without_a_call_reaches_sipp(response: str, code: int, tmp_path: Path) -> None:
    require("sipp")
    port, _ = free_ports()
    scenario = Scenario().asked("MESSAGE", body="on my way", line="text/plain")
    scenario.reply(response, headers=["Server: sipp"], again=False)
    with Sipp(scenario, tmp_path, "-p", str(port), host=LOOPBACK, seconds=40.0) as peer:
        with sender(tmp_path, f"{LOOPBACK}:{port}", "--message", "on my way", "--no-call") as program:
            outcome = program.finish()
        verdict = peer.finish()
    assert verdict.passed, f"{verdict}\n{outcome.stderr}"
    assert outcome.status == code, outcome.stderr
    assert outcome.report is not None
    assert outcome.report["exit"] == code
