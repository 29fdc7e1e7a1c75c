"""What one phase of a soak cost the call, and the process that takes it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import Receiver

MINUTE = 60.0
LOOK_INTERVAL = 1.0
"""Seconds between two looks at the memory of a process."""
MOST_GROWTH = 5_000_000
"""Bytes that a process may grow by in a flood, however long that is."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """The process and its first call at a moment: seconds, processor seconds, bytes, counts since the start."""

    time: float
    processor: float
    memory: int
    descriptors: int
    threads: int
    expected: int
    lost: int
    concealed_ms: float

    @classmethod
    def of(cls, program: Receiver, folder: Path, now: float) -> Sample:
        """Read /proc, and the last statistics in the JSON that the program writes."""
        process = Path(f"/proc/{program.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        call = _last_statistics(folder / f"{program.name}.stdout")
        return cls(
            now,
            (int(fields[11]) + int(fields[12])) / _TICKS,
            resident(program),
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            call["rx"]["expected"],
            call["rx"]["lost"],
            20.0 * call["heard"]["concealed"] + call["heard"]["silent_ms"],
        )


def resident(program: Receiver) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * _PAGE


@dataclass
class Memory:
    """What a process had, with the seconds since the start of a phase."""

    looks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def after_a_minute(self) -> int | None:
        """Bytes; None for a phase that was shorter."""
        return next((size for at, size in self.looks if at >= MINUTE), None)

    @property
    def most(self) -> int:
        return max((size for _, size in self.looks), default=0)


@contextlib.contextmanager
def watched(program: Receiver, interval: float = LOOK_INTERVAL) -> Iterator[Memory]:
    """Look at its memory all along, so many seconds apart."""
    memory, over, began = Memory(), threading.Event(), time.monotonic()

    def look() -> None:
        while not over.wait(interval):
            with contextlib.suppress(OSError):  # it has ended: the phase says so
                memory.looks.append((time.monotonic() - began, resident(program)))

    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


def _last_statistics(file: Path) -> Any:  # noqa: ANN401 - JSON
    """The newest statistics of the call that is watched: the first of the run."""
    found, first = None, None
    for line in file.read_text(errors="replace").splitlines():
        if '"event": "stats"' in line:
            event = json.loads(line)
            first = first or event["call_id"]
            found = event if event["call_id"] == first else found
    assert found is not None, "no statistics yet"
    return found


@dataclass(frozen=True)
class Row:
    """A phase: its name, what strangers did in it, and the difference it made."""

    name: str
    did: str
    before: Sample
    after: Sample
    memory: Memory

    HEAD = "phase          s  packets  lost % missing ms  CPU %     MB  1 min   most    end  fds  thr"

    @property
    def growth(self) -> int:
        """Bytes by which the process has grown."""
        return self.after.memory - self.before.memory

    @property
    def line(self) -> str:
        """The row of the table: memory at the start, and how much more it was a minute later, at most and at the end;
        what the call lost, and how much of its sound was missing."""
        a, b = self.before, self.after
        seconds = b.time - a.time
        expected = b.expected - a.expected
        lost = 100.0 * (b.lost - a.lost) / max(1, expected)
        minute = self.memory.after_a_minute
        more = "     -" if minute is None else f"{(minute - a.memory) / 1e6:+6.1f}"
        most = max(self.memory.most, b.memory) - a.memory
        return (
            f"{self.name:11} {seconds:4.0f} {expected:8} {lost:7.3f} {b.concealed_ms - a.concealed_ms:10.0f} "
            f"{100.0 * (b.processor - a.processor) / seconds:6.1f} {a.memory / 1e6:6.1f} {more} {most / 1e6:+6.1f} "
            f"{self.growth / 1e6:+6.1f} {b.descriptors:4} {b.threads:4}   {self.did}"
        )
