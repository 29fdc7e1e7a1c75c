"""What the user agent tells its owner: frozen values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from voip.sip.address import Address
from voip.sip.uri import NameAddr, SipUri


@dataclass(frozen=True)
class IncomingCall:
    """A call comes in: reply with `accept` or `reject`. An empty `offer` means that `accept` carries ours."""

    call_id: str
    caller: NameAddr
    source: Address
    offer: bytes


@dataclass(frozen=True)
class ResolveUri:
    """A name has to be resolved (RFC 3263): reply with `resolved`, with an empty list where nothing is found."""

    uri: SipUri


@dataclass(frozen=True)
class OfferWanted:
    """A call made without an offer goes to `remote` next: reply with `offer`, or `hang_up`."""

    call_id: str
    remote: Address


@dataclass(frozen=True)
class CallRinging:
    """The callee has been reached and is being alerted (a provisional response above 100)."""

    call_id: str
    status: int
    reason: str


@dataclass(frozen=True)
class EarlyAnswer:
    """A provisional response to our INVITE has a session description: media may come before the call is answered."""

    call_id: str
    answer: bytes


@dataclass(frozen=True)
class CallAnswered:
    """Our call was taken; the ACK is in the outbox already.

    `answer` is of the 2xx or of a response before; empty if an offer of the callee's was accepted since (CallOffered).
    """

    call_id: str
    answer: bytes
    remote: Address


@dataclass(frozen=True)
class CallEstablished:
    """The caller has acknowledged our 2xx; `answer` is the body of its ACK where ours was the offer, else empty."""

    call_id: str
    answer: bytes


@dataclass(frozen=True)
class CallOffered:
    """The peer wants to change the session, perhaps before it answers our call (re-INVITE, UPDATE): reply with `accept`
    or `reject`. Empty: `accept` offers."""

    call_id: str
    offer: bytes


@dataclass(frozen=True)
class CallReanswered:
    """The peer's answer to an offer of ours within the call."""

    call_id: str
    answer: bytes


@dataclass(frozen=True)
class DigitPressed:
    """The peer has pressed a key of its telephone, and said so in an INFO: "0" to "9", "*", "#" or "A" to "D"."""

    call_id: str
    digit: str


@dataclass(frozen=True)
class TextReceived:
    """The peer of a call, or, with an empty `call_id`, another user agent has sent a text (MESSAGE). It is as they
    wrote it, and may hold anything: nothing in it is to be acted on. `expires_at`: until when it is worth showing, in
    seconds since 1970 by the sender's clock; None where that is not said."""

    call_id: str
    sender: NameAddr
    source: Address
    text: str
    expires_at: float | None = None


@dataclass(frozen=True)
class TextSent:
    """What became of a text of ours, reported once for each: `status` is that of the final response, None where none
    came; `reason` its phrase, or what kept the text from being sent. `text_id` is what sending it has returned."""

    text_id: str
    call_id: str
    status: int | None
    reason: str

    @property
    def delivered(self) -> bool:
        """Whether the other side has taken it; with 202 it is with a server that passes it on later."""
        return self.status is not None and self.status < 300


@dataclass(frozen=True)
class CallEnded:
    """The call is over; reported exactly once for each call.

    `reason`: "local-bye", "remote-bye", "rejected", "no-answer", "cancelled", "no-ack", "redirect-loop", "timeout" or
    "network". `status` and `phrase` are those of the response that decided, where there was one; for "no-answer"
    without any response `phrase` says what was tried.
    """

    call_id: str
    reason: str
    status: int | None
    phrase: str


@dataclass(frozen=True)
class PeerAlive:
    """The peer has responded to a `ping`."""

    call_id: str


@dataclass(frozen=True)
class Registered:
    """The registrar knows `contact` as a place where `account` is, for `expires` seconds; reported at each refresh."""

    account: str
    expires: int
    contact: str


@dataclass(frozen=True)
class RegistrationFailed:
    """The registrar refused (`status`) or did not respond (None); the next try follows in `retry` seconds."""

    account: str
    status: int | None
    reason: str
    retry: float


@dataclass(frozen=True)
class RequestRefused:
    """Information: a request from `source` was refused with `status`, or (re-INVITE) `source` refused one of ours.

    `caller` is the URI of its From, "" where there is none to read or the request was ours; `reason` is a few words for
    people. What the owner itself has refused with `reject` is not reported: CallEnded says it. A caller without a
    password is only asked for one: reported is a wrong one (401).
    """

    source: Address
    method: str
    status: int
    caller: str = ""
    reason: str = ""


@dataclass(frozen=True)
class MessageUnreadable:
    """Information: a message that begins with `start` cannot be read and was dropped. `expected`: it seems to be the
    response to a request of ours, which now may get none. `not_sip`: it came from where a request of ours awaits its
    response, and nothing in it is SIP.

    Not every one is reported: AgentStats.malformed counts them.
    """

    source: Address
    start: str
    reason: str
    expected: bool
    not_sip: bool = False


@dataclass(frozen=True)
class RequestEchoed:
    """Information: what we sent to `source` came back unchanged, which no SIP program does; it was dropped.

    Not every one is reported: AgentStats.ignored counts them.
    """

    source: Address
    start: str


@dataclass(frozen=True)
class FieldsPassedOver:
    """Information: what was malformed in a message that begins with `start`, and was not needed."""

    source: Address
    start: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class AgentStats:
    """What a user agent has ignored. `malformed`: datagrams that are not SIP messages; `ignored`: messages that
    belong to nothing, as stray responses and ACKs; `limited`: requests left without a response because there were too
    many, the password was wrong too often, they came from a scanner, or the response would have been longer than the
    request of an address that nothing proves; `passed_over`: fields and parts of fields that
    were malformed and not needed."""

    malformed: int
    ignored: int
    limited: int
    passed_over: int = 0


Event = (
    IncomingCall
    | ResolveUri
    | OfferWanted
    | CallRinging
    | EarlyAnswer
    | CallAnswered
    | CallEstablished
    | CallOffered
    | CallReanswered
    | DigitPressed
    | TextReceived
    | TextSent
    | CallEnded
    | PeerAlive
    | Registered
    | RegistrationFailed
    | RequestRefused
    | MessageUnreadable
    | RequestEchoed
    | FieldsPassedOver
)
