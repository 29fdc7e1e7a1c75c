"""Whether calls that come in are answered: at once, when a person says so, or never (RFC 3261 sections 8.2.5, 21.6.2).

A call that a person is asked about rings (180). Who declines it, or leaves the question alone for too long, refuses it
with 603: the caller is not to try elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voip.calls.address_change import find_public_address
from voip.calls.call import Answer, Call
from voip.calls.media_names import MediaNames
from voip.calls.table import CallTable
from voip.errors import NegotiationError
from voip.net import Network
from voip.report import Console
from voip.sip import UserAgent

ASKED_FOR = 25.0
"""Seconds that a call rings for at most: shortly before callers give up, which wait for 30 s and more, so that they
learn that it was declined."""
DECLINE = 603
"""RFC 3261 section 21.6.2."""


class Answering:
    """Answers, rings or refuses. Network thread only, except for `ringing`."""

    def __init__(
        self,
        rule: Answer,
        network: Network,
        agent: UserAgent,
        table: CallTable,
        names: MediaNames,
        console: Console,
        accept: Callable[[Call, bytes], None],
    ) -> None:
        """`accept(call, offer)` answers a call, once the names in its offer are known."""
        self._rule, self._network, self._agent, self._table = rule, network, agent, table
        self._names, self._console, self._accept = names, console, accept
        self.ringing: tuple[tuple[str, str], ...] = ()
        """Call-ID and peer of each call that rings, the oldest first; replaced whole. Any thread may read it."""

    def check(self) -> None:
        """NegotiationError if no call is answered."""
        if self._rule is Answer.DENY:
            raise NegotiationError("calls are declined (--answer deny)", DECLINE)

    def receive(self, call: Call) -> None:
        """A call has come in, and is in the table."""
        if self._rule is Answer.AUTO:
            self.answer(call.call_id)
            return
        self._agent.ring(call.call_id, self._network.loop.now())
        text = f"{call.record.peer} is calling: y answers, n declines"
        self._console.event("ringing", text, call_id=call.call_id, peer=call.record.peer)
        self.look()
        self._network.loop.call_later(ASKED_FOR, partial(self._time_out, call))

    def answer(self, call_id: str) -> None:
        """Answer a call that rings; does nothing in any other state."""
        call = self._table.get(call_id)
        if call is not None and (offer := call.take_offer()) is not None:
            self.look()
            accept = partial(self._names.resolve, call, offer, partial(self._accept, call))
            find_public_address(self._network, call, accept)

    def decline(self, call_id: str, why: str = "declined") -> None:
        """Refuse a call that rings; does nothing in any other state."""
        call = self._table.get(call_id)
        if call is not None and call.rings:
            self._console.say(0, f"{call.record.peer}: {why}")
            self._agent.reject(call_id, DECLINE, self._network.loop.now())

    def look(self) -> None:
        """Bring `ringing` up to date: a caller may have given up."""
        self.ringing = tuple((call.call_id, call.record.peer) for call in self._table if call.rings)

    def _time_out(self, call: Call) -> None:
        if call in self._table:
            self.decline(call.call_id, f"not answered for {ASKED_FOR:.0f} s, declined")
