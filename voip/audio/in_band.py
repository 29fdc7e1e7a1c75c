"""The loss that an encoder prepares for by in-band FEC, where no repair packets are sent (RFC 6716 section 2.1.7).

It takes bits from the sound itself, so it is on only while the peer's reports (RFC 3550 section 6.4) tell of losses, or
nothing does.
"""

from __future__ import annotations

from collections import deque

from voip.stats import PathReport

MIN_SHARE = 0.01
"""Share of packets to prepare for where anything is lost at all, or no report tells. Opus at 24 kbit/s comes to PESQ
4.40, 3.84, 2.65, 2.01 at 0, 1, 5, 10 % loss without in-band FEC; prepared for 1 %, to 4.14, 4.06, 3.62, 3.17."""
MAX_SHARE = 0.05
"""And at most: prepared for 10 %, it comes to 3.71, 3.66, 3.39, 3.05, and gains less than 0.1 even at 20 % loss."""
MEMORY = 20.0
"""Seconds without a loss after which no more is expected: losses come and go."""
REPORT_SILENCE = 15.0
"""Seconds without a report after which there are none: longer than two intervals of a peer that reports every 5 s,
each drawn out as RFC 3550 section 6.3.1 allows, so that one report may be lost."""


class ExpectedLoss:
    """The share of packets (0 to 1) to expect lost: `at` a moment, given the reports so far."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()  # when, and the share lost since the one before
        self._cumulative = 0

    def report(self, report: PathReport) -> None:
        """The peer has told how the stream fares."""
        lost = report.fraction_lost
        if report.cumulative_lost > self._cumulative:  # also in the time of reports that were lost themselves
            lost = max(lost, MIN_SHARE)
        self._cumulative = report.cumulative_lost
        reports = self._reports
        reports.append((report.at, lost))
        while reports[0][0] < report.at - MEMORY:
            reports.popleft()

    def at(self, now: float) -> float:
        """What to expect at this moment."""
        if not self._reports or now - self._reports[-1][0] > REPORT_SILENCE:
            return MIN_SHARE
        shares = [share for _, share in self._reports]
        expected = max(shares[-1], sum(shares) / len(shares))
        return min(max(expected, MIN_SHARE), MAX_SHARE) if expected > 0.0 else 0.0
