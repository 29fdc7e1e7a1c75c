"""What the directory costs, and whether it keeps up: requests of its API, and users with calls, killed in the middle.

    python -m tests.bench directory [--requests 200] [--users 1000] [--calls 100] [--seconds 20] [--database URL]
    python -m tests.bench directory --call [--requests 200] [--seconds 20]

Each user sends a heartbeat every four seconds; each call is begun, seen by its callee, accepted and ended. In the
middle the directory is killed, begins anew at the same database, and is asked for all that it had acknowledged. With
--call two calls are made by way of the directory instead, one of them beside those requests: what of either was
concealed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import directory_call
from tests.bench.many import cpu_seconds, resident_kb
from tests.support.directory_program import directory, http_port
from tests.support.processes import Program

CONNECTIONS = 32
LONGEST = 3600.0
"""Seconds that requests beside a call go on at most."""
HEARTBEAT = 4.0
"""Seconds between those of a user."""
ORDER = ("calling", "incall", "ended")
HEAD = "what                          a second   median ms   99 % ms   refused   CPU % of a core   RSS MB"

Json = dict[str, Any]
Ask = Callable[[str, str, "Json | None"], Awaitable["Json | None"]]


@dataclass
class Tally:
    """What has come back: how long each took in seconds, how many were refused; and what was acknowledged."""

    times: list[float] = field(default_factory=list)
    refused: int = 0
    users: dict[str, str] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)


class Connections:
    """So many connections to the API, each for one request at a time. None comes back of a directory that is gone."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port, self._tally = port, tally
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.gone = False

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json | None:
        if self.gone:
            return None
        reader, writer = await self._free.get()
        begun = time.monotonic()
        try:
            data = b"" if body is None else json.dumps(body).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            status, told = await _read(reader)
        except (OSError, asyncio.IncompleteReadError):
            self.gone = True
            return None
        finally:
            self._free.put_nowait((reader, writer))
        self._tally.times.append(time.monotonic() - begun)
        self._tally.refused += status != 200
        return told

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait()[1].close()


async def _read(reader: asyncio.StreamReader) -> tuple[int, Json]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.split("\r\n") if line.lower().startswith("content-length:"))
    return int(head.split()[1]), json.loads(await reader.readexactly(int(length.partition(":")[2])))


