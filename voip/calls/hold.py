"""Hold and resume, asked for by our user (RFC 3264 section 8.4, RFC 6337 section 5.3).

There is no music on hold: the session is offered as inactive, and our sound stops at once, whatever the peer responds.
"""

from __future__ import annotations

from dataclasses import replace

from voip.calls.call import Call
from voip.calls.call_media import CallMedia
from voip.calls.table import CallTable
from voip.media import Direction
from voip.net import Network
from voip.report import Console
from voip.sip import UserAgent


class Hold:
    """Puts calls that are up on hold, or resumes them. Network thread only."""

    def __init__(
        self, network: Network, agent: UserAgent, table: CallTable, media: CallMedia, console: Console
    ) -> None:
        self._network, self._agent, self._table, self._media, self._console = network, agent, table, media, console

    def toggle(self, call_id: str | None = None) -> None:
        """Resume if every call that is up is on hold, else hold them all; with a Call-ID the same of that one."""
        up = [call for call in self._table if call.signalled and call.established is not None and call.ending is None]
        if call_id is not None:
            up = [call for call in up if call.call_id == call_id]
        if not up:
            self._console.say(0, "no call is up that could be held")
            return
        held = not all(call.negotiation.held for call in up)
        for call in up:
            if call.negotiation.held != held:
                self._ask(call, held)

    def _ask(self, call: Call, held: bool) -> None:
        offer = call.negotiation.hold(held)
        if offer is None:
            return
        if held and call.lines:
            self._media.renegotiate(call, replace(call.lines[0].media, direction=Direction.INACTIVE))
        self._agent.reinvite(call.call_id, offer, self._network.loop.now())
        text = f"{call.record.peer} is on hold; press h to resume" if held else f"{call.record.peer} is no longer held"
        self._console.event("hold", text, call_id=call.call_id, held=held)
