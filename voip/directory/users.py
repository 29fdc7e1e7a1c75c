"""Users of the directory, and whether they are there: by a link that is open, or by heartbeats.

Plain objects that are told the time: `now` in seconds of the clock of the network thread, `moment` in Unix time.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from voip.directory.refusals import BadRequest, Unknown
from voip.sip.uri import SipUri

IDLE, CALLING, INCALL, ONHOLD, OFFLINE = "idle", "calling", "incall", "onhold", "offline"
UNKNOWN = "unknown"
"""What a user is doing, as the API says it."""
SILENCE = 10.0
"""Seconds without a heartbeat after which a user without a link is offline."""
LONGEST_NAME = 64
"""Characters."""
MOST_USERS = 100_000
"""That a directory keeps: a disk, too, is filled by a script gone wild."""
_UNSEEN = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Characters that are not seen, or turn the direction of writing: with one, two names look the same."""


class AgentCall(NamedTuple):
    """A call of an agent: `call_id` is the Call-ID of SIP, the same on both sides. `direction` is incoming or outgoing,
    `state` calling, ringing, incall, onhold or ended; `peer` is the address of the other side."""

    call_id: str
    direction: str
    state: str
    peer: str = ""


Done = Callable[[str | None], None]
"""Told what has become of a command: None if it was obeyed, else why not."""


class Agent(Protocol):
    """A script whose user is linked to the directory. Network thread only.

    Whoever implements it tells `Directory.calls_changed` when its calls do. `done` is called exactly once, in the end
    because the link is lost.
    """

    @property
    def calls(self) -> Sequence[AgentCall]:
        """Those that are up, and the last that have ended."""

    def do(self, command: str, arguments: Mapping[str, object], done: Done) -> None:
        """Have a command obeyed: dial, answer, decline, hang-up, hold or text."""


class Telephones(Protocol):
    """The telephones that are registered at the directory. Network thread only."""

    def address_of(self, name: str, host: str) -> str | None:
        """The SIP address by which a program at this host calls a name by way of the directory; None: there is none."""

    def dial(self, caller: str, callee: str, now: float, done: Done) -> None:
        """Have a telephone of the one name call the other. `done` is told that it is about to, or why it is not; and
        that again if nothing comes of it after all."""


class NoTelephones:
    """Where no SIP is spoken."""

    def address_of(self, name: str, host: str) -> str | None:
        return None

    def dial(self, caller: str, callee: str, now: float, done: Done) -> None:
        done(f"{caller} has no telephone here")


@dataclass(frozen=True)
class User:
    """Who may be called. `id` never changes. `ha1`: the hash of name, realm and password (RFC 7616 section 3.4.2), None
    without a password. `room`: a conference answers there."""

    id: str
    name: str
    ha1: str | None = None
    room: bool = False


@dataclass
class Presence:
    """Of one user: when it was heard of last (`seen`), its link, and the contacts that it has told."""

    seen: float = -math.inf
    heartbeat: int = 0
    address: str | None = None
    agent: Agent | None = None
    contacts: tuple[SipUri, ...] = ()

    def is_there(self, now: float) -> bool:
        """Whether it has a link, or was heard of lately."""
        return self.agent is not None or now - self.seen <= SILENCE


def checked_name(text: str) -> str:
    """A name that people can tell apart. BadRequest for one that is empty, too long, or has what is not printable."""
    name = text.strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise BadRequest(f"a name has 1 to {LONGEST_NAME} characters")
    if not name.isprintable() or _UNSEEN.search(name):
        raise BadRequest("a name is made of printable characters")
    return name


class Users:
    """All users, by id and by name; upper and lower case are the same in names."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._by_name: dict[str, str] = {}
        self._presence: dict[str, Presence] = {}

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[User]:
        return iter(list(self._users.values()))

    def put(self, user: User) -> None:
        """Add a user, or what is new of one."""
        self._users[user.id] = user
        self._by_name[user.name.casefold()] = user.id
        self._presence.setdefault(user.id, Presence())

    def get(self, user_id: str) -> User:
        """The user of this id. Unknown."""
        user = self._users.get(user_id)
        if user is None:
            raise Unknown("User not found")
        return user

    def named(self, name: str) -> User | None:
        """The user of this name."""
        return self._users.get(self._by_name.get(name.casefold(), ""))

    def presence(self, user_id: str) -> Presence:
        """Of a user. Unknown."""
        self.get(user_id)
        return self._presence[user_id]

    def agent(self, user_id: str) -> Agent | None:
        """The link of a user."""
        presence = self._presence.get(user_id)
        return presence.agent if presence is not None else None

    # --- as the registrar sees them -----------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether there is a user of this name."""
        return name.casefold() in self._by_name

    def hash_of(self, name: str, algorithm: str) -> str | None:
        """The hash of the user's password by this algorithm, as a digest needs it; None without one."""
        user = self.named(name)
        return user.ha1 if user is not None and algorithm == "MD5" else None


def same_hash(one: str, other: str) -> bool:
    """Whether two hashes are equal; it takes as long if not."""
    return hmac.compare_digest(one.encode(), other.encode())
