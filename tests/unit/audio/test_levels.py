"""How loud sound is."""

from __future__ import annotations

import numpy as np
import pytest

from voip.audio.levels import LevelMeter, measure, measure_one
from voip.stats import Levels

RATE = 48000


def measured(*blocks: np.ndarray) -> Levels:
    meter = LevelMeter(RATE)
    for block in blocks:
        meter.add(block.astype(np.int16).reshape(-1, 1))
    return meter.levels


def tone(amplitude: float, seconds: float = 1.0) -> np.ndarray:
    return amplitude * 32768 * np.sin(2 * np.pi * 440 * np.arange(round(RATE * seconds)) / RATE)


def test_a_tone_has_its_peak_and_an_rms_of_three_db_less() -> None:
    """A sine of amplitude A has the RMS A / sqrt(2)."""
    levels = measured(*np.split(tone(0.5), 100))
    assert levels.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert levels.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert (levels.samples, levels.silent, levels.clipped) == (RATE, 0, 0)


def test_a_square_wave_of_full_scale_is_0_dbfs_and_clipped() -> None:
    square = np.where(np.arange(RATE) // 50 % 2, 32767, -32768)
    levels = measured(square)
    assert levels.rms_dbfs == pytest.approx(0.0, abs=0.001)
    assert levels.clipped == RATE


def test_only_samples_at_full_scale_are_clipped() -> None:
    levels = measured(np.clip(tone(2.0), -32768, 32767))
    assert levels.clipped / levels.samples == pytest.approx(2 / 3, abs=0.01)  # |sin| >= 1/2: two thirds of the time
    assert measured(tone(0.99)).clipped == 0


@pytest.mark.parametrize("dither", [0, 1])
def test_zeros_and_dither_are_digital_silence_and_have_no_level(dither: int) -> None:
    levels = measured(np.resize([0, dither, -dither], RATE))
    assert levels.silence == 1.0
    assert levels.rms_dbfs is None
    assert levels.peak_dbfs is None


def test_the_quietest_microphone_is_not_digital_silence() -> None:
    levels = measured(np.resize([0, 2, 0, -1], RATE))
    assert levels.silence == 0.0
    assert levels.rms_dbfs == pytest.approx(-89.3, abs=0.1)  # 10 log10(5/4) - 20 log10(32768)


def test_zero_crossings_of_sound_are_no_silence() -> None:
    assert measured(*np.split(tone(0.5), 100)).silent == 0


def test_the_recent_peak_falls_when_the_sound_does() -> None:
    loud = measured(*np.split(tone(0.5), 100))
    fallen = measured(*np.split(tone(0.5), 100), *np.split(tone(0.05, 0.5), 50))
    assert loud.recent_peak == pytest.approx(0.5, abs=0.001)
    assert fallen.recent_peak == pytest.approx(0.05, abs=0.001)
    assert fallen.peak == loud.peak


def test_nothing_measured_says_nothing() -> None:
    assert measured(np.zeros(0)) == Levels()
    assert Levels().silence is None


def test_both_channels_count() -> None:
    meter = LevelMeter(RATE)
    stereo = np.zeros((480, 2), np.int16)
    stereo[:, 1] = 16384
    meter.add(stereo)
    assert meter.levels.samples == 960
    assert meter.levels.rms_dbfs == pytest.approx(-9.03, abs=0.01)


def test_blocks_of_many_streams_are_measured_together_as_each_by_itself() -> None:
    rng = np.random.default_rng(5)
    blocks = [rng.integers(-level, level, (80, 2)).astype(np.int16) for level in (1, 200, 32767)]
    blocks += [np.full((80, 2), -32768, np.int16), np.zeros((80, 2), np.int16)]
    together = measure(blocks)
    assert together == [measure_one(block) for block in blocks] == [one for block in blocks for one in measure([block])]
    for block, found in zip(blocks, together, strict=True):
        whole = block.astype(np.int64)
        assert (found.samples, found.size, found.peak) == (80, 160, np.abs(whole).max())
        assert found.energy == float((whole * whole).sum())
        assert found.clipped == int((np.abs(whole) >= 32767).sum())


def test_blocks_without_samples_say_nothing() -> None:
    meter = LevelMeter(RATE)
    for measured in measure([np.zeros((0, 1), np.int16)] * 2):
        meter.note(measured)
    assert meter.levels == LevelMeter(RATE).levels
