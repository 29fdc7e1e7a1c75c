"""What each pattern of the ladder leaves lost on a path, by the table of its simulation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from voip.fec.channel import QUIET, Channel
from voip.fec.copies import copies_ladder
from voip.fec.pattern import Pattern, parse_pattern
from voip.fec.tables import JITTERS, LOSSES, OUTAGES, PREDICTED, WAITS

STEPS_PER_DECADE = 20
"""A table's number n says 10^(-n/20)."""
_LOG_LOSSES = [math.log(loss) for loss in LOSSES]
_JITTERS = (QUIET, *JITTERS)
_Table = NDArray[np.float64]


REMEMBERED = 64
"""Paths of which predictions are remembered: a report asks for the same ones several times, and senders to many have a
few in use at a time."""


@runtime_checkable
class Rung(Protocol):
    """A pattern of the ladder."""

    pattern: Pattern

    def missing(self, channel: Channel, wait: float) -> float:
        """The share of media packets that are neither here nor rebuilt within `wait` packet times."""


class TableRung:
    """A pattern of repair packets with its table."""

    def __init__(self, pattern: Pattern, number: int) -> None:
        """`number`: which of PREDICTED it is."""
        self.pattern = pattern
        self._number = number

    def missing(self, channel: Channel, wait: float) -> float:
        """See `Rung`."""
        column = bisect_right(WAITS, wait) - 1
        if column < 0:
            return min(1.0, channel.loss + math.exp(-wait / max(channel.jitter, 1e-9)))
        return float(10.0 ** (-_predicted(channel)[self._number][column] / STEPS_PER_DECADE))


@lru_cache(maxsize=REMEMBERED)
def _predicted(channel: Channel) -> list[list[float]]:
    """What the table says of a path, of all patterns for each of WAITS: a report asks for most of them."""
    return _predicted_at(*_places(channel))


@lru_cache(maxsize=REMEMBERED)
def _predicted_at(loss: _Place, outage: _Place, jitter: _Place | None) -> list[list[float]]:
    """The same: clean paths differ in their jitter, but in nothing that the table knows."""
    outages, jitters = _tables()
    found = _interpolated(outages, loss, outage)
    if jitter is not None:
        found = np.minimum(found, _interpolated(jitters, loss, jitter))
    numbers: list[list[float]] = found.tolist()
    return numbers


@cache
def _tables() -> tuple[_Table, _Table]:
    """Of all patterns, for each of WAITS and LOSSES: numbers for OUTAGES, and for QUIET and JITTERS."""
    outages, jitters = (
        np.array([[_rows(text, columns) for text in texts[kind]] for texts in PREDICTED.values()], np.float64)
        for kind, columns in enumerate((len(OUTAGES), len(JITTERS)))
    )
    return outages, np.concatenate((outages[..., :1], jitters), axis=-1)  # random loss, no jitter


def ladder() -> list[Rung]:
    """All patterns of repair packets that the table knows, and those of copies, the cheapest first."""
    return list(_all_rungs())


@cache
def _all_rungs() -> tuple[Rung, ...]:
    """Read once for all streams."""
    rungs: list[Rung] = [*copies_ladder()]
    for number, text in enumerate(PREDICTED):
        pattern = parse_pattern(text)
        assert pattern is not None
        rungs.append(TableRung(pattern, number))
    return tuple(sorted(rungs, key=lambda rung: rung.pattern.overhead))


def ladder_window() -> int:
    """Packets that the repair packets of any pattern of the ladder span, the newest included."""
    return 1 + max(rung.pattern.reach for rung in ladder() if rung.pattern.copy_bitrate is None)


def _rows(text: str, columns: int) -> list[list[int]]:
    numbers = [int(text[i : i + 2]) for i in range(0, len(text), 2)]
    return [numbers[i : i + columns] for i in range(0, len(numbers), columns)]


class _Place(NamedTuple):
    """The interval of an ascending axis that holds a value, and how far into it, 0 to 1."""

    at: int
    share: float


def _places(channel: Channel) -> tuple[_Place, _Place, _Place | None]:
    """Where a path is in the tables: by loss, outage and jitter; None for the last where it is too small to count."""
    jitter = None if channel.jitter <= QUIET else _place(_JITTERS, channel.jitter)
    return _place(_LOG_LOSSES, math.log(max(channel.loss, 1e-9))), _place(OUTAGES, channel.outage), jitter


def _interpolated(table: _Table, loss: _Place, other: _Place) -> _Table:
    """Between the four nearest numbers; beyond the table, its edge. Of all patterns and WAITS."""
    row, down = loss
    column, right = other
    near = table[:, :, row : row + 2, column] * (1.0 - right) + table[:, :, row : row + 2, column + 1] * right
    return near[:, :, 0] * (1.0 - down) + near[:, :, 1] * down


def _place(axis: Sequence[float], value: float) -> _Place:
    index = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    share = (value - axis[index]) / (axis[index + 1] - axis[index])
    return _Place(index, min(1.0, max(0.0, share)))
