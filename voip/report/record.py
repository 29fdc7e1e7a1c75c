"""All that is told of one call."""

from __future__ import annotations

from dataclasses import dataclass, field

from voip.media import NegotiatedMedia
from voip.quality import TrendFigures
from voip.stats import ReceiverStats, SenderStats, SessionStats


@dataclass(frozen=True)
class CallRecord:
    """All that is told of one call; times in seconds, `setup` and `first_audio` counted from the INVITE.

    `at` is the monotonic moment of the figures, `since` that from which on media flowed. `output_latency` is that of
    the speaker, None where it is unknown. `again`: it was made because one before it was lost.
    """

    call_id: str
    peer: str
    incoming: bool
    again: bool = False
    start: str = ""
    media: NegotiatedMedia | None = None
    setup: float | None = None
    first_audio: float | None = None
    duration: float = 0.0
    end_reason: str | None = None
    rx: ReceiverStats | None = None
    tx: SenderStats | None = None
    network: SessionStats | None = None
    at: float | None = None
    since: float | None = None
    trend: TrendFigures = field(default_factory=TrendFigures)
    output_latency: float | None = None
