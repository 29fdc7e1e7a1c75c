"""Where play-out is on the stream's time line, and the hole between there and the next packet."""

from __future__ import annotations

from voip.jitter.packet_queue import PacketQueue, QueuedPacket


class Position:
    """The timestamp that is heard next, and how much has been heard since the last packet that was taken out."""

    def __init__(self, queue: PacketQueue) -> None:
        self._queue = queue
        self.timestamp = 0
        """Extended RTP timestamp of what is heard next."""
        self.last_sequence: int | None = None
        """Extended sequence number of the last packet taken out; None: there was none."""
        self.filled = 0
        """Ticks of the hole behind that packet that have been filled."""

    def start_at(self, packet: QueuedPacket) -> None:
        """Play-out begins with this packet."""
        self.timestamp, self.last_sequence, self.filled = packet.timestamp, packet.sequence - 1, 0

    def take_first(self) -> QueuedPacket:
        """The first packet of the queue, which is heard next."""
        packet = self._queue.pop()
        self._queue.forget(packet)
        self.timestamp, self.last_sequence, self.filled = packet.timestamp, packet.sequence, 0
        return packet

    def skip(self, packet: QueuedPacket) -> None:
        """This packet is not heard."""
        self.last_sequence, self.filled = packet.sequence, 0

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
