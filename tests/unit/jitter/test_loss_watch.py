"""What a receiver learns from the pattern of its losses."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.network import Impairment, Path
from voip.jitter.floor import OUTAGE
from voip.jitter.losses import MEMORY, LossWatch
from voip.rtp import ReceptionStats, RtpPacket

FRAME = 0.02
FIRST = 65500


def watch(lost: Callable[[int, float], bool], seconds: float) -> tuple[LossWatch, float]:
    """A stream of 50 packets a second, looked at ten times a second."""
    stats, watch, now = ReceptionStats(48000), LossWatch(), 0.0
    for index in range(round(seconds / FRAME)):
        now = index * FRAME
        if not lost(index, now):
            stats.count(RtpPacket(96, (FIRST + index) & 0xFFFF, 960 * index & 0xFFFFFFFF, 1), now)
        if index % 5 == 0:
            watch.look(stats, now)
    return watch, now


def impaired(impairment: Impairment, seed: int) -> Callable[[int, float], bool]:
    path = Path(impairment, str(seed))
    path.start(0.0)

    def lost(index: int, now: float) -> bool:
        arrives, *_ = (list(path.departures(now)) for _ in range(3))  # two repair packets each are on the wire, too
        return not arrives

    return lost


def test_a_loss_is_recent_for_twenty_seconds_and_a_late_packet_is_none() -> None:
    seen, now = watch(lambda index, now: index == 400, 10.0)
    assert seen.recent(now)
    assert not watch(lambda index, now: False, 10.0)[0].recent(10.0)
    seen, now = watch(lambda index, now: index == 400, 8.0 + MEMORY + 3.0)
    assert not seen.recent(now)


@pytest.mark.parametrize("loss", [0.02, 0.1, 0.3])
def test_random_losses_are_no_bursts(loss: float) -> None:
    bursty = 0
    for seed in range(20):
        rng = random.Random(seed)
        seen, now = watch(lambda index, now, rng=rng: rng.random() < loss, 60.0)  # type: ignore[misc]
        bursty += seen.clustering(now) > 0.0
    assert bursty <= 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_bursts_and_outages_are_told_apart(loss: float, seed: int) -> None:
    bursts, now = watch(impaired(Impairment(loss=loss, burst=3.0), seed), 60.0)
    outages, later = watch(impaired(Impairment(loss=loss, outage=0.06), seed), 60.0)
    assert 0.0 < bursts.clustering(now) < OUTAGE < outages.clustering(later)
