"""What the targets of a sender came to, and which exit status follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from voip.calls import Outcome
from voip.errors import (
    EXIT_AUTHENTICATION,
    EXIT_BUG,
    EXIT_DEVICE,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
    EXIT_OK,
    EXIT_REJECTED,
    EXIT_USAGE,
)
from voip.report import TargetRecord

SEVERITY = (
    EXIT_BUG,
    EXIT_USAGE,
    EXIT_DEVICE,
    EXIT_AUTHENTICATION,
    EXIT_REJECTED,
    EXIT_NETWORK,
    EXIT_NO_ANSWER,
    EXIT_NO_MEDIA,
)
"""Exit statuses of calls, the most serious first: what another try is least likely to cure."""


class TargetOutcomes:
    """The outcome of each target; the last one noted counts."""

    def __init__(self, targets: Iterable[str] = ()) -> None:
        """`targets`: those that are awaited, in the order in which they are told."""
        self._outcomes: dict[str, Outcome | None] = dict.fromkeys(targets)

    def note(self, target: str, outcome: Outcome) -> None:
        """This is what a target came to."""
        self._outcomes[target] = outcome

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self._outcomes) > 1

    @property
    def complete(self) -> bool:
        """Whether none is awaited any more."""
        return None not in self._outcomes.values()

    @property
    def overall(self) -> Outcome:
        """The most serious one, the first of equal ones; all is well only if it is with each."""
        failed = [outcome for outcome in self._outcomes.values() if outcome is not None and outcome.status != EXIT_OK]
        if not failed:
            return Outcome()
        worst = min(failed, key=lambda outcome: SEVERITY.index(outcome.status))
        if not self.several:
            return worst
        which = ":" if len(failed) == 1 else "; the most serious:"
        return replace(worst, error=f"{len(failed)} of {len(self._outcomes)} targets failed{which} {worst.error}")

    @property
    def records(self) -> tuple[TargetRecord, ...]:
        """For the report. Any thread may ask, once nothing is noted any more."""
        found = ((target, outcome or Outcome()) for target, outcome in self._outcomes.items())
        return tuple(TargetRecord(target, outcome.status, outcome.error) for target, outcome in found)
