"""What delay and holes cost: checked against figures of ITU-T G.107 and of its fit to PESQ (docs/quality.md)."""

from __future__ import annotations

import pytest

from voip.conversation import BESIDES, LISTENING_FROM, PATIENCE, Use, delay_points, missing_points, use_of


def test_delay_costs_next_to_nothing_up_to_150_ms_and_six_points_each_50_ms_beyond() -> None:
    assert delay_points(0.15 - BESIDES) < 0.25
    assert delay_points(0.25 - BESIDES) - delay_points(0.2 - BESIDES) == pytest.approx(6.0, abs=0.3)
    assert delay_points(0.3 - BESIDES) - delay_points(0.25 - BESIDES) == pytest.approx(6.3, abs=0.5)


def test_a_hundredth_of_the_packets_costs_twelve_points() -> None:
    assert missing_points(0.0) == 0.0
    assert missing_points(0.01) == pytest.approx(11.7, abs=0.1)
    assert missing_points(1.0) < 100.0


@pytest.mark.parametrize(
    ("wait_max", "delay", "use"),
    [
        (None, None, Use.CONVERSATION),
        (PATIENCE, 0.1, Use.CONVERSATION),
        (LISTENING_FROM, None, Use.CONVERSATION),
        (0.5, None, Use.LISTENING),
        (0.5, 0.1, Use.LISTENING),
        (0.4, 0.4, Use.CONVERSATION),
    ],
    ids=["unknown", "talks", "on the edge", "listens", "listens, with a short delay", "late packets have raised both"],
)
def test_what_a_peer_waits_for_says_what_it_does(wait_max: float | None, delay: float | None, use: Use) -> None:
    assert use_of(wait_max, delay) is use
