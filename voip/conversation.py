"""What delay and missing sound cost a conversation, by the E-model (ITU-T G.107): sender and receiver weigh by it.

The sender chooses how long a repair may take (`voip.fec.choice`), the receiver how long it waits (`voip.jitter`). Both
ask what is worse: to hear each other later, or with more holes. Points are of R on the scale to 100. Pure: no clock.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from voip.quality import EQUIPMENT, WIDEBAND_STRETCH, Loss, delay_impairment, loss_impairment

BESIDES = 0.04
"""Seconds from mouth to ear that are neither the wait for repair nor the network's: a packet of 20 ms, the encoder's
look-ahead of 6.5 ms, and 15 ms of play-out beyond that wait."""
FREE_WAIT = 0.1
"""Seconds of waiting up to which anything that is rebuilt is worth it: they cost less than a point of R."""
PATIENCE = 0.3
"""Seconds of play-out delay up to which a conversation waits for repair: the last 150 ms of it cost 17 points."""
LISTENING_FROM = 0.35
"""Seconds: a peer that waits longer than this for repair only listens."""
_EQUIPMENT = EQUIPMENT["opus"]
DELAYS_REMEMBERED = 64
"""Waits whose points are remembered: there are a few that are asked for again and again."""


class Use(Enum):
    """What the one who hears a stream does with it."""

    CONVERSATION = "conversation"
    LISTENING = "listening"


@lru_cache(maxsize=DELAYS_REMEMBERED)
def delay_points(wait: float) -> float:
    """Points of R that a conversation loses if sound is played so many seconds after the fastest packets."""
    return delay_impairment(BESIDES + wait)


def missing_points(share: float) -> float:
    """Points of R that are lost if this share of the packets (0 to 1) is missing when it should be played."""
    lost = loss_impairment(_EQUIPMENT, Loss(100.0 * share)) - _EQUIPMENT.ie
    return lost / WIDEBAND_STRETCH


def use_of(wait_max: float | None, delay: float | None) -> Use:
    """What a peer does that waits up to `wait_max` seconds for repair, and aims at `delay`; None: it does not say.

    A limit that is no more than the delay of now says nothing: late packets have raised both.
    """
    if wait_max is None or wait_max <= max(LISTENING_FROM, delay or 0.0):
        return Use.CONVERSATION
    return Use.LISTENING
