"""Calls of the API: the state table, and how they follow the programs of their users."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.support.directory_desk import Scene
from voip.directory.call_desk import UNANSWERED, UNSEEN
from voip.directory.calls import (
    ACCEPT,
    CALLING,
    END,
    ENDED,
    HOLD,
    INCALL,
    MOST_CANDIDATES,
    MOST_ENDED,
    ONHOLD,
    REJECT,
    RESUME,
    RING,
    RINGING,
    Call,
    Calls,
)
from voip.directory.persistence import Loaded, SaveCall
from voip.directory.refusals import BadRequest, NotStored, Unknown, WrongState
from voip.directory.users import User

BOB = "sip:bob@10.0.0.9:5060"
SIP = "a-call@10.0.0.8"
ALLOWED = {
    (CALLING, RING): RINGING,
    (CALLING, ACCEPT): INCALL,
    (CALLING, REJECT): ENDED,
    (CALLING, END): ENDED,
    (RINGING, ACCEPT): INCALL,
    (RINGING, REJECT): ENDED,
    (RINGING, END): ENDED,
    (INCALL, HOLD): ONHOLD,
    (INCALL, END): ENDED,
    (ONHOLD, RESUME): INCALL,
    (ONHOLD, END): ENDED,
}


@pytest.fixture
def scene() -> Scene:
    return Scene()


class Linked:
    """Alice and bob, each with a program."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.alice, self.bob = scene.register("alice", "sip:alice@10.0.0.8"), scene.register("bob", BOB)
        self.of_alice, self.of_bob = scene.link(self.alice), scene.link(self.bob)

    def both_tell(self, caller: str, callee: str) -> None:
        self.scene.tell(self.alice, self.of_alice, (SIP, "outgoing", caller))
        self.scene.tell(self.bob, self.of_bob, (SIP, "incoming", callee))

    def ringing(self) -> Call:
        call = self.scene.initiate(self.alice, self.bob)
        self.both_tell("calling", "ringing")
        return call

    def up(self) -> Call:
        call = self.ringing()
        self.scene.ask(self.scene.desk.accept, self.bob.id, call.id)
        self.both_tell("incall", "incall")
        return call


@pytest.fixture
def linked(scene: Scene) -> Linked:
    return Linked(scene)


@pytest.mark.parametrize(
    ("status", "event"),
    [*itertools.product((CALLING, RINGING, INCALL, ONHOLD, ENDED), (RING, ACCEPT, REJECT, HOLD, RESUME, END))],
)
def test_a_call_allows_what_the_table_has_and_nothing_else(status: str, event: str) -> None:
    call = Call("1", "a", "b", status)
    if (status, event) in ALLOWED:
        assert call.after(event, 5.0).status == ALLOWED[status, event]
    else:
        with pytest.raises(WrongState):
            call.after(event, 5.0)


# --- with programs ----------------------------------------------------------------------------------------------------


def test_initiate_has_the_callers_program_dial_the_contact(linked: Linked) -> None:
    call = linked.scene.initiate(linked.alice, linked.bob)
    assert linked.of_alice.asked == [("dial", {"target": BOB})]
    assert (call.caller_id, call.callee_id, call.status) == (linked.alice.id, linked.bob.id, CALLING)
    assert linked.scene.desk.incoming(linked.bob.id) is None


def test_a_call_rings_is_accepted_held_resumed_and_ended_by_the_programs(linked: Linked) -> None:
    scene, desk = linked.scene, linked.scene.desk
    call = linked.ringing()
    assert scene.status(call) == RINGING
    ringing = desk.incoming(linked.bob.id)
    assert ringing is not None
    assert ringing.id == call.id
    assert scene.ask(desk.accept, linked.bob.id, call.id).status == INCALL
    assert linked.of_bob.asked == [("answer", {"call_id": SIP})]
    linked.both_tell("incall", "incall")
    assert desk.incoming(linked.bob.id) is None
    assert scene.ask(desk.hold, linked.alice.id, call.id).status == ONHOLD
    assert scene.ask(desk.resume, linked.alice.id, call.id).status == INCALL
    assert scene.ask(desk.end, linked.bob.id, call.id).status == ENDED
    assert linked.of_alice.asked[1:] == [("hold", {"call_id": SIP})] * 2
    assert linked.of_bob.asked[-1] == ("hang-up", {"call_id": SIP})
    assert [change.call.status for change in scene.store.changes if isinstance(change, SaveCall)][-1] == ENDED


