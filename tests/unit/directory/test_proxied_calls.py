"""Calls through the proxy as users and calls of the directory: who is in a call, until when, and calls of the API that
a telephone makes or gets."""

from __future__ import annotations

import pytest

from tests.support.directory_house import House, ours
from tests.support.directory_lab import ALICE, DOMAIN, HERE, Scene
from voip.directory.calls import Call, LastingDialog
from voip.directory.dialogs import MAX_AGE, MAX_DIALOGS, Dialogs, Followed
from voip.directory.refusals import Unknown, WrongState
from voip.sip import Request, Response
from voip.sip.message import parse_message

CAROL = "127.0.0.7"
TIMER = 600
"""Seconds of a session timer."""


# --- who is in a call -------------------------------------------------------------------------------------------------


def test_telephones_are_shown_in_a_call_from_its_answer_to_its_bye() -> None:
    house = House()
    changes: list[str] = []
    house.directory.watch(lambda: changes.append(house.statuses()[1]))
    assert house.statuses() == ("idle", "idle")
    invite = house.invite()
    house.respond(invite, 180)
    assert house.statuses() == ("idle", "idle")
    answer = house.respond(invite, 200)
    assert house.statuses() == ("incall", "incall")
    assert house.calls() == [("alice", "bob", "incall", "")]
    house.within("ACK", answer, 200, number=1)
    house.sip.heard(house.bob)
    house.wait(120)  # longer than any program may be silent
    assert house.statuses() == ("incall", "incall")
    house.within("BYE", answer, 200)
    assert house.statuses() == ("idle", "idle")
    assert house.calls() == [("alice", "bob", "ended", "hung up")]
    assert changes[-1] == "idle"
    assert "incall" in changes


@pytest.mark.parametrize("code", [486, 603, 302, 407])
def test_a_call_that_is_not_answered_leaves_no_trace(code: int) -> None:
    house = House()
    house.respond(house.invite(), code)
    assert house.statuses() == ("idle", "idle")
    assert house.calls() == []
    assert len(house.sip.server.dialogs._calls) == 0


def test_a_caller_that_gives_up_leaves_no_trace() -> None:
    house = House()
    house.invite()
    house.wait(300)
    assert house.calls() == []
    assert len(house.sip.server.dialogs._calls) == 0


def test_a_telephone_that_was_asked_for_its_password_by_the_other_side_is_in_one_call() -> None:
    house = House()
    house.respond(house.invite(), 401)
    (ack,) = house.sip.heard(house.bob)
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    house.respond(house.invite("X-Again: yes"), 200)
    assert house.calls() == [("alice", "bob", "incall", "")]


@pytest.mark.parametrize("refresh", ["INVITE", "UPDATE"])
def test_a_call_with_a_session_timer_is_over_when_that_has_run_down(refresh: str) -> None:
    house = House()
    answer = house.up(f"Session-Expires: {TIMER};refresher=uac", "Require: timer")
    house.wait(TIMER - 2)
    assert house.statuses() == ("incall", "incall")
    house.within(refresh, answer, 200, f"Session-Expires: {TIMER}")
    house.wait(TIMER - 2)
    assert house.statuses() == ("incall", "incall")
    house.wait(4)
    assert house.statuses() == ("idle", "idle")
    assert [call[2] for call in house.calls()] == ["ended"]


def test_a_refusal_of_a_refresh_refreshes_nothing() -> None:
    house = House()
    answer = house.up(f"Session-Expires: {TIMER}")
    house.wait(TIMER - 2)
    house.within("INVITE", answer, 488)
    assert house.statuses() == ("incall", "incall")
    house.wait(4)
    assert house.statuses() == ("idle", "idle")


def test_a_call_that_one_side_does_not_know_any_more_is_over() -> None:
    house = House()
    answer = house.up()
    house.within("INVITE", answer, 481)
    assert house.statuses() == ("idle", "idle")


def test_of_two_telephones_of_a_name_that_both_answer_the_last_one_ends_the_call() -> None:
    house = House()
    desk, second, one = house.forked()
    house.within("BYE", one, 200)
    assert house.statuses() == ("incall", "incall")
    house.hung_up_by(desk, second)
    assert house.statuses() == ("idle", "idle")


