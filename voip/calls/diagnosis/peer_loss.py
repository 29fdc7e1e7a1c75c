"""What the peer loses of our sound, by its reports (RFC 3550 section 6.4.1), where no FEC makes it good."""

from __future__ import annotations

from collections.abc import Iterator

from voip.calls.diagnosis.situation import Finding, History, Situation

WINDOW = 10.0
"""Seconds that are looked at."""
LOSSY = 0.05
"""Share of packets lost in WINDOW that is worth a warning where there is no FEC: what a listener finds annoying."""
MIN_PACKETS = 100
"""Packets that a share is made of, at least."""


class PeerLoss:
    """Warns, once in a call, that the peer loses much of what it is sent and no FEC is agreed on."""

    def __init__(self) -> None:
        self._reported: History[tuple[int, int]] = History(WINDOW)
        self._told = False

    def look(self, situation: Situation) -> Iterator[Finding]:
        """What is to be said of the peer's reports now."""
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
