"""Both scripts and a real directory, on loopback: names instead of addresses, calls that the API begins and answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, Json, Outcome, Program, free_ports, receiver, sender, until

pytest.importorskip("sqlalchemy")
aiohttp = pytest.importorskip("aiohttp")

pytestmark = pytest.mark.process
TOKEN = "a-token-of-the-directory"


class RunningDirectory(Program):
    """voip-directory at `port`."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Json | None = None, token: str | None = None) -> Json:
        """What the API responds."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data, headers), timeout=20) as response:
            found: Json = json.load(response)
        return found

    def user(self, name: str, token: str | None = None) -> Json:
        """What it says of a name; {} if it knows none."""
        try:
            return self.ask(f"/api/users/find?name={name}", token=token)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise
            return {}


@contextlib.contextmanager
def directory(
    folder: Path, *arguments: str, port: int | None = None, name: str = "directory"
) -> Iterator[RunningDirectory]:
    port = port or free_ports()[0]
    command = [sys.executable, "-m", "voip.directory", "--http", f"127.0.0.1:{port}"]
    command += ["--sip-port", str(free_ports()[0]), "--database", str(folder / "voip.sqlite"), *arguments]
    environment = {"PYTHONPATH": str(ROOT)}
    with RunningDirectory(command, folder=folder, name=name, environment=environment) as program:
        program.port = port
        program.wait_for("directory http")
        yield program


def events(outcome: Outcome, name: str) -> list[Json]:
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    return [line for line in lines if line["event"] == name]


def test_a_sender_finds_a_receiver_by_its_name(tmp_path: Path) -> None:
    with directory(tmp_path) as place, receiver(tmp_path, "--once", "--directory", place.url, "--name", "bob") as bob:
        bob.wait_for(f"directory {place.url} knows this receiver as bob: sender.py --directory URL bob calls it")
        with sender(tmp_path, "Bob", "--directory", place.url, "-t", "2s", "--json") as alice:
            called = alice.finish()
        heard = bob.finish()
        until(lambda: place.user("bob")["status"] == "offline", "the end of bob")
    assert called.status == heard.status == 0, called.stderr
    (located,) = events(called, "located")
    assert (located["target"], located["by"], located["uri"]) == (
        "Bob",
        "directory",
        f"sip:bob@127.0.0.1:{bob.sip_port}",
    )
    assert f"by the directory {place.url}" in called.stderr
    assert heard.call["rx"]["received"] > 50


def test_browsing_lists_who_is_at_the_directory(tmp_path: Path) -> None:
    with directory(tmp_path) as place, receiver(tmp_path, "--directory", place.url, "--name", "bob") as bob:
        bob.wait_for("as bob")
        command = [sys.executable, str(ROOT / "sender.py"), "--browse", "--bind", "127.0.0.1"]
        with Program([*command, "--directory", place.url, "--json"], folder=tmp_path, name="browse") as program:
            listed = program.finish()
        bob.stop()
        assert bob.finish().status == 0
    assert listed.status == 0, listed.stderr
    found = [(each["instance"], each["uri"], each["by"], each["status"]) for each in events(listed, "found")]
    assert ("bob", f"sip:bob@127.0.0.1:{bob.sip_port}", "directory", "idle") in found


def test_a_call_outlives_its_directory_which_knows_the_receiver_again_after_a_restart(tmp_path: Path) -> None:
    port = free_ports()[0]
    with contextlib.ExitStack() as running:
        place = running.enter_context(directory(tmp_path, port=port, name="first"))
        options = ("--directory", place.url, "--name", "bob")
        bob = running.enter_context(receiver(tmp_path, *options, "--json"))
        bob.wait_for("knows this receiver as bob")
        user_id = place.user("bob")["user_id"]
        alice = running.enter_context(sender(tmp_path, "bob", "--directory", place.url, name="alice"))
        alice.wait_for("by the directory")
        until(lambda: place.user("bob")["status"] == "incall", "the call, as the directory sees it")
        place.send_signal(signal.SIGKILL)
        bob.wait_for("tried again there as bob")
        second = running.enter_context(directory(tmp_path, port=port, name="second"))
        until(lambda: bob.stderr.count("knows this receiver as bob") == 2, "bob, known again")
        assert second.user("bob")["user_id"] == user_id
        assert second.user("bob")["contacts"] == [f"sip:bob@127.0.0.1:{bob.sip_port}"]
        alice.stop()
        assert alice.finish().status == 0
        bob.stop()
        heard = bob.finish()
    assert heard.status == 0
    assert len(events(heard, "directory-lost")) == 1
    assert len(events(heard, "directory")) == 2
    assert heard.call["end_reason"] == "remote-bye"


def test_the_api_has_one_script_call_another_and_that_one_answer(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        place = running.enter_context(directory(tmp_path))
        known = ("--directory", place.url)
        bob = running.enter_context(
            receiver(
                tmp_path, "--answer", "ask", *known, "--name", "bob", "--json", "--stats-interval", "0.2s", name="bob"
            )
        )
        alice = running.enter_context(waiting_sender(tmp_path, "--directory", place.url, "--name", "alice"))
        bob.wait_for("as bob")
        alice.wait_for("as alice")
        ids = {name: place.user(name)["user_id"] for name in ("alice", "bob")}

        def signal_(word: str, who: str, **fields: str) -> Json:
            return place.ask(f"/api/signal/{word}", {"message_type": word, "user_id": ids[who], **fields})

        call_id = signal_("initiate", "alice", target_user_id=ids["bob"])["call_id"]

        def incoming() -> Any:  # noqa: ANN401
            return place.ask(f"/api/signal/incoming?user_id={ids['bob']}")["call"]

        until(lambda: incoming() is not None, "a call that rings at bob")
        assert incoming()["call_id"] == call_id

        def status() -> str:
            found = place.ask(f"/api/signal/status?call_id={call_id}&user_id={ids['alice']}")
            return str(found["call"]["status"])

        signal_("accept", "bob", call_id=call_id)
        until(lambda: status() == "incall", "the call")
        until(lambda: has_heard(tmp_path / "bob.stdout"), "alice's sound")
        signal_("hold", "alice", call_id=call_id)
        until(lambda: place.user("alice")["status"] == "onhold", "the hold")
        signal_("resume", "alice", call_id=call_id)
        until(lambda: place.user("alice")["status"] == "incall", "its end")
        signal_("end", "alice", call_id=call_id)
        until(lambda: status() == "ended", "the end")
        assert alice.process.poll() is None  # waits for the next one
        for program in (alice, bob):
            program.stop()
        ended = [program.finish() for program in (alice, bob)]
    assert [each.status for each in ended] == [0, 0], [each.stderr for each in ended]


def has_heard(output: Path) -> bool:
    """Whether a program with --json has received anything."""
    lines = [json.loads(line) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return any(line["event"] == "stats" and line["rx"] and line["rx"]["received"] > 0 for line in lines)


@contextlib.contextmanager
def waiting_sender(folder: Path, *arguments: str) -> Iterator[Program]:
    """sender.py without a target."""
    command = [sys.executable, str(ROOT / "sender.py"), "--bind", "127.0.0.1", "--input", "tone", *arguments]
    report = folder / "alice.json"
    with Program([*command, "--report", str(report)], folder=folder, name="alice", report=report) as program:
        yield program


def test_each_way_in_which_a_name_is_not_found_is_said_and_is_exit_code_4(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    gone = f"http://127.0.0.1:{free_ports()[0]}"
    with directory(tmp_path, "--token-file", str(token)) as place:
        asked = {
            "unknown": (f"{place.url}/#{TOKEN}", f"the directory {place.url} does not know Anna's desk"),
            "token": (place.url, f"the directory {place.url}: it wants a token"),
            "gone": (gone, f"the directory {gone} does not answer: Connection refused"),
        }
        for name, (url, said) in asked.items():
            with sender(tmp_path, "Anna's desk", "--directory", url, name=name) as alice:
                called = alice.finish()
            assert called.status == 4
            assert said in called.stderr.splitlines()[-1], called.stderr
            assert TOKEN not in called.stderr
        with receiver(tmp_path, "--directory", place.url, "--directory-token-file", str(token), "--name", "bob") as bob:
            bob.wait_for("as bob")
            bob.stop()
            assert bob.finish().status == 0
        with receiver(tmp_path, "--directory", place.url, "--name", "bob") as bob:
            bob.wait_for("it wants a token")
            bob.stop()
            assert bob.finish().status == 0


def test_a_conference_is_a_room_that_several_call_by_its_name(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        place = running.enter_context(directory(tmp_path))
        options = ("--conference", "--max-calls", "4", "--directory", place.url, "--name", "standup")
        room = running.enter_context(receiver(tmp_path, *options))
        room.wait_for("as standup")
        assert place.user("standup")["room"] is True
        callers = [
            running.enter_context(
                sender(tmp_path, "standup", "--directory", place.url, "-t", "2s", "--two-way", "-o", "null", name=name)
            )
            for name in ("alice", "carol")
        ]
        outcomes = [caller.finish() for caller in callers]
        room.stop()
        report = room.finish().report
    assert [each.status for each in outcomes] == [0, 0], [each.stderr for each in outcomes]
    assert report is not None
    assert len(report["calls"]) == 2


def test_clients_of_few_words_call_each_other_at_the_real_directory(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async def talk(url: str) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await session.ws_connect(f"{url}/")
            one = await session.ws_connect(f"{url}/", headers=headers)
            other = await session.ws_connect(f"{url}/", protocols=[f"bearer.{TOKEN}"])
            await one.send_str("{")
            seen: dict[str, Any] = {}
            while "error" not in seen or len(seen.get("client_list", {}).get("clients", [])) < 2:
                seen |= await read(one)
            await one.send_json({"type": "request_call", "target_ip": "127.0.0.1"})
            while "incoming_call" not in seen:
                seen |= await read(other)
            await other.send_json({"type": "accept_call", "caller_ip": seen["incoming_call"]["from_ip"]})
            for socket_ in (one, other):
                seen.pop("call_accepted", None)
                while "call_accepted" not in seen:
                    seen |= await read(socket_)
                assert seen["call_accepted"]["peer_ip"] == "127.0.0.1"
            await one.close()
            await other.close()

    async def read(connection: Any) -> dict[str, Any]:  # noqa: ANN401
        message = json.loads((await connection.receive(20.0)).data)
        return {message["type"]: message}

    with directory(tmp_path, "--token-file", str(token)) as place:
        asyncio.run(asyncio.wait_for(talk(place.url), 60.0))
        place.stop()
        assert place.finish().status == 0