def test_nobody_is_in_a_call_because_a_stranger_says_so() -> None:
    house = House()
    stranger = house.sip.phone("alice", "127.0.0.66", 5066)
    house.sip.say(stranger, ours(stranger, stranger.invite("bob", call_id="x")))
    request = house.sip.request_to(house.bob)
    house.sip.say(house.bob, house.bob.respond(request, 200))
    assert house.statuses() == ("idle", "incall")
    ((caller, callee, _, _),) = house.calls()
    assert (caller, callee) == (f"sip:alice@{DOMAIN}", "bob")


def test_dialogs_are_forgotten_in_time_and_by_number() -> None:
    told: list[Followed] = []
    dialogs = Dialogs(told.append)
    for number in range(MAX_DIALOGS + 1):
        answer(dialogs, f"call{number}", now=float(number))
    assert len(dialogs) == MAX_DIALOGS
    assert [each.state for each in told if each.call_id == "call0"] == ["calling", "incall", "ended"]
    dialogs.purge(MAX_AGE + 10.0)
    assert len(dialogs) == MAX_DIALOGS - 10
    dialogs.purge(2 * MAX_AGE)
    assert (len(dialogs), dialogs._calls, dialogs._names, dialogs._addresses) == (0, {}, {}, {})


def test_nothing_is_left_of_restored_calls_when_their_time_is_over() -> None:
    told: list[Followed] = []
    dialogs = Dialogs(told.append)
    for tags in (("a", "b"), ("a", "c")):  # of one Call-ID
        dialogs.restore(Followed("x", "incall", "alice", "bob", "", "", (LastingDialog(tags, 9.0),)))
    dialogs.restore(Followed("y", "incall", "alice", "", "", "", (LastingDialog(("a",), 20.0),)))
    assert len(dialogs) == 3
    dialogs.purge(10.0)
    assert (len(dialogs), [(each.call_id, each.state) for each in told][-1]) == (1, ("x", "ended"))
    assert dialogs.is_in_call("alice")
    assert not dialogs.is_in_call("bob")
    dialogs.purge(20.0)
    assert (len(dialogs), dialogs._calls, dialogs._names, dialogs._addresses) == (0, {}, {}, {})


def answer(dialogs: Dialogs, call_id: str, now: float) -> None:
    """An INVITE, and its 200."""
    phone = Scene("bob").phone("alice", ALICE, 5080)
    invite = parse_message(phone.invite("bob", call_id=call_id))
    assert isinstance(invite, Request)
    dialogs.note_invite(invite, "alice", "bob")

    class Transaction:
        request, source = invite, phone.source

    class Context:
        transaction = Transaction

    dialogs.note_response(Context, invite.response(200, None, "bobs"), phone.source, now)  # type: ignore[arg-type]


def nothing(reply: object) -> None:
    """For those who do not wait for it."""


# --- calls of the API -------------------------------------------------------------------------------------------------


