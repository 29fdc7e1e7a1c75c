"""What is told of SIP messages that are malformed: nothing is dropped in silence (RFC 3261 section 8.2.2, 18.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.report import Console
from voip.sip import Address, FieldsPassedOver, MessageUnreadable, RequestEchoed

UNREADABLE_RESPONSE = "unreadable_response"
"""The cause that the warning has: a request of ours may go without its response."""
MOST_PLACES = 64
"""Places that are remembered, and told of; a program that calls has a few."""
TOLD_OF_DROPPED, TOLD_OF_PASSED_OVER = 1, 2
"""Verbosity: `-v`, and `-vv`."""


class MalformedMessages:
    """A line for each, at the verbosity that it is worth."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._not_sip: set[str] = set()
        """The places of which it was said that they are no SIP program."""

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            MessageUnreadable: self._on_unreadable,
            RequestEchoed: self._on_echoed,
            FieldsPassedOver: self._on_passed_over,
        }

    def _on_unreadable(self, event: MessageUnreadable) -> None:
        place = f"{event.source.host}:{event.source.port}"
        text = f"{event.start!r} of {place} cannot be read and is dropped: {event.reason}"
        if event.not_sip:
            self._say_not_sip(event.source, f"responds with {event.start!r}, which is not SIP")
            self._console.say(TOLD_OF_DROPPED, text)
        elif event.expected:
            self._console.warning(UNREADABLE_RESPONSE, text)
        else:
            self._console.say(TOLD_OF_DROPPED, text)

    def _on_echoed(self, event: RequestEchoed) -> None:
        self._say_not_sip(event.source, "sends our own requests back, as an echo server does")
        self._console.say(TOLD_OF_DROPPED, f"{event.start!r} is our own request, sent back, and is dropped")

    def _say_not_sip(self, source: Address, what: str) -> None:
        """Once for each place: requests are retransmitted."""
        place = f"{source.protocol.upper()} port {source.port} of {source.host}"
        if place not in self._not_sip and len(self._not_sip) < MOST_PLACES:
            self._not_sip.add(place)
            text = f"{place} {what}: another program is there; check the address and the port"
            self._console.warning("not-sip", text)

    def _on_passed_over(self, event: FieldsPassedOver) -> None:
        problems = "; ".join(event.problems)
        self._console.say(TOLD_OF_PASSED_OVER, f"passed over in {event.start!r} of {event.source.host}: {problems}")
