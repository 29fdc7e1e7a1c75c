"""The database of the directory: what has been acknowledged is there after a restart, whatever it was."""

from __future__ import annotations

import os
import queue
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

pytest.importorskip("sqlalchemy")

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from voip.directory.calls import END, MOST_ENDED, Call, LastingDialog
from voip.directory.location import Binding
from voip.directory.persistence import Loaded, SaveBindings, SaveCall, Saved, SaveUser
from voip.directory.refusals import NotStored
from voip.directory.store import LARGEST_GROUP, SCHEMA, Store, database_url
from voip.directory.tables import METADATA
from voip.directory.users import User
from voip.errors import DeviceError, NetworkError, VoipError
from voip.sip.address import Address
from voip.sip.uri import SipUri

NASTY = "\ud800\x00\u202e'\"; DROP TABLE users; --\n"
PATIENCE = 30.0


def post(function: Callable[..., object], *arguments: object) -> None:
    """There is no network thread here."""
    function(*arguments)


def stored(database: str, *changes: Saved) -> list[object]:
    """What is said of each, written by itself."""
    said: list[object] = []
    with Store(database, post) as store:
        for change in changes:
            store.write([change], said.append)
    return said


def loaded(database: str) -> Loaded:
    with Store(database, post) as store:
        return store.loaded


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "voip.sqlite")


def test_users_calls_and_contacts_are_the_same_after_a_restart(database: str) -> None:
    bob = User("1", "Zoë 李", "hash", room=True)
    call = Call(
        "c1",
        "1",
        "",
        "incall",
        "sip:a@b",
        "x@y",
        1.5,
        2.5,
        0.0,
        "",
        "offer",
        "answer",
        MappingProxyType({"1": ("a",)}),
        (LastingDialog(("a", "\udcff\0"), 9.5), LastingDialog(("a",), 7.0)),
    )
    uri = SipUri.parse("sip:bob@10.0.0.9:5070;transport=tcp")
    flow = Address("tls", "fe80::1%eth0", 5061)
    bindings = SaveBindings("BOB", (Binding(uri, 99.5, "id", 2**32 - 1, 0.5, flow, "<urn:x>"), Binding(uri, 1.0)))
    assert stored(database, SaveUser(bob), SaveCall(call), bindings) == [None] * 3
    found = loaded(database)
    assert (found.users, found.calls) == ([bob], [call])
    assert found.bindings == [SaveBindings("bob", bindings.bindings)]


def test_what_is_saved_last_counts(database: str) -> None:
    call = Call("c", "a", "b")
    over = call.after(END, 7.0, "ended")
    uri = SipUri.parse("sip:bob@10.0.0.9")
    changes = (SaveUser(User("1", "bob")), SaveUser(User("1", "Bob", "x")), SaveCall(call), SaveCall(over))
    stored(database, *changes, SaveBindings("bob", (Binding(uri, 1.0),)), SaveBindings("bob", ()))
    found = loaded(database)
    assert (found.users, found.calls, found.bindings) == ([User("1", "Bob", "x")], [over], [])


def test_after_a_restart_as_many_calls_are_known_as_before(database: str) -> None:
    """The newest of those that are over, and all that go on, however old."""
    up = Call("up", "a", "b", "incall", began=0.5)
    over = [Call(str(number), "a", "b", began=1.0).after(END, 2.0 + number) for number in range(MOST_ENDED + 5)]
    with Store(database, post) as store:
        store.write([SaveCall(call) for call in (up, *over)], lambda refusal: None)
    found = loaded(database).calls
    assert found == [up, *over[5:]]


def test_text_that_no_database_takes_as_it_is_harms_nobody(database: str) -> None:
    call = Call("c", "a", "b", peer=NASTY, reason=NASTY, offer=NASTY, candidates=MappingProxyType({"a": (NASTY,)}))
    assert stored(database, SaveCall(call)) == [None]
    (found,) = loaded(database).calls
    assert (found.offer, dict(found.candidates)) == (NASTY, {"a": (NASTY,)})
    assert "\x00" not in found.peer + found.reason


def test_one_that_cannot_be_stored_is_refused_alone(database: str) -> None:
    """They are committed together; names are checked long before, so this one comes of a bug."""
    users = [User("1", "one"), User("2", "\ud800"), User("3", "three")]
    first, second, third = stored(database, *map(SaveUser, users))
    assert (first, third) == (None, None)
    assert isinstance(second, NotStored)
    assert {user.name for user in loaded(database).users} == {"one", "three"}


