"""What the call API does: calls are begun, accepted, held and ended by the programs of their users, whose own calls
they follow.

Under each call that a program makes there is one of SIP, known by its Call-ID, which both sides have in common. Two
users without programs or telephones may have a call as well: of that the directory knows what they tell it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from voip.directory.calls import (
    ACCEPT,
    CALLING,
    END,
    ENDED,
    FORGET,
    HOLD,
    INCALL,
    REJECT,
    RESUME,
    RING,
    RINGING,
    SEE,
    UNKNOWN,
    Call,
    Calls,
)
from voip.directory.dialling import Dialler, Dialling
from voip.directory.dialogs import Followed
from voip.directory.location import Location
from voip.directory.refusals import BadRequest, Refusal, WrongState
from voip.directory.users import Agent, AgentCall, Telephones, Users

MOST_CALLS = 64
"""Of a user at a time."""
UNANSWERED = 180.0
"""Seconds after which a call that nobody has answered is over (timer C of RFC 3261 section 16.6)."""
UNSEEN = 15.0
"""Seconds after which a call of SIP is over that no program tells of any more."""
OFFER, ANSWER, CANDIDATE = "offer", "answer", "candidate"
PROXIED_EVENTS = {RINGING: RING, INCALL: ACCEPT, ENDED: END}
"""What a state that the proxy sees means for a call."""

Reply = Callable[[object], object]
"""Given the result, or a `Refusal`, exactly once."""
Save = Callable[[Call, Callable[[Refusal | None], object]], object]
"""Makes a call durable, then says so; or why it is not."""


def no_reply(result: object) -> None:
    """Where nobody waits for what becomes of it."""


@dataclass
class _Notes:
    """About calls that go on. `dialled`: the Call-IDs that the caller's program had before it was told to dial. `legs`:
    the last state told of a call, by user and Call-ID. `unseen`: since when no program has told of a call;
    `pending`: since when it is known and not answered. `proxied`: what was told last of each call that goes through the
    proxy, by Call-ID."""

    dialled: dict[str, frozenset[str]] = field(default_factory=dict)
    legs: dict[tuple[str, str], str] = field(default_factory=dict)
    unseen: dict[str, float] = field(default_factory=dict)
    pending: dict[str, float] = field(default_factory=dict)
    proxied: dict[str, Followed] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def forget(self, call_id: str) -> None:
        """It is over."""
        self.dialled.pop(call_id, None)
        self.unseen.pop(call_id, None)
        self.pending.pop(call_id, None)
        self.busy.discard(call_id)

    def seen(self) -> set[str]:
        """The Call-IDs of calls of which it is known that they go on."""
        proxied = {call_id for call_id, told in self.proxied.items() if told.state != UNKNOWN}
        return {sip_call_id for _, sip_call_id in self.legs} | proxied


class CallDesk:
    """Every call of the API. `save` makes one durable; `moment` gives Unix time. Network thread only."""

    def __init__(
        self, users: Users, location: Location, save: Save, rng: random.Random, moment: Callable[[], float]
    ) -> None:
        self.calls = Calls()
        self._users, self._dialler, self._save = users, Dialler(users, location), save
        self._rng, self._moment, self._notes = rng, moment, _Notes()

    def load(self, call: Call, told: Followed) -> None:
        """A call of before a restart, and what was told of it. One through the proxy may go on, unseen."""
        if told.dialogs:
            self._notes.proxied[told.call_id] = told
        self.calls.put(call.after(FORGET, self._moment()) if told.dialogs and call.allows(FORGET) else call)

    @property
    def proxied(self) -> Iterable[Followed]:
        """What is known of the calls through the proxy, their dialogs by Unix time."""
        return self._notes.proxied.values()

    # --- what users ask for -------------------------------------------------------------------------------------------

    def initiate(self, caller_id: str, callee_id: str, now: float, reply: Reply, telephones: Telephones) -> None:
        """Have the caller's program, or telephone, call the other; without any, a call of signalling alone."""
        caller, callee = map(self._users.get, (caller_id, callee_id))
        if caller is callee:
            raise BadRequest("a user does not call itself")
        if len(self.calls.live(caller_id)) >= MOST_CALLS:
            raise WrongState(f"{caller.name} has {MOST_CALLS} calls already")
        dialling = self._dialler.dialling(caller, callee, now, telephones)
        call = Call(new_id(self._rng), caller_id, callee_id, began=self._moment())
        if dialling is None:
            self._put(call, reply)
        else:
            self._dial(call, dialling, reply)

    def accept(self, user_id: str, call_id: str, reply: Reply) -> None:
        """The callee answers."""
        call = self._checked(user_id, call_id, ACCEPT)
        self._demand_callee(call, user_id)
        self._command(call, user_id, "answer", ACCEPT, reply)

    def reject(self, user_id: str, call_id: str, reply: Reply) -> None:
        """The callee does not want it."""
        call = self._checked(user_id, call_id, REJECT)
        self._demand_callee(call, user_id)
        self._command(call, user_id, "decline", REJECT, reply)

    def end(self, user_id: str, call_id: str, reply: Reply) -> None:
        """One of the two hangs up: by its own program, or by that of the other."""
        call = self._checked(user_id, call_id, END)
        for each in (user_id, call.caller_id, call.callee_id):
            if call.sip_call_id and self._has_leg(each, call):
                self._command(call, each, "hang-up", END, reply)
                return
        if call.sip_call_id or (call.id in self._notes.dialled and self._users.agent(call.caller_id)):
            raise WrongState("no program of the two has this call yet")
        self._move(call.id, END, "ended", reply)

    def hold(self, user_id: str, call_id: str, reply: Reply) -> None:
        """One of the two interrupts it."""
        self._command(self._checked(user_id, call_id, HOLD), user_id, "hold", HOLD, reply)

    def resume(self, user_id: str, call_id: str, reply: Reply) -> None:
        """It goes on."""
        self._command(self._checked(user_id, call_id, RESUME), user_id, "hold", RESUME, reply)

    def tell(self, user_id: str, call_id: str, kind: str, text: str, reply: Reply) -> None:
        """Keep an offer, an answer or a candidate for the other side."""
        self._users.get(user_id)
        call = self.calls.get(call_id, user_id)
        if call.is_over:
            raise WrongState("the call is ended")
        if kind == OFFER:
            call = replace(call, offer=text)
        elif kind == ANSWER:
            call = replace(call, answer=text)
        else:
            call = call.with_candidate(user_id, text)
        self._put(call, reply)

    def incoming(self, user_id: str) -> Call | None:
        """The oldest call that rings at a user. Unknown."""
        self._users.get(user_id)
        for call in self.calls.live(user_id):
            if call.callee_id == user_id and (call.status == RINGING or (call.is_pending and not self._is_sip(call))):
                return call
        return None

    # --- what programs tell -------------------------------------------------------------------------------------------

    def follow(self, user_id: str) -> None:
        """The calls of a user's program have changed."""
        agent = self._users.agent(user_id)
        if agent is None:
            return
        told = {each.call_id: each for each in agent.calls}
        for each in told.values():
            call = self.calls.by_sip(each.call_id) or self._adopt(user_id, each, agent)
            if call is not None:
                self._follow_leg(user_id, call.id, each)
        for owner, sip_call_id in list(self._notes.legs):
            if owner == user_id and sip_call_id not in told:
                self._follow_leg(user_id, "", AgentCall(sip_call_id, "", "ended"))

    def follow_proxied(self, told: Followed, caller_id: str, callee_id: str) -> None:
        """A call through the proxy has changed; the ids of its two, "" for whom the directory does not know."""
        if told.state == ENDED:
            self._notes.proxied.pop(told.call_id, None)
        else:
            self._notes.proxied[told.call_id] = told
        call = self.calls.by_sip(told.call_id) or self._adopt_proxied(told, caller_id, callee_id)
        if call is None or call.is_over:
            return
        for side, direction in ((caller_id, "outgoing"), (callee_id, "incoming")):
            if side:
                call = self._with_side(call, side, AgentCall(told.call_id, direction, told.state))
        self._follow_proxy(call, told)

    def unlinked(self, user_id: str) -> None:
        """The program of a user is gone, and what it has told last means nothing any more."""
        for owner, sip_call_id in list(self._notes.legs):
            if owner == user_id:
                del self._notes.legs[owner, sip_call_id]

    def gone(self, user_id: str) -> None:
        """A user has not been heard of for too long, or has said goodbye: calls without SIP are over."""
        for call in self.calls.live(user_id):
            if not self._is_sip(call):
                self._move(call.id, END, "gone", no_reply)

    def tick(self, now: float) -> None:
        """End what nobody answers, and what no program tells of any more."""
        seen = self._notes.seen()
        for call in self.calls.all_live():
            pending = call.is_pending and now - self._notes.pending.setdefault(call.id, now)
            if pending and pending > UNANSWERED:
                self._move(call.id, END, "unanswered", no_reply)
            elif call.sip_call_id and call.sip_call_id not in seen:
                may_go_on = call.sip_call_id in self._notes.proxied
                if now - self._notes.unseen.setdefault(call.id, now) > UNSEEN and call.status != UNKNOWN:
                    self._move(call.id, FORGET if may_go_on else END, "lost", no_reply)
            else:
                self._notes.unseen.pop(call.id, None)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _dial(self, call: Call, dialling: Dialling, reply: Reply) -> None:
        self._notes.dialled[call.id] = dialling.known
        self.calls.put(call)
        replies = [reply]  # one is waited for

        def dialled(error: str | None) -> None:
            current, answer = self.calls.get(call.id), replies.pop() if replies else no_reply
            if error is None:
                self._put(current, answer)
                return
            if current.is_pending:
                self._move(call.id, END, error, no_reply)
            answer(WrongState(error))

        dialling.begin(dialled)

    def _command(self, call: Call, user_id: str, command: str, event: str, reply: Reply) -> None:
        """Have the program of the user do it, if there is one under this call; then it has happened."""
        if not self._is_sip(call):
            self._move(call.id, event, "rejected" if event == REJECT else "ended" if event == END else "", reply)
            return
        agent = self._users.agent(user_id)
        if agent is None or not self._has_leg(user_id, call):
            raise WrongState("the program, or the telephone, of this user has to do that")
        if call.id in self._notes.busy and event != END:
            raise WrongState("another request for this call is under way")
        self._notes.busy.add(call.id)

        def obeyed(error: str | None) -> None:
            self._notes.busy.discard(call.id)
            if error is not None:
                reply(WrongState(error))
            else:
                self._move(call.id, event, "rejected" if event == REJECT else "ended", reply)

        agent.do(command, {"call_id": call.sip_call_id}, obeyed)

    def _move(self, call_id: str, event: str, reason: str, reply: Reply) -> None:
        """It has happened; a report of a program may have said so already."""
        call = self.calls.get(call_id)
        if call.allows(event):
            self._put(call.after(event, self._moment(), reason if event in (END, REJECT) else ""), reply)
        elif call.is_over and event in (END, REJECT):
            reply(call)
        elif event in (ACCEPT, HOLD, RESUME) and not call.is_pending and not call.is_over:
            self._put(call, reply)
        else:
            reply(WrongState(f"the call is {call.status}"))

    def _put(self, call: Call, reply: Reply) -> None:
        """It is so from now on; acknowledged when it is durable."""
        self.calls.put(call)
        if call.is_over:
            self._notes.forget(call.id)
        self._save(call, lambda refusal: reply(call if refusal is None else refusal))

    # --- legs ---------------------------------------------------------------------------------------------------------

    def _adopt(self, user_id: str, told: AgentCall, agent: Agent) -> Call | None:
        """The call that a program tells of for the first time; None for one that is not to be told of (yet)."""
        if told.direction == "outgoing":
            for call in self.calls.live(user_id):
                if told.call_id not in self._notes.dialled.get(call.id, frozenset({told.call_id})):
                    return self._bind(call, told)
        elif any(call.callee_id == user_id and self._is_unbound(call) for call in self.calls.live(user_id)):
            return None  # most likely it is that one: its caller's program is about to say so
        if told.state == "ended":
            return None
        outgoing = told.direction == "outgoing"
        caller, callee = (user_id, "") if outgoing else ("", user_id)
        call = Call(new_id(self._rng), caller, callee, peer=told.peer, sip_call_id=told.call_id, began=self._moment())
        self._put(call, no_reply)
        return call

    def _adopt_proxied(self, told: Followed, caller_id: str, callee_id: str) -> Call | None:
        """The call that is seen at the proxy for the first time: one that was dialled for the API, or, once it is up,
        one that people have begun. Those that nobody answers are not kept: whoever reaches the port can make them."""
        for call in self.calls.live(caller_id) if caller_id else ():
            other = told.call_id not in self._notes.dialled.get(call.id, frozenset({told.call_id}))
            if other and call.callee_id == callee_id:
                return self._bind(call, AgentCall(told.call_id, "outgoing", told.state))
        if told.state != INCALL or not (caller_id or callee_id):
            return None
        peer = told.callee_address if caller_id else told.caller_address
        call = Call(new_id(self._rng), caller_id, callee_id, peer=peer, sip_call_id=told.call_id, began=self._moment())
        self.calls.put(call)
        return call

    def _bind(self, call: Call, told: AgentCall) -> Call:
        """A call that was dialled for the API has its Call-ID now; the other side may have told of that already."""
        del self._notes.dialled[call.id]
        call = replace(call, sip_call_id=told.call_id)
        self._put(call, no_reply)
        if call.callee_id and self._users.agent(call.callee_id) is not None:
            self.follow(call.callee_id)
        proxied = self._notes.proxied.get(told.call_id)
        if proxied is not None:  # it saw more of it before we knew that it is this one
            self._follow_proxy(self.calls.get(call.id), proxied)
        return self.calls.get(call.id)

    def _follow_proxy(self, call: Call, told: Followed) -> None:
        followed = _after_proxy(call, told, self._moment())
        if followed != call:
            self._put(followed, no_reply)

    def _follow_leg(self, user_id: str, call_id: str, told: AgentCall) -> None:
        key = (user_id, told.call_id)
        before = self._notes.legs.get(key)
        if before == told.state:
            return
        call = self.calls.get(call_id) if call_id else self.calls.by_sip(told.call_id)
        if told.state == "ended":
            self._notes.legs.pop(key, None)
        else:
            self._notes.legs[key] = told.state
        if call is None or call.is_over:
            return
        call = self._with_side(call, user_id, told)
        event = _event(call, before, told)
        if event is not None:
            self._put(call.after(event, self._moment(), "hung up" if event == END else ""), no_reply)

    def _with_side(self, call: Call, user_id: str, told: AgentCall) -> Call:
        """The call with this user as caller or callee, if that was not known."""
        found = _sided(call, user_id, told)
        if found != call:
            self._put(found, no_reply)
        return found

    # --- questions ----------------------------------------------------------------------------------------------------

    def _checked(self, user_id: str, call_id: str, event: str) -> Call:
        self._users.get(user_id)
        call = self.calls.get(call_id, user_id)
        if not call.allows(event):
            raise WrongState(f"the call is {call.status}: {event} is not possible")
        return call

    @staticmethod
    def _demand_callee(call: Call, user_id: str) -> None:
        if call.callee_id != user_id:
            raise WrongState("only the one who is called can do that")

    def _is_unbound(self, call: Call) -> bool:
        """Whether it was dialled, and nobody has told its Call-ID yet."""
        return call.id in self._notes.dialled

    def _is_sip(self, call: Call) -> bool:
        return bool(call.sip_call_id) or self._is_unbound(call)

    def _has_leg(self, user_id: str, call: Call) -> bool:
        return (user_id, call.sip_call_id) in self._notes.legs and self._users.agent(user_id) is not None


