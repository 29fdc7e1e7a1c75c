"""Shares that text and JSON tell alike."""

from __future__ import annotations

from voip.stats import ReceiverStats, SessionStats


def percent(part: float, whole: float) -> float:
    """`part` of `whole` in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0


def concealed_percent(rx: ReceiverStats) -> float:
    """Share of what was heard that was concealed, in percent."""
    heard = rx.playout
    return percent(heard.concealed_seconds, heard.played_seconds + heard.concealed_seconds)


def altered_percent(rx: ReceiverStats) -> float:
    """Share of the audio that was not heard as sent, in percent: concealed, left out, or silence in its place."""
    heard = rx.playout
    altered = heard.concealed_seconds + heard.skipped_seconds + heard.silent_seconds + heard.unheard_seconds
    return percent(altered, heard.played_seconds + altered)


def remote_share(network: SessionStats) -> float:
    """Share (0 to 1) of our media packets that the other side has lost since the call began; 0 without a report."""
    lost = network.path.cumulative_lost if network.path else 0
    return min(1.0, max(0.0, lost / network.path_packets)) if network.path_packets else 0.0
