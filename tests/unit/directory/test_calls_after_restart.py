"""Calls of telephones after a restart of the directory: they go on without it, and are unknown until something within
them passes."""

from __future__ import annotations

import pytest

from tests.support.directory_house import House

TIMER = 600
"""Seconds of a session timer."""
UNKNOWN = ("alice", "bob", "unknown", "since the directory was restarted")


def test_after_a_restart_a_call_is_unknown_until_its_bye_has_passed() -> None:
    house = House()
    answer = house.up()
    house.restart()
    assert (house.calls(), house.statuses()) == ([UNKNOWN], ("unknown", "unknown"))
    house.wait(120)  # longer than programs may be silent
    assert (house.calls(), house.statuses()) == ([UNKNOWN], ("unknown", "unknown"))
    house.within("BYE", answer, 200)
    assert house.calls() == [("alice", "bob", "ended", "hung up")]
    assert house.statuses() == ("idle", "idle")
    house.restart()
    assert house.calls() == [("alice", "bob", "ended", "hung up")]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO"])
def test_after_a_restart_a_call_is_known_again_by_a_request_that_passes(method: str) -> None:
    house = House()
    answer = house.up()
    ((before, _, _),) = house.directory.list_calls()
    house.restart()
    house.within(method, answer, 200)
    assert house.calls() == [("alice", "bob", "incall", "")]
    ((after, _, _),) = house.directory.list_calls()
    assert (after.id, after.began, after.answered) == (before.id, before.began, before.answered)
    assert house.sip.server.needs(house.alice.source)
    house.wait(120)
    assert house.statuses() == ("incall", "incall")
    house.restart()
    assert house.calls() == [UNKNOWN]
    house.within("BYE", answer, 200, number=3)
    assert house.calls() == [("alice", "bob", "ended", "hung up")]


def test_after_a_restart_a_call_that_one_side_does_not_know_any_more_is_over() -> None:
    house = House()
    answer = house.up()
    house.restart()
    house.within("UPDATE", answer, 488)
    assert house.calls() == [UNKNOWN]
    house.within("UPDATE", answer, 481, number=3)
    assert [call[2] for call in house.calls()] == ["ended"]


def test_a_session_timer_runs_on_while_the_directory_is_gone() -> None:
    house = House()
    answer = house.up(f"Session-Expires: {TIMER};refresher=uac")
    house.wait(100)
    house.within("UPDATE", answer, 200, f"Session-Expires: {TIMER}")
    house.wait(100)
    house.restart(100.0)
    house.wait(TIMER - 202)
    assert house.calls() == [UNKNOWN]
    house.wait(4)
    assert house.statuses() == ("idle", "idle")
    assert [call[2] for call in house.calls()] == ["ended"]


def test_after_a_restart_nobody_ends_a_call_by_its_call_id_alone() -> None:
    house = House()
    answer = house.up()
    house.restart()
    route = ", ".join(str(each) for each in reversed(answer.record_routes))
    bye = house.alice.request(
        "BYE", str(answer.contacts[0].uri), f"Route: {route}", call_id=answer.call_id, to="<sip:bob@x>;tag=guessed"
    )
    house.sip.say(house.alice, bye)
    house.sip.say(house.bob, house.bob.respond(house.sip.request_to(house.bob), 200))
    assert house.calls() == [UNKNOWN]


def test_after_a_restart_a_program_says_that_its_call_to_a_telephone_goes_on_and_falls_silent_again() -> None:
    house = House()
    house.up()
    house.restart()
    program, bob = house.desk.link(house.users["bob"]), house.users["bob"]
    house.desk.tell(bob, program, ("call", "incoming", "incall"))
    house.wait(60)
    assert house.calls() == [("alice", "bob", "incall", "")]
    house.directory.unlink(bob.id, program)
    house.wait(60)
    assert house.calls() == [UNKNOWN]
    program = house.desk.link(bob)
    house.desk.tell(bob, program, ("call", "incoming", "onhold"))
    assert house.calls() == [("alice", "bob", "onhold", "")]
    house.desk.tell(bob, program, ("call", "incoming", "ended"))
    assert house.calls() == [("alice", "bob", "ended", "hung up")]


def test_a_call_of_two_forks_is_over_after_a_restart_when_both_are() -> None:
    house = House()
    desk, second, one = house.forked()
    house.restart()
    house.within("BYE", one, 200)
    assert house.calls() == [UNKNOWN]
    house.hung_up_by(desk, second)
    assert house.calls() == [("alice", "bob", "ended", "hung up")]
