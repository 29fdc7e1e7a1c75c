"""Callers that were refused, said to who could let them in: bounded in lines and in memory, whatever scanners send."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

LINES_PER_MINUTE = 6
"""Refusals that are said in a minute, of all sources together."""
PERIOD = 60.0
"""Seconds for which LINES_PER_MINUTE holds, and in which one source and status is said once."""
SOURCES = 256
"""Sources whose last line is remembered: of more, the oldest is forgotten."""
NAME_LENGTH = 60
"""Characters of a caller's name that are shown."""
REASON_LENGTH = 120
"""Characters of a reason that are shown: it may quote the caller."""
NOT_ALLOWED, UNAUTHORIZED, UNAVAILABLE, BUSY, NOTHING_IN_COMMON = 403, 401, 480, 486, 488


@dataclass(frozen=True)
class Refusal:
    """One line about a refused call; `hidden` counts those that were not said since the line before."""

    text: str
    source: str | None = None
    caller: str | None = None
    status: int | None = None
    hidden: int = 0


class Refusals:
    """Which refusals are said. `note` takes each one, `tick` the passing of time."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._began = float("-inf")
        self._lines = 0
        self._hidden = 0

    def note(self, source: str, status: int, caller: str, now: float, reason: str = "") -> Refusal | None:
        """A call from the host `source` was refused; `reason`: why, if the status does not say it. None: not now."""
        if now - self._began >= PERIOD and not self._hidden:
            self._began, self._lines = now, 0
        key = (source, status)
        if now - self._said.get(key, float("-inf")) < PERIOD or self._lines >= LINES_PER_MINUTE:
            self._hidden += 1
            return None
        self._said[key] = now
        self._said.move_to_end(key)
        if len(self._said) > SOURCES:
            self._said.popitem(last=False)
        self._lines += 1
        name, why = printable(caller, NAME_LENGTH), printable(reason, REASON_LENGTH)
        return Refusal(_text(source, status, name, why), source, name or None, status)

    def tick(self, now: float) -> Refusal | None:
        """Once in a PERIOD: how many were not said in it."""
        if not self._hidden or now - self._began < PERIOD:
            return None
        hidden, self._hidden = self._hidden, 0
        self._began, self._lines = now, 0
        calls = "call" if hidden == 1 else "calls"
        return Refusal(f"refused {hidden} more {calls} in the last minute; -v shows each", hidden=hidden)


def printable(text: str, longest: int) -> str:
    """What a stranger sends, fit for a terminal: no control characters, not too long."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def _text(source: str, status: int, caller: str, reason: str) -> str:
    who = f"{caller} ({source})" if caller and source not in caller else caller or source
    if status == NOT_ALLOWED:
        return f"refused a call from {who}: not among those who may call; to let it in: --allow {source}"
    if status == UNAUTHORIZED:
        return f"refused a call from {who}: wrong user or password; compare --user and --password-file on both sides"
    if status == BUSY:
        return f"missed a call from {who}: busy; --max-calls takes more calls at a time"
    if status == UNAVAILABLE and not reason:
        return f"refused a call from {who}: this program only makes calls; run a receiver to take them"
    if status == NOTHING_IN_COMMON:
        advice = "" if "--srtp" in reason else "; see --codec"
        return f"refused a call from {who}: {reason}{advice}"
    return f"refused a call from {who}: {reason or status}"
