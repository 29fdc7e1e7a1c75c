"""The database of the directory: SQLite, or PostgreSQL by its URL, by SQLAlchemy Core, in a thread of its own.

All changes that wait are committed together, and acknowledged after that: with many of them a disk has no more to do
than with one. What has been acknowledged survives the end of the process, and of the machine (SQLite: write-ahead log,
synchronous=FULL).
"""

from __future__ import annotations

import os
import queue
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Table, create_engine, delete, event, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from voip.directory.calls import ENDED, MOST_ENDED
from voip.directory.persistence import Durable, Loaded, SaveBindings, SaveCall, Saved, SaveUser
from voip.directory.refusals import NotStored
from voip.directory.tables import (
    BINDINGS,
    CALLS,
    FACTS,
    USERS,
    binding_rows,
    call_row,
    read_binding,
    read_call,
    read_user,
    user_row,
)
from voip.errors import DeviceError, NetworkError, VoipError
from voip.printable import one_line
from voip.private import private

SECRET = "secret"
SECRET_BYTES = 32
LARGEST_GROUP = 1000
"""Changes in one transaction: a commit of so many takes some ten milliseconds."""
MOST_WAITING = 20_000
"""Changes that may wait: with more, whoever asks is told that the database does not keep up."""
BUSY_TIMEOUT = 5.0
"""Seconds for which another program may have the SQLite file to itself."""
CONNECT_TIMEOUT = 10
"""Seconds that a PostgreSQL server may take."""
SCHEMA = Path(__file__).parent / "schema"
INSERTS: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class _Job(NamedTuple):
    """Changes that belong together, and who is told."""

    changes: tuple[Saved, ...]
    durable: Durable


class Store:
    """A database that is open. A context manager: its thread runs inside; what was asked for before the end is done.

    `post(function, argument)` calls on the network thread. VoipError for a URL that makes no sense, DeviceError for a
    file that cannot be opened, NetworkError for a server that cannot be reached.
    """

    def __init__(self, database: str, post: Callable[..., object]) -> None:
        self._url, self._post = database_url(database), post
        self._name = one_line(self._url.render_as_string(hide_password=True))
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database")
        self.failures, self.commits = 0, 0
        with self._explained():
            self._engine = _open(self._url)
            self._connection = self._engine.connect()
            self.loaded = _load(self._connection)

    def __enter__(self) -> Store:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._engine.dispose()

    def write(self, changes: Sequence[Saved], durable: Durable) -> None:
        """Make these durable together; `durable` is told on the network thread. Callable from there alone."""
        if self._queue.qsize() >= MOST_WAITING:
            self.failures += 1
            durable(NotStored("the database does not keep up"))
        else:
            self._queue.put(_Job(tuple(changes), durable))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            text = f"--database {self._name}: {_reason(error)}"
            raise (DeviceError(text) if self._url.get_backend_name() == "sqlite" else NetworkError(text)) from error
        except OSError as error:
            raise DeviceError(f"--database {self._name}: {error.strerror}") from error

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            jobs: list[_Job] = [job]
            while len(jobs) < LARGEST_GROUP and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                jobs.append(following)
            self._finish(jobs)

    def _finish(self, jobs: Sequence[_Job]) -> None:
        """All in one transaction; if that fails, each by itself, as one of them alone may be what fails."""
        refusal = self._commit([change for job in jobs for change in job.changes])
        if refusal is None or len(jobs) == 1:
            self._tell(jobs, refusal)
            return
        for job in jobs:
            self._tell([job], self._commit(job.changes))

    def _tell(self, jobs: Sequence[_Job], refusal: NotStored | None) -> None:
        self.failures += len(jobs) if refusal is not None else 0
        for job in jobs:
            self._post(job.durable, refusal)

    def _commit(self, changes: Sequence[Saved]) -> NotStored | None:
        """Whether it is durable: None. A server may have gone and come back: a second try has a new connection."""
        refusal = self._try(changes)
        if refusal is None:
            return None
        self._reconnect()
        return self._try(changes)

    def _try(self, changes: Sequence[Saved]) -> NotStored | None:
        try:
            with self._connection.begin():
                _apply(self._connection, changes)
        except (SQLAlchemyError, ValueError) as error:
            return NotStored(f"the database does not take it: {_reason(error)}")
        self.commits += 1
        return None

    def _reconnect(self) -> None:
        try:
            self._connection.close()
            self._connection = self._engine.connect()
        except SQLAlchemyError:
            return  # the next try says why


