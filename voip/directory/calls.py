"""A call as the directory sees it, and what may become of it when.

Frozen: whoever has one may read it on any thread, and `Calls`, on the network thread, has the newest of each.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from voip.directory.refusals import Unknown, WrongState

CALLING, RINGING, INCALL, ONHOLD, ENDED = "calling", "ringing", "incall", "onhold", "ended"
UNKNOWN = "unknown"
"""It was answered before the directory was restarted, and nothing has been heard of it since."""
RING, ACCEPT, REJECT, HOLD, RESUME, END = "ring", "accept", "reject", "hold", "resume", "end"
FORGET, SEE = "forget", "see"
"""What makes a call unknown, and what ends that."""
SINCE_RESTART = "since the directory was restarted"
"""The reason of a call that is unknown, for people."""

STATES: Mapping[str, Mapping[str, str]] = {
    CALLING: {RING: RINGING, ACCEPT: INCALL, REJECT: ENDED, END: ENDED},
    RINGING: {ACCEPT: INCALL, REJECT: ENDED, END: ENDED},
    INCALL: {HOLD: ONHOLD, END: ENDED, FORGET: UNKNOWN},
    ONHOLD: {RESUME: INCALL, END: ENDED, FORGET: UNKNOWN},
    UNKNOWN: {SEE: INCALL, HOLD: ONHOLD, END: ENDED},
    ENDED: {},
}
"""What each state becomes by what happens; nothing else may happen in it."""
MOST_ENDED = 10_000
"""Calls that are over and still told of; the database keeps all."""
MOST_CANDIDATES = 64
"""Of one side of a call."""

NO_CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class LastingDialog(NamedTuple):
    """A dialog of a call through the proxy, which outlives the directory (RFC 3261 section 12): the tags of both sides,
    sorted, and when it is over unless it is refreshed, in seconds of the clock of whoever has it."""

    tags: tuple[str, ...]
    until: float


@dataclass(frozen=True)
class Call:
    """One call. `caller_id` or `callee_id` is "" where that side is no user whose program is linked; then `peer` is its
    address. `sip_call_id`: the Call-ID, "" before that is known, or for good, if no SIP is under it. `offer`, `answer`
    and `candidates` (by the id of who sent them) are what the two tell each other over the API, unread by us.
    `dialogs`, by Unix time, are those of a call that goes through the proxy.

    `began`, `answered` and `ended` are Unix time in seconds, 0: not yet.
    """

    id: str
    caller_id: str
    callee_id: str
    status: str = CALLING
    peer: str = ""
    sip_call_id: str = ""
    began: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    reason: str = ""
    offer: str | None = None
    answer: str | None = None
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_CANDIDATES)
    dialogs: tuple[LastingDialog, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status == ENDED

    @property
    def is_pending(self) -> bool:
        """Whether it has not been answered yet."""
        return self.status in (CALLING, RINGING)

    def allows(self, event: str) -> bool:
        """Whether that may happen now."""
        return event in STATES[self.status]

    def after(self, event: str, moment: float, reason: str = "") -> Call:
        """The call once this has happened, at that Unix time. WrongState."""
        status = STATES[self.status].get(event)
        if status is None:
            raise WrongState(f"the call is {self.status}: {event} is not possible")
        if status == ENDED:  # what the two told each other is nobody's business any more
            over = replace(self, status=status, ended=moment, reason=reason)
            return replace(over, offer=None, answer=None, candidates=NO_CANDIDATES, dialogs=())
        reason = SINCE_RESTART if status == UNKNOWN else ""
        return replace(self, status=status, answered=moment if event == ACCEPT else self.answered, reason=reason)

    def is_of(self, user_id: str) -> bool:
        """Whether the user is one of its two."""
        return bool(user_id) and user_id in (self.caller_id, self.callee_id)

    def with_candidate(self, user_id: str, candidate: str) -> Call:
        """The call with one more candidate of that user. WrongState for one too many."""
        known = self.candidates.get(user_id, ())
        if len(known) >= MOST_CANDIDATES:
            raise WrongState(f"a side of a call has {MOST_CANDIDATES} candidates at most")
        return replace(self, candidates=MappingProxyType({**self.candidates, user_id: (*known, candidate)}))


class Calls:
    """All calls that are up, and the last that have ended, by id, by Call-ID and by user."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._by_sip: dict[str, str] = {}
        self._live: dict[str, dict[str, None]] = defaultdict(dict)
        self._alive: dict[str, None] = {}
        self._ended: deque[str] = deque()

    def __len__(self) -> int:
        """Those that are up."""
        return len(self._alive)

    def put(self, call: Call) -> None:
        """A new call, or the newest of a known one."""
        before = self._calls.get(call.id)
        self._calls[call.id] = call
        if call.sip_call_id:
            self._by_sip[call.sip_call_id] = call.id
        for user_id in (call.caller_id, call.callee_id):
            if user_id and not call.is_over:
                self._live[user_id][call.id] = None
        if not call.is_over:
            self._alive[call.id] = None
        elif before is None or not before.is_over:
            self._end(call)

    def get(self, call_id: str, user_id: str | None = None) -> Call:
        """The call of this id, as far as that user may know of it (None: whoever asks may). Unknown."""
        call = self._calls.get(call_id)
        if call is None or (user_id is not None and not call.is_of(user_id)):
            raise Unknown("Call not found")
        return call

    def by_sip(self, sip_call_id: str) -> Call | None:
        """The call of this Call-ID."""
        return self._calls.get(self._by_sip.get(sip_call_id, ""))

    def live(self, user_id: str) -> list[Call]:
        """The calls of a user that are not over, in the order in which they came."""
        return [self._calls[call_id] for call_id in self._live.get(user_id, ())]

    def all_live(self) -> list[Call]:
        """All that are not over, in the order in which they came."""
        return [self._calls[call_id] for call_id in self._alive]

    def newest(self, most: int) -> Iterator[Call]:
        """Those that are up, then those that have ended last."""
        live = reversed(self.all_live())
        ended = (self._calls[call_id] for call_id in reversed(self._ended))
        for _, call in zip(range(most), (each for group in (live, ended) for each in group), strict=False):
            yield call

    def _end(self, call: Call) -> None:
        self._alive.pop(call.id, None)
        for user_id in (call.caller_id, call.callee_id):
            self._live[user_id].pop(call.id, None)
            if not self._live[user_id]:
                del self._live[user_id]
        self._ended.append(call.id)
        while len(self._ended) > MOST_ENDED:
            oldest = self._calls.pop(self._ended.popleft())
            if self._by_sip.get(oldest.sip_call_id) == oldest.id:
                del self._by_sip[oldest.sip_call_id]
