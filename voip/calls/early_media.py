"""Sound that comes before a call is answered (RFC 3960 section 3.2): announcements, ring-back, why the call fails.

It is played where anything is; ours is not sent before the 200.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.calls.call_media import CallMedia
from voip.calls.table import CallTable
from voip.errors import NegotiationError, ProtocolError
from voip.report import Console
from voip.sip import EarlyAnswer


class EarlyMedia:
    """Plays the early media of calls that we make. Network thread only. `plays`: there is something to play it on."""

    def __init__(self, table: CallTable, media: CallMedia, console: Console, *, plays: bool) -> None:
        self._table, self._media, self._console, self._plays = table, media, console, plays

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the user agent's events."""
        return {EarlyAnswer: self.on_early_answer}

    def on_early_answer(self, event: EarlyAnswer) -> None:
        """A callee has described its media; the first one of a call is listened to."""
        call = self._table.get(event.call_id)
        if call is None or call.lines or call.ending is not None or not self._plays:
            return
        try:
            media = call.negotiation.preview(event.answer)
        except (ProtocolError, NegotiationError) as error:
            self._console.say(1, f"{call.record.peer} offers early media that cannot be used: {error}")
            return
        self._media.begin_early(call, media)
        self._console.say(1, f"{call.record.peer}: early media is played")
