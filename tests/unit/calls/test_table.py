"""A caller that was lost without a BYE may call again: which call makes room for it, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest

from voip.calls import CallTable
from voip.calls.call import Call
from voip.media import Direction
from voip.sip import Address, NameAddr, SipUri

PEER = Address("udp", "192.0.2.2", 5060)
CALLER = NameAddr(SipUri.parse("sip:anna@192.0.2.2"))


@dataclass
class UpCall:
    established: float | None
    last_heard: float | None
    call_id: str = "x"
    remote_host: str = "192.0.2.2"
    caller_user: str = "anna"

    @property
    def lines(self) -> list[object]:
        return [SimpleNamespace(media=SimpleNamespace(direction=Direction.SENDRECV))]


@pytest.mark.parametrize(
    ("established", "last_heard", "abandoned"),
    [
        (10.0, 99.9, False),
        (10.0, 99.0, True),
        (99.0, None, False),  # its first packet may be on its way
        (97.0, None, True),  # it gave up before our 200 arrived
        (None, None, False),  # it rings
    ],
)
def test_a_silent_call_makes_room_for_the_next_of_its_caller(
    established: float | None, last_heard: float | None, abandoned: bool
) -> None:
    table = CallTable(lambda: 100.0)
    table.add(cast(Call, UpCall(established, last_heard)))
    assert table.is_abandoned("x", PEER, CALLER) is abandoned
    assert not table.is_abandoned("x", Address("udp", "192.0.2.3", 5060), CALLER)
