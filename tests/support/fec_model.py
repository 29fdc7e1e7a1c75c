"""When each packet of a long stream becomes known, by arrays: fast enough to tabulate what FEC patterns leave lost.

A model of its own: it shares no code with the decoder, nor with `tests.support.fec_simulation`. Time counts packet
times. Media and repair packets are lost alike, in wire order; a frame's packets leave back to back, so an outage hits
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voip.fec import Pattern

Times = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
WARM_UP = 200
"""Packets at both ends that do not count: the pattern has nothing to reach there."""
REPAIR_LAG = 0.002
"""Packet times by which a repair packet follows the packet before it."""
SLACK = 0.05
"""A wait of D packet times is over this much later: the repair packet of offset D is in time."""


def random_losses(rng: np.random.Generator, rate: float, packets: int, frames: int) -> Flags:
    """(packets, frames): each packet is lost with this probability."""
    return rng.random((packets, frames)) < rate


def outages(rng: np.random.Generator, rate: float, mean: float, packets: int, frames: int) -> Flags:
    """(packets, frames): exponential times without any packet, of this mean in packet times, and this share of all."""
    memory = np.exp(-1.0 / (mean * (1.0 - rate)))  # of a two-state chain that is looked at once per frame
    to_bad, to_good = rate * (1.0 - memory), (1.0 - rate) * (1.0 - memory)
    periods = int(2 * frames * to_bad * to_good / (to_bad + to_good)) + 100
    good, bad = rng.geometric(to_bad, periods), rng.geometric(to_good, periods)
    while int(good.sum() + bad.sum()) < frames:
        good, bad = np.append(good, rng.geometric(to_bad, periods)), np.append(bad, rng.geometric(to_good, periods))
    lengths = np.stack([good, bad], axis=1).ravel()
    state = np.repeat(np.tile([False, True], len(good)), lengths)[:frames]
    return np.broadcast_to(state, (packets, frames))


def known_at(pattern: Pattern, lost: Flags, delay: Times | float) -> Times:
    """For each media packet, how long after its sending it is known, received or rebuilt; inf: never.

    `lost` and `delay` are (1 + repair packets per media packet, packets), media first.
    """
    frames = lost.shape[1]
    order = np.arange(len(lost))[:, None] * REPAIR_LAG
    arrival = np.where(lost, np.inf, np.arange(frames) + order + delay)
    arrival[1:, (np.arange(frames) + 1) % pattern.every != 0] = np.inf  # no repair packet is due there
    known = arrival[0].copy()
    while True:
        before = known.copy()
        for repair, offsets in zip(arrival[1:], pattern.sets, strict=True):
            _rebuild(known, repair, offsets)
        if np.array_equal(before, known):
            waits: Times = known - np.arange(frames)
            return waits


def _rebuild(known: Times, repair: Times, offsets: Sequence[int]) -> None:
    """Each packet is known as soon as a repair packet over it and all the others that this one covers are here."""
    start = offsets[-1]  # the first repair packet that covers no packet before the stream's start
    members = [known[start - offset : len(known) - offset] for offset in offsets]
    for i, member in enumerate(members):
        when = repair[start:]
        for j, other in enumerate(members):
            if j != i:
                when = np.maximum(when, other)
        np.minimum(member, when, out=member)


def missing(known: Times, waits: Sequence[float]) -> list[float]:
    """The share of media packets that are not known when each of these waits is over."""
    inner = known[WARM_UP:-WARM_UP]
    return [float(np.mean(inner > wait + SLACK)) for wait in waits]
