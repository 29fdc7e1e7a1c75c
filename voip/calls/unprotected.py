"""Calls that cannot be encrypted as was agreed on: no handshake, the wrong certificate, another password (RFC 5763)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voip.calls.call import Call
from voip.calls.outcome import Outcome
from voip.calls.table import CallTable
from voip.errors import EXIT_AUTHENTICATION, EXIT_NO_MEDIA
from voip.net import Network
from voip.report import Console
from voip.sip import UserAgent

BYE_TIMEOUT = 4.0
"""Seconds that the response to a BYE may take when nothing else is left to do: three repetitions (RFC 3261, timer E).
A peer that does not respond may have left before us."""
BYE_AFTER = 0.2
"""Seconds from the end of the association to our BYE: the peer is to read first what ended it, on its media port, and
so learn why."""


class UnprotectedCalls:
    """Ends them with a line that says why: a call without a sound is of no use. Network thread only."""

    def __init__(
        self, network: Network, agent: UserAgent, table: CallTable, console: Console, close: Callable[[Call], None]
    ) -> None:
        """`close` is called with a call whose peer does not respond to its end."""
        self._network, self._agent, self._table, self._console, self._close = network, agent, table, console, close

    def end(self, call: Call, reason: str, is_identity: bool) -> None:
        """`reason` is for people; `is_identity`: the peer is not who it should be."""
        if call not in self._table or call.ending is not None or call.failure is not None:
            return
        if call.established is None:  # early media, or the answer comes in a moment and says the same
            self._console.say(1, f"early media of {call.record.peer} cannot be decrypted: {reason}")
            return
        text = f"no encryption with {call.record.peer}: {reason}"
        if call.record.incoming:
            self._console.say(0, text)
        call.fail(Outcome(EXIT_AUTHENTICATION if is_identity else EXIT_NO_MEDIA, text))
        self._network.loop.call_later(BYE_AFTER, partial(self._hang_up, call))

    def _hang_up(self, call: Call) -> None:
        if call in self._table and call.ending is None:
            self._agent.hang_up(call.call_id, self._network.loop.now())
            self._network.loop.call_later(BYE_TIMEOUT, partial(self._close, call))
