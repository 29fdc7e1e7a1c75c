"""Whether a directory that is busy disturbs a call: two calls of the scripts that it sets up on its machine, one while
its API is asked so many times a second, and one while nobody asks."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.directory_http import Client
from tests.support.directory_program import directory, http_port, sip_port
from tests.support.processes import LOOPBACK, Program, receiver, sender, until

NAME = "bob"
START_AND_END = 120.0
"""Seconds that the call may take besides its own length."""
HEAD = "call                          requests a second   frames   concealed   late   lost"
Ask = Callable[[int, threading.Event], "tuple[int, float]"]
"""Asks the API at that port until the event; how many responses have come, and within how many seconds."""


class Heard(NamedTuple):
    """What has come of the sound of one call."""

    frames: int
    concealed: int
    late: int
    lost: int


def _call(folder: Path, program: Program, seconds: float, name: str) -> Heard:
    """A call to a user of the directory by way of its proxy, from its first to its last packet."""
    site = f"sip:{LOOPBACK}:{sip_port(program)}"
    folder = folder / name
    folder.mkdir()
    with receiver(folder, "--registrar", site, "--user", NAME, "--once") as far:
        until(lambda: _is_registered(http_port(program)), f"{NAME} is registered")
        target = f"sip:{NAME}@{LOOPBACK}:{sip_port(program)}"
        with sender(folder, target, "--duration", f"{seconds:g}s") as near:
            sent = near.finish(seconds + START_AND_END)
        heard = far.finish(START_AND_END)
    if sent.status or heard.status:
        raise SystemExit(f"the call has failed:\n{sent.stderr}{heard.stderr}")
    call = heard.call
    return Heard(call["heard"]["frames_played"], call["heard"]["concealed"], call["rx"]["late"], call["rx"]["lost"])


def _is_registered(port: int) -> bool:
    with contextlib.closing(Client(port)) as client:
        return bool(client.get(f"/api/users/find?name={NAME}").body["contacts"])


class _Asked:
    """Asks in a thread of its own; `count` is how many responses have come, `seconds` in what time."""

    def __init__(self, ask: Callable[[threading.Event], tuple[int, float]]) -> None:
        self._ask, self._ending = ask, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count, self.seconds = 0, 0.0

    def _run(self) -> None:
        self.count, self.seconds = self._ask(self._ending)

    def __enter__(self) -> _Asked:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()


def compare(folder: Path, seconds: float, ask: Ask) -> int:
    """Print a row for each of the two calls; the exit status, 1 if nothing was asked during the one."""
    sys.stdout.write(HEAD + "\n")
    with directory(folder, "-v") as program:
        port = http_port(program)
        with contextlib.closing(Client(port)) as client:
            client.register(NAME)
        _row("alone", 0.0, _call(folder, program, seconds, "alone"))
        with _Asked(lambda ending: ask(port, ending)) as asked:
            heard = _call(folder, program, seconds, "busy")
        rate = asked.count / asked.seconds if asked.seconds else 0.0
        _row("while the API is asked", rate, heard)
        program.stop()
        program.finish(START_AND_END)
    return 0 if asked.count else 1


def _row(what: str, rate: float, heard: Heard) -> None:
    sys.stdout.write(f"{what:30}{rate:17.1f}{heard.frames:9}{heard.concealed:12}{heard.late:7}{heard.lost:7}\n")
    sys.stdout.flush()