class Initiated(House):
    """The API is asked for a call of alice, who has a telephone and no program, to bob."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[object] = []
        alice, bob = self.users["alice"].id, self.users["bob"].id
        self.directory.initiate(alice, bob, self.replies.append, telephones=self.sip.server.telephones)
        self.sip.say(self.alice, b"\r\n")
        self.refer = self.sip.request_to(self.alice)

    @property
    def call(self) -> Call:
        (reply,) = self.replies
        assert isinstance(reply, Call)
        return self.directory.desk.calls.get(reply.id)

    def answer_refer(self, code: int) -> None:
        self.sip.say(self.alice, self.alice.respond(self.refer, code))


def test_a_telephone_is_asked_to_dial_by_refer_and_its_call_is_that_of_the_api() -> None:
    house = Initiated()
    assert house.refer.method == "REFER"
    assert str(house.refer.uri) == f"sip:alice@{ALICE}:5080"
    assert house.refer.headers.get("Refer-To") == f"<sip:bob@{HERE}:5060>"
    assert house.refer.headers.get("Refer-Sub") == "false"
    assert house.replies == []
    house.answer_refer(202)
    assert (house.call.status, house.statuses()) == ("calling", ("calling", "calling"))
    invite = house.invite(call_id="of-the-telephone")
    assert house.call.sip_call_id == "of-the-telephone"
    house.respond(invite, 180)
    assert house.call.status == "ringing"
    answer = house.respond(invite, 200)
    assert (house.call.status, house.statuses()) == ("incall", ("incall", "incall"))
    house.wait(60)
    house.within("BYE", answer, 200)
    assert (house.call.status, house.call.reason) == ("ended", "hung up")
    assert len(house.calls()) == 1


def test_a_call_that_bob_declines_is_over() -> None:
    house = Initiated()
    house.answer_refer(202)
    house.respond(house.invite(), 486)
    assert house.call.status == "ended"


def test_another_call_of_the_same_telephone_is_not_that_of_the_api() -> None:
    house = Initiated()
    house.answer_refer(202)
    house.phones["carol"] = house.sip.register("carol", CAROL, 5072)
    house.invite(whom="carol", call_id="other")
    assert house.call.sip_call_id == ""


@pytest.mark.parametrize("code", [401, 480, 603])
def test_a_telephone_that_does_not_want_to_is_an_error_that_says_so(code: int) -> None:
    house = Initiated()
    house.answer_refer(code)
    (reply,) = house.replies
    assert isinstance(reply, WrongState)
    assert str(reply).startswith(f"the telephone of alice does not dial: {code} ")
    assert [call[2] for call in house.calls()] == ["ended"]


class Transferred(Initiated):
    """Alice's telephone takes REFER in calls alone: it is called first. `ringing` is that INVITE."""

    def __init__(self, code: int = 405) -> None:
        super().__init__()
        self.answer_refer(code)
        self.ringing = self.sip.request_to(self.alice)

    def say(self, code: int) -> None:
        self.sip.say(self.alice, self.alice.respond(self.ringing, code))

    def pick_up(self) -> Request:
        """The REFER that comes then."""
        self.say(200)
        ack, refer = self.sip.heard(self.alice)
        assert isinstance(ack, Request)
        assert isinstance(refer, Request)
        assert (ack.method, refer.method) == ("ACK", "REFER")
        assert refer.to.tag == self.alice.says.tag
        return refer

    def within_ours(self, method: str, body: bytes = b"", tag: str = "") -> int:
        """A request of alice within the call of the directory to her; the status of its response."""
        to = self.ringing.headers.lines("From")[0]
        request = self.alice.request(
            method, str(self.ringing.contacts[0].uri), body=body, call_id=self.ringing.call_id, to=to
        )
        if tag:
            request = request.replace(f"tag={self.alice.says.tag}".encode(), f"tag={tag}".encode())
        self.sip.say(self.alice, request)
        responses = [each for each in self.sip.heard(self.alice) if isinstance(each, Response)]
        return responses[-1].status

    @property
    def is_forgotten(self) -> bool:
        return not self.sip.server.telephones._transfers


@pytest.mark.parametrize("code", [405, 481, 501])
def test_a_telephone_that_takes_refer_in_calls_alone_rings_and_transfers_that_call(code: int) -> None:
    house = Transferred(code)
    assert house.ringing.method == "INVITE"
    assert f"<sip:bob@{HERE}:5060>" in house.ringing.headers.lines("From")[0]
    assert b"a=inactive" in house.ringing.body
    assert house.replies == []
    house.say(180)
    assert house.call.status == "calling"
    refer = house.pick_up()
    assert refer.headers.get("Refer-To") == f"<sip:bob@{HERE}:5060>"
    house.sip.say(house.alice, house.alice.respond(refer, 202))
    assert house.within_ours("INVITE", b"v=0\r\n") == 488  # it wants to hold us
    house.sip.heard(house.alice)
    assert house.within_ours("NOTIFY", b"SIP/2.0 100 Trying\r\n") == 200
    invite = house.invite(call_id="the-transferred-one")
    house.respond(invite, 200)
    assert (house.call.status, house.call.sip_call_id) == ("incall", "the-transferred-one")
    house.sip.heard(house.alice)
    house.sip.say(house.alice, b"\r\n")
    notify = house.within_ours("NOTIFY", b"SIP/2.0 200 OK\r\n")
    assert notify == 200
    assert house.is_forgotten
    house.wait(120)
    assert (house.call.status, house.statuses()) == ("incall", ("incall", "incall"))
    assert len(house.calls()) == 1


def test_our_call_is_ended_when_the_telephone_has_told_what_became_of_it_and_in_time_otherwise() -> None:
    for told in (True, False):
        house = Transferred()
        refer = house.pick_up()
        house.sip.say(house.alice, house.alice.respond(refer, 202))
        if told:
            house.within_ours("NOTIFY", b"SIP/2.0 486 Busy Here\r\n")
            house.sip.wait(0.6)  # its first copy was looked over
        else:
            house.wait(65)
        bye = house.sip.heard(house.alice)[-1]
        assert isinstance(bye, Request)
        assert bye.method == "BYE"
        house.sip.say(house.alice, house.alice.respond(bye, 200))
        assert house.is_forgotten


