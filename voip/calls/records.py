"""What is told of the calls: frozen records, replaced whole, for every thread to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from voip.calls.call import Call
from voip.calls.table import CallTable
from voip.report import RTP_STAT, CallRecord, rtp_stat

RECORDS_KEPT = 1000
"""Ended calls that the final report holds: the last ones."""
UNHEARD_KEPT = 100
"""Of those, calls that came in and of which nothing was heard: strangers can have any number of them."""


class Records:
    """`all` are the records of the calls that have ended, and of those that are up, as of their last look.

    The end of one call takes no snapshot of the others: of those there may be hundreds.
    """

    def __init__(self) -> None:
        self.all: tuple[CallRecord, ...] = ()
        self._ended: tuple[CallRecord, ...] = ()
        self.up: tuple[CallRecord, ...] = ()
        """Those of the calls that are up alone."""

    def add(self, record: CallRecord) -> None:
        """A call has ended. Of the tries to call again those without success are not kept: events tell of them."""
        self.up = tuple(other for other in self.up if other.call_id != record.call_id)
        if not record.again or record.media is not None:
            self._ended = (*self._without_oldest_unheard(record), record)[-RECORDS_KEPT:]
        self.all = self._ended + self.up

    def _without_oldest_unheard(self, coming: CallRecord) -> tuple[CallRecord, ...]:
        """Those of calls that have ended, with room for another one of its kind."""
        if _is_heard(coming):
            return self._ended
        unheard = [index for index, record in enumerate(self._ended) if not _is_heard(record)]
        if len(unheard) < UNHEARD_KEPT:
            return self._ended
        return self._ended[: unheard[0]] + self._ended[unheard[0] + 1 :]

    def renew(self, looked_at: Iterable[Call], calls: Iterable[Call], now: float) -> dict[str, CallRecord]:
        """Take new snapshots of some of the `calls` that are up, by their ids; the others keep those they have."""
        new = {call.call_id: call.snapshot(now) for call in looked_at}
        known = {record.call_id: record for record in self.up} | new
        self.up = tuple(known[call.call_id] for call in calls if call.call_id in known)
        self.all = self._ended + self.up
        return new


def _is_heard(record: CallRecord) -> bool:
    return not record.incoming or record.first_audio is not None


def rtp_stat_headers(table: CallTable, clock: Callable[[], float]) -> Callable[[str], Mapping[str, str]]:
    """What a user agent is to add to a BYE of a call in this table, and to the response to one: its figures then."""

    def headers(call_id: str) -> Mapping[str, str]:
        call = table.get(call_id)
        return {} if call is None or call.established is None else {RTP_STAT: rtp_stat(call.snapshot(clock()))}

    return headers
