"""What a request must be like to be served, whatever its source (RFC 3261 section 8.2)."""

from __future__ import annotations

from voip.sip.address import Address
from voip.sip.bodies import objection_to_body
from voip.sip.dialog import contact_of, is_secure
from voip.sip.message import Request
from voip.sip.methods import EXTENSIONS, METHODS, SDP, Refusal, is_served, refusal_of
from voip.sip.session_timer import MIN_SE, too_short
from voip.sip.text_message import objection_to_text
from voip.sip.uri import SipUri

NEGOTIATING = ("INVITE", "UPDATE")
"""Methods that a session timer goes with (RFC 4028)."""


def objection(request: Request, source: Address) -> Refusal | None:
    """What the standard has against this request, in the order of section 8.2; None if it is good."""
    if not is_served(request.method):
        return Refusal(refusal_of(request.method))
    if not isinstance(request.uri, SipUri) or (is_secure(request.uri) and source.protocol != "tls"):
        return Refusal(416)
    unsupported = [tag for tag in request.headers.get_all("Require") if tag and tag.lower() not in EXTENSIONS]
    if unsupported:
        tags = ", ".join(unsupported)
        return Refusal(420, [("Unsupported", tags)], f"requires {tags}")
    if request.method in NEGOTIATING and too_short(request):
        return Refusal(422, [("Min-SE", str(MIN_SE))])
    if request.method == "MESSAGE":
        return objection_to_text(request)
    refusal = objection_to_body(request) if SDP in METHODS[request.method].bodies else None
    if refusal is None and request.method == "INVITE":
        return _objection_to_accept(request) or _objection_to_contact(request)
    return refusal


def _objection_to_accept(request: Request) -> Refusal | None:
    """A caller that accepts some bodies, but no session description, cannot get an answer (21.4.7)."""
    accepted = [value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")]
    if accepted and not any(kind in (SDP, "application/*", "*/*") for kind in accepted):
        return Refusal(406, why="accepts no session description")
    return None


def _objection_to_contact(request: Request) -> Refusal | None:
    """A dialog needs a place to send requests to (8.1.1.8); one that is there has it, so that a Contact is only missed
    at its beginning. RFC 2543 asked for none, and its callers had no tags."""
    old = not request.contacts and request.from_.tag is None and isinstance(request.from_.uri, SipUri)
    if request.to.tag or old or contact_of(request) is not None:
        return None
    return Refusal(400, why="no Contact that can be called")
