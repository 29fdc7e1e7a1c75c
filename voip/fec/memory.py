"""The recent packets of one media stream, and whether a rebuilt packet fits between them.

Redundancy is not authenticated, so a rebuilt packet is accepted only if it fits.
"""

from __future__ import annotations

from typing import NamedTuple

from voip.rtp import MAX_DROPOUT, RtpPacket, unwrap

SEQUENCE_MASK = 0xFFFF
MEDIA_RING = 512
"""Media packets kept around the newest one: half of them behind it, half ahead."""
HALF_RING = MEDIA_RING // 2
FIRST_CYCLE = 1 << 16
"""Extended numbers start here, so that those before the first packet stay positive."""
_INDEX = MEDIA_RING - 1
_NEIGHBOUR_REACH = 16  # packets around a rebuilt one whose timestamps are compared: a long burst of losses
_TIMESTAMP_MASK = 0xFFFFFFFF
_TIMESTAMP_HALF = 1 << 31


class Known(NamedTuple):
    """A packet that has been received or rebuilt, by its extended sequence number."""

    number: int
    timestamp: int
    parity: int
    received: bool


class PacketMemory:
    """The newest packets of a stream, in a ring by their number. `media_ssrc` None: that of the first packet.

    `step`: ticks that a packet is expected to last, until two in a row say better. `shared_numbers`: other packets may
    take sequence numbers of the media, so that numbers may be missing between two media packets without any time lost.
    """

    def __init__(self, media_ssrc: int | None, *, step: int | None = None, shared_numbers: bool = False) -> None:
        self.media_ssrc = media_ssrc
        self._expected_step = step
        self._shared_numbers = shared_numbers
        self.reset()

    def reset(self) -> None:
        """Forget all packets: after a new SSRC or a jump of the sequence numbers."""
        self._newest: int | None = None  # extended number around which packets are accepted
        self._anchored = False  # by a media packet, not only by a repair packet
        self._next_after_jump: int | None = None
        self._step = self._expected_step  # timestamp ticks between two packets that came one after the other
        self._media: list[Known | None] = [None] * MEDIA_RING

    def _place(self, packet: RtpPacket) -> int | None:
        """The extended number of a media packet; None if it is too old, or the first one after a jump."""
        if packet.ssrc != self.media_ssrc:
            if self.media_ssrc is not None:
                self.reset()
            self.media_ssrc = packet.ssrc
        if self._newest is None:
            self._newest = packet.sequence_number + FIRST_CYCLE
        number = unwrap(packet.sequence_number, self._newest)
        if not -HALF_RING < number - self._newest < (MAX_DROPOUT if self._anchored else HALF_RING):
            expected, self._next_after_jump = self._next_after_jump, packet.sequence_number + 1 & SEQUENCE_MASK
            if self._anchored and packet.sequence_number != expected:
                return None
            self.reset()
            self._newest = number = packet.sequence_number + FIRST_CYCLE
        self._anchored = True
        self._newest = max(self._newest, number)
        return number

    def _known(self, number: int) -> Known | None:
        media = self._media[number & _INDEX]
        return media if media is not None and media.number == number else None

    def _store(self, number: int, timestamp: int, parity: int, *, received: bool = True) -> None:
        self._media[number & _INDEX] = Known(number, timestamp, parity, received)
        before = self._media[(number - 1) & _INDEX]
        if received and before is not None and before.received and before.number == number - 1:
            self._step = (timestamp - before.timestamp) & _TIMESTAMP_MASK

    def _fits(self, number: int, timestamp: int) -> bool | None:
        """Whether a timestamp fits between the packets around it; None if that cannot be decided yet."""
        before, after = self._neighbour(number, -1), self._neighbour(number, +1)
        if before is not None and not _in_order(before.timestamp, timestamp):
            return False
        if after is not None and not _in_order(timestamp, after.timestamp):
            return False
        if before is not None and after is not None:
            if not self._in_step(before, after.number, after.timestamp):
                return True
            return self._in_step(before, number, timestamp) and self._in_step(after, number, timestamp)
        one = before or after
        if one is None or self._step is None or self._in_step(one, number, timestamp):
            return True
        return None if after is None else False

    def _neighbour(self, number: int, direction: int) -> Known | None:
        """The nearest known packet on one side, within reach."""
        for other in range(number + direction, number + direction * (_NEIGHBOUR_REACH + 1), direction):
            media = self._known(other)
            if media is not None:
                return media
        return None

    def _in_step(self, media: Known, number: int, timestamp: int) -> bool:
        """Whether the packets from one to the other are evenly spaced, as the last ones that arrived were."""
        if self._step is None:
            return False
        packets = number - media.number
        ticks = unwrap(timestamp - media.timestamp, 0, 32)
        if self._shared_numbers and packets and self._step:
            between, rest = divmod(ticks if packets > 0 else -ticks, self._step)
            return not rest and 1 <= between <= abs(packets)
        return ticks == unwrap(packets * self._step, 0, 32)


def _in_order(first: int, second: int) -> bool:
    """Serial comparison of timestamps: `second` is not before `first`."""
    return (second - first) & _TIMESTAMP_MASK < _TIMESTAMP_HALF
