"""Session descriptions (RFC 8866) and their offer/answer negotiation (RFC 3264).

media          what a call's media is: Capabilities and Endpoint go in, NegotiatedMedia comes out
asides         telephone events and comfort noise
description    bytes to SessionDescription and back
fec            the formats of each scheme in a media line
negotiation    offer, answer, and what both make of the media
plain          the same without signalling
"""

from voip.sdp.description import MediaDescription, SessionDescription
from voip.sdp.media import MAX_PAYLOAD, Capabilities, Direction, Endpoint, NegotiatedMedia, effective_ptime
from voip.sdp.negotiation import accept_answer, make_answer, make_offer

__all__ = [
    "MAX_PAYLOAD",
    "Capabilities",
    "Direction",
    "Endpoint",
    "MediaDescription",
    "NegotiatedMedia",
    "SessionDescription",
    "accept_answer",
    "effective_ptime",
    "make_answer",
    "make_offer",
]
