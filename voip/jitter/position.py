"""Where play-out is on the stream's time line, and the hole between there and the next packet."""

from __future__ import annotations

from voip.jitter.bursts import Bursts
from voip.jitter.packet_queue import PacketQueue, QueuedPacket

RELATED = 3000
"""Sequence numbers apart that can still be the same stream (MAX_DROPOUT of RFC 3550 A.1)."""


class Position:
    """The timestamp that is heard next, and how much has been heard since the last packet that was taken out.

    It tells `bursts` what became of each packet.
    """

    def __init__(self, queue: PacketQueue, bursts: Bursts) -> None:
        self._queue = queue
        self._bursts = bursts
        self.timestamp = 0
        """Extended RTP timestamp of what is heard next."""
        self.last_sequence: int | None = None
        """Extended sequence number of the last packet taken out; None: there was none."""
        self.filled = 0
        """Ticks of the hole behind that packet that have been filled."""

    def start_at(self, packet: QueuedPacket) -> None:
        """Play-out begins with this packet."""
        self.timestamp, self.last_sequence, self.filled = packet.timestamp, packet.sequence - 1, 0

    def leads_to(self, sequence: int) -> bool:
        """Play-out begins anew with this number: whether that goes on with what was heard, the rest being missing."""
        if self.last_sequence is None or not 0 < sequence - self.last_sequence < RELATED:
            return False
        self._bursts.miss(sequence - self.last_sequence - 1)
        return True

    def take(self, step: int) -> QueuedPacket:
        """The packet that is next in order is heard next; it leaves the queue. IndexError if there is none."""
        packet = self._leave(step)
        self._bursts.hear()
        self.timestamp = packet.timestamp
        return packet

    def skip(self, step: int) -> QueuedPacket:
        """The packet that is next in order is not heard; it leaves the queue. IndexError if there is none."""
        packet = self._leave(step)
        self._bursts.miss()
        return packet

    def _leave(self, step: int) -> QueuedPacket:
        first = self._queue.first
        if first is not None and first.sequence - 1 != self.last_sequence:
            self._bursts.miss(self.lost(step))
        packet = self._queue.pop()
        self.last_sequence, self.filled = packet.sequence, 0
        return packet

    def move(self, ticks: int) -> None:
        """So much of the stream has been heard, or is left out."""
        self.timestamp += ticks

    def fill(self, ticks: int) -> None:
        """So much sound stands in for what is not here."""
        self.timestamp += ticks
        self.filled += ticks

    def hole(self, step: int) -> int:
        """Ticks from here to the next packet, a `step` if there is none; less than half a step is no hole."""
        first = self._queue.first
        if first is None:
            return step
        hole = first.timestamp - self.timestamp
        return hole if hole > step // 2 else 0

    def missing(self, step: int) -> int:
        """Ticks of the hole here that packets are missing for; the rest is a pause."""
        return max(0, self.lost(step) * step - self.filled)

    def lost(self, step: int) -> int:
        """Packets between the last one taken out and the next one here."""
        if self.last_sequence is None:
            return 0
        return self._queue.lost(self.last_sequence, self.timestamp - self.filled, step)
