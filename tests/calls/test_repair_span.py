"""How long repair takes is known to play-out, also where a repair packet covers a single packet."""

from __future__ import annotations

import pytest

from tests.support.call import Call, noise


@pytest.mark.parametrize(
    ("fec", "span"), [("sliding:3+6/1", 6), ("sliding:4+9/1", 9), ("sliding:0,1,3/1", 3), ("4", 3)]
)
def test_the_span_is_that_of_the_pattern(fec: str, span: int) -> None:
    call = Call(fec=fec, latency=None)
    call.talk(noise(2.0, call.source_rate, call.media.audio.codec.channels))
    assert call.receiver._playout.repair_span == span
