"""Programs on the two ends of a wire: started, listened to, waited for, with what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.rows import Row

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 20.0
"""Seconds for what should take one or two."""
_NICE_END = 2.0  # seconds between asking a program to end and making it
_TICK = 0.02
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # of util-linux; it becomes the program, as nsenter does


class BenchError(Exception):
    """A run that gave no figures; the message says why."""


@dataclass(frozen=True)
class Ended:
    """How a program ended and the processor seconds that it used, its own children's included."""

    status: int
    cpu: float


class Job:
    """A running program. Its talk goes to `FOLDER/NAME.log`; leaving the `with` block ends it if it still runs."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        listen: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`listen`: stdout is `self.stdout`, to be read by somebody; else it goes to the log."""
        self.name, self.log = name, folder / f"{name}.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("VOIP_", "PYTHON"))}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_DIES_WITH_US, *command] if shutil.which(_DIES_WITH_US[0]) else command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if listen else log,
                stderr=subprocess.STDOUT if not listen else log,
                env={**kept, **(environment or {})},
            )
        self.stdout = self._process.stdout
        self._ended: Ended | None = None

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(BenchError):
            self.stop()
        if self.stdout is not None:
            self.stdout.close()

    @property
    def talk(self) -> str:
        """What it said so far."""
        return self.log.read_text(errors="replace")

    def poll(self) -> Ended | None:
        """How it ended, or None while it runs."""
        if self._ended is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self._process.returncode = code
                self._ended = Ended(code, usage.ru_utime + usage.ru_stime)
        return self._ended

    def finish(self, timeout: float, *, kill: bool = True) -> Ended:
        """Wait for its end; BenchError, and it is killed, if that takes longer."""
        end = time.monotonic() + timeout
        while (ended := self.poll()) is None:
            if time.monotonic() > end:
                if kill:
                    self._process.kill()
                    os.waitpid(self._process.pid, 0)
                    self._process.returncode = -signal.SIGKILL
                    self._ended = Ended(-signal.SIGKILL, 0.0)
                raise BenchError(f"{self.name} did not end within {timeout:.0f} s:\n{self.talk[-2000:]}")
            time.sleep(_TICK)
        return ended

    def stop(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """Ask it to end, again if need be, and wait for that."""
        for _ in range(2):  # ffmpeg hears the first one only when the next packet comes
            if (ended := self.poll()) is not None:
                return ended
            self._process.send_signal(number)
            with contextlib.suppress(BenchError):
                return self.finish(_NICE_END, kill=False)
        return self.finish(_NICE_END)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> None:
        """Until it has said `text`; BenchError if it does not."""
        end = time.monotonic() + timeout
        while text not in self.talk:
            if self.poll() is not None or time.monotonic() > end:
                raise BenchError(f"{self.name} did not say {text!r}:\n{self.talk[-2000:]}")
            time.sleep(_TICK)


class Listener:
    """Reads 16-bit mono samples from a program as it plays them, and remembers when each piece came."""

    def __init__(self, job: Job, rate: int) -> None:
        assert job.stdout is not None
        self.rate = rate
        self._fd = job.stdout.fileno()
        self._pieces: list[tuple[float, int]] = []
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self._fd, 1 << 16):
            self._pieces.append((time.monotonic(), len(self._data)))
            self._data += piece

    def finish(self) -> NDArray[np.int16]:
        """All samples, once the program has closed its end."""
        self._thread.join(PATIENCE)
        return np.frombuffer(bytes(self._data[: len(self._data) // 2 * 2]), "<i2").astype(np.int16)

    @property
    def begin(self) -> float | None:
        """The monotonic moment at which sample 0 was handed over: the median of what all pieces say."""
        if not self._pieces:
            return None
        return statistics.median(at - before / 2 / self.rate for at, before in self._pieces)


@dataclass(frozen=True)
class LogLine:
    """One RTP or RTCP packet as the wire saw it; `delays` in seconds, one for each copy that came out.

    far_port: UDP port of the far host. wait: seconds until all was out that waited before it at the bottleneck; None:
    it came to none. full: it found the queue full.
    """

    at: float
    direction: str
    kind: str
    sequence: int
    timestamp: int
    size: int
    delays: tuple[float, ...]
    far_port: int = 0
    wait: float | None = None
    full: bool = False


class WireJob:
    """A wire in a process of its own, and the two hosts that it joins."""

    def __init__(self, row: Row, seed: int, folder: Path) -> None:
        self._log = folder / "wire.tsv"
        command = [sys.executable, "-m", "tests.bench", "wire", "--row", row.name, "--seed", str(seed)]
        command += ["--log", str(self._log), "--owner", str(os.getpid())]
        self._job = Job("wire", command, folder, listen=True, environment={"PYTHONPATH": str(ROOT)})
        assert self._job.stdout is not None
        ready = select.select([self._job.stdout], [], [], PATIENCE)[0]
        first = self._job.stdout.readline() if ready else b""
        if not first:
            self._job.stop()
            raise BenchError(f"no wire: {self._job.talk}")
        up: dict[str, Any] = json.loads(first)
        self.near: list[str] = up["near"].split()
        self.far: list[str] = up["far"].split()
        self.near_address, self.far_address = up["addresses"]

    def __enter__(self) -> WireJob:
        return self

    def __exit__(self, *error: object) -> None:
        self._job.__exit__()

    def finish(self) -> tuple[dict[str, Any], list[LogLine]]:
        """Take it down: its counts and its log."""
        self._job.stop()
        assert self._job.stdout is not None
        summary: dict[str, Any] = json.loads(self._job.stdout.read())
        return summary, [parse_line(line) for line in self._log.read_text().splitlines()]


def parse_line(line: str) -> LogLine:
    """A line of the wire's log."""
    at, direction, kind, sequence, timestamp, size, delays, port, wait, full = line.split("\t")
    times = tuple(float(delay) / 1e3 for delay in delays.split(",") if delay)
    waited = float(wait) / 1e3 if wait else None
    return LogLine(
        float(at), direction, kind, int(sequence), int(timestamp), int(size), times, int(port), waited, full == "1"
    )
