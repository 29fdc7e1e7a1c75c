"""Texts between people (MESSAGE, RFC 3428): shown as they come, sent to those who are in a call with us.

What a peer has written is shown and nothing else. Each of its lines stands behind a mark, so that none can be taken
for a line of this program.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from voip.calls.call import Call
from voip.calls.table import CallTable
from voip.printable import one_line
from voip.report import Console
from voip.sip import NameAddr, TextReceived, TextSent, UserAgent

MARK = "  | "
"""Before each line of a text."""
WIDTH = 100
"""Characters of a line of a text; the rest of it goes to the next."""
MOST_LINES = 20
"""Lines of a text that are shown: the JSON event has them all."""
LONGEST_NAME = 200
"""Characters of the name of who has sent it: a From may have 60 kB."""


class _Sent(NamedTuple):
    peer: str
    text: str


class Texts:
    """Shows what comes, and sends. Network thread only; `wall_clock`: seconds since 1970."""

    def __init__(
        self,
        agent: UserAgent,
        table: CallTable,
        console: Console,
        now: Callable[[], float],
        *,
        first: str = "",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`first` is sent in each call of ours as soon as it is up; "" for none."""
        self._agent, self._table, self._console = agent, table, console
        self._now, self._wall_clock, self._first = now, wall_clock, first
        self._under_way: dict[str, _Sent] = {}
        self._greeted: set[str] = set()  # who has `first`: a call that is made again after a loss is no other call

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """What takes the user agent's events."""
        return {TextReceived: self._on_received, TextSent: self._on_sent}

    def begin(self, call: Call) -> None:
        """A call is up."""
        if self._first and not call.record.incoming and call.record.peer not in self._greeted:
            self._send(call, self._first)

    def say(self, text: str) -> None:
        """Send it to the peer of each call that is up."""
        up = [call for call in self._table if call.signalled and call.established is not None and call.ending is None]
        for call in up:
            self._send(call, text)
        if not up:
            self._console.say(0, "the text was not sent: no call is up")

    def _send(self, call: Call, text: str) -> None:
        text_id = self._agent.send_text(call.call_id, text, self._now())
        if text_id is None:
            self._console.say(0, f"the text was not sent to {call.record.peer}: the call is not up yet")
        else:
            self._under_way[text_id] = _Sent(call.record.peer, text)

    def _on_received(self, event: TextReceived) -> None:
        call = self._table.get(event.call_id)
        name = sender_name(event.sender) if call is None else call.record.peer
        expired = event.expires_at is not None and self._wall_clock() > event.expires_at
        note = f" ({event.source.host}, without a call)" if call is None else ""
        late = ", which came after its time" if expired else ""
        self._console.event(
            "text",
            f"text from {one_line(name)}{note}{late}:\n{quoted(event.text)}",
            call_id=event.call_id or None,
            peer=name,
            source=event.source.host,
            message=event.text,
            expired=expired,
        )

    def _on_sent(self, event: TextSent) -> None:
        sent = self._under_way.pop(event.text_id, None)
        if sent is not None:
            if event.delivered and sent.text == self._first:
                self._greeted.add(sent.peer)
            tell_of_sent(self._console, event, sent.peer, sent.text)


def tell_of_sent(console: Console, event: TextSent, peer: str, text: str, *, aloud: bool = True) -> None:
    """What became of a text of ours; without a line for people if not `aloud`."""
    said = f"{event.status or ''} {event.reason}".strip()
    fate = "delivered to" if event.delivered else "not delivered to"
    line = f"text {fate} {peer}" + (f":\n{quoted(text)}" if event.delivered else f": {one_line(said)}")
    console.event(
        "text-sent",
        line if aloud else None,
        call_id=event.call_id or None,
        peer=peer,
        message=text,
        delivered=event.delivered,
        status=event.status,
        reason=event.reason,
    )


def sender_name(sender: NameAddr) -> str:
    """Who says to have sent a text, for people."""
    shown = f"{sender.display} <{sender.uri}>" if sender.display else str(sender.uri)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}..."


def quoted(text: str) -> str:
    """The lines of a text behind their mark, the first MOST_LINES of them."""
    lines = [
        line[start : start + WIDTH]
        for line in text.rstrip("\n").split("\n")
        for start in range(0, max(len(line), 1), WIDTH)
    ]
    shown = [MARK + line for line in lines[:MOST_LINES]]
    hidden = len(lines) - len(shown)
    return "\n".join(shown + ([f"{MARK}... ({hidden} more lines)"] if hidden else []))
