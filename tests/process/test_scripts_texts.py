"""Texts between both scripts, in a call and without one, and the keys of the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.processes import Json, Outcome, free_ports, receiver, sender
from tests.support.terminal import AtTerminal

pytestmark = pytest.mark.process


def events(outcome: Outcome, name: str) -> list[Json]:
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    return [line for line in lines if line["event"] == name]


def test_a_text_goes_with_a_call_and_is_told_once_at_both_ends(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--once", "--json") as far,
        sender(tmp_path, far.target, "--message", "grüße\x1b[2J", "--duration", "2s", "--json") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0, sent.stderr
    (text,), (fate,) = events(heard, "text"), events(sent, "text-sent")
    assert text["message"] == fate["message"] == "grüße\x1b[2J"
    assert text["call_id"] == heard.call["call_id"]
    assert (fate["delivered"], fate["status"]) == (True, 200)
    assert "  | grüße\\x1b[2J" in heard.stderr


def test_a_text_without_a_call_has_its_exit_codes(tmp_path: Path) -> None:
    text = ("--message", "on my way", "--no-call")
    with receiver(tmp_path, "--json", name="open") as far:
        with sender(tmp_path, far.target, *text, "--json", name="delivered") as near:
            sent = near.finish()
        far.stop()
        heard = far.finish()
    assert sent.status == 0, sent.stderr
    (got,) = events(heard, "text")
    assert (got["message"], got["call_id"]) == ("on my way", None)
    assert [each["delivered"] for each in events(sent, "text-sent")] == [True]
    assert heard.report is not None
    assert heard.report["calls"] == []
    with (
        receiver(tmp_path, "--answer", "deny", name="deny") as far,
        sender(tmp_path, far.target, *text, name="refused") as near,
    ):
        refused = near.finish()
    assert refused.status == 6
    assert "403 Forbidden" in refused.stderr
    secrets = tmp_path / "users"
    secrets.write_text("alice:secret\n")
    with receiver(tmp_path, "--password-file", str(secrets), name="closed") as far:
        with sender(tmp_path, far.target, *text, name="stranger") as near:
            assert near.finish().status == 7
        mine = tmp_path / "mine"
        mine.write_text("secret\n")
        with sender(tmp_path, far.target, *text, "--user", "alice", "--password-file", str(mine), name="alice") as near:
            assert near.finish().status == 0
        far.wait_for("  | on my way")
        far.stop()
        assert far.finish().stderr.count("  | on my way") == 1
    port, _ = free_ports()
    with sender(tmp_path, f"127.0.0.1:{port}", *text, name="nobody") as near:
        assert near.finish().status == 4


def test_a_receiver_with_a_password_for_two_takes_texts_in_calls_only(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_text("open sesame\n")
    password = ("--password-file", str(shared))
    with receiver(tmp_path, "--once", *password) as far:
        with sender(tmp_path, far.target, "--message", "let me in", "--no-call", name="outside") as near:
            assert near.finish().status == 6
        with sender(tmp_path, far.target, "--message", "inside", "--duration", "2s", *password, name="inside") as near:
            assert near.finish().status == 0
        heard = far.finish()
    assert "  | inside" in heard.stderr
    assert "let me in" not in heard.stderr


def test_keys_send_a_text_hold_and_resume_and_leave_the_terminal_as_it_was(tmp_path: Path) -> None:
    with AtTerminal() as terminal, receiver(tmp_path, "--once", "-v") as far:
        options = {"stdin": terminal.end, "through": terminal.through}
        with sender(tmp_path, far.target, "-v", **options) as near:  # type: ignore[arg-type]
            terminal.wait_for("keys      t write a text   h hold or resume")
            far.wait_for("call from")
            terminal.wait_for("kbit/s")  # the status line: sound flows
            terminal.types("thello h\x7fthere")
            terminal.wait_for("text: hello there")
            terminal.types("\r")
            terminal.wait_for("text delivered")
            far.wait_for("  | hello there")
            terminal.types("h")
            terminal.wait_for("is on hold")
            far.wait_for("now inactive")
            terminal.types("h")
            terminal.wait_for("no longer held")
            far.wait_for("now recvonly")
            near.stop()
            sent = near.finish()
        heard = far.finish()
        assert terminal.is_as_usual
    assert sent.status == heard.status == 0
    assert heard.call["rx"]["lost"] == 0
