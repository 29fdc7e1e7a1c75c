"""Passwords between real programs: receiver.py asks, sender.py and sipp prove; sipp asks, sender.py proves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.peers import require
from tests.support.processes import LOOPBACK, free_ports, receiver, sender
from tests.support.sipp import PASSWORD, USER, Scenario, Sipp, audio

pytestmark = [pytest.mark.process, pytest.mark.interop]

ENDED, AUTHENTICATION = 0, 7
CHALLENGE = '{}-Authenticate: Digest realm="{}",nonce="8f2d61a95c04",qop="auth",algorithm={}'
REFUSED = '<error message="the digest response is wrong or missing"/>'


def proves() -> Scenario:
    """Call, be challenged, answer, hang up."""
    scenario = Scenario().send("INVITE", 1, transaction="first", body=audio())
    scenario.receive(401, transaction="first", challenge=True)
    scenario.send("ACK", 1, transaction="first")
    proof = f"[authentication username={USER} password={PASSWORD}]"
    scenario.send("INVITE", 2, transaction="second", body=audio(), headers=[proof]).ringing("second")
    scenario.receive(200, transaction="second", routes=True).send("ACK", 2, transaction="second", inside=True)
    scenario.pause(300).send("BYE", 3, transaction="bye", inside=True)
    return scenario.receive(200, transaction="bye")


def test_who_has_the_password_is_played_and_who_has_not_never_rings(tmp_path: Path) -> None:
    require("sipp")
    passwords, right, wrong = tmp_path / "passwords", tmp_path / "right", tmp_path / "wrong"
    passwords.write_text(f"bob:zanzibar\n{USER}:{PASSWORD}\n")
    right.write_text(f"{PASSWORD}\n")
    wrong.write_text("guess\n")
    with receiver(tmp_path, "--password-file", str(passwords), "-v") as far:
        account = ("--user", USER, "--password-file", str(wrong))
        with sender(tmp_path, far.target, *account, name="wrong") as near:
            refused = near.finish()
        with sender(tmp_path, far.target, name="stranger") as near:
            stranger = near.finish()
        assert (refused.status, stranger.status) == (AUTHENTICATION, AUTHENTICATION), refused.stderr
        assert "password" in refused.stderr
        far.wait_for(": 401")
        account = ("--user", USER, "--password-file", str(right))
        with sender(tmp_path, far.target, *account, "--duration", "0.5s", name="right") as near:
            taken = near.finish()
        assert taken.status == ENDED, f"{taken.stderr}\n{far.stderr}"
        with sender(tmp_path, far.target, name="another stranger"):
            far.wait_for(": 401")  # the host gives up: it is asked for MD5 alone then, all that sipp knows
        port, _ = free_ports()
        arguments = [far.target, "-s", "receiver", "-p", str(port), "-mp", str(port + 2)]
        with Sipp(proves(), tmp_path, *arguments, host=LOOPBACK, seconds=20.0) as peer:
            verdict = peer.finish()
        assert verdict.passed, f"{verdict}\n{far.stderr}"
        far.stop()
        outcome = far.finish()
    assert outcome.report is not None
    assert len(outcome.report["calls"]) == 2, "only those with the password have rung"
    assert PASSWORD not in outcome.stderr + taken.stderr