def test_either_program_may_tell_first(linked: Linked) -> None:
    call = linked.scene.initiate(linked.alice, linked.bob)
    linked.scene.tell(linked.bob, linked.of_bob, (SIP, "incoming", "ringing"))
    linked.scene.tell(linked.alice, linked.of_alice, (SIP, "outgoing", "calling"))
    assert linked.scene.status(call) == RINGING
    assert len(linked.scene.desk.calls) == 1


def test_a_program_that_is_behind_does_not_take_an_answer_back(linked: Linked) -> None:
    call = linked.ringing()
    linked.scene.ask(linked.scene.desk.accept, linked.bob.id, call.id)
    linked.both_tell("calling", "ringing")
    assert linked.scene.status(call) == INCALL


def test_what_people_do_at_their_programs_is_followed(linked: Linked) -> None:
    call = linked.ringing()
    linked.both_tell("incall", "incall")
    assert linked.scene.status(call) == INCALL
    linked.scene.tell(linked.bob, linked.of_bob, (SIP, "incoming", "onhold"))
    assert linked.scene.status(call) == ONHOLD
    linked.scene.tell(linked.bob, linked.of_bob, (SIP, "incoming", "incall"))
    assert linked.scene.status(call) == INCALL
    linked.scene.tell(linked.bob, linked.of_bob, (SIP, "incoming", "ended"))
    assert linked.scene.status(call) == ENDED


def test_a_call_that_a_program_tells_of_no_more_is_over(linked: Linked) -> None:
    call = linked.up()
    linked.scene.tell(linked.alice, linked.of_alice)
    assert linked.scene.status(call) == ENDED


def test_reject_is_the_callees_and_declines(linked: Linked) -> None:
    call = linked.ringing()
    with pytest.raises(WrongState):
        linked.scene.ask(linked.scene.desk.reject, linked.alice.id, call.id)
    assert linked.scene.ask(linked.scene.desk.reject, linked.bob.id, call.id).reason == "rejected"
    assert linked.of_bob.asked == [("decline", {"call_id": SIP})]


def test_a_command_that_is_refused_changes_nothing(linked: Linked) -> None:
    call = linked.ringing()
    linked.of_bob.error = "this call is over"
    with pytest.raises(WrongState, match="this call is over"):
        linked.scene.ask(linked.scene.desk.accept, linked.bob.id, call.id)
    assert linked.scene.status(call) == RINGING


def test_a_dial_that_is_refused_ends_the_call_with_the_reason(linked: Linked) -> None:
    linked.of_alice.error = "no such host"
    with pytest.raises(WrongState, match="no such host"):
        linked.scene.initiate(linked.alice, linked.bob)
    (call,) = linked.scene.desk.calls.newest(5)
    assert (call.status, call.reason) == (ENDED, "no such host")


def test_of_two_requests_at_a_time_the_second_is_refused_but_a_goodbye_never(linked: Linked) -> None:
    call = linked.ringing()
    linked.of_bob.slow = True
    replies: list[object] = []
    linked.scene.desk.accept(linked.bob.id, call.id, replies.append)
    with pytest.raises(WrongState, match="under way"):
        linked.scene.desk.accept(linked.bob.id, call.id, replies.append)
    assert linked.scene.ask(linked.scene.desk.end, linked.alice.id, call.id).status == ENDED
    linked.of_bob.waiting[0](None)
    assert isinstance(replies[0], WrongState)
    assert linked.scene.status(call) == ENDED


def test_only_the_callee_accepts_and_only_the_two_know_the_call(linked: Linked) -> None:
    call = linked.ringing()
    carol = linked.scene.register("carol")
    desk = linked.scene.desk
    with pytest.raises(WrongState):
        linked.scene.ask(desk.accept, linked.alice.id, call.id)
    for function in (desk.accept, desk.reject, desk.end):
        with pytest.raises(Unknown):
            linked.scene.ask(function, carol.id, call.id)
        with pytest.raises(Unknown):
            linked.scene.ask(function, linked.bob.id, "no-such-call")


def test_several_dials_get_their_calls_in_order(linked: Linked) -> None:
    carol = linked.scene.register("carol", "sip:carol@10.0.0.7")
    one, two = linked.scene.initiate(linked.alice, linked.bob), linked.scene.initiate(linked.alice, carol)
    linked.scene.tell(linked.alice, linked.of_alice, ("1", "outgoing", "calling"), ("2", "outgoing", "calling"))
    calls = linked.scene.desk.calls
    assert [calls.get(each.id).sip_call_id for each in (one, two)] == ["1", "2"]


