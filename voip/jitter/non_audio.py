"""Packets in a stream's sequence that are no sound: telephone events (RFC 4733) and comfort noise (RFC 3389).

Their numbers are not missing, and while they are the newest of a stream, no sound is waited for. The numbers of packets
of a payload type that is not agreed on are not missing either, but say nothing else.
"""

from __future__ import annotations

from voip.rtp import RtpPacket

CAPACITY = 1024
"""Packets that are kept: ten seconds of a key held down have 500."""


class NonAudio:
    """Those of one stream that are not behind what has been played."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # sequence number: timestamp, both extended
        self._comfort: list[tuple[int, RtpPacket]] = []
        self._newest: int | None = None
        self._unknown: dict[int, None] = {}  # numbers of packets that mean nothing here

    def clear(self) -> None:
        """Another stream begins."""
        self._numbers.clear()
        self._comfort.clear()
        self._newest = None
        self._unknown.clear()

    def add_unknown(self, sequence: int) -> None:
        """One has come of a payload type that is not agreed on."""
        self._unknown[sequence] = None
        if len(self._unknown) > CAPACITY:
            del self._unknown[next(iter(self._unknown))]

    def add(self, sequence: int, timestamp: int, *, numbered: bool = True) -> None:
        """One has come. If it is not `numbered`, media has numbers of its own, and came up to before `sequence`."""
        self._newest = sequence if self._newest is None else max(self._newest, sequence)
        if numbered:
            self._numbers[sequence] = timestamp
            if len(self._numbers) > CAPACITY:
                del self._numbers[next(iter(self._numbers))]

    def add_comfort(self, timestamp: int, packet: RtpPacket) -> None:
        """It says what silence sounds like from then on."""
        self._comfort.append((timestamp, packet))
        self._comfort.sort(key=lambda known: known[0])
        if len(self._comfort) > CAPACITY:
            del self._comfort[0]

    def newer_than(self, sequence: int) -> bool:
        """Whether the sender has said since then that it sends no sound."""
        return self._newest is not None and self._newest > sequence

    def lost(self, last: int, following: int, begin: int, step: int) -> int:
        """Packets of sound that are missing between two, from the timestamp `begin` on, if one lasts `step` ticks.

        What is missing between two such packets was one as well.
        """
        numbers = [number for number in self._numbers if last < number < following]
        if not numbers:
            return self._between(last, following)
        first = min(numbers)
        before = min(self._between(last, first), round(max(0, self._numbers[first] - begin) / step))
        return before + self._between(max(numbers), following)

    def _between(self, last: int, following: int) -> int:
        """Numbers between two that no packet has had."""
        return following - last - 1 - sum(last < number < following for number in self._unknown)

    def comfort(self, timestamp: int) -> RtpPacket | None:
        """What silence sounds like at that time; None: the sender has not said so since it spoke."""
        found = None
        for begin, packet in self._comfort:
            if begin <= timestamp:
                found = packet
        return found

    def forget(self, sequence: int, timestamp: int) -> None:
        """Sound with these numbers is played: what was before it is over."""
        if self._numbers:
            self._numbers = {number: begin for number, begin in self._numbers.items() if number > sequence}
        if self._unknown:
            self._unknown = {number: None for number in self._unknown if number > sequence}
        if self._comfort:
            self._comfort = [known for known in self._comfort if known[0] > timestamp]
