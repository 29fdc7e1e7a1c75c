"""Calls: where signalling meets media. Handlers of the user agent's events, all run on the network thread.

A call begins with an INVITE (ours in `Caller`, the peer's in `Answerer`), gets a media port and an `RtpSession` when
offer and answer agree (RFC 3264), and ends by BYE, rejection or media time-out. What the main thread may know of it
is in `records`, a tuple of frozen values that is replaced whole.

keeper      CallKeeper: what both sides have in common
answerer    Answerer, the receiver's side
caller      Caller, the sender's side
streams     Hearing and Speaking, the two directions of a call's media
registering the account that calls come in for
moving      what a peer is told when our address is another
ending      what the end of a call means to whoever started the program
"""

from voip.calls.answerer import Answerer, PlainSource
from voip.calls.caller import Caller
from voip.calls.keeper import Call, CallKeeper, CallSettings
from voip.calls.streams import Hearing, Speaking

__all__ = ["Answerer", "Call", "CallKeeper", "CallSettings", "Caller", "Hearing", "PlainSource", "Speaking"]
