"""Which packet plays when (RFC 3550 section 6.4.1 has the terms; the policy is this program's own).

buffer      JitterBuffer: packets in by arrival, out by the speaker's pull
delays      the delay to aim at: fastest transit, and what it pays to wait for
pace        how far play-out is from that delay, and when to bend the sound towards it
losses      what the losses of the last seconds were like
floor       the least delay to aim at, which follows from them
clock       the sender's clock against that of our device, and the resampling ratio that follows
ledger      what the listener got
drift       how fast a clock runs against another
"""

from voip.jitter.clock import ClockFollower
from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.drift import DriftCorrection, DriftEstimator
from voip.jitter.floor import DelayFloor
from voip.jitter.ledger import Ledger
from voip.jitter.pace import UNCHANGED, Stretch
from voip.jitter.packet_queue import Arrival, PacketQueue
from voip.jitter.playout import Gap, Kind, Playout

__all__ = [
    "UNCHANGED",
    "Arrival",
    "ClockFollower",
    "DelayFloor",
    "DelayTarget",
    "DriftCorrection",
    "DriftEstimator",
    "Gap",
    "Kind",
    "Ledger",
    "PacketQueue",
    "Playout",
    "SlidingMinimum",
    "Stretch",
]
