"""A directory in virtual time: its database a list, the programs of its users obedient or not."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voip.directory.calls import Call
from voip.directory.directory import Directory, Registration
from voip.directory.persistence import Durable, Loaded, SaveBindings, SaveCall, Saved, SaveUser
from voip.directory.refusals import Refusal
from voip.directory.users import AgentCall, Done, User

MIDNIGHT = 1_800_000_000.0
"""Unix time when the clock of the network thread is 0."""


class ListPersistence:
    """Makes changes durable at once; while `held`, by `finish`. `refusal`: what the database says to them."""

    def __init__(self) -> None:
        self.changes: list[Saved] = []
        self.held = False
        self.refusal: Refusal | None = None
        self._waiting: list[tuple[Sequence[Saved], Durable]] = []

    def write(self, changes: Sequence[Saved], durable: Durable) -> None:
        if self.held:
            self._waiting.append((changes, durable))
        else:
            self._settle(changes, durable)

    def finish(self) -> None:
        self.held = False
        waiting, self._waiting = self._waiting, []
        for changes, durable in waiting:
            self._settle(changes, durable)

    def _settle(self, changes: Sequence[Saved], durable: Durable) -> None:
        if self.refusal is None:
            self.changes += changes
        durable(self.refusal)


class StandIn:
    """The program of a user. Commands are noted and, unless `slow`, obeyed with `error`."""

    def __init__(self) -> None:
        self.calls: list[AgentCall] = []
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self.error: str | None = None
        self.slow, self.waiting = False, list[Done]()

    def do(self, command: str, arguments: Mapping[str, object], done: Done) -> None:
        self.asked.append((command, arguments))
        if self.slow:
            self.waiting.append(done)
        else:
            done(self.error)


class Scene:
    """A directory whose clock is set by hand. `unix`: Unix time when that is 0."""

    def __init__(self, loaded: Loaded | None = None, *, seed: int = 7, unix: float = MIDNIGHT) -> None:
        self.now, self.store = 0.0, ListPersistence()
        self.stepped = 0.0  # seconds by which somebody has set the wall clock
        self.directory = Directory(
            self.store,
            "voip",
            lambda: self.now,
            lambda: unix + self.now + self.stepped,
            random.Random(seed),
            loaded,
        )
        self.desk, self._unix = self.directory.desk, unix

    def after_restart(self, seconds: float) -> Scene:
        """The directory that begins, so much later, with what this one has made durable; its clock begins at 0."""
        saved = self.store.changes
        users = {each.user.id: each.user for each in saved if isinstance(each, SaveUser)}
        calls = {each.call.id: each.call for each in saved if isinstance(each, SaveCall)}
        bindings = {each.name.casefold(): each for each in saved if isinstance(each, SaveBindings)}
        loaded = Loaded([*users.values()], [*calls.values()], [*bindings.values()])
        again = Scene(loaded, unix=self._unix + self.now + seconds)
        again.store.changes += saved
        return again

    def ask(self, function: Callable[..., object], *arguments: object) -> Any:  # noqa: ANN401
        """What it replies, which has to be at once and once; a Refusal is raised."""
        replies: list[object] = []
        function(*arguments, replies.append)
        (reply,) = replies
        if isinstance(reply, Exception):
            raise reply
        return reply

    def register(self, name: str, *contacts: str, password: str | None = None) -> User:
        user: User = self.ask(self.directory.register, Registration(name, contacts, password))
        return user

    def link(self, user: User) -> StandIn:
        agent = StandIn()
        self.directory.link(user.id, agent)
        return agent

    def tell(self, user: User, agent: StandIn, *calls: tuple[str, str, str]) -> None:
        """The program tells of these calls: Call-ID, direction, state."""
        agent.calls = [AgentCall(*each, "sip:other@10.0.0.9") for each in calls]
        self.directory.calls_changed(user.id)

    def initiate(self, caller: User, callee: User) -> Call:
        call: Call = self.ask(self.directory.initiate, caller.id, callee.id)
        return call

    def status(self, call: Call) -> str:
        return self.desk.calls.get(call.id).status

    def pass_time(self, seconds: float) -> None:
        """Tick by tick."""
        for _ in range(int(seconds)):
            self.now += 1.0
            self.directory.tick()
