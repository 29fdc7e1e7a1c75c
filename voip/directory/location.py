"""The location service: which contacts the users of the directory are reached at (RFC 3261 section 10).

A registrar makes bindings, a proxy reads them. What a REGISTER asks for is worked out in full before anything changes:
it is done as a whole or not at all (10.3). All times are seconds by the clock of `now`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from voip.sip.address import Address
from voip.sip.uri import SipUri, uri_equal

MAX_CONTACTS = 10
"""Of one name at a time: more telephones than a person has. A call to the name rings at all of them."""


@dataclass(frozen=True)
class Binding:
    """A contact of a name, until `expires`. `call_id` and `cseq` are of the REGISTER that has made it; `q` (0 to 1) is
    its preference, 1 first.

    `flow`: requests go to this address, whatever the URI says, as its telephone is behind a NAT, or has opened the
    connection; None: where the URI leads. `instance` names the telephone, where it says that (RFC 5626 section 4.1):
    its next contact stands in place of this one, as it has moved.
    """

    uri: SipUri
    expires: float
    call_id: str = ""
    cseq: int = 0
    q: float = 1.0
    flow: Address | None = None
    instance: str = ""


@dataclass(frozen=True)
class Change:
    """What a REGISTER makes of the bindings of a name: all of them as they are afterwards, and which are no more."""

    name: str
    bindings: tuple[Binding, ...]
    removed: tuple[Binding, ...] = ()
    changed: bool = True
    """False: nothing was asked for but to hear what is there."""


@dataclass(frozen=True)
class Wanted:
    """One Contact of a REGISTER; `seconds` to live, 0: it is to go. `q`, `flow` and `instance` as of a `Binding`."""

    uri: SipUri
    seconds: int
    q: float = 1.0
    flow: Address | None = None
    instance: str = ""

    def is_of(self, binding: Binding) -> bool:
        """Whether that binding is of the same contact."""
        if self.instance and self.instance == binding.instance:
            return True
        return uri_equal(self.uri, binding.uri)


@dataclass(frozen=True)
class Outdated:
    """The bindings are of a later REGISTER of the same Call-ID: this one came out of order."""


@dataclass(frozen=True)
class TooMany:
    """The name would have more than `MAX_CONTACTS`."""


@dataclass
class _Place:
    """What is known of a name: what was registered, and contacts that live otherwise, by whom they are kept."""

    bindings: tuple[Binding, ...] = ()
    others: dict[str, tuple[Binding, ...]] = field(default_factory=dict)


class Location:
    """Bindings by name; upper and lower case are the same there. Network thread only.

    `on_change(name)` is told when other contacts are there than before.
    """

    def __init__(self, on_change: Callable[[str], object] = lambda name: None) -> None:
        self._places: dict[str, _Place] = {}
        self._on_change = on_change

    def bindings(self, name: str, now: float) -> list[Binding]:
        """All that have not expired, those with the highest q first; of equal URIs one."""
        place = self._places.get(name.casefold())
        if place is None:
            return []
        kept = [*place.bindings, *(binding for each in place.others.values() for binding in each)]
        alive: list[Binding] = []
        for binding in kept:
            if binding.expires > now and not any(uri_equal(binding.uri, other.uri) for other in alive):
                alive.append(binding)
        return sorted(alive, key=lambda binding: -binding.q)

    def registered(self, name: str, now: float) -> list[Binding]:
        """Those that REGISTER has made, alone."""
        place = self._places.get(name.casefold())
        return [] if place is None else [binding for binding in place.bindings if binding.expires > now]

    # --- by REGISTER ----------------------------------------------------------------------------------------------

    def plan(
        self, name: str, wanted: Sequence[Wanted], call_id: str, cseq: int, now: float
    ) -> Change | Outdated | TooMany:
        """What these contacts, in one REGISTER, make of the bindings (10.3, step 7). Nothing changes yet."""
        kept, removed = self.registered(name, now), []
        before = list(kept)
        for contact in wanted:
            known = next((binding for binding in kept if contact.is_of(binding)), None)
            if known is not None:
                if known.call_id == call_id and cseq <= known.cseq and known in before:
                    return Outdated()
                kept.remove(known)
            if contact.seconds > 0:
                expires = now + contact.seconds
                kept.append(Binding(contact.uri, expires, call_id, cseq, contact.q, contact.flow, contact.instance))
            elif known is not None:
                removed.append(known)
        if len(kept) > max(MAX_CONTACTS, len(before)):
            return TooMany()
        return Change(name, tuple(kept), tuple(removed), changed=bool(wanted))

    def plan_removal(self, name: str, call_id: str, cseq: int, now: float) -> Change | Outdated:
        """The same for `Contact: *` (step 6)."""
        before = self.registered(name, now)
        if any(binding.call_id == call_id and cseq <= binding.cseq for binding in before):
            return Outdated()
        return Change(name, (), tuple(before))

    def apply(self, change: Change) -> None:
        """The bindings are these from now on: the change is durable."""
        place = self._place(change.name)
        place.bindings = change.bindings
        self._forget_empty(change.name)
        self._on_change(change.name)

    # --- by others ------------------------------------------------------------------------------------------------

    def keep(self, name: str, owner: str, uris: Sequence[SipUri], expires: float) -> None:
        """Contacts that do not come by REGISTER: `owner` (unique among those of this name) keeps them, until then.
        They stand in place of those that it kept before, and are not durable."""
        self._place(name).others[owner] = tuple(Binding(uri, expires, owner) for uri in uris)
        self._on_change(name)

    def drop(self, name: str, owner: str) -> None:
        """The owner of these is gone."""
        place = self._places.get(name.casefold())
        if place is not None and place.others.pop(owner, None) is not None:
            self._forget_empty(name)
            self._on_change(name)

    def forget(self, name: str) -> None:
        """There is no such name any more."""
        if self._places.pop(name.casefold(), None) is not None:
            self._on_change(name)

    # --- all of them ----------------------------------------------------------------------------------------------

    def purge(self, now: float) -> list[str]:
        """Forget what has expired; the names that have fewer contacts now."""
        fewer = []
        for name, place in list(self._places.items()):
            before = len(place.bindings) + sum(map(len, place.others.values()))
            place.bindings = tuple(binding for binding in place.bindings if binding.expires > now)
            for owner, bindings in list(place.others.items()):
                place.others[owner] = tuple(binding for binding in bindings if binding.expires > now)
                if not place.others[owner]:
                    del place.others[owner]
            if len(place.bindings) + sum(map(len, place.others.values())) < before:
                fewer.append(name)
            self._forget_empty(name)
        for name in fewer:
            self._on_change(name)
        return fewer

    def flows(self) -> Iterator[Address]:
        """The addresses, connections among them, that bindings are reached at."""
        for place in self._places.values():
            for binding in place.bindings:
                if binding.flow is not None:
                    yield binding.flow

    def __len__(self) -> int:
        """Names that have contacts."""
        return len(self._places)

    def _place(self, name: str) -> _Place:
        return self._places.setdefault(name.casefold(), _Place())

    def _forget_empty(self, name: str) -> None:
        place = self._places.get(name.casefold())
        if place is not None and not place.bindings and not place.others:
            del self._places[name.casefold()]
