"""The comparison that other tests rely on sees what it should."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.sound import speechlike
from tests.support.wav import save
from tests.support.wavdiff import compare, compare_files

RATE = 16_000
SENT = speechlike(RATE, 4.0)


def test_a_delayed_copy_is_exact() -> None:
    difference = compare(SENT, np.concatenate([np.zeros((1234, 1), np.int16), SENT]), RATE)
    assert difference.exact
    assert difference.lag == 1234 / RATE
    assert difference.compared == difference.sent == 4.0
    assert difference.heard == 1.0
    assert difference.snr == float("inf")


def test_a_missing_beginning_is_a_negative_lag_and_not_heard() -> None:
    difference = compare(SENT, SENT[RATE:], RATE)
    assert difference.exact
    assert difference.lag == -1.0
    assert difference.heard == pytest.approx(0.75, abs=0.02)


def test_a_hole_is_seen() -> None:
    heard = SENT.copy()
    heard[RATE : RATE + RATE // 10] = 0
    difference = compare(SENT, heard, RATE)
    assert 4 <= difference.holes <= 5
    assert difference.wrong > 0


def test_noise_has_its_ratio() -> None:
    noise = np.random.default_rng(7).standard_normal(SENT.shape)
    power = float((SENT.astype(float) ** 2).mean())
    heard = (SENT + noise * (power / 10**3.7) ** 0.5).round().astype(np.int16)
    assert compare(SENT, heard, RATE).snr == pytest.approx(37, abs=0.2)


def test_files_make_the_round_trip(tmp_path: Path) -> None:
    stereo = speechlike(8000, 1.0, channels=2)
    save(tmp_path / "a.wav", stereo, 8000)
    save(tmp_path / "b.wav", stereo[400:], 8000)
    difference = compare_files(tmp_path / "a.wav", tmp_path / "b.wav")
    assert difference.exact
    assert difference.compared == 0.95
    assert difference.lag == -400 / 8000
