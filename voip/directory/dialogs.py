"""The calls that go through the proxy, as far as it can see them: from an INVITE by its responses to the BYE (RFC 3261
sections 12 and 16), and what ends one of which no BYE comes by: that it is unknown to one side (481), or that its
session timer has run down (RFC 4028 section 8).

The proxy needs them to keep their connections open; `on_call` is told of them, so that it is known who is in a call.
What it is told of dialogs is what `restore` needs after a restart, since calls go on without the directory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from voip.directory.calls import CALLING, ENDED, INCALL, RINGING, UNKNOWN, LastingDialog
from voip.directory.response_context import ResponseContext
from voip.sip.address import Address
from voip.sip.message import Request, Response
from voip.sip.session_timer import MIN_SE

MAX_DIALOGS = 4096
"""That are remembered, the newest."""
MAX_AGE = 12 * 3600.0
"""Seconds after which a call without a session timer is taken for over: its BYE went another way, or nobody sent
one."""
MAX_DIGITS = 10
ASKED_AGAIN = (401, 407, 422, 494)
"""Responses after which the same call is tried again (RFC 3261 section 22, 4028 section 7.4, 3329 section 2.3.1)."""
UNKNOWN_THERE = (408, 481)
"""Responses within a dialog after which it is over (12.2.1.2)."""

Key = tuple[str, frozenset[str]]
"""Call-ID, and the tags of both sides."""


class Followed(NamedTuple):
    """A call of two. `caller` and `callee` are names as the location service knows them, "" for whom it does not;
    `state` is that of a call of the API: calling, ringing, incall, ended, or, after a restart, unknown. `dialogs` are
    those that were answered."""

    call_id: str
    state: str
    caller: str
    callee: str
    caller_address: str
    callee_address: str
    dialogs: tuple[LastingDialog, ...] = ()


OnCall = Callable[[Followed], object]
Counted = TypeVar("Counted")


@dataclass(frozen=True)
class Dialog:
    """A call that was answered: until when it lasts unless it is refreshed, and the addresses of both sides, none as
    long as nothing has come by since a restart."""

    until: float
    sides: tuple[Address, ...] = ()


@dataclass
class _Followed:
    """What is under one Call-ID: INVITEs that are not answered, by the tag of their From, and dialogs. A caller may use
    it again, and forks have several."""

    told: Followed
    pending: set[str] = field(default_factory=set)
    dialogs: set[Key] = field(default_factory=set)


class Dialogs:
    """All of them, the oldest first."""

    def __init__(self, on_call: OnCall = lambda call: None) -> None:
        self._on_call = on_call
        self._calls: dict[str, _Followed] = {}
        self._dialogs: dict[Key, Dialog] = {}
        self._addresses: Counter[Address] = Counter()
        self._names: Counter[str] = Counter()

    def __len__(self) -> int:
        """Those that were answered."""
        return len(self._dialogs)

    def restore(self, told: Followed) -> None:
        """A call of before a restart: whether it goes on is unknown until a request within it comes by."""
        call = self._calls.get(told.call_id)
        if call is None:  # else a Call-ID was used again
            call = self._calls[told.call_id] = _Followed(told._replace(state=UNKNOWN))
            self._names.update(_names(call))
        for each in told.dialogs:
            key = (told.call_id, frozenset(each.tags))
            self._dialogs[key] = Dialog(each.until)
            call.dialogs.add(key)

    # --- what passes --------------------------------------------------------------------------------------------------

    def note_invite(self, request: Request, caller: str, callee: str) -> None:
        """An INVITE outside of dialogs was sent on; the names of both, "" for whom the directory does not know."""
        call = self._calls.get(request.call_id)
        if call is None:
            told = Followed(request.call_id, CALLING, caller, callee, str(request.from_.uri), str(request.uri))
            call = self._calls[request.call_id] = _Followed(told)
            self._on_call(told)
        call.pending.add(request.from_.tag or "")

    def note_response(self, context: ResponseContext, response: Response, address: Address | None, now: float) -> None:
        """A response goes back to the sender of a request; `address` is where it came from, None: it is our own."""
        request = context.transaction.request
        if request.to.tag:
            self._note_within(context, response, address, now)
        elif request.method == "INVITE":
            self._note_of_invite(context, response, address, now)

    def note_bye(self, request: Request) -> None:
        """A BYE passes."""
        self._remove(_key(request))

    def _note_of_invite(
        self, context: ResponseContext, response: Response, address: Address | None, now: float
    ) -> None:
        call, tag = self._calls.get(response.call_id), response.from_.tag or ""
        if call is None:
            return
        if response.status < 200:
            if call.told.state == CALLING:
                self._tell(call, RINGING)
        elif response.status < 300:
            key = _key(response)
            call.pending.discard(tag)
            if address is not None and key not in self._dialogs:
                self._add(key, Dialog(now + _interval(response), (context.transaction.source, address)), call)
        else:
            call.pending.discard(tag)
            if response.status in ASKED_AGAIN and not call.pending and not call.dialogs:
                del self._calls[response.call_id]  # it is about to come again
            else:
                self._end_if_empty(response.call_id)

    def _note_within(self, context: ResponseContext, response: Response, address: Address | None, now: float) -> None:
        request = context.transaction.request
        key = _key(request)
        dialog = self._dialogs.get(key)
        if dialog is None:
            return
        if response.status in UNKNOWN_THERE:
            self._remove(key)
        elif 200 <= response.status < 300:
            if request.method in ("INVITE", "UPDATE"):
                dialog = replace(dialog, until=now + _interval(response))
            if not dialog.sides and address is not None:
                dialog = replace(dialog, sides=(context.transaction.source, address))
                self._addresses.update(dialog.sides)
            self._dialogs[key] = dialog
            self._tell(self._calls[key[0]], INCALL)

    # --- time ---------------------------------------------------------------------------------------------------------

    def purge(self, now: float) -> None:
        """Forget those whose time is over."""
        for key in [key for key, dialog in self._dialogs.items() if now >= dialog.until]:
            self._remove(key)

    # --- questions ----------------------------------------------------------------------------------------------------

    def is_on(self, address: Address) -> bool:
        """Whether a call goes over this address."""
        return address in self._addresses

    def is_in_call(self, name: str) -> bool:
        """Whether somebody of this name is in a call."""
        return name.casefold() in self._names

    # --- all of them --------------------------------------------------------------------------------------------------

    def _add(self, key: Key, dialog: Dialog, call: _Followed) -> None:
        self._dialogs[key] = dialog
        self._addresses.update(dialog.sides)
        if not call.dialogs:
            self._names.update(_names(call))
        call.dialogs.add(key)
        self._tell(call, INCALL)
        while len(self._dialogs) > MAX_DIALOGS:
            self._remove(next(iter(self._dialogs)))

    def _remove(self, key: Key) -> None:
        dialog = self._dialogs.pop(key, None)
        if dialog is None:
            return
        _count_down(self._addresses, dialog.sides)
        call = self._calls[key[0]]
        call.dialogs.discard(key)
        if not call.dialogs:
            _count_down(self._names, _names(call))
        self._end_if_empty(key[0])

    def _end_if_empty(self, call_id: str) -> None:
        call = self._calls[call_id]
        if not call.pending and not call.dialogs:
            del self._calls[call_id]
            self._tell(call, ENDED)
        else:
            self._tell(call, call.told.state)

    def _tell(self, call: _Followed, state: str) -> None:
        dialogs = sorted(LastingDialog(tuple(sorted(key[1])), self._dialogs[key].until) for key in call.dialogs)
        told = call.told._replace(state=state, dialogs=tuple(dialogs))
        if call.told != told:
            call.told = told
            self._on_call(told)


def _names(call: _Followed) -> list[str]:
    return [name for name in (call.told.caller, call.told.callee) if name]


def _count_down(counter: Counter[Counted], values: Iterable[Counted]) -> None:
    for value in values:
        counter[value] -= 1
        if counter[value] <= 0:
            del counter[value]


def _interval(response: Response) -> float:
    """Seconds that a call lasts from this 2xx on, unless another one comes (RFC 4028 section 4)."""
    text = (response.headers.get("Session-Expires") or "").partition(";")[0].strip()
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        return MAX_AGE
    return min(max(float(text), MIN_SE), MAX_AGE)


def _key(message: Request | Response) -> Key:
    return message.call_id, frozenset((message.from_.tag or "", message.to.tag or ""))