def test_a_call_from_elsewhere_rings_and_is_accepted(linked: Linked) -> None:
    linked.scene.tell(linked.bob, linked.of_bob, ("other", "incoming", "ringing"))
    call = linked.scene.desk.incoming(linked.bob.id)
    assert call is not None
    assert (call.caller_id, call.peer) == ("", "sip:other@10.0.0.9")
    assert linked.scene.ask(linked.scene.desk.accept, linked.bob.id, call.id).status == INCALL
    assert linked.scene.directory.names_of(call) == ("sip:other@10.0.0.9", "bob")


def test_a_call_by_hand_of_two_users_is_one_call(linked: Linked) -> None:
    linked.scene.tell(linked.bob, linked.of_bob, (SIP, "incoming", "ringing"))
    linked.scene.tell(linked.alice, linked.of_alice, (SIP, "outgoing", "calling"))
    (call,) = linked.scene.desk.calls.newest(5)
    assert (call.caller_id, call.callee_id, call.status) == (linked.alice.id, linked.bob.id, RINGING)
    assert {user.status for user in linked.scene.directory.list_users()} == {"calling"}


def test_calls_that_have_ended_before_the_link_are_not_told(linked: Linked) -> None:
    linked.scene.tell(linked.bob, linked.of_bob, ("old", "incoming", "ended"))
    assert [*linked.scene.desk.calls.newest(5)] == []


# --- time, and restarts -----------------------------------------------------------------------------------------------


def test_a_call_that_nobody_answers_is_over_after_three_minutes(linked: Linked) -> None:
    call = linked.ringing()
    linked.scene.pass_time(UNANSWERED)
    assert linked.scene.status(call) == RINGING
    linked.scene.pass_time(2)
    assert linked.scene.desk.calls.get(call.id).reason == "unanswered"


def test_a_wall_clock_that_is_set_ends_no_call(linked: Linked) -> None:
    call = linked.ringing()
    linked.scene.stepped = 3600.0
    linked.scene.pass_time(5)
    assert linked.scene.status(call) == RINGING


def test_after_a_restart_calls_are_known_and_followed_again(linked: Linked) -> None:
    call = linked.up()
    users = [linked.alice, linked.bob]
    again = Scene(Loaded(users, [linked.scene.desk.calls.get(call.id)]))
    agent = again.link(linked.alice)
    again.tell(linked.alice, agent, (SIP, "outgoing", "incall"))
    again.pass_time(UNSEEN + 5)
    assert again.status(call) == INCALL
    again.tell(linked.alice, agent, (SIP, "outgoing", "ended"))
    assert again.status(call) == ENDED


def test_after_a_restart_a_call_that_no_program_tells_of_is_over(linked: Linked) -> None:
    call = linked.up()
    again = Scene(Loaded([linked.alice, linked.bob], [linked.scene.desk.calls.get(call.id)]))
    again.pass_time(UNSEEN)
    assert again.status(call) == INCALL
    again.pass_time(5)
    assert again.desk.calls.get(call.id).reason == "lost"


def test_a_link_that_is_lost_for_a_moment_ends_no_call(linked: Linked) -> None:
    call = linked.up()
    linked.scene.directory.unlink(linked.alice.id, linked.of_alice)
    linked.scene.pass_time(5)
    agent = linked.scene.link(linked.alice)
    linked.scene.tell(linked.alice, agent, (SIP, "outgoing", "incall"))
    linked.scene.pass_time(30)
    assert linked.scene.status(call) == INCALL


# --- without programs -------------------------------------------------------------------------------------------------


def two_browsers(scene: Scene) -> tuple[User, User]:
    return scene.register("alice"), scene.register("bob")


