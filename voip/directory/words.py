"""Calls by WebSocket, in the words of a small signalling server: who is here, request a call, accept it.

    {"type": "client_list", "clients": ["192.0.2.7", ...], "users": [{"id": ..., "ip": ..., "username": ...}, ...]}
    {"type": "request_call", "target_ip": ...}    ->  call_request_sent to the caller, incoming_call to the other
    {"type": "accept_call", "caller_ip": ...}     ->  call_accepted to both
    {"type": "reject_call", "caller_ip": ...}     ->  call_rejected to both
    {"type": "end_call", "peer_ip": ...}          ->  call_ended to both

Programs that know these words alone name each other by address. Several may have the same one: so everybody has an
`id`, which goes with each address, and may be given in its place (`target_id`, `caller_id`, `peer_id`). Pure: text
comes in, and messages for each client go out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from voip.directory.refusals import BadRequest
from voip.directory.users import checked_name
from voip.printable import printable
from voip.web.guard import Bucket

LONGEST_TEXT = 100
"""Characters of what a client has named that are told back to it."""
MOST_REQUESTS = 10
"""Calls that one client may have requested, and that are neither accepted nor rejected."""
MOST_CLIENTS, MOST_OF_ADDRESS = 500, 50
"""Clients at a time, in all and of one address."""


class Told(NamedTuple):
    """A message for a client."""

    to: str
    message: Mapping[str, Any]


@dataclass
class Client:
    """One that is connected. `called`: those whom it has requested a call of; `talks`: those it is in a call with."""

    client_id: str
    address: str
    username: str = ""
    called: set[str] = field(default_factory=set)
    talks: set[str] = field(default_factory=set)
    bucket: Bucket = field(default_factory=Bucket)

    def shown_as(self, role: str) -> dict[str, str]:
        """The fields that name it as `from`, `to` or `peer`."""
        return {f"{role}_ip": self.address, f"{role}_id": self.client_id, f"{role}_name": self.username}


class Words:
    """All clients, and what they say to each other. One owner."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._clients: dict[str, Client] = {}
        self._verbs: dict[str, Callable[[Client, Mapping[str, Any]], list[Told]]] = {
            "register": self._register,
            "request_call": self._request,
            "accept_call": self._accept,
            "reject_call": self._reject,
            "end_call": self._end,
        }

    # --- who is here ----------------------------------------------------------------------------------------------

    def join(self, address: str, now: float) -> str | None:
        """The id of another client; None if there are too many."""
        here = sum(client.address == address for client in self._clients.values())
        if len(self._clients) >= MOST_CLIENTS or here >= MOST_OF_ADDRESS:
            return None
        client = Client(self._new_id(), address, bucket=Bucket(at=now))
        self._clients[client.client_id] = client
        return client.client_id

    def leave(self, client_id: str) -> list[Told]:
        """A client is gone; its calls are over."""
        gone = self._clients.pop(client_id, None)
        if gone is None:
            return []
        callers = {each.client_id for each in self._clients.values() if client_id in each.called}
        for client in self._clients.values():
            client.talks.discard(client_id)
            client.called.discard(client_id)
        others = sorted((gone.talks | gone.called | callers) & set(self._clients))
        return [Told(other, {"type": "call_ended", **gone.shown_as("peer")}) for other in others]

    @property
    def client_list(self) -> Mapping[str, Any]:
        """The message that tells who is here."""
        users = [
            {"id": each.client_id, "ip": each.address, "username": each.username} for each in self._clients.values()
        ]
        return {"type": "client_list", "clients": [user["ip"] for user in users], "users": users}

    # --- what they say --------------------------------------------------------------------------------------------

    def receive(self, client_id: str, text: str, now: float) -> list[Told]:
        """What a client's text leads to. Whatever it is, it is responded to, and ends nothing."""
        client = self._clients.get(client_id)
        if client is None:
            return []
        try:
            if not client.bucket.take(now):
                raise BadRequest("Too many messages")
            asked = json.loads(text)
            if not isinstance(asked, dict):
                raise BadRequest("A message is an object")
            verb = self._verbs.get(str(asked.get("type")))
            if verb is None:
                raise BadRequest(f"Unknown type {_shown(asked.get('type'))}")
            return verb(client, asked)
        except (ValueError, RecursionError):
            return [Told(client_id, {"type": "error", "message": "Not JSON"})]
        except BadRequest as error:
            return [Told(client_id, {"type": "error", "message": str(error)})]

    def _register(self, client: Client, asked: Mapping[str, Any]) -> list[Told]:
        name = asked.get("username")
        if not isinstance(name, str):
            raise BadRequest("username is missing")
        client.username = checked_name(name)
        return [Told(client.client_id, {"type": "registered", "id": client.client_id, "username": client.username})]

    def _request(self, client: Client, asked: Mapping[str, Any]) -> list[Told]:
        target = self._named(asked, "target", "Client", client)
        if target.client_id not in client.called and len(client.called) >= MOST_REQUESTS:
            raise BadRequest("Too many calls are requested")
        client.called.add(target.client_id)
        return [
            Told(target.client_id, {"type": "incoming_call", **client.shown_as("from")}),
            Told(client.client_id, {"type": "call_request_sent", **target.shown_as("to")}),
        ]

    def _accept(self, client: Client, asked: Mapping[str, Any]) -> list[Told]:
        caller = self._caller(client, asked)
        caller.called.discard(client.client_id)
        client.called.discard(caller.client_id)  # both had called each other
        caller.talks.add(client.client_id)
        client.talks.add(caller.client_id)
        return self._both("call_accepted", client, caller)

    def _reject(self, client: Client, asked: Mapping[str, Any]) -> list[Told]:
        caller = self._caller(client, asked)
        caller.called.discard(client.client_id)
        return self._both("call_rejected", client, caller)

    def _end(self, client: Client, asked: Mapping[str, Any]) -> list[Told]:
        peers = client.talks | client.called
        peer = self._named(asked, "peer", "Peer", client, lambda each: each.client_id in peers)
        if peer.client_id not in peers:
            raise BadRequest(f"There is no call with {_name(asked, 'peer')}")
        client.talks.discard(peer.client_id)
        client.called.discard(peer.client_id)
        peer.talks.discard(client.client_id)
        return self._both("call_ended", client, peer)

    def _caller(self, client: Client, asked: Mapping[str, Any]) -> Client:
        """The one whose request the client speaks of: of several at one address the one that has called."""
        caller = self._named(asked, "caller", "Caller", client, lambda each: client.client_id in each.called)
        if client.client_id not in caller.called:
            raise BadRequest(f"Caller {_name(asked, 'caller')} has not called")
        return caller

    def _named(
        self,
        asked: Mapping[str, Any],
        role: str,
        shown: str,
        client: Client,
        preferred: Callable[[Client], bool] = lambda each: True,
    ) -> Client:
        """Whom a message names, by id or by address, which is another than the client itself."""
        client_id, address = asked.get(f"{role}_id"), asked.get(f"{role}_ip")
        if client_id is not None:
            found = [self._clients[client_id]] if isinstance(client_id, str) and client_id in self._clients else []
        else:
            found = [each for each in self._clients.values() if each.address == address]
        found = [each for each in found if each is not client]
        if not found:
            raise BadRequest(f"{shown} {_name(asked, role)} not found")
        return next((each for each in found if preferred(each)), found[0])

    @staticmethod
    def _both(kind: str, client: Client, other: Client) -> list[Told]:
        return [
            Told(client.client_id, {"type": kind, **other.shown_as("peer")}),
            Told(other.client_id, {"type": kind, **client.shown_as("peer")}),
        ]


def _name(asked: Mapping[str, Any], role: str) -> str:
    return _shown(asked.get(f"{role}_id", asked.get(f"{role}_ip")))


def _shown(value: object) -> str:
    """What a client wrote, for it to read."""
    return printable(str(value)[:LONGEST_TEXT])
