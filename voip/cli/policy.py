"""What each script does when a call is over: go on, or exit, and with which status."""

from __future__ import annotations

from voip.calls import CallManager, Outcome, PlainSource
from voip.engine import Shutdown
from voip.errors import EXIT_AUTHENTICATION, EXIT_OK
from voip.report import CallRecord, Console


class ExitAfterLastCall:
    """The sender's: it exits when its last call is over, with the status of the first that failed.

    While others go on, what a failed one came to is told at once.
    """

    def __init__(self, shutdown: Shutdown, console: Console) -> None:
        self._shutdown, self._console = shutdown, console
        self._worst = Outcome()

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        if outcome.status != EXIT_OK and manager.calls:
            self._console.say(0, outcome.error)
        if self._worst.status == EXIT_OK:
            self._worst = outcome
        if not manager.calls:
            self._shutdown.request(self._worst.status, self._worst.error or None)

    def on_account_refused(self, error: str) -> None:
        self._shutdown.request(EXIT_AUTHENTICATION, error)


class WaitForNextCall:
    """The receiver's: it goes on for ever, or, with `once`, until a call has come to media and no other is left.

    With a `stream` without signalling it waits for the next one in place of a call.
    """

    def __init__(self, shutdown: Shutdown, *, once: bool, stream: PlainSource | None = None) -> None:
        self._shutdown, self._once, self._stream = shutdown, once, stream

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        if self._once:
            if not manager.calls and (record.media is not None or self._stream is not None):
                self._shutdown.request(outcome.status, outcome.error or None)
        elif self._shutdown.requested():  # the call that our exit has ended: the exit status tells of it
            self._shutdown.request(outcome.status, outcome.error or None)
        elif self._stream is not None:
            manager.await_stream(self._stream)

    def on_account_refused(self, error: str) -> None:
        self._shutdown.request(EXIT_AUTHENTICATION, error)
