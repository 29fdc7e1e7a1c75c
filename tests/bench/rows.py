"""The matrix: what each row does to the packets, and the figures that our programs must reach there.

The wire, the virtual call and the tests take their rows from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.network import Impairment, Step

SECONDS = 60.0
"""Length of a row's call."""


@dataclass(frozen=True)
class Bounds:
    """What must be reached: PESQ-WB at least, the others at most. Percent, milliseconds, kbit/s; None: not bounded."""

    pesq: float | None = None
    missing: float | None = None
    delay: float | None = None
    kbps: float | None = None


@dataclass(frozen=True)
class Row:
    """One row: `name` for the command line, `title` for people."""

    name: str
    title: str
    steps: tuple[Step, ...]
    bounds: Bounds = Bounds()
    seconds: float = SECONDS

    @property
    def impairment(self) -> Impairment:
        """Of the first step."""
        return self.steps[0].impairment

    @property
    def loss(self) -> float:
        """Long-run share over the whole row, 0 to 1."""
        ends = [*(step.at for step in self.steps[1:]), self.seconds]
        parts = ((step, min(end, self.seconds) - step.at) for step, end in zip(self.steps, ends, strict=True))
        return sum(max(0.0, length) * step.impairment.loss for step, length in parts) / self.seconds


def _row(name: str, title: str, impairment: Impairment, bounds: Bounds) -> Row:
    return Row(name, title, (Step(0.0, impairment),), bounds)


STEPS = (Step(0.0, Impairment()), Step(60.0, Impairment(loss=0.2)), Step(120.0, Impairment()))
ROWS = (
    _row("clean", "clean", Impairment(), Bounds(pesq=4.35, delay=60, kbps=70)),
    _row("loss5", "random 5 %", Impairment(loss=0.05), Bounds(pesq=4.3, missing=0.1)),
    _row("loss10", "random 10 %", Impairment(loss=0.1), Bounds(pesq=4.25, missing=0.2)),
    _row("loss20", "random 20 %", Impairment(loss=0.2), Bounds(pesq=4.1, missing=0.5)),
    _row("loss30", "random 30 %", Impairment(loss=0.3), Bounds(pesq=3.9, missing=1.0, kbps=180)),
    _row("burst5", "bursts of 3, 5 %", Impairment(loss=0.05, burst=3), Bounds(4.3, missing=0.3, delay=130, kbps=137)),
    _row("burst10", "bursts of 3, 10 %", Impairment(loss=0.1, burst=3), Bounds(4.2, missing=0.8, delay=145, kbps=137)),
    _row("burst20", "bursts of 3, 20 %", Impairment(loss=0.2, burst=3), Bounds(4.1, missing=2.0, delay=175, kbps=137)),
    _row(
        "outage5",
        "outages of 60 ms, 5 %",
        Impairment(loss=0.05, outage=0.06),
        Bounds(3.9, missing=1.0, delay=190, kbps=137),
    ),
    _row(
        "outage10",
        "outages of 60 ms, 10 %",
        Impairment(loss=0.1, outage=0.06),
        Bounds(3.85, missing=2.5, delay=230, kbps=137),
    ),
    _row("jitter30", "jitter 30 ms", Impairment(jitter=0.03), Bounds(pesq=4.3, delay=90)),
    _row("jitter60", "jitter 60 ms", Impairment(jitter=0.06), Bounds(pesq=4.1, delay=150)),
    _row(
        "loss10-jitter30",
        "random 10 %, jitter 30 ms",
        Impairment(loss=0.1, jitter=0.03),
        Bounds(pesq=4.1, missing=0.5, delay=120),
    ),
    Row("steps", "0, 20, 0 %, 60 s each", STEPS, seconds=180.0),
)


def find(name: str) -> Row:
    """The row of that name; ValueError if there is none."""
    for row in ROWS:
        if row.name == name:
            return row
    raise ValueError(f"no row {name!r}: there are {', '.join(row.name for row in ROWS)}")
