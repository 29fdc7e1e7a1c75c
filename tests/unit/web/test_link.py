"""A script's link to a directory over loopback: it is known there, obeys, and comes back whatever happens to it."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_certificates
from tests.support.processes import until
from tests.support.records import received
from voip.errors import Stopped
from voip.report import CallRecord

pytest.importorskip("aiohttp")

from tests.support.directory_site import DirectorySite
from voip.directory import directory
from voip.web import CommandRefused, link
from voip.web.link import Link, News, Registration, Security, find, list_users
from voip.web.linked import DirectoryError, Listed, Pauses, Refused, UnknownName, WrongToken

TOKEN = "a-secret"
UP = replace(received(), end_reason=None)


class Script:
    """A script that is known as bob."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        name: str = "bob",
        security: Security = True,
        password: str | None = None,
    ) -> None:
        self.contacts = ["sip:bob@192.0.2.1:5060"]
        self.records: list[CallRecord] = []
        self.asked: list[Mapping[str, Any]] = []
        self.news: list[News] = []
        self.link = Link(
            url,
            token,
            Registration(name, password=password),
            security=security,
            contacts=lambda: self.contacts,
            commands={"hang-up": self._hang_up},
            records=lambda: self.records,
            on_news=self.news.append,
            rng=random.Random(1),
        )

    def _hang_up(self, asked: Mapping[str, Any]) -> None:
        if not asked:
            raise CommandRefused("this call is over")
        self.asked.append(asked)

    def __enter__(self) -> Script:
        self.link.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.link.__exit__()

    def hears(self, count: int) -> None:
        until(lambda: len(self.news) >= count, f"{count} news, not {self.news}")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voip.web.linked.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("voip.web.linked.LONGEST_PAUSE", 0.2)


@pytest.fixture
def site() -> Iterator[DirectorySite]:
    with DirectorySite() as site:
        yield site


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def agent(site: DirectorySite) -> Any:  # noqa: ANN401
    return site.ask(lambda: site.directory.users.agent(site.directory.users.named("bob").id))  # type: ignore[union-attr]


def test_a_script_is_known_there_with_its_contacts_and_gone_at_its_end(site: DirectorySite) -> None:
    with Script(site.url) as script:
        script.hears(1)
        assert script.news == [News(site.user_id("bob"))]
        found = find(site.url, None, "bob", security=True, pause=threading.Event().wait)
        assert (found.name, found.status, found.contacts) == ("bob", "idle", ("sip:bob@192.0.2.1:5060",))
    assert "POST /api/users/disconnect" in site.requests
    found = find(site.url, None, "bob", security=True, pause=threading.Event().wait)
    assert (found.status, found.contacts) == ("offline", ())
    assert len(script.news) == 1


def test_all_who_are_there_are_listed_however_many(site: DirectorySite) -> None:
    def add() -> None:
        for number in range(1000):
            contacts = [f"sip:user{number}@192.0.2.1:{5060 + number}"]
            site.directory.register(directory.Registration(f"user {number}", contacts), lambda result: None)

    site.ask(add)
    found = list_users(site.url, None, security=True, pause=threading.Event().wait)
    assert len(found) == 1000
    assert Listed("user 102", "idle", ("sip:user102@192.0.2.1:5162",)) in found
    with pytest.raises(DirectoryError):
        list_users(f"{site.url}/nowhere", None, security=True, pause=threading.Event().wait)


def test_it_obeys_and_tells_what_became_of_it(site: DirectorySite) -> None:
    done: list[str | None] = []
    with Script(site.url) as script:
        script.hears(1)
        bob = agent(site)
        for command, arguments in (("hang-up", {"call_id": "1"}), ("hang-up", {}), ("dance", {})):
            site.ask(lambda command=command, given=arguments: bob.do(command, given, done.append))  # type: ignore[misc]
        until(lambda: len(done) == 3, "the end of the commands")
    assert done == [None, "this call is over", "no such command"]
    assert script.asked == [{"call_id": "1"}]


def test_it_tells_its_calls_when_they_change(site: DirectorySite) -> None:
    with Script(site.url) as script:
        script.hears(1)
        script.records = [UP]
        until(lambda: [each.state for each in agent(site).calls] == ["incall"], "a call")
        script.records = [replace(UP, end_reason="local-bye")]
        until(lambda: [each.state for each in agent(site).calls] == ["ended"], "its end")


