"""A call in virtual time that is shown to one part of its diagnosis every quarter of a second, as the program does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

from tests.support.call import media
from voip.calls.diagnosis import Event, Finding, Situation
from voip.media import NegotiatedMedia
from voip.report import CallRecord
from voip.stats import SessionStats

LOOK_INTERVAL = 0.25
PEER = "sip:bob@192.0.2.2"
_NETWORK = {each.name for each in fields(SessionStats)}

Look = Callable[[Situation], Iterable[Finding]]


class Scene:
    """What is known of a call, changed from look to look; `said` are the findings with the seconds since the start."""

    def __init__(self, look: Look, agreed: NegotiatedMedia | None = None, **values: Any) -> None:  # noqa: ANN401
        """`values`: fields of Situation."""
        self._look = look
        self.now, self._began = 1000.0, 1000.0
        self._counts: dict[str, float] = {}
        record = CallRecord(call_id="1", peer=PEER, incoming=False)
        self.situation = Situation(record=record, media=agreed or media(), now=self.now, **values)
        self.said: list[tuple[float, Finding]] = []

    @property
    def seconds(self) -> float:
        """Since the call came up."""
        return self.now - self._began

    def change(self, **values: Any) -> None:  # noqa: ANN401 - fields of Situation
        """From now on it is another one."""
        self.situation = replace(self.situation, **values)

    def change_record(self, **values: Any) -> None:  # noqa: ANN401 - fields of CallRecord
        self.change(record=replace(self.situation.record, **values))

    def run(
        self, seconds: float, *, each: Callable[[float], None] = lambda now: None, **rates: float
    ) -> list[tuple[float, Finding]]:
        """Let time pass; `rates`: how much counts of SessionStats grow a second. Returns what was said meanwhile.

        `each` is called before each look, with the moment."""
        assert set(rates) <= _NETWORK
        start = len(self.said)
        for _ in range(round(seconds / LOOK_INTERVAL)):
            self.now += LOOK_INTERVAL
            for name, rate in rates.items():
                self._counts[name] = self._counts.get(name, 0.0) + rate * LOOK_INTERVAL
            self.note(**{name: int(count) for name, count in self._counts.items()})
            self.change(now=self.now)
            self.change_record(duration=self.seconds)
            each(self.now)
            self.said += [(self.seconds, finding) for finding in self._look(self.situation)]
        return self.said[start:]

    def note(self, **counts: Any) -> None:  # noqa: ANN401 - fields of SessionStats
        """Set what the network counts, or has seen, to these values."""
        self.change(network=replace(self.situation.network, **counts))


def causes(said: Iterable[tuple[float, Finding]]) -> list[str]:
    """What was warned of, in order."""
    return [finding.cause for _, finding in said if finding.event is Event.WARNING]


def events(said: Iterable[tuple[float, Finding]]) -> list[tuple[str, str]]:
    """Kind and cause of all that was said."""
    return [(finding.event.value, finding.cause) for _, finding in said]
