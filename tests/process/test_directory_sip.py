"""The SIP port of voip-directory as a real process: what was registered survives kill -9, and calls by name."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.support.directory_http import Client
from tests.support.directory_program import directory, http_port, sip_port
from tests.support.processes import LOOPBACK, Program, receiver, sender, until
from tests.support.raw_peer import RawPeer, raw_peer
from tests.support.text_phone import status

pytestmark = pytest.mark.process

CONTACTS = 20
LONG = 90.0
"""Seconds that a program may take on a machine that has other things to do."""


def client_of(program: Program) -> contextlib.closing[Client]:
    return contextlib.closing(Client(http_port(program)))


def register(peer: RawPeer, port: int, name: str, number: int) -> int | None:
    """A REGISTER of this contact of a name; the status of the response."""
    contact = f"Contact: <sip:{name}{number}@{LOOPBACK}:{9000 + number}>;expires=3600"
    request = peer.text.request(
        "REGISTER", f"sip:{LOOPBACK}:{port}", contact, to=f"<sip:{name}@{LOOPBACK}:{port}>", contact=False
    )
    return status(peer.ask(request, (LOOPBACK, port)))


def is_registered(program: Program, name: str) -> bool:
    """By a connection of its own: one that is idle for 10 s is closed, and programs may take longer to start."""
    with client_of(program) as client:
        return bool(contacts(client, name))


def contacts(client: Client, name: str) -> set[str]:
    return set(client.get(f"/api/users/find?name={name}").body["contacts"])


def test_what_was_registered_over_sip_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[str, set[str]] = {}
    with directory(tmp_path, "-v") as program, raw_peer() as peer, client_of(program) as client:
        port = sip_port(program)
        for number in range(CONTACTS):
            name = f"user{number // 5}"
            client.register(name)
            assert register(peer, port, name, number) == 200
            acknowledged.setdefault(name, set()).add(f"sip:{name}{number}@{LOOPBACK}:{9000 + number}")
        os.kill(program.pid, signal.SIGKILL)
    with directory(tmp_path, "-v", name="again") as program, raw_peer() as peer, client_of(program) as client:
        port = sip_port(program)
        assert {name: contacts(client, name) for name in acknowledged} == acknowledged
        assert register(peer, port, "nobody", 1) == 404


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sender_calls_receiver_by_name(tmp_path: Path, transport: str) -> None:
    with directory(tmp_path, "-v") as program, client_of(program) as client:
        port = sip_port(program)
        client.register("bob")
        site = f"{LOOPBACK}:{port};transport={transport}"
        with receiver(tmp_path, "--registrar", f"sip:{site}", "--user", "bob", "--once") as far:
            until(lambda: is_registered(program, "bob"), "bob is registered")
            with sender(tmp_path, f"sip:bob@{LOOPBACK}:{port}", "--duration", "4s") as near:
                until(lambda: presence(program, "bob") == "incall", "the call, as the directory shows it")
                outcome = near.finish()
                assert outcome.status == 0, outcome.stderr
                assert outcome.call["tx"]["packets"] > 50, outcome.stderr
            assert far.finish().status == 0
            until(lambda: presence(program, "bob") != "incall", "its end")
        with client_of(program) as again:
            (call,) = again.get("/api/calls/list").body["calls"]
        assert (call["callee"], call["status"], call["reason"]) == ("bob", "ended", "hung up")


def test_a_call_that_goes_on_over_kill_9_is_unknown_until_its_end_passes(tmp_path: Path) -> None:
    with directory(tmp_path, "-v") as program:
        port = sip_port(program)
        with client_of(program) as client:
            client.register("bob")
        with receiver(tmp_path, "--registrar", f"sip:{LOOPBACK}:{port}", "--user", "bob", "--once") as far:
            until(lambda: is_registered(program, "bob"), "bob is registered")
            with sender(tmp_path, f"sip:bob@{LOOPBACK}:{port}") as near:
                until(lambda: presence(program, "bob") == "incall", "the call, as the directory shows it")
                until(lambda: stored_calls(tmp_path) == 1, "the call in the database")
                os.kill(program.pid, signal.SIGKILL)
                program.finish()
                with directory(tmp_path, "-v", "--sip-port", str(port), name="again") as again:
                    assert (presence(again, "bob"), newest_call(again)) == ("unknown", ("unknown", SINCE_RESTART))
                    near.stop()
                    assert near.finish().status == 0
                    assert far.finish().status == 0
                    until(lambda: newest_call(again) == ("ended", "hung up"), "its end")


SINCE_RESTART = "since the directory was restarted"


def stored_calls(folder: Path) -> int:
    """Those that are durable: a call of telephones waits for no acknowledgement."""
    with contextlib.closing(sqlite3.connect(folder / "voip.sqlite")) as database:
        return int(database.execute("select count(*) from calls where dialogs is not null").fetchone()[0])


def newest_call(program: Program) -> tuple[str, str]:
    """Its state, and the reason of that."""
    with client_of(program) as client:
        call = client.get("/api/calls/list").body["calls"][0]
    return call["status"], call["reason"]


def presence(program: Program, name: str) -> str:
    with client_of(program) as client:
        return str(client.get(f"/api/users/find?name={name}").body["status"])


def test_an_unknown_name_is_said_to_be_that(tmp_path: Path) -> None:
    with directory(tmp_path, "-v") as program:
        port = sip_port(program)
        http_port(program)
        with sender(tmp_path, f"sip:carol@{LOOPBACK}:{port}") as near:
            outcome = near.finish()
        assert outcome.status == 6
        assert "404" in outcome.stderr


def test_with_ask_callers_and_a_domain_only_users_call_and_only_users_of_that(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct-horse\n")
    with directory(tmp_path, "-v", "--ask-callers", "--domain", "house.test") as program, client_of(program) as client:
        port = sip_port(program)
        client.register("alice", password="correct-horse")
        client.register("bob", password="correct-horse")
        account = ("--password-file", str(password))
        site = f"sip:house.test:{port};maddr={LOOPBACK}"
        with receiver(tmp_path, "--registrar", site, "--user", "bob", *account, "--once") as far:
            until(lambda: is_registered(program, "bob"), "bob is registered")
            at_house = f"sip:bob@house.test:{port};maddr={LOOPBACK}"
            for name, target, more, status_, said in (
                ("stranger", at_house, (), 7, "407"),
                ("elsewhere", f"sip:bob@{LOOPBACK}:{port}", ("--user", "alice", *account), 6, "403"),
            ):
                with sender(tmp_path, target, *more, name=name) as near:
                    outcome = near.finish(LONG)
                assert (outcome.status, said in outcome.stderr) == (status_, True), outcome.stderr
            with sender(tmp_path, at_house, "--user", "alice", *account, "--duration", "2s", name="alice") as near:
                assert near.finish(LONG).status == 0, near.stderr
            assert far.finish(LONG).status == 0
