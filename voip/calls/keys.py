"""DTMF digits that are sent while a call is up, besides those of the options (RFC 4733)."""

from __future__ import annotations

from voip.calls.table import CallTable


class TelephoneKeys:
    """Presses keys in a call. Network thread only."""

    def __init__(self, table: CallTable) -> None:
        self._table = table

    def press(self, call_id: str, keys: str) -> None:
        """Send these digits to the peer of a call; nothing if it is over. ValueError for what is none."""
        call = self._table.get(call_id)
        for line in [] if call is None else call.lines:
            if line.send is not None:
                line.send.press(keys)