async def paced(
    rate: float, seconds: float, one: Callable[[int], Awaitable[None]], is_over: Callable[[], bool] = lambda: False
) -> None:
    """Begin one after the other, at this rate, however long each takes; until the time, or this, is over."""
    begun, tasks = time.monotonic(), set[asyncio.Task[None]]()
    for number in range(int(rate * seconds)):
        if is_over():
            break
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        task = asyncio.create_task(_run(one, number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _run(one: Callable[[int], Awaitable[None]], number: int) -> None:
    await one(number)


async def _requests(
    connections: Connections, rate: float, seconds: float, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Of the mix that a page and a few programs make."""

    async def one(number: int) -> None:
        if number % 4 == 0:
            await connections.ask("POST", "/api/users/register", {"username": f"visitor {number % 50}"})
        elif number % 4 == 1:
            await connections.ask("GET", "/api/users/list")
        else:
            await connections.ask("GET", "/api/health")

    await paced(rate, seconds, one, is_over)


async def _ask_until(port: int, rate: float, ending: threading.Event) -> tuple[int, float]:
    """So many requests a second until the event; how many were responded to, and the time that it took."""
    tally, begun = Tally(), time.monotonic()
    connections = Connections(port, tally)
    await connections.open()
    await _requests(connections, rate, LONGEST, ending.is_set)
    connections.close()
    return len(tally.times) - tally.refused, time.monotonic() - begun


async def _register(connections: Connections, tally: Tally, users: int) -> list[str]:
    async def one(number: int) -> None:
        told = await connections.ask("POST", "/api/users/register", {"username": f"user {number}"})
        if told is not None:
            tally.users[f"user {number}"] = told["user_id"]

    await asyncio.gather(*(one(number) for number in range(users)))
    return list(tally.users.values())


async def _calls(connections: Connections, tally: Tally, users: list[str], rate: float, seconds: float) -> None:
    async def signal(what: str, user_id: str, status: str, call_id: str) -> bool:
        body = {"message_type": what, "user_id": user_id, "call_id": call_id}
        if await connections.ask("POST", f"/api/signal/{what}", body) is None:
            return False
        tally.calls[call_id] = status
        return True

    async def one(number: int) -> None:
        caller, callee = users[2 * number % len(users)], users[(2 * number + 1) % len(users)]
        body = {"message_type": "initiate", "user_id": caller, "target_user_id": callee}
        told = await connections.ask("POST", "/api/signal/initiate", body)
        if told is None or "call_id" not in told:
            return
        call_id = told["call_id"]
        tally.calls[call_id] = "calling"
        await connections.ask("GET", f"/api/signal/incoming?user_id={callee}")
        if await signal("accept", callee, "incall", call_id):
            await signal("end", caller, "ended", call_id)

    async def beat(number: int) -> None:
        await connections.ask("POST", "/api/users/heartbeat", {"user_id": users[number % len(users)]})

    beats = len(users) / HEARTBEAT
    await asyncio.gather(paced(rate, seconds, one), paced(beats, seconds, beat))


async def _missing(connections: Connections, tally: Tally) -> int:
    """How many of what was acknowledged are not there, or not as far."""
    missing = 0
    for name, user_id in tally.users.items():
        told = await connections.ask("GET", f"/api/users/get?user_id={user_id}")
        missing += told is None or told.get("username") != name
    for call_id, status in tally.calls.items():
        told = await connections.ask("GET", f"/api/signal/status?call_id={call_id}")
        found = (told or {}).get("call", {}).get("status")
        missing += found not in ORDER or ORDER.index(found) < ORDER.index(status)
    return missing


def row(what: str, program: Program, tally: Tally, before: tuple[float, float]) -> None:
    """One line: since `before`, processor seconds and the time."""
    cpu, now = cpu_seconds(program.pid), time.monotonic()
    times = sorted(tally.times) or [0.0]
    middle, most = (1000.0 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
    share = 100.0 * (cpu - before[0]) / (now - before[1])
    rate, memory = len(tally.times) / (now - before[1]), resident_kb(program.pid) / 1000
    sys.stdout.write(f"{what:28}{rate:10.1f}{middle:12.1f}{most:10.1f}{tally.refused:10}{share:18.1f}{memory:9.1f}\n")
    sys.stdout.flush()


async def _measure(options: argparse.Namespace, program: Program, folder: Path) -> int:
    tally = Tally()
    connections = Connections(http_port(program), tally)
    await connections.open()
    before = cpu_seconds(program.pid), time.monotonic()
    await _requests(connections, options.requests, options.seconds)
    row("requests", program, tally, before)
    tally = connections._tally = Tally()
    users = await _register(connections, tally, options.users)
    tally.times.clear()
    before = cpu_seconds(program.pid), time.monotonic()
    await _calls(connections, tally, users, options.calls, options.seconds)
    row(f"{len(users)} users, {options.calls:g} calls/s", program, tally, before)
    tally.times.clear()
    begun = asyncio.create_task(_calls(connections, tally, users, options.calls, options.seconds))
    await asyncio.sleep(min(options.seconds, 5.0) / 2)
    program.process.kill()
    await begun
    connections.close()
    program.process.wait()
    with directory(folder, database=options.database, name="again") as again:
        connections = Connections(http_port(again), Tally())
        await connections.open()
        missing = await _missing(connections, tally)
        connections.close()
        again.stop()
        again.finish()
    sys.stdout.write(f"acknowledged before kill -9: {len(tally.users)} users, {len(tally.calls)} calls; ")
    sys.stdout.write(f"missing after: {missing}\n")
    return 1 if missing else 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m tests.bench directory`."""
    parser.add_argument("--requests", type=float, default=200.0, help="a second  [%(default)s]")
    parser.add_argument("--users", type=int, default=1000, help="[%(default)s]")
    parser.add_argument("--calls", type=float, default=100.0, help="a second  [%(default)s]")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each  [%(default)s]")
    parser.add_argument("--call", action="store_true", help="beside a call that it has set up: what was concealed")
    parser.add_argument("--database", default="voip.sqlite", help="[a file of its own]")


def run(options: argparse.Namespace) -> int:
    """The command; exit status 1 if anything that was acknowledged is missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.call:

            def ask(port: int, ending: threading.Event) -> tuple[int, float]:
                return asyncio.run(_ask_until(port, options.requests, ending))

            return directory_call.compare(folder, options.seconds, ask)
        sys.stdout.write(HEAD + "\n")
        with directory(folder, database=options.database) as program:
            return asyncio.run(_measure(options, program, folder))
