"""The methods of SIP that are known here: where each is allowed, and what its body may be.

Everything else derives from this table: the Allow header, what is refused with 405 or 501 (RFC 3261 section 8.2.1),
what needs a dialog, which bodies are accepted. To serve another method give its row a place, write the handler of that
place, and add an event if the user of the agent has to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

SDP = "application/sdp"
DTMF = ("application/dtmf-relay", "application/dtmf")
"""What telephones send a digit as in INFO: "Signal=5" and "Duration=160" in lines, or the bare digit."""

TEXT = "text/plain"
RELIABLE = "100rel"
TIMER = "timer"
EXTENSIONS = (RELIABLE, TIMER)
"""Option tags of what may be required of us (RFC 3262, 4028). Not "replaces": a user agent without it ignores a
Replaces field (RFC 3891 section 5), so that the call is one like any other."""


class Refusal(NamedTuple):
    """Status and header fields of the response that refuses a request, and in a few words, for the user, why."""

    status: int
    fields: Sequence[tuple[str, str]] = ()
    why: str = ""


class Where(Enum):
    """Where a request is allowed, and so what handles it."""

    TRANSACTION = "about another transaction: matched to its INVITE by the dispatcher"
    OUTSIDE = "outside of dialogs: a handler of the dispatcher"
    DIALOG = "within a confirmed dialog, or from the caller within an early one: a handler of the call"
    EARLY = "from the callee within an early dialog: a handler of the call"


@dataclass(frozen=True)
class Method:
    """A row of the table. Without a place the method is a standard that is not served: 405."""

    name: str
    rfc: int
    where: tuple[Where, ...] = ()
    bodies: tuple[str, ...] = ()
    """Media types of bodies; other ones are refused with 415. Empty: a body is ignored."""


_TABLE = (
    Method("INVITE", 3261, (Where.OUTSIDE, Where.DIALOG), (SDP,)),
    Method("ACK", 3261, (Where.TRANSACTION,), (SDP,)),
    Method("BYE", 3261, (Where.DIALOG,)),
    Method("CANCEL", 3261, (Where.TRANSACTION,)),
    Method("OPTIONS", 3261, (Where.OUTSIDE, Where.DIALOG, Where.EARLY)),
    Method("PRACK", 3262, (Where.DIALOG,)),
    Method("UPDATE", 3311, (Where.DIALOG, Where.EARLY), (SDP,)),
    Method("INFO", 6086, (Where.DIALOG, Where.EARLY), DTMF),
    Method("MESSAGE", 3428, (Where.OUTSIDE, Where.DIALOG, Where.EARLY), (TEXT,)),
    Method("NOTIFY", 6665),
    Method("PUBLISH", 3903),
    Method("REFER", 3515),
    Method("REGISTER", 3261),
    Method("SUBSCRIBE", 6665),
)
METHODS = {row.name: row for row in _TABLE}
# Without spaces (RFC 3261 section 7.3.1): a request of more than 1300 bytes goes by TCP first.
ALLOW = ("Allow", ",".join(row.name for row in _TABLE if row.where))
SUPPORTED = ("Supported", ",".join(EXTENSIONS))
METHOD_NOT_ALLOWED, NOT_IMPLEMENTED = 405, 501


def methods_in(where: Where) -> frozenset[str]:
    """The methods that are allowed there."""
    return frozenset(row.name for row in _TABLE if where in row.where)


def is_served(method: str) -> bool:
    """Whether requests of this method are allowed anywhere."""
    return method in METHODS and bool(METHODS[method].where)


def needs_dialog(method: str) -> bool:
    """Whether the method is allowed within dialogs alone."""
    return is_served(method) and not {Where.OUTSIDE, Where.TRANSACTION} & set(METHODS[method].where)


def refusal_of(method: str) -> int:
    """The status for a method that is not served (8.2.1): 405 where it is a known standard, else 501."""
    return METHOD_NOT_ALLOWED if method in METHODS else NOT_IMPLEMENTED
