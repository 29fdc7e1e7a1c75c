"""What a script tells the directory, when it tries again, and what it makes of responses."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.support.records import received, sent
from voip.media import Direction
from voip.report import CallRecord
from voip.web.linked import (
    FIRST_PAUSE,
    LEAST_SHARE,
    LONGEST_FIELD,
    LONGEST_PAUSE,
    MOST_CALLS,
    DirectoryError,
    Listed,
    Pauses,
    calls_told,
    read_list,
    read_listed,
)


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    pauses = Pauses(random.Random(1))
    whole = [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE]
    for most in whole:
        assert LEAST_SHARE * most <= pauses.next() <= most
    pauses.reset()
    assert pauses.next() <= FIRST_PAUSE


def test_those_whose_directory_is_restarted_do_not_come_all_at_once() -> None:
    first = {Pauses(random.Random(seed)).next() for seed in range(100)}
    assert max(first) - min(first) > 0.4 * FIRST_PAUSE


def states(*records: CallRecord) -> list[tuple[str, str]]:
    return [(each["direction"], each["state"]) for each in calls_told(records)]


def test_the_state_of_a_call_is_that_of_its_record() -> None:
    ringing = CallRecord(call_id="1", peer="sip:bob@192.0.2.2", incoming=True)
    up = replace(received(), end_reason=None)
    assert up.media is not None
    held = replace(up, media=replace(up.media, direction=Direction.INACTIVE))
    assert states(ringing) == [("incoming", "ringing")]
    assert states(replace(ringing, incoming=False)) == [("outgoing", "calling")]
    assert states(up) == [("incoming", "incall")]
    assert states(held) == [("incoming", "onhold")]
    assert states(replace(sent(), end_reason="remote-bye")) == [("outgoing", "ended")]
    assert calls_told([ringing])[0] == {
        "call_id": "1",
        "direction": "incoming",
        "state": "ringing",
        "peer": "sip:bob@192.0.2.2",
    }


def test_what_a_caller_has_chosen_is_told_up_to_a_length_and_a_number() -> None:
    """The directory would refuse the whole message."""
    call = CallRecord(call_id="1", peer="x" * 5000, incoming=True)
    assert len(calls_told([call])[0]["peer"]) == LONGEST_FIELD
    assert calls_told([replace(call, call_id="x" * 5000), replace(call, call_id="")]) == []
    many = [replace(call, call_id=str(number)) for number in range(MOST_CALLS + 5)]
    assert [each["call_id"] for each in calls_told(many)] == [str(number) for number in range(5, MOST_CALLS + 5)]


def test_what_a_directory_tells_of_a_user_is_read() -> None:
    told = {"username": "Bob", "status": "idle", "contacts": ["sip:bob@192.0.2.2", 7, None]}
    assert read_listed(told, "bob") == Listed("Bob", "idle", ("sip:bob@192.0.2.2",))
    assert read_listed({"contacts": []}, "bob") == Listed("bob", "", ())


@pytest.mark.parametrize("told", [{}, {"contacts": "sip:bob@192.0.2.2"}, {"contacts": {"a": 1}}])
def test_what_is_no_directory_is_told_from_one(told: dict[str, object]) -> None:
    with pytest.raises(DirectoryError, match="no directory"):
        read_listed(told, "bob")


def test_users_without_a_name_are_left_out_of_a_list() -> None:
    users = [{"username": "Bob", "status": "idle", "contacts": []}, {"status": "idle", "contacts": []}]
    assert read_list({"users": users}) == [Listed("Bob", "idle", ())]


@pytest.mark.parametrize("told", [{}, {"users": {}}, {"users": ["bob"]}, {"users": [{"username": "bob"}]}])
def test_a_list_of_something_else_is_told_from_one_of_users(told: dict[str, object]) -> None:
    with pytest.raises(DirectoryError, match="no directory"):
        read_list(told)