def _sided(call: Call, user_id: str, told: AgentCall) -> Call:
    """The call with this user at the side that its program tells, if nobody is there."""
    if call.is_of(user_id):
        return call
    if told.direction == "outgoing" and not call.caller_id:
        return replace(call, caller_id=user_id)
    if told.direction == "incoming" and not call.callee_id:
        return replace(call, callee_id=user_id)
    return call


def _after_proxy(call: Call, told: Followed, moment: float) -> Call:
    """The call as the proxy sees it, at that Unix time."""
    if call.is_over:
        return call
    event = SEE if call.status == UNKNOWN and told.state == INCALL else PROXIED_EVENTS.get(told.state)
    call = replace(call, dialogs=told.dialogs)
    if event is None or not call.allows(event):
        return call
    return call.after(event, moment, "hung up" if event == END else "")


def _event(call: Call, before: str | None, told: AgentCall) -> str | None:
    """What a change of one side means for the call."""
    event = None
    if told.state == "ended":
        event = END
    elif told.state == "ringing" and call.status == CALLING:
        event = RING
    elif told.state == "incall" and call.is_pending:
        event = ACCEPT
    elif told.state == "onhold":
        event = HOLD
    elif told.state == "incall" and call.status == UNKNOWN:
        event = SEE
    elif told.state == "incall" and before == "onhold":
        event = RESUME
    return event if event is not None and call.allows(event) else None


def new_id(rng: random.Random) -> str:
    """A UUID (RFC 9562 section 5.4)."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
