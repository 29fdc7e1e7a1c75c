"""When each call is looked at: all of them together while they are few, else some at a time.

A look at hundreds of calls takes the network thread longer than datagrams may wait (`voip.net.loop.GATHERED`), and what
is read later than that may be late for its turn. So a round is divided into parts that take about a millisecond each,
and so is what is told of all calls for `--json`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from voip.calls.call import Call
from voip.calls.records import Records
from voip.calls.table import CallTable
from voip.calls.warnings import CallWarnings
from voip.net.loop import EventLoop
from voip.report import Console

ROUND = 0.25
"""Seconds in which each call is looked at once."""
LONG_ROUND = 0.5
"""The same with more than MANY calls: what goes wrong is named a quarter of a second later; looks cost half as much.
Less than the second within which `Call.snapshot` has to be asked for, and after which a diagnosis thinks that it stood
still."""
MANY = 8
"""Calls up to which a round is short."""
PART = 8
"""Calls that are looked at together, at most."""
PART_INTERVAL = 0.005
"""Seconds from one part of the statistics to the next: datagrams are read meanwhile."""


class Rota:
    """Whose turn it is. Network thread only."""

    def __init__(self) -> None:
        self._waiting: deque[Call] = deque()  # those of this round that have not had their turn
        self.pause = ROUND
        """Seconds from one part to the next."""

    @property
    def begins(self) -> bool:
        """Whether the next part is the first of a round."""
        return not self._waiting

    def part(self, calls: Iterable[Call]) -> list[Call]:
        """Those of the calls that are to be looked at now. One that comes later has its turn in the next round; one
        that has ended meanwhile may be among them."""
        if self.begins:
            self._waiting.extend(calls)
            count = len(self._waiting)
            self.pause = (LONG_ROUND if count > MANY else ROUND) / max(1, -(-count // PART))
        return [self._waiting.popleft() for _ in range(min(PART, len(self._waiting)))]


class Rounds:
    """Looks at all calls in turn, for ever: they are checked, what is told of them is renewed, and warned of."""

    def __init__(
        self,
        loop: EventLoop,
        table: CallTable,
        records: Records,
        warnings: CallWarnings,
        checks: Sequence[Callable[[Call, float], object]],
        begin: Callable[[float], object],
    ) -> None:
        """`checks` are made of each call at its turn, `begin` as a round begins."""
        self._loop, self._table, self._records, self._warnings = loop, table, records, warnings
        self._checks, self._begin, self._rota = checks, begin, Rota()

    def go_on(self) -> None:
        """Look at the calls whose turn it is, now and then again."""
        now = self._loop.now()
        if self._rota.begins:
            self._begin(now)
            self._warnings.look(now)
        turn = self._rota.part(self._table)
        for call in turn:
            for check in self._checks:
                check(call, now)
            call.send_when_ready()
        up = [call for call in turn if call in self._table]  # a check may have ended it
        known = self._records.renew(up, self._table, now)
        for call in up:
            self._warnings.look_at(call, known[call.call_id], now)
        self._warnings.keep_time(now, self._rota.pause)
        self._loop.call_later(self._rota.pause, self.go_on)


class Statistics:
    """Tells the regular `stats` events of `--json`: of a few calls at once, of many some at a time."""

    def __init__(self, loop: EventLoop, table: CallTable, records: Records, console: Console) -> None:
        self._loop, self._table, self._records, self._console = loop, table, records, console
        self._waiting: deque[Call] = deque()  # those that have not been told of

    def tell(self) -> None:
        """Tell of all calls that are up, with the figures of the moment at which each is told of."""
        if self._console.tells_statistics and not self._waiting:
            self._waiting.extend(self._table)
            self._go_on()

    def _go_on(self) -> None:
        turn = [self._waiting.popleft() for _ in range(min(PART, len(self._waiting)))]
        up = [call for call in turn if call in self._table]
        self._console.statistics(self._records.renew(up, self._table, self._loop.now()).values())
        if self._waiting:
            self._loop.call_later(PART_INTERVAL, self._go_on)
