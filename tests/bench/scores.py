"""Scores of speech by the models of others, each over aligned pieces of some seconds; None where one is not installed.

PESQ (ITU-T P.862) compares the wave's spectrum with the reference and is hard on time-scaling and on what a neural
decoder makes up. ViSQOL compares spectrograms, PLCMOS hears the received speech alone and was trained on concealment:
where the three disagree, none should be trusted alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from tests.bench.waves import RATE, Wave

Band = Literal["nb", "wb"]
Pieces = Sequence[tuple[Wave, Wave]]
"""Of the reference and of what was received, at `RATE`, full scale 1."""
_SEED = 1  # of the listeners that PLCMOS imagines: their mean is its score


def pesq_of(pieces: Pieces, band: Band = "wb") -> float | None:
    """PESQ-WB, 1 to 4.64, or MOS-LQO of telephone speech (P.862.1)."""
    try:
        from pesq import NoUtterancesError, pesq
    except ImportError:
        return None

    def score(wanted: Wave, got: Wave) -> float:
        try:
            return float(pesq(RATE, wanted.astype(np.float32), got.astype(np.float32), band))
        except NoUtterancesError:
            return 1.0

    return float(np.mean([score(wanted, got) for wanted, got in pieces]))


def plcmos_of(pieces: Pieces) -> float | None:
    """PLCMOS v2, 1 to 5, of what was received."""
    model = _plcmos()
    if model is None:
        return None
    scores = []
    for _, got in pieces:
        np.random.seed(_SEED)  # the package draws from it
        scores.append(float(model.get_mos(np.clip(got, -1.0, 1.0))))
    return float(np.mean(scores))


def visqol_of(pieces: Pieces) -> float | None:
    """ViSQOL 3 for speech, 1 to 5, with its lattice: what it has without is 1 to 2 too high."""
    judge = _visqol()
    if judge is None:
        return None
    return float(np.mean([judge.measure_from_arrays(wanted, got, RATE).moslqo for wanted, got in pieces]))


class Listener(Protocol):
    """`speechmos.plcmos.PLCMOS`."""

    def get_mos(self, sound: Wave) -> float:
        """The score of sound at 16 kHz."""


class Judge(Protocol):
    """`visqol.VisqolApi`."""

    def measure_from_arrays(self, wanted: Wave, got: Wave, rate: int) -> Judgement:
        """Compare two sounds."""


class Judgement(Protocol):
    """`visqol.SimilarityResult`."""

    moslqo: float


@functools.cache
def _plcmos() -> Listener | None:
    try:
        from speechmos.plcmos import PLCMOS
    except ImportError:
        return None
    model: Listener = PLCMOS()
    return model


@functools.cache
def _visqol() -> Judge | None:
    try:
        from visqol import VisqolApi

        judge = VisqolApi()
        judge.create(mode="speech", use_lattice_model=True)
    except ImportError:
        return None
    made: Judge = judge
    return made
