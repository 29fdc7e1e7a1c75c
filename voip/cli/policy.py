"""What each script does when a call is over: call again, go on, or exit, and with which status."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from voip.calls import CallManager, Outcome, PlainSource, Retries, RetryRule
from voip.cli.outcomes import TargetOutcomes
from voip.engine import Shutdown
from voip.errors import EXIT_AUTHENTICATION, EXIT_NO_ANSWER, EXIT_NO_MEDIA, EXIT_OK
from voip.report import CallRecord, Console, TargetRecord
from voip.sip import SipUri


class Redial:
    """Calls targets again whose calls were lost, after a pause. Network thread only."""

    def __init__(
        self,
        rule: RetryRule,
        targets: Iterable[SipUri],
        console: Console,
        *,
        call_later: Callable[[float, Callable[[], None]], None],
        now: Callable[[], float],
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.SystemRandom()
        self._targets = {str(target): (target, Retries(rule, rng)) for target in targets}
        self._console, self._call_later, self._now = console, call_later, now
        self._failures: dict[str, Outcome] = {}
        self._waiting: list[tuple[str, Outcome]] = []
        self._stopped = False

    @property
    def pending(self) -> bool:
        """Whether a call is going to be made."""
        return bool(self._waiting)

    def call_again(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> bool:
        """Whether the target of this call is called again; the user is told when."""
        if self._stopped or not outcome.passing or record.peer not in self._targets:
            return False
        target, retries = self._targets[record.peer]
        pause = retries.pause(None if record.media is None else record.duration, self._now())
        if pause is None:
            return False
        failure = self._failures[record.peer] = self._cause(record, outcome)
        waits = (record.peer, failure)
        self._waiting.append(waits)
        reason = outcome.error or f"{record.peer} no longer knows the call"
        self._console.event(
            "retry",
            f"calling again in {pause:.1f} s: {reason}",
            call_id=record.call_id or None,
            peer=record.peer,
            number=retries.number,
            in_s=round(pause, 3),
            reason=reason,
        )

        def dial() -> None:
            if not self._stopped:
                self._waiting.remove(waits)
                manager.dial(target, again=True)

        self._call_later(pause, dial)
        return True

    def _cause(self, record: CallRecord, outcome: Outcome) -> Outcome:
        """What the program ends with if no try succeeds: that a call was lost counts more than why tries fail."""
        before = self._failures.get(record.peer)
        lost = before is not None and before.status == EXIT_NO_MEDIA
        return before if before is not None and lost and record.media is None else outcome

    def failure(self, record: CallRecord) -> Outcome | None:
        """What a try without success leaves as it was: the failure before it; None for a call that came to media."""
        return self._failures.get(record.peer) if record.media is None else None

    def stop(self) -> list[tuple[str, Outcome]]:
        """Make no more calls; the targets that were going to be called, and why."""
        self._stopped = True
        waiting, self._waiting = self._waiting, []
        return waiting


class ExitAfterLastCall:
    """The sender's: it exits when its last call is over, with the most serious status of its targets.

    Of several, what a failed one came to is told at once. What was lost is called again, as `redial` says.
    """

    def __init__(
        self,
        shutdown: Shutdown,
        console: Console,
        redial: Redial,
        targets: Iterable[str] = (),
        on_over: Callable[[str], object] = lambda peer: None,
    ) -> None:
        """`targets`: all that are called, as the records of their calls name them; `on_over` is told the target of each
        call that is over."""
        self._shutdown, self._console, self._redial, self._on_over = shutdown, console, redial, on_over
        self._outcomes = TargetOutcomes(targets)
        self._input_ended = False

    @property
    def targets(self) -> tuple[TargetRecord, ...]:
        """What each came to. For any thread, after the network thread has ended."""
        return self._outcomes.records

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        self._on_over(record.peer)
        if self._shutdown.requested():
            self._give_up(self._redial.stop())
        elif self._redial.call_again(manager, record, outcome):
            return
        if outcome.status == EXIT_OK:
            outcome = self._redial.failure(record) or self._unheard(record) or outcome
        self._note(record.peer, outcome)
        self._end_after_last(manager)

    def on_input_ended(self, manager: CallManager) -> None:
        """There is nothing left to send, or the program is to end: hang up, and make no more calls.

        A call that was lost, and had not come back by then, was lost for good, whoever has asked to end.
        """
        self._input_ended = True
        lost = self._redial.stop()
        self._give_up(lost)
        manager.finish()
        if lost:
            self._end_after_last(manager)

    def on_account_refused(self, error: str) -> None:
        self._shutdown.request(EXIT_AUTHENTICATION, error)

    def _give_up(self, lost: Iterable[tuple[str, Outcome]]) -> None:
        for target, outcome in lost:
            self._note(target, outcome)

    def _unheard(self, record: CallRecord) -> Outcome | None:
        """What it means for one of several that nothing went wrong: its call was still ringing when the others, or the
        sound, came to an end. Of a single call only its user can have ended that."""
        if not self._outcomes.several:
            return None
        if record.media is None:
            return Outcome(EXIT_NO_ANSWER, f"{record.peer} had not answered when the program ended")
        if self._input_ended and record.media.direction.sends and not (record.tx and record.tx.packets):
            return Outcome(EXIT_NO_MEDIA, f"{record.peer} answered when the sound had ended")
        return None

    def _note(self, target: str, outcome: Outcome) -> None:
        self._outcomes.note(target, outcome)
        if outcome.status != EXIT_OK and self._outcomes.several:
            self._console.say(0, outcome.error)

    def _end_after_last(self, manager: CallManager) -> None:
        if self._outcomes.complete and not manager.calls and not self._redial.pending:
            overall = self._outcomes.overall
            self._shutdown.request(overall.status, overall.error or None)


class WaitForNextCall:
    """The receiver's: it goes on for ever, or, with `once`, until a call has come to media and no other is left.

    With a `stream` without signalling it waits for the next one in place of a call.
    """

    def __init__(
        self,
        shutdown: Shutdown,
        *,
        once: bool,
        stream: PlainSource | None = None,
        on_over: Callable[[CallRecord], object] = lambda record: None,
    ) -> None:
        """`on_over` is given the record of each call that is over."""
        self._shutdown, self._once, self._stream, self._on_over = shutdown, once, stream, on_over

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        self._on_over(record)
        if self._once:
            if not manager.calls and (record.media is not None or self._stream is not None):
                self._shutdown.request(outcome.status, outcome.error or None)
        elif self._shutdown.requested():  # the call that our exit has ended: the exit status tells of it
            self._shutdown.request(outcome.status, outcome.error or None)
        elif self._stream is not None:
            manager.await_stream(self._stream)

    def on_account_refused(self, error: str) -> None:
        self._shutdown.request(EXIT_AUTHENTICATION, error)


class WaitForPage:
    """The sender's with a page, or that the directory has call: the program goes on until it is told to stop."""

    def __init__(self, shutdown: Shutdown, console: Console, on_over: Callable[[str], object]) -> None:
        """`on_over` is told the target of each call that is over."""
        self._shutdown, self._console, self._on_over = shutdown, console, on_over

    @property
    def targets(self) -> tuple[TargetRecord, ...]:
        """None: which are called is said later."""
        return ()

    def on_call_over(self, manager: CallManager, record: CallRecord, outcome: Outcome) -> None:
        self._on_over(record.peer)
        if self._shutdown.requested():
            self._shutdown.request(outcome.status, outcome.error or None)
        elif outcome.error:
            self._console.event("failed", outcome.error, call_id=record.call_id or None, error=outcome.error)

    def on_input_ended(self, manager: CallManager) -> None:
        """The program is to end."""
        manager.finish()

    def on_account_refused(self, error: str) -> None:
        self._shutdown.request(EXIT_AUTHENTICATION, error)
