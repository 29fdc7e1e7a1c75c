"""Encryption is cheap: what a minute of a call costs a side that sends and hears."""

from __future__ import annotations

import pytest

from tools.measure_srtp import measure
from voip.srtp import Profile

MOST = 0.3
"""Processor seconds a minute."""
SECONDS = 10.0


@pytest.mark.parametrize("profile", Profile)
def test_a_minute_both_ways_costs_less_than_is_allowed(profile: Profile) -> None:
    costs = [sum(measure(profile, SECONDS)) * 60.0 / SECONDS for _ in range(3)]
    assert min(costs) < MOST, "a busy machine costs more at times, not always"
