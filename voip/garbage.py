"""Garbage collection by a budget: when CPython's cyclic collector looks at what, and on which thread.

What a call leaves behind refers to itself, and is freed by the collector alone. A look by the collector holds all
threads, whichever starts it; left to itself CPython starts one in the middle of anything, the network thread's work or
a block of sound. So three kinds of looks are told apart (`gc`, generations 0, 1 and 2):

* at new objects: CPython's own, often and short (YOUNG objects: 0.1 ms);
* at what is new since the last look of ours (ENOUGH of it: about 1 ms; up to 20 ms while a hundred calls begin), which
  frees what short calls and refused ones leave behind;
* at everything made since the start, which frees what long calls leave behind: about 3 ms with one call, 30 ms with
  150, 50 to 85 ms with 300.

The last two are ours: `look` is called by the thread that plays, or that captures if none plays, when it has just
handed over a block, so that the whole time of a block is left until the next one is due. Each has a budget: after one
that took t seconds the next comes no sooner than t / BUDGET later, with 300 calls every 10 to 17 s; and it comes only
if enough objects were made meanwhile (GROWTH), or once in REST. What is there at the start, nearly all of the program,
is frozen (`gc.freeze`): a look at that alone takes 10 ms. `receiver.py -v` tells at its end what looks took: with 150
calls of PCMU that began within 6 s, in the first minute 6 looks at everything of 0.18 s together, 36 at what was new
of 0.28 s (one run on a busy machine).

Calls that are up are not frozen. To free them when they end all would have to be unfrozen again, the program too, and
looked at; a generation of the collector does the same for calls, without that.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

YOUNG = 1000
"""New objects, less those that were freed, after which CPython looks at them, for 0.1 ms."""
NEVER = 2**31 - 1
"""A threshold of `gc.set_threshold` that is not reached: CPython starts no other look. 0 would mean every time."""
ENOUGH = 5
"""Looks of CPython's after which one of ours is worth while: 5000 objects, some 500 kB."""
GROWTH = 1000.0
"""And so many more for each second that the last look at everything took, before the next of those: objects for a
tenth of what was looked at then. CPython itself waits for a quarter."""
FRUITLESS = 4.0
"""Factor on that after a look at everything that freed nothing: calls have begun, and none has ended."""
BUDGET = 0.005
"""Share of the time that looks of one kind may take."""
REST = 60.0
"""Seconds after which everything is looked at though little was made: calls may have ended."""

SINCE_LAST, EVERYTHING = 1, 2
"""Generations of the collector."""


class Collector(Protocol):
    """What is used of the module `gc`."""

    def get_count(self) -> tuple[int, int, int]: ...
    def get_threshold(self) -> tuple[int, int, int]: ...
    def set_threshold(self, new: int, middle: int, old: int, /) -> None: ...
    def collect(self, generation: int = EVERYTHING) -> int: ...
    def freeze(self) -> None: ...
    def unfreeze(self) -> None: ...


@dataclass
class Looks:
    """Looks of one kind: how many, processor seconds of all and of the longest, objects freed; when the next may be."""

    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    freed: int = 0
    next_at: float = 0.0

    def __str__(self) -> str:
        return f"{self.count} times, {self.seconds:.3f} s, the longest {1e3 * self.longest:.1f} ms, {self.freed} freed"


class Garbage:
    """The collector while the threads run: a context manager. One thread calls `look`."""

    def __init__(
        self,
        collector: Collector = gc,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """`spent`: processor seconds of the thread. Those that it waited for other programs are not the look's."""
        self._collector, self._clock, self._spent = collector, clock, spent
        self._thresholds = collector.get_threshold()
        self._young = 0
        """Looks of CPython's, up to our last one, since everything was looked at."""
        self._enough_for_all: float = ENOUGH
        self._rested_at = 0.0
        self.since_last, self.everything = Looks(), Looks()

    def __enter__(self) -> Garbage:
        self._thresholds = self._collector.get_threshold()
        self._collector.collect()
        self._collector.freeze()
        self._collector.set_threshold(YOUNG, NEVER, NEVER)
        self._rested_at = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._collector.set_threshold(*self._thresholds)
        self._collector.unfreeze()

    def __str__(self) -> str:
        looks = (("new objects", self.since_last), ("all objects", self.everything))
        return "looks for garbage: " + ", ".join(f"{kind} {each}" for kind, each in looks)

    def look(self) -> None:
        """Look for garbage if it is worth while and the budget allows. To be called when there is time, often."""
        young = self._collector.get_count()[1]
        now = self._clock()
        grown = self._young + young >= self._enough_for_all
        if now >= self.everything.next_at and (grown or now - self._rested_at >= REST):
            freed = self.everything.freed
            took = self._collect(EVERYTHING, self.everything)
            self._young, self._rested_at = 0, now
            self._enough_for_all = ENOUGH + GROWTH * took * (FRUITLESS if self.everything.freed == freed else 1.0)
        elif young >= ENOUGH and now >= self.since_last.next_at:
            self._young += young
            self._collect(SINCE_LAST, self.since_last)

    def _collect(self, generation: int, looks: Looks) -> float:
        begin = self._spent()
        looks.freed += self._collector.collect(generation)
        took = self._spent() - begin
        looks.count += 1
        looks.seconds += took
        looks.longest = max(looks.longest, took)
        looks.next_at = self._clock() + took / BUDGET
        return took
