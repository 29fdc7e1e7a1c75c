"""Containing our own bugs: a bug costs the message or the call that triggers it, never the program."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from voip.errors import NegotiationError, ProtocolError, VoipError

MAX_TOLD = 8
"""Failures reported to the user, one per line of code: a peer that can trigger them must not fill a log."""


class Failures:
    """Counts failures and reports each once: one line, and the traceback from verbosity 1 on."""

    def __init__(self, say: Callable[[int, str], None]) -> None:
        self._say = say
        self.count = 0
        self._told: set[tuple[str, int]] = set()

    def run(self, what: str, function: Callable[..., object], *args: object) -> bool:
        """Call `function(*args)`; whether it succeeded. What it raises is reported as the failure of `what`, apart
        from the errors that are meant to end the program: of devices, of our own network and options."""
        try:
            function(*args)
        except (ProtocolError, NegotiationError) as error:  # of a peer, and should have been dealt with
            self.note(what, error)
            return False
        except VoipError:
            raise
        except Exception as error:
            self.note(what, error)
            return False
        return True

    def note(self, what: str, error: Exception) -> None:
        """Report that `what` was dropped because of this exception, which is being handled."""
        self.count += 1
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = (last.filename, last.lineno or 0)
        if place in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add(place)
        self._say(0, f"{what} was dropped: {type(error).__name__} (a bug; -v shows where): {error}")
        self._say(1, "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())
