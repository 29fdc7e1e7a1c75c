"""What is made durable, as values: what a change of the directory is to its database, and what a start finds there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from voip.directory.calls import Call
from voip.directory.location import Binding, Change
from voip.directory.refusals import Refusal
from voip.directory.users import User


@dataclass(frozen=True)
class SaveUser:
    """A user is new, or has changed."""

    user: User


@dataclass(frozen=True)
class SaveCall:
    """A call is new, or has changed."""

    call: Call


@dataclass(frozen=True)
class SaveBindings:
    """The contacts that telephones have registered for a name: these, and no others. They expire at Unix times: the
    clock of the network thread begins anew with the machine."""

    name: str
    bindings: tuple[Binding, ...]

    @staticmethod
    def of(change: Change, ahead: float) -> SaveBindings:
        """`ahead`: by how much Unix time is ahead of the clock of the network thread, in seconds."""
        moved = (replace(each, expires=each.expires + ahead) for each in change.bindings)
        return SaveBindings(change.name, tuple(moved))

    def change(self, ahead: float) -> Change:
        """The same by the clock of the network thread."""
        return Change(self.name, tuple(replace(each, expires=each.expires - ahead) for each in self.bindings))


Saved = SaveUser | SaveCall | SaveBindings
Durable = Callable[[Refusal | None], object]
"""Told that it is durable, or why not."""


@dataclass(frozen=True)
class Loaded:
    """What the database has: users, the calls that go on and the newest of the others, contacts, and the secret of this
    directory."""

    users: Sequence[User] = ()
    calls: Sequence[Call] = ()
    bindings: Sequence[SaveBindings] = ()
    secret: bytes = b""


class Persistence(Protocol):
    """Makes changes durable, in the order in which they come."""

    def write(self, changes: Sequence[Saved], durable: Durable) -> None:
        """`durable` is told later, on the network thread."""
