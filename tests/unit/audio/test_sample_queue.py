"""Sound that is ready to be read: in what pieces it comes and is taken makes no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voip.audio.sample_queue import SampleQueue


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=40), st.integers(1, 2))
def test_what_went_in_comes_out_in_order_whatever_the_lengths(steps: list[tuple[int, int]], channels: int) -> None:
    queue, given_so_far, taken = SampleQueue(8000, channels), 0, list[np.ndarray]()
    for added, wanted in steps:
        numbers = np.arange(given_so_far, given_so_far + added, dtype=np.int16)
        queue.append(np.repeat(numbers[:, None], channels, axis=1))
        given_so_far += added
        piece = queue.take(min(wanted, len(queue)))
        assert piece.shape == (min(wanted, given_so_far - sum(map(len, taken))), channels)
        taken.append(piece)
        assert len(queue) == given_so_far - sum(map(len, taken))
    out = np.concatenate([*taken, queue.take(len(queue))])
    assert np.array_equal(out, np.repeat(np.arange(given_so_far, dtype=np.int16)[:, None], channels, axis=1))


@pytest.mark.parametrize("held", [0, 10])
def test_more_than_there_is_cannot_be_taken(held: int) -> None:
    queue = SampleQueue(8000, 1)
    queue.append(np.zeros((held, 1), np.int16))
    with pytest.raises(IndexError):
        queue.take(held + 1)
