"""What must be true of each side of a call of `virtual_calls` when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.call import check
from voip.calls import Outcome
from voip.report import CallRecord

if TYPE_CHECKING:
    from tests.support.virtual_calls import Party

BY_US = ("cancelled", "local-bye")
"""Why a call has ended that our user has ended."""


def check_record(record: CallRecord, outcome: Outcome, party: Party) -> None:
    assert record.end_reason or outcome.status, "an end without a reason"
    assert record.media is not None or not record.rx, "sound without an agreement"
    if record.rx is not None:
        check(record.rx)
        assert record.rx.received <= party.heard, "more was received than came"
    if not record.incoming and outcome.status == 0 and record.end_reason not in BY_US:
        assert record.media is not None, "a call without media that went well"
    if party.required and record.media is not None:
        assert record.media.security is not None, "in clear where encryption is required"


def check_empty(party: Party) -> None:
    """Nothing is kept of calls that are long over."""
    agent, loop = party.agent, party.network.loop
    moment = loop.now()
    for _ in range(4):
        moment += 64.0
        agent.handle_timer(moment)
        agent.messages_to_send(moment)
    core = agent._core
    assert (len(agent._calls), len(core.clients), len(core.servers), len(core.timers)) == (0, 0, 0, 0)
    assert set(loop.participants) == {party.network.sip, party.network.timers}
    assert not party.busy


def check_keys(one: Party, other: Party) -> None:
    """Where both have had keys, those of the one are those of the other."""
    if one.keys and other.keys:
        ours = {(keys.local, keys.remote) for keys in one.keys}
        theirs = {(keys.remote, keys.local) for keys in other.keys}
        assert ours & theirs, "keys that the other side has not"
