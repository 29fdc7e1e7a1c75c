"""Which addresses URIs mean: the user agent's side of locating servers (RFC 3263).

A name is looked up by the owner of the user agent, outside: `ask` says that it is needed, `resolved` gets the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voip.sip.address import Address
from voip.sip.locate import can_be_looked_up, literal_address, target_of
from voip.sip.timers import Timers
from voip.sip.uri import SipUri

LOOKUP_TIMEOUT = 10.0
"""Seconds after which no result of a look-up is expected any more."""
KNOWN_FOR = 60.0
"""Seconds that a result is used for a new call; a dialog keeps to what it knows."""
MAX_KNOWN = 64
MAX_PENDING = 16
"""Look-ups at a time. What others make us look up must not grow."""
MAX_NAMES = 64
"""Addresses whose names are remembered."""

OnResolved = Callable[[Sequence[Address], float], None]
"""Gets the addresses to try, in order, and the time; no address: the host cannot be found."""


@dataclass(eq=False)
class _Pending:
    uri: SipUri
    then: list[OnResolved] = field(default_factory=list)


class Resolver:
    """Resolves literal addresses and what was found lately at once; asks for the rest."""

    def __init__(self, timers: Timers, ask: Callable[[SipUri], object]) -> None:
        self._timers, self._ask = timers, ask
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._pending: dict[str, _Pending] = {}
        self._names: dict[Address, str] = {}
        """The host of the URI that led to an address over TLS."""

    def resolve(self, uri: SipUri | str, now: float, then: OnResolved) -> None:
        """Call `then` with the addresses that requests to `uri` go to, in the order to try: at once where they are
        known, else when they have been looked up; with none where the host cannot be found."""

        def on_resolved(addresses: Sequence[Address], now: float) -> None:
            self._note_names(uri, addresses)
            then(addresses, now)

        here = literal_address(uri)
        if here is not None or not isinstance(uri, SipUri) or not can_be_looked_up(target_of(uri)):
            on_resolved([here] if here is not None else [], now)
        else:
            self._resolve_name(uri, now, on_resolved)

    def _resolve_name(self, uri: SipUri, now: float, then: OnResolved) -> None:
        key = _key(uri)
        known = self._known.get(key)
        if known is not None and now - known[0] < KNOWN_FOR:
            then(known[1], now)
        elif key in self._pending:
            self._pending[key].then.append(then)
        elif len(self._pending) >= MAX_PENDING:
            then([], now)
        else:
            pending = self._pending[key] = _Pending(uri, [then])
            self._timers.set(pending, "look-up", now + LOOKUP_TIMEOUT, lambda now: self.resolved(uri, [], now))
            self._ask(uri)

    def resolved(self, uri: SipUri, addresses: Sequence[Address], now: float) -> None:
        """The result of a look-up of `uri`; one that is not waited for is a quiet no-op."""
        key = _key(uri)
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        self._timers.clear_all(pending)
        if addresses:
            self._known.pop(key, None)
            self._known[key] = (now, tuple(addresses))
            while len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]
        for then in pending.then:
            then(addresses, now)

    def known(self, uri: SipUri | str) -> Sequence[Address]:
        """The addresses of `uri` as far as they are known without asking."""
        here = literal_address(uri)
        if here is not None:
            addresses: Sequence[Address] = [here]
        else:
            known = self._known.get(_key(uri)) if isinstance(uri, SipUri) else None
            addresses = () if known is None else known[1]
        self._note_names(uri, addresses)
        return addresses

    def prefetch(self, uri: SipUri | str, now: float) -> None:
        """See to it that `known` knows this URI soon."""
        self.resolve(uri, now, lambda addresses, now: None)

    def server_name(self, address: Address) -> str:
        """The host of the URI that led to this address: what its certificate must be for (RFC 3261 26.3.2.1)."""
        return self._names.get(address, address.host)

    def _note_names(self, uri: SipUri | str, addresses: Sequence[Address]) -> None:
        for address in addresses:
            if isinstance(uri, SipUri) and address.protocol == "tls":
                while len(self._names) >= MAX_NAMES and address not in self._names:
                    del self._names[next(iter(self._names))]
                self._names[address] = uri.host


def _key(uri: SipUri) -> str:
    """Equal for URIs that one look-up serves."""
    return f"{uri.scheme}:{target_of(uri).lower()}:{uri.port};{(uri.params.get('transport') or '').lower()}"
