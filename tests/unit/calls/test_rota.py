"""Each call is looked at once in a round, and no look takes long."""

from __future__ import annotations

from typing import cast

import pytest

from voip.calls.call import Call
from voip.calls.rota import LONG_ROUND, MANY, PART, ROUND, Rota


def calls(count: int) -> list[Call]:
    return [cast(Call, object()) for _ in range(count)]


@pytest.mark.parametrize("count", [1, PART, PART + 1, MANY, MANY + 1, 500])
def test_a_round_has_each_call_once_in_even_parts(count: int) -> None:
    rota, there, turns, seconds = Rota(), calls(count), list[Call](), 0.0
    while not turns or not rota.begins:
        part = rota.part(there)
        assert 0 < len(part) <= PART
        turns += part
        seconds += rota.pause
    assert turns == there
    assert seconds == pytest.approx(LONG_ROUND if count > MANY else ROUND)


def test_without_calls_there_are_rounds_all_the_same() -> None:
    rota = Rota()
    for _ in range(3):
        assert rota.begins
        assert rota.part([]) == []
        assert rota.pause == ROUND


def test_a_call_that_comes_has_its_turn_in_the_next_round_and_one_that_ends_has_none_there() -> None:
    rota, there = Rota(), calls(2 * PART)
    first = rota.part(there)
    new, gone = calls(1)[0], there[0]
    after = [*there[1:], new]
    assert gone in first
    assert new not in rota.part(after)
    following = rota.part(after) + rota.part(after)
    assert new in following
    assert gone not in following
