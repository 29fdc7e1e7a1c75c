"""Bursts and gaps (RFC 3611 section 4.7.2) of the packets that were not heard: dense loss, and everything between."""

from __future__ import annotations

from voip.stats import GMIN, BurstFigures


class Bursts:
    """Follows one stream by what became of each packet, in the order of sequence numbers.

    A packet is missing if it was lost and not rebuilt in time, or came too late, or was left out. A burst begins and
    ends with a missing packet, and fewer than GMIN packets in a row are heard within it. A missing packet with no other
    so near belongs to a gap. `missing` counts packets, `runs` how many runs in a row they make.
    """

    def __init__(self) -> None:
        self.missing = 0
        self.runs = 0
        self._packets = 0
        self._bursts = self._burst_packets = self._burst_missing = 0  # those that have ended
        self._run_packets = self._run_missing = 0  # from the first to the last missing packet of what may be a burst
        self._heard = 0  # since the last missing packet

    def hear(self) -> None:
        """The next packet is heard."""
        self._packets += 1
        self._heard += 1

    def miss(self, packets: int = 1) -> None:
        """So many packets, the next in order, are missing."""
        if packets <= 0:
            return
        if self._heard or not self.missing:
            self.runs += 1
        if self._run_missing and self._heard < GMIN:
            self._run_packets += self._heard + packets
            self._run_missing += packets
        else:
            self._bursts, self._burst_packets, self._burst_missing = self._with_run()
            self._run_packets = self._run_missing = packets
        self._packets += packets
        self.missing += packets
        self._heard = 0

    def figures(self) -> BurstFigures:
        """What has been seen so far; an unfinished burst counts as far as it goes."""
        bursts, packets, missing = self._with_run()
        gap_packets, gap_missing = self._packets - packets, self.missing - missing
        return BurstFigures(
            burst_density=missing / packets if packets else 0.0,
            gap_density=gap_missing / gap_packets if gap_packets else 0.0,
            burst_length=packets / bursts if bursts else 0.0,
            gap_length=gap_packets / (bursts + 1),
        )

    def _with_run(self) -> tuple[int, int, int]:
        """The sums over all bursts, the newest included if it is one."""
        if self._run_missing < 2:
            return self._bursts, self._burst_packets, self._burst_missing
        return self._bursts + 1, self._burst_packets + self._run_packets, self._burst_missing + self._run_missing
