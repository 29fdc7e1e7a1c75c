"""What each pattern of the ladder leaves lost on a path, by the table of its simulation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

from voip.fec.channel import QUIET, Channel
from voip.fec.copies import copies_ladder
from voip.fec.pattern import Pattern, parse_pattern
from voip.fec.tables import JITTERS, LOSSES, OUTAGES, PREDICTED, WAITS

STEPS_PER_DECADE = 20
"""A table's number n says 10^(-n/20)."""
_LOG_LOSSES = [math.log(loss) for loss in LOSSES]
_JITTERS = (QUIET, *JITTERS)


REMEMBERED = 64
"""Predictions that each rung remembers: a report asks for the same ones several times."""


@runtime_checkable
class Rung(Protocol):
    """A pattern of the ladder."""

    pattern: Pattern

    def missing(self, channel: Channel, wait: float) -> float:
        """The share of media packets that are neither here nor rebuilt within `wait` packet times."""


class TableRung:
    """A pattern of repair packets with its table."""

    def __init__(self, pattern: Pattern, outages: Sequence[str], jitters: Sequence[str]) -> None:
        """For each of WAITS a text of two-digit numbers: for each of LOSSES, one for each of OUTAGES, or of JITTERS."""
        self.pattern = pattern
        self._texts = outages, jitters
        self._known: dict[tuple[Channel, int], float] = {}

    def missing(self, channel: Channel, wait: float) -> float:
        """See `Rung`."""
        column = bisect_right(WAITS, wait) - 1
        if column < 0:
            return min(1.0, channel.loss + math.exp(-wait / max(channel.jitter, 1e-9)))
        found = self._known.get((channel, column))
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[channel, column] = self._predict(channel, column)
        return found

    def _predict(self, channel: Channel, column: int) -> float:
        outages, jitters = self._tables
        loss, outage, jitter = _places(channel)
        lost = _interpolated(outages[column], loss, outage)
        return lost if jitter is None else max(lost, _interpolated(jitters[column], loss, jitter))

    @cached_property
    def _tables(self) -> tuple[list[list[list[int]]], list[list[list[int]]]]:
        outages = [_rows(text, len(OUTAGES)) for text in self._texts[0]]
        jitters = [_rows(text, len(JITTERS)) for text in self._texts[1]]
        for still, shaken in zip(outages, jitters, strict=True):
            for row, without in zip(shaken, still, strict=True):
                row.insert(0, without[0])  # random loss, no jitter
        return outages, jitters


def ladder() -> list[Rung]:
    """All patterns of repair packets that the table knows, and those of copies, the cheapest first."""
    return list(_all_rungs())


@cache
def _all_rungs() -> tuple[Rung, ...]:
    """Read once for all streams."""
    rungs: list[Rung] = [*copies_ladder()]
    for text, (outages, jitters) in PREDICTED.items():
        pattern = parse_pattern(text)
        assert pattern is not None
        rungs.append(TableRung(pattern, outages, jitters))
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


@lru_cache(maxsize=REMEMBERED)
def _places(channel: Channel) -> tuple[_Place, _Place, _Place | None]:
    """Where a path is in the tables: by loss, outage and jitter; None for the last where it is too small to count."""
    jitter = None if channel.jitter <= QUIET else _place(_JITTERS, channel.jitter)
    return _place(_LOG_LOSSES, math.log(max(channel.loss, 1e-9))), _place(OUTAGES, channel.outage), jitter


def _interpolated(rows: list[list[int]], loss: _Place, other: _Place) -> float:
    """Between the four nearest numbers; beyond the table, its edge."""
    row, down = loss
    column, right = other
    upper = rows[row][column] * (1.0 - right) + rows[row][column + 1] * right
    lower = rows[row + 1][column] * (1.0 - right) + rows[row + 1][column + 1] * right
    return float(10.0 ** (-(upper * (1.0 - down) + lower * down) / STEPS_PER_DECADE))


def _place(axis: Sequence[float], value: float) -> _Place:
    index = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    share = (value - axis[index]) / (axis[index + 1] - axis[index])
    return _Place(index, min(1.0, max(0.0, share)))
