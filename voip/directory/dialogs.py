"""The calls that go through the proxy, as far as it can see them: from a 2xx to an INVITE to the BYE (RFC 3261
section 12). It needs them for nothing but to keep their connections open, and to say who is in a call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from voip.directory.registrar import name_of
from voip.directory.response_context import ResponseContext
from voip.sip.address import Address
from voip.sip.message import Request, Response

MAX_DIALOGS = 4096
"""That are remembered, the newest."""
MAX_AGE = 12 * 3600.0
"""Seconds after which a call is taken for over: its BYE went another way, or nobody sent one."""

Key = tuple[str, frozenset[str]]
"""Call-ID, and the tags of both sides."""


@dataclass(frozen=True)
class Dialog:
    """A call of two: names (as the location service knows them) and addresses of caller and callee."""

    since: float
    caller: str
    callee: str
    sides: tuple[Address, Address]


class Dialogs:
    """All of them, the oldest first."""

    def __init__(self) -> None:
        self._dialogs: dict[Key, Dialog] = {}
        self._addresses: Counter[Address] = Counter()
        self._names: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._dialogs)

    def note_accepted(self, context: ResponseContext, response: Response, address: Address, now: float) -> None:
        """A 2xx goes back to the sender of a request."""
        request = context.transaction.request
        key = _key(response)
        if request.method != "INVITE" or request.to.tag or key in self._dialogs:
            return
        sides = context.transaction.source, address
        self._add(key, Dialog(now, name_of(request.from_.uri), name_of(request.uri), sides))
        while len(self._dialogs) > MAX_DIALOGS:
            self._remove(next(iter(self._dialogs)))

    def note_bye(self, request: Request) -> None:
        """A BYE passes."""
        self._remove(_key(request))

    def purge(self, now: float) -> None:
        """Forget those that are too old."""
        for key in [key for key, dialog in self._dialogs.items() if now - dialog.since > MAX_AGE]:
            self._remove(key)

    def is_on(self, address: Address) -> bool:
        """Whether a call goes over this address."""
        return address in self._addresses

    def is_in_call(self, name: str) -> bool:
        """Whether somebody of this name is in a call."""
        return name.casefold() in self._names

    def _add(self, key: Key, dialog: Dialog) -> None:
        self._dialogs[key] = dialog
        self._addresses.update(dialog.sides)
        self._names.update((dialog.caller, dialog.callee))

    def _remove(self, key: Key) -> None:
        dialog = self._dialogs.pop(key, None)
        if dialog is None:
            return
        for address in dialog.sides:
            self._addresses[address] -= 1
            if self._addresses[address] <= 0:
                del self._addresses[address]
        for name in (dialog.caller, dialog.callee):
            self._names[name] -= 1
            if self._names[name] <= 0:
                del self._names[name]


def _key(message: Request | Response) -> Key:
    return message.call_id, frozenset((message.from_.tag or "", message.to.tag or ""))
