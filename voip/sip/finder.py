"""Which addresses URIs mean, and who waits to be told: the user agent's side of RFC 3263.

A name is looked up by the owner of the user agent, outside: the event LookUp asks, `found` answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voip.sip.events import Address, Event, LookUp
from voip.sip.lookup import can_be_looked_up, literal_address, target_of
from voip.sip.message import SipUri
from voip.sip.timers import Timers

LOOK_UP_TIME = 10.0
"""Seconds after which nothing is expected of a look-up any more."""
KNOWN_FOR = 60.0
"""Seconds that an answer is taken for a new call; a dialog keeps to what it knows."""
MOST_KNOWN = 64
MOST_PENDING = 16
"""Look-ups at a time. What others make us look up must not grow."""

Then = Callable[[Sequence[Address], float], None]
"""Gets the addresses to try, in order, and the time; no address: the host cannot be found."""


@dataclass(eq=False)
class _Pending:
    uri: SipUri
    then: list[Then] = field(default_factory=list)


class Finder:
    """Answers at once for literal addresses and for what was found lately; asks for the rest."""

    def __init__(self, timers: Timers, events: deque[Event]) -> None:
        self._timers, self._events = timers, events
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._pending: dict[str, _Pending] = {}

    def find(self, uri: SipUri | str, now: float, then: Then) -> None:
        """Call `then` with the addresses of `uri`: at once, or when they are found, or with none."""
        here = literal_address(uri)
        if here is not None or not isinstance(uri, SipUri) or not can_be_looked_up(target_of(uri)):
            then([here] if here is not None else [], now)
            return
        key = _key(uri)
        known = self._known.get(key)
        if known is not None and now - known[0] < KNOWN_FOR:
            then(known[1], now)
        elif key in self._pending:
            self._pending[key].then.append(then)
        elif len(self._pending) >= MOST_PENDING:
            then([], now)
        else:
            pending = self._pending[key] = _Pending(uri, [then])
            self._timers.set(pending, "look-up", now + LOOK_UP_TIME, lambda now: self.found(uri, [], now))
            self._events.append(LookUp(uri))

    def found(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """The answer to LookUp(uri); one that nobody waits for is a quiet no-op."""
        key = _key(uri)
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        self._timers.clear_all(pending)
        if addresses:
            self._known.pop(key, None)
            self._known[key] = (now, tuple(addresses))
            while len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        for then in pending.then:
            then(addresses, now)

    def known(self, uri: SipUri | str) -> Sequence[Address]:
        """What is known of `uri` without asking."""
        here = literal_address(uri)
        if here is not None:
            return [here]
        known = self._known.get(_key(uri)) if isinstance(uri, SipUri) else None
        return () if known is None else known[1]

    def learn(self, uri: SipUri | str, now: float) -> None:
        """See to it that `known` knows this URI soon."""
        self.find(uri, now, _nothing)


def _nothing(addresses: Sequence[Address], now: float) -> None:
    return


def _key(uri: SipUri) -> str:
    """Equal for URIs that one look-up serves."""
    return f"{uri.scheme}:{target_of(uri).lower()}:{uri.port};{(uri.params.get('transport') or '').lower()}"
