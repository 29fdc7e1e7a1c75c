"""The MOS that is told against PESQ of the same call: the corners of the table in docs/quality.md."""

from __future__ import annotations

import pytest

from tests.bench.waves import PROMPTS, prompts, stretch
from tools.measure_mos import one_call
from voip import codecs

SECONDS = 60.0
AGREED = 0.4
"""Of MOS: how near both have to be."""


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["opus", "l16", "pcmu"])
@pytest.mark.parametrize(("loss", "fec"), [(0, True), (10, False), (30, True), (30, False)])
def test_mos_is_what_pesq_says_of_the_same_call(codec: str, loss: int, fec: bool) -> None:
    pytest.importorskip("pesq")
    if codecs.missing(codec) or not PROMPTS.is_dir():
        pytest.skip(f"{codec} and the prompts in {PROMPTS} are needed")
    found = one_call(codec, loss, 1.0, fec, stretch(prompts(SECONDS), SECONDS), seed=1)
    assert found.told == pytest.approx(found.pesq, abs=AGREED)
