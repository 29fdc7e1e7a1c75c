"""How the play-out delay is brought to its target: what is left alone, and what only a pause may change."""

from __future__ import annotations

import pytest

from voip.jitter.pace import ANY_SOUND_AFTER, BAND, PHASE_WINDOW, Pace, Stretch

CLEAN, LOSSY = 0.025, 0.075
"""Seconds of delay that are aimed at where nothing is lost, and where packets are."""
PACKET = 0.02
BEGIN = 89478.4
"""Seconds after which a timestamp of 48 kHz wraps, nearly."""


def wish(pace: Pace, delay: float, target: float, heard: float) -> Stretch:
    """What a reader is asked for that has had this delay for PHASE_WINDOW, up to `heard`."""
    for step in range(round(PHASE_WINDOW / PACKET) + 1):
        at = heard - PHASE_WINDOW + step * PACKET
        pace.measure(at, at - BEGIN, 0.0, BEGIN - delay)
    return pace.stretch(target, heard, risen=False)


def waited(delay: float, target: float, seconds: float) -> list[Stretch]:
    """What is asked for all the while if nothing can be done about that delay."""
    pace = Pace()
    return [wish(pace, delay, target, 10.0 + step * PHASE_WINDOW) for step in range(round(seconds / PHASE_WINDOW))]


def test_a_delay_9_ms_above_25_is_shortened_in_pauses_alone_however_long_that_takes() -> None:
    wishes = waited(CLEAN + 0.009, CLEAN, 3 * ANY_SOUND_AFTER)[1:]
    assert [each.seconds for each in wishes] == pytest.approx([-0.009] * len(wishes))
    assert all(each.only_in_pauses and not each.urgent for each in wishes)


@pytest.mark.parametrize(("delay", "target"), [(LOSSY + 0.009, LOSSY), (CLEAN + 0.003, CLEAN), (CLEAN - 0.009, CLEAN)])
def test_a_delay_that_is_near_its_target_is_left_alone(delay: float, target: float) -> None:
    assert {each.seconds for each in waited(delay, target, 5.0)} == {0.0}


def test_what_is_far_too_much_is_not_left_to_the_pauses_once_it_has_become_little() -> None:
    """An end in sight is no reason to wait for a pause that may not come."""
    pace = Pace()
    assert wish(pace, CLEAN + 2 * BAND, CLEAN, 10.0).only_in_pauses
    last = wish(pace, CLEAN + 0.009, CLEAN, 11.0 + ANY_SOUND_AFTER)
    assert last.seconds == pytest.approx(-0.009)
    assert last.urgent
    assert not last.only_in_pauses


def test_a_slight_excess_that_grows_is_no_longer_slight() -> None:
    pace = Pace()
    assert wish(pace, CLEAN + 0.009, CLEAN, 10.0).only_in_pauses
    grown = wish(pace, CLEAN + 2 * BAND, CLEAN, 11.0 + ANY_SOUND_AFTER)
    assert grown.urgent
