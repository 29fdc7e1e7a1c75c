"""Which pattern is best on a path, for one who talks and for one who only listens."""

from __future__ import annotations

import itertools

import pytest

from voip.conversation import FREE_WAIT, Use
from voip.fec.channel import Channel
from voip.fec.choice import (
    COPIES_POINTS,
    LONGEST_COPIES,
    LONGEST_TALK,
    MAX_MISSING,
    NEARLY_BEST_POINTS,
    ROUNDED,
    SOONER_POINTS,
    Choice,
    Listener,
)
from voip.fec.control import Agreed
from voip.fec.prediction import Rung, ladder

TALKS, LISTENS = Listener(0.02), Listener(0.02, use=Use.LISTENING)
SAVES = TALKS._replace(saves_bits=True)
BOTH = ladder()
"""Repair packets and copies."""
LADDER = [each for each in BOTH if Agreed().allows(each.pattern)]
PATHS = [Channel(loss, outage) for loss, outage in itertools.product((0.02, 0.05, 0.1, 0.2), (0.0, 1.0, 2.0, 3.0, 5.0))]


def rung(text: str) -> Rung:
    return next(each for each in LADDER if str(each.pattern) == text)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.loss:g} {path.outage:g}")
def test_copies_are_chosen_only_where_they_cost_less_and_lose_little_of_r(path: Channel) -> None:
    chosen, other = SAVES.choose(BOTH, path), SAVES.choose(LADDER, path)
    if chosen.rung.pattern.copy_bitrate is None:
        assert chosen == other
    else:
        assert chosen.rung.pattern.overhead < other.rung.pattern.overhead
        assert chosen.good or chosen.points <= other.points + COPIES_POINTS + SOONER_POINTS


def test_copies_of_no_fewer_bits_have_to_be_as_good() -> None:
    """10 % at random are heard from copies often: repair packets of as many bits do no worse."""
    path = Channel(0.1)
    equal = [each for each in BOTH if each.pattern.overhead <= 0.55]
    assert SAVES.choose(equal, path).rung.pattern.copy_bitrate is None
    best = min(SAVES.at_best(each, path).points for each in equal if each.pattern.copy_bitrate is not None)
    assert best < SAVES.choose(equal, path).points + COPIES_POINTS  # which would have been enough for half the bits


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.loss:g} {path.outage:g}")
def test_unless_bits_are_to_be_saved_copies_lose_no_more_than_repair_packets(path: Channel) -> None:
    chosen, other = TALKS.choose(BOTH, path), TALKS.choose(LADDER, path)
    if chosen.rung.pattern.copy_bitrate is not None and not chosen.rung.pattern.reduced:
        chosen = chosen._replace(missing=chosen.missing / ROUNDED)
    assert chosen.good or chosen.points <= other.points + NEARLY_BEST_POINTS + SOONER_POINTS


def test_copies_at_a_low_bit_rate_are_for_long_outages_where_there_is_room_for_little_else() -> None:
    few = [each for each in BOTH if each.pattern.overhead <= 0.6]
    for outage in (2.0, 3.0, 5.0):
        path = Channel(0.1, outage)
        assert TALKS.choose(few, path).rung.pattern.reduced
        assert not TALKS.choose(BOTH, path).rung.pattern.reduced


@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_whole_copies_take_the_place_of_twice_as_many_bits_of_repair_packets_in_outages(loss: float) -> None:
    """Both rebuild as much there, once it is sure that these are outages: bursts of packets are for repair packets."""
    for outage in (3.0, 5.0):
        path = Channel(loss, outage)
        sure, unsure = TALKS.choose(BOTH, path), TALKS._replace(sure=False).choose(BOTH, path)
        assert sure.rung.pattern.kind == (True, 2)
        assert unsure.points - 2.5 < sure.points < unsure.points + 1.5
    burst = Channel(0.1, outage=1.0, burst=3.0)
    assert TALKS.choose(BOTH, burst).rung.pattern.copy_bitrate is None


def test_whole_copies_may_come_later_than_repair_packets_once_the_path_is_known() -> None:
    path = Channel(0.1, 4.0)
    sure, unsure = TALKS.choose(BOTH, path), TALKS._replace(sure=False).choose(BOTH, path)
    assert (str(sure.rung.pattern), sure.wait) == ("copies:5w,9w", LONGEST_COPIES)
    assert unsure.wait <= LONGEST_TALK
    assert TALKS.choose(BOTH, Channel(0.05, 3.0)).wait == LONGEST_TALK


