"""Which packet plays when (RFC 3550 section 6.4.1 has the terms; the policy is this program's own).

buffer      JitterBuffer: packets in by arrival, out by the speaker's pull
delays      the delay to aim at: fastest transit, and what it pays to wait for
pace        how far play-out is from that delay, and when to bend the sound towards it
ledger      what the listener got
drift       how fast the sender's clock runs, and the resampling ratio that follows
"""

from voip.jitter.buffer import Arrival, Gap, JitterBuffer, Kind
from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.drift import DriftCorrection, DriftEstimator
from voip.jitter.ledger import Ledger

__all__ = [
    "Arrival",
    "DelayTarget",
    "DriftCorrection",
    "DriftEstimator",
    "Gap",
    "JitterBuffer",
    "Kind",
    "Ledger",
    "SlidingMinimum",
]