def test_users_of_the_api_alone_call_each_other_and_exchange_what_they_like(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    call = scene.initiate(alice, bob)
    assert scene.desk.incoming(bob.id) == call
    for user, kind, text in (
        (alice, "offer", "o"),
        (bob, "answer", "a"),
        (alice, "candidate", "1"),
        (bob, "candidate", "2"),
    ):
        scene.ask(scene.desk.tell, user.id, call.id, kind, text)
    known = scene.desk.calls.get(call.id, bob.id)
    assert (known.offer, known.answer) == ("o", "a")
    assert known.candidates == {alice.id: ("1",), bob.id: ("2",)}
    assert scene.ask(scene.desk.accept, bob.id, call.id).status == INCALL
    ended = scene.ask(scene.desk.end, alice.id, call.id)
    assert (ended.status, ended.offer, dict(ended.candidates)) == (ENDED, None, {})
    with pytest.raises(WrongState):
        scene.ask(scene.desk.tell, alice.id, call.id, "offer", "late")


def test_a_side_has_so_many_candidates_at_most(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    call = scene.initiate(alice, bob)
    for number in range(MOST_CANDIDATES):
        scene.ask(scene.desk.tell, alice.id, call.id, "candidate", str(number))
    with pytest.raises(WrongState):
        scene.ask(scene.desk.tell, alice.id, call.id, "candidate", "one too many")


def test_their_calls_end_when_one_falls_silent(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    call = scene.initiate(alice, bob)
    scene.pass_time(9)
    scene.ask(scene.directory.heartbeat, alice.id)
    assert scene.status(call) == CALLING
    scene.pass_time(2)
    assert scene.desk.calls.get(call.id).reason == "gone"


def test_after_a_restart_their_calls_end_unless_they_come_back(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    call = scene.initiate(alice, bob)
    up = scene.ask(scene.desk.accept, bob.id, call.id)
    again = Scene(Loaded([alice, bob], [up]))
    again.pass_time(9)
    assert again.status(call) == INCALL
    again.ask(again.directory.heartbeat, alice.id)
    again.pass_time(3)
    assert again.desk.calls.get(call.id).reason == "gone"


def test_who_has_no_program_cannot_call_a_telephone(scene: Scene) -> None:
    alice, bob = scene.register("alice"), scene.register("bob", BOB)
    with pytest.raises(WrongState):
        scene.initiate(alice, bob)


def test_who_has_one_cannot_call_a_user_without_contacts(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    scene.link(alice)
    with pytest.raises(Unknown):
        scene.initiate(alice, bob)


def test_nobody_calls_itself_or_who_is_offline_or_unknown(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    scene.ask(scene.directory.disconnect, bob.id)
    with pytest.raises(BadRequest):
        scene.initiate(alice, alice)
    with pytest.raises(WrongState):
        scene.initiate(alice, bob)
    with pytest.raises(Unknown):
        scene.ask(scene.directory.initiate, alice.id, "nobody")
    with pytest.raises(Unknown):
        scene.ask(scene.directory.initiate, "nobody", alice.id)


def test_what_happens_to_a_call_is_acknowledged_when_it_is_durable_and_not_before(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    call = scene.initiate(alice, bob)
    desk = scene.desk
    steps: list[tuple[Callable[..., object], tuple[str, ...]]] = [
        (scene.directory.initiate, (bob.id, alice.id)),
        (desk.tell, (alice.id, call.id, "offer", "o")),
        (desk.accept, (bob.id, call.id)),
        (desk.hold, (bob.id, call.id)),
        (desk.resume, (alice.id, call.id)),
        (desk.end, (bob.id, call.id)),
    ]
    for ask, arguments in steps:
        replies: list[object] = []
        scene.store.held = True
        ask(*arguments, replies.append)
        assert replies == []
        scene.store.finish()
        assert replies == [scene.store.changes[-1].call]  # type: ignore[union-attr]


def test_what_the_database_does_not_take_is_refused(scene: Scene) -> None:
    alice, bob = two_browsers(scene)
    scene.store.refusal = NotStored("full")
    with pytest.raises(NotStored):
        scene.initiate(alice, bob)


# --- many -------------------------------------------------------------------------------------------------------------


def test_calls_that_are_over_are_forgotten_in_order_and_the_others_kept() -> None:
    calls = Calls()
    up = Call("up", "a", "b", INCALL, sip_call_id="sip-up")
    calls.put(up)
    for number in range(MOST_ENDED + 10):
        call = Call(str(number), "a", "b", sip_call_id=f"sip-{number}")
        calls.put(call)
        calls.put(call.after(END, 1.0))
    assert calls.live("a") == calls.all_live() == [up]
    assert calls.by_sip("sip-9") is None
    assert calls.get("10").status == ENDED
    with pytest.raises(Unknown):
        calls.get("9")
    assert [call.id for call in calls.newest(3)] == ["up", str(MOST_ENDED + 9), str(MOST_ENDED + 8)]


def test_an_agent_that_is_gone_takes_no_command(scene: Scene) -> None:
    linked = Linked(scene)
    call = linked.ringing()
    scene.directory.unlink(linked.bob.id, linked.of_bob)
    with pytest.raises(WrongState):
        scene.ask(scene.desk.accept, linked.bob.id, call.id)
    assert linked.of_bob.asked == []