def test_another_address_is_told(site: DirectorySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CONTACTS_INTERVAL", 0.05)
    with Script(site.url) as script:
        script.hears(1)
        script.contacts = ["sip:bob@10.0.0.7:5060"]
        user = site.directory.users.get(site.user_id("bob"))
        until(lambda: site.ask(lambda: site.directory.listed(user).contacts) == ("sip:bob@10.0.0.7:5060",), "it")
        assert agent(site) is not None
    assert len(script.news) == 1


def test_a_directory_that_is_not_there_is_told_once_and_found_when_it_comes() -> None:
    port = free_port()
    with Script(f"http://127.0.0.1:{port}") as script:
        script.hears(1)
        assert script.news == [News(None, "Connection refused")]
        with DirectorySite(port=port) as site:
            script.hears(2)
            assert script.news[1] == News(site.user_id("bob"))


def test_a_directory_that_is_restarted_is_told_of_once_and_knows_it_again() -> None:
    first = DirectorySite().__enter__()
    with Script(first.url) as script:
        script.hears(1)
        first.__exit__()
        script.hears(2)
        assert (script.news[1].user_id, script.news[1].refused) == (None, False)
        with DirectorySite(port=first.port) as second:  # has forgotten all
            script.hears(3)
            assert script.news[2] == News(second.user_id("bob"))
            assert agent(second) is not None
            script.link.__exit__()
    assert len(script.news) == 3


def test_a_directory_that_is_gone_for_long_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    real = Pauses.next

    def counted(pauses: Pauses) -> float:
        tries.append(real(pauses))
        return tries[-1]

    monkeypatch.setattr(Pauses, "next", counted)
    with Script(f"http://127.0.0.1:{free_port()}") as script:
        until(lambda: len(tries) > 4, "some tries")
    assert len(script.news) == 1


def test_a_wrong_token_is_told_as_such_and_does_not_end_it() -> None:
    with DirectorySite(token=TOKEN) as site:
        for token in (None, "another"):
            with Script(site.url, token=token) as script:
                script.hears(1)
            assert script.news[0].refused
            assert "token" in script.news[0].reason
        with Script(site.url, token=TOKEN) as script:
            script.hears(1)
            assert script.news[0].user_id is not None


def test_of_two_by_one_name_the_newer_one_has_it_and_they_do_not_quarrel(site: DirectorySite) -> None:
    with Script(site.url) as first:
        first.hears(1)
        with Script(site.url) as second:
            second.hears(1)
            first.hears(2)
            assert first.news[1] == News(None, "another program has taken this name", refused=True)
            until(lambda: not first.link._thread.is_alive(), "the end of the first link")
            assert agent(site) is not None
            assert len(second.news) == 1
    assert site.requests.count("POST /api/users/disconnect") == 1


def test_a_name_that_is_refused_is_told_with_the_reason(site: DirectorySite) -> None:
    with Script(site.url, name="a\u202eb") as script:
        script.hears(1)
        assert script.news == [News(None, "it refuses: a name is made of printable characters", refused=True)]


def test_a_name_with_a_password_is_given_to_whoever_knows_it_alone(site: DirectorySite) -> None:
    for password, user_id in (("right", True), ("wrong", False), (None, False), ("right", True)):
        with Script(site.url, password=password) as script:
            script.hears(1)
            assert (script.news[0].user_id is not None) == user_id
            assert script.news[0].refused != user_id
            assert user_id or "has a password" in script.news[0].reason


def test_the_end_does_not_wait_for_a_directory_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Script(f"http://127.0.0.1:{silent.getsockname()[1]}") as one:
        connection, _ = silent.accept()
    connection.close()
    assert not one.link._thread.is_alive()


# --- asking -----------------------------------------------------------------------------------------------------------


def ask(url: str, name: str = "bob", token: str | None = None, security: Security = True) -> Any:  # noqa: ANN401
    return find(url, token, name, security=security, pause=threading.Event().wait)


def test_each_way_in_which_a_name_is_not_found_is_told_from_the_others() -> None:
    with DirectorySite(token=TOKEN) as site:
        with pytest.raises(UnknownName):
            ask(site.url, token=TOKEN)
        with pytest.raises(WrongToken):
            ask(site.url)
        with pytest.raises(Refused, match="HTTP status 404"):  # another server: it says nothing of users
            ask(f"{site.url}/elsewhere", token=TOKEN)
    with pytest.raises(DirectoryError, match="Connection refused") as gone:
        ask(site.url, token=TOKEN)
    assert not isinstance(gone.value, Refused)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"nonsense", "no directory"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "no directory"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 100_000, "no directory"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", "HTTP status 302"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 23\r\n\r\n" + b'{"error": "a\\u001b[2J"}', r"a\\x1b\[2J"),
        (b"", "."),
    ],
)
def test_whatever_responds_is_an_error_of_one_line(
    response: bytes, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REQUEST_TIMEOUT", 1.0)

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            try:
                connection.sendall(response)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with pytest.raises(DirectoryError, match=error) as failed:
            ask(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert str(failed.value).isprintable()


def test_looking_ends_with_the_program() -> None:
    def pause(seconds: float) -> bool:
        return True

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Stopped):
        find(f"http://127.0.0.1:{silent.getsockname()[1]}", None, "bob", security=True, pause=pause)


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    with DirectorySite(tls=context) as site:
        with pytest.raises(DirectoryError, match="certificate is not trusted"):
            ask(site.url)
        trusting = ssl.create_default_context(cafile=str(files.authority))
        with pytest.raises(UnknownName):
            ask(site.url, security=trusting)
        with Script(site.url, security=trusting) as script:
            script.hears(1)
            assert script.news == [News(site.user_id("bob"))]
