"""The states of a call (RFC 3261 sections 9, 12 to 15): what is allowed in each, and what moves it.

    we call         CALLING    -> EARLY (a provisional response with a tag) -> CALLING (the INVITE is sent anew)
                    CALLING, EARLY -> CONFIRMED (2xx) | CANCELLING (given up) | TERMINATED (refused, or no response)
                    CANCELLING -> ENDING (2xx all the same: BYE) | TERMINATED (487, or no response)
    we are called   INCOMING   -> ACCEPTED (our 2xx) | TERMINATED (refused, cancelled, BYE)
                    ACCEPTED   -> CONFIRMED (its ACK) | LEAVING (the user hangs up: BYE not before the ACK, 15)
                    LEAVING    -> CONFIRMED (its ACK) -> ENDING (our BYE, at once)
    both            CONFIRMED  -> ENDING (our BYE) -> TERMINATED (its response, or none)
                    any        -> TERMINATED (the peer's BYE, a dialog that is gone, no ACK)

Everything that affects the state is in this file. `ALLOWED` says which requests of the peer are handled (others get
481) and which actions of the user (others are quiet no-ops); `MOVES` what a trigger makes of a state. A trigger that
is not listed leaves the state as it is: what comes late or twice moves nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from voip.sip.methods import Where, methods_in


class CallState(Enum):
    CALLING = "INVITE sent, or its addresses are being looked up"
    EARLY = "there is an early dialog"
    CANCELLING = "given up before the final response: CANCEL is sent, or will be when there is a response"
    INCOMING = "INVITE came, the user is asked"
    ACCEPTED = "2xx sent, its ACK is still to come"
    LEAVING = "the same, and BYE follows the ACK"
    CONFIRMED = "the call is up"
    ENDING = "BYE sent, its response is still to come"
    TERMINATED = "the user knows that the call is over; it stays to respond to what is still under way"


class Action(Enum):
    """What the user may do."""

    OFFER = "make the offer that the INVITE lacks"
    RING = "say that the user is being asked"
    ACCEPT = "accept an offer"
    REJECT = "refuse an offer"
    REINVITE = "offer another session"
    PING = "ask whether the peer is there"
    TEXT = "send the peer a text"
    HANG_UP = "end the call"


class Trigger(Enum):
    """What moves a call from state to state."""

    PROVISIONAL = "a provisional response has made an early dialog"
    NEW_INVITE = "the INVITE is sent anew: redirected, challenged, or to another address"
    SUCCESS = "a 2xx to our INVITE has come"
    CANCEL = "given up before the final response"
    ACCEPT = "our 2xx to the INVITE is sent"
    ACK = "the ACK for it has come"
    LEAVE = "the user hangs up before that ACK"
    BYE = "our BYE is sent"
    END = "the end of the call is reported to the user"


class Allowed(NamedTuple):
    """What is handled in a state."""

    requests: frozenset[str]
    actions: frozenset[Action]


_NO_REQUESTS: frozenset[str] = frozenset()
_OFFERED = {Action.ACCEPT, Action.REJECT}
_OF_USER = {Action.REINVITE, Action.PING, Action.TEXT, Action.HANG_UP}
_OF_CALLEE, _OF_PEER = methods_in(Where.EARLY), methods_in(Where.DIALOG)

ALLOWED = {
    CallState.CALLING: Allowed(_NO_REQUESTS, frozenset({Action.OFFER, Action.HANG_UP} | _OFFERED)),
    CallState.EARLY: Allowed(_OF_CALLEE, frozenset({Action.OFFER, Action.HANG_UP} | _OFFERED)),
    CallState.CANCELLING: Allowed(_OF_CALLEE, frozenset(_OFFERED)),
    CallState.INCOMING: Allowed(_OF_PEER, frozenset({Action.RING, Action.HANG_UP} | _OFFERED)),
    CallState.ACCEPTED: Allowed(_OF_PEER, frozenset({Action.HANG_UP} | _OFFERED)),
    CallState.LEAVING: Allowed(_OF_PEER, frozenset({Action.HANG_UP} | _OFFERED)),
    CallState.CONFIRMED: Allowed(_OF_PEER, frozenset(_OF_USER | _OFFERED)),
    CallState.ENDING: Allowed(_OF_PEER - {"INVITE", "UPDATE"}, frozenset()),
    CallState.TERMINATED: Allowed(frozenset({"BYE", "PRACK"}), frozenset()),
}

MOVES = {
    CallState.CALLING: {
        Trigger.PROVISIONAL: CallState.EARLY,
        Trigger.SUCCESS: CallState.CONFIRMED,
        Trigger.CANCEL: CallState.CANCELLING,
        Trigger.END: CallState.TERMINATED,
    },
    CallState.EARLY: {
        Trigger.NEW_INVITE: CallState.CALLING,
        Trigger.SUCCESS: CallState.CONFIRMED,
        Trigger.CANCEL: CallState.CANCELLING,
        Trigger.END: CallState.TERMINATED,
    },
    CallState.CANCELLING: {Trigger.BYE: CallState.ENDING, Trigger.END: CallState.TERMINATED},
    CallState.INCOMING: {
        Trigger.ACCEPT: CallState.ACCEPTED,
        Trigger.BYE: CallState.ENDING,
        Trigger.END: CallState.TERMINATED,
    },
    CallState.ACCEPTED: {
        Trigger.ACK: CallState.CONFIRMED,
        Trigger.LEAVE: CallState.LEAVING,
        Trigger.BYE: CallState.ENDING,
        Trigger.END: CallState.TERMINATED,
    },
    CallState.LEAVING: {
        Trigger.ACK: CallState.CONFIRMED,
        Trigger.BYE: CallState.ENDING,
        Trigger.END: CallState.TERMINATED,
    },
    CallState.CONFIRMED: {Trigger.BYE: CallState.ENDING, Trigger.END: CallState.TERMINATED},
    CallState.ENDING: {Trigger.END: CallState.TERMINATED},
    CallState.TERMINATED: {},
}

CALLING = frozenset({CallState.CALLING, CallState.EARLY})
"""Our INVITE is on its way, and still wanted."""
UNANSWERED = CALLING | {CallState.CANCELLING}
"""Our INVITE has no final response yet."""
LIVE = frozenset(CallState) - {CallState.ENDING, CallState.TERMINATED}
"""The call is up, or on its way there."""
TAKES_ROOM = LIVE - {CallState.LEAVING}
"""The call counts when another one comes in: not where only an ACK is still to come before our BYE."""
HAS_SESSION = frozenset({CallState.ACCEPTED, CallState.LEAVING, CallState.CONFIRMED})
"""There is a session, which a session timer may end."""


def next_state(state: CallState, trigger: Trigger) -> CallState:
    return MOVES[state].get(trigger, state)
