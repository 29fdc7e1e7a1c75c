"""SIP (RFC 3261, 3581, 6026): calls made and answered by a `UserAgent` that does no I/O and has no clock.

bytes          grammar, uri, headers, message, bodies; framing (messages out of streams), address
tables         methods (where each is allowed), call_state (what is allowed in each state of a call, what moves it)
digest         auth (texts and hashes), digest_client (our credentials), digest_server (those of callers)
places         locate (RFC 3263: from names to addresses), resolver (which are known, and what waits for them)
transactions   timers, transaction (section 17), dialog (section 12)
shared         identity (our URIs, Contact, Via), core (what all calls need)
calls          call (what it is made of, a handler for each method), leg (state, dialog, ending), negotiation (offers),
               session_timer, acks (2xx until ACK), reliable (provisional responses), ping, uac (calling), uas (called)
texts          text_message (RFC 3428: what is taken, and once), text_sending (ours, in a call and outside)
registration   registration (section 10), pauses (between tries), keepalive (for remotes that reach us through a NAT)
user agent     agent (the face), dispatch (sorts what arrives), objections (what a request must be like),
               guard and limits (what unvalidated sources may ask), events (what the owner gets)

The list goes from the bottom to the top; the longest chain of imports has 11 modules.
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
    EarlyAnswer,
    Event,
    FieldsPassedOver,
    IncomingCall,
    MessageUnreadable,
    OfferWanted,
    PeerAlive,
    Registered,
    RegistrationFailed,
    RequestEchoed,
    RequestRefused,
    ResolveUri,
    TextReceived,
    TextSent,
)
from voip.sip.message import NameAddr, Request, Response, SipMessage, SipUri, parse_message, parse_target
from voip.sip.pauses import TRY_TIMEOUT, Pauses

__all__ = [
    "TRY_TIMEOUT",
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
    "EarlyAnswer",
    "Event",
    "FieldsPassedOver",
    "IncomingCall",
    "MessageUnreadable",
    "NameAddr",
    "OfferWanted",
    "Pauses",
    "PeerAlive",
    "Registered",
    "RegistrationFailed",
    "Request",
    "RequestEchoed",
    "RequestRefused",
    "ResolveUri",
    "Response",
    "SipMessage",
    "SipUri",
    "TextReceived",
    "TextSent",
    "UserAgent",
    "parse_message",
    "parse_target",
]
