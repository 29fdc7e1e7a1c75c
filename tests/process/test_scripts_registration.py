"""Accounts between real programs: Kamailio and sipp are the registrars, both scripts register and call through them."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path

import pytest

from tests.support.peers import require
from tests.support.processes import LOOPBACK, Program, free_ports, receiver, sender, until
from tests.support.registrar_lab import PASSWORD, registrar
from tests.support.sipp import PASSWORD as SIPP_PASSWORD
from tests.support.sipp import USER, Scenario, Sipp

pytestmark = [pytest.mark.process, pytest.mark.interop]

ENDED, REJECTED, AUTHENTICATION = 0, 6, 7
REGISTERED = "registered as sip:"
GOODBYE = 1.5  # seconds that cli.md allows for the end, BYE and un-REGISTER included
GONE = 25.0  # seconds without a registrar: pauses have grown as far as they do within minutes
BACK_WITHIN = 5.0
PAUSE = 2.0  # between two calls, at most
SLACK = 1.5  # for a busy machine, and to end the process


def account(folder: Path, user: str, server: str, password: str = PASSWORD) -> tuple[str, ...]:
    file = folder / f"password of {user}"
    file.write_text(password + "\n")
    return "--registrar", server, "--user", user, "--password-file", str(file)


def registrations(program: Program) -> int:
    """How often it has said so; "not registered as" is something else."""
    return sum(bool(re.match(rf"(\d\d:\d\d:\d\d )?{REGISTERED}", line)) for line in program.stderr.splitlines())


@pytest.mark.parametrize(("algorithm", "transport"), [("SHA-256", ""), ("MD5", ";transport=tcp")])
def test_a_registration_brings_calls_and_survives_its_registrar(algorithm: str, transport: str, tmp_path: Path) -> None:
    """The registrar is killed and started again, and has forgotten everybody: it is told again."""
    port, _ = free_ports()
    server = f"sip:{LOOPBACK}:{port}{transport}"

    def call(name: str, *, by: str = "--registrar", target: str = "bob") -> int:
        _, _, *credentials = account(tmp_path, "alice", server)
        arguments = (by, server, *credentials, "--duration", "0.3s")
        with sender(tmp_path, target, *arguments, name=name) as near:
            return near.finish().status

    first = contextlib.ExitStack()
    with first, contextlib.ExitStack() as second:
        first.enter_context(registrar(tmp_path / "first", port, algorithm=algorithm))
        with receiver(tmp_path, *account(tmp_path, "bob", server), "-v") as far:
            far.wait_for(REGISTERED)
            assert call("before") == ENDED, far.stderr
            first.close()
            known = registrations(far)
            second.enter_context(registrar(tmp_path / "second", port, algorithm=algorithm))
            until(lambda: registrations(far) > known, f"registered anew:\n{far.stderr}")
            assert call("after", by="--proxy", target="bob@nowhere.invalid") == ENDED, far.stderr
            far.stop()
            outcome = far.finish()
        assert outcome.status == ENDED, outcome.stderr
        assert outcome.report is not None
        assert len(outcome.report["calls"]) == 2
        assert call("nobody") == REJECTED, "the registration was not taken back"


@pytest.mark.parametrize("transport", ["", ";transport=tcp"])
def test_a_registration_is_back_within_5_s_of_the_return_of_the_registrar(transport: str, tmp_path: Path) -> None:
    """Longer gone than a REGISTER is repeated for; the call that is up goes on, and the next one waits to be made."""
    port, _ = free_ports()
    server = f"sip:{LOOPBACK}:{port}{transport}"
    alice, bob = (account(tmp_path, user, server) for user in ("alice", "bob"))
    first = contextlib.ExitStack()
    with first, contextlib.ExitStack() as second:
        first.enter_context(registrar(tmp_path / "first", port))
        with (
            receiver(tmp_path, *bob, "--max-calls", "2") as far,
            sender(tmp_path, "bob", *alice, name="before") as before,
        ):
            far.wait_for("call from")
            before.wait_for("call to")  # the answer has come through the registrar
            first.close()
            far.wait_for("not registered as sip:bob")
            with sender(tmp_path, "bob", *alice, "--retry", "forever", name="after") as after:
                time.sleep(GONE)
                second.enter_context(registrar(tmp_path / "second", port))
                back = time.monotonic()
                until(lambda: registrations(far) == 2, f"registered anew:\n{far.stderr}")
                registered = time.monotonic() - back
                after.wait_for("call to")
                called = time.monotonic() - back
                assert before.process.poll() is None
                assert "call ended" not in before.stderr
                after.stop()
                assert after.finish().status == ENDED, after.stderr
            before.stop()
            outcome = before.finish()
            far.stop()
            far.finish()
    gone = f"registrar gone {GONE:.0f} s{transport}"
    print(f"{gone}: registered {registered:.2f} s, next call {called:.2f} s after its return")  # noqa: T201
    assert registered < BACK_WITHIN
    assert called < BACK_WITHIN + PAUSE  # one that comes before its callee is refused (404), and made again
    assert outcome.status == ENDED, outcome.stderr
    assert outcome.call["duration_s"] > GONE


def test_a_password_that_the_registrar_refuses_ends_both_programs(tmp_path: Path) -> None:
    port, _ = free_ports()
    server = f"{LOOPBACK}:{port}"
    with registrar(tmp_path / "registrar", port):
        wrong = account(tmp_path, "bob", server, "guess")
        with receiver(tmp_path, *wrong, ready=None) as far, sender(tmp_path, LOOPBACK, *wrong) as near:
            outcomes = near.finish(), far.finish()
    for outcome in outcomes:
        assert outcome.status == AUTHENTICATION, outcome.stderr
        assert f"rejects sip:bob@{server}" in outcome.stderr


def _registers() -> Scenario:
    """Ask for the password, find the interval too brief, register; and then be left."""
    challenge = 'WWW-Authenticate: Digest realm="here",nonce="8f2d61a95c04",qop="auth",algorithm=MD5'
    scenario = Scenario().asked("REGISTER", line="Expires: 300")
    scenario.reply("401 Unauthorized", headers=[challenge], again=False)
    scenario.asked("REGISTER", authorized="right").goto("right", if_set="right")
    scenario.action('<error message="the digest response is wrong or missing"/>')
    scenario.label("right").reply("423 Interval Too Brief", headers=["Min-Expires: 600"], again=False)
    scenario.asked("REGISTER", line="Expires: 600")
    scenario.reply("200 OK", headers=["[last_Contact:];expires=500"], again=False)
    scenario.asked("REGISTER", line="Expires: 0", timeout=20_000)
    return scenario.reply("200 OK", headers=["Expires: 0"], again=False)


def test_sipp_is_registered_at_and_left(tmp_path: Path) -> None:
    require("sipp")
    port, _ = free_ports()
    arguments = account(tmp_path, USER, f"{LOOPBACK}:{port}", SIPP_PASSWORD)
    with Sipp(_registers(), tmp_path, "-p", str(port), host=LOOPBACK, seconds=30.0) as peer:
        with receiver(tmp_path, *arguments, "--json") as far:
            assert "for 500 s" in far.wait_for(REGISTERED)
            far.stop()
            outcome = far.finish()
        verdict = peer.finish()
    assert verdict.passed, f"{verdict}\n{outcome.stderr}"
    assert outcome.status == ENDED
    events = [json.loads(line) for line in outcome.stdout.splitlines()]
    (registered,) = [event for event in events if event["event"] == "registered"]
    assert registered["account"] == f"sip:{USER}@{LOOPBACK}:{port}"
    assert (registered["expires"], registered["contact"]) == (500, f"sip:{USER}@{far.target}")
    assert SIPP_PASSWORD not in verdict.messages


def test_a_silent_registrar_keeps_nobody_from_calling_nor_from_leaving(tmp_path: Path) -> None:
    port, _ = free_ports()
    arguments = account(tmp_path, "bob", f"{LOOPBACK}:{port}")
    with receiver(tmp_path, *arguments) as far:
        with sender(tmp_path, far.target, "--duration", "0.3s") as near:
            assert near.finish().status == ENDED
        began = time.monotonic()
        far.stop()
        assert far.finish().status == ENDED
        assert time.monotonic() - began < GOODBYE + SLACK
