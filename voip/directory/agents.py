"""A script that is linked, as the directory sees it: commands go to it, and it tells what became of them and of its
calls. Pure: messages are given to `send`, and come in by `told`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voip.directory.refusals import BadRequest
from voip.directory.users import AgentCall, Done

MOST_WAITING = 64
"""Commands that a script has not said to be done: more than any person gives."""
MOST_CALLS = 100
"""Calls that a script tells of."""
LONGEST_FIELD = 256
"""Characters of a Call-ID or an address: those of programs have 20 to 100."""
LONGEST_ERROR = 200
STATES = frozenset({"calling", "ringing", "incall", "onhold", "ended"})
DIRECTIONS = frozenset({"incoming", "outgoing"})
LOST = "the link to the program is lost"


class LinkedAgent:
    """One link. Network thread only, as are the calls of `send` and of `end`, which ends the connection."""

    def __init__(self, send: Callable[[Mapping[str, Any]], object], end: Callable[[], object]) -> None:
        self._send, self._end = send, end
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Done] = {}
        self._calls: tuple[AgentCall, ...] = ()
        self._lost = False

    @property
    def calls(self) -> Sequence[AgentCall]:
        """Those that are up, and the last that have ended."""
        return self._calls

    def do(self, command: str, arguments: Mapping[str, object], done: Done) -> None:
        """Have a command obeyed."""
        if self._lost:
            done(LOST)
            return
        if len(self._waiting) >= MOST_WAITING:
            done("the program has too many commands to obey")
            return
        number = next(self._numbers)
        self._waiting[number] = done
        self._send({**arguments, "number": number, "do": command})

    def told(self, message: object) -> bool:
        """What the script has said; whether its calls are new. BadRequest for what it cannot mean."""
        if not isinstance(message, dict):
            raise BadRequest("a message is an object")
        kind = message.get("type")
        if kind == "calls":
            calls = _read_calls(message.get("calls"))
            is_new, self._calls = calls != self._calls, calls
            return is_new
        if kind != "done":
            raise BadRequest("unknown type")
        number, error = message.get("number"), message.get("error")
        done = self._waiting.pop(number, None) if isinstance(number, int) else None
        if done is not None:
            done(None if error is None else str(error)[:LONGEST_ERROR])
        return False

    def give_way(self) -> None:
        """Another link of the same user stands in place of this one."""
        self.lose()
        self._end()

    def lose(self) -> None:
        """The link is gone: nothing that waits will be done."""
        self._lost = True
        waiting, self._waiting = list(self._waiting.values()), {}
        for done in waiting:
            done(LOST)


def _read_calls(told: object) -> tuple[AgentCall, ...]:
    if not isinstance(told, list) or len(told) > MOST_CALLS:
        raise BadRequest(f"calls are a list of {MOST_CALLS} at most")
    return tuple(map(_read_call, told))


def _read_call(told: object) -> AgentCall:
    if not isinstance(told, dict):
        raise BadRequest("a call is an object")
    values = [told.get(name) for name in AgentCall._fields]
    if not all(isinstance(value, str) and len(value) <= LONGEST_FIELD for value in values):
        raise BadRequest(f"a call has {', '.join(AgentCall._fields)}: texts of {LONGEST_FIELD} characters at most")
    call = AgentCall(*map(str, values))
    if not call.call_id or call.direction not in DIRECTIONS or call.state not in STATES:
        raise BadRequest("a call is incoming or outgoing, and calling, ringing, incall, onhold or ended")
    return call
