"""Who dials for a call of the API, and what: the program of the caller, a telephone of the caller, or nobody, where the
two have neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from voip.directory.location import Binding, Location
from voip.directory.refusals import Unknown, WrongState
from voip.directory.users import Done, Telephones, User, Users


class Dialling(NamedTuple):
    """How a call is begun: `begin` has it dialled. `known`: Call-IDs of the caller that are not that of this call."""

    begin: Callable[[Done], object]
    known: frozenset[str] = frozenset()


class Dialler:
    """Finds the way to begin a call. Network thread only."""

    def __init__(self, users: Users, location: Location) -> None:
        self._users, self._location = users, location

    def dialling(self, caller: User, callee: User, now: float, telephones: Telephones) -> Dialling | None:
        """How the one calls the other; None for two without programs and telephones. Unknown, WrongState."""
        contacts, agent = self._location.bindings(callee.name, now), self._users.agent(caller.id)
        telephone = agent is None and bool(self._location.registered(caller.name, now))
        if agent is None and not telephone and (contacts or self._location.bindings(caller.name, now)):
            raise WrongState(f"{caller.name} has no program that is linked, and no telephone, that could dial")
        if (agent is not None or telephone) and not contacts:
            raise Unknown(f"{callee.name} has no contact that could be called")
        if agent is not None:
            target = self._target(callee, contacts, self._users.presence(caller.id).address, now, telephones)
            known = frozenset(each.call_id for each in agent.calls)
            return Dialling(partial(agent.do, "dial", {"target": target}), known)
        if telephone:
            return Dialling(partial(telephones.dial, caller.name, callee.name, now))
        if not self._users.presence(callee.id).is_there(now):
            raise WrongState(f"{callee.name} is offline")
        return None

    def _target(
        self, callee: User, contacts: Sequence[Binding], host: str | None, now: float, telephones: Telephones
    ) -> str:
        """What a program at this host dials: a program where it is; a telephone by way of the proxy, as that alone has
        the way to one behind a NAT, or over a connection, and rings at all of a name."""
        best = contacts[0]
        registered = any(each.uri == best.uri for each in self._location.registered(callee.name, now))
        by_proxy = telephones.address_of(callee.name, host) if registered and host is not None else None
        return by_proxy or str(best.uri)
