"""Where play-out is on the stream's time line, and the hole between there and the next packet."""

from __future__ import annotations

from voip.jitter.packet_queue import PacketQueue, QueuedPacket
from voip.jitter.playout_stats import PlayoutCounters

RELATED = 3000
"""Sequence numbers apart that can still be the same stream (MAX_DROPOUT of RFC 3550 A.1)."""


class Position:
    """The timestamp that is heard next, and how much has been heard since the last packet that was taken out.

    It tells the counters what became of each packet.
    """

    def __init__(self, queue: PacketQueue, clock_rate: int, counters: PlayoutCounters) -> None:
        """`clock_rate` of the timestamps, in Hz."""
        self._queue, self._clock, self._counters = queue, clock_rate, counters
        self.timestamp = 0
        """Extended RTP timestamp of what is heard next."""
        self.last_sequence: int | None = None
        """Extended sequence number of the last packet taken out; None: there was none."""
        self.filled = 0
        """Ticks of the hole behind that packet that have been filled."""

    def start_at(self, packet: QueuedPacket) -> None:
        """Play-out begins with this packet."""
        self.timestamp, self.last_sequence, self.filled = packet.timestamp, packet.sequence - 1, 0

    def leads_to(self, sequence: int, step: int) -> bool:
        """Play-out begins anew with this number: whether that goes on with what was heard, the rest being missing."""
        if self.last_sequence is None or not 0 < sequence - self.last_sequence < RELATED:
            return False
        self._miss(sequence - self.last_sequence - 1, step)
        return True

    def take_first(self, step: int) -> QueuedPacket:
        """The first packet of the queue is heard next, if packets last `step` ticks. IndexError if there is none."""
        packet = self._pop(step)
        self._counters.bursts.hear()
        self._queue.forget(packet)
        self.timestamp = packet.timestamp
        return packet

    def skip_first(self, step: int) -> QueuedPacket:
        """The first packet of the queue is not heard; it leaves the queue. IndexError if there is none."""
        packet = self._pop(step)
        self._counters.bursts.miss()
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

    def _pop(self, step: int) -> QueuedPacket:
        first = self._queue.first
        if first is not None and first.sequence - 1 != self.last_sequence:
            self._miss(self.lost(step), step)
        packet = self._queue.pop()
        self.last_sequence, self.filled = packet.sequence, 0
        return packet

    def _miss(self, packets: int, step: int) -> None:
        self._counters.bursts.miss(packets)
        self._counters.note_lost(packets * step / self._clock)