def database_url(database: str) -> URL:
    """What --database means: a URL, or a file. VoipError."""
    if "://" not in database:
        return URL.create("sqlite", database=database)
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise VoipError("--database: not a URL that SQLAlchemy knows") from error
    if url.get_backend_name() not in INSERTS:
        raise VoipError("--database: FILE, sqlite:///FILE or postgresql://USER@HOST/NAME")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url


def _open(url: URL) -> Engine:
    """The database with the newest schema."""
    try:
        if url.get_backend_name() == "sqlite":
            if url.database and url.database != ":memory:":
                os.close(os.open(url.database, private(url.database, os.O_RDWR | os.O_CREAT)))
            engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})
            event.listen(engine, "connect", _tune_sqlite)
        else:
            engine = create_engine(url, connect_args={"connect_timeout": CONNECT_TIMEOUT, "client_encoding": "utf8"})
    except (ImportError, NoSuchModuleError) as error:
        raise VoipError(f"--database: {error}: pip install 'voip[postgresql]'") from error
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCHEMA))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return engine


def _tune_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _load(connection: Connection) -> Loaded:
    with connection.begin():
        users = [read_user(row) for row in connection.execute(select(USERS))]
        going_on = connection.execute(select(CALLS).where(CALLS.c.status != ENDED).order_by(CALLS.c.began))
        over = select(CALLS).where(CALLS.c.status == ENDED).order_by(CALLS.c.ended.desc()).limit(MOST_ENDED)
        calls = [read_call(row) for row in going_on] + [read_call(row) for row in connection.execute(over)][::-1]
        bindings = defaultdict(list)
        for row in connection.execute(select(BINDINGS).order_by(BINDINGS.c.name, BINDINGS.c.position)):
            bindings[row.name].append(read_binding(row))
        return Loaded(
            users, calls, [SaveBindings(name, tuple(each)) for name, each in bindings.items()], _secret(connection)
        )


def _secret(connection: Connection) -> bytes:
    """Of this directory: made with it, and the same after each start."""
    found = connection.execute(select(FACTS.c.value).where(FACTS.c.name == SECRET)).scalar()
    if found is None:
        found = secrets.token_hex(SECRET_BYTES)
        connection.execute(FACTS.insert().values(name=SECRET, value=found))
    return bytes.fromhex(found)


def _apply(connection: Connection, changes: Sequence[Saved]) -> None:
    """Of several changes of the same row the last counts."""
    users = {each.user.id: user_row(each.user) for each in changes if isinstance(each, SaveUser)}
    calls = {each.call.id: call_row(each.call) for each in changes if isinstance(each, SaveCall)}
    bindings = {each.name.casefold(): each for each in changes if isinstance(each, SaveBindings)}
    if users:
        connection.execute(_upsert(connection, USERS), [*users.values()])
    if calls:
        connection.execute(_upsert(connection, CALLS), [*calls.values()])
    if bindings:
        connection.execute(delete(BINDINGS).where(BINDINGS.c.name.in_([*bindings])))
        rows = [row for saved in bindings.values() for row in binding_rows(saved)]
        if rows:
            connection.execute(BINDINGS.insert(), rows)


def _upsert(connection: Connection, table: Table) -> Any:  # noqa: ANN401
    statement = INSERTS[connection.dialect.name](table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=[*table.primary_key.columns], set_=others)


def _reason(error: Exception) -> str:
    """In one line, without the statement and its values."""
    return one_line(str(getattr(error, "orig", None) or error).strip().split("\n")[0])
