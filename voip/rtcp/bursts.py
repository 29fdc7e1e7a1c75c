"""Bursts and gaps of loss (RFC 3611 section 4.7.2): dense loss, and everything between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from voip.rtcp.xr import GMIN


class BurstFigures(NamedTuple):
    """Shares of lost packets (0 to 1) within bursts and gaps, and their mean lengths in packets."""

    burst_density: float = 0.0
    gap_density: float = 0.0
    burst_length: float = 0.0
    gap_length: float = 0.0


class Bursts:
    """Follows one stream, packet by packet in the order of sequence numbers.

    A burst begins and ends with a lost packet, and fewer than GMIN packets in a row arrive within it. A lost packet
    with no other so near belongs to a gap.
    """

    def __init__(self) -> None:
        self._packets = 0
        self._lost = 0
        self._bursts = self._burst_packets = self._burst_lost = 0  # those that have ended
        self._run_packets = self._run_lost = 0  # from the first to the last lost packet of what may be a burst
        self._arrived = 0  # since the last lost packet

    def feed(self, flags: Iterable[bool]) -> None:
        """Take the next packets: whether each has arrived."""
        for arrived in flags:
            self._packets += 1
            if arrived:
                self._arrived += 1
            else:
                self._lose()

    def figures(self) -> BurstFigures:
        """What has been seen so far; an unfinished burst counts as far as it goes."""
        bursts, packets, lost = self._with_run()
        gap_packets, gap_lost = self._packets - packets, self._lost - lost
        return BurstFigures(
            burst_density=lost / packets if packets else 0.0,
            gap_density=gap_lost / gap_packets if gap_packets else 0.0,
            burst_length=packets / bursts if bursts else 0.0,
            gap_length=gap_packets / (bursts + 1),
        )

    def _lose(self) -> None:
        self._lost += 1
        if self._run_lost and self._arrived < GMIN:
            self._run_packets += self._arrived + 1
            self._run_lost += 1
        else:
            self._bursts, self._burst_packets, self._burst_lost = self._with_run()
            self._run_packets = self._run_lost = 1
        self._arrived = 0

    def _with_run(self) -> tuple[int, int, int]:
        """The sums over all bursts, the newest included if it is one."""
        if self._run_lost < 2:
            return self._bursts, self._burst_packets, self._burst_lost
        return self._bursts + 1, self._burst_packets + self._run_packets, self._burst_lost + self._run_lost