def test_changes_that_wait_are_committed_together_and_told_in_order(database: str) -> None:
    count, told = LARGEST_GROUP * 2, list[int]()

    def note(number: int, refusal: object) -> None:
        told.append(number)

    with Store(database, post) as store:
        for number in range(count):
            store.write([SaveUser(User(str(number), f"n{number}"))], partial(note, number))
    assert told == list(range(count))
    assert store.commits < count / 4
    assert len(loaded(database).users) == count


def test_it_is_in_the_database_when_it_is_acknowledged(database: str) -> None:
    said: queue.SimpleQueue[int] = queue.SimpleQueue()

    def look(refusal: object) -> None:
        reader = sqlite3.connect(database)
        (count,) = reader.execute("select count(*) from users").fetchone()
        reader.close()
        said.put(count)

    with Store(database, post) as store:
        for number in range(3):
            store.write([SaveUser(User(str(number), f"n{number}"))], look)
            assert said.get(timeout=PATIENCE) == number + 1


def test_the_log_is_flushed_at_each_commit(database: str) -> None:
    with Store(database, post) as store:
        raw = store._connection.connection.dbapi_connection
        assert raw is not None
        cursor = raw.cursor()
        settings = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        cursor.close()
    assert settings == ["wal", 2]


def test_a_file_is_for_its_owner_alone_and_keeps_its_secret(database: str) -> None:
    first, second = loaded(database).secret, loaded(database).secret
    assert first == second
    assert len(first) == 32
    assert stat.S_IMODE(os.stat(database).st_mode) == 0o600


def test_the_steps_lead_to_the_tables_that_the_program_uses(database: str) -> None:
    stored(database)
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == "0002"
    engine.dispose()


def test_a_database_of_the_first_version_is_brought_up_to_date_with_its_calls(database: str) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCHEMA))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("insert into calls values ('c', 'a', 'b', 'incall', '', 'x@y', 1, 2, 0, '', null)"))
    engine.dispose()
    assert loaded(database).calls == [Call("c", "a", "b", "incall", "", "x@y", 1.0, 2.0)]


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_none_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(DeviceError, match=r"notes\.txt"):
        Store(str(path), post)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file"):
        Store(str(tmp_path / "none" / "voip.sqlite"), post)


@pytest.mark.parametrize("url", ["mysql://u:hidden@h/d", "postgresql+asyncpg2://u:hidden@h/d", "://", "x://hidden"])
def test_urls_of_other_databases_are_refused_and_passwords_not_shown(url: str) -> None:
    with pytest.raises(VoipError) as caught:
        Store(url, post)
    assert "hidden" not in str(caught.value)


def test_a_server_that_is_not_there_is_an_error_of_the_network() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(NetworkError) as caught:
        Store("postgresql://someone:hidden@127.0.0.1:1/voip", post)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_locked_refuses_and_takes_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voip.directory.store.BUSY_TIMEOUT", 0.05)
    said: queue.SimpleQueue[object] = queue.SimpleQueue()
    with Store(database, post) as store:
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("begin immediate")
        store.write([SaveUser(User("1", "bob"))], said.put)
        assert isinstance(said.get(timeout=PATIENCE), NotStored)
        other.execute("rollback")
        other.close()
        store.write([SaveUser(User("1", "bob"))], said.put)
        assert said.get(timeout=PATIENCE) is None
    assert store.failures == 1


def test_more_changes_than_it_keeps_up_with_are_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voip.directory.store.MOST_WAITING", 3)
    held, release, said = threading.Event(), threading.Event(), list[object]()

    def hold(function: Callable[..., object], *arguments: object) -> None:
        held.set()
        release.wait(PATIENCE)
        function(*arguments)

    with Store(database, hold) as store:
        for number in range(10):
            store.write([SaveUser(User(str(number), "n"))], said.append)
            held.wait(PATIENCE)  # the first is committed, and its acknowledgement stands
        refused: Sequence[object] = list(said)
        release.set()
    assert len(refused) == 6
    assert all(isinstance(each, NotStored) for each in refused)
    assert len(said) == 10


def test_a_url_of_postgresql_uses_psycopg() -> None:
    assert database_url("postgresql://h/d").drivername == "postgresql+psycopg"
