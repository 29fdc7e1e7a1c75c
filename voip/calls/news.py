"""What happens in a call and changes nothing of it: it rings, a key is pressed, the peer shows that it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.calls.table import CallTable
from voip.report import Console
from voip.sip import CallRinging, DigitPressed, PeerAlive


class CallNews:
    """Tells of it, and notes it. Network thread only."""

    def __init__(self, table: CallTable, console: Console, now: Callable[[], float]) -> None:
        self._table, self._console, self._now = table, console, now

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the events of these types."""
        return {CallRinging: self._on_ringing, DigitPressed: self._on_digit, PeerAlive: self._on_alive}

    def _on_ringing(self, event: CallRinging) -> None:
        call = self._table.get(event.call_id)
        if call is not None:
            self._console.say(0, f"{call.record.peer}: {event.status} {event.reason}")

    def _on_digit(self, event: DigitPressed) -> None:
        if self._table.get(event.call_id) is not None:
            text = f"key {event.digit}   pressed"
            self._console.event("dtmf", text, call_id=event.call_id, digit=event.digit, duration_ms=None)

    def _on_alive(self, event: PeerAlive) -> None:
        call = self._table.get(event.call_id)
        if call is not None:
            call.note_alive(self._now())
