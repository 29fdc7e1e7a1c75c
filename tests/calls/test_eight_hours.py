"""A working day in virtual time: clocks that drift by as much as crystals do at worst."""

from __future__ import annotations

import pytest

from tests.support.call import Call, check_unaltered, media, noise
from voip.codecs import static

PTIME, BLOCK = 0.06, 0.03
LEARNING = 2
"""Minutes in which the drift is measured and the delay finds its target."""
TOLERANCE = 0.010
"""Seconds that the delay may be off its target."""


@pytest.mark.slow
@pytest.mark.parametrize(("ppm", "hours"), [(200.0, 8), (-200.0, 2)])  # a slow sender is no harder after two
def test_hours_of_drifting_clocks_leave_nothing_out_and_make_nothing_up(ppm: float, hours: int) -> None:
    pcmu = static(0)
    assert pcmu is not None
    both = Call(agreed=media(pcmu, payload_type=0, ptime=PTIME), latency=None, skew_ppm=ppm, block=BLOCK)
    minute = noise(60.0)
    for number in range(hours * 60):
        both.talk(minute)
        stats = both.receiver.snapshot()
        check_unaltered(stats)
        if number >= LEARNING:
            assert stats.clock_ppm == pytest.approx(ppm, abs=1.0)
            assert stats.playout.delay is not None
            assert stats.playout.target is not None
            assert abs(stats.playout.delay - stats.playout.target) <= TOLERANCE, f"after {number} minutes"
        both.sent.clear()
        both.heard.clear()
        both.snapshots.clear()
    assert both.receiver.stats.playout.played > hours * 3600 / PTIME - 10
