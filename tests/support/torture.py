"""The 49 messages of RFC 4475 and what a user agent that answers calls does with each, as the RFC says.

`OUTCOMES` names the section, and the status of the answer; CALL: it is taken as a call; DROPPED: it gets no answer.
Where the RFC leaves a choice, the comment says what else would do.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

MESSAGES = Path(__file__).resolve().parents[1] / "vectors" / "sip" / "rfc4475"
CALL, DROPPED = 200, 0
REGISTER = 405  # we are no registrar: the method is all that there is to say


class Outcome(NamedTuple):
    section: str
    status: int


OUTCOMES = {
    "wsinv": Outcome("3.1.1.1", 481),  # well-formed; its To has a tag, of a dialog that is not ours
    "intmeth": Outcome("3.1.1.2", 501),
    "esc01": Outcome("3.1.1.3", CALL),
    "escnull": Outcome("3.1.1.4", REGISTER),
    "esc02": Outcome("3.1.1.5", 501),  # RE%47IST%45R is no REGISTER
    "lwsdisp": Outcome("3.1.1.6", 200),
    "longreq": Outcome("3.1.1.7", CALL),
    "dblreq": Outcome("3.1.1.8", REGISTER),  # what follows in the datagram is not looked at
    "semiuri": Outcome("3.1.1.9", 200),
    "transports": Outcome("3.1.1.10", 200),
    "mpart01": Outcome("3.1.1.11", 415),  # a text within a multipart
    "unreason": Outcome("3.1.1.12", DROPPED),  # answers to nothing
    "noreason": Outcome("3.1.1.13", DROPPED),
    "badinv01": Outcome("3.1.2.1", 400),
    "clerr": Outcome("3.1.2.2", 400),
    "ncl": Outcome("3.1.2.3", 400),
    "scalar02": Outcome("3.1.2.4", 400),
    "scalarlg": Outcome("3.1.2.5", DROPPED),
    "quotbal": Outcome("3.1.2.6", 400),
    "ltgtruri": Outcome("3.1.2.7", 400),
    "lwsruri": Outcome("3.1.2.8", 400),
    "lwsstart": Outcome("3.1.2.9", 400),  # or take it
    "trws": Outcome("3.1.2.10", 400),  # or take it
    "escruri": Outcome("3.1.2.11", 400),  # or take it without its headers
    "baddate": Outcome("3.1.2.12", CALL),  # or 400; who does not use Date need not mind it
    "regbadct": Outcome("3.1.2.13", 400),  # or take it
    "badaspec": Outcome("3.1.2.14", 400),  # or take it
    "baddn": Outcome("3.1.2.15", 200),  # or 400; the missing quotes can be inferred
    "badvers": Outcome("3.1.2.16", 505),
    "mismatch01": Outcome("3.1.2.17", 400),
    "mismatch02": Outcome("3.1.2.18", 400),  # or 501
    "bigcode": Outcome("3.1.2.19", DROPPED),
    "badbranch": Outcome("3.2.1", 200),
    "insuf": Outcome("3.3.1", 400),
    "unkscm": Outcome("3.3.2", 416),
    "novelsc": Outcome("3.3.3", 416),
    "unksm2": Outcome("3.3.4", REGISTER),
    "bext01": Outcome("3.3.5", 420),
    "invut": Outcome("3.3.6", 415),
    "regaut01": Outcome("3.3.7", REGISTER),
    "multi01": Outcome("3.3.8", 400),
    "mcl01": Outcome("3.3.9", 400),
    "bcast": Outcome("3.3.10", DROPPED),
    "zeromf": Outcome("3.3.11", 200),  # only who would send it on has to mind Max-Forwards
    "cparam01": Outcome("3.3.12", REGISTER),
    "cparam02": Outcome("3.3.13", REGISTER),
    "regescrt": Outcome("3.3.14", REGISTER),
    "sdp01": Outcome("3.3.15", 406),  # or 400
    "inv2543": Outcome("3.4.1", CALL),
}
OVER_STREAMS = {
    "clerr": Outcome("3.1.2.2", DROPPED),  # the rest of the body may still be on its way
    "multi01": Outcome("3.3.8", DROPPED),  # likewise: its Content-Length is two more than its body
    "inv2543": Outcome("3.4.1", 400),  # no Content-Length: nobody can tell where it ends (RFC 3261 section 18.3)
}
"""Where a stream makes another outcome of it than a datagram."""
UNFINISHED = [name for name, outcome in OVER_STREAMS.items() if outcome.status == DROPPED]


def message(name: str) -> bytes:
    return (MESSAGES / f"{name}.dat").read_bytes()
