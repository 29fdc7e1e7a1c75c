"""SIP (RFC 3261, 3581, 6026): calls made and answered by a `UserAgent` that does no I/O and has no clock.

bytes          message (and grammar, uri, headers beneath it), address, framing (messages out of streams), auth (digest)
proof          digest_client (ours, to servers that the user named), verifier (what callers have to show)
state          timers, transaction (section 17), dialog (section 12), core (what calls share)
places         lookup (RFC 3263: from names to addresses), resolver (which of them are known, and who waits)
calls          call (dialog, BYE), answers (2xx until ACK), offers (re-INVITE, UPDATE), session_timer,
               reliable (provisional responses), uac (calling), uas (answering)
               registration (section 10), keepalive (for peers that reach us through a NAT)
               agent (sorts what arrives), limits (what strangers may ask), events (what the owner is told)
"""

from __future__ import annotations

from voip.sip.address import Address
from voip.sip.agent import UserAgent
from voip.sip.auth import Credentials
from voip.sip.events import (
    AgentStats,
    CallAnswered,
    CallEnded,
    CallEstablished,
    CallOffered,
    CallReanswered,
    CallRinging,
    DigitPressed,
    Event,
    IncomingCall,
    OfferWanted,
    PeerAlive,
    Registered,
    RegistrationFailed,
    RequestRefused,
    ResolveUri,
)
from voip.sip.message import NameAddr, Request, Response, SipMessage, SipUri, parse_message, parse_target

__all__ = [
    "Address",
    "AgentStats",
    "CallAnswered",
    "CallEnded",
    "CallEstablished",
    "CallOffered",
    "CallReanswered",
    "CallRinging",
    "Credentials",
    "DigitPressed",
    "Event",
    "IncomingCall",
    "NameAddr",
    "OfferWanted",
    "PeerAlive",
    "Registered",
    "RegistrationFailed",
    "Request",
    "RequestRefused",
    "ResolveUri",
    "Response",
    "SipMessage",
    "SipUri",
    "UserAgent",
    "parse_message",
    "parse_target",
]
