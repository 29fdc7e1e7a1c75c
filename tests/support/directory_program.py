"""voip-directory as a real process, and a PostgreSQL server of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import ROOT, Program, free_ports

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


def directory(folder: Path, *options: str, database: str = "voip.sqlite", name: str = "directory") -> Program:
    """The program at free ports. `http_port` reads where."""
    sip_port = free_ports()[0]
    command = [sys.executable, "-m", "voip.directory", "--sip-port", str(sip_port), "--database", database]
    http = [] if "--http" in options else ["--http", "0"]
    return Program([*command, *http, *options], folder=folder, name=name, environment={"PYTHONPATH": str(ROOT)})


def http_port(program: Program) -> int:
    """Of a program that is ready; waits for that."""
    url = program.wait_for("directory http").split("directory ")[1].split("/   ")[0]
    return int(url.split("/#")[0].rstrip("/").rpartition(":")[2])


def sip_port(program: Program) -> int:
    """Of a program that is ready; it says so with -v."""
    found = re.search(r"SIP at UDP and TCP port (\d+)", program.wait_for("SIP at UDP"))
    assert found is not None
    return int(found[1])


def postgresql_programs() -> Path | None:
    """The folder of initdb and pg_ctl."""
    found = shutil.which("pg_ctl")
    folders = [*([Path(found).resolve().parent] if found else []), *Path("/usr/lib/postgresql").glob("*/bin")]
    return next((each for each in folders if (each / "initdb").exists()), None)


class PostgreSql:
    """A cluster in a temporary folder, reached by a socket there alone."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self.url = f"postgresql://voip@/postgres?host={folder}"
        self._run("initdb", "-A", "trust", "-U", "voip", "-D", str(folder / "data"), "--no-sync")

    def start(self) -> None:
        settings = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}'"
        self._control("-w", "-l", str(self._folder / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """As a crash would."""
        self._control("-w", "-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=UNPRIVILEGED if os.geteuid() == 0 else None,
            cwd=self._folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )


@contextlib.contextmanager
def postgresql(programs: Path) -> Iterator[PostgreSql]:
    """A server that runs; gone after the block."""
    folder = Path(tempfile.mkdtemp(prefix="voip-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        server = PostgreSql(programs, folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
