"""The HTTP API, request by request: fields in, an object out, or a `Refusal`. The paths are those of `endpoints`.

With `compat` it responds as the first program with this API did, where that is no worse for others: names that are
missing, targets and calls that do not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from voip.directory.asking import Asking
from voip.directory.call_desk import ANSWER, CANDIDATE, OFFER
from voip.directory.calls import Call
from voip.directory.directory import Listed, Registration
from voip.directory.endpoints import ENDPOINTS, Endpoint
from voip.directory.refusals import Refusal, Unknown, WrongState
from voip.directory.users import LONGEST_NAME, OFFLINE, User

NAMELESS = "Unknown"
MOST_NAMESAKES = 1000
LENIENT = frozenset({"username", "message_type", "call_id", "target_user_id", "offer", "answer", "candidate"})
"""Fields that the first program looked at by itself, or did without."""
DONE = {
    "accept": "Call accepted",
    "reject": "Call rejected",
    "end": "Call ended",
    "hold": "Call on hold",
    "resume": "Call resumed",
}

Values = dict[str, Any]


class Asked(NamedTuple):
    """One request: its fields, whether with `compat`, and the host that it comes from."""

    fields: Values
    compat: bool = False
    address: str | None = None

    def __getitem__(self, name: Any) -> Any:  # noqa: ANN401
        return self.fields[name]


class Api:
    """What the API does; on the web thread."""

    def __init__(self, asking: Asking) -> None:
        self._asking, self._directory = asking, asking.directory
        self._handlers: Mapping[str, Callable[[Asked], Awaitable[Values]]] = {
            "health": self._health,
            "register": self._register,
            "list_users": self._list_users,
            "get_user": self._get_user,
            "find_user": self._find_user,
            "heartbeat": self._heartbeat,
            "disconnect": self._disconnect,
            "initiate": self._initiate,
            "incoming": self._incoming,
            "call_status": self._call_status,
            "get_candidates": self._get_candidates,
            "list_calls": self._list_calls,
            **{name: self._mover(name) for name in DONE},
            **{kind: self._teller(kind) for kind in (OFFER, ANSWER, CANDIDATE)},
            **{f"get_{kind}": self._reader(kind) for kind in (OFFER, ANSWER)},
        }
        assert {*self._handlers} == {endpoint.name for endpoint in ENDPOINTS}

    async def serve(self, endpoint: Endpoint, asked: Asked) -> Values:
        """The response to a request whose fields have been checked. Refusal."""
        return await self._handlers[endpoint.name](asked)

    async def _health(self, asked: Asked) -> Values:
        await self._asking.result(lambda: None)  # it lives if the thread does that owns everything
        return {"status": "ok"}

    # --- users --------------------------------------------------------------------------------------------------------

    async def _register(self, asked: Asked) -> Values:
        name = asked.fields.get("username", NAMELESS)
        if asked.compat:
            name = await self._asking.result(self._unused, name)
        registration = Registration(
            name,
            asked.fields.get("contacts", ()),
            asked.fields.get("password"),
            asked.fields.get("room", False),
            asked.address,
        )
        user: User = await self._asking.done(self._directory.register, registration)
        return {"user_id": user.id, "username": user.name}

    def _unused(self, name: str) -> str:
        """The first program gave each who registered an id of its own."""
        name = name.strip() or NAMELESS
        for number in range(1, MOST_NAMESAKES):
            another = name if number == 1 else f"{name[: LONGEST_NAME - 4]} {number}"
            if not self._directory.users.has(another):
                return another
        raise WrongState("too many have this name")

    async def _list_users(self, asked: Asked) -> Values:
        users = await self._asking.result(self._directory.list_users)
        wanted = (user for user in users if user.status != OFFLINE or asked.fields.get("offline"))
        return {"users": [_user(user) for user in wanted]}

    async def _get_user(self, asked: Asked) -> Values:
        user = await self._asking.result(self._by_id, asked["user_id"])
        return {"user_id": user.id, "username": user.name, "status": user.status}

    async def _find_user(self, asked: Asked) -> Values:
        user = await self._asking.result(self._by_name, asked["name"])
        return {
            "user_id": user.id,
            "username": user.name,
            "status": user.status,
            "room": user.room,
            "contacts": [*user.contacts],
        }

    async def _heartbeat(self, asked: Asked) -> Values:
        return await self._succeeds(asked, self._directory.heartbeat)

    async def _disconnect(self, asked: Asked) -> Values:
        return await self._succeeds(asked, self._directory.disconnect)

    async def _succeeds(self, asked: Asked, change: Callable[..., object]) -> Values:
        try:
            await self._asking.done(change, asked["user_id"])
        except Unknown:
            if asked.compat:
                return {"success": False}
            raise
        return {"success": True}

    def _by_id(self, user_id: str) -> Listed:
        return self._directory.listed(self._directory.users.get(user_id))

    def _by_name(self, name: str) -> Listed:
        user = self._directory.users.named(name.strip())
        if user is None:
            raise Unknown("User not found")
        return self._directory.listed(user)

    # --- calls --------------------------------------------------------------------------------------------------------

    async def _initiate(self, asked: Asked) -> Values:
        target = _demanded(asked, "target_user_id", "Target user ID required")
        try:
            initiate = partial(self._directory.initiate, telephones=self._asking.telephones)
            call: Call = await self._asking.done(initiate, asked["user_id"], target)
        except Unknown:
            if not asked.compat:
                raise
            return {"status": "success", "call_id": str(uuid.uuid4()), "message": "Call initiated"}
        return {"status": "success", "call_id": call.id, "message": "Call initiated"}

    def _mover(self, name: str) -> Callable[[Asked], Awaitable[Values]]:
        change = getattr(self._directory.desk, name)

        async def move(asked: Asked) -> Values:
            call_id = _demanded(asked, "call_id", "Call ID required")
            try:
                call: Call = await self._asking.done(change, asked["user_id"], call_id)
            except Unknown:
                if not asked.compat:
                    raise
                return {"status": "success", "message": DONE[name]}
            return {"status": "success", "message": DONE[name], "call": _call(call)}

        return move

    def _teller(self, kind: str) -> Callable[[Asked], Awaitable[Values]]:
        async def tell(asked: Asked) -> Values:
            call_id = _demanded(asked, "call_id", "Call ID required")
            text = _demanded(asked, kind, f"{kind.capitalize()} required")
            await self._asking.done(self._directory.desk.tell, asked["user_id"], call_id, kind, text)
            return {"status": "success", "message": f"{kind.capitalize()} sent"}

        return tell

    def _reader(self, kind: str) -> Callable[[Asked], Awaitable[Values]]:
        async def read(asked: Asked) -> Values:
            call = await self._asking.result(self._directory.desk.calls.get, asked["call_id"], asked["user_id"])
            text = call.offer if kind == OFFER else call.answer
            if text is None:
                return {"status": "pending", "message": f"{kind.capitalize()} not yet available"}
            return {"status": "success", kind: text}

        return read

    async def _get_candidates(self, asked: Asked) -> Values:
        call = await self._asking.result(self._directory.desk.calls.get, asked["call_id"], asked["user_id"])
        others = [each for user_id, texts in call.candidates.items() if user_id != asked["user_id"] for each in texts]
        return {"status": "success", "candidates": others}

    async def _incoming(self, asked: Asked) -> Values:
        call = await self._asking.result(self._directory.desk.incoming, asked["user_id"])
        return {"call": None if call is None else _call(call)}

    async def _call_status(self, asked: Asked) -> Values:
        call = await self._asking.result(self._directory.desk.calls.get, asked["call_id"])
        return {"status": "success", "message": f"Call is {call.status}", "call": _call(call)}

    async def _list_calls(self, asked: Asked) -> Values:
        calls = await self._asking.result(self._directory.list_calls)
        return {
            "calls": [
                {
                    "call_id": call.id,
                    "caller": caller,
                    "callee": callee,
                    "status": call.status,
                    "began": call.began,
                    "answered": call.answered,
                    "ended": call.ended,
                    "reason": call.reason,
                }
                for call, caller, callee in calls
            ]
        }


def error_object(path: str, text: str) -> Values:
    """What the body of a refused request is; those of signalling have had another form from the first."""
    if path.startswith("/api/signal/"):
        return {"status": "error", "message": text, "error": text}
    return {"error": text}


def _demanded(asked: Asked, name: str, text: str) -> str:
    value = asked.fields.get(name)
    if value is None:
        raise Refusal(text)
    return str(value)


def _user(user: Listed) -> Values:
    return {
        "id": user.id,
        "username": user.name,
        "ip_address": user.address,
        "status": user.status,
        "last_heartbeat": user.heartbeat,
        "room": user.room,
        "contacts": [*user.contacts],
    }


def _call(call: Call) -> Values:
    return {
        "call_id": call.id,
        "caller_id": call.caller_id,
        "callee_id": call.callee_id,
        "status": call.status,
        "peer": call.peer,
    }
