"""The live calls. The table is made before the user agent, which asks it whether a call may be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from voip.calls.call import Call
from voip.sip import Address, NameAddr

ABANDONED_AFTER = 0.5
"""Seconds since its last packet after which a call makes room for a new one of the same caller and host."""
UNHEARD_AFTER = 2.0
"""The same for a call from which no packet has come: its caller may have given up before our 200 arrived."""


class CallTable:
    """The live calls, by Call-ID: dialled, ringing, up, or being played to their end. Network thread only, but `len`.

    `now` is the clock of the calls' moments.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        """Over the calls that are there now: they may come and go meanwhile."""
        return iter(tuple(self._calls.values()))

    def __contains__(self, call: Call) -> bool:
        return self._calls.get(call.call_id) is call

    def get(self, call_id: str) -> Call | None:
        """The call of this Call-ID."""
        return self._calls.get(call_id)

    def add(self, call: Call) -> None:
        """A call begins."""
        self._calls[call.call_id] = call

    def remove(self, call: Call) -> None:
        """A call is over."""
        self._calls.pop(call.call_id, None)

    def hears(self, call_id: str) -> bool:
        """Whether a packet has come from the peer of this call."""
        call = self._calls.get(call_id)
        return call is not None and call.last_heard is not None

    def is_abandoned(self, call_id: str, source: Address, caller: NameAddr) -> bool:
        """Whether a new call of the same caller shows that this one's sender was restarted without a BYE."""
        call = self._calls.get(call_id)
        if call is None or call.established is None:
            return False
        heard = call.last_heard
        silent = self._now() - (call.established if heard is None else heard)
        same = source.host == call.remote_host and getattr(caller.uri, "user", None) == call.caller_user
        receives = any(line.media.direction.receives for line in call.lines)
        return same and receives and silent > (UNHEARD_AFTER if heard is None else ABANDONED_AFTER)
