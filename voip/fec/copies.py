"""Copies (RFC 2198) among the patterns of the controller, whole or at a low bit rate, and what they leave lost.

Not by a table: whether a packet and its copies are all lost follows from the two-state chain that `channel` estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from voip.fec.channel import QUIET, Channel
from voip.fec.pattern import Pattern

DISTANCES = (
    *((8,), (6,), (4,), (3,), (2,)),
    *((6, 12), (5, 10), (4, 9), (4, 8), (3, 7), (3, 6), (2, 4), (1, 3)),
    *((2, 5, 7), (2, 4, 6), (1, 3, 5)),
)
"""How far back the copies of each pattern are: one copy at D outlasts an outage of D packet times, and another at D/2
leaves, where outages differ in length, least of all pairs (within 5 % of what all copies up to D would leave). A third
one is for outages that come soon after one another. Those of wide reach come first: where two are as good, the one that
outlasts a longer outage is taken."""
WHOLE_DISTANCES = ((5, 9), (3, 7), (3, 6), (2, 4))
"""The same of copies that are whole: what an outage takes of a packet it takes of the repair packets sent with it, too,
so that within the packet they help as much as in packets of their own, without their headers. A third copy is worth
nothing: PESQ 3.83 for 3 and 7 packets back, 3.85 for 2, 5 and 7 (10 % lost in outages of 60 ms)."""
MIXED_DISTANCES = ((4, 8), (3, 7), (3, 6), (2, 4), (1, 3), (2, 4, 6))
"""The same where only the nearest copy is whole: hardly anything is heard from the others."""
DEGRADED = 0.05
"""Packets missing that are as bad as a run of packets heard from copies: the decoder, which knows the other encoder's
past, takes a while to be in step. 10 % lost at random and heard from copies at 12 kbit/s take 0.35 off PESQ, as 0.5 %
missing do; the same share in outages of three packets takes 0.1."""
MIN_MISSING = 1e-5
"""What no table says less than."""
MAX_OUTAGE = 5.0
"""Frames: the longest mean outage of the tables, with which these figures are compared."""
PACKET_BURST = 2.0
"""Mean outage, in frames, below which losses may be a burst of so many packets: it hits as many frames where there are
no repair packets between."""


class CopiesRung:
    """A pattern of copies."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._distances = [offsets[0] for offsets in pattern.sets]
        self._whole = self._distances[: pattern.exact]

    def missing(self, channel: Channel, wait: float) -> float:
        """What is `left`, and for what is heard from copies at a low bit rate a share that is as bad."""
        left = self.left(channel, wait)
        heard = max(0.0, min(channel.loss, self._fail(channel, self._whole, wait) - left))
        return min(1.0, MIN_MISSING + left + DEGRADED * heard / max(1.0, _outage(channel)))

    def left(self, channel: Channel, wait: float) -> float:
        """The share of media packets that are neither here nor repeated within `wait` packet times."""
        return self._fail(channel, self._distances, wait)

    @staticmethod
    def _fail(channel: Channel, distances: Sequence[int], wait: float) -> float:
        return _all_fail(channel, [0, *(distance for distance in distances if distance <= wait)], wait)


def copies_ladder() -> list[CopiesRung]:
    """All patterns of copies."""
    patterns = [Pattern.copies(distances) for distances in DISTANCES]
    patterns += [Pattern.copies(distances, exact=len(distances)) for distances in WHOLE_DISTANCES]
    patterns += [Pattern.copies(distances, exact=1) for distances in MIXED_DISTANCES]
    return [CopiesRung(pattern) for pattern in patterns]


def _all_fail(channel: Channel, sent: Sequence[int], wait: float) -> float:
    """The share for which all packets, sent so many packet times after the first, are lost, or too late for it."""
    loss = channel.loss
    outage = _outage(channel)
    lost, passed = loss, (1.0 - loss) * _late(channel, wait)
    for before, now in pairwise(sent):
        memory = math.exp(-(now - before) / (outage * (1.0 - loss))) if outage and loss < 1.0 else 0.0
        both = lost + passed
        lost, passed = (
            memory * lost + (1.0 - memory) * loss * both,
            (memory * passed + (1.0 - memory) * (1.0 - loss) * both) * _late(channel, wait - now),
        )
    return lost + passed


def _outage(channel: Channel) -> float:
    """Frames of an outage, on a path without repair packets between the media's; 0: losses are at random."""
    burst = max(channel.outage, channel.burst) if 0.0 < channel.outage < PACKET_BURST else channel.outage
    return min(burst, MAX_OUTAGE)


def _late(channel: Channel, wait: float) -> float:
    """The share of packets that take longer than the fastest by more than `wait` packet times."""
    return math.exp(-max(0.0, wait) / channel.jitter) if channel.jitter > QUIET else 0.0
