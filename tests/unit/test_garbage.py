"""Garbage collection by a budget: when what is looked at, in virtual time, and with the collector itself."""

from __future__ import annotations

import gc
import itertools
import weakref
from dataclasses import dataclass, field

import pytest

from voip.garbage import BUDGET, ENOUGH, EVERYTHING, GROWTH, NEVER, REST, SINCE_LAST, YOUNG, Garbage

THRESHOLDS = 700, 10, 10
STEP = 0.01
"""Seconds between two blocks."""


@dataclass
class Collected:
    """A collector that does nothing but take its time, in whose clock all happens."""

    takes: dict[int, float]
    """Seconds of a look at each generation."""
    now: float = 1000.0
    thresholds: tuple[int, int, int] = THRESHOLDS
    young: int = 0
    """Looks of CPython's since the last of others."""
    frozen: bool = False
    freed: int = 3
    """Objects that each look frees."""
    looks: list[tuple[int, float]] = field(default_factory=list)
    """Each generation that was looked at, and when."""

    def get_count(self) -> tuple[int, int, int]:
        return 0, self.young, 0

    def get_threshold(self) -> tuple[int, int, int]:
        return self.thresholds

    def set_threshold(self, new: int, middle: int, old: int, /) -> None:
        self.thresholds = new, middle, old

    def collect(self, generation: int = EVERYTHING) -> int:
        self.looks.append((generation, self.now))
        self.now += self.takes[generation]
        self.young = 0
        return self.freed

    def freeze(self) -> None:
        self.frozen = True

    def unfreeze(self) -> None:
        self.frozen = False

    def play(self, garbage: Garbage, seconds: float, young: float = 0.0) -> list[tuple[int, float]]:
        """Blocks for so long, with so many looks of CPython's a second: our looks meanwhile."""
        begin, before, made = self.now, len(self.looks), 0.0
        while self.now < begin + seconds:
            self.now += STEP
            made += young * STEP
            self.young += int(made)
            made -= int(made)
            garbage.look()
        return self.looks[before:]


def running(takes: dict[int, float]) -> tuple[Collected, Garbage]:
    """A collector, and what uses it, begun."""
    collected = Collected(takes)
    garbage = Garbage(collected, lambda: collected.now, lambda: collected.now)
    return collected, garbage.__enter__()


def gaps(looks: list[tuple[int, float]], generation: int) -> list[float]:
    """Seconds between looks at this generation."""
    times = [at for which, at in looks if which == generation]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_the_program_itself_is_frozen_and_no_old_objects_are_looked_at_but_by_us() -> None:
    collected = Collected({EVERYTHING: 0.0})
    with Garbage(collected, lambda: collected.now):
        assert collected.frozen
        assert collected.thresholds == (YOUNG, NEVER, NEVER)
    assert not collected.frozen
    assert collected.thresholds == THRESHOLDS


def test_where_nothing_is_made_there_is_one_look_in_a_minute() -> None:
    collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: 0.003})
    looks = collected.play(garbage, 3.5 * REST)
    assert [which for which, _ in looks] == [EVERYTHING] * 3
    assert min(gaps(looks, EVERYTHING)) >= REST


@pytest.mark.parametrize("takes", [0.003, 0.085, 2.0])
@pytest.mark.parametrize("young", [0.5, 10.0, 1000.0])
def test_looks_at_everything_take_no_more_than_their_budget(takes: float, young: float) -> None:
    collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: takes})
    looks = collected.play(garbage, 2000.0, young)
    between = gaps(looks, EVERYTHING)
    assert between
    assert min(between) >= takes / BUDGET
    assert garbage.everything.seconds <= BUDGET * 2000.0 + takes
    assert garbage.since_last.seconds <= BUDGET * 2000.0 + 0.001


def test_under_a_flood_new_objects_are_looked_at_while_everything_has_to_wait() -> None:
    collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: 0.085})
    looks = collected.play(garbage, 170.0, young=50.0)
    assert 9 <= garbage.everything.count <= 11
    assert max(gaps(looks, SINCE_LAST)) < 1.0
    assert all(gap >= 0.001 / BUDGET for gap in gaps(looks, SINCE_LAST))


def test_little_that_is_made_adds_up_to_a_look_at_everything() -> None:
    """A look at what is new does not make forget that something was made."""
    collected, garbage = running({SINCE_LAST: 0.0, EVERYTHING: 0.1})
    collected.play(garbage, REST)
    collected.play(garbage, 0.1 / BUDGET - 1.0, young=10.0)
    assert garbage.everything.count == 1
    assert garbage.since_last.count > 30
    collected.play(garbage, 2.0, young=10.0)
    assert garbage.everything.count == 2


def test_the_more_there_is_to_look_at_the_more_has_to_be_made_before_the_next_look() -> None:
    collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: 0.01})
    collected.play(garbage, 1.0, young=ENOUGH + 1.0)
    assert garbage.everything.count == 1
    wanted = ENOUGH + GROWTH * 0.01
    collected.play(garbage, 10.0, young=(wanted - 3.0) / 10.0)
    assert garbage.everything.count == 1
    collected.play(garbage, 4.0, young=1.0)
    assert garbage.everything.count == 2


def test_after_a_look_that_freed_nothing_more_has_to_be_made_before_the_next() -> None:
    found = []
    for freed in (1, 0):
        collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: 0.02})
        collected.freed = freed
        collected.play(garbage, 0.9 * REST, young=10.0)
        found.append(garbage.everything.count)
    assert found[0] > 1.5 * found[1] > 0


def test_it_tells_what_it_took() -> None:
    collected, garbage = running({SINCE_LAST: 0.001, EVERYTHING: 0.003})
    collected.play(garbage, REST + 1.0)
    assert str(garbage) == (
        "looks for garbage: new objects 0 times, 0.000 s, the longest 0.0 ms, 0 freed, "
        "all objects 1 times, 0.003 s, the longest 3.0 ms, 3 freed"
    )


class Ended:
    """A call that is over, held by nothing but itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_calls_leave_behind_is_freed_soon_and_the_program_itself_is_not_looked_at() -> None:
    left: weakref.WeakSet[Ended] = weakref.WeakSet()
    thresholds = gc.get_threshold()
    with Garbage():
        assert gc.get_freeze_count() > 10_000  # the modules
        most = 0
        for _ in range(30_000):
            left.add(Ended())
            most = max(most, len(left))
    assert 0 < most < 2 * YOUNG
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0


def test_garbage_that_has_become_old_is_freed_too() -> None:
    left: weakref.WeakSet[Ended] = weakref.WeakSet()
    now = 0.0
    with Garbage(clock=lambda: now) as garbage:
        up: list[list[Ended]] = []
        for _ in range(1000):  # each is up for a while: garbage only when it is no longer young
            up.append([Ended() for _ in range(100)])
            left.update(up[-1])
            del up[:-30]
            now += 1.0
            garbage.look()
        assert len(left) < 3000 + (ENOUGH + 2) * YOUNG
    assert garbage.everything.freed > 0


def test_old_objects_stay_until_we_look() -> None:
    left: weakref.WeakSet[Ended] = weakref.WeakSet()
    with Garbage():
        up = [Ended() for _ in range(3 * YOUNG)]
        left.update(up)
        kept = [Ended() for _ in range(3 * YOUNG)]
        del up
        assert len(left) > 2 * YOUNG
        kept += [Ended() for _ in range(30 * YOUNG)]
        assert len(left) > 2 * YOUNG  # CPython has looked at what is new alone
    assert kept