def test_a_person_who_hangs_up_instead_ends_our_call() -> None:
    house = Transferred()
    house.pick_up()
    assert house.within_ours("BYE", tag="a-stranger") == 481
    assert house.within_ours("BYE") == 200
    assert house.is_forgotten


@pytest.mark.parametrize("code", [486, 603])
def test_a_person_who_does_not_want_to_is_an_error(code: int) -> None:
    house = Transferred()
    house.say(code)
    (reply,) = house.replies
    assert isinstance(reply, WrongState)
    assert house.is_forgotten
    assert [call[2] for call in house.calls()] == ["ended"]


def test_a_telephone_that_rings_and_is_not_picked_up_is_cancelled_and_the_call_over() -> None:
    house = Transferred()
    house.say(180)
    house.wait(61)
    (cancel,) = house.sip.heard(house.alice)[:1]
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    house.wait(40)
    assert (house.call.status, house.call.reason) == ("ended", "the telephone of alice is not picked up")
    assert len(house.replies) == 1
    assert house.is_forgotten


def test_a_transfer_that_is_refused_is_over() -> None:
    house = Transferred()
    refer = house.pick_up()
    house.sip.say(house.alice, house.alice.respond(refer, 405))
    bye = house.sip.request_to(house.alice)
    assert bye.method == "BYE"
    assert house.call.reason == "the telephone of alice does not dial: 405 Method Not Allowed"


def test_a_telephone_that_is_gone_is_an_error_too() -> None:
    house = Initiated()
    house.wait(40)
    (reply,) = house.replies
    assert isinstance(reply, WrongState)
    assert str(reply) == "the telephone of alice does not respond"


def test_what_a_telephone_tells_of_its_call_is_taken() -> None:
    house = Initiated()
    house.answer_refer(202)
    contact = str(house.refer.contacts[0].uri)
    notify = house.alice.request(
        "NOTIFY", contact, "Event: refer", "Subscription-State: active", body=b"SIP/2.0 180 Ringing",
        call_id=house.refer.call_id, to=house.refer.headers.lines("From")[0],
    )  # fmt: skip
    assert house.sip.ask(house.alice, notify).status == 200


def test_a_program_calls_a_telephone_by_way_of_the_proxy() -> None:
    house = House(telephones=("bob",))
    alice, bob = house.users["alice"], house.users["bob"]
    house.directory.users.presence(alice.id).address = ALICE
    program = house.desk.link(alice)
    initiate = house.directory.initiate
    replies: list[object] = []
    initiate(alice.id, bob.id, replies.append, telephones=house.sip.server.telephones)
    assert program.asked == [("dial", {"target": f"sip:bob@{HERE}:5060"})]
    (call,) = replies
    assert isinstance(call, Call)
    house.phones["alice"] = house.sip.phone("alice", ALICE, 5080)  # which has not registered
    invite = house.invite(call_id="of-the-program")
    house.desk.tell(alice, program, ("of-the-program", "outgoing", "calling"))
    house.respond(invite, 180)
    assert house.desk.status(call) == "ringing"
    house.respond(invite, 200)
    house.desk.tell(alice, program, ("of-the-program", "outgoing", "incall"))
    assert (house.desk.status(call), house.statuses()) == ("incall", ("incall", "incall"))
    house.desk.tell(alice, program, ("of-the-program", "outgoing", "ended"))
    assert house.desk.status(call) == "ended"
    assert len(house.calls()) == 1


def test_a_program_calls_a_program_where_it_is() -> None:
    house = House(telephones=())
    alice = house.users["alice"]
    house.directory.users.presence(alice.id).address = ALICE
    carol = house.desk.register("carol", "sip:carol@10.0.0.7:5060")
    program = house.desk.link(alice)
    house.directory.initiate(alice.id, carol.id, nothing, telephones=house.sip.server.telephones)
    assert program.asked == [("dial", {"target": "sip:carol@10.0.0.7:5060"})]


def test_a_telephone_is_not_asked_to_call_who_has_no_contact() -> None:
    house = House(telephones=("alice",))
    with pytest.raises(Unknown):
        house.directory.initiate(
            house.users["alice"].id, house.users["carol"].id, nothing, telephones=house.sip.server.telephones
        )
