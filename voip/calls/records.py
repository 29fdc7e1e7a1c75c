"""What is told of the calls: frozen records, replaced whole, for every thread to read."""

from __future__ import annotations

from collections.abc import Iterable

from voip.calls.call import Call
from voip.report import CallRecord

RECORDS_KEPT = 1000
"""Ended calls that the final report holds: the last ones."""


class Records:
    """`all` are the records of the calls that have ended, and of those that are up, as of the last `publish`."""

    def __init__(self) -> None:
        self.all: tuple[CallRecord, ...] = ()
        self._ended: tuple[CallRecord, ...] = ()

    def add(self, record: CallRecord) -> None:
        """A call has ended. Of the tries to call again those without success are not kept: events tell of them."""
        if record.again and record.media is None:
            return
        self._ended = (*self._ended, record)[-RECORDS_KEPT:]

    def publish(self, calls: Iterable[Call], now: float) -> None:
        """Take new snapshots of the calls that are up."""
        self.all = self._ended + tuple(call.snapshot(now) for call in calls)
