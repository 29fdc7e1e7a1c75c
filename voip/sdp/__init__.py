"""Session descriptions (RFC 8866) and their offer/answer negotiation (RFC 3264).

media          what goes in: Capabilities and Endpoint; out comes a voip.media.NegotiatedMedia
events         telephone events and comfort noise
description    bytes to SessionDescription and back
fec            the formats of each scheme in a media line
payload_types  what the numbers of a session mean
bandwidth      what a peer wants to receive at most
reports        which extended reports a peer asks for
plays          whether what is received is played
crypto         keys in the description, a=crypto
dtls           certificates and roles of DTLS in a description
ice            credentials and candidates of ICE
security       whether and how a line is encrypted
negotiation    offer, answer, and what both make of the media
plain          the same without signalling
"""

from voip.sdp.crypto import OwnKeys
from voip.sdp.description import MediaDescription, SessionDescription
from voip.sdp.dtls import OwnDtls
from voip.sdp.ice import OwnIce
from voip.sdp.media import MAX_PAYLOAD, Capabilities, Endpoint, SrtpRule, effective_ptime
from voip.sdp.negotiation import accept_answer, make_answer, make_offer
from voip.sdp.payload_types import PayloadTypes

__all__ = [
    "MAX_PAYLOAD",
    "Capabilities",
    "Endpoint",
    "MediaDescription",
    "OwnDtls",
    "OwnIce",
    "OwnKeys",
    "PayloadTypes",
    "SessionDescription",
    "SrtpRule",
    "accept_answer",
    "effective_ptime",
    "make_answer",
    "make_offer",
]
