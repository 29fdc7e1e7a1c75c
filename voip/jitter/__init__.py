"""Which packet plays when, and how long play-out is delayed (RFC 3550 section 6.4.1 has the terms).

The policy is this program's own; `docs/playout.md` is its page.

packet_queue   PacketQueue: packets in order, each once, on one time line
playout        Playout: a state machine that says what to play next, pulled by the speaker
position       where that is on the time line, and the hole up to the next packet
non_audio      packets that are no sound: telephone events, comfort noise
delays         DelayTarget: the delay to aim at, by what it pays to wait for
floor          DelayFloor: the least delay to aim at, by what the losses are like
losses         LossWatch: none, by chance, in bursts, or outages
pace           how far play-out is from the target, and when to stretch the sound towards it
drift          how fast a clock runs against another, and the resampling ratio that follows
clock          ClockFollower: the sender's clock against that of our device, DeviceClock
playout_stats  PlayoutCounters: what was heard
bursts         Bursts: where packets were missing (RFC 3611 section 4.7.2)
"""

from voip.jitter.clock import ClockFollower, DeviceClock
from voip.jitter.delays import DelayTarget, SlidingMinimum
from voip.jitter.drift import DriftCorrection, DriftEstimator
from voip.jitter.floor import DelayFloor
from voip.jitter.pace import UNCHANGED, Stretch
from voip.jitter.packet_queue import PacketQueue, PutResult
from voip.jitter.playout import Gap, GapReason, Playout, PlayoutState
from voip.jitter.playout_stats import PlayoutCounters

__all__ = [
    "UNCHANGED",
    "ClockFollower",
    "DelayFloor",
    "DelayTarget",
    "DeviceClock",
    "DriftCorrection",
    "DriftEstimator",
    "Gap",
    "GapReason",
    "PacketQueue",
    "Playout",
    "PlayoutCounters",
    "PlayoutState",
    "PutResult",
    "SlidingMinimum",
    "Stretch",
]
