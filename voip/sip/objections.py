"""What a request must be like to be served, whatever its source (RFC 3261 section 8.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voip.sip.address import Address
from voip.sip.dialog import is_secure
from voip.sip.message import Request
from voip.sip.methods import EXTENSIONS, METHODS, SDP, is_served, refusal_of
from voip.sip.session_timer import MIN_SE, too_short
from voip.sip.uri import SipUri

NEGOTIATING = ("INVITE", "UPDATE")
"""Methods that a session timer goes with (RFC 4028)."""
CHECKED_BY_THE_CALL = ("INFO",)
"""Methods whose body comes last: a package is refused before it (RFC 6086 section 4.2.2: 469)."""


class Refusal(NamedTuple):
    """Status and header fields of the response, and in a few words, for the user, why."""

    status: int
    fields: Sequence[tuple[str, str]] = ()
    why: str = ""


def objection(request: Request, source: Address) -> Refusal | None:
    """What the standard has against this request, in the order of section 8.2; None if it is good."""
    if not is_served(request.method):
        return Refusal(refusal_of(request.method))
    if not isinstance(request.uri, SipUri) or (is_secure(request.uri) and source.protocol != "tls"):
        return Refusal(416)
    unsupported = [tag for tag in request.headers.get_all("Require") if tag.lower() not in EXTENSIONS]
    if unsupported:
        tags = ", ".join(unsupported)
        return Refusal(420, [("Unsupported", tags)], f"requires {tags}")
    if request.method in NEGOTIATING and too_short(request):
        return Refusal(422, [("Min-SE", str(MIN_SE))])
    refusal = _objection_to_body(request)
    if refusal is None and request.method == "INVITE":
        return _objection_to_accept(request) or _objection_to_contact(request)
    return refusal


def _objection_to_body(request: Request) -> Refusal | None:
    if not request.body or not METHODS[request.method].bodies or request.method in CHECKED_BY_THE_CALL:
        return None
    encodings = [encoding.lower() for encoding in request.headers.get_all("Content-Encoding")]
    if any(encoding != "identity" for encoding in encodings):
        return Refusal(415, [("Accept-Encoding", "identity")], f"body is encoded: {', '.join(encodings)}")
    bodies = METHODS[request.method].bodies
    if request.content_type not in bodies:
        return Refusal(415, [("Accept", ", ".join(bodies))], f"body is {request.content_type or 'of no type'}")
    return None


def _objection_to_accept(request: Request) -> Refusal | None:
    """A caller that accepts some bodies, but no session description, cannot get an answer (21.4.7)."""
    accepted = [value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")]
    if accepted and not any(kind in (SDP, "application/*", "*/*") for kind in accepted):
        return Refusal(406, why="accepts no session description")
    return None


def _objection_to_contact(request: Request) -> Refusal | None:
    """A dialog needs one place to send requests to (8.1.1.8). RFC 2543 asked for none, and its callers had no tags."""
    contacts = request.contacts
    if not contacts and request.from_.tag is None and isinstance(request.from_.uri, SipUri):
        return None
    if len(contacts) != 1 or not isinstance(contacts[0].uri, SipUri):
        return Refusal(400, why="not one Contact that can be called")
    return None
