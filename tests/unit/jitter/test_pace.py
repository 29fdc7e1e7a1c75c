"""How the play-out delay is brought to its target: what is left alone, and what only a pause may change."""

from __future__ import annotations

import pytest

from voip.jitter.pace import ANY_SOUND_AFTER, BAND, CLOSE, FAR, ONLY_PAUSES_FOR, PHASE_WINDOW, Pace, Stretch

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


@pytest.mark.parametrize("off", [-0.009, 0.009])
def test_a_delay_9_ms_off_25_is_put_right_in_pauses_alone_however_long_that_takes(off: float) -> None:
    wishes = waited(CLEAN + off, CLEAN, 3 * ANY_SOUND_AFTER)[1:]
    assert [each.seconds for each in wishes] == pytest.approx([-off] * len(wishes))
    assert all(each.only_in_pauses and not each.urgent for each in wishes)


@pytest.mark.parametrize(("target", "off"), [(LOSSY, 0.009), (LOSSY, -0.009), (CLEAN, 0.003), (CLEAN, -0.003)])
def test_a_delay_that_is_near_its_target_is_left_alone(target: float, off: float) -> None:
    assert {each.seconds for each in waited(target + off, target, 5.0)} == {0.0}


@pytest.mark.parametrize(("off", "patience"), [(2 * BAND, ANY_SOUND_AFTER), (2 * FAR, ONLY_PAUSES_FOR)])
def test_a_delay_that_is_far_off_waits_for_pauses_for_a_while(off: float, patience: float) -> None:
    first, *_, last = waited(CLEAN + off, CLEAN, patience + 2 * PHASE_WINDOW)
    assert first.only_in_pauses
    assert last.urgent
    assert not last.only_in_pauses


def test_what_was_far_off_is_put_right_to_the_end_without_waiting_for_pauses_again() -> None:
    pace = Pace()
    assert wish(pace, CLEAN + 2 * FAR, CLEAN, 10.0).only_in_pauses
    last = wish(pace, CLEAN + 0.009, CLEAN, 11.0 + ANY_SOUND_AFTER)
    assert last.seconds == pytest.approx(-0.009)
    assert not last.only_in_pauses
    assert wish(pace, CLEAN + CLOSE / 2, CLEAN, 12.0 + ANY_SOUND_AFTER).seconds == 0.0


def test_a_packet_that_came_too_late_does_not_wait_for_a_pause() -> None:
    pace = Pace()
    assert not wish(pace, CLEAN - 0.009, CLEAN, 10.0).urgent
    assert pace.stretch(CLEAN, 10.0, risen=True).urgent
