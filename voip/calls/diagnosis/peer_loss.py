"""What the peer loses of our sound, by its reports (RFC 3550 section 6.4): all of it, or much where there is no FEC."""

from __future__ import annotations

from collections.abc import Iterator

from voip.calls.diagnosis.situation import Finding, History, Situation
from voip.stats import EMPTY_REPORTS

WINDOW = 10.0
"""Seconds that are looked at."""
LOSSY = 0.05
"""Share of packets lost in WINDOW that is worth a warning where there is no FEC: what a listener finds annoying."""
MIN_PACKETS = 100
"""Packets that a share is made of, at least."""
SENT_FOR = 1.0
"""Seconds of sound that must have been sent before a report that comes then, about none of it, says something."""


class PeerLoss:
    """Warns, once in a call each, that nothing arrives at the peer, and that it loses much and no FEC is agreed on."""

    def __init__(self) -> None:
        self._reported: History[tuple[int, int]] = History(WINDOW)
        self._told = False
        self._told_empty = False
        self._too_early: int | None = None  # empty reports that may be older than our sound

    def look(self, situation: Situation) -> Iterator[Finding]:
        """What is to be said of the peer's reports now."""
        yield from self._look_for_none(situation)
        yield from self._look_for_loss(situation)

    def _look_for_none(self, situation: Situation) -> Iterator[Finding]:
        network, sent = situation.network, situation.record.tx
        if self._told_empty or not situation.is_sending or sent is None or sent.seconds < SENT_FOR:
            return
        if self._too_early is None:
            self._too_early = network.empty_reports
        if network.path is None and network.empty_reports >= max(EMPTY_REPORTS, self._too_early + 1):
            self._told_empty = True
            port = situation.media.remote[1]
            text = f"nothing arrives at {situation.peer}, says its RTCP: open UDP {port} in the firewall there"
            yield Finding("nothing-arrives-there", text)

    def _look_for_loss(self, situation: Situation) -> Iterator[Finding]:
        path = situation.network.path
        if self._told or path is None or situation.media.fec is not None:
            return
        reported = (path.highest, path.cumulative_lost)
        if len(self._reported) and reported[0] < self._reported.newest[0]:
            self._reported.clear()  # another stream
        self._reported.add(situation.now, reported)
        sent = reported[0] - self._reported.oldest[0]
        lost = reported[1] - self._reported.oldest[1]
        if sent >= MIN_PACKETS and lost >= LOSSY * sent:
            self._told = True
            share = f"{100 * lost / sent:.0f} %"
            text = f"{situation.peer} loses {share} of what is sent: no FEC agreed on; use --fec auto at both ends"
            yield Finding("lossy-path", text)
