"""What each pattern of the ladder leaves lost on a path, by the table of its simulation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, runtime_checkable

from voip.fec.channel import QUIET, Channel
from voip.fec.copies import copies_ladder
from voip.fec.pattern import Pattern, parse_pattern
from voip.fec.tables import JITTERS, LOSSES, OUTAGES, PREDICTED, WAITS

STEPS_PER_DECADE = 20
"""A table's number n says 10^(-n/20)."""
_LOG_LOSSES = [math.log(loss) for loss in LOSSES]
_JITTERS = (QUIET, *JITTERS)


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

    def missing(self, channel: Channel, wait: float) -> float:
        """See `Rung`."""
        column = bisect_right(WAITS, wait) - 1
        if column < 0:
            return min(1.0, channel.loss + math.exp(-wait / max(channel.jitter, 1e-9)))
        outages, jitters = self._tables
        lost = _interpolated(outages[column], channel.loss, OUTAGES, channel.outage)
        if channel.jitter <= QUIET:
            return lost
        return max(lost, _interpolated(jitters[column], channel.loss, _JITTERS, channel.jitter))

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
    rungs: list[Rung] = [*copies_ladder()]
    for text, (outages, jitters) in PREDICTED.items():
        pattern = parse_pattern(text)
        assert pattern is not None
        rungs.append(TableRung(pattern, outages, jitters))
    return sorted(rungs, key=lambda rung: rung.pattern.overhead)


def ladder_window() -> int:
    """Packets that the repair packets of any pattern of the ladder span, the newest included."""
    return 1 + max(rung.pattern.reach for rung in ladder() if rung.pattern.copy_bitrate is None)


def _rows(text: str, columns: int) -> list[list[int]]:
    numbers = [int(text[i : i + 2]) for i in range(0, len(text), 2)]
    return [numbers[i : i + columns] for i in range(0, len(numbers), columns)]


def _interpolated(rows: list[list[int]], loss: float, axis: Sequence[float], value: float) -> float:
    """Between the four nearest numbers; beyond the table, its edge."""
    row, down = _place(_LOG_LOSSES, math.log(max(loss, 1e-9)))
    column, right = _place(axis, value)
    upper = rows[row][column] * (1.0 - right) + rows[row][column + 1] * right
    lower = rows[row + 1][column] * (1.0 - right) + rows[row + 1][column + 1] * right
    return float(10.0 ** (-(upper * (1.0 - down) + lower * down) / STEPS_PER_DECADE))


def _place(axis: Sequence[float], value: float) -> tuple[int, float]:
    """The interval of an ascending axis that holds a value, and how far into it, 0 to 1."""
    index = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    share = (value - axis[index]) / (axis[index + 1] - axis[index])
    return index, min(1.0, max(0.0, share))
