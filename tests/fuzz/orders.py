"""What a process that fuzzes is asked for, and one that is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import NamedTuple


class Order(NamedTuple):
    """Fuzz a target with these options of libFuzzer, and write to this log."""

    target: str
    options: Sequence[str]
    log: str

    @classmethod
    def parse(cls, line: str) -> Order:
        """The order in a line of a worker's input."""
        return cls(*json.loads(line))

    @property
    def line(self) -> str:
        """The order as such a line."""
        return f"{json.dumps(self)}\n"


class Worker:
    """A context: a process that has imported and instrumented the package, and fuzzes one target after the other."""

    def __init__(self, log: Path) -> None:
        """`log`: what it writes that is of no target."""
        self._log = log

    def __enter__(self) -> Worker:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def fuzz(self, order: Order, patience: float | None) -> int:
        """The exit status of the process that did so; it is killed after so many seconds (None: never)."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        sink.write(order.line)
        sink.flush()
        child = source.readline()
        if not child:
            raise RuntimeError(f"the process that fuzzes has ended, see {self._log}")
        late = None if patience is None else Timer(patience, os.kill, (int(child), signal.SIGKILL))
        if late is not None:
            late.start()
        status = source.readline()
        if late is not None:
            late.cancel()
        return int(status)
