"""The matrix: what each row does to the packets, and the figures that our programs must reach there.

The wire, the virtual call and the tests take their rows from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.support.bottleneck import Bottleneck
from tests.support.network import Impairment, Step

SECONDS = 60.0
"""Length of a row's call."""
SETTLING = 5.0
"""Seconds after the start of a call and after each step whose queue and drops do not count: a rate has to be found."""


@dataclass(frozen=True)
class Bounds:
    """What must be reached: PESQ-WB, R and `tcp` at least, the others at most. None: not bounded.

    Percent of the speech missing; milliseconds of delay; kbit/s; R on the scale to 100. Of a full line, from `SETTLING`
    on: milliseconds that 95 % of the packets waited in its queue, percent of them that it dropped; `again`: seconds
    from a step on until the queue is short again; `tcp`: kbit/s that are left to a TCP on the same line.
    """

    pesq: float | None = None
    missing: float | None = None
    delay: float | None = None
    kbps: float | None = None
    queue: float | None = None
    drops: float | None = None
    again: float | None = None
    tcp: float | None = None
    r: float | None = None


LESS_PESQ, MORE_DELAY, MORE_BITS = 0.05, 10.0, 1.05
"""By how much less PESQ, how many milliseconds more, and how many times the bits a row may be worse than it was."""
SATISFIED = 80.0
"""R from which users are satisfied (ITU-T G.109)."""


def not_worse(pesq: float, delay: float, kbps: float, missing: float | None = None) -> Bounds:
    """What a row must reach that came to these figures before full lines and outages were dealt with, R included."""
    return Bounds(
        pesq=round(pesq - LESS_PESQ, 2),
        missing=missing,
        delay=delay + MORE_DELAY,
        kbps=round(kbps * MORE_BITS),
        r=SATISFIED,
    )


@dataclass(frozen=True)
class Row:
    """One row: `name` for the command line, `title` for people.

    `back`: what the way back is like, if not as the way there. `tcp`: a long-lived TCP connection sends the same way as
    the call over the same bottleneck. `second`: seconds after which a second call of ours begins on the same wire.
    """

    name: str
    title: str
    steps: tuple[Step, ...]
    bounds: Bounds = Bounds()
    seconds: float = SECONDS
    back: tuple[Step, ...] | None = None
    tcp: bool = False
    second: float | None = None

    @property
    def way_back(self) -> tuple[Step, ...]:
        """The steps of the way from the receiver to the sender."""
        return self.steps if self.back is None else self.back

    @property
    def of_second(self) -> Row:
        """The row as the second call sees it: shorter, with the first one there from the start."""
        return replace(self, seconds=self.seconds - (self.second or 0.0), second=None)

    @property
    def full_line(self) -> bool:
        """Whether there is a bottleneck at any time."""
        return any(step.impairment.bottleneck is not None for step in self.steps)

    @property
    def settled(self) -> list[tuple[float, float]]:
        """The spans of the call, in seconds, in which nothing has changed on the line for `SETTLING` seconds."""
        changes = sorted([*(step.at for step in self.steps), *([] if self.second is None else [self.second])])
        ends = [min(end, self.seconds) for end in (*changes[1:], self.seconds)]
        spans = [(at + SETTLING, end) for at, end in zip(changes, ends, strict=True)]
        return [(begin, end) for begin, end in spans if begin < end]

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
    _row("clean", "clean", Impairment(), not_worse(4.38, 58, 55)),
    _row("loss5", "random 5 %", Impairment(loss=0.05), not_worse(4.42, 102, 91, missing=0.1)),
    _row("loss10", "random 10 %", Impairment(loss=0.1), not_worse(4.43, 102, 112, missing=0.2)),
    _row("loss20", "random 20 %", Impairment(loss=0.2), not_worse(4.43, 102, 133, missing=0.5)),
    _row("loss30", "random 30 %", Impairment(loss=0.3), not_worse(4.24, 109, 157, missing=1.0)),
    _row("burst5", "bursts of 3, 5 %", Impairment(loss=0.05, burst=3), Bounds(4.3, missing=0.3, delay=130, kbps=137)),
    _row("burst10", "bursts of 3, 10 %", Impairment(loss=0.1, burst=3), Bounds(4.2, missing=0.8, delay=145, kbps=137)),
    _row("burst20", "bursts of 3, 20 %", Impairment(loss=0.2, burst=3), Bounds(4.1, missing=2.0, delay=175, kbps=137)),
    _row(
        "outage5",
        "outages of 60 ms, 5 %",
        Impairment(loss=0.05, outage=0.06),
        Bounds(3.9, missing=1.2, delay=190, kbps=137),
    ),
    _row(
        "outage10",
        "outages of 60 ms, 10 %",
        Impairment(loss=0.1, outage=0.06),
        Bounds(3.85, missing=2.5, delay=230, kbps=137),
    ),
    _row("jitter30", "jitter 30 ms", Impairment(jitter=0.03), not_worse(4.31, 89, 133)),
    _row("jitter60", "jitter 60 ms", Impairment(jitter=0.06), not_worse(4.31, 133, 147)),
    _row(
        "loss10-jitter30",
        "random 10 %, jitter 30 ms",
        Impairment(loss=0.1, jitter=0.03),
        not_worse(4.35, 111, 135, missing=0.5),
    ),
    Row("steps", "0, 20, 0 %, 60 s each", STEPS, seconds=180.0),
)


