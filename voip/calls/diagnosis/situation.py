"""What the diagnosis is shown of a call, and what it returns. Times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from voip.media import NegotiatedMedia
from voip.report import CallRecord
from voip.stats import SessionStats

NAMED_AFTER = 2.5
"""Seconds for which a condition must hold before it is named, so that the line is there within 3 s: what looks at a
call does so every 0.25 s (0.5 s with many calls: `voip.calls.rota`), and a line takes 0.1 s to the terminal."""

STOOD_STILL = 1.0
"""Seconds between two looks after which it was this program that stood still, a suspended machine perhaps: what did not
happen meanwhile says nothing of the peer."""

T = TypeVar("T")


class Event(str, Enum):
    """What kind of event a finding is, as JSON names it."""

    WARNING = "warning"
    CLEARED = "cleared"
    """What was warned of is over."""
    NOTE = "note"
    """Worth knowing, and nothing is wrong."""
    DETAIL = "detail"
    """For `-v` only."""


@dataclass(frozen=True)
class Finding:
    """One line for the user. `cause` is one word for programs, `text` says what, why and what to do."""

    cause: str
    text: str
    event: Event = Event.WARNING


@dataclass(frozen=True)
class Situation:
    """What is known at `now` of a call that is up; `record.duration` are the seconds since it came up.

    plays, sends: whether this program plays what comes, and sends anything, whatever was negotiated. signalled: False
    for a stream without SIP. over: a side has said BYE by RTCP. ports: the UDP ports of ours that media and RTCP
    come to. microphone: what is sent is captured by this device, "" for a file and for a device that is gone now.
    speaker_gone: nothing can be heard now, which the user has been told.
    xruns: how often sound was lost at a device or the device itself, late: seconds by which this program came late to
    its own timers; both in sum since its start.
    """

    record: CallRecord
    media: NegotiatedMedia
    now: float
    plays: bool = True
    sends: bool = False
    signalled: bool = True
    over: bool = False
    ports: tuple[int, ...] = ()
    microphone: str = ""
    speaker_gone: bool = False
    xruns: int = 0
    late: float = 0.0
    network: SessionStats = field(default_factory=SessionStats)

    @property
    def peer(self) -> str:
        """The other side, as the user knows it."""
        return self.record.peer

    @property
    def is_sending(self) -> bool:
        """Whether media goes to the peer: it is captured and nobody has put the call on hold."""
        return self.sends and self.media.direction.sends

    @property
    def expects_sound(self) -> bool:
        """Whether the peer is to send, and it is played."""
        return self.plays and self.media.direction.receives and self.media.remote_direction.sends


class History(Generic[T]):
    """One value for each look, for as many seconds back as are asked for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: deque[tuple[float, T]] = deque()

    def add(self, now: float, value: T) -> None:
        """The value at this moment; what is older than needed is forgotten."""
        self._values.append((now, value))
        while len(self._values) > 1 and self._values[1][0] <= now - self._seconds:
            self._values.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()

    def __iter__(self) -> Iterator[tuple[float, T]]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def span(self) -> float:
        """Seconds between the oldest and the newest value."""
        return self._values[-1][0] - self._values[0][0] if self._values else 0.0

    @property
    def oldest(self) -> T:
        return self._values[0][1]

    @property
    def newest(self) -> T:
        return self._values[-1][1]


def length(seconds: float) -> str:
    """`12.3 s`, or minutes for what is longer."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60} s"
