"""The directory itself: users, their presence and contacts, and their calls. It belongs to the network thread.

What changes is acknowledged when it is durable: a `Reply` is called then, with the result or a `Refusal`.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from voip.directory.call_desk import CallDesk, Reply, new_id
from voip.directory.calls import Call
from voip.directory.dialogs import Followed
from voip.directory.location import Change, Location
from voip.directory.persistence import Loaded, Persistence, SaveBindings, SaveCall, SaveUser
from voip.directory.refusals import BadRequest, Forbidden, Refusal, WrongState
from voip.directory.users import (
    CALLING,
    IDLE,
    INCALL,
    MOST_USERS,
    OFFLINE,
    ONHOLD,
    UNKNOWN,
    Agent,
    NoTelephones,
    Telephones,
    User,
    Users,
    checked_name,
    same_hash,
)
from voip.errors import ProtocolError
from voip.sip.uri import SipUri

TICK = 1.0
"""Seconds between looks at who has fallen silent."""
OWNER = "api"
"""Who keeps contacts that were told over HTTP, in the location service."""
MOST_CONTACTS = 10
LONGEST_CONTACT = 256
"""Characters."""
SHOWN_CALLS = 100
"""Calls that a page lists."""

__all__ = ["TICK", "Directory", "Listed", "Registration", "Reply"]


class Registration(NamedTuple):
    """What a program tells of its user. `address`: the host that it came from."""

    name: str
    contacts: Sequence[str] = ()
    password: str | None = None
    room: bool = False
    address: str | None = None


@dataclass(frozen=True)
class Listed:
    """A user as it is shown. `heartbeat` is Unix time, 0: never heard of since the start."""

    id: str
    name: str
    status: str
    heartbeat: int
    address: str | None
    room: bool
    contacts: tuple[str, ...]


class Directory:
    """`persistence` makes durable, `now` is the clock of the network thread, `moment` gives Unix time."""

    def __init__(
        self,
        persistence: Persistence,
        realm: str,
        now: Callable[[], float],
        moment: Callable[[], float],
        rng: random.Random,
        loaded: Loaded | None = None,
    ) -> None:
        self.users, self.location, self.realm = Users(), Location(self._contacts_changed), realm
        self._persistence, self._now, self._moment, self._rng = persistence, now, moment, rng
        self.desk = CallDesk(self.users, self.location, self._save_call, rng, moment)
        self._watchers: list[Callable[[], object]] = []
        self._there: set[str] = set()
        if loaded is not None:
            self._load(loaded)

    # --- users --------------------------------------------------------------------------------------------------------

    def register(self, asked: Registration, reply: Reply) -> None:
        """A program makes its user known, or known again; replies the User. A name with a password is only given to who
        knows that."""
        name, contacts = checked_name(asked.name), _read_contacts(asked.contacts)
        known = self.users.named(name)
        ha1 = None if asked.password is None else self.hash_password(known.name if known else name, asked.password)
        if known is not None:
            if known.ha1 is not None and (ha1 is None or not same_hash(ha1, known.ha1)):
                raise Forbidden(f"{known.name} has a password, and this is not it")
            user = replace(known, ha1=ha1 or known.ha1, room=asked.room)
        elif len(self.users) >= MOST_USERS:
            raise WrongState(f"the directory has {MOST_USERS} users already")
        else:
            user = User(new_id(self._rng), name, ha1, asked.room)
        self.users.put(user)
        presence = self.users.presence(user.id)
        presence.contacts, presence.address = contacts, asked.address
        self._there.discard(user.id)  # its contacts may be others
        self._heard_of(user)
        self._persistence.write([SaveUser(user)], lambda refusal: reply(user if refusal is None else refusal))

    def heartbeat(self, user_id: str, reply: Reply) -> None:
        """The user is still there; replies True."""
        self._heard_of(self.users.get(user_id))
        reply(True)

    def disconnect(self, user_id: str, reply: Reply) -> None:
        """The user says goodbye; replies True."""
        user, presence = self.users.get(user_id), self.users.presence(user_id)
        presence.seen, presence.agent = -math.inf, None
        self._lost(user)
        reply(True)

    def status(self, user: User) -> str:
        """idle, calling, incall, onhold, unknown (whether a call of before a restart goes on) or offline."""
        states = {call.status for call in self.desk.calls.live(user.id)}
        for state in (INCALL, ONHOLD):
            if state in states:
                return state
        if states:
            return UNKNOWN if states == {UNKNOWN} else CALLING
        there = self.users.presence(user.id).is_there(self._now())
        return IDLE if there or self.location.bindings(user.name, self._now()) else OFFLINE

    def listed(self, user: User) -> Listed:
        """What is shown of a user."""
        presence = self.users.presence(user.id)
        contacts = tuple(str(binding.uri) for binding in self.location.bindings(user.name, self._now()))
        return Listed(user.id, user.name, self.status(user), presence.heartbeat, presence.address, user.room, contacts)

    def list_users(self) -> list[Listed]:
        """All of them, in the order of their names."""
        return [self.listed(user) for user in sorted(self.users, key=lambda user: user.name.casefold())]

    def list_calls(self) -> list[tuple[Call, str, str]]:
        """The newest calls, and the names of caller and callee."""
        return [(call, *self.names_of(call)) for call in self.desk.calls.newest(SHOWN_CALLS)]

    def names_of(self, call: Call) -> tuple[str, str]:
        """Caller and callee as they are shown."""
        caller, callee = (
            self.users.get(user_id).name if user_id else call.peer for user_id in (call.caller_id, call.callee_id)
        )
        return caller, callee

    def hash_password(self, name: str, password: str) -> str:
        """What is kept of a password: SIP's digest needs no more (RFC 7616 section 3.4.2)."""
        text = f"{name}:{self.realm}:{password}".encode("utf-8", "surrogatepass")
        return hashlib.md5(text, usedforsecurity=False).hexdigest()

    # --- calls --------------------------------------------------------------------------------------------------------

    def initiate(self, caller_id: str, callee_id: str, reply: Reply, *, telephones: Telephones | None = None) -> None:
        """As `CallDesk.initiate`, now."""
        self.desk.initiate(caller_id, callee_id, self._now(), reply, telephones or NoTelephones())

    def follow_proxied(self, told: Followed) -> None:
        """A call through the proxy has begun, or changed."""
        caller, callee = (self.users.named(name) if name else None for name in (told.caller, told.callee))
        lasting = _moved(told, self._moment() - self._now())
        self.desk.follow_proxied(lasting, "" if caller is None else caller.id, "" if callee is None else callee.id)

    def proxied(self) -> list[Followed]:
        """The calls through the proxy, by the clock of the network thread: what the proxy has to know after a start."""
        ahead = self._moment() - self._now()
        return [_moved(told, -ahead) for told in self.desk.proxied]

    # --- links --------------------------------------------------------------------------------------------------------

    def link(self, user_id: str, agent: Agent) -> None:
        """The program of a user has a link; one that it had before counts no more. Unknown."""
        user, presence = self.users.get(user_id), self.users.presence(user_id)
        self.desk.unlinked(user_id)
        presence.agent = agent
        self._heard_of(user)
        self._changed()

    def unlink(self, user_id: str, agent: Agent) -> None:
        """It is lost; the user may come back before it counts as offline."""
        presence = self.users.presence(user_id)
        if presence.agent is agent:
            presence.agent, presence.seen = None, self._now()
            self.desk.unlinked(user_id)
            self._changed()

    def calls_changed(self, user_id: str) -> None:
        """The program of a user has told of its calls: `Agent.calls` is new."""
        self.desk.follow(user_id)
        self._changed()

    def watch(self, watcher: Callable[[], object]) -> Callable[[], None]:
        """Have `watcher` called, on the network thread, when users, contacts or calls change. The result ends it."""
        self._watchers.append(watcher)

        def stop() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return stop

    # --- the registrar ------------------------------------------------------------------------------------------------

    def persist(self, change: Change, durable: Callable[[bool, float], object]) -> None:
        """Make the bindings of a name durable; `durable(whether, now)` then."""
        ahead = self._moment() - self._now()
        saved = SaveBindings.of(change, ahead)
        self._persistence.write([saved], lambda refusal: durable(refusal is None, self._now()))

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """To be called each TICK: who is silent is offline, and calls are over that nobody answers or has."""
        now = self._now()
        for user_id in [each for each in self._there if not self.users.presence(each).is_there(now)]:
            self._lost(self.users.get(user_id))
        self.desk.tick(now)

    def _heard_of(self, user: User) -> None:
        presence = self.users.presence(user.id)
        presence.seen, presence.heartbeat = self._now(), int(self._moment())
        if user.id not in self._there:  # else nothing is new, and heartbeats are many
            self._there.add(user.id)
            self.location.keep(user.name, OWNER, presence.contacts, math.inf)
            self._changed()

    def _lost(self, user: User) -> None:
        self._there.discard(user.id)
        self.desk.unlinked(user.id)
        self.desk.gone(user.id)
        self.location.drop(user.name, OWNER)
        self._changed()

    def _load(self, loaded: Loaded) -> None:
        names = {user.id: user.name for user in loaded.users}
        for user in loaded.users:
            self.users.put(user)
        for call in loaded.calls:
            caller, callee = names.get(call.caller_id, ""), names.get(call.callee_id, "")
            self.desk.load(
                call, Followed(call.sip_call_id, UNKNOWN, caller, callee, call.peer, call.peer, call.dialogs)
            )
        for call in self.desk.calls.all_live():  # whoever has one may come back, and falls silent otherwise
            for user_id in filter(None, (call.caller_id, call.callee_id)):
                self.users.presence(user_id).seen = self._now()
                self._there.add(user_id)
        ahead = self._moment() - self._now()
        for saved in loaded.bindings:
            self.location.apply(saved.change(ahead))

    def _save_call(self, call: Call, done: Callable[[Refusal | None], object]) -> None:
        self._changed()
        self._persistence.write([SaveCall(call)], done)

    def _contacts_changed(self, name: str) -> Any:  # noqa: ANN401
        self._changed()

    def _changed(self) -> None:
        for watcher in list(self._watchers):
            watcher()


def _moved(told: Followed, seconds: float) -> Followed:
    """The same by a clock that is so much ahead."""
    return told._replace(dialogs=tuple(each._replace(until=each.until + seconds) for each in told.dialogs))


def _read_contacts(texts: Sequence[str]) -> tuple[SipUri, ...]:
    """SIP addresses as a program tells them. BadRequest."""
    if len(texts) > MOST_CONTACTS:
        raise BadRequest(f"a user has {MOST_CONTACTS} contacts at most")
    found = []
    for text in texts:
        if len(text) > LONGEST_CONTACT:
            raise BadRequest(f"a contact has {LONGEST_CONTACT} characters at most")
        try:
            found.append(SipUri.parse(text))
        except ProtocolError as error:
            raise BadRequest(f"contact: {error}") from error
    return tuple(found)