def _line(rate: float, queue: float, **more: float) -> Impairment:
    """`rate` kbit/s with a queue of `queue` milliseconds."""
    return Impairment(bottleneck=Bottleneck.lasting(1e3 * rate, queue / 1e3), **more)  # type: ignore[arg-type]


_QUEUES = (200, 1000, 2000)
"""Milliseconds: a short one, and two of routers that hold too much."""
_LINES = {40: 4.0, 64: 4.2, 96: 4.3, 128: 4.3, 256: 4.3}
"""kbit/s: the PESQ-WB that must be reached there."""
FULL_LINES = (
    *(
        _row(
            f"line{rate}-{queue}",
            f"{rate} kbit/s, queue {queue} ms",
            _line(rate, queue),
            Bounds(pesq=pesq, delay=150, queue=100, drops=0.5),
        )
        for rate, pesq in _LINES.items()
        for queue in _QUEUES
    ),
    Row(
        "line-steps",
        "256, 64, 256 kbit/s for 30, 60, 60 s",
        (Step(0.0, _line(256, 1000)), Step(30.0, _line(64, 1000)), Step(90.0, _line(256, 1000))),
        Bounds(pesq=4.0, again=5.0),
        seconds=150.0,
    ),
    _row(
        "line96-loss10",
        "96 kbit/s, random 10 %",
        _line(96, 1000, loss=0.1),
        Bounds(pesq=4.1, kbps=92, queue=100),
    ),
    Row("line256-tcp", "256 kbit/s beside TCP", (Step(0.0, _line(256, 1000)),), Bounds(pesq=4.0, tcp=128), tcp=True),
    Row(
        "line96-two",
        "96 kbit/s for two calls",
        (Step(0.0, _line(96, 1000)),),
        Bounds(pesq=4.0, queue=100, drops=0.5),
        second=10.0,
    ),
)
"""Lines whose bits do not suffice for all that might be sent, or just do."""
ALL = (*ROWS, *FULL_LINES)


def find(name: str) -> Row:
    """The row of that name; ValueError if there is none."""
    for row in ALL:
        if row.name == name:
            return row
    raise ValueError(f"no row {name!r}: there are {', '.join(row.name for row in ALL)}")


def matching(pattern: str) -> tuple[Row, ...]:
    """The rows whose names match, as file names match in a shell: `line*-1000`; ValueError if there is none."""
    return tuple(row for row in ALL if fnmatchcase(row.name, pattern)) or (find(pattern),)


def selected(choices: Sequence[Sequence[Row]] | None, default: Sequence[Row] = ALL) -> list[Row]:
    """The rows that one or several `--row` name, each once; `default` without any."""
    return list(dict.fromkeys(row for choice in choices for row in choice)) if choices else list(default)
