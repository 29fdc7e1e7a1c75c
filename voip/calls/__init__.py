"""Calls: where signalling meets media. Handlers of the user agent's events, all run on the network thread.

A call begins with an INVITE (ours or the peer's), gets a line of media when offer and answer agree (RFC 3264), and ends
by BYE, rejection or media time-out. What other threads may know of it is in `CallManager.records`, a tuple of frozen
values that is replaced whole. When the program ends is not decided here: see `CallPolicy`.

manager         CallManager: dials, answers, hangs up
answering       Answering: calls that ring, until a person has said what is to become of them
call            Call: one call from its first message to the end of its sound
table           CallTable: the live calls
negotiation     Negotiation: offers and answers of one call, as bytes
renegotiation   Renegotiation: offers and answers in calls that are up
call_media      CallMedia: the ports and lines of calls
early_media     EarlyMedia: what comes before a call is answered
line            MediaLine: port, RTP session and streams of one medium
streams         ReceiveStream and SendStream: the two directions of a line; AudioStreams makes them
plain           PlainStreams: media without signalling
bare            BareCalls, BareAnswers: the signalling of a dialect, for such streams
rota            Rounds, Statistics: each call is looked at, and told of, when its turn has come
watch           CallWatch: silence is asked about, media time-out
liveness        Liveness: whether the peer of one call is still there
retry           Retries: when a target whose call was lost is called again
warnings        CallWarnings: what goes wrong, said while the call runs
diagnosis       how that is found out, from figures alone
records         Records: what is told of the calls
address_change  AddressChange: what peers are told when our address is another one
keys            TelephoneKeys: DTMF that is sent while a call is up
local_address   LocalAddress: our address on the route to one peer
account         Account: what calls come in for, registered
outcome         Outcome: what the end of a call means to whoever started the program
"""

from voip.calls.answering import Answering
from voip.calls.call import Answer, Call, CallSettings, CallTerms
from voip.calls.line import MediaLine
from voip.calls.manager import CallManager, CallPolicy
from voip.calls.outcome import Outcome
from voip.calls.plain import PlainSource
from voip.calls.retry import Retries, RetryRule
from voip.calls.streams import AudioStreams, MediaStream, ReceiveStream, SendSettings, SendStream
from voip.calls.table import CallTable

__all__ = [
    "Answer",
    "Answering",
    "AudioStreams",
    "Call",
    "CallManager",
    "CallPolicy",
    "CallSettings",
    "CallTable",
    "CallTerms",
    "MediaLine",
    "MediaStream",
    "Outcome",
    "PlainSource",
    "ReceiveStream",
    "Retries",
    "RetryRule",
    "SendSettings",
    "SendStream",
]
