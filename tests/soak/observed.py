"""What one phase of a soak cost the call, and the process that takes it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import Receiver

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
            int((process / "statm").read_text().split()[1]) * _PAGE,
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            call["rx"]["expected"],
            call["rx"]["lost"],
            20.0 * call["heard"]["concealed"] + call["heard"]["silent_ms"],
        )


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

    HEAD = "phase          s  packets  lost % missing ms  CPU %     MB  fds  thr"

    @property
    def line(self) -> str:
        """The row of the table."""
        a, b = self.before, self.after
        seconds = b.time - a.time
        expected = b.expected - a.expected
        lost = 100.0 * (b.lost - a.lost) / max(1, expected)
        return (
            f"{self.name:11} {seconds:4.0f} {expected:8} {lost:7.3f} {b.concealed_ms - a.concealed_ms:10.0f} "
            f"{100.0 * (b.processor - a.processor) / seconds:6.1f} {(b.memory - a.memory) / 1e6:+6.1f} "
            f"{b.descriptors:4} {b.threads:4}   {self.did}"
        )
