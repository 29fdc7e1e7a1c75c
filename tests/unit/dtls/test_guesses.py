"""Failed proofs make the next ones wait, for a while and never for long."""

from __future__ import annotations

from voip.dtls.guesses import FORGOTTEN_AFTER, FREE, MAX_WAIT, Guesses
from voip.dtls.proof import PASSWORD_TIMEOUT


def test_the_first_failures_cost_nothing_and_later_ones_more_and_more() -> None:
    guesses = Guesses()
    waits = []
    for at in range(FREE + 5):
        waits.append(guesses.wait(float(at)))
        guesses.note_failure(float(at))
    assert waits[: FREE + 1] == [0.0] * (FREE + 1)
    assert waits[FREE + 1 :] == [0.5, 1.0, 2.0, 3.0]


def test_nobody_is_locked_out_and_all_is_forgotten() -> None:
    guesses = Guesses()
    for _ in range(10_000):
        guesses.note_failure(0.0)
    assert guesses.wait(1.0) == MAX_WAIT < PASSWORD_TIMEOUT - 1.0
    assert guesses.wait(FORGOTTEN_AFTER + 1.0) == 0.0


def test_an_hour_of_guessing_tests_few_passwords() -> None:
    guesses, now, tried = Guesses(), 0.0, 0
    while now < 3600.0:
        now += guesses.wait(now) + 0.1
        guesses.note_failure(now)
        tried += 1
    assert tried < 1300
