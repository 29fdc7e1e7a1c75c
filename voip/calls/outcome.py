"""What the end of a call means to whoever started the program: an exit status and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voip.errors import (
    EXIT_AUTHENTICATION,
    EXIT_BUG,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
    EXIT_OK,
    EXIT_REJECTED,
)
from voip.sip import CallEnded

UNAUTHORIZED = (401, 407)
"""Statuses that ask for a user and a password (RFC 3261 sections 21.4.2 and 21.4.8)."""
UNAVAILABLE = (408, 480)
"""Statuses of a callee that was not reached (RFC 3261 sections 21.4.9 and 21.4.18)."""
NO_CODEC = "no codec in common, or encryption that only one side requires; see --codec and --srtp"
BUSY = "it is in another call; try again later"
ADVICE = {
    403: "a receiver accepts private addresses and what its --allow adds; others may require an account, see --user",
    404: "user not found; check the part before the @",
    415: NO_CODEC,
    480: "the user is offline or unavailable; try again later",
    486: BUSY,
    488: NO_CODEC,
    503: "it is overloaded or restarting; try again later",
    600: BUSY,
    603: "the user declined the call",
    604: "user not found anywhere; check the address",
    606: NO_CODEC,
}
"""What a refusal means to who called, and what can be done."""

LOST = ("media-timeout", "timeout", "network", "no-answer", "no-ack")
"""Reasons by which a call ends that no user has ended."""
PASSING = (404, 408, 430, 480, 486, 500, 502, 503, 504)
"""Statuses of refusals that the next call may not meet (RFC 3261 section 21): the peer, or a server on the way, was
restarted and does not know its users yet, or still has the call that was lost."""


@dataclass(frozen=True)
class Outcome:
    """An exit status, and the line that says what to do; "" where all is well.

    `passing`: another call may succeed, since the peer or the way to it was lost or is not there for the moment.
    """

    status: int = EXIT_OK
    error: str = ""
    passing: bool = False


def outcome_of(peer: str, ending: CallEnded | None) -> Outcome:
    """What it means that a call with this peer has ended so; None: it was closed before it had an end of its own."""
    return replace(_outcome(peer, ending), passing=ending is not None and _may_pass(ending))


def _may_pass(ending: CallEnded) -> bool:
    return ending.reason in LOST or (ending.reason == "rejected" and ending.status in PASSING)


def _outcome(peer: str, ending: CallEnded | None) -> Outcome:
    # 481: the other side has ended the call already. 408: it did not answer, or did not show that it is still there.
    gone = ending is not None and ending.reason == "timeout" and ending.status != 408
    if ending is None or gone or ending.reason in ("local-bye", "remote-bye", "cancelled"):
        return Outcome()
    if ending.reason in ("media-timeout", "timeout"):
        return Outcome(EXIT_NO_MEDIA, f"lost contact with {peer}: {ending.phrase}")
    if ending.reason == "congestion":
        error = f"the path to {peer} loses too much even at the least bit rate (RFC 8083); another network may carry it"
        return Outcome(EXIT_NO_MEDIA, error)
    if ending.reason == "internal-error":
        return Outcome(EXIT_BUG, f"the call to {peer} was dropped because of a bug here; -v shows where")
    if ending.reason == "network":
        return Outcome(EXIT_NETWORK, ending.phrase)
    if ending.reason == "no-answer":
        if ending.status:
            return Outcome(EXIT_NO_ANSWER, f"{peer} rings, but there is no answer")
        tried = f" ({ending.phrase})" if ending.phrase else ""
        error = f"{peer} does not respond{tried}. Is a receiver running there, and that port open in its firewall?"
        return Outcome(EXIT_NO_ANSWER, error)
    if ending.status:
        return _refused(peer, ending.reason, ending.status, ending.phrase)
    return Outcome(EXIT_NO_MEDIA, f"the call to {peer} ended: {ending.reason}")


def _refused(peer: str, reason: str, status: int, phrase: str) -> Outcome:
    said = f"{status} {phrase}".strip()
    if reason == "redirect-loop":
        error = f"{peer} redirects the call again ({said}); call the final address directly"
        return Outcome(EXIT_REJECTED, error)
    if status in UNAUTHORIZED:
        error = f"{peer} requires a valid user and password ({said}); see --user, --password-file"
        return Outcome(EXIT_AUTHENTICATION, error)
    advice = f": {ADVICE[status]}" if status in ADVICE else ""
    if status in UNAVAILABLE:
        return Outcome(EXIT_NO_ANSWER, f"{peer} is not available ({said}){advice}")
    return Outcome(EXIT_REJECTED, f"{peer} refused the call ({said}){advice}")
