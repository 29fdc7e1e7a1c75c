"""Directions that do not fit are told as soon as the call is up, and hold and resumption as what they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.call import media
from tests.support.diagnosis import PEER, Scene, events
from voip.calls.diagnosis import Directions
from voip.media import Direction, NegotiatedMedia

SENDRECV, SENDONLY, RECVONLY, INACTIVE = (
    Direction.SENDRECV,
    Direction.SENDONLY,
    Direction.RECVONLY,
    Direction.INACTIVE,
)


def agreed(ours: Direction, remote: Direction, *, remote_plays: bool = True) -> NegotiatedMedia:
    """What comes of what both sides want."""
    direction = ours.limited_to(remote.reversed())
    return replace(media(), direction=direction, remote_direction=remote, remote_plays=remote_plays)


def scene(ours: Direction, remote: Direction, *, plays: bool, sends: bool, remote_plays: bool = True) -> Scene:
    negotiated = agreed(ours, remote, remote_plays=remote_plays)
    return Scene(Directions().look, negotiated, plays=plays, sends=sends)


@pytest.mark.parametrize(
    ("ours", "remote", "plays", "sends"),
    [
        (SENDRECV, SENDRECV, True, True),
        (RECVONLY, SENDONLY, True, False),
        (RECVONLY, SENDRECV, True, False),
        (SENDONLY, RECVONLY, False, True),
        (SENDRECV, RECVONLY, False, True),
    ],
    ids=["two-way", "receiver", "receiver of a telephone", "sender", "sender that offers both"],
)
def test_what_fits_needs_no_word(ours: Direction, remote: Direction, plays: bool, sends: bool) -> None:
    assert scene(ours, remote, plays=plays, sends=sends).run(60) == []


def test_a_two_way_caller_of_a_receiver_that_only_plays_is_told_what_to_start() -> None:
    ((at, finding),) = scene(SENDRECV, RECVONLY, plays=True, sends=True).run(30)
    assert at <= 1.0
    assert finding.cause == "peer-sends-nothing"
    assert finding.text == f"{PEER} sends no sound: start it with --two-way to hear it here"


def test_a_two_way_receiver_is_told_that_the_sender_plays_nothing() -> None:
    ((_, finding),) = scene(SENDRECV, SENDRECV, plays=True, sends=True, remote_plays=False).run(30)
    assert finding.cause == "peer-plays-nothing"
    assert finding.text == f"{PEER} does not play what is sent from here: start it with --two-way to be heard there"


def test_a_sender_is_told_once_that_a_telephone_speaks_too() -> None:
    said = scene(SENDRECV, SENDRECV, plays=False, sends=True).run(30)
    assert events(said) == [("note", "not-played-here")]


def test_a_peer_that_takes_nothing_is_told() -> None:
    said = scene(SENDRECV, SENDONLY, plays=False, sends=True).run(30)
    assert ("warning", "peer-takes-nothing") in events(said)


@pytest.mark.parametrize("held", [SENDONLY, INACTIVE], ids=["with music", "without"])
def test_hold_and_resumption_are_told_with_their_length_and_are_no_warning(held: Direction) -> None:
    call = scene(SENDRECV, SENDRECV, plays=True, sends=True)
    call.run(5)
    call.change(media=agreed(SENDRECV, held))
    ((_, hold),) = call.run(12)
    call.change(media=agreed(SENDRECV, SENDRECV))
    ((_, resumed),) = call.run(30)
    assert events(call.said) == [("note", "on-hold"), ("cleared", "on-hold")]
    assert hold.text == f"{PEER} has put the call on hold ({held.value})"
    assert resumed.text == f"{PEER} has resumed the call after 12.0 s"


def test_a_receiver_on_hold_is_told_where_nothing_comes_and_not_where_music_does() -> None:
    call = scene(RECVONLY, SENDRECV, plays=True, sends=False)
    call.run(2)
    call.change(media=agreed(RECVONLY, SENDONLY))
    assert call.run(10) == []
    call.change(media=agreed(RECVONLY, INACTIVE))
    assert events(call.run(10)) == [("note", "on-hold")]


def test_a_call_that_comes_up_on_hold_is_told_so_and_is_no_mismatch() -> None:
    call = scene(SENDRECV, INACTIVE, plays=True, sends=True)
    assert events(call.run(5)) == [("note", "on-hold")]
    call.change(media=agreed(SENDRECV, SENDRECV))
    assert events(call.run(5)) == [("cleared", "on-hold")]


def test_another_address_or_codec_is_no_hold() -> None:
    call = scene(SENDRECV, SENDRECV, plays=True, sends=True)
    call.run(2)
    call.change(media=replace(call.situation.media, remote=("192.0.2.9", 7000), payload_type=97))
    assert call.run(5) == []
