"""The limiter: never above full scale, no change below it, and no corner where it begins and ends."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.sound import noise, sine
from voip.dsp import Floats, Limiter, Pcm
from voip.dsp.limiter import RELEASE

RATE = 48000
BLOCK = 480


def limited(limiter: Limiter, sound: Floats, block: int = BLOCK) -> Pcm:
    blocks = [limiter.process(sound[start : start + block]) for start in range(0, len(sound), block)]
    return np.concatenate(blocks)


def loud(gain: float, seconds: float = 0.5) -> Floats:
    return np.asarray(sine(RATE, seconds, 440.0, peak=32767) * gain, np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_fits_is_left_as_it_is_to_the_last_value(channels: int) -> None:
    sound = noise(RATE, channels)
    sound[0], sound[1] = 32767, -32768
    limiter = Limiter(RATE)
    assert np.array_equal(limited(limiter, sound.astype(np.float32)), sound)
    assert (limiter.gain, limiter.limited) == (1.0, 0)


@pytest.mark.parametrize("block", [160, 480, 1000])
@pytest.mark.parametrize("gain", [1.01, 2.0, 8.0])
def test_nothing_is_cut_off(block: int, gain: float) -> None:
    """Where a sum is too large all of its wave is made softer: it keeps its form, and few samples are at full scale."""
    sound = loud(gain, 0.2)
    limiter = Limiter(RATE)
    out = limited(limiter, sound, block).astype(float).ravel()
    assert np.abs(out).max() <= 32768
    settled = slice(2 * RATE // 440, None)  # after the first waves, which may begin in the middle of a block
    wave, wanted = out[settled], sound.ravel()[settled].astype(float)
    assert (np.abs(wave) >= 32767).mean() < 0.1  # cut off, it would be there for up to nine tenths of the time
    factor = float(wave @ wanted) / float(wanted @ wanted)
    residue = wave - factor * wanted
    cut = np.clip(wanted, -32768, 32767)
    cut_residue = cut - float(cut @ wanted) / float(wanted @ wanted) * wanted
    assert float(residue @ residue) <= 0.2 * float(cut_residue @ cut_residue)
    assert limiter.limited > 0


def test_sums_of_any_size_and_in_any_order_stay_within_full_scale() -> None:
    rng = np.random.default_rng(5)
    limiter = Limiter(8000)
    for _ in range(300):
        sound = (rng.normal(0, 1, (80, 2)) * rng.choice([100, 5000, 40000, 4e6])).astype(np.float32)
        before = limiter.gain
        out = limiter.process(sound).astype(np.float64)
        assert np.all(np.sign(out) * np.sign(sound) >= 0)
        assert np.all(np.abs(out) <= np.abs(sound) + 1)
        peak = np.abs(sound).max()
        if before == 1.0 and peak <= 32767:
            assert np.array_equal(out, np.rint(sound))
        elif peak > 32768:  # the largest wave reaches full scale, and no more is taken from it than has to be
            loudest = np.abs(out).max()
            assert loudest <= 32768


def test_the_gain_falls_ahead_of_a_peak_and_rises_slowly() -> None:
    limiter = Limiter(RATE)
    sound = np.full((BLOCK, 1), 20000.0, np.float32)
    sound[400] = 60000.0
    out = limiter.process(sound).astype(float).ravel()
    steps = np.abs(np.diff(out[:399]))
    assert out[0] == 20000
    assert steps.max() < 500  # it is led down, by no more than a thirtieth at a time
    assert out[400] == pytest.approx(32767, abs=1)
    flat = np.full((BLOCK, 1), 20000.0, np.float32)
    after = np.concatenate([limiter.process(flat) for _ in range(round(RELEASE * 100) + 2)]).astype(int).ravel()
    assert np.all(np.diff(after) >= 0)
    assert np.diff(after).max() <= 2
    assert after[-1] == 20000
    assert limiter.gain == 1.0


def test_a_limiter_that_has_worked_is_exact_again_once_the_sum_fits() -> None:
    limiter = Limiter(RATE)
    limited(limiter, loud(3.0))
    limited(limiter, np.zeros((round(RATE * RELEASE) + BLOCK, 1), np.float32))
    sound = noise(4800)
    assert np.array_equal(limited(limiter, sound.astype(np.float32)), sound)


def test_an_empty_block_is_empty() -> None:
    assert Limiter(RATE).process(np.zeros((0, 1), np.float32)).shape == (0, 1)
