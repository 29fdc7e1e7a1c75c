"""Packets in sequence that wait for confirmation: from another address, of another SSRC, or after a jump."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from voip.rtp import RtpPacket, unwrap

MAX_STEP_BACK = 3
"""Packets behind the last one that still belong to the run."""


class ReceivedPacket(NamedTuple):
    """A packet, its arrival (monotonic seconds), and the size of its datagram in bytes."""

    packet: RtpPacket
    time: float
    size: int


class PacketRun:
    """Packets of one SSRC, in sequence. `count` is how many advanced it; `held` keeps the newest `limit` of all."""

    __slots__ = ("began", "count", "first", "held", "last", "step")

    def __init__(self, received: ReceivedPacket, limit: int) -> None:
        self.began = received.time
        self.first = self.last = received.packet
        self.count = 1
        self.step: float | None = None  # ticks from packet to packet
        self.held = deque([received], limit)

    def extend(self, received: ReceivedPacket, max_step: int, *, in_step: bool = False) -> bool:
        """Add a packet up to `max_step` after the last; False if it does not belong to the run.

        `in_step`: timestamps must advance evenly. A copy or a slightly late packet is held but does not count.
        """
        packet, last = received.packet, self.last
        if packet.ssrc != last.ssrc:
            return False
        ahead = unwrap(packet.sequence_number - last.sequence_number, 0)
        if not -MAX_STEP_BACK <= ahead <= max_step:
            return False
        if ahead > 0:
            step = unwrap(packet.timestamp - last.timestamp, 0, 32) / ahead
            if in_step and (step <= 0 or self.step not in (None, step)):
                return False
            self.step, self.last = step, packet
            self.count += 1
        self.held.append(received)
        return True