def test_whole_copies_are_not_given_up_for_repair_packets_of_twice_the_bits_that_are_little_better() -> None:
    copies = next(each for each in BOTH if str(each.pattern) == "copies:3w,7w")
    repair = rung("sliding:3+7/1")
    outages, bursts = Channel(0.1, 3.0), Channel(0.1, outage=1.0, burst=3.0)
    for path, changes in ((outages, False), (bursts, True)):
        now, wanted = TALKS.at_best(copies, path), TALKS.at_best(repair, path)
        assert now.points > wanted.points
        assert TALKS.insufficient(copies, wanted, path) is changes


def test_copies_are_for_outages() -> None:
    for outage in (3.0, 5.0):
        assert SAVES.choose(BOTH, Channel(0.05, outage)).rung.pattern.copy_bitrate is not None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.loss:g} {path.outage:g}")
def test_who_talks_never_loses_more_of_r_than_by_any_other_choice(path: Channel) -> None:
    chosen = TALKS.choose(LADDER, path)
    rest = [Choice(each, wait, TALKS.missing(each, path, wait)) for each in LADDER for wait in TALKS.waits]
    best = min(choice.points for choice in rest)
    assert chosen.good or chosen.points <= best + NEARLY_BEST_POINTS + SOONER_POINTS
    assert chosen.missing == TALKS.missing(chosen.rung, path, chosen.wait)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.loss:g} {path.outage:g}")
def test_who_listens_waits_at_least_as_long_and_misses_no_more(path: Channel) -> None:
    talks, listens = TALKS.choose(LADDER, path), LISTENS.choose(LADDER, path)
    assert listens.wait >= talks.wait
    assert listens.missing <= max(MAX_MISSING, 1.2 * talks.missing)


def test_outages_are_repaired_within_what_a_conversation_bears_as_well_as_by_plain_copies() -> None:
    chosen = [TALKS.choose(LADDER, Channel(0.05, outage)) for outage in (1.0, 2.0, 3.0, 5.0)]
    waits = [choice.wait for choice in chosen]
    assert waits == sorted(waits)
    assert waits[0] <= FREE_WAIT
    assert waits[-1] == LONGEST_TALK
    assert chosen[-1].points <= TALKS.at_best(rung("sliding:3+6/1"), Channel(0.05, 5.0)).points + NEARLY_BEST_POINTS
    assert LISTENS.choose(LADDER, Channel(0.05, 3.0)).wait == 0.25


def test_random_losses_are_repaired_as_soon_as_for_a_listener() -> None:
    for loss in (0.01, 0.05, 0.1, 0.2):
        assert TALKS.choose(LADDER, Channel(loss)) == LISTENS.choose(LADDER, Channel(loss))


def test_no_wait_is_longer_than_the_peers_buffer() -> None:
    for listener in (TALKS, LISTENS):
        short = listener._replace(delay_max=0.1)
        assert short.choose(LADDER, Channel(0.1, 3.0)).wait <= 0.1
        assert short._replace(delay_max=0.0).choose(LADDER, Channel(0.1, 3.0)).wait == 0.06


def test_the_pattern_in_use_stays_within_the_range_in_which_the_sooner_one_is_taken() -> None:
    sooner, later = rung("sliding:1,3,4+4/1"), rung("sliding:1,2,5+5/1")
    changes = []
    for share in range(60, 200):
        path = Channel(0.05, share / 100)
        for current, other in ((sooner, later), (later, sooner)):
            changes.append((TALKS.insufficient(current, TALKS.at_best(other, path), path), current is sooner, share))
    ups = {share for change, up, share in changes if change and up}
    downs = {share for change, up, share in changes if change and not up}
    assert ups
    assert downs
    assert not ups & downs, "no path on which they would take turns"


@pytest.mark.parametrize("delay_max", [None, 0.06, 0.12])
def test_waits_that_are_not_predicted_would_not_have_been_better(delay_max: float | None) -> None:
    listener = Listener(0.02, delay_max)
    for loss, jitter, outage in itertools.product((0.0, 0.007, 0.05, 0.3), (0.0, 0.5, 2.0), (0.0, 3.0)):
        path = Channel(loss, outage, jitter)
        for each in ladder():
            all_waits = [Choice(each, wait, listener.missing(each, path, wait)) for wait in listener.waits_for(each)]
            assert listener.at_best(each, path) == min(all_waits, key=lambda choice: choice.points)
