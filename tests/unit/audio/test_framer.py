"""Sound of any length, cut into frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sound import noise
from voip.audio.framer import Framer


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(1, 500))
def test_frames_are_full_and_nothing_is_lost(lengths: list[int], samples: int) -> None:
    framer, sound = Framer(samples), noise(sum(lengths))
    blocks = np.split(sound, np.cumsum(lengths)[:-1]) if lengths else []
    frames = [frame for block in blocks for frame in framer.cut(block)]
    assert {len(frame) for frame in frames} <= {samples}
    last = framer.flush()
    assert last is None or 0 < len(last) < samples
    joined = [*frames, *([] if last is None else [last])]
    np.testing.assert_array_equal(np.concatenate(joined) if joined else sound[:0], sound)
    assert framer.flush() is None


def test_what_is_left_goes_into_the_first_frame_of_another_size() -> None:
    framer, sound = Framer(160), noise(500)
    assert [len(frame) for frame in framer.cut(sound[:200])] == [160]
    framer.resize(240)
    (frame,) = framer.cut(sound[200:])
    np.testing.assert_array_equal(frame, sound[160:400])


@pytest.mark.parametrize("count", [0, 159])
def test_less_than_a_frame_waits(count: int) -> None:
    assert Framer(160).cut(noise(count)) == []
