"""What is told of SIP messages that are malformed: nothing is dropped in silence (RFC 3261 section 8.2.2, 18.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voip.report import Console
from voip.sip import FieldsPassedOver, MessageUnreadable

UNREADABLE_RESPONSE = "unreadable_response"
"""The cause that the warning has: a request of ours may go without its response."""
TOLD_OF_DROPPED, TOLD_OF_PASSED_OVER = 1, 2
"""Verbosity: `-v`, and `-vv`."""


class MalformedMessages:
    """A line for each, at the verbosity that it is worth."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        return {MessageUnreadable: self._on_unreadable, FieldsPassedOver: self._on_passed_over}

    def _on_unreadable(self, event: MessageUnreadable) -> None:
        place = f"{event.source.host}:{event.source.port}"
        text = f"{event.start!r} of {place} cannot be read and is dropped: {event.reason}"
        if event.expected:
            self._console.warning(UNREADABLE_RESPONSE, text)
        else:
            self._console.say(TOLD_OF_DROPPED, text)

    def _on_passed_over(self, event: FieldsPassedOver) -> None:
        problems = "; ".join(event.problems)
        self._console.say(TOLD_OF_PASSED_OVER, f"passed over in {event.start!r} of {event.source.host}: {problems}")
