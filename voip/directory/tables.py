"""The tables of the directory as the newest of `schema/versions` leaves them, and their rows as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Boolean, Column, Float, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Row

from voip.directory.calls import Call, LastingDialog
from voip.directory.location import Binding
from voip.directory.persistence import SaveBindings
from voip.directory.users import User
from voip.printable import one_line
from voip.sip.address import Address
from voip.sip.uri import SipUri

METADATA = MetaData()
FACTS = Table("facts", METADATA, Column("name", String, primary_key=True), Column("value", Text, nullable=False))
USERS = Table(
    "users",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("ha1", String),
    Column("room", Boolean, nullable=False),
)
CALLS = Table(
    "calls",
    METADATA,
    Column("id", String, primary_key=True),
    Column("caller_id", String, nullable=False),
    Column("callee_id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("peer", Text, nullable=False),
    Column("sip_call_id", Text, nullable=False),
    Column("began", Float, nullable=False),
    Column("answered", Float, nullable=False),
    Column("ended", Float, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("exchange", Text),
    Column("dialogs", Text),
)
BINDINGS = Table(
    "bindings",
    METADATA,
    Column("name", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("expires", Float, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("cseq", Float, nullable=False),
    Column("q", Float, nullable=False),
    Column("flow", Text),
    Column("instance", Text, nullable=False),
)
LONGEST_KEPT = 1000
"""Characters of an address or a reason that come from elsewhere."""


def user_row(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.name, "ha1": user.ha1, "room": user.room}


def read_user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.ha1, row.room)


def call_row(call: Call) -> dict[str, Any]:
    """Text that others have made is escaped: no database takes all that JSON may have in it."""
    exchange = {"offer": call.offer, "answer": call.answer, "candidates": {**call.candidates}}
    return {
        "id": call.id,
        "caller_id": call.caller_id,
        "callee_id": call.callee_id,
        "status": call.status,
        "peer": _kept(call.peer),
        "sip_call_id": call.sip_call_id,
        "began": call.began,
        "answered": call.answered,
        "ended": call.ended,
        "reason": _kept(call.reason),
        "exchange": json.dumps(exchange) if any(exchange.values()) else None,
        "dialogs": _json(call.dialogs) if call.dialogs else None,
    }


def read_call(row: Row[Any]) -> Call:
    exchange: Mapping[str, Any] = json.loads(row.exchange) if row.exchange else {}
    candidates = {user_id: tuple(each) for user_id, each in exchange.get("candidates", {}).items()}
    return Call(
        row.id,
        row.caller_id,
        row.callee_id,
        row.status,
        row.peer,
        row.sip_call_id,
        row.began,
        row.answered,
        row.ended,
        row.reason,
        exchange.get("offer"),
        exchange.get("answer"),
        MappingProxyType(candidates),
        tuple(LastingDialog(tuple(tags), until) for tags, until in json.loads(row.dialogs or "[]")),
    )


def binding_rows(saved: SaveBindings) -> list[dict[str, Any]]:
    return [
        {
            "name": saved.name.casefold(),
            "position": position,
            "uri": _json(str(binding.uri)),
            "expires": binding.expires,
            "call_id": _json(binding.call_id),
            "cseq": float(binding.cseq),
            "q": binding.q,
            "flow": None if binding.flow is None else _json([*_parts(binding.flow)]),
            "instance": _json(binding.instance),
        }
        for position, binding in enumerate(saved.bindings)
    ]


def read_binding(row: Row[Any]) -> Binding:
    return Binding(
        SipUri.parse(json.loads(row.uri)),
        row.expires,
        json.loads(row.call_id),
        int(row.cseq),
        row.q,
        None if row.flow is None else Address(*json.loads(row.flow)),
        json.loads(row.instance),
    )


def _parts(address: Address) -> tuple[str, str, int]:
    return address.protocol, address.host, address.port


def _json(value: object) -> str:
    """ASCII, whatever is in it."""
    return json.dumps(value)


def _kept(text: str) -> str:
    return one_line(text[:LONGEST_KEPT]).replace("\t", " ")
