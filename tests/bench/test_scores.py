"""The models of others: what they say of speech that is whole and of speech with holes, where they are installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.bench import scores
from tests.bench.quality import measure
from tests.bench.waves import PROMPTS, RATE, Wave, prompts, stretch


@pytest.fixture(scope="module")
def speech() -> Wave:
    if not PROMPTS.is_dir():
        pytest.skip(f"the prompts in {PROMPTS} are needed")
    return stretch(prompts(10.0), 8.0)


def with_holes(speech: Wave) -> Wave:
    """Every tenth 20 ms are silent."""
    frames = speech.copy().reshape(-1, RATE // 50)
    frames[::10] = 0.0
    sound: Wave = frames.reshape(-1)
    return sound


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("module", "score", "whole"), [("speechmos.plcmos", scores.plcmos_of, 4.3), ("visqol", scores.visqol_of, 4.4)]
)
def test_a_score_falls_with_holes(
    module: str, score: Callable[[scores.Pieces], float | None], whole: float, speech: Wave
) -> None:
    pytest.importorskip(module)
    good, bad = score([(speech, speech)]), score([(speech, with_holes(speech))])
    if good is None or bad is None:
        pytest.skip(f"{module} lacks something")
    assert good > whole
    assert bad < good - 0.5
    assert score([(speech, with_holes(speech)), (speech, speech)]) == pytest.approx((good + bad) / 2), "repeatable"


def test_without_being_asked_for_they_are_not_computed() -> None:
    sound = np.random.default_rng(1).standard_normal(3 * RATE) * 0.05
    quality = measure(sound, sound, with_pesq=False)
    assert (quality.pesq, quality.plcmos, quality.visqol) == (None, None, None)


def test_what_is_not_installed_gives_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_plcmos", lambda: None)
    monkeypatch.setattr(scores, "_visqol", lambda: None)
    sound = np.zeros(RATE)
    assert scores.plcmos_of([(sound, sound)]) is None
    assert scores.visqol_of([(sound, sound)]) is None
