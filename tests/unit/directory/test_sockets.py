"""The WebSockets of the directory over loopback: links of scripts, and clients that call in few words."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.processes import until
from voip.directory.users import AgentCall

aiohttp = pytest.importorskip("aiohttp")

from tests.support.directory_site import DirectorySite  # noqa: E402
from voip.directory import sockets  # noqa: E402

PATIENCE = 30.0
CALL = {"call_id": "a@b", "direction": "incoming", "state": "ringing", "peer": "sip:alice@192.0.2.1"}

Session = Any
Socket = Any
Steps = Callable[[Session], Awaitable[Any]]


def visit(steps: Steps) -> Any:  # noqa: ANN401
    async def run() -> Any:  # noqa: ANN401
        async with aiohttp.ClientSession() as session:
            return await asyncio.wait_for(steps(session), PATIENCE)

    return asyncio.run(run())


async def read(connection: Socket, kind: str) -> dict[str, Any]:
    """The next message of this type."""
    while True:
        message = await connection.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        told: dict[str, Any] = json.loads(message.data)
        if told["type"] == kind:
            return told


async def register(session: Session, site: DirectorySite, name: str) -> str:
    told = {"username": name, "contacts": [f"sip:{name}@127.0.0.1:5060"], "room": False}
    async with session.post(f"{site.url}/api/users/register", json=told) as response:
        return str((await response.json())["user_id"])


# --- clients of few words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_two_clients_at_one_address_see_and_call_each_other(path: str) -> None:
    async def steps(session: Session) -> None:
        async with session.ws_connect(site.url + path) as one, session.ws_connect(site.url + path) as other:
            first, second = (await read(one, "welcome"))["id"], (await read(other, "welcome"))["id"]
            listed = await read(other, "client_list")
            assert listed["clients"] == ["127.0.0.1", "127.0.0.1"]
            assert [user["id"] for user in listed["users"]] == [first, second]
            await one.send_json({"type": "request_call", "target_ip": "127.0.0.1"})
            assert (await read(other, "incoming_call"))["from_id"] == first
            assert (await read(one, "call_request_sent"))["to_ip"] == "127.0.0.1"
            await other.send_json({"type": "accept_call", "caller_ip": "127.0.0.1"})
            for each, peer in ((one, second), (other, first)):
                told = await read(each, "call_accepted")
                assert (told["peer_ip"], told["peer_id"]) == ("127.0.0.1", peer)

    with DirectorySite() as site:
        visit(steps)


def test_the_list_is_told_anew_when_one_comes_takes_a_name_or_leaves() -> None:
    async def steps(session: Session) -> None:
        async with session.ws_connect(f"{site.url}/ws") as one:
            assert len((await read(one, "client_list"))["clients"]) == 1
            async with session.ws_connect(f"{site.url}/ws") as other:
                while len((await read(one, "client_list"))["clients"]) != 2:
                    pass
                await other.send_json({"type": "register", "username": "Bob"})
                while (await read(one, "client_list"))["users"][1]["username"] != "Bob":
                    pass
                await one.send_json({"type": "request_call", "target_ip": "127.0.0.1"})
                assert (await read(one, "call_request_sent"))["to_name"] == "Bob"
            assert (await read(one, "call_ended"))["peer_name"] == "Bob"
            while len((await read(one, "client_list"))["clients"]) != 1:
                pass

    with DirectorySite() as site:
        visit(steps)


def test_nothing_that_a_client_sends_ends_anything() -> None:
    async def steps(session: Session) -> None:
        async with session.ws_connect(f"{site.url}/ws") as one, session.ws_connect(f"{site.url}/ws") as other:
            await one.send_str("{")
            assert (await read(one, "error"))["message"] == "Not JSON"
            await one.send_bytes(b"\x00")
            assert (await read(one, "error"))["message"] == "Not text"
            await one.send_json({"type": "request_call", "target_ip": "192.0.2.9"})
            assert (await read(one, "error"))["message"] == "Client 192.0.2.9 not found"
            await one.send_str("x" * (sockets.LARGEST_MESSAGE + 1))
            while (message := await one.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert one.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG, message
            await other.send_json({"type": "register", "username": "still here"})
            await read(other, "registered")

    with DirectorySite() as site:
        visit(steps)


def test_one_that_does_not_read_is_given_up_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "BEAT", 0.5)

    async def steps(session: Session) -> None:
        with socket.create_connection(("127.0.0.1", site.port)) as deaf:
            deaf.sendall(
                b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            async with session.ws_connect(f"{site.url}/ws") as one:
                while len((await read(one, "client_list"))["clients"]) != 2:
                    pass
                while len((await read(one, "client_list"))["clients"]) != 1:  # it does not respond to pings
                    pass

    with DirectorySite() as site:
        visit(steps)


def test_the_root_is_a_page_to_browsers() -> None:
    async def steps(session: Session) -> str:
        async with session.get(f"{site.url}/") as response:
            return str(await response.text())

    with DirectorySite() as site:
        assert visit(steps) == "the page"


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_makes_its_user_there_obeys_commands_and_tells_of_calls() -> None:
    async def steps(session: Session) -> None:
        user_id = await register(session, site, "bob")
        done: list[str | None] = []
        async with session.ws_connect(f"{site.url}/agent?user_id={user_id}") as link:
            await asyncio.to_thread(until, lambda: users.agent(user_id) is not None, "a link")
            site.ask(lambda: users.agent(user_id).do("answer", {"call_id": "a@b"}, done.append))
            command = json.loads((await link.receive()).data)
            assert command == {"number": 1, "do": "answer", "call_id": "a@b"}
            await link.send_json({"type": "done", "number": 1, "error": None})
            await asyncio.to_thread(until, lambda: done == [None], "the end of the command")
            await link.send_json({"type": "calls", "calls": [CALL]})
            await asyncio.to_thread(until, lambda: bool(users.agent(user_id).calls), "a call")
            assert list(users.agent(user_id).calls) == [AgentCall(**CALL)]
            (call,) = site.ask(site.directory.list_calls)
            assert call[0].status == "ringing"
            site.ask(lambda: users.agent(user_id).do("answer", {"call_id": "a@b"}, done.append))
        await asyncio.to_thread(until, lambda: len(done) == 2, "the end of the link")
        assert done[1] == "the link to the program is lost"
        assert users.agent(user_id) is None

    with DirectorySite() as site:
        users: Any = site.directory.users
        visit(steps)


def test_what_a_script_tells_that_makes_no_sense_is_responded_to() -> None:
    async def steps(session: Session) -> None:
        user_id = await register(session, site, "bob")
        async with session.ws_connect(f"{site.url}/agent?user_id={user_id}") as link:
            for text, message in (
                ("{", "not JSON"),
                ("7", "a message is an object"),
                ("{}", "unknown type"),
                ('{"type": "calls"}', "calls are a list"),
            ):
                await link.send_str(text)
                assert message in (await read(link, "error"))["message"]

    with DirectorySite() as site:
        visit(steps)


def test_a_link_needs_a_user() -> None:
    async def steps(session: Session) -> tuple[int, Any]:
        async with session.get(f"{site.url}/agent?user_id=nobody") as response:
            return response.status, await response.json()

    with DirectorySite() as site:
        assert visit(steps) == (404, {"error": "User not found"})


def test_a_user_with_a_password_is_linked_by_it_alone() -> None:
    """Its number is in the list of users."""

    async def steps(session: Session) -> list[int]:
        told = {"username": "bob", "contacts": [], "room": False, "password": "öpen"}
        async with session.post(f"{site.url}/api/users/register", json=told) as response:
            user_id = (await response.json())["user_id"]
        found = []
        for password in (None, "open", "%C3%B6pen"):
            headers = {} if password is None else {sockets.PASSWORD_HEADER: password}
            try:
                async with session.ws_connect(f"{site.url}/agent?user_id={user_id}", headers=headers):
                    found.append(101)
            except aiohttp.WSServerHandshakeError as error:
                found.append(error.status)
        return found

    with DirectorySite() as site:
        assert visit(steps) == [403, 403, 101]


def test_what_waits_for_one_that_is_slow_has_a_bound() -> None:
    class Slow:
        async def send_str(self, text: str) -> None:
            sent.append(text)
            await asyncio.sleep(PATIENCE)

    async def run() -> None:
        request: Any = SimpleNamespace(transport=SimpleNamespace(abort=lambda: aborted.append(len(sent))))
        slow: Any = Slow()
        outbox = sockets.Outbox(request, slow)
        writing = asyncio.create_task(outbox.run())
        outbox.put({"number": 0})
        while not sent:
            await asyncio.sleep(0)
        for number in range(sockets.MOST_UNSENT):
            outbox.put({"number": number})
        await asyncio.sleep(0)
        assert not aborted
        outbox.put({"one": "more"})
        await asyncio.sleep(0)
        writing.cancel()

    sent: list[str] = []
    aborted: list[int] = []
    asyncio.run(run())
    assert aborted == [1]


def test_another_link_of_a_user_stands_in_place_of_the_first() -> None:
    async def steps(session: Session) -> None:
        user_id = await register(session, site, "bob")
        done: list[str | None] = []
        async with session.ws_connect(f"{site.url}/agent?user_id={user_id}") as first:
            await asyncio.to_thread(until, lambda: users.agent(user_id) is not None, "a link")
            site.ask(lambda: users.agent(user_id).do("answer", {}, done.append))
            async with session.ws_connect(f"{site.url}/agent?user_id={user_id}") as second:
                while (await first.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert first.close_code == sockets.REPLACED
                assert done == ["the link to the program is lost"]
                site.ask(lambda: users.agent(user_id).do("hold", {}, done.append))
                assert json.loads((await second.receive()).data)["do"] == "hold"

    with DirectorySite() as site:
        users: Any = site.directory.users
        visit(steps)


def test_a_link_whose_user_was_told_to_be_gone_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LOOK_INTERVAL", 0.05)

    async def steps(session: Session) -> None:
        user_id = await register(session, site, "bob")
        async with session.ws_connect(f"{site.url}/agent?user_id={user_id}") as link:
            await asyncio.to_thread(until, lambda: users.agent(user_id) is not None, "a link")
            async with session.post(f"{site.url}/api/users/disconnect", json={"user_id": user_id}):
                pass
            assert (await link.receive()).type is aiohttp.WSMsgType.CLOSE
            assert link.close_code == aiohttp.WSCloseCode.GOING_AWAY

    with DirectorySite() as site:
        users: Any = site.directory.users
        visit(steps)
